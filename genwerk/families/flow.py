"""What every normalising flow shares: log p(x) = log p(z) + log |det dz/dx| for an invertible z = f(x).

Rezende & Mohamed, Variational Inference with Normalizing Flows, 2015, arXiv:1505.05770; Papamakarios et al.,
Normalizing Flows for Probabilistic Modeling and Inference, 2021, arXiv:1912.02762.

A family gives a :class:`Transform` and is done. What is done to data before that (dequantisation, logit,
standardisation) is a layer with its own change of volume, and likelihoods are of stored data. Dequantisation is
uniform; one that is learned is a family around any flow, :mod:`genwerk.families.variational_dequantisation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor

from genwerk.core.abilities import Diagnoses, Encodes, HasLatentPrior, HasLikelihood, Samples
from genwerk.core.condition import choose
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import Options, Tempered
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.nn.flows.actnorm import fitting
from genwerk.nn.flows.base import Base, BaseConfig, NormalBase
from genwerk.nn.flows.preprocessing import LogitTransform, PixelTransform
from genwerk.nn.flows.transform import Transform
from genwerk.nn.units import NetworkUnits, Standardise

FIRST = 512
"""Examples from which activation normalisation takes its first mean and variance."""


@dataclass(frozen=True, kw_only=True)
class FlowConfig(Config):
    """Settings that every flow has."""

    base: BaseConfig = field(default_factory=NormalBase)
    """Density of the latent."""
    pixel_transform: PixelTransform = field(default_factory=LogitTransform)
    """How pixels reach the whole line."""
    tail_bound: float | None = None
    """Where linear tails of affine and additive transforms begin, in standard deviations of a column (covariates are
    cut there, too); None lets them extrapolate, as in runs stored before this field. Splines have their own."""
    conditional: bool = False
    """Whether the flow is conditioned on what goes with an example: its label, or a table's covariates."""


class FlowModel(Model, Samples, Encodes, HasLatentPrior, HasLikelihood, Diagnoses):
    """A transform from data to a latent of simple density.

    A subclass builds the transform, from examples to rows with shape (n, dims), and hands it to :meth:`flows`.
    """

    options: Tempered = Tempered()
    lossless = True
    transform: Transform
    base: Base
    begun: Tensor

    def __init__(self, config: FlowConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: FlowConfig = config
        self.condition = choose(config.conditional, spec)
        self.numbers = Standardise((self.condition.width,)) if self.condition.continuous else NetworkUnits()
        self.latent_shape = (spec.dims,)
        self.surface = spec.modality.preprocessing(config.pixel_transform)
        self.scored = self.surface.scored
        self.register_buffer("begun", torch.tensor(False))

    def flows(self, transform: Transform) -> None:
        """Take the ``transform``, from values with shape (n, *spec.shape) to rows with shape (n, dims)."""
        self.transform = transform
        self.base = self.config.base.build(self.spec.dims)

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self._begin)]

    @torch.no_grad()
    def _begin(self, data: Dataset) -> Dataset:
        """Fit the surface and the first normalisation, once; ``data`` comes back as it is."""
        if not self.begun:
            self.surface.fit(data.x)
            if self.condition.continuous and (values := self.condition.check(data.condition, self)) is not None:
                self.numbers.fit(self.condition.features(values))
            batch = data.subset(FIRST).batch().to(self.device)
            with fitting(self.transform):
                self.transform(self.surface(batch.x)[0], self.context(batch.condition))
            self.begun.fill_(True)
        return data

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        u = stream.uniform(*self.spec.shape) if self.surface.random else None
        yield Turn("model", self.objective, batch, u)

    def objective(self, batch: Batch, u: Tensor | None = None) -> Loss:
        """Negative log-likelihood in nats an example; ``u`` is uniform with the shape of x, for pixels."""
        nll = -self.log_prob_at(batch.x, u, batch.condition).mean()
        figures = {"nll": nll}
        if self.spec.modality.has_levels:
            figures["bits per dim"] = nll / (self.spec.dims * log(2))
        return nll, figures

    # --- abilities ----------------------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.log_prob_at(x, None, condition)

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return self.base.draw(SeededNoise(n, seed, self.device))

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """Examples of latents drawn from the prior, at temperatures below 1 nearer to their mode (Glow, section 5)."""
        noise, temperature = SeededNoise(n, seed, self.device), self.options.chosen(options).temperature
        z = self.base.draw(noise)
        condition = self.condition.or_drawn(condition, noise.uniform, self)
        if temperature != 1:
            centre = self.base.centre(z)
            z = centre + temperature * (z - centre)
        return self.decode(z, condition)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        z: Tensor = self.transform(self.surface.place(x), self.context(condition))[0]
        return z

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.surface.inverse(self.transform.inverse(z, self.context(condition))[0])

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Whether latents of data are spread as those of samples are, and whether decoding undoes encoding.

        Mean variance of a dimension over the examples, if there are several, as a fraction of that over as many
        samples, and the greatest error of any value of at most 64 examples that are encoded and decoded.
        """
        few, c = x[:64], None if condition is None else condition[:64]
        error = {"round-trip error": (self.decode(self.encode(few, c), c) - few).abs().amax()}
        if len(x) < 2:
            return error
        z, drawn = self._latent(x, condition)[0], self.prior(len(x), seed=0)
        return {"latent variance": z.var(0).mean() / drawn.var(0).mean(), **error}

    # --- parts --------------------------------------------------------------------------------------------------------

    def context(self, condition: Tensor | None) -> Tensor | None:
        """What the networks see of a condition, with shape (n, condition.width): its features, numbers standardised."""
        if (values := self.condition.check(condition, self)) is None:
            return None
        features: Tensor = self.numbers(self.condition.features(values))
        far = self.config.tail_bound
        return features if far is None or not self.condition.continuous else features.clamp(-far, far)

    def log_prob_at(self, x: Tensor, u: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """log p of x with the noise ``u`` in [0, 1] within its levels; None takes the pixels' own uniform noise."""
        z, log_det = self._latent(x, condition, u)
        return self.base.log_prob(z) + log_det

    def _latent(self, x: Tensor, condition: Tensor | None, u: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z of x with its noise, if it is given any, and log |dz/dx|."""
        y, log_det = self.surface(x, u)
        z, change = self.transform(y, self.context(condition))
        return z, log_det + change
