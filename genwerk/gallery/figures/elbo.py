"""ELBO = log-likelihood - KL divergence, on a VAE whose likelihood is known.

Kingma & Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114, eq. 1: log p(x) = ELBO + KL(q(z|x) || p(z|x)).
The code is one number, so that log p(x) and the true posterior p(z|x) are integrals along a line, which a fine grid
gives. First q alone is fitted while p stands still: the bound rises up to log p(x), which stays where it is. Then both
are: the bound pulls log p(x) up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import log, pi
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genwerk.core.model import Player, TrainingStream, Turn, Turns
from genwerk.data import DataConfig, Dataset, open_data
from genwerk.families.vae import VAE, VAEConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.nn.coder import MLPCoder
from genwerk.nn.losses import GaussianConfig
from genwerk.training.events import RoundDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONFIG = VAEConfig(network=MLPCoder(widths=(64, 64), activation="silu"), latent=1, likelihood=GaussianConfig())
GRID = torch.linspace(-8, 8, 4001, dtype=torch.float64)
"""Values of the code over which is integrated."""
BOTH, ENCODER, QUICK = 900, 300, 30
"""Rounds in which both are fitted, and in which q alone is."""
BEFORE = 100
"""Rounds that p has been trained for when it stands still."""
POINTS = 500
"""Test examples that are measured on."""


class Parts(VAE):
    """A VAE whose encoder and decoder are players of their own; ``trained`` says which of them learn."""

    trained: Sequence[str] = ("encoder", "decoder")

    def players(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": nn.ModuleList([self.decoder, self.likelihood])}

    def turns(self, stream: TrainingStream, players: Mapping[str, Player], rounds: int = 1) -> Turns:
        batch, u, eps = stream.next_batch(), stream.uniform(*self.spec.shape), stream.normal(1, 1)
        for player in self.trained:
            yield Turn(player, self.objective, batch, u, eps)


@dataclass(frozen=True)
class Reading:
    """Means over the test examples at one round, in nats."""

    round: int
    log_likelihood: float
    """Of log p(x), by integration."""
    elbo: float
    """Of the bound, by integration."""
    kl: float
    """Of KL(q(z|x) || p(z|x)), by integration."""
    posterior: Tensor
    """p(z|x) of the first examples along :data:`GRID`, with shape (examples, grid)."""
    approximation: Tensor
    """q(z|x) likewise."""


@torch.no_grad()
def read(model: VAE, x: Tensor, round: int, shown: int = 3) -> Reading:
    """What is true of ``model``, whose code is one number, at examples ``x`` with shape (n, d), in double precision."""
    model, x = deepcopy(model).double(), x.double()
    step = (GRID[1] - GRID[0]).item()
    observed, log_prior = model.observe(x, torch.zeros_like(x)), -0.5 * (GRID.square() + log(2 * pi))
    mean, log_var = model.posterior(observed)
    log_q = -0.5 * ((GRID - mean).square() / log_var.exp() + log_var + log(2 * pi))
    log_x = model.likelihood.log_prob(model.decoder(GRID[:, None], None), observed[:, None])
    log_joint = log_x + model.standardise.log_det() + log_prior
    log_likelihood = log_joint.logsumexp(1, keepdim=True) + log(step)
    log_posterior = log_joint - log_likelihood
    q = log_q.exp() * step
    return Reading(
        round,
        log_likelihood.mean().item(),
        (q * (log_joint - log_q)).sum(1).mean().item(),
        (q * (log_q - log_posterior)).sum(1).mean().item(),
        log_posterior[:shown].exp(),
        log_q[:shown].exp(),
    )


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """The curves of both phases, and the posteriors at three rounds."""
    before, encoder, both = (QUICK, QUICK, QUICK) if quick else (BEFORE, ENCODER, BOTH)
    splits = open_data(DataConfig(source="parabola", seed=seed))
    x = splits.test.batch(slice(20 if quick else POINTS)).x
    torch.manual_seed(seed)
    model, fresh = Parts(CONFIG, splits.spec), Parts(CONFIG, splits.spec)
    yield f"training p and q for {before} rounds, q alone from anew for {encoder}, then both for {both}"
    list(train(model, splits.train, ("encoder", "decoder"), before, seed, x))
    model.encoder.load_state_dict(fresh.encoder.state_dict())
    alone = list(train(model, splits.train, ("encoder",), encoder, seed + 1, x))
    together = list(train(model, splits.train, ("encoder", "decoder"), both, seed + 2, x))
    yield picture(
        out / "elbo.png", alone, together, {"figure": "elbo", "seed": seed, "rounds": (before, encoder, both)}
    )
    yield {
        "log p(x) when q begins": alone[0].log_likelihood,
        "log p(x) when q alone has been fitted": alone[-1].log_likelihood,
        "log p(x) when both have been fitted": together[-1].log_likelihood,
        "ELBO when q begins": alone[0].elbo,
        "ELBO when q alone has been fitted": alone[-1].elbo,
        "ELBO when both have been fitted": together[-1].elbo,
        "greatest |log p(x) - ELBO - KL|": max(abs(r.log_likelihood - r.elbo - r.kl) for r in (*alone, *together)),
    }


def train(model: Parts, data: Dataset, trained: Sequence[str], rounds: int, seed: int, x: Tensor) -> Iterator[Reading]:
    """Fit the parts that are to be ``trained``, and read before the first round and at most 40 times on the way."""
    model.trained = trained
    optim = dict.fromkeys(model.players(), OptimConfig(lr=2e-3))
    settings = TrainConfig(
        rounds=rounds, batch_size=256, optim=optim, seed=seed, sample_every=0, evaluate_every=0, save_every=0
    )
    yield read(model, x, 0)
    for event in Trainer(model, data, settings):
        if isinstance(event, RoundDone) and (event.round % max(10, rounds // 40) == 0 or event.round == rounds):
            yield read(model, x, event.round)


def picture(path: Path, alone: Sequence[Reading], together: Sequence[Reading], origin: dict[str, object]) -> Path:
    """Log-likelihood and bound over the rounds, and below them posterior and approximation at three of these."""
    with paper.letters():
        figure = paper.canvas(11, 6.8)
        places = figure.subplot_mosaic([["rounds"] * 3, ["a", "b", "c"]], height_ratios=(1.5, 1))
        switch, axes = alone[-1].round, places["rounds"]
        every = [*alone, *together]
        rounds = [*(r.round for r in alone), *(switch + r.round for r in together)]
        exact, bound = [r.log_likelihood for r in every], [r.elbo for r in every]
        axes.fill_between(rounds, bound, exact, color=paper.ORANGE, alpha=0.3, linewidth=0)
        axes.plot([], [], color=paper.ORANGE, alpha=0.3, linewidth=8, label="$KL(q(z|x)\\,||\\,p(z|x))$")
        axes.plot(rounds, exact, color=paper.BLACK, label="$\\log p(x)$, by integration")
        axes.plot(rounds, bound, color=paper.BLUE, label="ELBO")
        axes.axvline(switch, color=paper.GREY, linestyle=":", linewidth=1.2)
        low = exact[0] - 0.6 * (max(exact) - exact[0]) - 0.2
        axes.annotate(f"begins at {bound[0]:.2f}", (rounds[3], low + 0.06), color=paper.BLUE)
        axes.text(0.5 * switch, low + 0.02, "$q$ alone is fitted", ha="center", color=paper.GREY)
        axes.text(1.03 * switch, low + 0.02, "$q$ and $p$ are fitted", color=paper.GREY)
        axes.set(xlabel="round", ylabel="nats an example", xlim=(0, rounds[-1]), ylim=(low, max(exact) + 0.03))
        axes.set_title("the bound and the log-likelihood of held-out examples")
        axes.legend(loc="center right")
        titles = ("before", "when $q$ alone has been fitted", "when both have been fitted")
        for place, title, reading in zip("abc", titles, (alone[0], alone[-1], together[-1]), strict=True):
            posteriors(places[place], reading)
            places[place].set_title(title)
        places["a"].set(ylabel="density of $z$")
        places["a"].legend(loc="upper left", fontsize=8)
        return paper.write(figure, path, origin)


def posteriors(axes: Axes, reading: Reading) -> None:
    """The true posteriors of a few examples, and what stands for them."""
    for i, colour in enumerate((paper.BLUE, paper.RED, paper.GREEN)):
        axes.plot(GRID, reading.posterior[i], color=colour, label="$p(z|x)$" if i == 0 else None)
        axes.plot(GRID, reading.approximation[i], "--", color=colour, label="$q(z|x)$" if i == 0 else None)
    axes.set(xlim=(-3.2, 3.2), xlabel="$z$", yticks=[])
