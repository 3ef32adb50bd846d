"""Simulated binary crossover and polynomial mutation in the unified space, as functions of uniform random numbers."""

from __future__ import annotations

import numpy as np

from genwerk.evolve.multitask.problem import Array


def simulated_binary(first: Array, second: Array, chance: Array, kind: Array, eta: float) -> Array:
    """One child (..., D) of simulated binary crossover (Deb & Agrawal, 1995), within [0, 1].

    Half of the coordinates, those whose ``kind`` is below 0.5, are the first parent's; a quarter are crossed on either
    side of the parents' mean. ``chance`` sets how far apart; ``eta`` is the distribution index.
    """
    tail = np.where(chance <= 0.5, 2 * chance, 1 / np.maximum(2 - 2 * chance, 1e-12))
    beta = np.where(kind < 0.5, 1, np.where(kind < 0.75, 1, -1) * tail ** (1 / (eta + 1)))
    return np.asarray(np.clip(((1 + beta) * first + (1 - beta) * second) / 2, 0, 1))


def polynomial_mutation(x: Array, chance: Array, eta: float, expected: float = 1.0) -> Array:
    """Polynomial mutation (Deb & Goyal, 1996) of ``expected`` of the D coordinates of ``x`` (..., D), within [0, 1].

    Those change whose ``chance`` is below expected / D, and its place below that says by how much.
    """
    limit = expected / x.shape[-1]
    chosen = chance < limit
    old, place, power = x[chosen], chance[chosen] / limit, 1 / (eta + 1)
    down = old * ((2 * np.minimum(place, 0.5)) ** power - 1)
    up = (1 - old) * (1 - (2 - 2 * np.maximum(place, 0.5)) ** power)
    moved = x.copy()
    moved[chosen] = np.clip(old + np.where(place <= 0.5, down, up), 0, 1)
    return moved
