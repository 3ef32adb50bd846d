"""Commands that draw from a model: sample, complete, image-to-image, watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

from genwerk.commands.command import USE, AtLeast, Command, OfCondition, Short
from genwerk.commands.options import (
    Conditions,
    Count,
    First,
    Greatest,
    Input,
    Label,
    ModelOptions,
    Number,
    Prior,
    Prompt,
    Run,
    uncounted,
)
from genwerk.commands.results import Examples, Figures, Known, Note, Table, names, records
from genwerk.core.errors import BadInput
from genwerk.core.layout import SQUARE, Layout
from genwerk.core.marks import File
from genwerk.runs.session import Session

if TYPE_CHECKING:
    from torch import Tensor

READ = 8
"""Samples that a terminal shows, of those that it can."""


@dataclass(frozen=True, kw_only=True)
class Sample(Command):
    """Draw new examples from a trained model."""

    group = USE
    needs = frozenset({"samples"})
    output = "samples"

    folder: Run
    n: Annotated[int | None, AtLeast(1), Short("n")] = None
    """Number of samples (default: 64, or 1 where the model is a folder of Stable Diffusion)."""
    label: Label = None
    """Class to sample, by name or number (conditional models; default: as often as in the training data, or with
    even probability each in turn)."""
    prompt: Prompt = ()
    covariates: Annotated[str | None, OfCondition("covariates")] = None
    """Models with covariates: those of every sample, joined by commas."""
    condition: Conditions = ()
    prior: Prior = "train"
    options: ModelOptions = field(default_factory=dict)
    seed: int = 0
    """Seed of all samples."""
    first: First = 0

    def run(self, session: Session) -> Iterator[Note | Examples | Figures]:
        from genwerk import tasks
        from genwerk.core.noise import Seeds
        from genwerk.core.options import Observation

        opened = session.open(self.folder)
        n = self.n or (1 if opened.foreign else 64)
        options = opened.model.options.chosen(self.options)
        if self.label is None and not self.condition:
            yield from uncounted(opened, self.prior)
        typed = (self.label, self.prompt, self.covariates, self.condition)
        condition, seeds = opened.conditions(*typed, borrow=self.first + n), Seeds(self.seed, self.first)
        drawn = tasks.samples(opened.model, n, condition, options, prior=self.prior, seed=seeds, watch=session.watch)
        first = next(drawn)
        lines, drawn = opened.spec.modality.lines(first.x[:READ]), chain([first], drawn)
        conditions = tasks.drawn_conditions(opened.model, n, seeds, condition, self.prior)
        known = {} if conditions is None else opened.model.condition.named(conditions)
        if (texts := [*self.prompt, *self.condition]) and "prompt" in known:
            known["prompt"] = [texts[i % len(texts)] for i in range(self.first, self.first + n)]
        captions = names(known)
        layout = Layout(captions=captions if len(set(captions)) > 1 else ())
        origin: dict[str, Any] = {"seed": self.seed, "first": self.first, "label": self.label}
        origin |= {"covariates": self.covariates, "prompt": "; ".join(self.prompt) or None}
        origin |= {"condition": "; ".join(self.condition) or None, **vars(options)}
        yield Examples(drawn, opened.spec, n, layout, {**opened.origin, **origin}, known)
        if lines:
            yield Figures({"first_texts": lines}, [Table([""], [[line] for line in lines])])
        if isinstance(options, Observation):
            shown = {"draw": "a draw from p(x | z)", "mean": "the mean of p(x | z), without its noise"}
            yield Note(f"each sample is {shown[options.observation]} (‹observation› draw or mean)")


@dataclass(frozen=True, kw_only=True)
class Complete(Command):
    """Fill in the missing part of examples, several times: each row is what is known and then its completions."""

    group = USE
    needs = frozenset({"completes"})
    output = "completions"

    folder: Run
    known: Annotated[str, File()] = ""
    """What is known: top-half, bottom-half, left-half, right-half, a mask image (white is known); first-half or
    last-half of a sound, or its first seconds (0.25s); names or numbers of a table's columns, joined by commas;
    first-half of a text, or its first tokens (first-10)."""
    input: Input = "test"
    n: Greatest = 8
    k: Count = 5
    """Completions per example."""
    label: Label = None
    prompt: tuple[str, ...] = ()
    """Language models: how texts begin, in place of examples, with {5} where 5 tokens are to be filled in. Models with
    a text as condition: what to generate."""
    options: ModelOptions = field(default_factory=dict)
    seed: int = 0
    """Seed of the completions."""

    def run(self, session: Session) -> Iterator[Examples | Figures]:
        import torch

        from genwerk import tasks
        from genwerk.core.spec import Batch

        opened = session.open(self.folder)
        about: Known
        if self.prompt and opened.spec.modality.is_text:
            if self.known:
                raise BadInput("‹prompt› says what is known, and so does ‹known›; leave one of them out")
            batch, mask = opened.begun(self.prompt, self.label)
            about = {"prompt": self.prompt}
        elif not self.known:
            typed = ", or type how a text begins with ‹prompt›" if opened.spec.modality.is_text else ""
            raise BadInput(f"nothing is said to be known; name what is with ‹known›{typed}")
        else:
            batch, about = opened.examples(self.input, self.n, self.label, self.prompt)
            mask = opened.mask(self.known)
        found = tasks.complete(opened.model, batch, mask, self.k, self.options, seed=self.seed)
        shown, heads = found.x, [str(i + 1) for i in range(self.k)]
        if opened.spec.modality.has_pixels:
            veiled = torch.where(mask, batch.x, 0.5).unsqueeze(1)
            shown = torch.cat([veiled, found.x, batch.x.unsqueeze(1)], 1)
            heads = ["known", *heads, "original"]
        called = names(about)
        layout = Layout(shown.shape[1], called, heads)
        yield Examples.of(opened, Batch(shown.flatten(0, 1)), layout, seed=self.seed, known=self.known)
        figures = {"log_prob": found.log_prob, "ess": found.ess, "ancestors": found.ancestors}
        columns = {name: values.tolist() for name, values in figures.items() if values is not None}
        rows = records(about, **columns)
        if lines := opened.spec.modality.lines(found.x.flatten(0, 1)):
            yield _written(called, lines, found.log_prob, {"particles": found.particles, "examples": rows})
            return
        notes = []
        for name, row in zip(called, rows, strict=True):
            said = f"log-likelihood {', '.join(f'{v:.1f}' for v in row['log_prob'])} nats" if "log_prob" in row else ""
            if said and found.particles > self.k and {"ess", "ancestors"} <= row.keys():
                said += f"; {row['ess']:.1f} effective of {found.particles} particles, "
                said += f"completions of {row['ancestors']} of them"
            notes += [Note(f"{name}: {said}")] if said else []
        yield Figures({"particles": found.particles, "examples": rows}, notes)


def _written(names: Sequence[str], lines: Sequence[str], log_prob: Tensor | None, values: dict[str, Any]) -> Figures:
    """Completions that can be read, a row each, with what they have in common."""
    k = len(lines) // len(names)
    nats = [""] * len(lines) if log_prob is None else [f"{v:.1f}" for v in log_prob.flatten().tolist()]
    cells = [[names[i // k], line, nats[i]] for i, line in enumerate(lines)]
    for i, example in enumerate(values["examples"]):
        example["completions"] = lines[i * k : (i + 1) * k]
    return Figures(values, [Table(["example", "completion", "log-likelihood in nats"], cells)])


@dataclass(frozen=True, kw_only=True)
class ImageToImage(Command):
    """Add noise to examples and remove it again as a label or text says: originals above, results below."""

    group = USE
    needs = frozenset({"denoises"})
    output = "image-to-image"

    folder: Run
    input: Input = "test"
    strength: float = 0.6
    """How far they are noised, from 0 (they stay as they are) to 1 (nothing of them is left)."""
    n: Greatest = 8
    label: Label = None
    prompt: Prompt = ()
    options: ModelOptions = field(default_factory=dict)
    seed: int = 0
    """Seed of the noise."""

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk import tasks

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, self.label, self.prompt)
        made = tasks.sdedit(opened.model, batch, self.strength, self.options, seed=self.seed)
        origin: dict[str, Any] = {
            "strength": self.strength,
            "prompt": "; ".join(self.prompt) or None,
            "label": self.label,
        }
        yield Examples.of(opened, replace(batch, target=made), SQUARE, known, seed=self.seed, **origin)


@dataclass(frozen=True, kw_only=True)
class Watch(Command):
    """Draw examples and show how they form, one row each: what the model takes them to be, step by step."""

    group = USE
    needs = frozenset({"traces"})
    output = "watch"

    folder: Run
    n: Number = 4
    """Number of examples."""
    frames: Annotated[int, AtLeast(2)] = 8
    """Pictures of each, spread evenly over the steps; the last is the sample."""
    label: Label = None
    prompt: Prompt = ()
    condition: Conditions = ()
    options: ModelOptions = field(default_factory=dict)
    seed: int = 0
    """Seed of all samples."""
    first: First = 0

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk import tasks
        from genwerk.core.noise import Seeds
        from genwerk.core.spec import Batch

        opened = session.open(self.folder)
        typed = (self.label, self.prompt, None, self.condition)
        condition = opened.conditions(*typed, borrow=self.first + self.n)
        seeds = Seeds(self.seed, self.first)
        shown = tasks.trajectory(opened.model, self.n, condition, self.options, frames=self.frames, seed=seeds)
        conditions = tasks.drawn_conditions(opened.model, self.n, seeds, condition)
        named = {} if conditions is None else opened.model.condition.named(conditions)
        layout = Layout(
            columns := shown.shape[1],
            row_names=names({"sample": range(self.first, self.first + self.n), **named}),
            column_names=[f"{i / max(1, columns - 1):.0%}" for i in range(columns)],
        )
        yield Examples.of(opened, Batch(shown.flatten(0, 1)), layout, seed=self.seed, first=self.first)
