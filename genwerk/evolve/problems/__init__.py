"""Problems by name, each with points of its front where that is known; importing this registers them all.

A further one, in a user's own file too, is a function that returns a problem of pymoo:

    @problem("mine", "two objectives of a beam")
    def mine(n_var: int = 10) -> Problem: return Mine(n_var)

A ``sample_front(n)`` of the problem gives about n points of its front.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import partial
from inspect import getdoc
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
ABOUT: dict[str, str] = {}
"""What each problem is, in a line; those of a collection share theirs."""


def problem(name: str, about: str = "") -> Callable[[Made], Made]:
    """Register a maker of problems under ``name``; what it is stands in ``about`` or its docstring's first line."""

    def register(make: Made) -> Made:
        PROBLEMS[name], ABOUT[name] = make, about or (getdoc(make) or "").partition("\n")[0]
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


OF_PYMOO = {
    "ZDT: two objectives; 30 variables, zdt4 and zdt6 10 (Zitzler, Deb & Thiele, 2000)": "zdt1 zdt2 zdt3 zdt4 zdt6",
    "DTLZ: any number of objectives (Deb, Thiele, Laumanns & Zitzler, 2002)": (
        "dtlz1 dtlz2 dtlz3 dtlz4 dtlz5 dtlz6 dtlz7"
    ),
    "DTLZ with constraints (Jain & Deb, 2014)": "c1dtlz1 c1dtlz3 c2dtlz2 c3dtlz1 c3dtlz4",
    "two objectives whose front is in pieces (Kursawe, 1991)": "kursawe",
    "two objectives of few variables, with constraints (Deb et al., 2002)": "bnh osy srn tnk",
    "two objectives of engineering, with constraints": "truss2d welded_beam",
    "three objectives: the side of a car in a crash, with constraints (Jain & Deb, 2014)": "carside",
}
IMF = "IMF: linked variables, two objectives (f4, f8: three), the corner optimal (Cheng et al., 2015)"
INTERIOR = "IMF with the same fronts, and Pareto sets off the corner"

for _about, _names in OF_PYMOO.items():
    for _name in _names.split():
        problem(_name.replace("_", "-"), _about)(partial(get_problem, _name))
for _name in INSTANCES:
    problem(f"immoea-{_name}", IMF)(partial(IMMOEA, _name))
for _name in INSTANCES:
    problem(f"immoea-{_name}-interior", INTERIOR)(partial(IMMOEA, _name, interior=True))
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ABOUT", "POINTS", "PROBLEMS", "find", "front", "problem"]
