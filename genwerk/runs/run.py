"""A trained model with its folder and data: what a run is in Python, and a folder as one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from genwerk import interop, tasks
from genwerk.core.abilities import Translates, abilities
from genwerk.core.errors import BadInput
from genwerk.core.files import read_json
from genwerk.core.html import escaped, player
from genwerk.core.model import Model, evaluating
from genwerk.core.noise import Seeds
from genwerk.core.spec import Batch, Prior
from genwerk.data import Splits
from genwerk.data.dataset import PARTS
from genwerk.evaluation.evaluate import evaluate
from genwerk.evaluation.report import Report
from genwerk.runs import store
from genwerk.runs.checkpoints import samples_in
from genwerk.runs.opened import OpenRun
from genwerk.runs.shown import Shown
from genwerk.tasks import LatentPath, Likelihood, classification, outliers, steering
from genwerk.tasks.inputs import Array, Conditions, Examples, batch_of, condition_of, images_of, mask_of
from genwerk.training import runtime
from genwerk.training.overrides import overridden
from genwerk.training.runtime import Device
from genwerk.training.settings import Recipe

Source: TypeAlias = Examples | Path | str | int | None
"""Examples for a run's verbs: those themselves, a file or folder, a part of the data by its name, a row of the test
part; None are the first of that part."""


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model with the folder it lives in, and all that can be done with it.

    Examples are whatever :data:`Source` names. A verb raises :class:`Unsupported` with a sentence where the model
    cannot. Conditions are given as a person types them (:data:`Conditions`).
    """

    model: Model = field(repr=False)
    path: Path
    recipe: Recipe = field(repr=False)
    report: Report | None = field(repr=False)
    """What was measured last; None where nothing was, as when training was stopped."""
    splits: Splits | None = field(default=None, repr=False)
    opened: OpenRun | None = field(default=None, repr=False)
    """What opens the run's data, where they are not at hand."""

    @cached_property
    def data(self) -> Splits:
        """The data that it was trained on, or those that were named in their place; opened when first needed."""
        return self._folder.splits if self.splits is None else self.splits

    @cached_property
    def _folder(self) -> OpenRun:
        return self.opened or OpenRun(self.path, cast(Device, self.model.device.type), None, _silent)

    # --- what it generates --------------------------------------------------------------------------------------------

    def sample(
        self,
        n: int = 16,
        *,
        label: Conditions = None,
        prompt: Conditions = None,
        covariates: Conditions = None,
        condition: Conditions = None,
        prior: Prior = "train",
        seed: int | None = 0,
        first: int = 0,
        **options: Any,
    ) -> Shown:
        """``n`` samples: number ``first`` of ``seed`` and those after it; None takes a fresh seed.

        Of conditions, each sample takes the next in turn; without any, classes come as ``prior`` says, and texts are
        those of held-out examples. ``options`` are the model's own (temperature, steps, guidance, ...).
        """
        given = self._condition(condition, label=label, prompt=prompt, covariates=covariates)
        if given is None and self.model.condition.borrowed:
            given = self.data.test.under(self.model.condition).conditions(slice(first + n))
        seeds = Seeds.of(seed)
        batch = tasks.sample(self.model, n, given, options, prior=prior, seed=seeds + first)
        return self._shown(batch, seed=seeds.seed, first=first, **options)

    def reconstruct(self, examples: Source = None, n: int = 8, *, condition: Conditions = None) -> Shown:
        """Examples encoded and decoded again, with their squared error a value."""
        batch = self._examples(examples, n, condition)
        made = tasks.reconstruct(self.model, batch)
        error = (made - batch.x).square().flatten(1).mean(1)
        return self._shown(Batch(batch.x, batch.condition, made), squared_error=error)

    def encode(self, examples: Source = None, n: int = 2000, *, condition: Conditions = None) -> Tensor:
        """The latent of each example, with shape (n, *model.latent_shape)."""
        return tasks.encode(self.model, self._examples(examples, n, condition))

    def decode(self, z: Tensor | Array, *, condition: Conditions = None) -> Shown:
        """The example of each latent with shape (n, *model.latent_shape)."""
        return self._shown(Batch(tasks.decode(self.model, z, condition)))

    def interpolate(
        self,
        start: Source,
        end: Source,
        steps: int = 9,
        *,
        path: LatentPath | None = None,
        condition: Conditions = None,
        seed: int = 0,
    ) -> Shown:
        """The way from one example to another through latent space, both ends included.

        Whole numbers are rows of the test part; of a model without an encoder, numbers of the samples of ``seed``.
        """
        model = self.model
        numbers = [each for each in (start, end) if isinstance(each, int)]
        if len(numbers) == 2 and tasks.lacks_encoder(model):
            c, space = condition_of(model, condition), steering.home(model)
            a, b = steering.latents(model, numbers, space, c, seed=seed).split(1)
            same = steering.same(model, 1, c) if space == "z" else None
            made = steering.interpolate(model, a, b, steps, space=space, path=path, condition=same)
        else:
            first, last = self._examples(start, 1, condition), self._examples(end, 1, condition)
            made = tasks.interpolate(model, first, last, steps, path)
        return self._shown(Batch(made.flatten(0, 1)), steps)

    def traverse(
        self, dims: Sequence[int], example: Source = 0, steps: int = 9, *, condition: Conditions = None
    ) -> Shown:
        """What an example becomes as latent dimensions ``dims`` move over the range that the training data have."""
        one, span = self._examples(example, 1, condition), tasks.latent_span(self.model, self.data.train)
        made = tasks.traverse(self.model, one, dims, steps=steps, span=span)
        return self._shown(Batch(made.flatten(0, 1)), made.shape[1])

    def complete(
        self,
        known: Tensor | Array | Sequence[Any] | str | None = None,
        examples: Source = None,
        n: int = 8,
        k: int = 5,
        *,
        prompt: str | Sequence[str] | None = None,
        condition: Conditions = None,
        seed: int | None = 0,
        **options: Any,
    ) -> Shown:
        """``k`` completions of each example, one after the other, of which the part ``known`` stays.

        That is a mask, True where values are known, or a part by its name: top-half, 0.25s, or columns of a table. Of
        texts, ``prompt`` says in place of both how they begin, with {5} where 5 tokens are to be filled in.
        """
        if (prompt is None) == (known is None) or (prompt is not None and examples is not None):
            raise BadInput("name what is known: either as ‹known›, with or without examples, or of texts as ‹prompt›")
        if prompt is None:
            batch = self._examples(examples, n, condition)
        else:
            x, known = self.model.spec.modality.begun([prompt] if isinstance(prompt, str) else prompt)
            batch = batch_of(self.model, Batch(x), condition)
        assert known is not None
        found = tasks.complete(self.model, batch, known, k, options, seed=seed)
        figures = {} if found.log_prob is None else {"log_prob": found.log_prob.flatten()}
        return self._shown(Batch(found.x.flatten(0, 1)), k, seed=seed, **figures)

    def image_to_image(
        self,
        examples: Source = None,
        strength: float = 0.6,
        n: int = 8,
        *,
        condition: Conditions = None,
        seed: int | None = 0,
        **options: Any,
    ) -> Shown:
        """Examples noised as far as ``strength`` (0 to 1) of the way and brought back, as a condition says."""
        batch = self._examples(examples, n, condition)
        made = tasks.sdedit(self.model, batch, strength, options, seed=seed)
        return self._shown(Batch(batch.x, batch.condition, made), seed=seed, strength=strength)

    def translate(
        self,
        images: Source = None,
        n: int | None = None,
        *,
        to: Conditions = None,
        mask: Tensor | Array | Sequence[Any] | None = None,
        tile: int | None = None,
        seed: int | None = 0,
    ) -> Shown:
        """What is made of each of ``images``, which are of one size, any, and are taken as the sources that they are;
        of a part of the data, or a row, held-out examples (8 unless ``n`` says), with sources as in training.

        ``to`` is the class, or values of attributes, of a model of domains, in turn; None is the last where there are
        two, and of held-out examples any other than their own. ``mask`` is True where pixels are known, with shape (h,
        w), for models that fill holes.
        """
        tasks.require(self.model, "translation", "translates")
        model = self.model
        assert isinstance(model, Translates)
        if images is None or isinstance(images, int) or (isinstance(images, str) and images in PARTS):
            batch = self._examples(images, 8 if n is None else n)
            aim = None if to is None else tasks.destination(self.model, to, len(batch))
            with evaluating(self.model):
                batch = model.translated(batch, aim, seed=seed)
        else:
            x = self._pictures(images) if isinstance(images, (str, Path)) else images_of(self.model, images)
            known = None if mask is None else mask_of(self.model, mask).expand(1, 1, -1, -1)
            source, aim = model.taken(x[:n], known), tasks.destination(self.model, to, len(x[:n]))
            each = source.split(1), [None] * len(source) if aim is None else aim.split(1)
            seeds = Seeds.of(seed)
            made = [
                tasks.translate(self.model, one[0], tile, condition=c, bits=None, seed=seeds + i)
                for i, (one, c) in enumerate(zip(*each, strict=True))
            ]
            batch = Batch(model.shown(source), aim, torch.stack(made))
        found, note = self._shown(batch, seed=seed), tasks.provenance(self.model)
        spec = replace(found.spec, shape=tuple(batch.shown.shape[1:]))
        return replace(found, spec=spec, origin={**found.origin, **note})

    def _pictures(self, path: str | Path) -> Tensor:
        found = [x for _, x in self._folder.pictures(str(path))]
        if len({x.shape for x in found}) > 1:
            raise BadInput(f"the images in {path} are of several sizes; translate each, or all by `genwerk translate`")
        return torch.stack(found)

    # --- what it says of examples -------------------------------------------------------------------------------------

    def log_likelihood(
        self, examples: Source = None, *, condition: Conditions = None, importance_samples: int = 100, seed: int = 0
    ) -> Likelihood:
        """How likely examples are, exactly or as a lower bound: the mean in nats, and ``each``."""
        if examples is None:
            given: Examples = self.data.test
        else:
            n = len(self.data.test) if isinstance(examples, str) and examples in PARTS else sys.maxsize
            given = self._examples(examples, n, condition)
        return tasks.log_likelihood(self.model, given, importance_samples=importance_samples, seed=seed)

    def classify(
        self, examples: Source = None, n: int = 2000, *, prior: Tensor | Prior = "train"
    ) -> classification.Classification:
        """The classes of examples by Bayes' rule."""
        return classification.classify(self.model, self._examples(examples, n), prior)

    def outliers(self, examples: Source = None, n: int = 2000, *, seed: int = 0) -> outliers.Outliers:
        """How unusual examples are, among those held out."""
        batch = self._examples(examples, n)
        return outliers.out_of_distribution(self.model, batch, self.data.test, seed=seed)

    def nearest(self, samples: Examples | None = None, n: int = 8) -> Shown:
        """Samples with the training example that is nearest to each: the row, and the distance."""
        x = self.sample(n).x if samples is None else batch_of(self.model, samples).x
        found = tasks.nearest(x, self.data.train)
        rows = found.rows[:, 0]
        target = self.data.train.batch(rows).x.to(x.device)
        return self._shown(Batch(x, target=target), row=rows, distance=found.distances[:, 0])

    def evaluate(self, **settings: Any) -> Report:
        """Every figure that the model can honestly give, on the test part; ``settings`` are those of the evaluation."""
        full = {f"evaluate.{name}": value for name, value in settings.items()}
        return evaluate(self.model, self.data, overridden(self.recipe, full).evaluate)

    # --- in a notebook ------------------------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        pictures = [path for path in samples_in(self.path) if path.suffix == ".png"]
        name, spec = type(self.model).__name__, escaped(str(self.model.spec))
        head = f"<p><b>{name}</b> of {spec} in <code>{escaped(str(self.path))}</code></p>"
        report = "" if self.report is None else self.report._repr_html_()
        return head + report + "".join(player("image/png", each.read_bytes()) for each in pictures[-1:])

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _examples(self, given: Source, n: int, condition: Conditions = None) -> Batch:
        """At most ``n`` examples, with their own conditions or ``condition``."""
        if isinstance(given, Shown):
            given = Batch(given.x, given.batch.condition)
        if given is None:
            given = "test"
        if isinstance(given, bool) or not isinstance(given, (str, Path, int)):
            return batch_of(self.model, cast(Examples, given), condition)[:n]
        if isinstance(given, int):
            if not 0 <= given < len(self.data.test):
                raise BadInput(f"the test part has rows 0 to {len(self.data.test) - 1}, not {given}")
            part, rows = self.data.test, slice(given, given + 1)
        elif given in PARTS:
            part, rows = self.data.part(str(given)), slice(n)
        else:
            return batch_of(self.model, self._folder.examples(str(given), n, None)[0], condition)
        return batch_of(self.model, part.under(self.model.condition).batch(rows), condition)

    def _condition(self, given: Conditions, **by_option: Conditions) -> Tensor | None:
        """The condition that was given, by the option of the model's kind or of any."""
        for option, value in by_option.items():
            if value is not None and option != self.model.condition.option:
                texts = option == "prompt" and self.model.spec.modality.is_text and "completes" in abilities(self.model)
                cure = f"leave out ‹{option}›" + ", or let ‹complete› go on from it" * texts
                raise BadInput(f"this {type(self.model).__name__} takes no {option}; {cure}")
        named = [value for value in by_option.values() if value is not None]
        return condition_of(self.model, named[0] if named else given)

    def _shown(self, batch: Batch, columns: int | None = None, **about: Any) -> Shown:
        """``batch``, with tensors ``about`` its examples, and how else it came about."""
        figures = {name: value for name, value in about.items() if isinstance(value, Tensor)}
        origin = {"run": self.path.name} | {name: value for name, value in about.items() if name not in figures}
        return Shown(batch, self.model.spec, columns, origin, figures)


def _silent(_: str) -> None: ...


def open_run(path: Path | str, *, data: Any = None, device: Device = "auto") -> Run:
    """A run folder, or a folder of diffusers or transformers, as a :class:`Run`.

    ``data`` take the place of the run's own, and are asked for where these were in memory.
    """
    opened = OpenRun(Path(path), device, data, _silent)
    return Run(opened.model, opened.path, opened.recipe, _report(opened.path), opened=opened)


def _report(path: Path) -> Report | None:
    """The newest evaluation of a run; None where there is none that can be read."""
    try:
        return Report.from_json(read_json(path / "report.json"))
    except BadInput:
        return None


def load(path: Path | str, *, device: Device = "auto") -> Model:
    """The chosen model of a run folder (its newest for ``RUN/last``), or that of a folder of diffusers or transformers.

    Chosen is the best of the last stage by its held-out figure, and the newest where there is none.
    """
    if interop.recognised(Path(path)):
        return interop.load(Path(path), device=runtime.pick_device(device))
    with store.reading(path) as stored:
        return store.load_model(stored, device=runtime.pick_device(device))


def save(model: Model, path: Path | str) -> Path:
    """Write ``model`` alone, without a training's history, into a new folder that :func:`load` and commands open."""
    return store.save_model(model, Path(path))
