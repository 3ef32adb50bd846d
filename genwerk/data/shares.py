"""Whether two sets of examples hold the same things equally often, as far as labels and attributes tell.

A model of domains matches one set to the other, and so paints whatever is more frequent there into images that lack it
(Cohen, Luck & Honari, Distribution Matching Losses Can Hallucinate Features in Medical Image Translation, 2018,
arXiv:1805.08841). Figures on a test part say little of a training part that holds other things.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from genwerk.data.dataset import Dataset, Splits

APART = 0.1
"""Total variation distance between shares from which they differ enough to be told."""
SURE = 1e-3
"""Probability of so great a difference (chi-squared test of homogeneity) below which it is no accident."""
LEAST = 5.0
"""Examples that are expected of a value in either set, of fewer of which the test cannot be asked."""


def unlike(one: Sequence[object], other: Sequence[object]) -> tuple[object, float, float] | None:
    """The value whose share differs most between two sets, and its share of each; None where the shares are alike.

    They are unlike if they are :data:`APART` and it is :data:`SURE` that this is no accident; rare values count as one.
    """
    a, b = Counter(one), Counter(other)
    n, m = len(one), len(other)
    if not n or not m:
        return None
    least = LEAST * (n + m) / min(n, m)
    frequent = [value for value in (a | b) if a[value] + b[value] >= least]
    table = [[counts[value] for value in frequent] for counts in (a, b)]
    rest = [n - sum(table[0]), m - sum(table[1])]
    if sum(rest) >= least:
        table = [[*row, beside] for row, beside in zip(table, rest, strict=True)]
    if len(table[0]) < 2 or not frequent:
        return None
    distance = sum(abs(x / n - y / m) for x, y in zip(*table, strict=True)) / 2
    if distance < APART:
        return None
    if _p(table) >= SURE:
        return None
    most = max(frequent, key=lambda value: abs(a[value] / n - b[value] / m))
    return most, a[most] / n, b[most] / m


def _p(table: list[list[int]]) -> float:
    """The p-value of the chi-squared test of homogeneity; scipy.stats, which has it, takes long to import."""
    from scipy.special import chdtrc

    total, sides = sum(map(sum, table)), [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    expected = [[side * column / total for column in columns] for side in sides]
    squares = sum(
        (x - e) ** 2 / e for row, means in zip(table, expected, strict=True) for x, e in zip(row, means, strict=True)
    )
    return float(chdtrc((len(table) - 1) * (len(columns) - 1), squares))


def between_domains(first: str, second: str, found: tuple[object, float, float]) -> str:
    """What is said where domains are ``unlike``."""
    value, one, other = found
    return (
        f"The domains differ in more than their kind: {value!r} is {one:.0%} of {first} and {other:.0%} of {second}, "
        "and a translation paints in what is more frequent on the other side; bring the shares together."
    )


def told(splits: Splits) -> Iterator[str]:
    """Where parts of ``splits``, or its two domains, differ in the shares of labels or attributes, a sentence each."""
    train, test = splits.train, splits.test
    if test is not train:
        held_out = _columns(test)
        for name, column in _columns(train).items():
            if (found := unlike(column, held_out.get(name, []))) is not None:
                yield (
                    f"Training and test part differ in their {name}: {found[0]!r} is {found[1]:.0%} of the "
                    f"training part and {found[2]:.0%} of the test part; figures on the test part are of its own "
                    "shares."
                )
    if splits.settings.to and len(splits.spec.classes) == 2 and train.condition is not None:
        sides = [train.condition == k for k in range(2)]
        for column in list(_columns(train).values())[1:]:
            one, other = ([v for v, there in zip(column, side.tolist(), strict=True) if there] for side in sides)
            if (found := unlike(one, other)) is not None:
                yield between_domains(*splits.spec.classes, found)


def _columns(data: Dataset) -> dict[str, list[str]]:
    """The labels of ``data``, then their attributes, by name, where there are any."""
    found = {}
    if data.spec.classes and data.condition is not None:
        found["classes"] = _names(data.condition, data.spec.classes)
    if data.attributes is not None:
        columns = zip(data.spec.attributes, torch.unbind(data.attributes, 1), strict=True)
        found |= {name: _names(column, values) for (name, values), column in columns}
    return found


def _names(indices: Tensor, names: Sequence[str]) -> list[str]:
    return [names[i] for i in indices.tolist()]
