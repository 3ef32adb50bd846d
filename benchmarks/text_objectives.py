"""What an LSTM learns of captions at equal rounds: by maximum likelihood, by scheduled sampling, and of a VAE.

    OMP_NUM_THREADS=1 python benchmarks/text_objectives.py mle linear-50 --data TRAIN.txt --test TEST.txt --seeds 0 1 2

One network throughout (64 units, the 2,000 most frequent words, batches of 32); each training stands for its best round
on the validation part. The figure is the mean NLL in nats of the test texts, exact, or the importance-weighted bound of
so many draws; of a VAE also the bound of one draw (ELBO), the KL divergence in nats, the active units, and the share of
tokens that are rebuilt.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import genwerk
from genwerk import tasks
from genwerk.core.abilities import Diagnoses
from genwerk.data import DataConfig, Splits, open_data

NETWORK = {"model.network.embedding": 64, "model.network.width": 64}


def sampled(kind: str, share: float) -> tuple[str, dict[str, Any]]:
    """The language model with scheduled sampling."""
    return "lstm-lm", {"model.scheduled_sampling": kind, "model.scheduled_sampling.sampled": share}


def coded(
    annealing: str, free_bits: float, word_dropout: float = 0.0, sees: str = "both"
) -> tuple[str, dict[str, Any]]:
    """The VAE of sentences with 16 dimensions."""
    return "vae-text", {
        "model.latent": 16,
        "model.network.sees": sees,
        "model.annealing": annealing,
        "model.free_bits": free_bits,
        "model.word_dropout": word_dropout,
    }


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mle": ("lstm-lm", {}),
    "linear-25": sampled("linear", 0.25),
    "linear-50": sampled("linear", 0.5),
    "linear-100": sampled("linear", 1.0),
    "exponential-50": sampled("exponential", 0.5),
    "inverse-sigmoid-50": sampled("inverse-sigmoid", 0.5),
    "vae": coded("none", 0),
    "vae-linear": coded("linear", 0),
    "vae-cyclical": coded("cyclical", 0),
    "vae-words": coded("linear", 0, 0.5),
    "vae-free": coded("none", 0.5),
    "vae-free-input": coded("none", 0.5, sees="input"),
    "vae-free-state": coded("none", 0.5, sees="state"),
    "vae-free-linear": coded("linear", 0.5),
    "vae-free-words": coded("none", 0.5, 0.5),
}


def figures(name: str, splits: Splits, seed: int, rounds: int, draws: int) -> dict[str, float]:
    """The figures of one training, by name."""
    recipe, settings = VARIANTS[name]
    start = time.process_time()
    quiet = {"train.batch_size": 32, "train.sample_every": 0, "train.save_every": 0}
    with TemporaryDirectory() as folder:
        out = Path(folder) / name
        run = genwerk.train(
            recipe,
            splits,
            out=out,
            rounds=rounds,
            seed=seed,
            evaluate=False,
            progress=False,
            **(NETWORK | quiet | settings),
        )
        model, spent = run.model, time.process_time() - start
    found = {"NLL": -tasks.log_likelihood(model, splits.test, importance_samples=draws).nats}
    if isinstance(model, Diagnoses):
        found["-ELBO"] = -tasks.log_likelihood(model, splits.test, importance_samples=1).nats
        batch = splits.test.subset(2000).batch()
        found |= {what: float(value.sum()) for what, value in model.diagnose(batch.x).items()}
    return found | {"CPU s": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", default=[*VARIANTS])
    parser.add_argument("--data", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=30)
    asked = parser.parse_args()
    splits = open_data(DataConfig(source=asked.data, test=asked.test, tokens="words", vocabulary=2000))
    for name in asked.variants:
        every = [figures(name, splits, seed, asked.rounds, asked.draws) for seed in asked.seeds]
        cells = []
        for what in every[0]:
            values = [each[what] for each in every]
            spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{what} {mean(values):.3f}{spread}")
        print(f"{name:20} " + ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
