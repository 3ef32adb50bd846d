"""The evolutionary operators that a generative one is held against, and mutation, on arrays in [0, 1].

Deb & Agrawal, Simulated binary crossover, 1995; Deb & Goyal, polynomial mutation, 1996; Storn & Price, Differential
evolution, 1997.
"""

from __future__ import annotations

import numpy as np

from genwerk.evolve.operators.operator import Array, RunByRun, tournament


def crossover(a: Array, b: Array, rng: np.random.Generator, eta: float, narrow: bool = False) -> Array:
    """A child of each pair of rows of ``a`` and ``b`` (n, d), every variable crossed with probability 1/2.

    ``narrow`` is a defect of GMOEA's code, by which children never spread beyond their parents.
    """
    u = rng.random(a.shape)
    beyond = (2 * u if narrow else 2 - 2 * u) ** (-1 / (eta + 1))
    spread = np.where(u <= 0.5, (2 * u) ** (1 / (eta + 1)), beyond)
    spread = np.where(rng.random(a.shape) < 0.5, spread, 1)
    return (a + b + rng.choice([-1, 1], a.shape) * spread * (a - b)) / 2


def mutation(x: Array, rng: np.random.Generator, eta: float = 20, probability: float | None = None) -> Array:
    """Polynomial mutation of ``x`` (n, d) in [0, 1], of each variable with ``probability`` (None: 1 / d)."""
    u = rng.random(x.shape)
    down = (2 * u + (1 - 2 * u) * (1 - x) ** (eta + 1)) ** (1 / (eta + 1)) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * x ** (eta + 1)) ** (1 / (eta + 1))
    moved = rng.random(x.shape) < (1 / x.shape[1] if probability is None else probability)
    return np.clip(x + moved * np.where(u <= 0.5, down, up), 0, 1)


class SBX(RunByRun):
    """Simulated binary crossover of parents from binary tournaments."""

    name = "SBX"

    def __init__(self, eta: float = 15, narrow: bool = False) -> None:
        self.eta, self.narrow = eta, narrow

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        a, b = tournament(fitness, n, rng, siblings), tournament(fitness, n, rng, siblings)
        return crossover(x[a], x[b], rng, self.eta, self.narrow)


class DE(RunByRun):
    """Differential evolution: a solution moved by the difference of two others, in variables drawn with rate ``cr``."""

    name = "DE"

    def __init__(self, cr: float = 0.9) -> None:
        self.cr = cr

    def of_run(self, x: Array, f: Array, fitness: Array, n: int, rng: np.random.Generator, siblings: int = 1) -> Array:
        base = x[tournament(fitness, n, rng, siblings)]
        a, b = rng.integers(len(x), size=(2, n))
        step = rng.normal(0.5, 0.1, (n, 1)) * (x[a] - x[b])
        return base + step * (rng.random(step.shape) < self.cr)
