"""Measured figures of a model on held-out data: what its abilities allow, each with its conditions beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import torch
from torch import Tensor

from genwerk.core.abilities import Diagnoses, Translates, TranslatesDomains, abilities
from genwerk.core.errors import BadInput, Unsupported
from genwerk.core.model import Model, evaluating
from genwerk.core.moments import Moments
from genwerk.core.outcome import outcome
from genwerk.data.dataset import Splits
from genwerk.data.toys import TOYS, Gaussians
from genwerk.evaluation import distances, generalisation
from genwerk.evaluation.domains import DomainFigures
from genwerk.evaluation.efficiency import Efficiency
from genwerk.evaluation.extractor import CLASSIFIER, preparing, settled
from genwerk.evaluation.invertibility import invertibility, inverts
from genwerk.evaluation.labels import label_figure
from genwerk.evaluation.likelihood import bayes_figures, likelihood_figures, likelihood_notes, simple_model
from genwerk.evaluation.plain import diagnosis_figures, mode_figures, reconstruction_figures
from genwerk.evaluation.quick import FEWEST
from genwerk.evaluation.reference import Reference, Steps
from genwerk.evaluation.report import AtTemperature, Figure, Measuring, Report, counted
from genwerk.evaluation.samples import Pace, common_pace, drawn, pace, rebuilds, rebuilt
from genwerk.evaluation.texts import TextReference, text_figures
from genwerk.evaluation.translation import translation_figures
from genwerk.metrics.features import Extractor
from genwerk.tasks.likelihood import scored
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.runtime import ALONE, Runtime


def evaluate(
    model: Model,
    splits: Splits,
    settings: EvaluateConfig,
    *,
    extractor: Extractor | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Every figure that ``model``'s abilities allow, as :class:`Evaluation` finds them."""
    return measured(Evaluation(model, splits, settings, extractor=extractor, notes=notes))


def measured(evaluation: Evaluation) -> Report:
    """The report of ``evaluation``, which is played to its end."""
    for _ in evaluation:
        pass
    return evaluation.report


@dataclass(frozen=True)
class _Step:
    what: str
    play: Steps
    shared: bool = False
    """Whether all processes do their part of it, and not the first alone."""


class Evaluation:
    """Every figure that ``model``'s abilities allow, on at most ``settings.examples`` of the test part.

    Iterate once, for how far it is (:class:`Measuring`); :attr:`report` has what is measured so far, so that an
    evaluation may be left before its end. Where to score all examples, or to draw all samples, would take more than
    ``settings.minutes``, fewer are measured (of samples those that come first), and the figures say so.

    ``efficiency`` says whether the cost of sampling is measured, too, within a minute (:class:`Efficiency`), and
    ``all_samples`` that no fewer are drawn, whatever time that takes.
    ``notes`` are sentences on the model that go first among the report's notes. Distances between samples and data are
    taken in the features of ``extractor``; None takes :func:`extractor_for` these data. No more samples are drawn than
    there are training examples, so that the floor has the model's size. ``reference`` is what samples are compared
    with, extractor included, where other models of the same data have been measured (:func:`reference_for`).

    Texts are sampled at every temperature of the settings as well, as many as at the model's own, whose figures are the
    report's sweep.

    The processes of ``runtime`` share samples, reconstructions and features, each having iterated over an evaluation of
    its own, and leave the others after that; the first alone finds the other figures, and has the report.
    """

    def __init__(
        self,
        model: Model,
        splits: Splits,
        settings: EvaluateConfig,
        *,
        extractor: Extractor | None = None,
        reference: Reference | TextReference | None = None,
        notes: Sequence[str] = (),
        efficiency: bool = False,
        all_samples: bool = False,
        runtime: Runtime = ALONE,
    ) -> None:
        if reference is not None:
            reference.check(splits, settings)
        if isinstance(reference, Reference):
            extractor = reference.extractor
        self.model, self.splits, self.settings, self.extractor = model, splits, settings, extractor
        self._reference = reference if isinstance(reference, Reference) else None
        self._real_texts = reference if isinstance(reference, TextReference) else None
        self._runtime = runtime
        self.data = splits.test.subset(settings.examples, settings.seed).under(model.condition)
        self._seen = splits.test is splits.train
        self.complete, self.figures, self.notes = False, list[Figure](), list(notes)
        self._minutes = None if all_samples else settings.minutes
        self._efficiency = Efficiency(model, self.data, seed=settings.seed) if efficiency else None
        n = min(settings.samples, len(splits.train))
        if runtime.world > (least := min(n or len(self.data), len(self.data))):
            raise BadInput(f"‹devices› is {runtime.world}, and there are only {least} examples to share; take fewer")
        self._n = n if "samples" in abilities(model) else 0
        compared = (self._n > 0 or rebuilds(model)) and settings.samples > 0 and model.spec.modality.measured
        self._compared = compared and min(len(self.data), n) >= FEWEST
        self._translated = isinstance(model, Translates) and settings.samples > 0 and len(self.data) >= FEWEST
        if (self._compared or self._translated) and extractor is None:
            found = settled(splits.spec, settings.features)  # what cannot be had is said before anything is measured
            least = distances.fewest(CLASSIFIER.features)
            pairs = self._translated and not isinstance(model, TranslatesDomains)
            if pairs and found == "classifier" and len(self.data) < least:  # none is trained for a figure left out
                self._translated = False
                self.notes.append(f"A distance of translations needs {least} held-out examples, so none was measured.")
        if compared and not self._compared:
            self.notes.append(f"Distances need {FEWEST} training and held-out examples or more, so none were measured.")
        texts = self._n > 0 and settings.samples > 0 and model.spec.modality.is_text
        self._compares_texts = texts and min(len(self.data), n) >= FEWEST
        if texts and not self._compares_texts:
            self.notes.append(f"Texts are compared from {FEWEST} training and held-out ones on, so none were.")
        check_sweep(model, settings)
        toy = TOYS.get(splits.settings.source)
        self._toy = toy if isinstance(toy, Gaussians) and not model.spec.covariates else None
        self._made = self._rebuilt = self._texts = torch.empty(0)
        self._own_texts, self._sweep = list[Figure](), list[AtTemperature]()
        self._speed, self._labels = Pace(n, None, 0.0), dict[str, tuple[float, float]]()

    @property
    def report(self) -> Report:
        """What is measured so far."""
        in_features = self._compared or self._translated
        described = self.extractor.describe() if in_features and self.extractor is not None else None
        return Report(
            figures=tuple(self.figures),
            extractor=described,
            notes=tuple(self.notes),
            complete=self.complete,
            labels=self._labels,
            sweep=tuple(self._sweep),
        )

    @torch.no_grad()
    def __iter__(self) -> Iterator[Measuring]:
        steps = [step for step in self._steps() if step.shared or self._runtime.main]
        last = max((number for number, step in enumerate(steps, 1) if step.shared), default=0)
        with evaluating(self.model):
            for number, step in enumerate(steps, 1):
                first: tuple[float, int] | None = None
                for done, total in step.play:
                    now, left = perf_counter(), None
                    if first is not None and done > first[1]:
                        left = (now - first[0]) / (done - first[1]) * (total - done)
                    elif first is None and done:
                        first = now, done  # the first part is slower than the others
                    yield Measuring(
                        what=step.what, step=number, steps=len(steps), done=done, total=total, seconds_left=left
                    )
                if number == last:
                    self._runtime.part()
        self.complete = True

    # --- its steps ----------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[_Step]:
        """What is measured, one after the other; the figures of a step are there when it ends."""
        if abilities(self.model) & {"has-likelihood", "bounds-likelihood"}:
            yield _Step("likelihood", self._likelihood())
        if (self._compared or self._translated) and self.extractor is None:
            yield _Step("feature network", self._features(), shared=True)
        if rebuilds(self.model):
            yield _Step("reconstructions", self._reconstructions(), shared=True)
        if isinstance(self.model, TranslatesDomains):
            bounded = replace(self.settings, minutes=self._minutes)
            domains = DomainFigures(self.model, self.splits, self.data, bounded, self.figures, self.notes)
            if self._translated:
                yield _Step("classifier of domains", domains.preparing())
            yield _Step("translations", self._translations(domains.translating))
        elif isinstance(self.model, Translates):
            pairs = partial(translation_figures, self.model, self.data, self.figures, minutes=self._minutes)
            yield _Step("translations", self._translations(pairs))
        if inverts(self.model):
            yield _Step("invertibility", self._invertibility())
        if isinstance(self.model, Diagnoses):
            yield _Step("family's figures", self._diagnosis(self.model))
        if self._n and (self._compared or self._compares_texts or self._toy is not None):
            yield _Step("samples", self._samples(), shared=True)
        if self._compared:
            yield _Step("real data and noise", self._comparison(), shared=True)
            yield _Step("distances", self._distances())
        if self._compares_texts:
            yield _Step("real texts", self._of_real_texts())
            yield _Step("texts", self._of_texts())
            for temperature in self.settings.temperatures:
                at = f"temperature {temperature:g}"
                if temperature == vars(self.model.options)["temperature"]:
                    yield _Step(f"texts at {at}", self._texts_at_own(temperature))
                    continue
                yield _Step(f"samples at {at}", self._samples_at(temperature), shared=True)
                yield _Step(f"texts at {at}", self._texts_at(temperature))
        if self._efficiency is not None:
            yield _Step("efficiency", self._costs(self._efficiency))

    @property
    def _described(self) -> Extractor:
        assert self.extractor is not None
        return self.extractor

    @property
    def _beside(self) -> Reference:
        if self._reference is None:
            self._reference = Reference(self.splits, self.settings, self._described, self._runtime)
        return self._reference

    @property
    def _beside_texts(self) -> TextReference:
        if self._real_texts is None:
            self._real_texts = TextReference(self.splits, self.settings)
        return self._real_texts

    def _likelihood(self) -> Steps:
        settings, n = self.settings, len(self.data)
        k, seed, classes = settings.importance_samples, settings.seed, self.model.condition.classes
        yield 0, n

        def some(rows: int) -> None:
            outcome(scored(self.model, self.data.select(torch.arange(rows)), importance_samples=k, seed=seed))

        speed = pace(some, n, settings.minutes)
        data = self.data.subset(max(speed.rows, FEWEST), seed)
        found = yield from scored(self.model, data, importance_samples=k, seed=seed, most=speed.most)
        simple = simple_model(self.model, self.splits.train.subset(settings.examples, seed))
        cut = self._cut(len(data), n, speed)
        self.figures += likelihood_figures(found, data, simple, summed=classes > 0, cut=cut, seen=self._seen)
        self.notes += likelihood_notes(found)
        if classes:
            try:
                self.figures += yield from bayes_figures(self.model, data, simple, settings, seen=self._seen)
            except BadInput as error:  # no class finds an example possible
                self.notes.append(f"No Bayes accuracy: {error}.")

    def _features(self) -> Steps:
        yield 0, 1
        with self._runtime.first_alone():  # the others find it in the cache
            self.extractor = yield from preparing(self.splits, self.settings.features, self.model.device)

    def _translations(self, play: Callable[[Extractor | None], Steps]) -> Steps:
        """What ``play`` finds, with the extractor that there is only when it begins."""
        yield from play(self._described if self._translated else None)

    def _reconstructions(self) -> Steps:
        def found(x: Tensor, made: Tensor) -> tuple[int, float, Tensor | None]:
            error = (made.double() - x.double()).square().sum().item()
            return len(x), error, self._described(made) if self._compared else None

        n, error, done, features = len(self.data), 0.0, 0, list[Tensor]()
        own = self._runtime.share(n)
        yield 0, len(own)
        for rows, off, described in rebuilt(self.model, self.data, found, own):
            error += off
            features += [] if described is None else [described]
            done += rows
            yield done, len(own)
        error = self._gathered([torch.tensor([error], dtype=torch.float64)]).sum().item()
        mean = Moments(self.splits.train.parts()).mean
        apart = sum((x.cpu().flatten(1).double() - mean).square().sum().item() for x in self.data.parts())
        values = n * self.data.spec.dims
        self.figures += reconstruction_figures(self.data, error / values, apart / values, seen=self._seen)
        self._rebuilt = self._gathered(features) if features else self._rebuilt

    def _invertibility(self) -> Steps:
        yield 0, 1
        self.figures += invertibility(self.model, self.data, seed=self.settings.seed, trained=self._seen)
        yield 1, 1

    def _diagnosis(self, model: Diagnoses) -> Steps:
        yield 0, 1
        self.figures += diagnosis_figures(model, self.data)
        yield 1, 1

    def _samples(self) -> Steps:
        model, train, seed, n = self.model, self.splits.train, self.settings.seed, self._n
        yield 0, n

        def some(rows: int) -> None:
            for _ in drawn(model, rows, train, seed):
                pass

        self._speed = speed = common_pace(some, n, self._minutes, self._runtime)
        features, kept, done = list[Tensor](), list[Tensor](), 0
        if speed.rows < min(n, FEWEST):
            self.notes.append(f"No figures of samples: {FEWEST} of them would take longer than allowed.")
            return
        own = self._runtime.share(speed.rows)
        for x in drawn(model, len(own), train, seed, start=own.start, most=speed.most):
            features += [self._described(x)] if self._compared else []
            kept += [x] if self._toy is not None or self._compares_texts else []
            done += len(x)
            yield done, len(own)
        if self._toy is not None:
            self.figures += mode_figures(self._gathered(kept), self._toy, self._cut(speed.rows, n, speed))
        if self._compares_texts:
            self._texts = self._gathered(kept)
        self._made = self._gathered(features) if features else self._made

    def _gathered(self, parts: Sequence[Tensor]) -> Tensor:
        """The rows of ``parts``, those of all processes one after the other."""
        return self._runtime.gather(torch.cat(list(parts)))[0]

    def _comparison(self) -> Steps:
        """Features of what samples and reconstructions are compared with."""
        yield from self._beside.preparing(len(self._made), len(self._rebuilt))

    def _distances(self) -> Steps:
        made, rebuilt, beside = len(self._made), len(self._rebuilt), self._beside
        steps = list[Callable[[], Sequence[Figure | str]]]()
        if made:
            real = counted(len(beside.real), seen=self._seen or not beside.against_test)
            sizes = f"{made:,} samples{self._cut(made, self._n, self._speed)}, {real}"
            steps += self._of_samples(distances.Features(self._made, beside, sizes))
        if rebuilt:
            apart = beside.held_out, beside.noise[:rebuilt]
            steps.append(lambda: [distances.rebuilt_figure(beside.extractor, self._rebuilt, *apart, seen=self._seen)])
        yield 0, len(steps)
        for done, step in enumerate(steps, 1):
            found = step()
            self.figures += [each for each in found if isinstance(each, Figure)]
            self.notes += [each for each in found if isinstance(each, str)]
            yield done, len(steps)

    def _of_samples(self, features: distances.Features) -> Iterator[Callable[[], Sequence[Figure | str]]]:
        """What finds the figures of samples, one after the other, and why one is left out."""
        seed, beside, extractor = self.settings.seed, features.beside, features.extractor
        yield lambda: [distances.frechet_figure(features)]
        yield lambda: [distances.kernel_figure(features, seed)]
        yield lambda: distances.neighbour_figures(features, seed)
        if extractor.inception and extractor.head is not None:
            yield lambda: [distances.inception_figure(extractor, features.made)]
        if beside.separate:
            yield lambda: [generalisation.divergence_figure(features, seed)]
        yield lambda: [distances.vendi_figure(features)]
        if extractor.classes:
            yield lambda: [self._histogram(features)]
        if beside.separate:
            yield lambda: self._memorisation(features)
        else:
            self.notes.append(generalisation.UNSEPARATED)

    def _histogram(self, features: distances.Features) -> Figure:
        figure, self._labels = label_figure(features)
        return figure

    def _memorisation(self, features: distances.Features) -> Sequence[Figure | str]:
        near = generalisation.judged(features, self.settings.seed)
        return generalisation.memorisation_figures(features, near, self.settings.seed)

    # --- texts --------------------------------------------------------------------------------------------------------

    def _of_real_texts(self) -> Steps:
        """What real texts can teach a small language model."""
        yield from self._beside_texts.preparing(len(self._texts))

    def _of_texts(self) -> Steps:
        """The figures of samples at the model's own temperature."""
        self._own_texts = yield from self._figures_of(self._texts)
        self.figures += self._own_texts

    def _texts_at_own(self, temperature: float) -> Steps:
        """The same figures, which are those of that ``temperature``."""
        self._sweep.append(AtTemperature(temperature=temperature, figures=tuple(self._own_texts)))
        yield 1, 1

    def _samples_at(self, temperature: float) -> Steps:
        """As many samples at that ``temperature``."""
        own, parts, done = self._runtime.share(self._speed.rows), list[Tensor](), 0
        yield 0, len(own)
        asked = {"temperature": temperature}
        train, seed, most = self.splits.train, self.settings.seed, self._speed.most
        for x in drawn(self.model, len(own), train, seed, start=own.start, most=most, options=asked):
            parts.append(x)
            done += len(x)
            yield done, len(own)
        self._texts = self._gathered(parts)

    def _texts_at(self, temperature: float) -> Steps:
        """The figures of these samples."""
        found = yield from self._figures_of(self._texts)
        self._sweep.append(AtTemperature(temperature=temperature, figures=tuple(found)))

    def _figures_of(self, x: Tensor) -> Generator[tuple[int, int], None, list[Figure]]:
        if not len(x):  # there was no time for samples, which the notes say
            return []
        return (yield from text_figures(x, self._beside_texts, self._cut(len(x), self._n, self._speed)))

    # --- costs --------------------------------------------------------------------------------------------------------

    def _costs(self, of: Efficiency) -> Steps:
        yield from of
        self.figures += of.figures
        self.notes += of.notes

    def _cut(self, n: int, of: int, speed: Pace) -> str:
        """The end of a note that says why no more than ``n`` are measured; empty where all are."""
        if n >= of:
            return ""
        return f" (of {of:,}, which would take {speed.minutes} minutes)"


def reference_for(
    splits: Splits, settings: EvaluateConfig, extractor: Extractor | None
) -> Reference | TextReference | None:
    """What samples of all models of these data are compared with: real texts, or real examples in the features of
    ``extractor``; None where nothing is compared."""
    if splits.spec.modality.is_text:
        return TextReference(splits, settings)
    return None if extractor is None else Reference(splits, settings, extractor)


def check_sweep(model: Model, settings: EvaluateConfig) -> None:
    """Refuse temperatures where ``model`` has none, or samples no texts (:class:`Unsupported`)."""
    if not settings.temperatures:
        return
    if not model.spec.modality.is_text or "temperature" not in model.options.names():
        what = "models that sample at a temperature" if model.spec.modality.is_text else "models of texts"
        raise Unsupported(f"‹temperatures› are for {what}; leave them out")
    if not settings.samples:
        raise BadInput("‹temperatures› are those of samples, and ‹samples› is 0; ask for some")
