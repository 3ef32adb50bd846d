"""Any Genwerk recipe that samples rows of a table, as an operator: it is trained on the pool in every generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from genwerk.core.abilities import Samples
from genwerk.core.errors import Unsupported
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evolve.operators.operator import Array, Operator, Pool, Rngs
from genwerk.recipes import recipe
from genwerk.training.trainer import Trainer


class OfRecipe(Operator):
    """The recipe ``name`` (vae, realnvp, ddpm, mixture, ...), trained for ``rounds`` on the ``k`` fittest solutions.

    Every run has a model of its own, which begins anew in each generation, and the recipe's ordinary training, without
    held-out figures; a generation takes seconds, so this is for expensive problems and for comparisons.
    """

    def __init__(self, name: str, rounds: int = 200, k: int = 50) -> None:
        self.name, self.rounds, self.k = name, rounds, k

    def fit(self, pool: Pool, rngs: Rngs) -> Mapping[str, Array]:
        best = np.argsort(pool.fitness, axis=1, kind="stable")[:, : self.k]
        runs = zip(pool.x, best, rngs, strict=True)
        self.models = [self.trained(x[rows], int(rng.integers(2**31))) for x, rows, rng in runs]
        return {}

    def trained(self, x: Array, seed: int) -> Samples:
        spec = DataSpec(kind="table", shape=(x.shape[1],))
        made = recipe(self.name, spec)
        settings = replace(made.train, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
        settings = replace(settings, rounds=min(self.rounds, settings.rounds), log_every=self.rounds)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(made.model, spec)
        if not isinstance(model, Samples):
            raise Unsupported(f"{self.name} has no {Samples.phrase}; take vae, realnvp, ddpm or mixture", "Samples")
        Trainer(model, Dataset(x=torch.as_tensor(x), spec=spec), settings).fit()
        return model

    def propose(self, n: Sequence[int], rngs: Rngs, siblings: int = 1) -> list[Array]:
        seeds = [int(rng.integers(2**31)) for rng in rngs]
        return [
            model.sample(k, seed=seed).double().numpy() if k else np.empty((0, len(model.sample(1, seed=seed)[0])))
            for model, k, seed in zip(self.models, n, seeds, strict=True)
        ]
