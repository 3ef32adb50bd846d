"""Repetition within texts, between texts and of the training texts, on cases counted by hand."""

from math import isnan

import pytest
import torch

from genwerk.metrics import copied, distinct, duplicates, repeats

TEXTS = ["ababab", "abc", "abc", "c"]


def test_distinct():
    """Pairs: ab ba ab ba ab, ab bc, ab bc: 9, of which ab, ba and bc are different."""
    assert distinct(TEXTS, 2) == pytest.approx(3 / 9)
    assert distinct(TEXTS, 1) == pytest.approx(3 / 13)
    assert isnan(distinct(TEXTS, 7))


def test_repeats():
    """Pairs: 3 of 5, 0 of 2 and 0 of 2 have occurred before; the last text has none."""
    assert repeats(TEXTS, 2) == pytest.approx((3 / 5 + 0 + 0) / 3)
    assert repeats(["abcdefgh"] * 2) == 0
    assert isnan(repeats(TEXTS, 7))


def test_duplicates_and_copies():
    assert duplicates(TEXTS) == 0.25
    assert duplicates([*TEXTS, "ab"]) == 0.2
    assert copied(TEXTS, ["abc", "ab", "abab"]) == 0.5
    assert copied([["a", "b"], ["ab"]], [["ab"]]) == 0.5
    assert copied(TEXTS, (text for text in ["c", "d"])) == 0.25
    assert copied(torch.tensor([[1, 2, -1], [3, 3, 3]]), torch.tensor([[1, 2], [3, 3]])) == 0.5
