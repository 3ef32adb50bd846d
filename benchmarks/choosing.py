"""How well the minutes of `genwerk recipes --data` foretell a training: seconds a round, estimated and played.

    OMP_NUM_THREADS=1 python benchmarks/choosing.py [--seconds 6]

For recipes of all families the first stage is estimated twice, as the command does, and then trained for some seconds;
processor time on both sides, so that other programs do not count. The ratio is estimate to training.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
import warnings
from unittest import mock

import torch

from genwerk.comparison.advice import BUDGET, LONGEST
from genwerk.core.model import build
from genwerk.data import DataConfig, open_data
from genwerk.data.dataset import Dataset
from genwerk.recipes import find
from genwerk.training import speed
from genwerk.training.events import RoundDone
from genwerk.training.runtime import Runtime
from genwerk.training.settings import Recipe
from genwerk.training.trainer import Trainer

CASES = {
    "digits": ("mixture", "cvae", "vaegan", "maf", "realnvp", "glow", "gan", "wgan-gp", "began", "egan", "pixelcnn"),
    "scenes": ("vae", "gan", "stylegan", "ddpm", "autoencoder-kl", "vqvae", "clip"),
    "crescents": ("spline-maf", "edm", "gan", "vae"),
}
"""Recipes by the built-in data that they are trained on."""
HERE = Runtime(torch.device("cpu"))
SKIPPED = 3
"""Rounds before the clock starts."""


def estimated(recipe: Recipe, data: Dataset) -> tuple[float, float]:
    """Seconds a round, and the seconds that it took to say so."""
    start = time.process_time()
    with mock.patch.object(speed.time, "perf_counter", time.process_time):
        found = speed.measure(recipe, data, HERE, budget=BUDGET, longest=LONGEST)[0]
    return found.seconds, time.process_time() - start


def played(recipe: Recipe, data: Dataset, seconds: float) -> float:
    """Seconds a round of the first stage of the training itself."""
    events = (e for e in Trainer(build(recipe.model, data.spec), data, recipe.train) if isinstance(e, RoundDone))
    stage = [event.stage for event in itertools.islice(events, SKIPPED)][-1]
    start, rounds, spent = time.process_time(), 0, 0.0
    for event in events:
        if event.stage != stage or spent > seconds:
            break
        rounds, spent = rounds + 1, time.process_time() - start
    return spent / rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="Seconds of training a recipe.")
    seconds = parser.parse_args().seconds
    warnings.simplefilter("ignore")
    ratios = []
    print("| data | recipe | estimated, ms a round | played | ratio | seconds to estimate |\n|---|---|---|---|---|---|")
    for source, names in CASES.items():
        data = open_data(DataConfig(source=source)).train
        for name in names:
            recipe = find(name).make(data.spec)
            (first, _), (second, cost) = estimated(recipe, data), estimated(recipe, data)
            real = played(recipe, data, seconds)
            ratios += [first / real, second / real]
            both, ratio = f"{1e3 * first:.1f}, {1e3 * second:.1f}", f"{first / real:.2f}, {second / real:.2f}"
            print(f"| {source} | `{name}` | {both} | {1e3 * real:.1f} | {ratio} | {cost:.2f} |", flush=True)
    quarters = statistics.quantiles(ratios, n=4)
    print(f"\nratios: {min(ratios):.2f} to {max(ratios):.2f}, quartiles {', '.join(f'{q:.2f}' for q in quarters)}")


if __name__ == "__main__":
    main()
