"""Variational autoencoders of numbers, with their importance-weighted, class-conditional and MMD variants.

What they share with that of texts, papers included, stands in :mod:`genwerk.families.variational`. Tables are
standardised by column, and their density is counted in their own units all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from torch import Tensor

from genwerk.core.abilities import HasLatentPrior
from genwerk.core.marks import Common
from genwerk.core.model import Stage
from genwerk.core.noise import Noise, Seed, SeededNoise
from genwerk.core.options import Observation, Options
from genwerk.core.spec import DataSpec
from genwerk.families.variational import VariationalConfig, VariationalModel
from genwerk.nn.coder import Coder, MLPCoder
from genwerk.nn.losses import BernoulliConfig, LikelihoodConfig


@dataclass(frozen=True, kw_only=True)
class VAEConfig(VariationalConfig):
    """Settings of a variational autoencoder."""

    network: Annotated[Coder, Common()] = field(default_factory=MLPCoder)
    """Layers of the encoder and of the decoder."""
    likelihood: Annotated[LikelihoodConfig, Common()] = field(default_factory=BernoulliConfig)
    """Distribution of the data given a code."""


class VAE(VariationalModel, HasLatentPrior, config=VAEConfig):
    """A variational autoencoder whose p(x | z) has independent values.

    A sample is a draw of p(x | z) where x is a row of a table, for without the second step columns vary too little, and
    one that depends on no other hardly at all; and the mean where it is an image or a sound, to which the second step
    adds noise, value by value.
    """

    options: Observation

    def __init__(self, config: VAEConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VAEConfig = config
        self.options = Observation(observation="draw" if spec.modality.has_columns else "mean")
        self.standardise = spec.modality.units(centred=False)  # called so in stored runs
        self.likelihood = config.likelihood.build(spec)
        self.scored, self.scored_as = self.likelihood.scored, self.likelihood.scored_as
        self.encoder, self.decoder = config.network.build(
            spec.shape,
            2 * config.latent + self.extra_features,
            config.latent,
            self.likelihood.parameters_shape,
            self.condition.classes,
        )
        self.flow = config.posterior.flow(config.latent)

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [replace(stage, data=self.standardise.fitted) for stage in super().stages(rounds)]

    # --- abilities ----------------------------------------------------------------------------------------------------

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return SeededNoise(n, seed, self.device).normal(self.config.latent)

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` new examples: a draw, or the mean, of p(x | z) for z ~ N(0, I)."""
        noise, shown = SeededNoise(n, seed, self.device), self.options.chosen(options).observation
        z = noise.normal(self.config.latent)
        condition = self.condition.or_drawn(condition, noise.uniform, self)
        return self.decode(z, condition) if shown == "mean" else self.sample_likelihood(z, noise, condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.standardise.inverse(self.likelihood.mean(self._likelihood_of(z, condition)))

    def sample_likelihood(self, z: Tensor, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """A draw of x ~ p(x | z) for each latent; ``decode`` is its mean."""
        return self.standardise.inverse(self.likelihood.sample(self._likelihood_of(z, condition), noise))

    # --- parts --------------------------------------------------------------------------------------------------------

    def inputs(self, x: Tensor) -> Tensor:
        found: Tensor = self.standardise(x)
        return found

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        """What is scored in place of ``x``: standardised, binarised or dequantised."""
        return self.likelihood.observe(self.standardise(x), u)

    def _likelihood_of(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Parameters of p(x | z), with shape (n, *likelihood.parameters_shape)."""
        found: Tensor = self.decoder(z, self.condition.check(condition, self)).to(z.dtype)
        return found

    def _features(self, x: Tensor, condition: Tensor | None) -> Tensor:
        found: Tensor = self.encoder(x, condition).to(x.dtype)
        return found

    def _log_likelihood(self, x: Tensor, z: Tensor, condition: Tensor | None, u: Tensor | None = None) -> Tensor:
        n, k, _ = z.shape
        if condition is not None:
            condition = condition.repeat_interleave(k)
        parameters = self.decoder(z.flatten(0, 1), condition).to(x.dtype).unflatten(0, (n, k))
        return self.likelihood.log_prob(parameters, x[:, None]) + self.standardise.log_det()
