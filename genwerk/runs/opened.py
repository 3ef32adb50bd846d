"""What a command names - a run, an example, a class, a mask, an output - as the objects that verbs take."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genwerk import interop, tasks
from genwerk.core.abilities import abilities
from genwerk.core.condition import Label
from genwerk.core.errors import BadInput, Caution, NoColumn, Unsupported, called
from genwerk.core.files import open_regular
from genwerk.core.model import Model, weightless
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, Splits, open_data, palette
from genwerk.data.attributes import in_file
from genwerk.data.dataset import PARTS, Dataset
from genwerk.data.film import Film
from genwerk.data.folders import list_file, list_folder, list_zip
from genwerk.data.hub import allow
from genwerk.data.images import SUFFIXES, Listing
from genwerk.data.memory import MEMORY
from genwerk.data.parts import arranged, changed, like
from genwerk.data.picture import Picture, decode, probe, white
from genwerk.data.reading import Unusable, open_zip
from genwerk.data.sources import names_data
from genwerk.evaluation.extractor import classifier_for, extractor_for
from genwerk.metrics.features import Classifier
from genwerk.metrics.ppl import Similarity, in_features, pixels
from genwerk.runs import store
from genwerk.tasks import steering
from genwerk.training import runtime


def is_model(path: Path) -> bool:
    """Whether there is a model in ``path``, of ours (or its best or last one) or a foreign one."""
    return any((each / "config.json").is_file() for each in (path, path.parent)) or interop.recognised(path)


def outline(path: Path) -> Model:
    """The model in ``path``, a run or a foreign folder, without its weights: what it is, and what it can be asked."""
    if not interop.recognised(path):
        return store.outline(path)
    _, recipe, spec = interop.describe(path)
    return weightless(recipe.model, spec)


def beside(run: OpenRun, lacking: Unsupported) -> list[Path]:
    """The runs in the same folder as ``run``, on data of the same kind and shape, whose models have what it lacks."""
    found = list[Path]()
    for each in sorted(run.path.parent.glob("*/config.json")):
        with suppress(BadInput):
            *_, spec, _ = store.read_config(each)
            if each.parent == run.path or (spec.kind, spec.shape) != (run.spec.kind, run.spec.shape):
                continue
            model = store.outline(each.parent)
            if lacking.needed <= abilities(model) and lacking.by in ("", model.condition.option):
                found.append(each.parent)
    return found


class OpenRun:
    """A trained model, its data (opened when first needed), and where its outputs go.

    ``data`` are a source by its name, or what is in memory (:func:`genwerk.data.memory.found_in`); None are the run's.
    ``path`` is a run, whose outputs go into it, or a folder of diffusers or transformers, whose outputs go into ``out``
    beside us.
    """

    origin: dict[str, Any]
    chosen: store.Stored | None = None
    """What is stored of the run, where the model has the weights that it stands for."""

    def __init__(
        self,
        path: Path,
        device: runtime.Device,
        data: Any,
        say: Callable[[str], None],
        *,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        self.path, self.say = path.parent if path.name in ("best", "last") else path, say
        self.notes: tuple[str, ...] = ()
        where = runtime.pick_device(device)
        self.foreign = interop.recognised(path)
        if self.foreign:
            name, recipe, self.spec = interop.describe(path)
            self._known: Mapping[str, str] | None = None
            self.model = interop.load(path, device=where, precision=getattr(torch, precision))
            self.outputs, self.origin = Path("out"), {"model": path.resolve().name, "class": name}
        else:
            with store.reading(path) as stored:
                self.model = store.load_model(stored, device=where)
            recipe, self.spec, self._known = stored.recipe, stored.spec, stored.data
            self.outputs = self.path / "out"
            self.origin = {"recipe": stored.name, "run": self.path.name, "round": stored.round}
            self.notes = stored.notes
            if path.name != "last" and stored.run == self.path:
                self.chosen = stored
            if unfinished := store.unfinished(self.path, self.model, recipe):
                warnings.warn(Caution(unfinished), stacklevel=2)
        self.recipe = recipe
        own, self._source = recipe.data, recipe.data.source
        if self.spec.covariates and not any("," in name for name in self.spec.covariates):
            # by name, whatever their place in another table
            own = replace(own, covariates=",".join(self.spec.covariates))
        self._given = None if data is None or isinstance(data, (str, Path)) else data
        source = own.source if data is None else str(data) if self._given is None else MEMORY
        self.own = self._given is None and source == own.source
        """Whether ``splits`` are the data that the run was trained on."""
        elsewhere = replace(own, source=source, to="", test="", labels="", palette=None, tolerance=0)
        if in_file(own.attributes):
            elsewhere = replace(elsewhere, attributes="")
        self.settings = own if source == own.source else elsewhere
        self._typed = data is not None

    @cached_property
    def splits(self) -> Splits:
        """The run's own data, or those named in their place; a ValueError says so when they have moved or changed kind.

        Data that are not the run's, and have no test part of their own, are all for testing. It is warned of data that
        have changed since the run was trained.
        """
        if not self._typed:
            allow(self.settings.source)
            allow(self.settings.to)
        try:
            splits = self._read(self.settings)
        except ValueError as error:
            why = error.sentence if isinstance(error, BadInput) else error
            if self._typed:
                raise BadInput(f"{self.settings.source} cannot be read as the run's data were ({why})") from None
            raise BadInput(f"the run's data cannot be opened ({why}); name them with ‹data› or ‹input›") from None
        if self.own:
            self._warn_of_change(splits)
        elif self._known and not changed(self._known, splits):
            self.own = True  # they have moved
        elif "test" in splits.chosen:
            splits = self._read(replace(self.settings, holdout=0, limit=None))
        splits = self._matched(splits, self.settings.source)
        if self.spec.palette and splits.spec.palette != self.spec.palette:
            for part in {id(part): part for part in map(splits.part, PARTS)}.values():
                self._tell_outside(part.x, self.settings.source)
            splits = palette.bring(splits, self.spec.palette)
        return splits

    def _read(self, settings: DataConfig) -> Splits:
        """Data opened by ``settings``; of others than the run's own that have no groups, without."""
        try:
            return open_data(settings, self._given if settings.source == self.settings.source else None)
        except BadInput:
            if not settings.group or settings.source == self._source:
                raise
            return self._read(replace(settings, group=""))

    def _examples(self, settings: DataConfig) -> Splits:
        """Data opened by ``settings``; without the labels, or the covariates that the model does not take, they lack.

        A model that needs a condition says so itself.
        """
        try:
            return self._read(like(settings, self.spec))
        except NoColumn as error:
            if self.model.condition.source == f"data.{error.setting}":
                raise
            return self._examples(replace(settings, **{error.setting: getattr(DataConfig, error.setting)}))

    def _warn_of_change(self, splits: Splits) -> None:
        """Warn where examples that the run was trained on may be held out now."""
        if self._known is None:
            return
        # where classes are others, what needs them says so
        what = changed(self._known, splits, labels=splits.spec.classes == self.spec.classes)
        if not self._known and "test" in splits.chosen:
            what = (
                "This run is of a version of Genwerk that held out other examples: some that it was trained on may be "
                "among those held out now."
            )
        if what:
            warnings.warn(what, stacklevel=2)

    def conditions(
        self,
        label: str | None = None,
        prompts: Sequence[str] = (),
        covariates: str | None = None,
        of_any_kind: Sequence[str] = (),
        *,
        borrow: int = 0,
    ) -> Tensor | None:
        """What a person typed as conditions of the model, one a row; None where nothing was typed.

        Of a model for which people would have to type much, the conditions of ``borrow`` held-out examples stand in.
        """
        kind, condition = called(self.model), self.model.condition
        typed: dict[str, Sequence[str]] = {
            "label": [] if label is None else [label],
            "prompt": prompts,
            "covariates": [] if covariates is None else [covariates],
        }
        if label is not None and self.spec.classes:
            self.label(label)
        for option, values in typed.items():
            if values and option != condition.option:
                texts = option == "prompt" and self.spec.modality.is_text and "completes" in abilities(self.model)
                cure = f"leave out ‹{option}›" + ", or let `genwerk complete` go on from it" * texts
                raise BadInput(f"{self.path} is a run of {kind}, which takes no {option}; {cure}")
        if given := [*typed.get(condition.option, ()), *of_any_kind]:
            parsed = condition.read(given)
            for doubt in condition.doubts(given):
                warnings.warn(doubt, stacklevel=2)
            return parsed
        if not borrow or not condition.borrowed or not self.settings.source:
            return None
        untold = f"no ‹{condition.given_by}›: " if condition.given_by else ""
        self.say(f"{untold}the {condition.plural} of held-out examples, in turn")
        return self.splits.test.under(condition).conditions(slice(borrow))

    def examples(
        self, source: str, n: int, label: str | None, prompts: Sequence[str] = (), *, exact: bool = False
    ) -> tuple[Batch, dict[str, list[Any]]]:
        """At most ``n`` examples of a part of the run's own data (by its name), or of any source fitted to the model.

        A ``source`` that is a sentence, and names no data, is the one example of a model of texts.

        Their conditions are their own, or what is typed as ``label`` or as ``prompts``, in turn. ``exact`` refuses an
        image file of another size instead of fitting it. With them comes what is known of each (:meth:`Dataset.known`).
        """
        if n < 1:
            raise ValueError(f"asked for {n} examples; ask for 1 or more")
        rows = slice(n)
        if source in PARTS:
            part = self.splits.part(source)
            return self._placed(self._batch(part, rows), label, prompts), part.known(rows)
        if not names_data(source) and (typed := self.spec.modality.typed(source)) is not None:
            return self._placed(Batch(typed), label, prompts), {}
        if Path(source).suffix.lower() in SUFFIXES and Path(source).is_file() and self.spec.modality.has_pixels:
            batch, known = Batch(self._image(Path(source), exact).unsqueeze(0)), {"file": [Path(source).name]}
        else:
            pattern = self._pattern(source) if label is None else None
            whole = replace(self.settings, source=source, label_pattern=pattern, holdout=0)
            part = self._matched(self._examples(whole), source).train
            known = part.known(rows)
            if part.spec.classes != self.spec.classes:
                part = replace(part, condition=None)
            batch = self._batch(part, rows)
        return self._placed(self._painted(batch, source), label, prompts), known

    def begun(self, prompts: Sequence[str], label: str | None) -> tuple[Batch, Tensor]:
        """Examples that begin as ``prompts`` say, and which of their values are known, with shape (n, *spec.shape)."""
        x, known = self.spec.modality.begun(prompts)
        return self._placed(Batch(x), label), known.to(self.model.device)

    def one(self, source: str, label: str | None) -> Batch:
        """One example: a row of the test data, or the first of any source."""
        if not source.isdecimal():
            return self.examples(source, 1, label)[0]
        row, test = int(source), self.splits.test
        if row >= len(test):
            raise ValueError(f"the test data have rows 0 to {len(test) - 1}, not {row}")
        return self._placed(self._batch(test, slice(row, row + 1)), label)

    def samples(self, *sources: str) -> bool:
        """Whether all of ``sources`` name samples: numbers, for a model that has no encoder."""
        numbers = all(s.removeprefix("-").isdecimal() for s in sources)
        return numbers and tasks.lacks_encoder(self.model)

    def latent(
        self, source: str, label: str | None, space: steering.Space, *, search: bool = False, seed: int = 0
    ) -> Tensor:
        """The latent in ``space`` of one example, with shape (1, ...): that of a sample, encoded, or searched for.

        A number names a sample of ``seed`` where there is no encoder. An example is encoded by a model that does so (in
        z); ``search`` allows to project it where there is no encoder, or in another space.
        """
        if self.samples(source):
            return steering.latents(self.model, [int(source)], space, self.conditions(label), seed=seed)
        batch = self.one(source, label)
        if "encodes" in abilities(self.model) and space == "z":
            return tasks.encode(self.model, batch)
        if not search:
            raise BadInput(
                f"{called(self.model)} has no encoder to place {source} in {space}; project it first by "
                "‹project›, or name a sample by its number"
            )
        self.say(f"projecting {source} into {space}")
        return steering.project(self.model, batch, steering.Search(space=space), seed=seed).latent

    def similarity(self, name: Literal["pixels", "features"]) -> Similarity:
        """How alike examples are: in pixels, or in the features in which samples of these data are measured."""
        return pixels if name == "pixels" else in_features(extractor_for(self.splits, device=self.model.device))

    @cached_property
    def classifier(self) -> Classifier:
        """A classifier of the run's data, the one whose features samples are measured in: kept, or trained now."""
        return classifier_for(self.splits, device=self.model.device)

    def films(self, *sources: str) -> Iterator[Film]:
        """Image files, and those in folders and archives, in their own size and with as many channels as the run's
        images, or their sources, have. One among others in a folder or archive that cannot be read is left out, with a
        warning."""
        paths = [Path(source).expanduser() for source in sources]
        if missing := [source for source, path in zip(sources, paths, strict=True) if not path.exists()]:
            raise BadInput(f"there is no image, folder or archive {missing[0]}; expected one of these")
        for path in paths:
            if path.suffix.lower() == ".zip":
                with open_zip(path) as archive:
                    yield from self._filmed(list_zip(path, archive, self.settings))
            else:
                yield from self._filmed((list_folder if path.is_dir() else list_file)(path, self.settings))

    def pictures(self, *sources: str) -> Iterator[tuple[str, Tensor]]:
        """The same by their names, each in [0, 1] with shape (c, h, w); of an animation its first frame."""
        return ((film.name, next(film.frames()).pixels) for film in self.films(*sources))

    def _filmed(self, listing: Listing) -> Iterator[Film]:
        channels = max([self.spec.shape[0], *self.spec.source[:1]])
        films = [
            Film(picture, channels, self.settings.background)
            for picture in (*listing.train, *listing.validation, *listing.test)
            if Path(picture.name).suffix.lower() in SUFFIXES
        ]
        if not films:
            raise BadInput(f"{listing.name} holds no image; name image files, folders of them, or archives (.zip)")
        for film in films:
            if len(films) > 1 and (fault := film.fault):
                warnings.warn(Caution(f"{fault}; it is left out"), stacklevel=2)
            else:
                yield film

    def _image(self, path: Path, exact: bool = False) -> Tensor:
        channels, height, width = self.spec.shape
        picture = Picture(path.name, lambda: open_regular(path))
        try:
            found = probe(picture)
            shape, fit = (channels, height, width), self.settings.fit
            pixels = decode(picture, shape, fit, background=self.settings.background)
        except Unusable as error:
            raise ValueError(f"{path} cannot be read as an image: {error}") from None
        if exact and (found.height, found.width) != (height, width):
            raise BadInput(
                f"{path} is {found.width}x{found.height} pixels and this model makes {width}x{height}; bring it to "
                "that size, or have it fitted by ‹resize›"
            )
        if (found.height, found.width) != (height, width):
            self.say(f"{path.name} is {found.width}x{found.height} pixels, and is brought to {width}x{height}")
        return torch.from_numpy(np.array(pixels)).float() / white(pixels)

    def _painted(self, batch: Batch, source: str) -> Batch:
        """``batch`` in the nearest colours of the run's palette, where it has one."""
        if not self.spec.palette:
            return batch
        x = (batch.x * 255).round().to(torch.uint8)
        self._tell_outside(x, source)
        brought = torch.from_numpy(palette.paint(x.numpy(), palette.as_array(self.spec.palette)))
        return replace(batch, x=brought.to(batch.x.dtype) / 255)

    def _tell_outside(self, x: Tensor, source: str) -> None:
        """Say how many pixels of ``x``, uint8 with shape (n, 3, h, w), have a colour that the run's palette lacks."""
        colours = palette.as_array(self.spec.palette)
        if n := palette.outside(palette.histogram(x.numpy()), colours):
            self.say(
                f"{n:,} of {x.numel() // 3:,} pixels of {source} have a colour outside the run's palette of "
                f"{len(colours)}; they take the nearest"
            )

    def _batch(self, part: Dataset, rows: slice) -> Batch:
        return part.under(self.model.condition).batch(rows)

    def _placed(self, batch: Batch, label: str | None, prompts: Sequence[str] = ()) -> Batch:
        if (typed := self.conditions(label, prompts)) is not None:
            batch = replace(batch, condition=typed[torch.arange(len(batch)) % len(typed)])
        return batch.to(self.model.device)

    def _pattern(self, source: str) -> str | None:
        """The pattern that gave the run its labels, where the model needs labels and names in ``source`` match it."""
        pattern, path = self.settings.label_pattern, Path(source)
        if pattern is None or not self.model.condition.classes:
            return None
        files = path.rglob("*") if path.is_dir() else [path]
        return pattern if any(re.search(pattern, file.name) for file in files) else None

    def _matched(self, splits: Splits, source: str) -> Splits:
        """``splits`` with columns and classes as the model counts them, by name; a BadInput where that cannot be."""
        splits = splits.each(lambda part: arranged(part, self.spec, source))
        found, wanted = splits.spec, self.spec
        conditions = found.covariates and len(found.covariates) != len(wanted.covariates)
        if (found.kind, found.shape) != (wanted.kind, wanted.shape) or conditions:
            raise BadInput(f"{source} holds {found}, and this model was trained on {wanted}")
        return splits

    def label(self, name: str) -> int:
        """Index of a class of the data by its name, or by its number where no class has a number for a name."""
        return int(Label(self.spec.classes).parse([name]))

    def mask(self, known: str) -> Tensor:
        """The mask with shape (1, *spec.shape) that ``known`` describes: a half, a mask image, seconds, or columns."""
        return self.spec.modality.mask(known, self._image).to(self.model.device)
