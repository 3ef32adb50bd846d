"""What a model can honestly do: one abstract base class an ability, inherited only where it is true.

Everywhere: ``x`` is data with shape (n, *spec.shape) in the units of :class:`DataSpec`, ``z`` a latent
with shape (n, *model.latent_shape), ``condition`` is None, class indices (int64) with shape (n,), token ids of texts
(int64) with shape (n, spec.vocabulary.length) or numbers (float64) with shape (n, len(spec.given)), and seeds follow
:class:`SeededNoise`: example i of a seed is the same in every batch, ``Seeds(seed, i)`` asks for those
from number i on, and None is a fresh seed.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import Tensor

from genwerk.core.noise import Noise, Seed
from genwerk.core.spec import Batch, numbers

if TYPE_CHECKING:
    from genwerk.diffusion.sampling import Sampling
from genwerk.core.options import PLAIN, Decoding


class Samples(ABC):
    """Draws new examples."""

    @abstractmethod
    def sample(self, n: int, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        """``n`` new examples with shape (n, *spec.shape)."""

    @property
    def row_cost(self) -> int | None:
        """Bytes of memory that a sample takes on its way; None where that is measured soon enough, on the first one."""
        return None


class Encodes(ABC):
    """Maps data to a latent, deterministically."""

    latent_shape: tuple[int, ...]
    discrete: bool = False
    """Whether a latent is made of names, between which there is nothing (entries of a codebook)."""

    @abstractmethod
    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The latent of each example (the mean, where there is a distribution)."""


class Decodes(ABC):
    """Maps a latent to data, deterministically."""

    latent_shape: tuple[int, ...]

    @abstractmethod
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The example of each latent (the mean, where there is a distribution)."""


class Inverts(Encodes, Decodes):
    """Encodes and decodes without loss: each undoes the other, but for rounding."""


class HasLatentPrior(Decodes):
    """Decodes latents of a known prior, so that a sample can be found again, moved and mixed.

    ``decode`` can be differentiated by z.
    """

    @abstractmethod
    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        """``n`` latents with shape (n, *latent_shape); ``sample(n, c, seed=s)`` is ``decode(prior(n, seed=s), c)``, but
        for the noise maps of :class:`Styles`, which samples have of their own, and for the draw of :class:`Observes`.
        """


class Styles(HasLatentPrior):
    """Decodes in two steps: a latent z is mapped to styles w, one a layer from coarse to fine, and these to data."""

    style_sizes: tuple[int, ...]
    """Side in pixels of the image that each style acts on, from coarse to fine."""

    @abstractmethod
    def map(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Styles with shape (n, layers, d), the same at every layer; ``decode(z)`` is ``synthesise(map(z))``."""

    @abstractmethod
    def mean_style(self) -> Tensor:
        """The mean of w over the prior, tracked in training, with shape (d,); a ValueError where none was tracked."""

    @abstractmethod
    def draw_noise(self, n: int, *, seed: Seed | None = None) -> list[Tensor]:
        """The noise maps of ``sample(n, c, seed=seed)``, one a layer, each with shape (n, 1, h, w)."""

    @abstractmethod
    def synthesise(self, w: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        """Data of styles with shape (n, layers, d), differentiable; ``noise`` None takes the model's fixed maps."""


Observation = Literal["draw", "mean"]
"""What is shown of p(x | z), the distribution of an example given its latent: a draw of it, or its mean."""


class Observes(Samples, Decodes):
    """Makes an example in two steps: a latent z, and x ~ p(x | z). ``decode`` is the mean of the second."""

    observation: Observation | None
    """What ``sample`` shows. A draw where x is a row of a table, for without the second step columns vary too little,
    and one that depends on no other hardly at all; the mean where it is an image or a sound, to which the second step
    adds noise, value by value. None where there is no p(x | z)."""

    @abstractmethod
    def observed(
        self, n: int, observation: Observation, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` examples with shape (n, *spec.shape), of latents that are those of ``sample``."""

    @abstractmethod
    def sample_likelihood(self, z: Tensor, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """A draw of x ~ p(x | z) for each latent, with shape (n, *spec.shape)."""

    def sample(self, n: int, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        """``n`` new examples, each a draw or the mean of p(x | z) as :attr:`observation` says."""
        return self.observed(n, self.observation or "mean", condition, seed=seed)


class HasLikelihood(ABC):
    """Knows its density exactly."""

    scored: str = ""
    """Which version of the data the likelihood is of, where it is not the data as stored (say, binarised pixels)."""

    @abstractmethod
    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Exact log-likelihood in nats per example with shape (n,).

        Images: of the 8-bit data, a probability mass or the density of data dequantised with uniform noise over one
        level and counted per level; text: of the sequence; tables: the density in the data's own units.
        """


class BoundsLikelihood(ABC):
    """Knows a lower bound of its density."""

    scored: str = ""
    """As in :class:`HasLikelihood`."""

    @abstractmethod
    def log_prob_bound(
        self, x: Tensor, draws: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """A lower bound on the log-likelihood, in nats per example with shape (n,), in the units of ``log_prob``.

        ``draws`` is the number of Monte-Carlo draws an example.
        """


class ImportanceWeighted(BoundsLikelihood):
    """Bounds its density by importance sampling: log p(x) >= E log mean_k w_k, with equality as draws grow."""

    @abstractmethod
    def log_weights(
        self, x: Tensor, draws: int, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """Log importance weights log p(x, z_k) - log q(z_k | x) with shape (n, draws)."""

    def log_prob_bound(
        self, x: Tensor, draws: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        return torch.logsumexp(self.log_weights(x, draws, condition, seed=seed), dim=1) - log(draws)


@dataclass(frozen=True)
class Completion:
    """Completed examples, and how likely the model finds them."""

    x: Tensor
    """Completions with shape (n, k, *spec.shape); given values are unchanged."""
    log_prob: Tensor | None
    """Log-likelihood of what was filled in given what is known, in nats with shape (n, k); None where nobody knows.

    Where a model goes through its values in order and some are known after a hole, it is that of everything from the
    first hole on, given what stands before: the same but for a constant of the example.
    """
    ess: Tensor | None = None
    """Least effective number of particles on the way with shape (n,), where completions come of weighted particles."""
    particles: int = 1
    """How many particles there were for each example."""
    ancestors: Tensor | None = None
    """Of how many different particles the k completions come, with shape (n,); None where there are no particles."""

    @classmethod
    def joined(cls, parts: Sequence[Completion]) -> Completion:
        """The completions of all ``parts``, which tell the same of each."""

        def all_of(values: Iterable[Tensor | None]) -> Tensor | None:
            told = [value for value in values if value is not None]
            return torch.cat(told) if told else None

        return cls(
            torch.cat([part.x for part in parts]),
            all_of(part.log_prob for part in parts),
            all_of(part.ess for part in parts),
            max(part.particles for part in parts),
            all_of(part.ancestors for part in parts),
        )


class Completes(ABC):
    """Fills in what is missing."""

    @abstractmethod
    def complete(
        self, x: Tensor, known: Tensor, k: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Completion:
        """``k`` completions of each example.

        ``known`` is boolean, True where ``x`` is given, and broadcasts to ``x``; given values come back unchanged.
        """


class Autoregressive(ABC):
    """Emits its data symbol by symbol, so that every draw can be sharpened (:class:`Decoding`).

    ``complete``, where there is one, takes ``decoding`` and ``particles`` beside its other arguments.
    """

    @abstractmethod
    def steps(
        self, n: int, condition: Tensor | None = None, *, decoding: Decoding = PLAIN, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """Frames with shape (n, *spec.shape), the last of which is the sample; what does not stand yet is blank."""


class Tempers(Samples):
    """Draws examples that are likelier, and less varied, than the data."""

    @abstractmethod
    def tempered(
        self, n: int, temperature: float, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` examples with shape (n, *spec.shape): as ``sample`` at temperature 1, all of them the mode at 0."""


class Denoises(Samples):
    """Draws examples by taking noise away step by step, as a :class:`Sampling` says.

    ``complete``, where there is one, takes ``sampling`` and ``negative`` beside its other arguments. ``sampling`` None
    is the model's own; ``negative`` is what guidance leads away from, in the form of a condition (None: nothing).
    """

    @property
    @abstractmethod
    def sampling(self) -> Sampling:
        """How the model draws its samples unless asked otherwise."""

    @abstractmethod
    def denoise(
        self,
        n: int,
        condition: Tensor | None = None,
        *,
        sampling: Sampling | None = None,
        negative: Tensor | None = None,
        size: tuple[int, int] | None = None,
        seed: Seed | None = None,
    ) -> Iterator[Tensor]:
        """Frames with shape (n, *spec.shape), or of another ``size`` (height, width); the last is the sample.

        A frame shows what the model takes the finished example to be.
        """

    def drawn(
        self,
        n: int,
        condition: Tensor | None = None,
        *,
        sampling: Sampling | None = None,
        negative: Tensor | None = None,
        size: tuple[int, int] | None = None,
        seed: Seed | None = None,
    ) -> Tensor:
        """The last frame of :meth:`denoise`, where nobody looks at the others."""
        return last(self.denoise(n, condition, sampling=sampling, negative=negative, size=size, seed=seed))

    @abstractmethod
    def edit(
        self,
        x: Tensor,
        strength: float,
        condition: Tensor | None = None,
        *,
        sampling: Sampling | None = None,
        negative: Tensor | None = None,
        seed: Seed | None = None,
    ) -> Tensor:
        """Each example noised as far as ``strength`` (0 to 1) of the way, and brought back: 0 changes nothing."""


class Blends(ABC):
    """Is told something between two texts, so that one picture can turn into another."""

    @abstractmethod
    def between(self, start: Tensor, end: Tensor, steps: int, *, seed: Seed | None = None) -> Tensor:
        """Examples of one noise on the way from one text to another, token ids with shape (1, l) each.

        What the model makes of the texts is mixed in equal strides, ends included: shape (steps, *spec.shape).
        """


class Translates(ABC):
    """Turns examples of one kind into another."""

    @abstractmethod
    def translate(self, x: Tensor) -> Tensor:
        """The translation of each example."""


class Traces(ABC):
    """Samples in steps that can be watched."""

    @abstractmethod
    def trace(self, n: int, condition: Tensor | None = None, *, seed: Seed | None = None) -> Iterator[Tensor]:
        """Frames with shape (n, *spec.shape), the last of which is the sample."""


class Streams(ABC):
    """Goes on for as long as it is asked to."""

    @abstractmethod
    def stream(
        self,
        n: int = 1,
        condition: Tensor | None = None,
        *,
        block: int = 4000,
        decoding: Decoding = PLAIN,
        seed: Seed | None = None,
    ) -> Iterator[Tensor]:
        """Endless blocks with shape (n, channels, block), which in a row are the sample of ``seed`` that is as long."""


Told = Literal["none", "label", "text", "vector"]
"""Kinds of condition: nothing, a class, a text, or numbers that go with an example."""


class Conditions(ABC):
    """May be told what to make."""

    condition: Told
    """What a condition is; "none" where this model's settings leave it unconditional."""


def told_what(model: object) -> Told:
    """What kind of condition ``model`` takes."""
    kind: Told = getattr(model, "condition", "none")
    return kind


def condition_of(model: object, batch: Batch) -> Tensor | None:
    """What ``model`` would be told of the examples of ``batch``; None where it is told nothing, or they lack it."""
    return {"none": None, "text": batch.text}.get(told_what(model), batch.condition)


class Diagnoses(ABC):
    """Has figures of its own that say whether training went well."""

    @abstractmethod
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Named figures over the examples of ``x``: scalars, or one value a latent dimension with shape (d,)."""


class Embeds(ABC):
    """Places examples in a space where distance means likeness."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Unit vectors with shape (n, d)."""


class AlignsText(Embeds):
    """Places texts among the examples, so that it can be told which goes with which."""

    @abstractmethod
    def embed_text(self, text: Tensor) -> Tensor:
        """Unit vectors with shape (n, d) of token ids with shape (n, spec.vocabulary.length)."""


class Critic(ABC):
    """Tells real from made."""

    @abstractmethod
    def judge(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """A score an example with shape (n,), higher for more real."""


def told(model: object, condition: Tensor | None, classes: int) -> Tensor | None:
    """``condition``, checked, where ``model`` is told one of ``classes``; None where it is told nothing (0 classes)."""
    if not classes:
        return None
    if condition is None or condition.min() < 0 or condition.max() >= classes:
        raise ValueError(
            f"this {type(model).__name__} is told the class: pass condition, a class index from 0 to {classes - 1} each"
        )
    return condition


def told_numbers(model: object, condition: Tensor | None, given: Sequence[str]) -> Tensor:
    """``condition``, checked, where ``model`` is told the numbers called ``given``."""
    if condition is None or condition.shape[1:] != (len(given),) or not condition.isfinite().all():
        raise ValueError(
            f"this {type(model).__name__} is told {numbers(given)}: pass condition, as many finite numbers each"
        )
    return condition


Frame = TypeVar("Frame")


def last(frames: Iterator[Frame]) -> Frame:
    """The last of ``frames``: the sample that they lead to."""
    return deque(frames, maxlen=1)[0]


ABILITIES: dict[str, type] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", c.__name__).lower(): c
    for c in (
        Samples,
        Encodes,
        Decodes,
        Inverts,
        HasLatentPrior,
        Styles,
        Observes,
        HasLikelihood,
        BoundsLikelihood,
        ImportanceWeighted,
        Completes,
        Translates,
        Traces,
        Autoregressive,
        Tempers,
        Denoises,
        Blends,
        Streams,
        Conditions,
        Diagnoses,
        Embeds,
        AlignsText,
        Critic,
    )
}


def abilities(model: object) -> frozenset[str]:
    """Names of what ``model`` (an instance, or a class for what it may do) can do: the one source for everything."""
    kind = model if isinstance(model, type) else type(model)
    names = {name for name, ability in ABILITIES.items() if issubclass(kind, ability)}
    if getattr(model, "condition", None) == "none":
        names.discard("conditions")
    if getattr(model, "observation", "mean") is None:
        names.discard("observes")
    return frozenset(names)
