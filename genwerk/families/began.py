"""BEGAN: the discriminator is an autoencoder, and the game is kept in equilibrium.

Berthelot, Schumm & Metz, BEGAN: Boundary Equilibrium Generative Adversarial Networks, 2017, arXiv:1703.10717.

Done differently: the generator moves first, so that both losses which move k are of one and the same discriminator; M
stalls when its mean over `patience` rounds is not below that of every earlier window, and both learning rates are then
halved (the paper gives no rule). There is no conditional variant: how well D reconstructs does not depend on the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.families.adversarial import AdversarialConfig, AdversarialModel, Prior
from genwerk.nn.adversarial.began import BEGANConvConfig, BEGANNetwork
from genwerk.nn.adversarial.output import DiscriminatorOutput


@dataclass(frozen=True, kw_only=True)
class BEGANConfig(AdversarialConfig):
    """Settings of a generator, of an autoencoder that judges it, and of the balance between them."""

    latent: int = 64
    """Number of dimensions of z."""
    prior: Prior = "uniform"
    """Distribution of z: standard normal, or uniform on [-1, 1]."""
    network: BEGANNetwork = field(default_factory=BEGANConvConfig)
    """Layers of the generator and of the autoencoder."""
    hidden: int = 64
    """The paper's N_h, dimensions of the discriminator's code."""
    eta: Literal[1, 2] = 1
    """Power of the reconstruction error: absolute (1) or squared (2)."""
    gamma: float = 0.5
    """Diversity: the balance E L(G(z)) / E L(x) that is kept, in [0, 1]; lower is sharper and less varied."""
    lambda_k: float = 0.001
    """Change of k in a round for each unit of imbalance."""
    patience: int = 2000
    """Rounds over which M is averaged, to see whether it still falls; 0 never halves the learning rate."""
    slowest: float = 0.1
    """Least factor on the learning rate, however often M stalls."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma is {self.gamma}; the balance of fake and real losses lies from 0 to 1")
        if self.patience < 0 or not 0 < self.slowest <= 1:
            raise ValueError("patience counts rounds from 0, and slowest is a fraction above 0, at most 1")
        if self.conditioning != "none":
            raise BadInput(
                "BEGAN's discriminator says how well it gives an example back, which tells no label; "
                "take ‹model.conditioning› none, or the recipe cgan"
            )


class BEGAN(AdversarialModel, config=BEGANConfig):
    """D learns to reconstruct real examples well and fake ones badly, as far as the balance allows."""

    k: Tensor
    rate: Tensor
    window: Tensor
    best: Tensor

    def __init__(self, config: BEGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: BEGANConfig = config
        self.generator, self.discriminator = config.network.build(spec.shape, config.latent, config.hidden, config.eta)
        self.register_buffer("k", torch.tensor(0.0))
        self.register_buffer("rate", torch.tensor(1.0))
        self.register_buffer("window", torch.tensor(0.0))  # mean of M over the window so far
        self.register_buffer("best", torch.tensor(torch.finfo(torch.float32).max))  # least mean of a whole window

    def squash(self, raw: Tensor) -> Tensor:
        """The raw output itself, in single precision: BEGAN's images are not bounded until they are shown."""
        return raw.float() if raw.dtype == torch.bfloat16 else raw

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """Section 3.3, with its symbols."""
        for player in players.values():
            player.rate = float(self.rate)
        x, z_d, z_g = stream.next_batch().x, self.latents(stream), self.latents(stream)
        fake = yield Turn("generator", self.generator_loss, z_g)  # L_G
        real = yield Turn("discriminator", self.discriminator_loss, x, z_d, k=self.k)  # L_D
        loss_x, loss_g = real["L(x)"], fake["L(G(z))"]
        report = yield Turn(None, self.standing, loss_x=loss_x, loss_g=loss_g)
        self.k.copy_(next_k(self.k, loss_x, loss_g, self.config.gamma, self.config.lambda_k))
        if self.config.patience:
            self._watch(report["M_global"], players["discriminator"].steps)

    def discriminator_loss(self, x: Tensor, z: Tensor, k: Tensor) -> Loss:
        """L_D = L(x) - k L(G(z))."""
        loss_x = self.reconstruction_loss(self.inward(x))
        loss_g = self.reconstruction_loss(self.generate(z))
        return loss_x - k * loss_g, {"L(x)": loss_x}

    def generator_loss(self, z: Tensor) -> Loss:
        """L_G = L(G(z))."""
        loss = self.reconstruction_loss(self.generate(z))
        return loss, {"L(G(z))": loss}

    def reconstruction_loss(self, v: Tensor) -> Tensor:
        """L(v), the mean error of D's reconstruction of ``v``; a scalar."""
        output: DiscriminatorOutput = self.discriminator(v)
        if output.reconstruction is None:
            raise ValueError(
                "BEGAN's losses are errors of reconstruction, and this discriminator reconstructs nothing; "
                "give it an autoencoder (genwerk.nn.adversarial.began)"
            )
        return -output.score.mean()

    def standing(self, loss_x: Tensor, loss_g: Tensor) -> Loss:
        """The state of the game: the convergence measure M, the weight k and the factor on the learning rate."""
        m = m_global(loss_x, loss_g, self.config.gamma)
        return m, {"M_global": m, "k": self.k, "learning rate factor": self.rate}

    def _watch(self, m: Tensor, rounds: int) -> None:
        """Take M into the window's mean; at the end of a window of rounds, halve the rate where it has not fallen."""
        at = (rounds - 1) % self.config.patience
        self.window.copy_(m if at == 0 else self.window.lerp(m.to(self.window), 1 / (at + 1)))
        if at == self.config.patience - 1:
            slower = (self.rate / 2).clamp(min=self.config.slowest)
            self.rate.copy_(torch.where(self.window < self.best, self.rate, slower))
            self.best.copy_(torch.minimum(self.best, self.window))


def next_k(k: Tensor, loss_x: Tensor, loss_g: Tensor, gamma: float, lambda_k: float) -> Tensor:
    """k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z))), within [0, 1]."""
    return (k + lambda_k * (gamma * loss_x - loss_g)).clamp(0, 1)


def m_global(loss_x: Tensor, loss_g: Tensor, gamma: float) -> Tensor:
    """M = L(x) + |gamma L(x) - L(G(z))| (section 3.4), which falls as the game converges."""
    return loss_x + (gamma * loss_x - loss_g).abs()
