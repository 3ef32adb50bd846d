"""The autoencoder of latent diffusion: images to small maps of Gaussians and back, sharpened by a discriminator.

Rombach, Blattmann, Lorenz, Esser & Ommer, High-Resolution Image Synthesis with Latent Diffusion Models, 2022,
arXiv:2112.10752, section 3.1 and appendix G. Esser, Rombach & Ommer, Taming Transformers for High-Resolution Image
Synthesis, 2021, arXiv:2012.09841, section 3.1, for the game and its weight.

Done differently: where the paper measures the perceptual distance in the features of a network trained on photographs
(LPIPS), which would have to be brought along, this one takes the discriminator's own, as VAE-GAN does (Larsen et al.,
2016, arXiv:1512.09300), with the channels of each place brought to unit length as LPIPS does. The game begins after a
fraction of the rounds, not in a round of its own number. Its weight is that of the whole batch: the gradients of which
it is the ratio are found in a turn of their own, and do not change with micro-batches or processes. The scale of the
errors is learned, as the paper's code provides for. Codes begin with little noise, so that a short training is spent on
images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from genwerk.core.abilities import Decodes, Diagnoses, Encodes
from genwerk.core.batching import bounded
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Loss, Metrics, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Noise
from genwerk.core.spec import DataSpec
from genwerk.nn.adversarial.objectives import Hinge, accuracy
from genwerk.nn.adversarial.patchgan import PatchDiscriminator, PatchGANConfig
from genwerk.nn.autoencoder_kl import AutoencoderKL as Network
from genwerk.nn.losses import gaussian_kl

QUIET = -4.0
"""What is added to the posterior's log-variance at the beginning."""
TINY = 1e-4
"""Added to the game's gradient, by whose norm is divided."""
GREATEST = 1e4
"""Limit of the ratio of gradients."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderKLConfig(Config):
    """Settings of an autoencoder with a map of Gaussian codes, and of the discriminator that sharpens it."""

    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of the levels from the finest to the coarsest; from one to the next, height and width are halved."""
    blocks: int = 1
    """Residual blocks of a level (one more on the way back)."""
    latent: int = 4
    """Channels of the code."""
    groups: int = 8
    """Groups of channels that are normalised together; divides every width."""
    attention: bool = False
    """Whether places of the coarsest level attend to each other."""
    error: Literal["absolute", "squared"] = "absolute"
    """What is taken of the difference of values, in [-1, 1], between an image and its reconstruction."""
    kl: float = 1e-6
    """Weight of the KL divergence to N(0, I), against errors summed over values."""
    adversarial: float = 0.5
    """Weight of the game, times the ratio of gradients; at 0 there is no discriminator."""
    start: float = 0.5
    """Fraction of the rounds before the game begins."""
    perceptual_weight: float = 0.1
    """Weight of the distance in the discriminator's features, which is added to each value's error during the game."""
    discriminator: PatchGANConfig = field(default_factory=PatchGANConfig)
    """Layers of the discriminator, where there is one."""

    def __post_init__(self) -> None:
        if min(self.blocks, self.latent, self.groups, *self.widths) < 1 or not self.widths:
            raise ValueError(
                f"widths is {self.widths}, blocks {self.blocks}, latent {self.latent} and groups {self.groups}; "
                "take one width or more, and every number from 1 on"
            )
        if min(self.kl, self.adversarial, self.perceptual_weight) < 0:
            raise ValueError(
                f"kl is {self.kl}, adversarial {self.adversarial} and perceptual_weight {self.perceptual_weight}; they "
                "are weights of terms of the loss, 0 or more"
            )
        if not 0 <= self.start < 1:
            raise ValueError(f"start is {self.start}; it is a fraction of the rounds, from 0 to below 1")


class AutoencoderKL(Model, Encodes, Decodes, Diagnoses, config=AutoencoderKLConfig):
    """x close to decode(z) with z ~ N(mean(x), exp(log_var(x))), a map of a few channels.

    A code is what the network makes of an image, of any scale: a diffusion model brings it to its own.
    :meth:`code_spec` describes it as data for another model.
    """

    def __init__(self, config: AutoencoderKLConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: AutoencoderKLConfig = config
        if not spec.modality.has_pixels or spec.nominal:
            raise ValueError(
                f"an AutoencoderKL takes differences of pixels, so it takes images of intensities, not {spec}"
            )
        self.units = spec.modality.units()
        channels, height, width = spec.shape
        self.network = Network(
            channels=channels,
            widths=config.widths,
            blocks=config.blocks,
            latent=config.latent,
            groups=config.groups,
            attention=config.attention,
        )
        with torch.no_grad():
            assert self.network.quant_conv.bias is not None
            self.network.quant_conv.bias[config.latent :] += QUIET
        factor = self.network.factor
        if height % factor or width % factor:
            near = max(1, round(min(height, width) / factor)) * factor
            raise BadInput(
                f"images of {width}x{height} pixels cannot be halved {len(config.widths) - 1} times without rest; "
                f"take ‹data.size› {near}, or fewer ‹model.widths›"
            )
        self.latent_shape = (config.latent, height // factor, width // factor)
        self.scale = Scale()
        self.discriminator: PatchDiscriminator | None = None
        if config.adversarial:
            self.discriminator = config.discriminator.build(spec.shape)

    def code_spec(self) -> DataSpec:
        """What codes are as data."""
        return DataSpec(kind="latent", shape=self.latent_shape)

    def players(self) -> Mapping[str, nn.Module]:
        """`model`, of the autoencoder's parts and the errors' scale, and `discriminator` where there is a game."""
        model = nn.ModuleList([*self.network.children(), self.scale])
        return {"model": model} if self.discriminator is None else {"model": model, "discriminator": self.discriminator}

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, partial(self.turns, start=round(self.config.start * rounds)))]

    def turns(self, stream: TrainingStream, players: Mapping[str, Player], start: int = 0) -> Turns:
        """Reconstruction alone, and from round ``start`` on the game as well."""
        x, eps = stream.next_batch().x, stream.normal(*self.latent_shape)
        if self.discriminator is None or players["model"].steps < start:
            yield Turn("model", self.reconstruction_loss, x, eps)
            return
        found = yield Turn(None, self.last_layer_gradients, x, eps)
        weight = self.config.adversarial * gradient_ratio(found["likelihood's gradient"], found["game's gradient"])
        yield Turn("model", self.autoencoder_loss, x, eps, weight=weight)
        yield Turn("discriminator", self.discriminator_loss, x, eps)

    def reconstruction_loss(self, x: Tensor, eps: Tensor) -> Loss:
        """-log p(x | z) + kl KL(q(z | x) || N(0, I)), in nats an example but for a constant.

        ``x`` has values in [0, 1], ``eps`` is standard normal with shape (n, *latent_shape).
        """
        y = self.units(x)
        rebuilt, kl = self._rebuild(y, eps)
        nll = self.scale(self._error(y, rebuilt))
        return nll + self.config.kl * kl, self._figures(y, rebuilt, nll, kl)

    def autoencoder_loss(self, x: Tensor, eps: Tensor, weight: Tensor) -> Loss:
        """The same, with the perceptual distance added to the errors, and less ``weight`` times the score of x'."""
        y = self.units(x)
        rebuilt, kl = self._rebuild(y, eps)
        nll, game, perceptual = self._terms(y, rebuilt)
        figures = {"perceptual distance": perceptual, "game": game, "weight of the game": weight}
        return nll + self.config.kl * kl + weight * game, self._figures(y, rebuilt, nll, kl) | figures

    def discriminator_loss(self, x: Tensor, eps: Tensor) -> Loss:
        """The hinge loss of the patches of x and of x' (VQGAN's equation 5 has the logarithm in its place)."""
        y = self.units(x)
        real, fake = (self._judge(image)[0] for image in (y, self._rebuild(y, eps)[0]))
        return Hinge().discriminator(real, fake), accuracy(Hinge(), real, fake)

    def last_layer_gradients(self, x: Tensor, eps: Tensor) -> Loss:
        """Gradients by the weights of the decoder's last layer: of -log p(x | z), and of the game."""
        y, last = self.units(x), self.network.decoder.conv_out.weight
        with torch.enable_grad():
            nll, game, _ = self._terms(y, self._rebuild(y, eps)[0])
            of_nll, of_game = (torch.autograd.grad(term, last, retain_graph=True)[0] for term in (nll, game))
        return nll, {"likelihood's gradient": of_nll, "game's gradient": of_game}

    # --- abilities ----------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The mean of q(z | x) with shape (n, latent, h', w'), unscaled."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.units.inverse(self.network.decode(z))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each with shape (n, *latent_shape)."""
        both = bounded(lambda x: torch.cat(self.network.encode(self.units(x)), 1), x)
        mean, log_var = both.chunk(2, 1)
        return mean, log_var

    def sample_posterior(self, x: Tensor, noise: Noise) -> Tensor:
        """A draw of z ~ q(z | x) for each example, unscaled, with shape (n, *latent_shape); ``encode`` has the mean."""
        mean, log_var = self.posterior(x)
        return drawn(mean, log_var, noise.normal(*self.latent_shape).to(mean))

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """How wide codes are spread, over all and by channel, and the KL divergence of a code to N(0, I), in nats.

        The inverse of the first is the factor by which a diffusion model brings codes to its scale.
        """
        mean, log_var = self.posterior(x)
        by_channel = {f"standard deviation of channel {i + 1}": c.std() for i, c in enumerate(mean.unbind(1))}
        kl = gaussian_kl(mean, log_var).flatten(1).sum(1).mean()
        return {"standard deviation of codes": mean.std(), **by_channel, "KL of codes": kl}

    # --- parts --------------------------------------------------------------------------------------------------------

    def _rebuild(self, y: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """The reconstruction of ``y`` in [-1, 1] from a drawn code, and the KL divergence in nats, a scalar."""
        mean, log_var = self.network.encode(y)
        rebuilt = self.network.decode(drawn(mean, log_var, eps))
        return rebuilt, gaussian_kl(mean, log_var).flatten(1).sum(1).mean()

    def _error(self, y: Tensor, rebuilt: Tensor) -> Tensor:
        return (y - rebuilt).abs() if self.config.error == "absolute" else (y - rebuilt).square()

    def _judge(self, y: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """D's scores a patch, and its features, in the precision of ``y``."""
        assert self.discriminator is not None
        score, features = self.discriminator(y)
        return score.to(y.dtype), tuple(f.to(y.dtype) for f in features)

    def _terms(self, y: Tensor, rebuilt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's losses during the game: -log p(x | z) and -D(x'); and the distance in D's features."""
        score, features = self._judge(rebuilt)
        apart = distance(features, self._judge(y)[1])
        nll = self.scale(self._error(y, rebuilt) + self.config.perceptual_weight * apart.view(-1, 1, 1, 1))
        return nll, Hinge().generator(score), apart.mean()

    @staticmethod
    def _figures(y: Tensor, rebuilt: Tensor, nll: Tensor, kl: Tensor) -> Metrics:
        """``mse`` is of values in [0, 1]."""
        return {"mse": (y - rebuilt).square().mean() / 4, "negative log-likelihood": nll, "kl": kl}


class Scale(nn.Module):
    """Errors d with shape (n, ...) as -log of a density proportional to exp(-d / s) / s, with one learned scale s.

    A Laplace distribution where errors are absolute; where they are squared, twice that of a normal one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, error: Tensor) -> Tensor:
        """Summed over the values of an example, averaged over examples; a scalar."""
        return (error * (-self.log_scale).exp() + self.log_scale).flatten(1).sum(1).mean()


def drawn(mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """z = mean + sigma eps."""
    return mean + (0.5 * log_var).exp() * eps


def distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Squared distance of features by layer, each with shape (n, c, h, w), as the mean over places and layers.

    The channels of a place count as a direction, so that an example's distance, with shape (n,), lies in [0, 4].
    """
    layers = [(normalize(p) - normalize(q)).square().sum(1).mean((1, 2)) for p, q in zip(a, b, strict=True)]
    return torch.stack(layers).mean(0)


def gradient_ratio(likelihood: Tensor, game: Tensor) -> Tensor:
    """By how much more the decoder's last layer learns from one than from the other (VQGAN, equation 7)."""
    ratio: Tensor = likelihood.norm() / (game.norm() + TINY)
    return ratio.clamp(max=GREATEST)
