"""VQ-VAE: autoencoders whose code is a grid of entries of a learned codebook.

A. van den Oord, O. Vinyals, K. Kavukcuoglu: Neural Discrete Representation Learning, 2017, arXiv:1711.00937.

Done differently: the three terms of equation 3 are means over values, the first divided by the variance of the data, so
that beta means the same for every size and range of image; the mean image is subtracted before and added after; at most
256 entries, so that codes are images of 8 bits; the codebook is initialised at the encoder's outputs, and entries that
are hardly used are reset to some, reproducibly. A VQ-VAE has no distribution over its codes and does not sample: that
is what :class:`TwoStage` with a PixelCNN is for, the paper's second stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Diagnoses, Encodes
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.nn.conv import halvings
from genwerk.nn.grid import grid_decoder, grid_encoder
from genwerk.nn.quantise import Learned, Quantiser, perplexity, straight_through

SURVEYED = 10_000
"""Greatest number of examples from which mean and variance of the data are taken."""


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig(Config):
    """Settings of a VQ-VAE."""

    entries: int = 128
    """Entries of the codebook, 2 to 256."""
    dims: int = 16
    """Numbers in an entry."""
    width: int = 64
    """Channels of the convolutions."""
    halve: int = 2
    """Times that height and width are halved from the image to the grid of codes."""
    blocks: int = 2
    """Residual blocks of the encoder, and of the decoder."""
    beta: float = 0.25
    """Weight of the commitment of the encoder's outputs to their entries."""
    learned: Learned = "average"
    """How the codebook learns: by moving averages of the encoder's outputs, or by the gradient of its own loss."""
    decay: float = 0.99
    """Decay a round of the moving averages of the codebook and of its use."""
    revive: float = 0.05
    """Use of an entry, relative to 1 / entries, below which it is dead and reset; 0 never resets one."""

    def __post_init__(self) -> None:
        if not 2 <= self.entries <= 256:
            raise ValueError(f"entries is {self.entries}; a code is stored in 8 bits, so take 2 to 256")
        if min(self.dims, self.width, self.halve) < 1 or self.blocks < 0:
            raise ValueError(
                f"dims is {self.dims}, width {self.width}, halve {self.halve} and blocks {self.blocks}; "
                "the first three must be 1 or more and blocks 0 or more"
            )
        if not 0 <= self.decay < 1 or not 0 <= self.revive < 1:
            raise ValueError(f"decay is {self.decay} and revive {self.revive}; both are fractions from 0 to below 1")


class VQVAE(Model, Encodes, Decodes, Diagnoses, config=VQVAEConfig):
    """x close to decode(nearest entries to encoder(x)).

    A code is the grid of the entries' indices as an image with one channel: index / (entries - 1), with shape
    (n, 1, h', w'). :meth:`code_spec` describes it as data for another model.
    """

    discrete = True
    mean: Tensor
    variance: Tensor

    def __init__(self, config: VQVAEConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VQVAEConfig = config
        if not spec.modality.has_pixels or spec.nominal:
            raise ValueError(f"a VQ-VAE squares errors of pixels, so it takes images of intensities, not {spec}")
        self.latent_shape = (1, *halvings(spec.shape[1], spec.shape[2], config.halve)[-1])
        parts = (spec.shape, config.dims, config.width, config.halve, config.blocks)
        self.encoder, self.decoder = grid_encoder(*parts), grid_decoder(*parts)
        self.quantiser = Quantiser(config.entries, config.dims, config.learned, config.decay, config.revive)
        self.register_buffer("mean", torch.full(spec.shape, 0.5))
        self.register_buffer("variance", torch.ones(()))  # of all values, about the mean image

    def code_spec(self) -> DataSpec:
        """What codes are as data."""
        return DataSpec(kind="image", shape=self.latent_shape, levels=self.config.entries, nominal=True)

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        x, lot = stream.next_batch().x, None
        if self.config.revive:
            grid = self.latent_shape[1:]
            lots = max(self.config.entries, stream.batch_size * prod(grid))
            lot = (stream.uniform(*grid) * lots).long()
        found = yield Turn("model", self.objective, x, lot)
        self.quantiser.update(found)

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self._fit_scale)]

    def objective(self, x: Tensor, lot: Tensor | None = None) -> Loss:
        """Equation 3, and what the codebook learns from (:meth:`Quantiser.statistics`).

        ``perplexity`` is that of the codebook's use over the last 1 / (1 - decay) rounds.
        """
        y = x - self.mean
        z = self.encoder(y).to(y.dtype)
        index = self.quantiser.index(z)
        e = self.quantiser(index)
        squared = (self.decoder(straight_through(z, e)).to(y.dtype) - y).square().mean()
        commitment = (z - e.detach()).square().mean()
        loss = squared / self.variance + self.config.beta * commitment
        if self.config.learned == "gradient":
            loss = loss + (z.detach() - e).square().mean()
        metrics = {"mse": squared, "commitment": commitment, "perplexity": perplexity(self.quantiser.usage)}
        return loss, metrics | self.quantiser.statistics(z, index, lot)

    def _fit_scale(self, data: Dataset) -> Dataset:
        if self.variance != 1:
            return data  # the weights were trained with this mean and variance
        x = data.subset(SURVEYED).batch().x
        self.mean.copy_(x.mean(0))
        self.variance.copy_((x - x.mean(0)).square().mean().clamp_min(1e-6))
        return data

    # --- abilities ----------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        index = self.quantiser.index(self.encoder(x - self.mean)).unsqueeze(1)
        return index.to(x.dtype) / (self.config.entries - 1)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        index = (z[:, 0] * (self.config.entries - 1)).round().long().clamp(0, self.config.entries - 1)
        x: Tensor = self.decoder(self.quantiser(index)) + self.mean
        return x.clamp(0, 1)

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Perplexity of the codes of ``x``, of at most ``entries``; and how many entries occur among them."""
        index = self.quantiser.index(self.encoder(x - self.mean))
        counts = torch.bincount(index.flatten(), minlength=self.config.entries)
        return {"perplexity of codes": perplexity(counts.to(x.dtype)), "entries in use": (counts > 0).sum()}
