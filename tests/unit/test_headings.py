"""Names in the margins of a sheet: where they stand, what gives way to what, and what is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genwerk.core.layout import Layout
from genwerk.core.spec import Batch
from genwerk.modalities import headings
from genwerk.modalities.writers import grid, sheet

IMAGES = torch.zeros(6, 1, 56, 56)
"""Black, so that whatever is written in the margins is all that is neither black nor white ground."""
BARE = grid(IMAGES, 3)


def inside(drawn: torch.Tensor, left: int, top: int) -> torch.Tensor:
    return drawn[top : top + BARE.shape[0], left : left + BARE.shape[1]]


def test_a_sheet_without_names_is_the_grid_itself():
    assert torch.equal(sheet(Batch(IMAGES), Layout(3)), BARE)
    assert torch.equal(sheet(Batch(IMAGES), Layout(3, ["", ""], captions=[""] * 6)), BARE)


def test_rows_and_columns_are_named_in_margins_beside_the_grid():
    drawn = sheet(Batch(IMAGES), Layout(3, row_names=["a", "b"], column_names=["1", "2", "3"]))
    top, left = drawn.shape[0] - BARE.shape[0], drawn.shape[1] - BARE.shape[1]
    assert top > 0
    assert left > 0
    assert torch.equal(inside(drawn, left, top), BARE)
    assert (drawn[:top, :left] == 255).all()
    assert (drawn[:top] < 128).any(2).any(0).nonzero().min() > left + 20  # above the middle of the first column
    beside = (drawn[top:, :left] < 128).any(2).any(1)
    assert [bool(half.any()) for half in beside.split(57)[:2]] == [True, True]


def test_captions_stand_below_their_examples():
    drawn = sheet(Batch(IMAGES[:3]), Layout(3, captions=["one", "", "three"]))
    below = (drawn[58:-1] < 128).any(2).any(0)
    assert [bool(part.any()) for part in below[1:].split(57)[:3]] == [True, False, True]
    pairs = sheet(Batch(IMAGES[:3], target=IMAGES[:3]), Layout(3, captions=["one", "", "three"]))
    assert pairs.shape[0] == drawn.shape[0] + 57  # below the second of a pair


def length(text: str) -> float:
    return 10 * len(text)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("cat", ["cat"]),
        ("a red ring", ["a red", "ring"]),
        ("a large yellow star at the top", ["a", "large", "ye..."]),
        ("incomprehensible", ["incom", "prehe", "ns..."]),
        ("a_long-one", ["a_", "long-", "one"]),
        ("", []),
    ],
)
def test_long_names_are_wrapped_at_spaces_and_cut(name: str, lines: list[str]):
    assert headings._wrapped(name, 50, 3, length) == lines


def test_a_name_that_no_font_has_gives_way_to_its_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(headings, "ELSEWHERE", ())
    headings._fonts.cache_clear()
    found = headings._fitted(["猫", "Ёж", "dog", "犬"], 100, 1, 12, ["x", "y", "猫"])
    headings._fonts.cache_clear()
    assert [text.lines for text in found] == [["2"], ["Ёж"], ["dog"], ["3"]]


def test_marks_that_drive_a_terminal_are_not_drawn():
    assert headings._fitted(["a\x1b[2J"], 200, 1, 12, [])[0].lines == [r"a\x1b[2J"]


def test_letters_grow_with_the_examples():
    large = sheet(Batch(torch.zeros(1, 3, 512, 512)), Layout(1, captions=["a"]))
    assert large.shape[0] - 514 > 2 * (sheet(Batch(IMAGES[:1]), Layout(1, captions=["a"])).shape[0] - 58)
    assert np.asarray(large).dtype == np.uint8
