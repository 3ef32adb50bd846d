"""Autoencoders: data compressed to a short code and reconstructed.

Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science, 2006.
Denoising: Vincent, Larochelle, Bengio & Manzagol, Extracting and Composing Robust Features with Denoising Autoencoders,
ICML 2008; Vincent et al., Stacked Denoising Autoencoders, JMLR 2010.

Done differently: all layers are trained at once, by Adam, with no layerwise pretraining; tables are standardised by
column. A plain autoencoder has no distribution over its codes and does not sample: see
:class:`TwoStage` for one that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from genwerk.core.abilities import Decodes, Encodes
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.nn.coder import Coder, MLPCoder

Corruption = Literal["none", "masking", "gaussian"]


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig(Config):
    """Settings of an autoencoder."""

    network: Coder = field(default_factory=lambda: MLPCoder(widths=(128, 64, 12), activation="tanh"))
    """Layers of the encoder and of the decoder."""
    latent: int = 3
    """Number of dimensions of the code."""
    loss: Literal["squared", "cross-entropy"] = "squared"
    """Error of a reconstruction, summed over dimensions: squared, or the cross-entropy of pixels as probabilities."""
    corruption: Corruption = "none"
    """What is done to the input, but not to the target: nothing, values set to zero (those of a table to the mean of
    their column), or Gaussian noise added."""
    amount: float = 0.3
    """Fraction of the values set to zero (masking), or standard deviation of the noise (gaussian): 1 is black to white,
    or the standard deviation of a table's column."""

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"latent is {self.latent}; a code needs 1 dimension or more")
        if self.amount < 0 or (self.corruption == "masking" and self.amount >= 1):
            raise ValueError(f"amount is {self.amount}; a fraction to mask is from 0 to below 1, a deviation 0 or more")


def corrupt(x: Tensor, noise: Tensor, kind: Corruption, amount: float) -> Tensor:
    """``x`` with zeros where uniform ``noise`` is below ``amount``, or with ``amount`` times normal ``noise`` added."""
    match kind:
        case "none":
            return x
        case "masking":
            return x * (noise >= amount)
        case "gaussian":
            return x + amount * noise


class Autoencoder(Model, Encodes, Decodes, config=AutoencoderConfig):
    """f(g(x)) close to x, with g(x) short."""

    def __init__(self, config: AutoencoderConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: AutoencoderConfig = config
        if not spec.modality.numeric:
            raise BadInput(
                "this family learns images, sounds or tables, not text; `genwerk recipes` lists those that learn it"
            )
        if config.loss == "cross-entropy" and not spec.modality.has_levels:
            raise BadInput(f"the cross-entropy is for images; for {spec} take ‹model.loss› squared")
        self.latent_shape = (config.latent,)
        self.standardise = spec.modality.units(centred=False)  # called so in stored runs
        self.encoder, self.decoder = config.network.build(spec.shape, config.latent, config.latent, spec.shape)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        z: Tensor = self.encoder(self.standardise(x))
        return z

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.standardise.inverse(self.standardise.squash(self.decoder(z)))

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        x = stream.next_batch().x
        match self.config.corruption:
            case "none":
                noise = None
            case "masking":
                noise = stream.uniform(*self.spec.shape)
            case "gaussian":
                noise = stream.normal(*self.spec.shape)
        yield Turn("model", self.objective, x, noise)

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self.standardise.fitted)]

    def objective(self, x: Tensor, noise: Tensor | None) -> Loss:
        """Error of reconstructing ``x`` corrupted by ``noise``; mse is the mean squared error a value."""
        y = self.standardise(x)
        noisy = y if noise is None else corrupt(y, noise, self.config.corruption, self.config.amount)
        output = self.decoder(self.encoder(noisy)).to(y.dtype)
        squared = ((self.standardise.squash(output) - y) ** 2).flatten(1)
        if self.config.loss == "squared":
            by_example = squared.sum(1)
        else:
            by_example = F.binary_cross_entropy_with_logits(output, y, reduction="none").flatten(1).sum(1)
        return by_example.mean(), {"mse": squared.mean()}
