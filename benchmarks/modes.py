"""Modes that each adversarial recipe reaches on the ring of 8 and the grid of 25, with its samples' quality.

The protocol of PacGAN (Lin et al., 2018, arXiv:1712.04086): 2,500 samples; a sample is of high quality within 3
standard deviations of its nearest mode; a mode counts with one such sample. The data are WGAN-GP's toys (ring: radius
1.414, standard deviation 0.0141; grid: spacing 0.707, standard deviation 0.0177).

    python benchmarks/modes.py --seeds 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, open_data
from genwerk.data.toys import TOYS, Gaussians
from genwerk.families.gan import GANConfig
from genwerk.metrics import mode_coverage
from genwerk.nn.adversarial.objectives import Objective
from genwerk.recipes import recipe
from genwerk.training.settings import Recipe
from genwerk.training.trainer import Trainer

OBJECTIVES = ("minimax", "non-saturating", "least-squares", "hinge")
PUBLISHED = ("gan", "wgan-gp", "wgan", "egan", "began")


def games(spec: DataSpec) -> dict[str, Recipe]:
    """The recipes as they are, and each objective alone, unpenalised, in the setting of `gan`."""
    found = {name: recipe(name, spec) for name in PUBLISHED}
    base = recipe("gan", spec)
    assert isinstance(base.model, GANConfig)
    for objective in OBJECTIVES:
        config = replace(base.model, objective=Objective.of(objective)(), r1=0.0)
        found[f"{objective}, no penalty"] = replace(base, model=config)
    return found


def play(source: str, game: Recipe, seed: int) -> tuple[int, float, float]:
    """Modes, percentage of high quality and CPU seconds of one training."""
    splits, toy = open_data(DataConfig(source=source)), TOYS[source]
    assert isinstance(toy, Gaussians)
    torch.manual_seed(seed)
    settings = replace(game.train, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    trainer = Trainer(build(game.model, splits.spec), splits.train, settings)
    start = time.process_time()
    model = trainer.fit()
    seconds = time.process_time() - start
    found = mode_coverage(model.sample(2500, seed=1_000_000), toy.centres, toy.std)  # type: ignore[operator]
    return found.modes, 100 * found.quality, seconds


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, smallest and largest."""
    return f"{mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--games", nargs="*", help="names of rows to play (default: all)")
    parser.add_argument("--sources", nargs="*", default=["ring", "grid"])
    parser.add_argument("--out", type=Path, help="Markdown file to append the rows to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = DataSpec(kind="table", shape=(2,))
    for name, game in games(spec).items():
        if options.games and name not in options.games:
            continue
        for source in options.sources:
            modes, quality, seconds = zip(*(play(source, game, s) for s in range(options.seeds)), strict=True)
            figures = (spread(modes, 1), spread(quality, 1), spread(seconds, 0))
            row = f"| {source} | {name} | {game.train.rounds} | {' | '.join(figures)} |"
            print(row, flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(row + "\n")


if __name__ == "__main__":
    main()
