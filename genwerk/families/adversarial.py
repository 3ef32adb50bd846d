"""What every family with a generator and a discriminator shares: units, labels, samples and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLatentPrior, Samples
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Model, Stage
from genwerk.core.noise import Noise, Seed, SeededNoise
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.nn.adversarial.output import Conditioning

Prior = Literal["normal", "uniform"]


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Config):
    """Settings of every generator and discriminator."""

    latent: int = 100
    """Number of dimensions of z."""
    prior: Prior = "normal"
    """Distribution of z: standard normal, or uniform on [-1, 1]."""
    conditioning: Conditioning = "none"
    """How the label enters: not at all, concatenated to z and x, or by conditional batch normalisation and
    projection."""

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"latent is {self.latent}; z needs 1 dimension or more")


class AdversarialModel(Model, Samples, HasLatentPrior):
    """A generator from z ~ prior to data and a discriminator of data, each of which may be conditioned on the label.

    A subclass sets ``generator``, called with (z, condition) for raw output, and ``discriminator``, called with
    (x, condition) for a :class:`DiscriminatorOutput`. Inside, images are in [-1, 1] and tables standardised by
    column; :meth:`inward` and :meth:`outward` go between.
    """

    generator: nn.Module
    discriminator: nn.Module

    def __init__(self, config: AdversarialConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: AdversarialConfig = config
        if not (spec.modality.has_levels or spec.modality.has_columns):
            raise ValueError(f"{type(self).__name__} makes images and tables, not {spec}")
        self.condition = choose(config.conditioning != "none", spec, Label)
        self.latent_shape = (config.latent,)
        self.standardise = spec.modality.units()  # called so in stored runs

    def players(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self.standardise.fitted)]

    # --- units --------------------------------------------------------------------------------------------------------

    def inward(self, x: Tensor) -> Tensor:
        """Data in the networks' units."""
        y: Tensor = self.standardise(x)
        return y

    def outward(self, y: Tensor) -> Tensor:
        """Data from the networks' units, within their range."""
        return self.standardise.inverse(y)

    def squash(self, raw: Tensor) -> Tensor:
        """The generator's raw output in the networks' units, in single precision: within (-1, 1) for images."""
        return self.standardise.squash(raw.float() if raw.dtype == torch.bfloat16 else raw)

    def generate(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """G(z) in the networks' units."""
        return self.squash(self.generator(z, condition))

    def latents(self, noise: Noise) -> Tensor:
        """z from the prior, with shape (n, *latent_shape), for the examples of ``noise``."""
        if self.config.prior == "uniform":
            return 2 * noise.uniform(*self.latent_shape) - 1
        return noise.normal(*self.latent_shape)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return self.latents(SeededNoise(n, seed, self.device))

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        self.options.chosen(options)
        noise = SeededNoise(n, seed, self.device)
        z = self.latents(noise)
        condition = self.condition.or_drawn(condition, noise.uniform, self)
        return self.realise(z, condition, noise)

    def realise(self, z: Tensor, condition: Tensor | None, noise: Noise) -> Tensor:
        """The example of each latent; ``noise`` is for what else is drawn on the way, in a subclass that draws."""
        return self.decode(z, condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.outward(self.generate(z, self.condition.check(condition, self)))

    @torch.no_grad()
    def judge(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The discriminator's raw score with shape (n,), higher for more real."""
        score: Tensor = self.discriminator(self.inward(x), self.condition.check(condition, self)).score
        return score
