"""Pixel art by its palette against the same pixels as three numbers of 256 levels: held-out bits a pixel, completions.

One network (a Diagonal BiLSTM) is trained for the same processor time on both encodings of the same creatures, and
measured at its best held-out evaluation. The palette model can only draw palette colours, which it is told; so its bits
are of the index, and the other's of all that a pixel of 24 bits might be. Completions are of held-out creatures.

    python benchmarks/pokemon.py --data PATH/pokemon_creation --minutes 6 --out runs/pokemon
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import replace
from math import log
from pathlib import Path

import torch

from genwerk import tasks
from genwerk.core.model import build
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, Splits, open_data
from genwerk.families.autoregressive import AutoregressiveModel
from genwerk.families.pixelrnn import PixelRNNConfig
from genwerk.modalities.writers import grid, write_image
from genwerk.recipes import recipe
from genwerk.training.events import RoundDone
from genwerk.training.settings import Recipe
from genwerk.training.trainer import Trainer

SHOWN, COMPLETIONS = 8, 6
PATIENCE = 4
"""Evaluations without a better one after which training ends: these are few images, and are soon known by heart."""


def as_numbers(splits: Splits) -> Splits:
    """The same pixels without the palette: three channels of 256 levels."""
    spec = replace(splits.spec, palette=())
    return replace(splits, train=replace(splits.train, spec=spec), test=replace(splits.test, spec=spec))


def bits(model: AutoregressiveModel, splits: Splits) -> float:
    """Held-out bits a pixel."""
    model.eval()
    nats = tasks.log_likelihood(model, splits.test).nats
    model.train()
    return -nats / (splits.spec.shape[1] * splits.spec.shape[2] * log(2))


def play(game: Recipe, splits: Splits, minutes: float, every: int) -> tuple[AutoregressiveModel, float, int, float]:
    """The model at its best evaluation, its bits a pixel, and the rounds and processor seconds to there."""
    torch.manual_seed(0)
    model = build(game.model, splits.spec)
    assert isinstance(model, AutoregressiveModel)
    quiet = replace(game.train, sample_every=0, evaluate_every=0, save_every=0)
    trainer, used, best = Trainer(model, splits.train, quiet), 0.0, (model, float("inf"), 0, 0.0)
    start = time.process_time()
    for event in trainer:
        if not isinstance(event, RoundDone) or event.round % every:
            continue
        used += time.process_time() - start
        found = bits(model, splits)
        if found < best[1]:
            best = copy.deepcopy(model).eval(), found, event.round, used
        print(f"  round {event.round}: {found:.3f} bits a pixel after {used:.0f} s", flush=True)
        if used > 60 * minutes or event.round >= best[2] + PATIENCE * every:
            break
        start = time.process_time()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--every", type=int, default=100, help="rounds between evaluations")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("pokemon"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    palette = open_data(DataConfig(source=options.data))
    for name, splits in (("palette", palette), ("3 x 256", as_numbers(palette))):
        game = recipe("pixelrnn-pokemon", splits.spec)
        assert isinstance(game.model, PixelRNNConfig)
        channels = 1 if splits.spec.palette else 3
        model = replace(game.model, width=game.model.width // 3 * 3, head=game.model.head // 3 * 3)
        game = replace(game, model=model if channels == 3 else game.model)
        best, found, rounds, seconds = play(game, splits, options.minutes, options.every)
        size = sum(p.numel() for p in best.parameters())
        print(f"| {name} | {size:,} | {rounds} | {seconds:.0f} | {found:.3f} |", flush=True)
        batch = splits.test.batch(slice(SHOWN))
        known = torch.zeros(splits.spec.shape, dtype=torch.bool)
        known[:, : splits.spec.shape[1] // 2] = True
        made = tasks.complete(best, batch, known, COMPLETIONS, seed=0)
        veiled = torch.where(known, batch.x, 0.5)[:, None]
        sheet = torch.cat([veiled, made.x, batch.x[:, None]], 1).flatten(0, 1)
        origin = {"recipe": "pixelrnn-pokemon", "encoding": name, "round": rounds, "seed": 0}
        stem = name.replace(" ", "")
        print(write_image(options.out / f"{stem}.png", grid(sheet, COMPLETIONS + 2, scale=3), origin))
        sampled = Batch(tasks.sample(best, 48, seed=0).x)
        write_image(options.out / f"{stem}-samples.png", grid(sampled.x, 12, scale=3), origin)


if __name__ == "__main__":
    main()
