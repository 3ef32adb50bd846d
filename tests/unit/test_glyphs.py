"""Names in any script in plots: drawn where a font has them, and one sentence where none has."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from genwerk.core.errors import Caution
from genwerk.modalities import glyphs
from genwerk.modalities.writers import scatter


def test_names_that_no_font_has_are_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "FAMILIES", ())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scatter(tmp_path / "a.png", {"": torch.rand(4, 2)}, {}, names=("\u8eab\u9ad8", "\u4f53\u91cd"))
    assert [(str(each.message), each.category) for each in caught] == [(glyphs.MISSING, Caution)]


def test_names_that_an_installed_font_has_are_drawn_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "FAMILIES", ("no such font", "STIXGeneral"))
    rare = "\u1d81\u1d84"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scatter(tmp_path / "a.png", {"": torch.rand(4, 2)}, {}, names=(rare, rare))
