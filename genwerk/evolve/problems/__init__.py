"""Problems by name, each with points of its front where that is known; importing this registers them all.

A further one, in a user's own file too, is a function that returns a problem of pymoo:

    @problem("mine")
    def mine(n_var: int = 10) -> Problem: return Mine(n_var)

A ``sample_front(n)`` of the problem gives about n points of its front.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pymoo.core.problem import Problem
from pymoo.problems import get_problem

from genwerk.core.errors import BadInput
from genwerk.core.near import meant, one_of
from genwerk.evolve.problems.fronts import POINTS, front
from genwerk.evolve.problems.immoea import IMMOEA, INSTANCES

Made = TypeVar("Made", bound=Callable[..., Problem])
PROBLEMS: dict[str, Callable[..., Problem]] = {}
"""Makers of all problems by name; each takes its options by keyword: ``n_var``, and ``n_obj`` for dtlz."""


def problem(name: str) -> Callable[[Made], Made]:
    """Register a maker of problems under ``name``."""

    def register(make: Made) -> Made:
        PROBLEMS[name] = make
        return make

    return register


def find(name: str, **options: Any) -> Problem:
    """The problem called ``name``; a BadInput names the nearest ones."""
    if name not in PROBLEMS:
        raise BadInput(f"there is no problem called {name!r}{meant(name, PROBLEMS) or one_of(PROBLEMS)}")
    try:
        return PROBLEMS[name](**options)
    except TypeError as error:
        raise BadInput(f"the problem {name} cannot be made of {', '.join(options)}: {error}") from None


UNCONSTRAINED = "zdt1 zdt2 zdt3 zdt4 zdt6 dtlz1 dtlz2 dtlz3 dtlz4 dtlz5 dtlz6 dtlz7 kursawe"
CONSTRAINED = "bnh osy srn tnk truss2d welded_beam carside c1dtlz1 c1dtlz3 c2dtlz2 c3dtlz1 c3dtlz4"

for _name in f"{UNCONSTRAINED} {CONSTRAINED}".split():
    PROBLEMS[_name.replace("_", "-")] = partial(get_problem, _name)
for _name in INSTANCES:
    PROBLEMS[f"immoea-{_name}"] = partial(IMMOEA, _name)
    PROBLEMS[f"immoea-{_name}-interior"] = partial(IMMOEA, _name, interior=True)
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["POINTS", "PROBLEMS", "find", "front", "problem"]
