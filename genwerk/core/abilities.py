"""What a model can honestly do: one abstract base class an ability, inherited only where it is true.

Everywhere: ``x`` is data with shape (n, *spec.shape) in the units of :class:`DataSpec`, ``z`` a latent
with shape (n, *model.latent_shape), ``condition`` is None or what :attr:`Model.condition` describes, a row an example,
and seeds follow :class:`SeededNoise`: example i of a seed is the same in every batch, ``Seeds(seed, i)`` asks for those
from number i on, and None is a fresh seed.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.noise import Seed
from genwerk.core.options import Options, SamplingOptions
from genwerk.core.spec import Batch

ScoredAs = Literal["stored", "binary", "symbols"]
"""What a likelihood counts: values as they are stored (levels, or a density), pixels that are white with the
probability that they say, or symbols of a model's own, whose nats compare with those of no other model."""


class Samples(ABC):
    """Draws new examples."""

    phrase = "a way to sample"
    options: SamplingOptions
    """What may be asked when samples are drawn: the model's own defaults, of the model's own type."""

    @abstractmethod
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` new examples with shape (n, *spec.shape); ``options`` None are the model's own."""

    @property
    def row_cost(self) -> int | None:
        """Bytes of memory that a sample takes on its way; None where that is measured soon enough, on the first one."""
        return None


class Traces(Samples):
    """Samples in steps, which can be watched."""

    phrase = "samples that come about step by step"

    @abstractmethod
    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        """Frames of ``n`` examples with shape (n, *spec.shape), the last of which is the sample."""

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """The last frame of :meth:`trace`."""
        return last(self.trace(n, condition, options, seed=seed))


class Translates(ABC):
    """Makes an image from another, its source; both may be of any size."""

    phrase = "a way to translate images"
    scale: int
    """How many times as high and wide as its source an image is."""
    margin: int | None
    """Pixels around a part of a source, which begins and ends at multiples of the stride, on which what is made of that
    part depends, at most; None where that is all of it: large images are given whole to such a model, which bounds the
    memory itself."""
    stride: int
    """Pixels by which a part of a source may be moved so that what is made of it moves with it and else stays."""
    provenance: bool = False
    """Whether who or what somebody is may be another in a translation, whose file then says that it is none's photo."""

    @abstractmethod
    def source(self, batch: Batch) -> Tensor:
        """The sources in ``batch``, as :meth:`translate` takes them."""

    def aimed(self, batch: Batch, *, seed: Seed | None = None) -> Tensor | None:
        """The condition by which each source in ``batch`` is translated, where nobody says one."""
        return None

    @abstractmethod
    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        """An image of each source with shape (n, c', h, w), in [0, 1] with shape (n, c, scale * h, scale * w).

        ``condition`` is None, or what a model of domains is to make of each (:class:`TranslatesDomains`).
        """

    @abstractmethod
    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """The source that images ``x`` with shape (n, c, h, w) are; of some pixels alone, where these are ``known``
        (boolean with shape (n, 1, h, w))."""

    @abstractmethod
    def shown(self, source: Tensor) -> Tensor:
        """The source as the image that it is without a model, with shape (n, c, scale * h, scale * w)."""

    def translated(self, batch: Batch, condition: Tensor | None = None, *, seed: Seed | None = None) -> Batch:
        """The sources in ``batch`` as they are without a model, with what is made of them as targets."""
        source = self.source(batch)
        aim = self.aimed(batch, seed=seed) if condition is None else condition
        return Batch(self.shown(source), aim, self.translate(source, aim, seed=seed))

    def by_parts(
        self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Callable[[Tensor], Tensor]:
        """What translates parts of one large ``source``, with shape (1, c', h, w): what depends on all of it is looked
        up here, once and in bounded memory, so that the parts fit together."""
        return lambda part: self.translate(part, condition, seed=seed)


class TranslatesDomains(Translates):
    """Makes an image of another domain from one of any: of a class, or with other attributes. Sources are examples, and
    which image it should become is known of none."""

    phrase = "a way to translate images to another domain"
    scale = 1

    @abstractmethod
    def aims(self, condition: Tensor, *, seed: Seed | None = None) -> Tensor:
        """Where each example of a domain ``condition`` can go: another domain, or its own where it can go nowhere."""

    def source(self, batch: Batch) -> Tensor:
        return batch.x

    def aimed(self, batch: Batch, *, seed: Seed | None = None) -> Tensor:
        assert batch.condition is not None
        return self.aims(batch.condition, seed=seed)

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        if known is not None:
            raise BadInput("a mask is for models that fill holes, which this one was not trained for; leave it out")
        return x

    def shown(self, source: Tensor) -> Tensor:
        return source


class Encodes(ABC):
    """Maps data to a latent, deterministically."""

    phrase = "an encoder"
    latent_shape: tuple[int, ...]
    discrete: bool = False
    """Whether a latent is made of names, between which there is nothing (entries of a codebook)."""
    lossless: bool = False
    """Whether decoding undoes encoding, but for rounding and for the steps of a sampler."""
    codes_by_condition: bool = True
    """Whether a conditional model needs the condition to encode; False where its autoencoder has none."""

    @abstractmethod
    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The latent of each example (the mean, where there is a distribution)."""


class Decodes(ABC):
    """Maps a latent to data, deterministically."""

    phrase = "a decoder"
    latent_shape: tuple[int, ...]

    @abstractmethod
    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The example of each latent (the mean, where there is a distribution)."""


class HasLatentPrior(Decodes):
    """Decodes latents of a known prior, so that a sample can be found again, moved and mixed.

    ``decode`` can be differentiated by z.
    """

    phrase = "a latent of known prior"

    @abstractmethod
    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        """``n`` latents with shape (n, *latent_shape); ``sample(n, c, seed=s)`` is ``decode(prior(n, seed=s), c)``, but
        for the noise maps of :class:`Styles`, which samples have of their own, and for a draw of p(x | z).
        """


class Styles(HasLatentPrior):
    """Decodes in two steps: a latent z is mapped to styles w, one a layer from coarse to fine, and these to data."""

    phrase = "styles"
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


class HasLikelihood(ABC):
    """Knows its density exactly."""

    phrase = "an exact likelihood"
    scored: str = ""
    """Which version of the data the likelihood is of, where it is not the data as stored (say, binarised pixels)."""
    scored_as: ScoredAs = "stored"
    """What the values of that version are."""

    @abstractmethod
    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Exact log-likelihood in nats per example with shape (n,).

        Images: of the 8-bit data, a probability mass or the density of data dequantised with uniform noise over one
        level and counted per level; text: of the sequence; tables: the density in the data's own units.
        """


class BoundsLikelihood(ABC):
    """Knows a lower bound of its density."""

    phrase = "a bound on its likelihood"
    scored: str = ""
    scored_as: ScoredAs = "stored"
    """Both as in :class:`HasLikelihood`."""

    @abstractmethod
    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """A lower bound on the log-likelihood, in nats per example with shape (n,), in the units of ``log_prob``.

        ``importance_samples`` is the number of Monte-Carlo draws an example.
        """


class ImportanceWeighted(BoundsLikelihood):
    """Bounds its density by importance sampling: log p(x) >= E log mean_k w_k, with equality as their number grows."""

    phrase = "importance weights"

    @abstractmethod
    def log_weights(
        self, x: Tensor, importance_samples: int, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        """Log importance weights log p(x, z_k) - log q(z_k | x) with shape (n, importance_samples)."""

    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        log_w = self.log_weights(x, importance_samples, condition, seed=seed)
        return torch.logsumexp(log_w, dim=1) - log(importance_samples)


@dataclass(frozen=True)
class Completion:
    """Completed examples, and how likely the model finds them."""

    x: Tensor
    """Completions with shape (n, k, *spec.shape); observed values are unchanged."""
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
            known = [value for value in values if value is not None]
            return torch.cat(known) if known else None

        return cls(
            torch.cat([part.x for part in parts]),
            all_of(part.log_prob for part in parts),
            all_of(part.ess for part in parts),
            max(part.particles for part in parts),
            all_of(part.ancestors for part in parts),
        )


class Completes(ABC):
    """Fills in what is missing."""

    phrase = "a way to fill in what is missing"

    @abstractmethod
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        k: int = 1,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Completion:
        """``k`` completions of each example; ``options`` are those of samples, None the model's own.

        ``known`` is boolean, True where ``x`` is observed, and broadcasts to it; observed values stay.
        """


class Denoises(Traces):
    """Samples by taking noise away step by step, and so can begin at an example that is noised part of the way."""

    phrase = "noise that is taken away step by step"

    @abstractmethod
    def sdedit(
        self,
        x: Tensor,
        strength: float,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Tensor:
        """Each example noised as far as ``strength`` (0 to 1) of the way, and brought back: 0 changes nothing."""


class InterpolatesPrompts(Samples):
    """Takes what lies between two texts, so that one picture turns into another."""

    phrase = "prompts between which there is something"

    @abstractmethod
    def interpolate_prompts(
        self, start: Tensor, end: Tensor, steps: int, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """Examples of one noise on the way from one text to another, token ids with shape (1, l) each.

        What the model makes of the texts is mixed in equal strides, ends included: shape (steps, *spec.shape).
        """


class Diagnoses(ABC):
    """Has figures of its own that say whether training went well."""

    phrase = "figures of its own"

    @abstractmethod
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Named figures over the examples of ``x``: scalars, or one value a latent dimension with shape (d,)."""


class AlignsText(ABC):
    """Places examples and texts in one space, so that it can be told which goes with which."""

    phrase = "a common space of examples and texts"

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Unit vectors with shape (n, d)."""

    @abstractmethod
    def embed_text(self, text: Tensor) -> Tensor:
        """Unit vectors with shape (n, d) of token ids with shape (n, spec.vocabulary.length)."""


Frame = TypeVar("Frame")


def last(frames: Iterator[Frame]) -> Frame:
    """The last of ``frames``: the sample that they lead to."""
    return deque(frames, maxlen=1)[0]


ABILITIES: dict[str, Any] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", c.__name__).lower(): c
    for c in (
        Samples,
        Traces,
        Translates,
        TranslatesDomains,
        Encodes,
        Decodes,
        HasLatentPrior,
        Styles,
        HasLikelihood,
        BoundsLikelihood,
        ImportanceWeighted,
        Completes,
        Denoises,
        InterpolatesPrompts,
        Diagnoses,
        AlignsText,
    )
}


def abilities(model: object) -> frozenset[str]:
    """Names of what ``model`` (an instance, or a class for what it may do) can do: the one source for everything."""
    kind = model if isinstance(model, type) else type(model)
    names = {name for name, ability in ABILITIES.items() if issubclass(kind, ability)}
    return frozenset(names)
