"""Commands that ask a density about examples: which class they are of, and how unusual they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.commands.command import MEASURE, Command
from genwerk.commands.options import Greatest, Prior, Run, Show, uncounted, unshown
from genwerk.commands.results import Figures, Known, Note, Table, cell, records
from genwerk.core.errors import BadInput
from genwerk.core.marks import File
from genwerk.core.printable import count
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from genwerk.core.spec import Batch
    from genwerk.data import Dataset
    from genwerk.runs.opened import OpenRun
    from genwerk.tasks.classification import Calibrated, Classification


@dataclass(frozen=True, kw_only=True)
class Classify(Command):
    """Classify by Bayes' rule: each example's class probabilities, or how good they are on the run's held-out data."""

    group = MEASURE
    needs = frozenset({"has-likelihood"})
    conditioned = "label"

    folder: Run
    input: Annotated[str | None, File()] = None
    """Your own images, sounds or table (a path); without it accuracy and calibration on the run's test part are
    measured, with a temperature that is fitted on one half of it and measured on the other."""
    n: Greatest = 2000
    label: str | None = None
    """True class of all of the input, by name or number, to measure the accuracy by."""
    prior: Prior = "train"
    temperature: float = 1.0
    """What the logarithms of your input's class probabilities are divided by, as measured without it."""
    show: Show = 20
    seed: int = 0
    """Seed of the choice of halves."""

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.tasks import classification

        opened = session.open(self.folder)
        classification.classes_of(opened.model)
        first = uncounted(opened, self.prior)
        if self.input is None:
            data = some(held(opened), self.n, self.seed)
            found = classification.classify(opened.model, data.batch(), self.prior)
            measured = classification.calibrate(found, data.condition, seed=self.seed)
            yield calibration(measured, found, data, first)
            return
        batch, known = opened.examples(self.input, self.n, self.label)
        found = classification.classify(opened.model, batch, self.prior, self.temperature)
        accuracy = None if batch.condition is None else classification.calibration(found, batch.condition).accuracy
        yield classes(opened, found, known, accuracy, self.show, first)


@dataclass(frozen=True, kw_only=True)
class Outliers(Command):
    """Score how unusual examples are among the run's held-out data, the least typical first."""

    group = MEASURE
    needs = frozenset({"has-likelihood or bounds-likelihood"})

    folder: Run
    input: Annotated[str, File()] = "test"
    """Your own images, sounds or table (a path), or a part of the run's data (train, validation, test)."""
    n: Greatest = 2000
    examples: int = 2000
    """Greatest number of held-out examples to compare with."""
    importance_samples: int = 100
    """Importance samples per example, for likelihood bounds."""
    show: Show = 20
    seed: int = 0
    """Seed of the importance samples, and of the choice of held-out examples."""

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.data.dataset import PARTS
        from genwerk.tasks.outliers import out_of_distribution

        opened = session.open(self.folder)
        reference = some(held(opened, labels=False), self.examples, self.seed)
        batch, known = opened.examples(self.input, self.n, None)
        parts = parts_of(opened, batch)
        known |= {"part": parts} if any(parts) else {}
        found = out_of_distribution(
            opened.model, batch, reference, importance_samples=self.importance_samples, seed=self.seed
        )
        order = found.order.tolist()
        columns = {
            "log_prob": found.log_prob.tolist(),
            "likelihood_p": found.likelihood_p.tolist(),
            "typicality": found.typicality.tolist(),
            "typicality_p": found.typicality_p.tolist(),
        }
        finite = {name: [v if isfinite(v) else None for v in values] for name, values in columns.items()}
        rows = records(known, **finite)
        auroc = {"likelihood": found.likelihood_auroc, "typicality": found.typicality_auroc}
        values = {"exact": found.exact, "reference": len(reference), "mean": found.mean, "auroc": auroc}
        head = [*known, "log p(x)" if found.exact else "log p(x) ≥", "p, two-sided", "typicality", "p"]
        shown_of = {**known, **columns}.values()
        cells = [[cell(values[i]) for values in shown_of] for i in order[: self.show or None]]
        ranks = (
            f"p-values are ranks among {len(reference):,} held-out examples; typicality is the distance in nats from "
            f"their mean of {found.mean:.4g}" + ("" if found.exact else ", of bounds")
        )
        against = (
            f"AUROC against them: {auroc['likelihood']:.4f} by likelihood, {auroc['typicality']:.4f} by typicality"
        )
        shown: list[Note | Table] = [Table(head, cells), *unshown(len(order), self.show), Note(ranks)]
        if (m := len(reference)) < 200:
            least = (
                f"the least possible p is {min(1, 2 / (m + 1)):.2g} two-sided, of log p(x), and {1 / (m + 1):.2g} of "
                "the typicality; p below 0.01 takes 200 and 100 of them or more"
            )
            shown.append(Note(f"with {count(m, 'held-out example')} {least}"))
        if self.input != "test":
            shown.append(Note(against))
        if (trained := parts.count("train")) and self.input not in PARTS:
            shown.append(
                Note(
                    f"{trained:,} of these {len(parts):,} examples were trained on, and look more usual than new ones "
                    "would; --input test scores the held-out ones alone"
                )
            )
        yield Figures(values | {"examples": [rows[i] for i in order]}, shown)


# --- helpers ----------------------------------------------------------------------------------------------------------


def held(opened: OpenRun, part: Literal["train", "validation", "test"] = "test", *, labels: bool = True) -> Dataset:
    """A part of the run's own data, with labels that mean the model's classes; says where nothing was held out."""
    splits = opened.splits
    data = splits.part(part)
    known, found = opened.spec.classes, splits.spec.classes
    if labels and found != known:
        new = [name for name in found if name not in known]
        raise BadInput(
            f"{splits.settings.source} has the class {new[0]!r}, which this model has never seen"
            if new
            else f"{splits.settings.source} has the classes {', '.join(found) or 'of no labels'}, and the model was "
            f"trained on {', '.join(known)}"
        )
    if labels and data.condition is None:
        raise BadInput(f"the {part} part of {splits.settings.source} carries no labels, and labels are needed here")
    if part != "train" and opened.own and data is splits.train:
        opened.say("nothing was held out of these data: the model has seen these examples, and the figures flatter it")
    return data


def parts_of(opened: OpenRun, batch: Batch) -> list[str]:
    """The part of the run's own data that holds an example equal to each of ``batch``, or nothing."""
    from genwerk.data.content import hash_rows

    x = batch.x.cpu()
    found = hash_rows(x if x.dtype == opened.splits.train.x.dtype else opened.spec.modality.to_stored(x)).tolist()
    part: dict[int, str] = {}
    for name in ("test", "validation", "train") if opened.own else ():
        part |= dict.fromkeys(hash_rows(opened.splits.part(name).x).tolist(), name)
    return [part.get(each, "") for each in found]


def some(data: Dataset, n: int, seed: int) -> Dataset:
    """At most ``n`` of ``data``, taken at random."""
    if n < 1:
        raise BadInput(f"asked for {n} examples; ask for 1 or more")
    return data.subset(n, seed)


def calibration(measured: Calibrated, found: Classification, data: Dataset, first: list[Note]) -> Figures:
    """Accuracy on all examples, and calibration on those that the temperature was not fitted on."""
    before, after = measured.before, measured.after
    assert data.condition is not None
    accuracy = (found.prediction == data.condition.cpu()).double().mean().item()
    names = {"calibration error": "error", "Brier score": "brier", "NLL of the class, nats": "nll"}
    figures = [[name, f"{getattr(before, field):.4f}", f"{getattr(after, field):.4f}"] for name, field in names.items()]
    rows = [
        [
            f"{b.low:.2f} to {b.high:.2f}",
            *(text for x in (b, a) for text in (f"{x.count}", *shares(x.confidence, x.accuracy))),
        ]
        for b, a in zip(before.bins, after.bins, strict=True)
        if b.count or a.count
    ]
    shown: list[Note | Table] = [
        *first,
        Note(f"Bayes accuracy {accuracy:.4f} on {len(data):,} held-out examples, {len(data.spec.classes)} classes"),
        Note(
            f"temperature {measured.temperature:.4g}, fitted on {measured.fitted_on:,} of them; on the other "
            f"{measured.measured_on:,}:"
        ),
        Table(["figure", "temperature 1", f"temperature {measured.temperature:.4g}"], figures),
        Table(["confidence", "examples", "mean", "accuracy", "examples after", "mean", "accuracy"], rows),
    ]
    return Figures({"accuracy": accuracy, "examples": len(data), **asdict(measured)}, shown)


def shares(*values: float) -> list[str]:
    """Numbers with three decimals, nothing where there is none."""
    return ["" if v != v else f"{v:.3f}" for v in values]


def classes(
    opened: OpenRun, found: Classification, known: Known, accuracy: float | None, show: int, first: list[Note]
) -> Figures:
    """The classes of each example, likeliest first."""
    names, p = opened.spec.classes, found.probabilities
    most = min(5, len(names))
    top = p.topk(most, 1)
    rows = [
        [*map(cell, row.values()), *(f"{names[c]} {v:.4f}" for c, v in zip(classes, values, strict=True))]
        for row, classes, values in zip(records(known), top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    table = Table([*known, "likeliest class", *["then"] * (most - 1)], rows[: show or None])
    measured = [] if accuracy is None else [Note(f"accuracy {accuracy:.4f} on {len(rows):,} examples")]
    predicted = [names[c] for c in found.prediction.tolist()]
    values = {
        "temperature": found.temperature,
        "accuracy": accuracy,
        "classes": names,
        "examples": records(known, prediction=predicted, probabilities=p.tolist()),
    }
    shown: list[Note | Table] = [*first, table, *unshown(len(rows), show), *measured]
    return Figures(values, shown)
