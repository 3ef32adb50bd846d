"""What a comparison finds, as values: each run as it was measured, and what all of them have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from genwerk.core.errors import BadInput
from genwerk.evaluation.efficiency import Growth
from genwerk.evaluation.report import Figure, Report
from genwerk.training.settings import from_json, to_json

NOTHING = Report(figures=())


@dataclass(frozen=True, kw_only=True)
class Point:
    """The quality of a run at one of its checkpoints."""

    round: int
    examples: int
    """Training examples drawn up to there."""
    cpu_seconds: float | None
    """Processor seconds of training up to there; None where the log does not tell."""
    seconds: float
    """Seconds of training up to there by the clock."""
    distance: float
    """The Fréchet distance of samples from validation examples, in the features of the comparison."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run as it was measured."""

    contestant: str
    """What it stands for in the table: runs with equal settings but for the seed are one contestant."""
    recipe: str
    seed: int
    run: str
    """Its folder, as it was named."""
    family: str
    """What the class of its model is called."""
    abilities: tuple[str, ...]
    condition: str
    """What samples are conditioned on (label, prompt, covariates); empty where they are not."""
    likelihood: str
    """exact, bound, or empty where there is none."""
    scored_as: str = "stored"
    """Which version of the data that likelihood is of (stored, binary, symbols): unlike ones are not compared."""
    rounds: int
    """Rounds that its weights have been trained for."""
    settings: dict[str, Any]
    """The recipe, as plain JSON."""
    report: Report
    """Quality, likelihood, memorisation and invertibility on the test part, and the family's own figures."""
    efficiency: Report = NOTHING
    """What it costs to train and to use."""
    growth: tuple[Growth, ...] = ()
    curve: tuple[Point, ...] = ()
    """Quality against time, in the order of the rounds."""
    pictures: dict[str, str] = field(default_factory=dict)
    """Files relative to the report's folder, by what they show: samples, reconstructions, interpolations, completions,
    nearest. PNG, or WAV for sounds."""
    command: str = ""
    """What trains it again."""

    def figure(self, key: str) -> Figure | None:
        """The figure with that key, wherever it stands."""
        every = (*self.report.figures, *self.efficiency.figures)
        return next((figure for figure in every if figure.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A run that gave no figures."""

    contestant: str
    recipe: str
    seed: int
    run: str
    why: str
    """In a sentence."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs on the same data, measured alike."""

    source: str
    """What the data are called."""
    data: str
    """What they hold, in words."""
    kind: str
    """image, audio, table or text."""
    fingerprints: dict[str, str]
    """Of the parts of the data, by their names."""
    examples: dict[str, int]
    """How many examples each part has: train, validation and test."""
    budget: str
    """How training was bounded, in words: "4 CPU minutes each, one thread"; empty where runs were given."""
    samples: int
    """Samples of each run that were measured; a run with fewer says so among its notes."""
    extractor: str
    """The extractor of the features, in one line; empty where there are none."""
    seed: int
    """Seed of samples and of resampling."""
    machine: str
    """Processor, threads and system, in words."""
    version: str
    """Of Genwerk and of PyTorch."""
    command: str
    """What repeats the comparison."""
    measured: tuple[Measured, ...] = ()
    failed: tuple[Failed, ...] = ()
    pictures: dict[str, str] = field(default_factory=dict)
    """Files relative to the report's folder: "real" are held-out examples."""
    notes: tuple[str, ...] = ()

    @property
    def contestants(self) -> tuple[str, ...]:
        """Those that were measured, in the order in which they were named."""
        return tuple(dict.fromkeys(each.contestant for each in self.measured))

    def of(self, contestant: str) -> tuple[Measured, ...]:
        """Its runs, one a training seed."""
        return tuple(each for each in self.measured if each.contestant == contestant)


def to_plain(value: Measured | Comparison) -> dict[str, Any]:
    """Plain JSON."""
    return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Report):
        return value.to_json()
    if isinstance(value, tuple) and value and isinstance(value[0], Measured):
        return [to_plain(each) for each in value]
    return to_json(value)


def measured_from(found: Any, where: str = "the measured run") -> Measured:
    """The run that :func:`to_plain` described; a BadInput says where it is none."""
    return _from(Measured, found, where)


def comparison_from(found: Any, where: str = "the comparison") -> Comparison:
    """The comparison that :func:`to_plain` described; a BadInput says where it is none."""
    return _from(Comparison, found, where)


T = TypeVar("T", Measured, Comparison)


def _from(kind: type[T], found: Any, where: str) -> T:
    if not isinstance(found, Mapping):
        raise BadInput(f"{where} is {str(found)[:60]!r}; expected an object")
    hints = get_type_hints(kind)
    if unknown := sorted(found.keys() - hints.keys()):
        raise BadInput(f"{where} has the unknown field {unknown[0]!r}")
    values = dict[str, Any]()
    for name, value in found.items():
        of = f"{where}.{name}"
        if hints[name] is Report:
            values[name] = Report.from_json(value)
        elif name == "measured":
            values[name] = tuple(measured_from(each, f"{of}[{i}]") for i, each in enumerate(value))
        else:
            values[name] = from_json(hints[name], value, of)
    try:
        return kind(**values)
    except TypeError as error:
        raise BadInput(f"{where} is not whole: {error}") from None
