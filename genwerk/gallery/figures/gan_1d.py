"""A GAN in one dimension, where everything it does can be seen.

After figure 1 of Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661: the densities of data and
samples, the discriminator, and the lines along which z is mapped to x; proposition 1 gives the best discriminator,
D*(x) = p_data(x) / (p_data(x) + p_g(x)), which is drawn behind the trained one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.adversarial import AdversarialModel
from genwerk.families.gan import GANConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.nn.adversarial import MLPConfig
from genwerk.training.events import RoundDone
from genwerk.training.settings import OptimConfig, TrainConfig

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WEIGHT, MEAN, STD = torch.tensor([0.6, 0.4]), torch.tensor([-1.2, 1.4]), torch.tensor([0.5, 0.35])
"""The data: two Gaussians on a line."""
EDGES = torch.linspace(-4, 4, 801)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
STEP = 0.01
"""Bins in which samples are counted, and their width."""
BLUR = 0.06
"""Standard deviation of the kernel that makes a density of the counts."""
CONFIG = GANConfig(
    network=MLPConfig(width=64, layers=2), latent=1, prior="uniform", norm="none", critic_steps=3, r1=0.05
)
OPTIM = OptimConfig(lr=1e-3, betas=(0.5, 0.9), schedule="linear", final=0.05)
ROUNDS, QUICK = 1500, 60


@dataclass(frozen=True)
class Snapshot:
    """What stands at one round, over :data:`MIDDLES`."""

    round: int
    fake: Tensor
    """p_g, blurred by :data:`BLUR`."""
    judged: Tensor
    """D(x)."""
    way: tuple[Tensor, Tensor]
    """Evenly spaced z in [-1, 1] and where each goes."""

    @property
    def variation(self) -> float:
        """Total variation of p_g from p_data, in [0, 1]."""
        return 0.5 * (self.fake - density(MIDDLES)).abs().sum().item() * STEP

    @property
    def best(self) -> Tensor:
        """D*(x)."""
        return best_discriminator(density(MIDDLES), self.fake)

    @property
    def error(self) -> float:
        """Mean |D - D*| over data and samples alike."""
        return 0.5 * ((self.judged - self.best).abs() * (density(MIDDLES) + self.fake)).sum().item() * STEP


def density(x: Tensor) -> Tensor:
    """p_data at points with shape (n,)."""
    parts = torch.exp(-0.5 * ((x[:, None] - MEAN) / STD).square()) / (STD * (2 * pi) ** 0.5)
    mixed: Tensor = (WEIGHT * parts).sum(1)
    return mixed


def best_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Proposition 1, from two densities; one half where there is neither."""
    return (real + 1e-9) / (real + fake + 2e-9)


def examples(n: int, seed: int) -> Dataset:
    """``n`` points of the data, as a table of one column."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.multinomial(WEIGHT, n, replacement=True, generator=generator)
    x = MEAN[which] + STD[which] * torch.randn(n, generator=generator)
    return Dataset(x=x[:, None], spec=DataSpec(kind="table", shape=(1,), columns=("x",)))


@torch.no_grad()
def snapshot(model: AdversarialModel, round: int) -> Snapshot:
    """What ``model`` does at ``round``, its density from 100,000 evenly spaced z."""
    z = (2 * torch.arange(100_000) + 1) / 100_000 - 1
    counts = torch.histc(model.decode(z[:, None])[:, 0].float(), len(MIDDLES), -4, 4) / (len(z) * STEP)
    kernel = torch.exp(-0.5 * (torch.arange(-24, 25) * STEP / BLUR).square())
    fake = conv1d(counts.view(1, 1, -1), (kernel / kernel.sum()).view(1, 1, -1), padding=24).flatten()
    few = torch.linspace(-0.98, 0.98, 33)
    return Snapshot(round, fake, model.judge(MIDDLES[:, None]).sigmoid(), (few, model.decode(few[:, None])[:, 0]))


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """A sheet of six rounds, and an animation."""
    rounds, frames_wanted = (QUICK, 8) if quick else (ROUNDS, 40)
    shown = sorted({round(rounds ** (i / frames_wanted)) for i in range(frames_wanted + 1)})
    wanted = [rounds * share for share in (1 / 60, 1 / 20, 1 / 8, 1 / 3, 1)]
    sheet = [0, *(shown[torch.tensor(shown).sub(r).abs().argmin()] for r in wanted)]
    optim = {"discriminator": OPTIM, "generator": OptimConfig(lr=OPTIM.lr / 2, betas=OPTIM.betas, schedule="linear")}
    data = examples(20_000, seed)
    trainer = paper.trainer(CONFIG, data, TrainConfig(rounds=rounds, batch_size=256, optim=optim), seed)
    assert isinstance(trainer.model, AdversarialModel)
    trainer.model.standardise.fit(data.x)  # as the first stage will, so that the start can be shown
    yield f"training a GAN in one dimension for {rounds} rounds"
    shots = [snapshot(trainer.model, 0)]
    for event in trainer:
        if isinstance(event, RoundDone) and event.round in shown:
            shots.append(snapshot(trainer.model, event.round))
    to = shots[-1].way[1]
    side = 1 if to[-1] > to[0] else -1  # which end of z's axis stands on the left; z is symmetric
    origin = {"figure": "gan-1d", "seed": seed, "rounds": rounds}
    with paper.letters():
        figure = paper.canvas(11, 6.4)
        panels = figure.subplots(2, 3, sharex=True, sharey=True).flat
        chosen = {s.round: s for s in shots}
        for axes, r in zip(panels, sheet, strict=True):
            panel(axes, chosen[r], side)
        figure.supylabel("density per unit of $x$, or probability of being data", fontsize=10)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=11)
        yield paper.write(figure, out / "gan-1d.png", origin)
        frames = []
        for s in [*shots[:-1:4], shots[-1]]:  # every fourth, so that the file stays below 200 kB
            figure = paper.canvas(6.4, 4.6)
            axes = figure.subplots()
            panel(axes, s, side)
            axes.legend(loc="upper right", fontsize=8, ncols=2)
            frames.append(paper.frame(figure))
        yield paper.animate(frames, out / "gan-1d.gif", seconds=0.48)
    first, last = shots[0], shots[-1]
    yield {
        "total variation at the start": first.variation,
        "total variation at the end": last.variation,
        "mean |D - D*| at the start": first.error,
        "mean |D - D*| at the end": last.error,
        "mean D at the end": float((last.judged * last.fake).sum() * STEP),
    }


def panel(axes: Axes, shot: Snapshot, side: int) -> None:
    """Densities and discriminators above (D* where there are examples), and below them the lines from z to x."""
    x = MIDDLES.numpy()
    axes.fill_between(x, 0, shot.fake.numpy(), color=paper.GREEN, alpha=0.15, linewidth=0)
    axes.plot(x, density(MIDDLES).numpy(), color=paper.BLACK, linestyle=":", label="data, $p_{data}$")
    axes.plot(x, shot.fake.numpy(), color=paper.GREEN, label="samples, $p_g$")
    axes.plot(
        x, shot.best.numpy(), color=paper.ORANGE, linewidth=1.2, linestyle="--", label="best discriminator, $D^*$"
    )
    axes.plot(x, shot.judged.numpy(), color=paper.BLUE, label="discriminator, $D$")
    upper, lower = -0.1, -0.5
    axes.hlines([upper, lower], -3, 3, color=paper.GREY, linewidth=0.8)
    z, to = (t.numpy() for t in shot.way)
    for a, b in zip(2.6 * side * z, to, strict=True):
        axes.annotate(
            "",
            (b, upper),
            (a, lower),
            arrowprops={"arrowstyle": "->", "color": paper.GREY, "lw": 0.7, "shrinkB": 0, "shrinkA": 0},
        )
    axes.text(-3.15, upper, "$x$", ha="right", va="center")
    axes.text(-3.15, lower, "$z$", ha="right", va="center")
    axes.set(xlim=(-3.5, 3.2), ylim=(-0.56, 1.25), yticks=[0, 0.5, 1], xticks=range(-3, 4))
    axes.set_title(f"round {shot.round:,}    total variation {shot.variation:.2f}")
