"""Runs of format 1 load: every recipe's settings as version 0.1 wrote them describe the same weights as ever."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import genwerk.recipes  # noqa: F401  (registers the families)
from genwerk.core.model import build
from genwerk.runs import formats, store

WRITTEN: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "format1" / "recipes.json.gz").read_bytes())
)
"""By recipe: its ``config.json`` in format 1, and a hash of the names and shapes of the model's state."""


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_every_recipe_of_format_1_loads(name: str, tmp_path: Path) -> None:
    written = WRITTEN[name]
    (tmp_path / "config.json").write_text(json.dumps(written["config"]))
    found, recipe, spec, _ = store.read_config(tmp_path / "config.json")
    assert found == name
    with torch.device("meta"):
        state = build(recipe.model, spec).state_dict()
    named = json.dumps([[k, list(v.shape)] for k, v in sorted(state.items())])
    assert hashlib.sha256(named.encode()).hexdigest()[:16] == written["weights"]
    again = json.loads(json.dumps(store.describe(name, recipe, spec)))
    assert again["format"] == formats.FORMAT
    (tmp_path / "config.json").write_text(json.dumps(again))
    assert store.read_config(tmp_path / "config.json")[1:3] == (recipe, spec)


def test_what_latent_diffusion_left_out_is_its_priors_now(tmp_path: Path) -> None:
    config = json.loads(json.dumps(WRITTEN["latent-scenes"]["config"]))
    config["recipe"]["model"] |= {"drop": 0.3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model: Any = store.read_config(tmp_path / "config.json")[1].model
    assert model.prior.condition_dropout == 0.3
