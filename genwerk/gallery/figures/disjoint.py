"""Two parallel lines: two distributions that never meet, and what a generator learns from each distance between them.

Example 1 of Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017, arXiv:1701.07875: with Z uniform on [0, 1], the data
are (0, Z) and the generator makes (theta, Z). Their Jensen-Shannon divergence is log 2 for every theta but 0, and their
Wasserstein distance is |theta|. Here the generator's one parameter theta is held still while a discriminator is trained
against it, and the gradient that theta then receives is read off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import torch
from torch import Tensor, nn

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.gan import GAN, GANConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.nn.adversarial import MLPConfig
from genwerk.nn.adversarial.objectives import Minimax, Wasserstein
from genwerk.training.settings import OptimConfig, TrainConfig

PLAIN = GANConfig(
    network=MLPConfig(width=64, layers=2), latent=1, prior="uniform", norm="none", objective=Minimax(), critic_steps=10
)
CONFIGS = {
    "minimax GAN": PLAIN,
    "WGAN-GP": replace(PLAIN, objective=Wasserstein(), gradient_penalty=10.0),
}
COLOURS = {"minimax GAN": paper.RED, "WGAN-GP": paper.BLUE}
THETAS = (-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0)
SHOWN = 0.5
"""The theta at which discriminator and critic are drawn."""
ROUNDS, QUICK = 40, 8


class Line(nn.Module):
    """z in [-1, 1] to the point (theta, z), in the units of data whose second column is standardised."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.cat([self.theta.expand_as(z), 3**0.5 * z], 1)


@dataclass(frozen=True)
class Reading:
    """What a trained discriminator tells of one theta."""

    gradient: float
    """d loss / d theta."""
    score: Tensor
    """Mean score along x, for the points of :data:`ALONG`."""


ALONG = torch.linspace(-0.75, 1.25, 201)


def jensen_shannon(theta: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats of lines so far apart."""
    return torch.where(theta == 0, 0.0, log(2.0))


def wasserstein(theta: Tensor) -> Tensor:
    """Wasserstein distance of lines so far apart, in their own units."""
    return theta.abs()


def line(n: int, seed: int) -> Dataset:
    """``n`` points (0, Z)."""
    z = torch.rand(n, generator=torch.Generator().manual_seed(seed))
    return Dataset(x=torch.stack([torch.zeros(n), z], 1), spec=DataSpec(kind="table", shape=(2,), columns=("x", "y")))


def read(config: GANConfig, theta: float, seed: int, rounds: int) -> Reading:
    """What is to be read after ``rounds`` rounds of discriminator's steps alone."""
    data = line(4096, seed)
    optim = {"discriminator": OptimConfig(lr=1e-3, betas=(0.5, 0.9)), "generator": OptimConfig(lr=0.0)}
    trainer = paper.trainer(config, data, TrainConfig(rounds=rounds, batch_size=256, optim=optim), seed)
    model = trainer.model
    assert isinstance(model, GAN)
    own = model.generator = Line(theta)
    model = type(trainer)(model, data, trainer.settings).fit()  # once more, with this generator
    assert isinstance(model, GAN)
    z = torch.linspace(-0.99, 0.99, 100)[:, None]
    loss, _ = model.generator_loss(z, None, None)
    (gradient,) = torch.autograd.grad(loss, own.theta)
    points = torch.cartesian_prod(ALONG, torch.linspace(0.05, 0.95, 10))
    return Reading(gradient.item(), model.judge(points).view(len(ALONG), -1).mean(1))


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """Distances and their gradients over theta, and what lies behind them."""
    thetas, rounds = ((-SHOWN, SHOWN), QUICK) if quick else (THETAS, ROUNDS)
    readings: dict[str, dict[float, Reading]] = {}
    for name, config in CONFIGS.items():
        yield f"training the {name}'s discriminator against {len(thetas)} generators that stand still"
        readings[name] = {theta: read(config, theta, seed, rounds) for theta in thetas}
    yield picture(out / "gan-disjoint.png", readings, {"figure": "disjoint", "seed": seed, "rounds": rounds})
    yield {
        f"{name}: {what} |gradient|": pick(abs(r.gradient) for r in by_theta.values())
        for name, by_theta in readings.items()
        for what, pick in (("least", min), ("greatest", max))
    }


def picture(path: Path, readings: dict[str, dict[float, Reading]], origin: dict[str, object]) -> Path:
    """Three panels: distances, discriminator and critic, gradients."""
    with paper.letters():
        figure = paper.canvas(11.5, 3.9)
        left, middle, right = figure.subplots(1, 3)
        theta = torch.linspace(-1.1, 1.1, 221)
        left.plot(theta, wasserstein(theta), color=paper.BLUE, label="Wasserstein distance, $|\\theta|$")
        for half in (theta[theta < -1e-6], theta[theta > 1e-6]):
            left.plot(half, jensen_shannon(half), color=paper.RED)
        left.plot([], [], color=paper.RED, label="Jensen-Shannon, $\\log 2$ nats")
        left.plot([0], [log(2)], "o", color=paper.RED, fillstyle="none")
        left.plot([0], [0], "o", color=paper.RED)
        left.set(title="how far apart are the lines?", xlabel="$\\theta$, distance of the lines", ylim=(-0.05, 1.45))
        left.legend(loc="upper center")
        plain, critic = (readings[name][SHOWN].score for name in CONFIGS)
        middle.axvline(0, ymax=0.74, color=paper.BLACK, linestyle=":", linewidth=1.2)
        middle.axvline(SHOWN, ymax=0.74, color=paper.GREEN, linewidth=1.2)
        middle.text(-0.03, 0.05, "data", ha="right", color=paper.BLACK)
        middle.text(SHOWN + 0.03, 1.3, "samples", color=paper.GREEN)
        middle.plot(ALONG, plain.sigmoid(), color=paper.RED, label="discriminator, $D$")
        at_data = critic[(ALONG - 0).abs().argmin()]
        middle.plot(ALONG, critic - at_data + 1, color=paper.BLUE, label="critic, $f$ (moved to 1 at the data)")
        middle.set(title=f"what they say along $x$, at $\\theta$ = {SHOWN}", xlabel="$x$", ylim=(-0.1, 2.35))
        middle.legend(loc="upper right")
        right.axhline(0, color=paper.GREY, linewidth=0.8)
        for half in (theta[theta < -1e-6], theta[theta > 1e-6]):
            right.plot(half, half.sign(), color=paper.GREY, linestyle="--", linewidth=1.2)
        right.plot([], [], color=paper.GREY, linestyle="--", linewidth=1.2, label="of $|\\theta|$")
        for name, marker in zip(CONFIGS, "so", strict=True):
            gradients = [r.gradient for r in readings[name].values()]
            right.plot(list(readings[name]), gradients, marker, color=COLOURS[name], label=f"through the {name}")
        right.set(title="gradient that $\\theta$ receives", xlabel="$\\theta$", ylim=(-1.6, 1.6))
        right.legend(loc="center left", bbox_to_anchor=(0, 0.68))
        return paper.write(figure, path, origin)
