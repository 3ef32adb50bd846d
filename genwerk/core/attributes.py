"""Attributes as a condition: several things that an example has a value of each, such as hair and eyes of a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genwerk.core.condition import Carrier, Condition
from genwerk.core.errors import BadInput
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.spec import DataSpec, Prior

LABEL = "class"
"""The one attribute of data that carry labels and no attributes."""
PAIRS = "the data are pairs, and this model takes domains; take ‹data.pairing› none for two domains"
"""What is said of pairs where domains are needed."""
KEPT = -1
"""Stands for the value of an attribute that is not to be changed."""


@dataclass(frozen=True)
class Attributes(Condition):
    """Values of attributes: indices, int64 with shape (n, len(names)); :data:`KEPT` where a translation keeps one.

    Of data without attributes the label is one.
    """

    name, plural, option = "attributes", "attributes", "to"
    names: tuple[str, ...]
    """Of the attributes."""
    values: tuple[tuple[str, ...], ...]
    """What each may be, in the order of its index."""
    columns: tuple[int, ...] = ()
    """Their places among those of the data; empty where the label is the attribute."""

    @classmethod
    def from_spec(cls, spec: DataSpec) -> Self | None:
        if spec.attributes:
            names, values = zip(*spec.attributes, strict=True)
            return cls(names, values, tuple(range(len(names))))
        return None

    @classmethod
    def from_data(cls, spec: DataSpec) -> Self:
        """The attributes that data of ``spec`` carry, or their label as one; a BadInput where they have neither."""
        if (found := cls.from_spec(spec)) is not None:
            return found
        if spec.source and not spec.classes:
            raise BadInput(PAIRS)
        if not spec.classes:
            raise BadInput(
                "the data carry no attributes: put images into a folder a class, or describe each by a caption such as "
                "'blue hair, red eyes'; see `genwerk data check`"
            )
        return cls((LABEL,), (spec.classes,))

    @classmethod
    def carried(cls, spec: DataSpec) -> DataSpec:
        return replace(spec, attributes=(("hair", ("black hair", "red hair")), ("eyes", ("blue eyes", "green eyes"))))

    def only(self, names: Sequence[str]) -> Self:
        """Those of the attributes that are among ``names``, as they are where the data have a label alone."""
        if not self.columns or not names:
            return self
        if unknown := [name for name in names if name not in self.names]:
            raise BadInput(f"the data have no attribute {unknown[0]!r}; theirs are {', '.join(self.names)}")
        kept = [i for i, name in enumerate(self.names) if name in names]
        return replace(
            self,
            names=tuple(self.names[i] for i in kept),
            values=tuple(self.values[i] for i in kept),
            columns=tuple(self.columns[i] for i in kept),
        )

    @property
    def noun(self) -> str:
        return f"attributes ({', '.join(self.names)})"

    @property
    def expected(self) -> str:
        return f"the index of a value of each of {', '.join(self.names)}"

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(name for values in self.values for name in values)

    @property
    def sizes(self) -> list[int]:
        """How many values each attribute has."""
        return [len(values) for values in self.values]

    def valid(self, values: Tensor) -> bool:
        if values.shape[1:] != (len(self.names),) or values.is_floating_point():
            return False
        return bool(((values >= KEPT) & (values < torch.tensor(self.sizes, device=values.device))).all())

    def column(self, data: Carrier) -> Tensor | None:
        if self.columns:
            return None if data.attributes is None else data.attributes[:, list(self.columns)]
        return None if data.condition is None else data.condition[:, None]

    def parse(self, typed: Sequence[str]) -> Tensor:
        """Values by name (case does not count), several joined by commas; attributes not named are :data:`KEPT`."""
        return torch.tensor([self._row(each) for each in typed])

    def _row(self, typed: str) -> list[int]:
        row = [KEPT] * len(self.names)
        every = [(i, j, v.casefold()) for i, values in enumerate(self.values) for j, v in enumerate(values)]
        for name in filter(None, map(str.strip, typed.split(","))):
            folded = name.casefold()
            found = [(i, j) for i, j, value in every if value == folded]
            found = found or [(i, j) for i, j, value in every if folded in value.split()]
            if len(found) > 1:
                which = " or ".join(repr(self.values[i][j]) for i, j in found[:3])
                raise BadInput(f"{name!r} may be {which}; write which")
            if not found:
                known = "; ".join(f"{n}: {', '.join(v)}" for n, v in zip(self.names, self.values, strict=True))
                raise BadInput(f"this model has not learned {name!r}; it has learned {known}")
            ((attribute, value),) = found
            if row[attribute] not in (KEPT, value):
                raise BadInput(
                    f"{typed!r} names two values of {self.names[attribute]}, of which an image has one; for an image "
                    "of each, separate them by spaces"
                )
            row[attribute] = value
        if set(row) == {KEPT}:
            raise BadInput(f"{typed!r} names no value; expected one of {', '.join(self.values[0][:12])}")
        return row

    def named(self, values: Tensor) -> dict[str, list[Any]]:
        return {
            name: [self.values[i][j] if j != KEPT else None for j in values[:, i].tolist()]
            for i, name in enumerate(self.names)
        }

    def one_hot(self, values: Tensor) -> Tensor:
        """Vectors with shape (n, width): a 1 for the value of each attribute, one attribute after the other."""
        return torch.cat([one_hot(values[:, i], size) for i, size in enumerate(self.sizes)], 1)

    def draw(
        self, n: int, seeds: Seeds, model: object, values: Tensor | None = None, *, prior: Prior = "train"
    ) -> Tensor | None:
        """Each attribute by itself and all its values as often, where none are given."""
        if values is not None:
            return super().draw(n, seeds, model, values)
        return self.drawn(SeededNoise(n, seeds).uniform(len(self.names)))

    def drawn(self, u: Tensor) -> Tensor:
        """Values of numbers uniform on [0, 1) with shape (n, len(names)), all of an attribute as often."""
        return (u * torch.tensor(self.sizes, device=u.device)).long()
