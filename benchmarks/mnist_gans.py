"""Every adversarial game on one data set for the same time: Fréchet distance in a classifier's features, and a sheet.

Each game gets ``--minutes`` of processor time (over all threads), evaluation apart: the number of rounds follows from
the time that 30 rounds take, and learning rates fall over as many. All but StyleGAN and BEGAN use DCGAN's networks. Of
BEGAN it is also told where its measure of convergence, M_global, began and ended (means of 100 rounds).

    python benchmarks/mnist_gans.py --data PATH/mnist --minutes 20 --threads 2 --out runs/mnist-gans
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch

from genwerk import recipes
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Splits, open_data
from genwerk.evaluation.evaluate import evaluate
from genwerk.families.gan import GANConfig
from genwerk.nn.adversarial.objectives import Minimax
from genwerk.tasks import sample
from genwerk.training.events import RoundDone
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import Recipe, TrainConfig
from genwerk.training.trainer import Trainer

GAMES = (
    "minimax",
    "dcgan",
    "lsgan",
    "hinge-gan",
    "wgan",
    "wgan-gp",
    "gan-mnist",
    "cgan-mnist",
    "egan-mnist",
    "vaegan-mnist",
    "began-mnist",
    "stylegan-mnist",
)


def game_called(name: str, spec: DataSpec) -> Recipe:
    """A recipe; ``minimax`` is that objective in DCGAN's setting."""
    if name != "minimax":
        return recipes.recipe(name, spec)
    base = recipes.recipe("dcgan", spec)
    assert isinstance(base.model, GANConfig)
    return replace(base, model=replace(base.model, objective=Minimax()))


def seconds_a_round(game: Recipe, splits: Splits, rounds: int = 30) -> float:
    """Mean over ``rounds`` of a training that is thrown away, after as many that are not counted."""
    quiet = replace(game.train, sample_every=0, evaluate_every=0, save_every=0)
    trainer = iter(Trainer(build(game.model, splits.spec), splits.train, replace(quiet, rounds=2 * rounds + 1)))
    for _ in range(rounds):
        next(trainer)
    start = time.process_time()
    for _ in range(rounds):
        next(trainer)
    return (time.process_time() - start) / rounds


def play(name: str, game: Recipe, splits: Splits, minutes: float, seed: int, out: Path) -> dict[str, float]:
    """One training of ``minutes``, measured; its sheet is written to ``out``."""
    rounds = round(60 * minutes / seconds_a_round(game, splits))
    train: TrainConfig = replace(game.train, rounds=rounds, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    torch.manual_seed(seed)
    trainer = Trainer(build(game.model, splits.spec), splits.train, train)
    start, cpu = time.perf_counter(), time.process_time()
    course = [e.metrics["M_global"] for e in trainer if isinstance(e, RoundDone) and "M_global" in e.metrics]
    model = trainer.finished()
    seconds = {"seconds": time.perf_counter() - start, "processor seconds": time.process_time() - cpu}
    report = evaluate(model, splits, EvaluateConfig(importance_samples=1))
    origin = {"recipe": name, "rounds": rounds, "seed": seed}
    splits.spec.modality.write(out / f"{name}-{seed}.png", sample(model, 64, seed=0), origin)
    figures = {f.name: f.value for f in report.figures}
    bounds = {f"{f.name}, {b}": v for f in report.figures for b, v in (("floor", f.floor), ("noise", f.noise)) if v}
    ends = {}
    if course:
        m = torch.stack(course)
        ends = {"M_global, first 100": m[:100].mean().item(), "M_global, last 100": m[-100:].mean().item()}
    return {"rounds": rounds, **seconds, **figures, **bounds, **ends}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--games", nargs="*", help="names of rows to play (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("mnist-gans"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    splits = open_data(DataConfig(source=options.data))
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.games or GAMES:
        found = play(name, game_called(name, splits.spec), splits, options.minutes, options.seed, options.out)
        with (options.out / "figures.jsonl").open("a") as file:
            file.write(json.dumps({"game": name, "seed": options.seed, **found}) + "\n")
        print(name, {k: round(v, 4) for k, v in found.items()}, flush=True)


if __name__ == "__main__":
    main()
