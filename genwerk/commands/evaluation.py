"""Commands that measure a run: evaluate, nearest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from genwerk.commands.command import MEASURE, Command, Processes
from genwerk.commands.options import Count, Number, Run
from genwerk.commands.results import Examples, Figures, Note, Result, Table, Written, cell, records
from genwerk.core.layout import Layout
from genwerk.core.marks import File
from genwerk.runs.session import Session
from genwerk.training.protocol import EvaluateConfig

PATIENCE = timedelta(days=1)
"""How long processes wait for the first, which finds likelihoods alone."""


@dataclass(frozen=True, kw_only=True)
class Nearest(Command):
    """Show each sample beside the training examples nearest to it, and whether the model copies its data.

    A conditional model gets the conditions of held-out examples. A table has the sample as rank 0, then its neighbours.
    """

    group = MEASURE
    needs = frozenset({"samples"})
    output = "nearest"

    folder: Run
    n: Number = 8
    """Number of samples."""
    k: Count = 5
    """Neighbours a sample."""
    seed: int = 0
    """Seed of the samples."""

    def run(self, session: Session) -> Iterator[Examples | Figures]:
        import torch

        from genwerk import tasks
        from genwerk.core.model import evaluating
        from genwerk.core.spec import Batch
        from genwerk.evaluation.samples import draw

        opened = session.open(self.folder)
        tasks.require(opened.model, "nearest", "samples")
        train, test = opened.splits.train, opened.splits.test
        with evaluating(opened.model):
            made = draw(opened.model, self.n, test, self.seed)
        found = tasks.nearest(made, train, self.k)
        usual = tasks.nearest(test.batch(slice(200)).x, train).distances.median().item()
        neighbours = train.batch(found.rows.flatten()).x.reshape(self.n, self.k, *opened.spec.shape)
        sheet = torch.cat([made.cpu().unsqueeze(1), neighbours.cpu()], 1).flatten(0, 1)
        known, distances = train.select(found.rows.flatten()).known(), found.distances.flatten().tolist()
        near = records(known, distance=distances)
        where = [cell(first) for first in next(iter(known.values()))]
        layout = Layout(
            self.k + 1,
            row_names=[f"sample {i}" for i in range(self.n)],
            column_names=["", *(f"nearest {j + 1}" for j in range(self.k))],
            captions=[text for i in range(0, len(where), self.k) for text in ("", *where[i : i + self.k])],
        )
        size = self.k + 1
        numbers, ranks = [i // size for i in range(len(sheet))], [i % size for i in range(len(sheet))]
        columns: dict[str, list[Any]] = {"sample": numbers, "rank": ranks}
        for name, cells in {**known, "distance": distances}.items():
            columns[name] = [None if not j else cells[i * self.k + j - 1] for i in range(self.n) for j in range(size)]
        yield replace(Examples.of(opened, Batch(sheet), layout, columns, seed=self.seed), headed=True)
        median, copies = found.distances[:, 0].median().item(), int((found.distances[:, 0] < 0.1 * usual).sum())
        said = (
            f"median distance to the nearest training example: {median:.4g} for samples, {usual:.4g} for held-out "
            f"examples; {copies} of {self.n} samples look like copies"
        )
        values = {"samples_to_train_median": median, "test_to_train_median": usual, "copies": copies}
        samples = [{"sample": i, "nearest": near[i * self.k : (i + 1) * self.k]} for i in range(self.n)]
        rows = [[str(i // self.k), *map(cell, row.values())] for i, row in enumerate(near)]
        head = ["sample", *known, "distance"]
        if lines := opened.spec.modality.lines(sheet):
            head.append("text")
            places = [i // self.k * size + i % self.k + 1 for i in range(len(rows))]
            rows = [[*row, lines[place]] for row, place in zip(rows, places, strict=True)]
            for i in reversed(range(self.n)):
                rows.insert(i * self.k, [str(i), *[""] * (len(head) - 2), lines[i * size]])
        yield Figures({**values, "samples": samples}, [Table(head, rows), Note(said)])


@dataclass(frozen=True, kw_only=True)
class Evaluate(Command):
    """Measure a trained model on held-out data, by every figure that applies to it.

    Figures of the run's own data go into its report.json and onto its card, too, and those of texts at several
    temperatures into sweep.csv and sweep.png.
    """

    group = MEASURE

    folder: Run
    data: Annotated[str | None, File()] = None
    """Other data to measure on (default: the run's own)."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """What is measured, and with how much work."""
    efficiency: bool = False
    """Whether to measure what sampling costs and how that grows, within a minute, and to report what training took."""
    devices: Annotated[int, Processes()] = 1
    """Number of processes, one per GPU (or as many on the CPU), that share samples and features."""

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.core.errors import Unwritable
        from genwerk.evaluation.evaluate import Evaluation
        from genwerk.evaluation.training_cost import training_figures
        from genwerk.runs import sweep
        from genwerk.runs.card import write_outcome
        from genwerk.runs.page import read_events, update_page
        from genwerk.training import runtime

        place = runtime.start(session.machine.device, session.machine.precision, PATIENCE)
        try:
            opened = session.open(self.folder, self.data)
            evaluation = Evaluation(
                opened.model,
                opened.splits,
                self.evaluate,
                notes=opened.notes,
                efficiency=self.efficiency,
                runtime=place,
            )
            yield evaluation
        finally:
            runtime.finish(together=False)
        if not place.main:
            return
        report, written = evaluation.report, tuple[Path, ...]()
        if self.efficiency:
            took = training_figures(list(read_events(opened.path / "events.jsonl")))
            report = replace(report, figures=(*report.figures, *took))
        if opened.chosen is not None and opened.own and report.complete:
            stored = opened.chosen
            try:
                write_outcome(opened.path, stored.name, stored.recipe, opened.splits, report, stored.origin)
            except Unwritable as error:
                warnings.warn(error.sentence, stacklevel=2)
            else:
                written = sweep.files(opened.path) if report.sweep else ()
                update_page(opened.path, report)
        yield Figures.of(report)
        yield from map(Written, written)
