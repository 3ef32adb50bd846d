"""Does the critic's loss tell how good the samples are?

After figures 3 and 4 of Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017, arXiv:1701.07875: the Wasserstein distance
that a critic estimates follows the quality of the samples; the Jensen-Shannon divergence that a discriminator bounds
does not. Quality is measured here by the Fréchet distance between pixels of samples and of held-out digits. Both games
have fully connected networks, with which the plain one does badly, as in the paper's figure 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import torch

from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.families.gan import GAN, GANConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.metrics.frechet import frechet_distance
from genwerk.nn.adversarial import MLPConfig
from genwerk.recipes import find
from genwerk.training.events import RoundDone
from genwerk.training.settings import Recipe

RECIPES = {"WGAN-GP": "wgan-gp", "plain GAN": "dcgan"}
COLOURS = {"WGAN-GP": paper.BLUE, "plain GAN": paper.RED}
AXES = {
    "WGAN-GP": "estimated Wasserstein distance",
    "plain GAN": "bound of Jensen-Shannon (nats)",
}
ROUNDS, QUICK = {"WGAN-GP": 600, "plain GAN": 1200}, 20
"""Rounds; one of WGAN-GP has five steps of the critic."""
RATES = {"WGAN-GP": 5e-4, "plain GAN": 2e-4}
"""Adam's learning rate of both players (that of the recipe dcgan; five times that of wgan-gp, to be done sooner)."""
POINTS = 30
"""How often both are read; an estimate is the mean over the rounds since the last reading."""


@dataclass(frozen=True)
class Curve:
    """What was read in one training."""

    rounds: list[int]
    estimate: list[float]
    distance: list[float]
    """Fréchet distance of samples from held-out data, in squared pixels."""

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation of estimate and distance, in [-1, 1]."""
        ranks = torch.tensor([self.estimate, self.distance]).argsort(1).argsort(1).double()
        return torch.corrcoef(ranks)[0, 1].item()


def recipe(name: str, spec: DataSpec, rounds: int) -> Recipe:
    """The recipe behind a name, at its rate in :data:`RATES`."""
    recipe = find(RECIPES[name]).make(spec)
    assert isinstance(recipe.model, GANConfig)
    model = replace(recipe.model, network=MLPConfig(width=256), latent=64, norm="none")
    optim = {player: replace(o, lr=RATES[name]) for player, o in recipe.train.optim.items()}
    return replace(recipe, model=model, train=replace(recipe.train, rounds=rounds, batch_size=64, optim=optim, ema={}))


def follow(name: str, rounds: int, seed: int) -> Curve:
    """Train and read the estimate and the distance at :data:`POINTS` rounds."""
    splits = open_data(DataConfig(source="digits"))
    setting = recipe(name, splits.spec, rounds)
    trainer = paper.trainer(setting.model, splits.train, setting.train, seed)
    held_out = splits.test.batch().x.flatten(1)
    curve, since = Curve([], [], []), []
    for event in trainer:
        if not isinstance(event, RoundDone):
            continue
        metrics = event.metrics
        # minus the critic's loss; and the discriminator's, turned into the bound (GAN paper, equation 6)
        since.append(metrics["score gap"] if name == "WGAN-GP" else log(2) - metrics["discriminator loss"] / 2)
        if event.round % max(1, rounds // POINTS) == 0:
            with trainer.averaged() as model:
                assert isinstance(model, GAN)
                fake = model.sample(1000, seed=seed).flatten(1)
            curve.rounds.append(event.round)
            curve.estimate.append(torch.stack(since).mean().item())
            curve.distance.append(frechet_distance(fake, held_out))
            since = []
    return curve


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """Both curves over training, and each estimate against the distance."""
    curves = {}
    for name in RECIPES:
        rounds = QUICK if quick else ROUNDS[name]
        yield f"training the recipe {RECIPES[name]} on digits for {rounds} rounds"
        curves[name] = follow(name, rounds, seed)
    yield picture(out / "gan-critic-meter.png", curves, {"figure": "critic-meter", "seed": seed})
    yield {f"{name}: rank correlation": curve.correlation for name, curve in curves.items()} | {
        f"{name}: {which} Fréchet distance": curve.distance[i]
        for name, curve in curves.items()
        for which, i in (("first", 0), ("last", -1))
    }


def picture(path: Path, curves: dict[str, Curve], origin: dict[str, object]) -> Path:
    """A column a model: above, estimate and distance over rounds; below, one against the other."""
    with paper.letters():
        figure = paper.canvas(9.5, 6.4)
        panels = figure.subplots(2, 2)
        for (name, curve), (above, below) in zip(curves.items(), panels.T, strict=True):
            colour = COLOURS[name]
            above.plot(curve.rounds, curve.estimate, color=colour)
            above.set(xlabel="round", ylim=(0, None))
            above.set_ylabel(AXES[name], color=colour)
            above.set_title(f"{name} (recipe {RECIPES[name]}, fully connected)")
            other = above.twinx()
            other.plot(curve.rounds, curve.distance, color=paper.BLACK, linestyle=":")
            other.set(ylim=(0, None))
            other.set_ylabel("Fréchet distance of pixels (dotted)")
            other.spines["right"].set_visible(True)
            dots = below.scatter(curve.estimate, curve.distance, c=curve.rounds, cmap="viridis", s=30)
            figure.colorbar(dots, ax=below, label="round")
            below.set(xlabel=AXES[name], ylabel="Fréchet distance of pixels", ylim=(0, None))
            below.set_title(f"rank correlation {curve.correlation:+.2f}")
        return paper.write(figure, path, origin)
