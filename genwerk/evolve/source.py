"""Problems that a user brings: a Python file, a command, functions, or a problem of pymoo; and what one must be like.

A Python file declares bounds and objectives, and constraints where there are some::

    lower, upper = [0.0] * 30, [1.0] * 30   # or numbers, with variables = 30

    def objectives(x):   # x has shape (30,); two numbers or more, to be minimised
        return x[0], 1 + x[1:].sum() - x[0] ** 0.5

    def constraints(x):  # optional; feasible where none is above 0
        return [x[0] + x[1] - 1.5]

With ``vectorised = True`` both take solutions with shape (n, 30) at once, and return (n, objectives). Where they are
known, ``exact(x)`` gives the objectives without their noise, and ``front(n)`` about n points of the Pareto front with
shape (n, objectives). Or the file holds a problem of pymoo, a class or an instance.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem
from pymoo.core.variable import Real

from genwerk.core.errors import BadFile, BadInput, BadSetting
from genwerk.core.files import open_regular, read_json
from genwerk.core.near import meant, one_of
from genwerk.evolve import problems
from genwerk.evolve.command import TRIES, OfCommand, places

Array: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[[Array], Any]
DECLARED = ("command", "lower", "upper", "variables")
"""What a TOML or JSON file declares."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a problem comes from, as plain values, so that any process can make it again."""

    problem: str = ""
    """A registered name, a Python file (mine.py, or mine.py:name), or a TOML or JSON file that declares a command."""
    variables: int | None = None
    objectives: int | None = None
    """Of a registered problem of any number of them; of a user's own, as many as were found in it."""
    constraints: int | None = None
    """As many as were found in a user's own problem."""
    matrices: str = ""
    """File of the matrices that some pairs of CEC 2017 need."""
    command: str = ""
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()

    @property
    def file(self) -> Path | None:
        """The user's file; None for a registered problem and a bare command."""
        path = Path(self.problem.partition(".py:")[0] + ".py" if ".py:" in self.problem else self.problem)
        return path if path.suffix in (".py", ".toml", ".json") else None

    @property
    def name(self) -> str:
        """What the problem is called in a sentence, and in the name of a folder."""
        return self.file.stem if self.file is not None else self.problem or "command"

    @property
    def content(self) -> str:
        """What the user's file holds, as a hash, by which a change is known; empty where there is none."""
        if self.file is None:
            return ""
        with open_regular(self.file) as file:
            return hashlib.sha256(file.read()).hexdigest()

    def counted(self) -> Source:
        """The same with the numbers of objectives and constraints that a user's own problem has, found by evaluating
        it in the middle of the bounds unless they are known."""
        if self.objectives is not None or (self.file is None and not self.command):
            return self
        problem = self.load()
        return replace(self, objectives=problem.n_obj, constraints=problem.n_ieq_constr)

    def load(self) -> Problem:
        """The problem, checked (:func:`check`)."""
        if self.problem and self.command:
            raise BadInput(f"{self.problem} and ‹command› are both named; name one of them")
        if self.file is not None and self.file.suffix == ".py":
            if named := next((name for name in ("variables", "lower", "upper") if getattr(self, name)), None):
                raise BadSetting(named, f"does not go with {self.file}, which declares it itself; leave it out")
            problem = _of_module(_module(self.file.resolve(), self.content), self)
        elif self.file is not None or self.command:
            problem = self._of_command()
        else:
            if self.lower or self.upper:
                raise BadInput(f"{self.problem} has bounds of its own; leave out ‹lower› and ‹upper›")
            problem = self._registered()
            if self.matrices and not hasattr(problem, "tasks"):
                raise BadSetting("matrices", f"does not go with {self.problem}; leave it out")
        check(problem, self.name)
        return problem

    def _registered(self) -> Problem:
        given = {"n_var": self.variables, "n_obj": self.objectives, "matrices": self.matrices}
        named = {"n_var": "variables", "n_obj": "objectives"}
        try:
            return problems.find(self.problem, **{name: value for name, value in given.items() if value})
        except BadSetting as error:
            raise BadSetting(named.get(error.setting, error.setting), *error.args[1:]) from None
        except BadInput:
            if self.variables is None and self.objectives is None:
                raise
        usual = problems.find(self.problem)
        for name, setting in named.items():
            if given[name] not in (None, there := getattr(usual, name)):
                raise BadSetting(setting, f"is {given[name]}, and {self.problem} always has {there}")
        return usual

    def _of_command(self) -> Problem:
        declared: dict[str, Any] = {} if self.file is None else _declared(self.file)
        typed = {name: value for name in DECLARED if (value := getattr(self, name))}
        of = {**declared, **typed}
        if not isinstance(of.get("command"), str):
            raise BadInput(f'{self.problem} declares no command; write one, as in command = "python simulate.py"')
        lower, upper = (
            each[0] if isinstance(each, tuple) and len(each) == 1 else each
            for each in (of.get("lower"), of.get("upper"))
        )
        low, high = bounds(lower, upper, of.get("variables"), "‹lower›", "‹upper›")
        folder = str(self.file.resolve().parent) if self.file is not None else None
        return OfCommand(of["command"], low, high, self.objectives, self.constraints, folder)


def check(problem: Problem, name: str) -> None:
    """Raise a BadInput unless ``problem`` has two objectives or more over real variables within finite bounds."""
    of = list((getattr(problem, "vars", None) or {}).values())
    if of or problem.vtype not in (None, float):
        whole = [type(each).__name__.lower() for each in of if not isinstance(each, Real)]
        kind = " and ".join(sorted({*whole})) or ("single" if of else getattr(problem.vtype, "__name__", "other"))
        raise BadInput(
            f"{name} declares {kind} variables, and these algorithms propose vectors of real numbers: declare n_var, "
            "xl and xu, and round inside the objectives where a variable is whole"
        )
    if problem.n_obj < 2:
        raise BadInput(
            f"{name} has a single objective, and these algorithms look for a front of two or more; take an algorithm "
            "for one objective, such as pymoo's DE or CMAES"
        )
    if problem.n_var < 1:
        raise BadInput(f"{name} declares no variables (n_var is {problem.n_var}); it needs one or more")
    if problem.xl is None or problem.xu is None:
        raise BadInput(f"{name} has no bounds; declare the lower and the upper bound of every variable")
    check_bounds(problem.xl, problem.xu, name)


def check_bounds(lower: Array, upper: Array, name: str) -> None:
    """Raise a BadInput unless every lower bound is below the upper one, and all are finite."""
    for i, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise BadInput(f"{name} bounds x{i} by {low:g} and {high:g}; expected finite numbers")
        if low == high:
            raise BadInput(f"{name} bounds x{i} by {low:g} on both sides; leave it out, or give it room")
        if low > high:
            raise BadInput(f"{name} bounds x{i} by {low:g} below and {high:g} above; exchange them")


# --- functions --------------------------------------------------------------------------------------------------------


class OfFunction(Problem):
    """A problem of pymoo from functions of a solution, or of many where ``vectorised``.

    How many objectives and constraints there are is found by evaluating it in the middle of the bounds, unless they are
    given. A BadInput says so where their number changes later.
    """

    def __init__(
        self,
        objectives: Function,
        lower: Array,
        upper: Array,
        constraints: Function | None = None,
        *,
        vectorised: bool = False,
        exact: Function | None = None,
        front: Callable[[int], Array] | None = None,
        counts: tuple[int, int] | None = None,
        name: str = "objectives(x)",
    ) -> None:
        check_bounds(lower, upper, name)
        super().__init__(n_var=len(lower), n_obj=0, xl=lower, xu=upper, elementwise=not vectorised)
        self.functions, self.called, self.exact = (objectives, constraints), name, exact
        if front is not None:
            self.sample_front = front
        self.n_obj, self.n_ieq_constr = counts or self._tried()

    def name(self) -> str:
        return self.called

    def _tried(self) -> tuple[int, int]:
        for x in places(self.xl, self.xu):
            try:
                f, g = (self._values(each, x if self.elementwise else x[None]) for each in self.functions)
            except BadInput:
                raise
            except (Exception, SystemExit) as error:
                why = told(error)
            else:
                return f.shape[-1], g.shape[-1]
        raise BadInput(f"{self.called} fails, tried with {TRIES} solutions: {why}")

    def _values(self, function: Function | None, x: Array) -> Array:
        """What ``function`` gives for ``x`` as numbers with as many dimensions as ``x``."""
        if function is None:
            return np.empty((*x.shape[:-1], 0))
        given, called = function(x), self.called if function is self.functions[0] else f"constraints of {self.called}"
        if given is None:
            raise BadInput(f"{called} gives None; expected numbers, so see whether a return is missing")
        found = np.asarray(given, dtype=float)
        if self.elementwise:
            if found.ndim > 1:
                raise BadInput(
                    f"{called} gives numbers with shape {found.shape} for a solution with shape {x.shape}; "
                    "expected (objectives,), or vectorised = True where it takes many solutions at once"
                )
            return found.reshape(-1)
        if found.ndim != 2 or len(found) != len(x):
            raise BadInput(
                f"{called} is vectorised and gives numbers with shape {found.shape} for solutions with shape "
                f"{x.shape}; expected two dimensions, and a row for each solution"
            )
        return found

    def _evaluate(self, x: Array, out: dict[str, Any], *_: Any, **__: Any) -> None:
        f, g = (self._values(each, x) for each in self.functions)
        for found, expected, what in ((f, self.n_obj, "objectives"), (g, self.n_ieq_constr, "constraints")):
            if found.shape[-1] != expected:
                raise BadInput(
                    f"{self.called} gives {found.shape[-1]} {what} for one solution and {expected} for another; "
                    "expected the same number always"
                )
        out["F"], out["G"] = f, g


def bounds(lower: Any, upper: Any, variables: Any, of_lower: str, of_upper: str) -> tuple[Array, Array]:
    """Bounds of every variable: ``lower`` and ``upper`` are numbers, one for all of them or one for each.

    The last two are what they are called in a sentence.
    """
    found = list[Array]()
    for value, name in ((lower, of_lower), (upper, of_upper)):
        if value is None:
            raise BadInput(f"{name} is missing; give the bound of each variable, or one number and how many there are")
        try:
            found.append(np.asarray(value, dtype=float))
        except (TypeError, ValueError):
            raise BadInput(f"{name} is {value!r}; expected numbers") from None
    if variables is not None and (isinstance(variables, bool) or not isinstance(variables, int) or variables < 1):
        raise BadInput(f"the number of variables is {variables!r}; expected a whole number above 0")
    n = variables or max(each.size for each in found)
    low, high = (np.full(n, each) if each.ndim == 0 else each for each in found)
    if low.shape != (n,) or high.shape != (n,):
        raise BadInput(f"{of_lower} and {of_upper} bound {low.size} and {high.size} variables; expected {n} of each")
    return low, high


# --- files ------------------------------------------------------------------------------------------------------------


@cache
def _module(path: Path, _content: str) -> ModuleType:
    """The user's file ``path``, run once for each content that it has; what lies beside it can be imported by it."""
    spec = importlib.util.spec_from_file_location(f"genwerk_problem_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadInput(f"{path.name} cannot be loaded: {told(error)}") from None
    return module


def _of_module(module: ModuleType, source: Source) -> Problem:
    """The problem that the user's file declares, by the name after a colon where there is one."""
    there, named = vars(module), source.problem.partition(".py:")[2]
    file, own = f"{source.name}.py", [v for v in vars(module).values() if _is_problem(v, module)]
    if named and named not in there:
        raise BadInput(f"{file} defines no {named}{meant(named, there)}")
    found = there[named] if named else there.get("objectives") or (own[0] if len(own) == 1 else None)
    if found is None:
        raise BadInput(
            f"{file} declares {'several problems' if own else 'no problem'}: name one, as in {file}:name, or define "
            "objectives(x), lower and upper (docs/optimisation.md)"
        )
    if isinstance(found, type) and issubclass(found, Problem):
        try:
            found = found()
        except Exception as error:
            raise BadInput(f"{found.__name__} of {file} cannot be made without arguments: {told(error)}") from None
    if isinstance(found, Problem):
        return found
    if not callable(found):
        raise BadInput(f"{named} of {file} is {type(found).__name__}; expected a function, or a problem of pymoo")
    low, high = bounds(
        there.get("lower"), there.get("upper"), there.get("variables"), f"lower of {file}", f"upper of {file}"
    )
    counts = None if source.objectives is None else (source.objectives, source.constraints or 0)
    return OfFunction(
        found,
        low,
        high,
        there.get("constraints"),
        vectorised=bool(there.get("vectorised", False)),
        exact=there.get("exact"),
        front=there.get("front"),
        counts=counts,
        name=f"{named or 'objectives'}(x) of {file}",
    )


def _is_problem(value: object, module: ModuleType) -> bool:
    own = isinstance(value, type) and issubclass(value, Problem) and value.__module__ == module.__name__
    return own or isinstance(value, Problem)


def _declared(path: Path) -> dict[str, Any]:
    """What a TOML or JSON file declares."""
    if path.suffix == ".json":
        found = read_json(path)
    else:
        import tomllib

        with open_regular(path) as file:
            try:
                found = tomllib.loads(file.read().decode())
            except ValueError as error:
                raise BadFile(f"{path} is not valid TOML: {error}") from None
    if unknown := next((name for name in found if name not in DECLARED), None):
        raise BadInput(f"{path} declares {unknown}{meant(unknown, DECLARED) or one_of(DECLARED)}")
    return found


def told(error: BaseException) -> str:
    """An error of a user's code in a line, with the place where it was raised."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    places = [frame for frame in traceback.extract_tb(error.__traceback__) if "/genwerk/" not in frame.filename]
    where = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return " ".join(said.split()) + ("" if isinstance(error, SyntaxError) else where)
