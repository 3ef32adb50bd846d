"""GMOEA: a GAN of good solutions proposes offspring; the mended algorithm, and the one whose results are published.

He, Huang, Cheng, Tan & Jin, Evolutionary multiobjective optimization driven by generative adversarial networks, 2021,
IEEE Transactions on Cybernetics 51(6), arXiv:1910.04966. "As published" follows the authors' code, not the text.

    repeat
        call the k best of the population real, the others fake                         (1)
        train generator and discriminator on them                                       (2)
        w times: with probability 1 - (i/w)^2 all offspring are the generator's, else of crossover; mutation; select (3)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pymoo.algorithms.base.genetic import GeneticAlgorithm
from pymoo.core.algorithm import Algorithm
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.sampling.rnd import FloatRandomSampling
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from genwerk.core.errors import BadSetting
from genwerk.core.model import Loss, Turn
from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.mating import GenerativeMating, Proposer, Sources, default_portfolio
from genwerk.evolve.operators.lanes import BatchNorm, Linear, Players, of_runs, tensor
from genwerk.evolve.operators.operator import Array, Pool, Rngs, tournament
from genwerk.evolve.operators.variation import crossover, mutation
from genwerk.evolve.survival import NichedSelection, SPEA2Selection, select
from genwerk.training.settings import OptimConfig


class GenerativeAlgorithm(GeneticAlgorithm):
    """A genetic algorithm whose offspring a :class:`GenerativeMating` proposes; ``ask`` and ``tell`` are pymoo's."""

    def __init__(
        self, pop_size: int = 100, mating: GenerativeMating | None = None, survival: Survival = None, **kwargs: Any
    ) -> None:
        super().__init__(
            pop_size=pop_size,
            sampling=FloatRandomSampling(),
            mating=mating or GenerativeMating(),
            survival=survival or NichedSelection(),
            **kwargs,
        )


@dataclass(frozen=True, kw_only=True)
class GMOEAConfig(AlgorithmConfig, kind="gmoea"):
    """GMOEA mended: operators share the offspring by how many survive, a GAN is one, its discriminator filters all.

    Nine tenths of the places go to niches (:class:`NichedSelection`).
    """

    surplus: int = 6
    """Proposals for each offspring, of which the discriminator chooses one; 1 does not filter."""
    memory: int = 400
    """Solutions given up that the discriminator and inverse regression are shown."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.surplus < 1:
            raise BadSetting("surplus", f"is {self.surplus}; expected 1 or more")

    def make(self, problem: Problem) -> Algorithm:
        return GenerativeAlgorithm(self.pop_size, GenerativeMating(default_portfolio(self.surplus), self.memory))


@dataclass(frozen=True, kw_only=True)
class Defects:
    """What the authors' code does differently from what is meant, each verified by reading it."""

    scrambled_covariance: bool = False
    """In training, the latent's covariance is that of the real solutions' numbers in another order."""
    stale_labels: bool = False
    """After an epoch solutions are shuffled and their labels are not, so that from the second on labels are random."""
    density_of_dominance: bool = False
    """The density in SPEA2's fitness counts dominance, not distance to neighbours."""
    narrow_crossover: bool = False
    """Simulated binary crossover makes no child beyond its parents."""


ALL = Defects(scrambled_covariance=True, stale_labels=True, density_of_dominance=True, narrow_crossover=True)


@dataclass(frozen=True, kw_only=True)
class GMOEAPublishedConfig(AlgorithmConfig, kind="gmoea-published"):
    """GMOEA as the authors' code runs it, its defects included; constraints are not looked at."""

    real: int = 10
    """Solutions that are called real."""
    generations: int = 5
    """Generations that share a training."""
    epochs: int = 200
    """Passes over the population in a training."""
    batch_size: int = 8
    """Solutions of a step."""
    lr: tuple[float, float] = (4e-4, 1e-4)
    """Learning rates of generator and discriminator."""
    defects: Defects = field(default=ALL)
    """Which of the code's defects are kept."""

    def make(self, problem: Problem) -> Algorithm:
        mating = GenerativeMating(PublishedGAN(self), memory=0)
        return GenerativeAlgorithm(self.pop_size, mating, SPEA2Selection(self.defects.density_of_dominance))


class PublishedGAN(Proposer):
    """The authors' networks and their training, which R runs share in lockstep."""

    names: Sequence[str] = ("GAN", "SBX")

    def __init__(self, config: GMOEAPublishedConfig) -> None:
        self.config, self.figures, self.generation = config, {}, 0

    def build(self, d: int, rngs: Rngs) -> None:
        """Generator d-d-d-d with batch normalisation, tanh and a sigmoid; discriminator d-d-1."""
        layers: list[nn.Module] = []
        for activation in (nn.Tanh(), nn.Tanh(), nn.Sigmoid()):
            layers += [Linear(d, d, rngs), BatchNorm(len(rngs), d), activation]
        self.generator = nn.Sequential(*layers)
        self.discriminator = nn.Sequential(Linear(d, d, rngs), nn.Tanh(), Linear(d, 1, rngs))
        rates = dict(zip(("generator", "discriminator"), self.config.lr, strict=True))
        modules: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        self.players = Players(modules, {name: OptimConfig(lr=lr) for name, lr in rates.items()})

    def propose(self, pool: Pool, n: int, rngs: Rngs) -> tuple[Array, Sources]:
        step = self.generation % self.config.generations
        if step == 0:
            self.train(pool, rngs)
        self.generation += 1
        generates = [rng.random() < 1 - (step / self.config.generations) ** 2 for rng in rngs]
        with torch.no_grad():
            self.generator.eval()
            made = self.generator(tensor(self.latent(n, rngs, scrambled=False))).double().numpy()
        crossed = [self.crossed(x, fitness, n, rng) for x, fitness, rng in zip(pool.x, pool.fitness, rngs, strict=True)]
        x = [mutation(g if own else c, rng) for own, g, c, rng in zip(generates, made, crossed, rngs, strict=True)]
        return np.stack(x), np.repeat(1 - np.array(generates, int)[:, None], n, axis=1)

    def crossed(self, x: Array, fitness: Array, n: int, rng: np.random.Generator) -> Array:
        a, b = tournament(fitness, n, rng), tournament(fitness, n, rng)
        return np.clip(crossover(x[a], x[b], rng, eta=20, narrow=self.config.defects.narrow_crossover), 0, 1)

    def train(self, pool: Pool, rngs: Rngs) -> None:
        runs, n, d = pool.x.shape
        if self.generation == 0:
            self.build(d, rngs)
        config, rows = self.config, np.arange(runs)[:, None]
        chosen = [select(f, np.zeros(n), config.real, config.defects.density_of_dominance)[0] for f in pool.f]  # (1)
        self.real = pool.x[rows, chosen]
        labels = np.zeros((runs, n))
        labels[rows, chosen] = 1
        order, labelled = np.tile(np.arange(n), (runs, 1)), labels
        self.generator.train()
        for _ in range(config.epochs):  # (2)
            x, y = tensor(pool.x[rows, order]), tensor(labelled)
            latent = tensor(self.latent(n, rngs, config.defects.scrambled_covariance))
            for start in range(0, n, config.batch_size):
                part = slice(start, min(start + config.batch_size, n))
                if part.stop - part.start == 1:  # of which there is no variance to normalise by
                    continue
                z = latent[:, part]
                turn = Turn("discriminator", self.discriminator_loss, x=x[:, part], y=y[:, part], z=z)
                discriminator = self.players.take(turn)
                generator = self.players.take(Turn("generator", self.generator_loss, z=z))
            order = np.stack([rng.permutation(n) for rng in rngs])
            labelled = labels if config.defects.stale_labels else labels[rows, order]
        self.figures = {"generator loss": generator, "discriminator loss": discriminator}

    def latent(self, n: int, rngs: Rngs, scrambled: bool) -> Array:
        """Samples (runs, n, d) of the Gaussian of the real solutions, clipped to [0, 1]."""
        runs, k, d = self.real.shape
        mean = self.real.mean(axis=1, keepdims=True)
        spread = self.real - mean
        if scrambled:  # the (k, d) numbers read as (d, k)
            order = self.real.reshape(runs, d, k)
            spread = (order - order.mean(axis=2, keepdims=True)).transpose(0, 2, 1)
        noise = np.stack([rng.standard_normal((n, k)) for rng in rngs])
        return np.clip(mean + noise @ spread / np.sqrt(max(k - 1, 1)), 0, 1)

    def discriminator_loss(self, x: Tensor, y: Tensor, z: Tensor) -> Loss:
        """Real 1, fake 0, generated 0."""
        with torch.no_grad():
            generated = self.generator(z)
        logits = self.discriminator(torch.cat([x, generated], dim=1)).squeeze(-1)
        losses = binary_cross_entropy_with_logits(logits, torch.cat([y, torch.zeros_like(y)], dim=1), reduction="none")
        return of_runs(2 * losses)  # the sum of two means

    def generator_loss(self, z: Tensor) -> Loss:
        logits = self.discriminator(self.generator(z)).squeeze(-1)
        return of_runs(binary_cross_entropy_with_logits(logits, torch.ones_like(logits), reduction="none"))
