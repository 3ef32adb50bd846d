"""`restyle` between two looks of the same things: is the label kept, is the look right, does the way back lead back?

    pip install 'genwerk[photo]'
    python benchmarks/restyle.py --task digits --data PATH/mnist --seeds 0 1 --out runs/restyle
    python benchmarks/restyle.py --task sprites --out runs/restyle

digits: as MNIST has them, and others slanted by half a pixel a row and inverted; slant: slanted alone. sprites: 16
colours, and 16 others. The two sides show different examples. The model sees which side an image is of, and neither
labels nor pairs; the map that made the second side is known and stands in the table. Label kept: a classifier of the
labels, trained on real images of the target side, says the source's label. Kept but for an exchange: the same under
that one-to-one map of labels to labels which makes it greatest. Kernel distance: in the features of that classifier, to
real images of the target side, with 1.96 standard errors. Error: mean absolute difference of pixels in [0, 1] to what
the known map makes of the source (digits alone: which of the colours becomes which, nobody can know). Cycle error: the
same to the source, there and back. --recipe cyclegan: restyle with CycleGAN's terms alone, without distances. --recipe
cut: CUT with restyle's networks, which goes to the second side alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import genwerk
from genwerk.core.layout import Layout
from genwerk.core.model import evaluating
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, Splits, open_data
from genwerk.data.dataset import Dataset
from genwerk.data.sprites import PALETTE
from genwerk.evaluation.extractor import extractor_for
from genwerk.families.two_domains import TwoDomains
from genwerk.metrics.features import Extractor
from genwerk.metrics.kid import kernel_distance

Look = Callable[[Tensor], Tensor]
"""Stored examples to 8-bit images of a side."""
SLANT = (1, 0.5, -7, 0, 1, 0)
"""Coefficients of the affine map, as Pillow takes them."""
NIGHT = (
    (40, 44, 70),
    (10, 8, 18),
    (255, 244, 180),
    (96, 220, 214),
    *((84, 86, 96), (136, 140, 150), (198, 202, 212)),
    *((140, 66, 20), (214, 118, 40), (250, 186, 92)),
    *((18, 84, 104), (36, 146, 168), (120, 214, 226)),
    *((104, 100, 28), (176, 172, 60), (228, 226, 140)),
)
"""Other colours for each of :data:`PALETTE`."""


def slanted(x: Tensor) -> Tensor:
    images = [Image.fromarray(each[0].numpy()) for each in x]
    moved = [
        np.asarray(each.transform(each.size, Image.Transform.AFFINE, SLANT, Image.Resampling.BILINEAR))
        for each in images
    ]
    return 255 - torch.from_numpy(np.stack(moved)).unsqueeze(1)


def night(x: Tensor) -> Tensor:
    day = torch.tensor(PALETTE, dtype=torch.uint8).view(len(PALETTE), 1, 3, 1, 1)
    index = torch.cat([(part == day).all(2).int().argmax(0) for part in x.split(100)])
    return torch.tensor(NIGHT, dtype=torch.uint8)[index].movedim(-1, 1)


TASKS: dict[str, tuple[tuple[str, str], tuple[Look, Look]]] = {
    "digits": (("plain", "slanted"), (lambda x: x, slanted)),
    "slant": (("plain", "slanted"), (lambda x: x, lambda x: 255 - slanted(x))),
    "sprites": (("day", "night"), (lambda x: x, night)),
}
SMALL: dict[str, Any] = {
    "model.network.width": 32,
    "model.network.halvings": 1,
    "model.network.blocks": 3,
    "model.network.kernel": 3,
    "model.network.patch": 2,
    "model.discriminator.width": 32,
    "model.discriminator.halvings": 2,
    "batch_size": 16,
}
"""What makes the networks and batches of `cut` those of `restyle` for digits."""
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "restyle": ("restyle", {}),
    "cyclegan": ("restyle", {"model.identity": 0.5, "model.distance": 0.0}),
    "cut": ("cut", SMALL),
}
"""Recipes and settings by what they are called here."""
LEARNED, JUDGING, HELD_OUT = 3_000, 10_000, 1_000
"""Most examples of each side to train on; for its classifier; and held out."""


def labelled(part: Dataset, rows: slice, look: Look) -> Dataset:
    """The examples of ``rows`` in a ``look``, with their labels."""
    x = look(part.x[rows])
    assert part.condition is not None
    spec = DataSpec(kind="image", shape=tuple(x.shape[1:]), classes=part.spec.classes)
    return Dataset(x=x, spec=spec, condition=part.condition[rows])


def domains(sides: list[Dataset], names: tuple[str, str]) -> Dataset:
    """Both sides as the two classes of a data set."""
    x, label = (
        torch.cat([side.x for side in sides]),
        torch.arange(2).repeat_interleave(torch.tensor([*map(len, sides)])),
    )
    return Dataset(x=x, spec=replace(sides[0].spec, classes=names), condition=label).counted()


def judged(made: Tensor, labels: Tensor, judge: Extractor, real: Tensor) -> tuple[str, str, str]:
    """The share whose label is kept, that under the best exchange of labels, and the kernel distance to features of
    ``real`` images."""
    features = judge(made)
    said = judge.logits(features).argmax(1)
    kept = (said == labels).float()
    n = len(judge.classes)
    counts = torch.bincount(labels * n + said, minlength=n * n).view(n, n)
    exchanged = counts[linear_sum_assignment(counts.numpy(), maximize=True)].sum() / len(labels)
    distance = kernel_distance(features, real, subsets=50)
    share = f"{kept.mean():.3f} ± {(kept.var() / len(kept)).sqrt():.3f}"
    return share, f"{exchanged:.3f}", f"{distance.mean:.3f} ± {1.96 * distance.standard_error:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--recipe", choices=RECIPES, default="restyle")
    parser.add_argument("--data", default="sprites", help="the folder of MNIST")
    parser.add_argument("--size", type=int, help="side of sprites in pixels")
    parser.add_argument("--rounds", type=int, help="default: the recipe's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/restyle"))
    options = parser.parse_args()
    names, looks = TASKS[options.task]
    data = open_data(DataConfig(source=options.data, size=options.size))
    most = min(LEARNED, len(data.train) // 2)
    sides = [labelled(data.train, slice(i * most, (i + 1) * most), look) for i, look in enumerate(looks)]
    tests = [labelled(data.test, slice(HELD_OUT), look) for look in looks]
    both = domains(sides, names)
    splits = Splits(train=both, validation=both, test=domains(tests, names), settings=data.settings)
    judges = []
    for name, look, test in zip(names, looks, tests, strict=True):
        learned = labelled(data.train, slice(-JUDGING, None), look)
        judges.append(
            extractor_for(Splits(train=learned, validation=learned, test=test, settings=data.settings), "classifier")
        )
        print(f"{name}: {judges[-1].describe()}", flush=True)
    x, labels = [test.batch().x for test in tests], tests[0].condition
    assert labels is not None
    real = [
        judge(labelled(data.test, slice(-HELD_OUT, None), look).batch().x)
        for judge, look in zip(judges, looks, strict=True)
    ]
    print(f"{most:,} images of each side to learn from, {len(labels):,} held-out ones, {both.spec}", flush=True)
    print(
        "\n| | label kept | kept but for an exchange | kernel distance | error | cycle error | training, CPU s |\n"
        "|---|---|---|---|---|---|---|",
        flush=True,
    )
    known = options.task != "sprites"

    def tell(method: str, to: int, made: Tensor, cycle: float | None = None, seconds: float | None = None) -> None:
        share, exchanged, distance = judged(made, labels, judges[to], real[to])
        error = f"{(made - x[to]).abs().mean():.3f}" if known else ""
        last = ["" if cycle is None else f"{cycle:.3f}", "" if seconds is None else f"{seconds:.0f}"]
        print(
            f"| to {names[to]}: {method} | {share} | {exchanged} | {distance} | {error} | {' | '.join(last)} |",
            flush=True,
        )

    for to in (1, 0):
        tell("the source as it is", to, x[1 - to], 0.0)
        tell("the known map", to, x[to])
    for seed in options.seeds:
        folder = options.out / f"{options.task}-{options.recipe}-{seed}"
        spent = folder / "seconds.json"
        if not spent.exists():
            start = time.process_time()
            recipe, changes = RECIPES[options.recipe]
            settings = {"sample_every": 0, "evaluate_every": 0, "save_every": 0, **changes}
            settings |= {"rounds": options.rounds, "seed": seed}
            genwerk.train(recipe, splits, out=folder, evaluate=False, progress=False, **settings)
            spent.write_text(json.dumps(time.process_time() - start))
        model, seconds = genwerk.load(folder), json.loads(spent.read_text())
        assert isinstance(model, TwoDomains)
        rows, targets = [], model.targets
        for to in sorted(targets, reverse=True):
            with evaluating(model):
                made, cycle = model.translate(x[1 - to], torch.tensor([to]).expand(len(labels))), None
                if len(targets) == 2:
                    back = model.translate(made, torch.tensor([1 - to]).expand(len(labels)))
                    cycle = (back - x[1 - to]).abs().mean().item()
            rows += [x[1 - to][:10], made[:10]]
            tell(f"`{options.recipe}`, seed {seed}", to, made, cycle, seconds)
        both.spec.modality.write(folder / "sheet", Batch(torch.cat(rows)), {"data": options.data}, Layout(10))


if __name__ == "__main__":
    main()
