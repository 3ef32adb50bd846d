"""Does a text-to-picture model of captioned faces make the hair it is asked for? A classifier of real faces says.

It learns hair from the pictures that the model was trained on and their captions ("<hair> hair <eyes> eyes"); how often
it is right on those that were held out is printed first. Captions are noisy, so that this is less than 1, and what a
model can be expected to reach. Then ``--each`` pictures are made of every pair of hair and eyes.

    python benchmarks/latent_faces.py runs/latent-faces --data PATH/anime_faces.zip --guidance 1 3 5
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
from genwerk.core.abilities import Denoises
from genwerk.core.condition import Text
from genwerk.core.layout import Layout
from genwerk.core.spec import Batch
from genwerk.core.tokens import Vocabulary
from genwerk.data import DataConfig, open_data
from genwerk.data.dataset import Dataset

HAIR = ("aqua", "black", "blonde", "blue", "brown", "gray", "green", "orange", "pink", "purple", "red", "white")
EYES = ("aqua", "black", "blue", "brown", "green", "orange", "pink", "purple", "red", "yellow")
CAPTIONS = tuple(f"{hair} hair {eyes} eyes" for hair in HAIR for eyes in EYES)


def hair(text: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Index of the hair in captions whose token ids have shape (n, l)."""
    same = (text.unsqueeze(1) == vocabulary.encode(CAPTIONS)).all(2)
    assert same.any(1).all(), "a caption is none of those of this data set"
    return same.int().argmax(1) // len(EYES)


def classifier() -> nn.Sequential:
    """Pictures with shape (n, 3, 64, 64) to logits of the hair."""
    layers: list[nn.Module] = []
    for i, o in ((3, 24), (24, 48), (48, 96), (96, 128)):
        layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.GroupNorm(8, o), nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(512, len(HAIR)))


def learn(train: Dataset, vocabulary: Vocabulary, rounds: int, seed: int) -> nn.Sequential:
    """A classifier of the hair in the pictures of ``train``, every other one of them mirrored."""
    torch.manual_seed(seed)
    net, generator = classifier(), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, rounds)
    for _ in range(rounds):
        batch = train.batch(torch.randint(len(train), (64,), generator=generator))
        assert batch.condition is not None
        x = torch.cat([batch.x[::2], batch.x[1::2].flip(3)])
        wanted = hair(torch.cat([batch.condition[::2], batch.condition[1::2]]), vocabulary)
        loss = F.cross_entropy(net(2 * x - 1), wanted, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def right(net: nn.Module, x: Tensor, wanted: Tensor) -> Tensor:
    """Whether the hair is that ``wanted``, a picture."""
    return torch.cat([net(2 * part - 1).argmax(1) for part in x.split(256)]) == wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", required=True)
    parser.add_argument("--each", type=int, default=4, help="pictures of each of the 120 captions")
    parser.add_argument("--guidance", type=float, nargs="+", help="default: the model's own")
    parser.add_argument("--rounds", type=int, default=1500, help="of the classifier's training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder for figures and sheets")
    options = parser.parse_args()
    splits, model = open_data(DataConfig(source=options.data)), genwerk.load(options.run)
    vocabulary = splits.spec.vocabulary
    assert vocabulary is not None
    assert isinstance(model, Denoises)
    net, test = (
        learn(splits.train.under(Text(vocabulary)), vocabulary, options.rounds, options.seed),
        splits.test.under(Text(vocabulary)).batch(),
    )
    assert test.condition is not None
    known = right(net, test.x, hair(test.condition, vocabulary)).float().mean().item()
    print(f"classifier: {known:.3f} of {len(test)} held-out pictures, by chance {1 / len(HAIR):.3f}", flush=True)
    texts = vocabulary.encode([caption for caption in CAPTIONS for _ in range(options.each)])
    figures: dict[str, object] = {"classifier": known}
    for guidance in options.guidance or [model.options.guidance]:
        start = time.process_time()
        x = tasks.sample(model, len(texts), texts, {"guidance": guidance}, seed=options.seed, size=60).x
        found = right(net, x, hair(texts, vocabulary)).float()
        by_hair = dict(zip(HAIR, found.view(len(HAIR), -1).mean(1).tolist(), strict=True))
        seconds = time.process_time() - start
        print(
            f"guidance {guidance:g}: {found.mean():.3f} of {len(texts)} in {seconds:.0f} s of processor time", by_hair
        )
        figures[f"guidance {guidance:g}"] = {"right": found.mean().item(), **by_hair}
        if options.out:
            sheet = x.view(len(HAIR), len(EYES), options.each, *x.shape[1:])[:, :, 0].flatten(0, 1)
            options.out.mkdir(parents=True, exist_ok=True)
            origin = {"run": options.run, "guidance": guidance, "seed": options.seed}
            model.spec.modality.write(options.out / f"faces-{guidance:g}", Batch(sheet), origin, Layout(len(EYES)))
    if options.out:
        (options.out / "obedience.json").write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
