"""A comparison from its request to its report: recipes are trained, runs are measured, and all goes on after a kill."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch

from genwerk import __version__
from genwerk.comparison import measuring, pictures, training
from genwerk.comparison.measuring import FEWEST, Common
from genwerk.comparison.plan import Contestant, Plan, Request, budget, suggested
from genwerk.comparison.report import write_report
from genwerk.comparison.result import Comparison, Failed, Measured
from genwerk.core.abilities import abilities
from genwerk.core.errors import BadInput, Unwritable
from genwerk.core.files import make_folder, read_json, write_atomically
from genwerk.core.printable import count
from genwerk.data import Splits, open_data
from genwerk.data.dataset import PARTS
from genwerk.data.parts import unlike
from genwerk.data.settings import DataConfig
from genwerk.evaluation.extractor import preparing
from genwerk.evaluation.report import Figure, Measuring
from genwerk.runs import store
from genwerk.training.runtime import pick_device
from genwerk.training.settings import from_json

T = TypeVar("T")

FAULTS = (ValueError, RuntimeError, MemoryError, OSError)
"""Errors of one run (its data, its files, its memory), after which the others go on."""


def compare(
    *runs: Path | str, data: DataConfig | str = "", out: Path | str = "comparison", **settings: Any
) -> Comparison:
    """Compare runs, or recipes that are trained alike: ``compare(data="digits", recipes=("vae", "gan"), minutes=2)``.

    ``settings`` are those of a :class:`Request`. With ``examples`` in place of ``minutes`` the number of rounds does
    not depend on the machine's speed, so that the same call gives the same weights bit for bit. The report is written
    into ``out``, where the same call continues after a stop.
    """
    source = data if isinstance(data, DataConfig) else DataConfig(source=data)
    recipes = tuple(settings.pop("recipes", ())) or (() if runs else suggested(source))
    comparing = Comparing(Path(out), Request(runs=tuple(map(str, runs)), data=source, recipes=recipes, **settings))
    for _ in comparing:
        pass
    assert comparing.comparison is not None
    return comparing.comparison


class Comparing:
    """Trains what is to be trained and measures all runs: iterate once, for how far it is.

    :attr:`comparison` is there at the end, and the report in ``folder``. What was done before a stop or a kill is not
    done again: the same request goes on. ``command`` is what repeats it.
    """

    def __init__(self, folder: Path, request: Request, command: str = "") -> None:
        self.folder, self.request, self.command = folder, request, command
        self.plan = Plan(folder, request)
        self.given = given([Path(run) for run in request.runs])
        self.written = list[Path]()
        self.comparison: Comparison | None = None
        self._failed, self._notes = list[Failed](), list[str]()

    def __iter__(self) -> Iterator[Measuring]:
        if self.given:
            splits, contestants = self._on_common_data(), self.given
            self.plan.write()
        else:
            splits = open_data(self.request.data)
            contestants = yield from self._trained(splits)
        extractor = None
        if splits.spec.modality.measured:
            request = self.request
            steps = preparing(splits, request.evaluate.features, pick_device(request.device))
            extractor = yield from _told("feature network", steps)
        common = Common(self.folder, self.request, splits, extractor)
        measured = yield from self._measured(contestants, common)
        self.comparison = self._found(common, measured)
        self.written = write_report(self.comparison, self.folder)

    # --- what takes part ----------------------------------------------------------------------------------------------

    def _trained(self, splits: Splits) -> Generator[Measuring, None, list[Contestant]]:
        """The recipes of the request, trained with every seed; those that cannot be are among the failed."""
        yield from self.plan.making(splits)
        for name, why in self.plan.refused.items():
            self._failed.append(Failed(contestant=name, recipe=name, seed=0, run="", why=why))
        planned = list(self.plan.contestants)
        for each in planned:
            if training.over(each) and (has := unlike(store.find(each.run).data, splits)):
                raise BadInput(f"{each.run} is of other data: it has {has}; choose another folder with ‹out›")
        failed = yield from training.train_all(planned, splits.spec, self.request)
        for each in planned:
            if each.key in failed:
                self._fail(each, failed[each.key])
        return [each for each in planned if each.key not in failed]

    def _on_common_data(self) -> Splits:
        """The data of the first run, which must be those of all, or the test examples that all share, if so asked."""
        first, *others = self.given
        splits = measuring.opened(first, self.request).splits
        different = {each: why for each in others if (why := unlike(store.find(each.run).data, splits))}
        if not different:
            return splits
        if not self.request.common:
            run, why = next(iter(different.items()))
            raise BadInput(
                f"{run.run} was trained and tested on other data than {first.run} (it has {why}); compare runs on the "
                "same data, or name ‹common› to compare them on the test examples that they share"
            )
        shared = hashes(splits)
        for each in different:
            shared &= hashes(measuring.opened(each, self.request).splits)
        rows = torch.tensor([i for i, own in enumerate(each_hash(splits)) if own in shared], dtype=torch.int64)
        if not len(rows):
            other = next(iter(different)).run
            raise BadInput(f"{first.run} and {other} share no test example, so nothing can be compared")
        self._notes.append(
            f"The runs are of different data; they are compared on the {len(rows):,} test examples that all held out, "
            f"and with the training examples of {first.run}."
        )
        return replace(splits, test=splits.test.select(rows))

    def _fail(self, contestant: Contestant, why: str) -> None:
        self._failed.append(
            Failed(
                contestant=contestant.name,
                recipe=contestant.recipe,
                seed=contestant.seed,
                run=self._place(contestant.run),
                why=why,
            )
        )

    # --- what is found ------------------------------------------------------------------------------------------------

    def _measured(
        self, contestants: Sequence[Contestant], common: Common
    ) -> Generator[Measuring, None, list[Measured]]:
        numbers = yield from self._samples(contestants, common)
        measured = list[Measured]()
        for step, contestant in enumerate(contestants, 1):
            if contestant.name not in numbers:
                continue
            try:
                found = yield from measuring.measure(
                    contestant, common, numbers[contestant.name], step, len(contestants)
                )
            except FAULTS as error:
                self._fail(contestant, _why(error))
            else:
                measured.append(replace(found, run=self._place(contestant.run)))
        return measured

    def _samples(self, contestants: Sequence[Contestant], common: Common) -> Generator[Measuring, None, dict[str, int]]:
        """How many samples of each contestant are measured: the same of all, but for those that are too slow."""
        path, most = self.folder / "pace.json", min(self.request.evaluate.samples, len(common.splits.train))
        known: dict[str, int | None] = from_json(
            dict[str, int | None], read_json(path) if path.exists() else {}, str(path)
        )
        firsts = {each.name: each for each in reversed(contestants)}
        for done, name in enumerate(reversed(firsts)):
            if name in known:
                continue
            yield Measuring(
                what=f"speed of sampling, {name}", step=1, steps=1, done=done, total=len(firsts), seconds_left=None
            )
            try:
                run = measuring.opened(firsts[name], self.request)
                samples = "samples" in abilities(run.model)
                known[name] = measuring.affordable(run, common).rows if samples else None
            except FAULTS as error:
                self._fail(firsts[name], _why(error))
                continue
            make_folder(self.folder)
            write_atomically(path, json.dumps(known).encode())
        able = [n for name, n in known.items() if name in firsts and n is not None and n >= min(FEWEST, most)]
        number = min(able, default=most)
        slow = {name: n for name, n in known.items() if name in firsts and n is not None and n < number}
        minutes = self.request.evaluate.minutes
        if number < most:
            self._notes.append(
                f"{number:,} samples of each are measured, not {most:,}, for the slowest makes no more in {minutes:g} "
                "minutes."
            )
        for name, n in slow.items():
            self._notes.append(f"{name} makes only {n:,} samples in {minutes:g} minutes; its figures are of these.")
        return {name: slow.get(name, number) for name in firsts if name in known}

    def _found(self, common: Common, measured: Sequence[Measured]) -> Comparison:
        splits, into = common.splits, self.folder / "pictures"
        make_folder(into)
        shown = pictures.real(splits, into, self.request.evaluate.seed)
        return Comparison(
            source=splits.settings.source,
            data=str(splits.spec),
            kind=splits.spec.kind,
            fingerprints=dict(splits.fingerprints),
            examples={name: len(splits.part(name)) for name in PARTS},
            budget="; ".join(filter(None, [budget(self.request), spent(measured)])),
            samples=min(self.request.evaluate.samples, len(splits.train)),
            extractor="" if common.extractor is None else common.extractor.describe(),
            seed=self.request.evaluate.seed,
            machine=machine(),
            version=f"Genwerk {__version__}, PyTorch {torch.__version__}",
            command=self.command,
            measured=tuple(timed(measured, self.request.reach)),
            failed=tuple(self._failed),
            pictures=measuring.relative(shown, self.folder),
            notes=tuple(self._notes),
        )

    def _place(self, run: Path) -> str:
        """Where a run is, seen from the report where it lies below it."""
        return run.relative_to(self.folder).as_posix() if run.is_relative_to(self.folder) else str(run)


def given(runs: Sequence[Path]) -> list[Contestant]:
    """Runs that are there already: those with equal settings but for the seed are one contestant.

    It is called as their recipe is, or as the first of their folders where another has that recipe with other settings.
    """
    found = {run: store.find(run) for run in runs}
    folders = {run: stored.run.resolve() for run, stored in found.items()}
    for i, run in enumerate(runs):
        if twice := next((other for other in runs[:i] if folders[other] == folders[run]), None):
            raise BadInput(f"{twice} and {run} are one run; name it once")
        _idle(found[run].run, run)
    called = {run: _called(folder, folders.values()) for run, folder in folders.items()}
    alike = dict[tuple[str, str], list[Path]]()
    for run, stored in found.items():
        settings = replace(stored.recipe, train=replace(stored.recipe.train, seed=0))
        alike.setdefault((stored.name, repr(settings)), []).append(run)
    recipes = [name for name, _ in alike]
    contestants = list[Contestant]()
    for (recipe, _), same in alike.items():
        seeds = [found[run].recipe.train.seed for run in same]
        for run, seed in zip(same, seeds, strict=True):
            apart = len(set(seeds)) == len(seeds)
            taken = any(called[other] == recipe for other in runs if other not in same)
            one = apart and recipes.count(recipe) == 1 and not taken
            name = recipe if one else called[same[0] if apart else run]
            first = name not in [each.name for each in contestants]
            contestants.append(Contestant(name, recipe, seed, run, first=first))
    return contestants


def _called(folder: Path, all_: Iterable[Path]) -> str:
    """The name of a folder, with as many of those that it lies in as tell it from the others."""
    parts = folder.relative_to(folder.anchor).parts
    others = [other.parts for other in all_ if other != folder]
    enough = (n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others))
    return "-".join(parts[-next(enough, len(parts)) :])


def _idle(folder: Path, run: Path) -> None:
    """Refuse a run that is being trained now."""
    try:
        with store.only_writer(folder):
            pass
    except Unwritable:
        pass  # then nobody else can write it either
    except BadInput as error:
        raise BadInput(f"{run} is being trained now ({error.sentence}); compare it when that is over") from None


def each_hash(splits: Splits) -> Iterator[bytes]:
    """What tells one test example from another."""
    return (hashlib.sha256(x.numpy().tobytes()).digest() for part in splits.test.parts() for x in part)


def hashes(splits: Splits) -> set[bytes]:
    """:func:`each_hash` of all test examples."""
    return set(each_hash(splits))


def spent(measured: Sequence[Measured]) -> str:
    """The processor seconds that the trainings took, in words; a stage that converges ends early."""
    took = [figure.value for each in measured if (figure := each.figure("training_cpu_seconds")) is not None]
    return f"{min(took):,.3g} to {max(took):,.3g} CPU seconds taken" if took else ""


def timed(measured: Sequence[Measured], reach: float | None) -> list[Measured]:
    """The runs with the processor seconds until their distance was at most ``reach`` among the figures of efficiency.

    None is the median of the distances with which the contestants end.
    """
    ends = [each.curve[-1].distance for each in measured if each.curve]
    if not ends:
        return list(measured)
    level = median(ends) if reach is None else reach
    goal = f"to a Fréchet distance of {level:.4g} from validation examples"
    goal += " (the median of all runs at their end)" if reach is None else ""

    def with_time(each: Measured) -> Measured:
        if not each.curve:
            return each
        first = next((point for point in each.curve if point.distance <= level), None)
        figure = Figure(
            name="seconds to quality",
            value=nan if first is None else first.seconds if first.cpu_seconds is None else first.cpu_seconds,
            unit="s",
            note=f"{goal}, looked for at {len(each.curve)} checkpoints",
            verdict="not reached" if first is None else "",
        )
        figures = (*each.efficiency.figures, figure)
        return replace(each, efficiency=replace(each.efficiency, figures=figures))

    return [with_time(each) for each in measured]


def machine() -> str:
    """The processor, or GPU, and the system, in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = count(torch.get_num_threads(), "thread")
    return f"{name}{gpu}, {threads}, {platform.system()}, Python {platform.python_version()}"


def _told(what: str, steps: Generator[tuple[int, int], None, T]) -> Generator[Measuring, None, T]:
    """``steps``, each told as how far it is."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
        yield Measuring(what=what, step=1, steps=1, done=done, total=total, seconds_left=None)


def _why(error: Exception) -> str:
    if isinstance(error, BadInput):
        return error.sentence
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
