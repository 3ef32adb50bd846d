"""Does a text-to-picture model of the built-in scenes make what it is asked for? A classifier of scenes says.

The classifier learns all four attributes from pictures of all 288 combinations, drawn by the same code; how often it
is right on fresh ones is printed first. Then ``--each`` pictures are made of every caption: right is a picture
in which shape, colour and position are those asked for (and, apart, size too).

    python benchmarks/latent_scenes.py runs/latent-scenes --each 2 --out runs/latent-scenes/obedience.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import genwerk
from genwerk import tasks
from genwerk.data.scenes import captions, examples, held_out, parse
from genwerk.diffusion.sampling import Diffusion

FIELDS = ("shape", "colour", "size", "position")


def classes() -> dict[str, list[str]]:
    """The values that each attribute takes."""
    scenes = [parse(caption) for caption in captions()]
    return {field: sorted({getattr(scene, field) for scene in scenes}) for field in FIELDS}


class Classifier(nn.Module):
    """Pictures with shape (n, 3, 32, 32) to logits of every attribute."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, o in ((3, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.GroupNorm(8, o), nn.GELU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 128), nn.GELU())
        self.heads = nn.ModuleDict({field: nn.Linear(128, len(names)) for field, names in values.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.body(2 * x - 1)
        return {field: head(features) for field, head in self.heads.items()}


def targets(texts: list[str], values: dict[str, list[str]]) -> dict[str, Tensor]:
    return {f: torch.tensor([values[f].index(getattr(parse(t), f)) for t in texts]) for f in FIELDS}


def learn(values: dict[str, list[str]], rounds: int, seed: int) -> Classifier:
    """A classifier of fresh pictures of all captions."""
    torch.manual_seed(seed)
    net = Classifier(values)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, rounds)
    drawn, texts = examples(captions(), 20_000, 1_000_000 + seed)
    x, wanted = drawn, targets(texts, values)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(rounds):
        rows = torch.randint(len(x), (128,), generator=generator)
        logits = net(x[rows].float() / 255)
        loss = sum((F.cross_entropy(logits[f], wanted[f][rows]) for f in FIELDS), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def right(net: Classifier, x: Tensor, texts: list[str], values: dict[str, list[str]]) -> dict[str, Tensor]:
    """Which pictures show what was asked, by attribute, and in shape, colour and position together."""
    wanted = targets(texts, values)
    found = {f: torch.cat([net(part)[f].argmax(1) for part in x.split(512)]) == wanted[f] for f in FIELDS}
    found["shape, colour and position"] = found["shape"] & found["colour"] & found["position"]
    found["all four"] = found["shape, colour and position"] & found["size"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--each", type=int, default=2, help="pictures of each of the 288 captions")
    parser.add_argument("--guidance", type=float, help="default: the model's own")
    parser.add_argument("--steps", type=int, help="default: the model's own")
    parser.add_argument("--rounds", type=int, default=1500, help="of the classifier's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    values = classes()
    net = learn(values, options.rounds, options.seed)
    drawn, texts = examples(captions(), 2_000, 2_000_000 + options.seed)
    scores = right(net, drawn.float() / 255, texts, values)
    print("classifier on fresh pictures", {k: round(v.float().mean().item(), 4) for k, v in scores.items()}, flush=True)
    model = genwerk.load(options.run)
    given = {k: getattr(options, k) for k in ("guidance", "steps") if getattr(options, k) is not None}
    texts = [caption for caption in captions() for _ in range(options.each)]
    assert model.spec.vocabulary is not None
    asked = model.options.chosen(given)
    assert isinstance(asked, Diffusion)
    start = time.perf_counter()
    condition = model.spec.vocabulary.encode(texts)
    x = tasks.sample(model, len(texts), condition, asked, seed=options.seed, size=96).x
    seconds = time.perf_counter() - start
    found, new = right(net, x, texts, values), torch.tensor([held_out(t) for t in texts])
    figures = {
        part: {k: v[rows].float().mean().item() for k, v in found.items()}
        for part, rows in (("seen", ~new), ("held out", new))
    }
    print(f"{len(texts)} pictures in {seconds:.0f} s, guidance {asked.guidance}, {asked.steps} steps")
    for part, values_ in figures.items():
        print(part, {k: round(v, 4) for k, v in values_.items()})
    if options.out:
        options.out.write_text(json.dumps({"guidance": asked.guidance, "steps": asked.steps, **figures}, indent=1))


if __name__ == "__main__":
    main()
