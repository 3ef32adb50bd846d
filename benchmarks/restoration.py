"""Trained image-to-image models against what needs no training, on the same held-out images and the same sources.

    pip install 'genwerk[photo]' scikit-image opencv-python-headless                  # the last for Telea alone
    python benchmarks/restoration.py --data PATH/cifar --tasks "superres x2" inpaint --seeds 0 1 --out runs/restoration

Every task trains its models (a run a seed, kept in --out and not trained again) and measures them beside the source as
it is and the usual filters: PSNR in dB over all channels (RGB, or grey), SSIM, both a mean over images, and the kernel
distance of EfficientNet-Lite0's features to those of the held-out images (plus or minus 1.96 standard errors; 0 where
nothing is to be told apart). --sheet writes the first images: originals, sources, and a row a method.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage.restoration import denoise_nl_means, inpaint_biharmonic
from torch import Tensor
from torch.nn.functional import interpolate

import genwerk
from genwerk.core.abilities import Completes, Denoises, Translates
from genwerk.core.batching import in_batches
from genwerk.core.degradation import SourceImage
from genwerk.core.layout import Layout
from genwerk.core.model import Model, evaluating
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, Splits, open_data
from genwerk.metrics.efficientnet import efficientnet
from genwerk.metrics.image_quality import psnr, ssim
from genwerk.metrics.kid import kernel_distance

Filter = Callable[[Tensor, Tensor], Tensor]
"""Images of a size from their sources, and from these as they are shown."""
SIGMA = 25 / 255
"""Standard deviation of the noise to take away."""
STRENGTH = 0.3
"""How far SDEdit noises a source."""


def each(function: Callable[[Any], Any]) -> Filter:
    """``function`` of every shown source, an array with shape (h, w, c)."""

    def all_of(_: Tensor, shown: Tensor) -> Tensor:
        made = [np.atleast_3d(function(image.movedim(0, -1).double().numpy())) for image in shown]  # grey is squeezed
        return torch.from_numpy(np.stack(made)).movedim(-1, 1).float().clamp(0, 1)

    return all_of


def biharmonic(source: Tensor, _: Tensor) -> Tensor:
    """Chui & Mhaskar, 2010, as in scikit-image."""
    images, masks = source[:, :-1].movedim(1, -1).double().numpy(), (source[:, -1] < 0.5).numpy()
    made = [inpaint_biharmonic(x, mask, channel_axis=-1) for x, mask in zip(images, masks, strict=True)]
    return torch.from_numpy(np.stack(made)).movedim(-1, 1).float().clamp(0, 1)


def telea(source: Tensor, _: Tensor) -> Tensor:
    """Telea, An Image Inpainting Technique Based on the Fast Marching Method, 2004, as in OpenCV, of 8 bits."""
    import cv2

    images = source[:, :-1].movedim(1, -1).mul(255).round().byte().numpy()
    masks = (source[:, -1] < 0.5).byte().numpy()
    made = [
        np.atleast_3d(cv2.inpaint(x.squeeze(), m, 3, cv2.INPAINT_TELEA)) for x, m in zip(images, masks, strict=True)
    ]
    return torch.from_numpy(np.stack(made)).movedim(-1, 1).float() / 255


def nearest(source: Tensor, shown: Tensor) -> Tensor:
    return interpolate(source, shown.shape[2:], mode="nearest")


@dataclass(frozen=True)
class Task:
    """A degradation, what is trained to undo it, and what needs no training."""

    recipes: Mapping[str, tuple[str, dict[str, object]]]
    """Recipe and settings by the method's name."""
    filters: Mapping[str, Filter] = field(default_factory=dict)


NARROW: dict[str, object] = {"model.diffusion.network.widths": (32, 64)}
"""Half the recipe's widths, for rounds enough on one thread."""


def diffusion(settings: dict[str, object]) -> dict[str, tuple[str, dict[str, object]]]:
    """Palette's way, which draws the image, and SRDiff's, which draws the difference from the source."""
    settings = {**NARROW, **settings}
    return {"palette": ("palette", settings), "residual palette": ("palette", {**settings, "model.residual": True})}


def enlargement(factor: int) -> Task:
    settings: dict[str, object] = {"model.degradation": "downscale", "model.degradation.factor": factor}
    return Task(
        {
            "superres": ("superres", {"model.degradation.factor": factor}),
            **diffusion(settings),
        },
        {"source, nearest": nearest, "bicubic": lambda _, shown: shown},
    )


NOISE: dict[str, object] = {"model.degradation.sigma": (SIGMA, SIGMA)}
COPY: Filter = lambda _, shown: shown  # noqa: E731
TASKS = {
    "superres x2": enlargement(2),
    "superres x4": enlargement(4),
    "denoise": Task(
        {"denoise": ("denoise", NOISE), **diffusion({"model.degradation": "noise", **NOISE})},
        {
            "source": COPY,
            "median of 3x3": each(lambda x: ndimage.median_filter(x, (3, 3, 1))),
            "non-local means": each(
                lambda x: denoise_nl_means(x, 5, 6, 0.8 * SIGMA, sigma=SIGMA, fast_mode=True, channel_axis=-1)
            ),
        },
    ),
    "inpaint": Task(
        {
            "inpaint": ("inpaint", {}),
            "regression": ("inpaint", {"model.adversarial": 0.0, "model.l1": 1.0}),
            **diffusion({}),
        },
        {"source": COPY, "biharmonic": biharmonic, **({"Telea": telea} if find_spec("cv2") else {})},
    ),
    "colourise": Task(
        {
            "colourise": ("colourise", {}),
            "regression": ("colourise", {"model.adversarial": 0.0, "model.l1": 1.0}),
            **diffusion({"model.degradation": "grey"}),
        },
        {"source": COPY},
    ),
}


def trained(
    recipe: str, data: Splits, folder: Path, rounds: int, batch: int, seed: int, settings: dict[str, object]
) -> tuple[Model, float]:
    """The model of a run in ``folder``, which is trained unless it is there, and processor seconds of training."""
    spent = folder / "seconds.json"
    if not spent.exists():
        seconds = train(recipe, data, folder, rounds, batch, seed, settings)
        spent.write_text(json.dumps(seconds))
    return genwerk.load(folder), json.loads(spent.read_text())


def train(
    recipe: str, data: Splits, folder: Path, rounds: int, batch: int, seed: int, settings: dict[str, object]
) -> float:
    """Train a run in ``folder``; processor seconds."""
    start = time.process_time()
    quiet: dict[str, object] = {"sample_every": 0, "evaluate_every": 0, "save_every": 0, **settings}
    genwerk.train(
        recipe, data, out=folder, rounds=rounds, batch_size=batch, seed=seed, evaluate=False, progress=False, **quiet
    )
    return time.process_time() - start


def lasting(seconds: float, recipe: str, data: Splits, batch: int, settings: dict[str, object]) -> int:
    """Rounds that take about so many processor seconds, by two short trainings after one that warms up."""
    short, longer = 5, 25
    with TemporaryDirectory() as folder:
        lengths = enumerate((short, short, longer))
        _, start, spent = (train(recipe, data, Path(folder) / str(i), n, batch, 0, settings) for i, n in lengths)
    return max(1, round(seconds * (longer - short) / (spent - start)))


def line(method: str, made: Tensor, x: Tensor, features: Tensor, real: Tensor, seconds: float | None) -> str:
    """A row of the table."""
    distance = kernel_distance(features, real, subsets=50)
    decibels, likeness = (measure(made, x).clamp(max=100).mean().item() for measure in (psnr, ssim))
    interval = f"{distance.mean:.3f} ± {1.96 * distance.standard_error:.3f}"
    return f"| {method} | {decibels:.2f} | {likeness:.3f} | {interval} | {'' if seconds is None else round(seconds)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", type=int, help="side in pixels that images are brought to")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", help="of those that are trained; default: all")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--cpu-seconds", type=float, help="of training, the same for each, in place of --rounds")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--images", type=int, default=256, help="held-out images")
    parser.add_argument("--ddpm", help="run of an unconditional DDPM of the same images, for SDEdit and RePaint")
    parser.add_argument("--out", type=Path, default=Path("runs/restoration"))
    parser.add_argument("--sheet", type=Path, help="folder for pictures")
    options = parser.parse_args()
    data = open_data(DataConfig(source=options.data, size=options.size))
    held_out = data.test.subset(options.images)
    x, describe = held_out.batch().x, efficientnet(torch.device("cpu"))
    real = in_batches(describe, x)
    ddpm = genwerk.load(options.ddpm) if options.ddpm else None
    print(f"{data.spec}, {len(data.train):,} training and {len(x)} held-out images", flush=True)
    for name in options.tasks:
        task, rows = TASKS[name], [x[:8]]
        print(f"\n| {name} | PSNR, dB | SSIM | kernel distance | training, CPU s |\n|---|---|---|---|---|", flush=True)

        def tell(method: str, made: Tensor, seconds: float | None = None, shown: list[Tensor] = rows) -> None:
            print(line(method, made, x, in_batches(describe, made), real, seconds), flush=True)
            shown.append(made[:8])

        source = None
        for method, (recipe, settings) in task.recipes.items():
            if options.methods and method not in options.methods:
                continue
            rounds = options.rounds
            if options.cpu_seconds is not None:
                rounds = lasting(options.cpu_seconds, recipe, data, options.batch, settings)
            for seed in options.seeds:
                folder = options.out / f"{name} {method} {seed}".replace(" ", "-")
                model, seconds = trained(recipe, data, folder, rounds, options.batch, seed, settings)
                assert isinstance(model, Translates)
                if source is None:
                    condition = model.condition
                    assert isinstance(condition, SourceImage)
                    source = condition.made(x)
                    shown = model.shown(source)
                    for plain, function in task.filters.items():
                        tell(plain, function(source, shown))
                    if ddpm is not None:
                        with evaluating(ddpm):
                            if name == "inpaint":
                                assert isinstance(ddpm, Completes)
                                tell("RePaint", ddpm.complete(x, source[:, -1:] > 0.5, seed=0).x[:, 0])
                            else:
                                assert isinstance(ddpm, Denoises)
                                tell(f"SDEdit, strength {STRENGTH}", ddpm.sdedit(shown, STRENGTH, seed=0))
                with evaluating(model):
                    tell(f"{method}, {rounds} rounds, seed {seed}", model.translate(source, seed=0), seconds)
        if options.sheet:
            options.sheet.mkdir(parents=True, exist_ok=True)
            sheet = Batch(torch.cat(rows))
            data.spec.modality.write(options.sheet / name.replace(" ", "-"), sheet, {"data": options.data}, Layout(8))


if __name__ == "__main__":
    main()
