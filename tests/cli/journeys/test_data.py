"""Data of one's own as people have them, looked at, trained on and sampled, as typed."""

from __future__ import annotations

from collections.abc import Callable

Genwerk = Callable[..., str]


def test_data_are_checked_with_the_words_that_train_them(genwerk: Genwerk, refused: Genwerk) -> None:
    said = genwerk("data", "check", "digits", "--data.size", "12", "--data.validation=0")
    assert "image 12x12x1" in said
    assert genwerk("data", "check", "--data", "digits", "--size", "12", "--validation", "0") == said
    assert "name them once" in refused("data", "check", "digits", "--data", "scenes")
    assert "--data.seed is -1" in refused("data", "check", "digits", "--seed", "-1")
