"""A flow of pixels whose dequantisation is learned: a bound of the probability of the stored levels themselves.

J. Ho, X. Chen, A. Srinivas, Y. Duan, P. Abbeel: Flow++: Improving Flow-Based Generative Models with Variational
Dequantization and Architecture Design, 2019, arXiv:1902.00275, section 3.1 (variational dequantisation); E. Hoogeboom,
T. Cohen, J. Tomczak: Learning Discrete Distributions by Dequantization, 2020, arXiv:2001.11235 (several draws).

A flow has a density p of values, and pixels have levels: the probability of a picture x is the integral of p(x + u)
over noise u within its levels. For any density q of that noise

    log P(x) = log E_q[p(x + u) / q(u | x)] >= E_q[log p(x + u) - log q(u | x)].

With uniform q that is uniform dequantisation, the second term being 0. Every :class:`FlowModel`
has it, and scores the density of pixels that noise was added to, exactly. A q that is learned is no part of any data:
what is left is the bound, by importance sampling as near to log P(x) as draws allow, and so this is a family that wraps
a flow, which bounds and does not score, and not a setting of flows, which do.

Done differently: q begins as the uniform density, and its couplings are affine, not mixtures of logistics with
attention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from genwerk.core.abilities import Diagnoses, Encodes, HasLatentPrior, ImportanceWeighted, Samples
from genwerk.core.batching import batches
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns, build
from genwerk.core.noise import Seed, SeededNoise, Seeds
from genwerk.core.options import Options, Tempered
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.nn.flows.dequantise import Dequantiser
from genwerk.nn.flows.image import check_sides


@dataclass(frozen=True, kw_only=True)
class VariationalDequantisationConfig(Config):
    """Settings of a flow with learned dequantisation."""

    flow: FlowConfig
    """The flow of the pixels with their noise, any that takes images."""
    couplings: int = 4
    """Couplings of the flow that makes the noise; the two colours of a checkerboard take turns."""
    channels: int = 32
    """Channels of their networks."""
    blocks: int = 1
    """Residual blocks of their networks."""

    def __post_init__(self) -> None:
        if self.couplings < 2:
            raise ValueError(f"couplings is {self.couplings}; with fewer than 2 some noise would never move")


class VariationalDequantisation(
    Model,
    Samples,
    Encodes,
    HasLatentPrior,
    ImportanceWeighted,
    Diagnoses,
    config=VariationalDequantisationConfig,
):
    """log P(x) >= E_q[log p(x + u) - log q(u | x)] with p and q trained together, as one player."""

    options: Tempered = Tempered()
    lossless = True
    scored = "the stored levels (variational dequantisation)"

    def __init__(self, config: VariationalDequantisationConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VariationalDequantisationConfig = config
        if not spec.modality.has_pixels:
            raise ValueError(
                f"dequantisation is of the levels of pixels and these data are {spec}; take the flow alone"
            )
        check_sides(spec, 1)
        flow = build(config.flow, spec)
        assert isinstance(flow, FlowModel)
        self.flow, self.condition, self.latent_shape = flow, flow.condition, flow.latent_shape
        self.noise = Dequantiser(spec.shape, config.couplings, config.channels, config.blocks)

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        (own,) = self.flow.stages(rounds)
        return [Stage("train", rounds, self.turns, data=own.data)]

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        yield Turn("model", self.objective, batch, stream.uniform(*self.spec.shape))

    def objective(self, batch: Batch, e: Tensor) -> Loss:
        """Minus the bound of one draw in nats an example; ``e`` is uniform with the shape of x."""
        nll = -self._log_weight(batch.x, e, batch.condition).mean()
        return nll, {"nll bound": nll, "bits per dim": nll / (self.spec.dims * log(2))}

    def _log_weight(self, x: Tensor, e: Tensor, condition: Tensor | None) -> Tensor:
        """log p(x + u) - log q(u | x) with shape (n,), for the u that uniform ``e`` becomes."""
        u, minus_log_q = self.noise(e, x)
        log_w: Tensor = self.flow.log_prob_at(x, u, condition) + minus_log_q
        return log_w

    # --- abilities ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_weights(
        self, x: Tensor, importance_samples: int, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Tensor:
        seeds = Seeds.of(seed)

        def weights(rows: slice) -> Tensor:
            part, c = x[rows], None if condition is None else condition[rows]
            e = (
                SeededNoise(len(part), seeds + rows.start, x.device)
                .uniform(importance_samples, *self.spec.shape)
                .to(x.dtype)
            )
            return torch.stack([self._log_weight(part, one, c) for one in e.unbind(1)], 1)

        return torch.cat(list(batches(weights, len(x), x.device)))

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return self.flow.prior(n, seed=seed)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        return self.flow.sample(n, condition, options, seed=seed)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.flow.encode(x, condition)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.flow.decode(z, condition)

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The flow's own figures, and the mean entropy of the noise in nats a pixel value: 0 is uniform."""
        e = SeededNoise(len(x), 0, x.device).uniform(*self.spec.shape).to(x.dtype)
        entropy = self.noise(e, x)[1].mean() / self.spec.dims
        return self.flow.diagnose(x, condition) | {"entropy of the noise": entropy}
