"""Variational autoencoders, with their importance-weighted, class-conditional and MMD variants.

Kingma & Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114.
beta: Higgins et al., beta-VAE, ICLR 2017. importance_samples > 1: Burda, Grosse & Salakhutdinov, Importance Weighted
Autoencoders, 2016, arXiv:1509.00519. conditional: Sohn, Lee & Yan, Learning Structured Output Representation using Deep
Conditional Generative Models, 2015. mmd: Zhao, Song & Ermon, InfoVAE, 2017, arXiv:1706.02262. posterior "iaf": Kingma,
Salimans, Jozefowicz, Chen, Sutskever & Welling, Improved Variational Inference with Inverse Autoregressive Flow, 2016,
arXiv:1606.04934.

Done differently: beta is relative to the true bound, in nats of the data, whatever the likelihood, so that beta = 1 is
the ELBO and nothing else; Adam instead of Adagrad and no prior on the weights; tables are standardised by column, and
their density is counted in their own units all the same. A step of the inverse autoregressive flow is exp(s) z + t with
a bound on s, which begins as the identity; the published sigmoid(s) z + (1 - sigmoid(s)) m can only shrink codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor

from genwerk.core.abilities import (
    Diagnoses,
    Encodes,
    HasLatentPrior,
    ImportanceWeighted,
    Samples,
)
from genwerk.core.component import Component
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Loss, Metrics, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Noise, Seed, SeededNoise, Seeds
from genwerk.core.options import Observation, Options
from genwerk.core.spec import Batch, DataSpec
from genwerk.metrics.activity import ACTIVE, activity
from genwerk.nn.coder import Coder, MLPCoder
from genwerk.nn.flows.autoregressive import Autoregressive
from genwerk.nn.flows.made import MADE
from genwerk.nn.flows.monotone import Affine
from genwerk.nn.flows.transform import Chain
from genwerk.nn.losses import (
    BernoulliConfig,
    Kernel,
    LikelihoodConfig,
    bounded_log_var,
    gaussian_kl,
    log_prior_ratio,
    mmd,
    reparametrise,
)
from genwerk.nn.mlp import Activation

ROWS = 1024
"""Codes decoded at once when weights are computed, which bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class Posterior(Component):
    """Settings of q(z | x): independent normal values, which a flow may move on."""

    @property
    def context(self) -> int:
        """Numbers that the encoder tells the flow."""
        return 0

    def flow(self, latent: int) -> Chain | None:
        """The flow from z_0 to z_T with shape (n, latent), called with (z, context); None where there is none."""
        return None


@dataclass(frozen=True, kw_only=True)
class GaussianPosterior(Posterior, kind="gaussian"):
    """Independent normal values."""


@dataclass(frozen=True, kw_only=True)
class IAFPosterior(Posterior, kind="iaf"):
    """Normal values moved on by an inverse autoregressive flow, so that they depend on each other.

    Each step is one pass (Kingma et al., 2016, section 3 and algorithm 1), and the order turns round from step to step.
    """

    steps: int = 2
    """Steps of the flow."""
    width: int = 320
    """Units of the hidden layer of each step, and numbers that the encoder tells all of them."""
    activation: Activation = "relu"
    """Function behind the hidden layer."""

    def __post_init__(self) -> None:
        if min(self.steps, self.width) < 1:
            raise ValueError(f"steps is {self.steps} and width {self.width}; a flow needs 1 of each or more")

    @property
    def context(self) -> int:
        return self.width

    def flow(self, latent: int) -> Chain:
        order = list(range(latent))
        networks = [
            MADE(latent, Affine.size, (self.width,), self.activation, context=self.width) for _ in range(self.steps)
        ]
        return Chain(
            [Autoregressive(made, Affine(), order[::-1] if i % 2 else order) for i, made in enumerate(networks)]
        )


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Config):
    """Settings of a variational autoencoder."""

    network: Coder = field(default_factory=MLPCoder)
    """Layers of the encoder and of the decoder."""
    latent: int = 20
    """Number of dimensions of the code."""
    posterior: Posterior = field(default_factory=GaussianPosterior)
    """Distribution of an example's codes."""
    likelihood: LikelihoodConfig = field(default_factory=BernoulliConfig)
    """Distribution of the data given a code."""
    beta: float = 1.0
    """Weight of the KL divergence; 1 is the ELBO, InfoVAE's 1 - alpha."""
    mmd: float = 0.0
    """Weight of the squared MMD between codes and their prior; InfoVAE's alpha + lambda - 1."""
    kernel: Kernel = "imq"
    """Kernel of the MMD: inverse multiquadratic, or Gaussian."""
    importance_samples: int = 1
    """Codes drawn an example; above 1 the objective is the importance-weighted bound."""
    conditional: bool = False
    """Whether encoder and decoder are conditioned on the label."""

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"latent is {self.latent}; a code needs 1 dimension or more")
        if self.importance_samples < 1 or (self.importance_samples > 1 and (self.beta, self.mmd) != (1, 0)):
            raise ValueError(
                f"importance_samples is {self.importance_samples}; it must be 1 or more, and above 1 only "
                "with beta 1 and mmd 0"
            )


class VAE(Model, Samples, Encodes, HasLatentPrior, ImportanceWeighted, Diagnoses, config=VAEConfig):
    """p(x) = E p(x | z) over z ~ N(0, I), trained on a lower bound by an encoder q(z | x).

    A sample is a draw of p(x | z) where x is a row of a table, for without the second step columns vary too little, and
    one that depends on no other hardly at all; and the mean where it is an image or a sound, to which the second step
    adds noise, value by value.
    """

    options: Observation

    def __init__(self, config: VAEConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VAEConfig = config
        self.condition = choose(config.conditional, spec, Label)
        self.options = Observation(observation="draw" if spec.modality.has_columns else "mean")
        self.latent_shape = (config.latent,)
        self.standardise = spec.modality.units(centred=False)  # called so in stored runs
        self.likelihood = config.likelihood.build(spec)
        self.scored, self.scored_as = self.likelihood.scored, self.likelihood.scored_as
        self.extra_features = config.posterior.context
        self.encoder, self.decoder = config.network.build(
            spec.shape,
            2 * config.latent + self.extra_features,
            config.latent,
            self.likelihood.parameters_shape,
            self.condition.classes,
        )
        self.flow = config.posterior.flow(config.latent)

    # --- training -----------------------------------------------------------------------------------------------------

    @property
    def couples(self) -> Sequence[str]:
        return ("the MMD",) if self.config.mmd else ()

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        u = stream.uniform(*self.spec.shape)
        eps = stream.normal(self.config.importance_samples, self.config.latent)
        prior = stream.normal(self.config.latent) if self.config.mmd else None
        yield Turn("model", self.objective, batch, u, eps, prior)

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self.standardise.fitted)]

    def objective(self, batch: Batch, u: Tensor, eps: Tensor, prior: Tensor | None = None) -> Loss:
        """What is descended, in nats an example, and beside it the plain ELBO with its two parts.

        ``u`` is uniform with the shape of x, ``eps`` normal with shape (n, k, d) for k samples, ``prior`` (for the MMD)
        normal with shape (n, d). The MMD is of the examples at hand: of a micro-batch, where batches are cut.
        """
        x = self.observe(batch.x, u)
        condition = self.condition.check(batch.condition, self)
        mean, log_var, context = self._encode(x, condition)
        z, log_ratio = self._draw(mean, log_var, context, eps)
        log_p_x_given_z = self._log_likelihood(x, z, condition)
        by_dimension = gaussian_kl(mean, log_var)
        kl = by_dimension.sum(1) if self.flow is None else -log_ratio.mean(1)
        elbo = log_p_x_given_z.mean(1) - kl
        metrics: Metrics = {
            "elbo": elbo.mean(),
            "log likelihood": log_p_x_given_z.mean(),
            "kl": kl.mean(),
        }
        if self.flow is None:
            metrics["kl by dimension"] = by_dimension.mean(0)
        if self.config.importance_samples > 1:
            bound = (log_p_x_given_z + log_ratio).logsumexp(1) - log(self.config.importance_samples)
            return -bound.mean(), metrics
        loss = -log_p_x_given_z.mean() + self.config.beta * kl.mean()
        if prior is not None:
            metrics["mmd"] = mmd(z[:, 0], prior, self.config.kernel)
            loss = loss + self.config.mmd * metrics["mmd"]
        return loss, metrics

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

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The mean of q(z | x), or where an inverse autoregressive flow takes it."""
        mean, log_var, context = self._encode(self.standardise(x), self.condition.check(condition, self))
        return self._draw(mean, log_var, context, torch.zeros_like(mean)[:, None])[0][:, 0]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.standardise.inverse(self.likelihood.mean(self._likelihood_of(z, condition)))

    def sample_likelihood(self, z: Tensor, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """A draw of x ~ p(x | z) for each latent; ``decode`` is its mean."""
        return self.standardise.inverse(self.likelihood.sample(self._likelihood_of(z, condition), noise))

    def sample_posterior(self, x: Tensor, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """A draw of z ~ q(z | x) for each example, with shape (n, d); ``encode`` gives the mean."""
        encoded = self._encode(self.standardise(x), self.condition.check(condition, self))
        return self._draw(*encoded, noise.normal(1, self.config.latent))[0][:, 0]

    @torch.no_grad()
    def log_weights(
        self, x: Tensor, importance_samples: int, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        seeds = Seeds.of(seed)
        batch, at_once = Batch(x, self.condition.check(condition, self)), max(1, ROWS // importance_samples)
        parts = [(start, batch[slice(start, start + at_once)]) for start in range(0, len(x), at_once)]
        return torch.cat(
            [self._log_weights(b, importance_samples, SeededNoise(len(b), seeds + i, x.device)) for i, b in parts]
        )

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Mean KL divergence by dimension, in nats, and the number of active units.

        A unit is active when its posterior mean varies over the data by more than 0.01 (Burda et al., section 5.2),
        which one example cannot tell.
        Behind a flow only the whole divergence is known, estimated by a draw an example.
        """
        mean, log_var, context = self._encode(self.standardise(x), self.condition.check(condition, self))
        if self.flow is None:
            kl = gaussian_kl(mean, log_var).mean(0)
        else:
            kl = -self._draw(mean, log_var, context, SeededNoise(len(x), 0, x.device).normal(1, self.config.latent))[
                1
            ].mean()
        if len(x) < 2:
            return {"KL of codes": kl}
        active = (activity(self.encode(x, condition)) > ACTIVE).sum()
        return {"KL of codes": kl, "active units": active}

    # --- parts --------------------------------------------------------------------------------------------------------

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        """What is scored in place of ``x``: standardised, binarised or dequantised."""
        return self.likelihood.observe(self.standardise(x), u)

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), before any flow, for an observed ``x``, each with shape (n, d)."""
        return self._encode(x, condition)[:2]

    def _likelihood_of(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """Parameters of p(x | z), with shape (n, *likelihood.parameters_shape)."""
        found: Tensor = self.decoder(z, self.condition.check(condition, self)).to(z.dtype)
        return found

    def _encode(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log variance, and the context of the flow, of an observed ``x``."""
        d = self.config.latent
        mean, log_var, context = self.encoder(x, condition).to(x.dtype).split([d, d, self.extra_features], dim=1)
        return mean, bounded_log_var(log_var), context

    def _draw(self, mean: Tensor, log_var: Tensor, context: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """z ~ q(z | x) with shape (n, k, d) for ``eps`` like it, and log p(z) - log q(z | x) with shape (n, k)."""
        z = reparametrise(mean, log_var, eps)
        if self.flow is None:
            return z, log_prior_ratio(z, log_var, eps)
        n, k, _ = z.shape
        moved, log_det = self.flow(z.flatten(0, 1), context.repeat_interleave(k, 0))
        z = moved.unflatten(0, (n, k))
        return z, log_prior_ratio(z, log_var, eps) + log_det.unflatten(0, (n, k))

    def _log_likelihood(self, x: Tensor, z: Tensor, condition: Tensor | None) -> Tensor:
        """log p(x | z) in nats for codes with shape (n, k, d), with shape (n, k)."""
        n, k, _ = z.shape
        if condition is not None:
            condition = condition.repeat_interleave(k)
        parameters = self.decoder(z.flatten(0, 1), condition).to(x.dtype).unflatten(0, (n, k))
        return self.likelihood.log_prob(parameters, x[:, None]) + self.standardise.log_det()

    def _log_weights(self, batch: Batch, importance_samples: int, noise: Noise) -> Tensor:
        x = self.observe(batch.x, noise.uniform(*self.spec.shape))
        encoded = self._encode(x, batch.condition)
        log_w = []
        for eps in noise.normal(importance_samples, self.config.latent).split(max(1, ROWS // len(x)), dim=1):
            z, log_ratio = self._draw(*encoded, eps)
            log_w.append(self._log_likelihood(x, z, batch.condition) + log_ratio)
        return torch.cat(log_w, dim=1)
