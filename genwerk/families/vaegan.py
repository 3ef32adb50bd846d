"""VAE-GAN: an autoencoder that learns its similarity metric from a discriminator.

Larsen, Sonderby, Larochelle & Winther, Autoencoding beyond pixels using a learned similarity metric, 2016,
arXiv:1512.09300.

Done differently: the players move one after another on the same examples and noise, each against the others as they
then are; features are compared in the batch in which D also sees the samples, where the authors pass x and x~ through D
once more by themselves (which makes a difference to batch normalisation alone); the decoder minimises -log D of its
fakes, whose gradient is strong where D is confident, and not log(1 - D); the authors' script skips a step of the
decoder or of D when its cost leaves a margin, which is not done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genwerk.core.abilities import Encodes
from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.adversarial import AdversarialConfig, AdversarialModel
from genwerk.nn.adversarial.dcgan import DCGANConfig
from genwerk.nn.adversarial.networks import AdversarialNetwork
from genwerk.nn.adversarial.output import DiscriminatorOutput, Norm
from genwerk.nn.losses import bounded_log_var, gaussian_kl, reparametrise

ROUTES: Mapping[str, frozenset[str]] = {
    "prior": frozenset({"encoder"}),
    "similarity": frozenset({"encoder", "decoder"}),
    "gan": frozenset({"decoder", "discriminator"}),
}
"""Which players learn from which term: the game never trains the encoder, nor similarity the discriminator
(section 2.3)."""


@dataclass(frozen=True, kw_only=True)
class VAEGANConfig(AdversarialConfig):
    """Settings of an encoder, a decoder and a discriminator, and of their losses."""

    latent: int = 128
    """Number of dimensions of z."""
    network: AdversarialNetwork = field(default_factory=DCGANConfig)
    """Layers of all three players; the encoder mirrors the decoder."""
    norm: Norm = "batch"
    """Normalisation in the discriminator."""
    layer: int = -2
    """The paper's l: the discriminator's layer whose features are compared, from 0 at the data, or from -1 at the
    score."""
    gamma: float = 1e-3
    """Weight of the features' likelihood against the game in the decoder's loss."""
    beta: float = 1.0
    """Weight of the KL divergence in the encoder's loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior != "normal":
            raise BadInput("VAE-GAN's codes are held to a standard normal prior; take ‹model.prior› normal")


class VAEGAN(AdversarialModel, Encodes, config=VAEGANConfig):
    """A VAE whose decoder is a GAN's generator, and whose likelihood is of the discriminator's features."""

    def __init__(self, config: VAEGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: VAEGANConfig = config
        self.generator, self.discriminator = config.network.build(
            spec.shape,
            config.latent,
            norm=config.norm,
            classes=self.condition.classes,
            conditioning=config.conditioning,
        )
        self.encoder = config.network.encoder(spec.shape, 2 * config.latent, self.condition.classes)
        depth = config.network.depth(spec.shape)
        if not -depth <= config.layer < depth:
            raise BadInput(
                f"layer is {config.layer}, and the discriminator has {depth} layers of features; "
                f"take ‹model.layer› from {-depth} to {depth - 1}"
            )

    def players(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.generator, "discriminator": self.discriminator}

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """Algorithm 1."""
        batch = stream.next_batch()  # X
        eps = stream.normal(1, self.config.latent)  # of Z ~ q(Z | X)
        z_p = self.latents(stream)  # Z_p ~ N(0, I)
        yield Turn("encoder", self.encoder_loss, batch, eps)
        yield Turn("decoder", self.decoder_loss, batch, eps, z_p)
        yield Turn("discriminator", self.discriminator_loss, batch, eps, z_p)

    def encoder_loss(self, batch: Batch, eps: Tensor) -> Loss:
        """L_prior + L_llike."""
        x, c = self.inward(batch.x), self.condition.check(batch.condition, self)
        mean, log_var = self.posterior(x, c)
        prior = gaussian_kl(mean, log_var).sum(1).mean()
        rebuilt = self.generate(reparametrise(mean, log_var, eps)[:, 0], c)
        similarity = self.similarity(*self._together(c, x, rebuilt))
        return self.config.beta * prior + similarity, {"prior": prior, "similarity": similarity}

    def decoder_loss(self, batch: Batch, eps: Tensor, z_p: Tensor) -> Loss:
        """gamma L_llike - L_GAN."""
        x, c = self.inward(batch.x), self.condition.check(batch.condition, self)
        on_real, on_rebuilt, on_fake = self._outputs(x, c, eps, z_p)
        similarity = self.similarity(on_real, on_rebuilt)
        gan = softplus(-on_rebuilt.score).mean() + softplus(-on_fake.score).mean()
        return self.config.gamma * similarity + gan, {"similarity": similarity, "gan": gan}

    def discriminator_loss(self, batch: Batch, eps: Tensor, z_p: Tensor) -> Loss:
        """L_GAN = -log D(X) - log(1 - D(X~)) - log(1 - D(X_p)), the cost that D descends."""
        x, c = self.inward(batch.x), self.condition.check(batch.condition, self)
        real, rebuilt, fake = (output.score for output in self._outputs(x, c, eps, z_p))
        gan = softplus(-real).mean() + softplus(rebuilt).mean() + softplus(fake).mean()
        right = ((real > 0).float().mean() + ((rebuilt < 0).float().mean() + (fake < 0).float().mean()) / 2) / 2
        return gan, {"gan": gan, "accuracy": right}

    def similarity(self, real: DiscriminatorOutput, rebuilt: DiscriminatorOutput) -> Tensor:
        """L_llike = -log N(D_l(X) | D_l(X~), I) less its constant: half the squared distance of features, summed over
        the features and averaged over examples, as in equation 7 (no division by their number)."""
        a, b = (output.features[self.config.layer].flatten(1) for output in (real, rebuilt))
        return 0.5 * (a - b).to(real.score.dtype).square().sum(1).mean()

    def _outputs(
        self, x: Tensor, c: Tensor | None, eps: Tensor, z_p: Tensor
    ) -> tuple[DiscriminatorOutput, DiscriminatorOutput, DiscriminatorOutput]:
        """D of X, of its reconstruction X~ = Dec(Z) and of the sample X_p = Dec(Z_p)."""
        z = reparametrise(*self.posterior(x, c), eps)[:, 0]
        real, rebuilt, fake = self._together(c, x, self.generate(z, c), self.generate(z_p, c))
        return real, rebuilt, fake

    def _together(self, c: Tensor | None, *parts: Tensor) -> Iterator[DiscriminatorOutput]:
        """D of all ``parts``, sent through as one batch, so that batch normalisation brings all to one scale."""
        output: DiscriminatorOutput = self.discriminator(torch.cat(parts), None if c is None else c.repeat(len(parts)))
        features = zip(*(f.chunk(len(parts)) for f in output.features), strict=True)
        return map(DiscriminatorOutput, output.score.chunk(len(parts)), features)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.posterior(self.inward(x), self.condition.check(condition, self))[0]

    def posterior(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x) for ``x`` in the networks' units, each with shape (n, d)."""
        mean, log_var = self.encoder(x, condition).to(x.dtype).chunk(2, dim=1)
        return mean, bounded_log_var(log_var)
