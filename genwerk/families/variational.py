"""What every variational autoencoder shares: p(x) = E p(x | z) over z ~ N(0, I), bounded by way of an encoder q(z | x).

Kingma & Welling, Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114. A family gives the encoder, and log p(x | z).
beta: Higgins et al., beta-VAE, ICLR 2017. importance_samples > 1: Burda, Grosse & Salakhutdinov, Importance Weighted
Autoencoders, 2016, arXiv:1509.00519. conditional: Sohn, Lee & Yan, Learning Structured Output Representation using Deep
Conditional Generative Models, 2015. mmd: Zhao, Song & Ermon, InfoVAE, 2017, arXiv:1706.02262. posterior "iaf" and
free_bits: Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling, Improved Variational Inference with Inverse
Autoregressive Flow, 2016, arXiv:1606.04934. annealing: :mod:`genwerk.nn.annealing`.

Done differently: beta is relative to the true bound, in nats of the data, whatever the likelihood, so that beta = 1 is
the ELBO and nothing else; Adam instead of Adagrad and no prior on the weights. A step of the inverse autoregressive
flow is exp(s) z + t with a bound on s, which begins as the identity; the published sigmoid(s) z + (1 - sigmoid(s)) m
can only shrink codes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import log
from typing import Annotated

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Diagnoses, Encodes, ImportanceWeighted, Samples
from genwerk.core.component import Component
from genwerk.core.condition import Label, choose
from genwerk.core.marks import Common
from genwerk.core.model import Config, Loss, Metrics, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Noise, Seed, SeededNoise, Seeds
from genwerk.core.spec import Batch, DataSpec
from genwerk.metrics.activity import ACTIVE, activity
from genwerk.nn.annealing import Annealing, NoAnnealing
from genwerk.nn.flows.autoregressive import Autoregressive
from genwerk.nn.flows.made import MADE
from genwerk.nn.flows.monotone import Affine
from genwerk.nn.flows.transform import Chain
from genwerk.nn.losses import Kernel, bounded_log_var, gaussian_kl, log_prior_ratio, mmd, reparametrise
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
class VariationalConfig(Config):
    """Settings that every variational autoencoder has."""

    latent: Annotated[int, Common()] = 20
    """Number of dimensions of the code."""
    posterior: Annotated[Posterior, Common()] = field(default_factory=GaussianPosterior)
    """Distribution of an example's codes."""
    beta: Annotated[float, Common()] = 1.0
    """Weight of the KL divergence; 1 is the ELBO, InfoVAE's 1 - alpha."""
    annealing: Annotated[Annealing, Common()] = field(default_factory=NoAnnealing)
    """How that weight rises in training."""
    free_bits: Annotated[float, Common()] = 0.0
    """Nats of KL divergence that each dimension of the code may have, on average over the batch, at no cost (lambda);
    where a flow leaves only the whole divergence known, all dimensions have theirs together."""
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
        if self.free_bits < 0 or (self.free_bits and self.mmd):
            raise ValueError(f"free_bits is {self.free_bits}; it must be 0 or more, and above 0 only with mmd 0")
        plain = (self.beta, self.mmd, self.free_bits) == (1, 0, 0) and isinstance(self.annealing, NoAnnealing)
        if self.importance_samples < 1 or (self.importance_samples > 1 and not plain):
            raise ValueError(
                f"importance_samples is {self.importance_samples}; it must be 1 or more, and above 1 only "
                "with beta 1, mmd 0, free_bits 0 and no annealing"
            )


class VariationalModel(Model, Samples, Encodes, Decodes, ImportanceWeighted, Diagnoses):
    """p(x) = E p(x | z) over z ~ N(0, I), trained on a lower bound by an encoder q(z | x).

    A subclass gives :meth:`_features` of the encoder and :meth:`_log_likelihood`, and builds ``flow`` after its
    networks.
    """

    flow: Chain | None

    def __init__(self, config: VariationalConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VariationalConfig = config
        self.condition = choose(config.conditional, spec, Label)
        self.latent_shape = (config.latent,)
        self.extra_features = config.posterior.context

    # --- what a family gives ------------------------------------------------------------------------------------------

    def inputs(self, x: Tensor) -> Tensor:
        """``x`` as the encoder takes it."""
        return x

    def observe(self, x: Tensor, u: Tensor) -> Tensor:
        """What is scored in place of ``x``, by noise ``u`` that is uniform on [0, 1) with the shape of x."""
        return self.inputs(x)

    @abstractmethod
    def _features(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Means, log variances and the flow's context of an observed ``x``, side by side with shape (n, features)."""

    @abstractmethod
    def _log_likelihood(self, x: Tensor, z: Tensor, condition: Tensor | None, u: Tensor | None = None) -> Tensor:
        """log p(x | z) in nats of an observed ``x`` for codes with shape (n, k, d), with shape (n, k).

        ``u`` is uniform with the shape of x in training, and None elsewhere.
        """

    @property
    def codes_at_once(self) -> int:
        """Codes that are decoded together when weights are computed."""
        return ROWS

    # --- training -----------------------------------------------------------------------------------------------------

    @property
    def couples(self) -> Sequence[str]:
        return ("the MMD",) if self.config.mmd else ()

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, partial(self.turns, rounds=rounds))]

    def turns(self, stream: TrainingStream, players: Mapping[str, Player], rounds: int = 1) -> Turns:
        """One of ``rounds``, which the annealing counts; free bits are those of the whole batch."""
        batch = stream.next_batch()
        u = stream.uniform(*self.spec.shape)
        eps = stream.normal(self.config.importance_samples, self.config.latent)
        prior = stream.normal(self.config.latent) if self.config.mmd else None
        weight = self.config.annealing.weight(players["model"].steps, rounds)
        if self.config.free_bits:
            yield Turn("model", partial(self.bound, weight=weight), batch, u, eps, features=self.terms)
        else:
            yield Turn("model", self.objective, batch, u, eps, prior, weight=weight)

    def objective(
        self, batch: Batch, u: Tensor, eps: Tensor, prior: Tensor | None = None, *, weight: float = 1.0
    ) -> Loss:
        """What is descended, in nats an example, and beside it the plain ELBO with its two parts.

        ``u`` is uniform with the shape of x, ``eps`` normal with shape (n, k, d) for k samples, ``prior`` (for the MMD)
        normal with shape (n, d), ``weight`` that of the annealing. The MMD is of the examples at hand: of a
        micro-batch, where batches are cut.
        """
        return self.bound(*self.terms(batch, u, eps), prior, weight=weight)

    def terms(self, batch: Batch, u: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """log p(x | z) and log p(z) - log q(z | x) of every draw, with shape (n, k); the KL divergence by dimension,
        with shape (n, d), or where there is a flow that of the whole, estimated, with shape (n, 1); a code (n, d)."""
        x = self.observe(batch.x, u)
        condition = self.condition.check(batch.condition, self)
        mean, log_var, context = self._encode(x, condition)
        z, log_ratio = self._draw(mean, log_var, context, eps)
        kl = gaussian_kl(mean, log_var) if self.flow is None else -log_ratio.mean(1, keepdim=True)
        return self._log_likelihood(x, z, condition, u), log_ratio, kl, z[:, 0]

    def bound(
        self,
        log_p_x_given_z: Tensor,
        log_ratio: Tensor,
        kl_of_each: Tensor,
        z: Tensor,
        prior: Tensor | None = None,
        *,
        weight: float = 1.0,
    ) -> Loss:
        """The objective of :meth:`terms`."""
        kl = kl_of_each.sum(1)
        elbo = log_p_x_given_z.mean(1) - kl
        metrics: Metrics = {
            "elbo": elbo.mean(),
            "log likelihood": log_p_x_given_z.mean(),
            "kl": kl.mean(),
        }
        if self.flow is None:
            metrics["kl by dimension"] = kl_of_each.mean(0)
        if not isinstance(self.config.annealing, NoAnnealing):
            metrics["kl weight"] = kl.new_tensor(weight)
        if self.config.importance_samples > 1:
            bound = (log_p_x_given_z + log_ratio).logsumexp(1) - log(self.config.importance_samples)
            return -bound.mean(), metrics
        cost = kl.mean()
        if self.config.free_bits:
            free = self.config.free_bits * self.config.latent / kl_of_each.shape[1]
            cost = kl_of_each.mean(0).clamp(min=free).sum()
        loss = -log_p_x_given_z.mean() + self.config.beta * weight * cost
        if prior is not None:
            metrics["mmd"] = mmd(z, prior, self.config.kernel)
            loss = loss + self.config.mmd * metrics["mmd"]
        return loss, metrics

    # --- abilities ----------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The mean of q(z | x), or where an inverse autoregressive flow takes it."""
        mean, log_var, context = self._encode(self.inputs(x), self.condition.check(condition, self))
        return self._draw(mean, log_var, context, torch.zeros_like(mean)[:, None])[0][:, 0]

    def sample_posterior(self, x: Tensor, noise: Noise, condition: Tensor | None = None) -> Tensor:
        """A draw of z ~ q(z | x) for each example, with shape (n, d); ``encode`` gives the mean."""
        encoded = self._encode(self.inputs(x), self.condition.check(condition, self))
        return self._draw(*encoded, noise.normal(1, self.config.latent))[0][:, 0]

    @torch.no_grad()
    def log_weights(
        self, x: Tensor, importance_samples: int, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        seeds, at_once = Seeds.of(seed), max(1, self.codes_at_once // importance_samples)
        batch = Batch(x, self.condition.check(condition, self))
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
        mean, log_var, context = self._encode(self.inputs(x), self.condition.check(condition, self))
        if self.flow is None:
            kl = gaussian_kl(mean, log_var).mean(0)
        else:
            eps = SeededNoise(len(x), 0, x.device).normal(1, self.config.latent)
            _, log_ratio = self._draw(mean, log_var, context, eps)
            kl = -log_ratio.mean()
        if len(x) < 2:
            return {"KL of codes": kl}
        active = (activity(self.encode(x, condition)) > ACTIVE).sum()
        return {"KL of codes": kl, "active units": active}

    # --- parts --------------------------------------------------------------------------------------------------------

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), before any flow, for an observed ``x``, each with shape (n, d)."""
        return self._encode(x, condition)[:2]

    def _encode(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log variance, and the context of the flow, of an observed ``x``."""
        d = self.config.latent
        mean, log_var, context = self._features(x, condition).split([d, d, self.extra_features], dim=1)
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

    def _log_weights(self, batch: Batch, importance_samples: int, noise: Noise) -> Tensor:
        x = self.observe(batch.x, noise.uniform(*self.spec.shape))
        encoded = self._encode(x, batch.condition)
        log_w = []
        at_once = max(1, self.codes_at_once // len(x))
        for eps in noise.normal(importance_samples, self.config.latent).split(at_once, dim=1):
            z, log_ratio = self._draw(*encoded, eps)
            log_w.append(self._log_likelihood(x, z, batch.condition) + log_ratio)
        return torch.cat(log_w, dim=1)
