"""Between a half moon and a full one, where the data have a gap: an autoencoder and a VAE.

The lecture's example (Hung-yi Lee, Machine Learning, 2016): an autoencoder knows the codes of what it has seen and
nothing of what lies between; the noise of a VAE's codes makes neighbours overlap, so that what lies between is to look
like both. All moons of the data are nearly half or nearly full. What both models decode halfway is compared with the
nearest moon that can be drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor
from torch.nn.functional import pad

from genwerk.core.model import Config
from genwerk.core.spec import Batch, DataSpec
from genwerk.data import phases
from genwerk.data.dataset import Dataset
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.vae import VAEConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.nn.coder import MLPCoder
from genwerk.tasks import interpolate
from genwerk.training.settings import OptimConfig, TrainConfig

NETWORK = MLPCoder(widths=(256, 64))
CONFIGS: dict[str, Config] = {
    "autoencoder": AutoencoderConfig(network=NETWORK, latent=2, loss="cross-entropy"),
    "VAE": VAEConfig(network=NETWORK, latent=2),
}
"""The same network, loss of pixels and size of code."""
COLOURS = {"autoencoder": paper.RED, "VAE": paper.BLUE}
BANDS = ((0.45, 0.55), (0.95, 1.0))
"""Lit fractions that the data have."""
EXAMPLES, ROUNDS, SEEDS = 2000, 1200, 5
QUICK = 20
STEPS = 9
"""Pictures of a way, both ends included."""
PAIRS = 50
"""Ways that are measured."""


@dataclass(frozen=True)
class Way:
    """What one model makes of the way from half to full."""

    pictures: Tensor
    """The first way, with shape (steps, 1, h, w)."""
    residual: Tensor
    """Root mean square distance to the nearest moon with shape (steps,), a mean over all pairs."""


def moons(fraction: Tensor, generator: torch.Generator) -> Tensor:
    """A moon of every lit ``fraction``, in a random place and size."""
    dx, dy, size = torch.rand(3, len(fraction), generator=generator)
    low, high = phases.RADIUS
    return phases.draw(fraction, (2 * dx - 1) * phases.SHIFT, (2 * dy - 1) * phases.SHIFT, low + (high - low) * size)


def gapped(seed: int) -> Dataset:
    """Moons whose lit fractions lie in :data:`BANDS`, half of them in either."""
    generator = torch.Generator().manual_seed(seed)
    band = torch.tensor(BANDS)[torch.arange(EXAMPLES) % len(BANDS)]
    fraction = band[:, 0] + (band[:, 1] - band[:, 0]) * torch.rand(EXAMPLES, generator=generator)
    x = (255 * moons(fraction, generator)).round().to(torch.uint8)
    return Dataset(x=x, spec=DataSpec(kind="image", shape=(1, phases.SIZE, phases.SIZE)))


def walk(config: Config, seed: int, rounds: int, pairs: int) -> Way:
    """Train with ``seed`` and walk."""
    optim = {"model": OptimConfig(lr=2e-3, schedule="cosine")}
    model = paper.trainer(config, gapped(seed), TrainConfig(rounds=rounds, optim=optim), seed).fit()
    generator = torch.Generator().manual_seed(0)
    half, full = (Batch(moons(torch.full((pairs,), lit), generator)) for lit in (0.5, 1.0))
    way = interpolate(model, half, full, steps=STEPS)
    return Way(way[0], phases.fraction(way.flatten(0, 1)).residual.view(pairs, STEPS).mean(0))


def cross_fade() -> Tensor:
    """The residual along a cross-fade of a half and a full moon, with shape (steps,)."""
    share = torch.linspace(0, 1, STEPS)[:, None, None, None]
    return phases.fraction((1 - share) * phases.draw(0.5) + share * phases.draw(1.0)).residual


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """The ways of all seeds, and the pictures of the first."""
    rounds, seeds, pairs = (QUICK, 2, 2) if quick else (ROUNDS, SEEDS, PAIRS)
    ways: dict[str, list[Way]] = {}
    for name, config in CONFIGS.items():
        yield f"training {seeds} {name}s on moons that are nearly half or nearly full"
        ways[name] = [walk(config, seed + i, rounds, pairs) for i in range(seeds)]
    fade = cross_fade()
    yield picture(out / "gap.png", ways, fade, {"figure": "gap", "seed": seed, "seeds": seeds, "rounds": rounds})
    halfway = {name: [way.residual[STEPS // 2].item() for way in found] for name, found in ways.items()}
    wins = sum(a > b for a, b in zip(halfway["autoencoder"], halfway["VAE"], strict=True))
    yield {
        **{f"{name}: residual halfway, mean of {seeds} seeds": mean(values) for name, values in halfway.items()},
        **{f"{name}: its standard deviation": stdev(values) for name, values in halfway.items()},
        "cross-fade: residual halfway": fade[STEPS // 2].item(),
        "seeds in which the VAE's is the smaller": wins,
    }


def picture(path: Path, ways: Mapping[str, Sequence[Way]], fade: Tensor, origin: dict[str, object]) -> Path:
    """The first way of each model in pictures, and the residuals along all of them."""
    with paper.letters():
        figure = paper.canvas(12, 3.8)
        left, right = figure.subfigures(1, 2, width_ratios=(1.9, 1), squeeze=False).flat
        for axes, (name, found) in zip(left.subplots(len(ways)), ways.items(), strict=True):
            strip = pad(found[0].pictures, (1, 1), value=1.0).squeeze(1).movedim(0, 1).flatten(1)
            axes.imshow(strip, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            axes.set_title(f"{name}, from half to full", color=COLOURS[name])
        axes = right.subplots()
        place = torch.linspace(0, 1, STEPS)
        axes.plot(place, fade, color=paper.GREY, linestyle=":", label="cross-fade")
        for name, found in ways.items():
            for i, way in enumerate(found):
                axes.plot(
                    place, way.residual, color=COLOURS[name], alpha=0.7, label=name if i == 0 else None, linewidth=1.2
                )
        axes.set(xlabel="way from half to full", ylabel="distance from the nearest moon", ylim=(0, None))
        axes.set_title(f"{len(found)} trainings each")
        axes.legend()
        return paper.write(figure, path, origin)
