"""What a comparison shows of models of texts: samples, what is rebuilt, ways between texts, completions, neighbours."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch

from genwerk.comparison.pictures import FEW, SHEET, STEPS, Gallery, made, real
from genwerk.core.model import Config, build
from genwerk.data import Splits, open_data
from genwerk.data.settings import DataConfig
from genwerk.families.language_model import LanguageModelConfig, LSTMConfig
from genwerk.families.vae_text import TextVAEConfig
from genwerk.nn.text_coder import LSTMCoder


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    file = tmp_path_factory.mktemp("texts") / "my.txt"
    words = product(("a", "the", "one"), ("cat", "dog", "cow"), ("sat", "ran", "ate"), ("here", "there", "now"))
    file.write_text("\n".join(map(" ".join, words)))
    return open_data(DataConfig(source=str(file), tokens="words", holdout=0.5))


def shown(config: Config, splits: Splits, folder: Path) -> dict[str, list[str]]:
    """The lines of each file, by what it shows."""
    torch.manual_seed(0)
    gallery = Gallery(build(config, splits.spec).eval(), splits, folder, "m", 0)
    files = {what: path for _, found in made(gallery) for what, path in found.items()}
    return {what: path.read_text().splitlines() for what, path in files.items()}


def test_a_language_model_is_shown_by_samples_completions_and_neighbours(splits: Splits, tmp_path: Path) -> None:
    found = shown(LanguageModelConfig(network=LSTMConfig(embedding=4, width=6)), splits, tmp_path)
    assert {what: len(lines) for what, lines in found.items()} == {
        "samples": SHEET,
        "completions": 6 * FEW,
        "nearest": 4 * FEW,
    }
    known, *four, original = (line.split("\t")[1] for line in found["completions"][:6])
    assert original.startswith(known)
    assert len(known.split()) == 3
    assert all(each.startswith(known) for each in four)
    training = splits.spec.modality.lines(splits.train.batch().x)
    assert [line.split("\t")[0] for line in found["nearest"][:4]] == ["sample", *(f"nearest {i}" for i in (1, 2, 3))]
    assert {line.split("\t")[1] for line in found["nearest"] if line.startswith("nearest")} <= {*training}


def test_a_vae_of_texts_is_shown_by_what_it_rebuilds_and_by_ways_too(splits: Splits, tmp_path: Path) -> None:
    found = shown(TextVAEConfig(latent=2, network=LSTMCoder(embedding=4, width=6)), splits, tmp_path)
    assert {what: len(found[what]) for what in ("samples", "reconstructions", "interpolations")} == {
        "samples": SHEET,
        "reconstructions": 2 * FEW,
        "interpolations": FEW * STEPS,
    }
    held_out = splits.spec.modality.lines(splits.test.batch().x)
    originals, rebuilt = zip(*(line.split("\t") for line in found["reconstructions"]), strict=True)
    assert {*originals} <= {*held_out}
    assert len(rebuilt) == 2 * FEW


def test_held_out_texts_stand_beside_them(splits: Splits, tmp_path: Path) -> None:
    lines = real(splits, tmp_path, 0)["real"].read_text().splitlines()
    assert {*lines} <= {*splits.spec.modality.lines(splits.test.batch().x)}
    assert len(lines) == SHEET
