"""Faces of one person with the features of another: an encoder of both, and a decoder for each.

The method is that of the program deepfakes/faceswap (2017): an autoencoder that rebuilds faces from warped ones, with
the decoder of the other person put in the place of one's own. Mask and optional discriminator: shaoanlu/faceswap-GAN
(2018); the blend by the mask as in GANimation, Pumarola et al., 2018, arXiv:1807.09251.

Done differently: the networks are convolutional throughout (:mod:`genwerk.nn.translation.resnet`), so that images of
any size go in; faces are to be about as large in them as in training. No face is looked for: images are faces already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate

from genwerk.core.model import Config, Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.families.two_domains import TwoDomains
from genwerk.nn.adversarial.objectives import LeastSquares, Objective, accuracy
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation.output import blended, channels
from genwerk.nn.translation.resnet import ResidualTranslator, ResNetGeneratorConfig


@dataclass(frozen=True, kw_only=True)
class SwapFacesConfig(Config):
    """Settings of an encoder of faces and of a decoder for each person."""

    network: ResNetGeneratorConfig = field(default_factory=lambda: ResNetGeneratorConfig(halvings=3, blocks=3))
    """Layers: what is before the enlargement is the encoder, and the rest a decoder."""
    warp: float = 0.04
    """Standard deviation of the displacement by which faces are warped, as a fraction of the image's side."""
    warp_grid: int = 5
    """Points a side at which the displacement is drawn; in between it is smooth."""
    jitter: float = 0.5
    """Standard deviation of a random linear map that is added to the colours of a face before it is encoded, so that
    each decoder learns the colours of its person; 0 leaves them."""
    mask: float = 0.01
    """Weight of the mean of the mask, which leaves what surrounds a face to the source."""
    adversarial: float = 0.0
    """Weight of a discriminator of each person's faces in the decoders' loss; 0: there is none."""
    objective: Objective = field(default_factory=LeastSquares)
    """The losses of the players, where there is a discriminator."""
    discriminator: PatchGANConfig = field(default_factory=PatchGANConfig)
    """Layers of each discriminator."""

    def __post_init__(self) -> None:
        if min(self.warp, self.jitter, self.mask, self.adversarial) < 0 or self.warp_grid < 2:
            raise ValueError("warp, jitter, mask and adversarial are 0 or more, and the grid has 2 points or more")


class SwapFaces(TwoDomains, config=SwapFacesConfig):
    """D_k(E(x')) = x for faces x of person k, x' warped and recoloured; D_other(E(x)) has the other's features."""

    output, provenance = "mask", True

    def __init__(self, config: SwapFacesConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: SwapFacesConfig = config
        network, out = config.network, channels(self.output, spec.shape[0])
        self.margin, self.stride = network.margin, network.stride
        built = [network.build(spec.shape[0], out, 1) for _ in range(2)]
        self.decoders = nn.ModuleList(each.up for each in built)
        self.encoder = built[0]
        self.encoder.up = nn.Identity()
        if config.adversarial:
            self.discriminators = nn.ModuleList(config.discriminator.build(spec.shape) for _ in range(2))

    def players(self) -> Mapping[str, nn.Module]:
        autoencoder = {"autoencoder": nn.ModuleList([self.encoder, self.decoders])}
        return {"discriminator": self.discriminators, **autoencoder} if self.config.adversarial else autoencoder

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """A step on the encoder and both decoders, and one on the discriminators where there are any."""
        x, grid, colours = stream.next_batch().x, self.config.warp_grid, self.spec.shape[0]
        shift = self.config.warp * stream.normal(2, grid, grid, 2)
        jitter = self.config.jitter * stream.normal(2, colours, colours)
        made: list[Tensor] = []
        yield Turn("autoencoder", self.autoencoder_loss, x, shift, jitter, made=made)
        if "discriminator" in players:
            yield Turn("discriminator", self.discriminator_loss, x, torch.cat(made))

    def autoencoder_loss(self, x: Tensor, shift: Tensor, jitter: Tensor, made: list[Tensor]) -> Loss:
        """Mean absolute errors of the faces as they are painted, and blended with the warped ones by the mask."""
        config = self.config
        painted, blend, masks, adversarial, rebuilt = [], [], [], [], []
        for k, face in enumerate((2 * x - 1).unbind(1)):
            source = recoloured(warped(face, shift[:, k]), jitter[:, k])
            raw = self.generator_to(k)(source)
            image, mask = blended(raw, source, self.output)
            assert mask is not None
            painted.append((raw[:, :-1].tanh() - face).abs().mean())
            blend.append((image - face).abs().mean())
            masks.append(mask.mean())
            rebuilt.append(image)
            if config.adversarial:
                adversarial.append(config.objective.generator(self.score(image, k)))
        metrics: Metrics = {"painted": torch.stack(painted).mean(), "blended": torch.stack(blend).mean()}
        metrics["mask"] = torch.stack(masks).mean()
        loss = metrics["painted"] + metrics["blended"] + config.mask * metrics["mask"]
        if config.adversarial:
            made.append(torch.stack(rebuilt, 1).detach())
            loss = loss + config.adversarial * torch.stack(adversarial).mean()
        return loss, metrics

    def discriminator_loss(self, x: Tensor, made: Tensor) -> Loss:
        """Each person's faces beside those that are rebuilt; both have shape (n, 2, c, h, w)."""
        objective, real = self.config.objective, 2 * x - 1
        scores = [(self.score(real[:, k], k), self.score(made[:, k], k)) for k in range(2)]
        loss = torch.stack([objective.discriminator(*each) for each in scores]).sum()
        on_real, on_fake = (torch.stack(each) for each in zip(*scores, strict=True))
        return loss, accuracy(objective, on_real, on_fake)

    def score(self, x: Tensor, person: int) -> Tensor:
        """Scores of patches, by the discriminator of ``person``."""
        score, _ = self.discriminators[person](x)
        return self.config.objective.score(score)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def generator_to(self, domain: int) -> nn.Module:
        return Decoded(self.encoder, self.decoders[domain])


class Decoded(nn.Module):
    """The encoder and one of the decoders, as one network."""

    def __init__(self, encoder: ResidualTranslator, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        raw = self.decoder(self.encoder.features(x)[-1])
        return self.encoder.enlarged(raw)[..., : x.shape[2], : x.shape[3]]


def warped(x: Tensor, shift: Tensor) -> Tensor:
    """Images with shape (n, c, h, w) whose pixels are taken from where ``shift`` says, reflected at the border.

    ``shift`` has shape (n, g, g, 2): across and down, as fractions of the sides, at the points of a regular grid from
    corner to corner; in between it is bicubic.
    """
    field = interpolate(shift.movedim(3, 1), x.shape[2:], mode="bicubic", align_corners=True).movedim(1, 3)
    straight = torch.eye(2, 3, device=x.device, dtype=field.dtype).expand(len(x), -1, -1)
    grid = affine_grid(straight, list(x.shape), align_corners=False) + 2 * field
    return grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def recoloured(x: Tensor, jitter: Tensor) -> Tensor:
    """Images in [-1, 1] with shape (n, c, h, w) to whose colours a linear map (n, c, c) of them is added."""
    return (x + torch.einsum("nij,njhw->nihw", jitter, x)).clamp(-1, 1)
