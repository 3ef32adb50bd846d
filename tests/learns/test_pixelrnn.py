"""PixelRNNs learn images whose entropy is known, as far as they can see, and digits, in seconds."""

from __future__ import annotations

from math import log

import pytest
import torch
from learning import source, taught

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.pixelrnn import PixelRNN, PixelRNNConfig
from genwerk.nn.autoregressive.pixelrnn import CellName
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

ROWS, COLUMNS = 4, 6
BITS = DataSpec(kind="image", shape=(1, ROWS, COLUMNS), levels=2)


def repeated(n: int) -> Dataset:
    """The first row and the last pixel of every row are fair coins; all others repeat the last pixel above."""
    x = torch.randint(2, (n, ROWS, COLUMNS), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    x[:, 1:, :-1] = x[:, :-1, -1:]
    return Dataset(x=x[:, None], spec=BITS)


@pytest.mark.parametrize("cell,guesses", [("diagonal", 0), ("row", ROWS - 1)])
def test_what_is_seen_is_learned_and_what_is_not_is_guessed(cell: CellName, guesses: int) -> None:
    """The first pixel of a row repeats one that only the Diagonal BiLSTM sees from there: to the other it is a coin."""
    torch.manual_seed(0)
    model = PixelRNN(PixelRNNConfig(cell=cell, width=16, head=16), BITS)
    optim = OptimConfig(lr=2e-2, schedule="cosine", clip_norm=5.0)
    quiet = TrainConfig(
        rounds=300, batch_size=32, optim={"model": optim}, sample_every=0, evaluate_every=0, save_every=0
    )
    data = repeated(4096)
    Trainer(model, data, quiet).fit().requires_grad_(False)
    x = data.batch(slice(1024)).x
    excess = -model.log_prob(x).mean() / log(2) - (COLUMNS + ROWS - 1)
    assert guesses - 0.05 < excess < guesses + 0.1
    made = model.sample(64, seed=0)[:, 0]
    repeats = (made[:, 1:, :-1] == made[:, :-1, -1:]).float().mean((0, 1))
    assert repeats[0] > 0.98 if cell == "diagonal" else 0.3 < repeats[0] < 0.7


@pytest.mark.parametrize("recipe", ["pixelrnn", "row-lstm"])
def test_digits_are_learned(recipe: str) -> None:
    """Of 17 levels, in bits a pixel; measured 2.02, where pixels that know nothing of each other cost 2.40."""
    model = taught(recipe, "digits", 200)
    assert isinstance(model, PixelRNN)
    splits = source("digits")
    x = splits.test.batch().x
    found = -model.log_prob(x).mean() / (64 * log(2))
    levels = (splits.train.batch().x * 16).round().long().flatten(1)
    p = torch.nn.functional.one_hot(levels, 17).float().mean(0).add(1e-3)
    tested = (x * 16).round().long().flatten(1)
    alone = -p.log2()[torch.arange(64), tested].mean()
    assert found < 2.1
    assert alone > 2.35
