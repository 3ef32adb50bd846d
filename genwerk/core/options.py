"""What may be asked of a model when it samples: options of a type of its own, whose values are its own defaults.

A family names its type once, as :attr:`Model.options`; whoever offers options (a command, a page) reads the fields of
``type(model.options)``, and whoever passes them on need not know them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Annotated, Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.core.errors import BadSetting, Unsupported
from genwerk.core.marks import Needs


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Base of them all: plain JSON values, each with a docstring of one line and a default."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """What the options are called."""
        return tuple(f.name for f in fields(cls))

    def chosen(self, asked: SamplingOptions | Mapping[str, Any] | None) -> Self:
        """A model's own options with what is ``asked`` in their place: options of its type, or some by name.

        Whatever it does not have is :class:`Unsupported`.
        """
        if asked is None:
            return self
        if isinstance(asked, SamplingOptions):
            if not isinstance(self, type(asked)):
                raise Unsupported(f"this model's samples have no options {type(asked).__name__}; {self._there_is()}")
            found = replace(self, **vars(asked))
        else:
            if unknown := [name for name in asked if name not in self.names()]:
                raise Unsupported(f"this model's samples have no ‹{unknown[0]}›; {self._there_is()}")
            found = self.updated(asked)
        for name, value in vars(found).items():
            if isinstance(value, float) and not isfinite(value):
                raise BadSetting(name, f"is {value}; expected a finite number")
        return found

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """These options with ``changes``, by name; a type overrides it where one option decides what suits another."""
        return replace(self, **changes)

    def _there_is(self) -> str:
        """What can be chosen, as the end of a sentence."""
        names = [f"‹{name}›" for name in self.names()]
        return f"they have {', '.join(names)}" if names else "they have no options at all"


Options = SamplingOptions | None
"""What a model is asked for: options of its own type, or None for its own."""


def kinds(of: type[SamplingOptions] = SamplingOptions) -> Iterator[type[SamplingOptions]]:
    """Every type of options there is."""
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


@dataclass(frozen=True, kw_only=True)
class Plain(SamplingOptions):
    """Nothing to choose."""


@dataclass(frozen=True, kw_only=True)
class Observation(SamplingOptions):
    """What is shown of p(x | z), the distribution of an example given its latent."""

    observation: Literal["draw", "mean"] = "mean"
    """A draw of p(x | z), or its mean: draws add the noise of that distribution, value by value."""


@dataclass(frozen=True, kw_only=True)
class Tempered(SamplingOptions):
    """How near to their mode latents are drawn."""

    temperature: float = 1.0
    """Scales the latent's distance from its mode: below 1 samples are likelier and less varied, and 0 is the mode."""

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)


@dataclass(frozen=True, kw_only=True)
class Symbolwise(SamplingOptions):
    """How a symbol is drawn from its probabilities; as they stand, unless asked otherwise."""

    temperature: float = 1.0
    """Divides the logits: below 1 likelier symbols gain, and 0 always takes the likeliest."""
    top_k: int = 0
    """Draw from so many of the likeliest symbols only; 0 is all."""
    top_p: float = 1.0
    """Draw from the likeliest symbols that together have this probability (Holtzman et al., 2020, arXiv:1904.09751)."""
    particles: Annotated[int | None, Needs("completes")] = None
    """Sequences weighted against each other for each example where known values follow a hole (None:
    32 for each completion)."""

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)
        if self.top_k < 0:
            raise ValueError(f"top-k is {self.top_k}; it must be 0 (all symbols) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top-p is {self.top_p}; it must be above 0 and at most 1 (all symbols)")
        if self.particles is not None and self.particles < 1:
            raise ValueError(f"asked for {self.particles} particles; ask for 1 or more")

    def probabilities(self, logits: Tensor) -> Tensor:
        """What is drawn from, given logits with shape (n, levels); rows need not sum to 1."""
        if self.temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        p = (logits / self.temperature if self.temperature != 1 else logits).softmax(-1)
        if self.top_k and self.top_k < p.shape[-1]:
            p = p.masked_fill(p < p.topk(self.top_k, -1).values[..., -1:], 0)
        if self.top_p < 1:
            ordered, order = p.sort(-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            kept = ordered.masked_fill(before >= self.top_p * ordered.sum(-1, keepdim=True), 0)
            p = torch.zeros_like(p).scatter(-1, order, kept)
        return p

    def draw(self, logits: Tensor, u: Tensor) -> Tensor:
        """Symbols by the inverse of the distribution function at ``u``, uniform with shape (n,): one of each row of
        ``logits``; with shape (n, k), k of each row."""
        cumulative = self.probabilities(logits.float() if logits.dtype == torch.bfloat16 else logits).cumsum(-1)
        at = (u if u.dim() == logits.dim() else u.unsqueeze(-1)) * cumulative[..., -1:]
        return torch.searchsorted(cumulative, at.to(cumulative), right=True).clamp(max=logits.shape[-1] - 1).view_as(u)


@dataclass(frozen=True, kw_only=True)
class Streamed(Symbolwise):
    """How samples that have no natural end are drawn."""

    seconds: float | None = None
    """Length of each sound; None is as in training."""


def _check_temperature(temperature: float) -> None:
    if temperature < 0:
        raise ValueError(f"the temperature is {temperature}; it must be 0 (the likeliest) or more")


AS_LEARNED = Symbolwise()
"""Draws symbols from their probabilities as they stand."""
