"""What a promise is, and of which families it is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from genwerk.core.abilities import abilities
from genwerk.core.options import SamplingOptions
from genwerk.core.spec import DataSpec
from genwerk.testing.case import Case

Check = Callable[[Case, Path], None]
Requirement = Callable[[Case], str | None]
"""Why a family does not promise something; None where it does. A fresh model is enough to tell."""


@dataclass(frozen=True)
class Promise:
    """What families promise; the docstring of ``check`` says what it means and, after "Remedy:", what usually mends
    it."""

    check: Check
    requirements: tuple[Requirement, ...]

    def lacking(self, case: Case) -> str | None:
        """Why the family of ``case`` does not promise this; None where it does."""
        return next((why for requirement in self.requirements if (why := requirement(case))), None)


PROMISES: dict[str, Promise] = {}
"""Every promise by its name."""


def promise(*requirements: Requirement) -> Callable[[Check], Check]:
    """Make a function one of the promises, of families that meet all ``requirements``."""

    def register(check: Check) -> Check:
        PROMISES[check.__name__.replace("_", " ")] = Promise(check, requirements)
        return check

    return register


def explained(name: str) -> tuple[str, str]:
    """What the promise called ``name`` means, and the usual remedy where it is broken: a sentence each."""
    meaning, _, remedy = " ".join((PROMISES[name].check.__doc__ or "").split()).partition(" Remedy: ")
    return meaning, remedy[:1].upper() + remedy[1:]


@contextmanager
def refused(kind: type[Exception], match: str) -> Iterator[None]:
    """What is done inside must be refused by an error of ``kind`` whose message matches."""
    said = None
    try:
        yield
    except kind as error:
        said = str(error)
    assert said is not None, f"nothing was refused by a {kind.__name__} like {match!r}"
    assert re.search(match, said), f"{said!r} does not match {match!r}"


def claims(*names: str) -> Requirement:
    """Families with the abilities called ``names``."""

    def lacking(case: Case) -> str | None:
        absent = [name for name in names if name not in abilities(case.model)]
        return f"does not claim {' and '.join(absent)}" if absent else None

    return lacking


def sampled_with(options: type[SamplingOptions]) -> Requirement:
    """Families with sampling options of a type."""
    why = f"is not sampled with options like {options.__name__}"
    return lambda case: None if isinstance(case.model.options, options) else why


def in_range(x: torch.Tensor, spec: DataSpec) -> bool:
    low, high = spec.modality.range or (-torch.inf, torch.inf)
    return bool(x.isfinite().all() and (x >= low).all() and (x <= high).all())
