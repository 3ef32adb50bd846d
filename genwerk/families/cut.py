"""Translation from one domain to another, one way alone: a patch of the image is to tell which patch it was made of.

CUT and FastCUT: Park, Efros, Zhang & Zhu, Contrastive Learning for Unpaired Image-to-Image Translation, 2020,
arXiv:2007.15651.

Done differently: the generator moves first, and the discriminator sees what it made then; layers are chosen by their
place in the network, so that they follow its depth; no flip of the source (FastCUT's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from genwerk.core.model import Config, Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import DataSpec
from genwerk.families.two_domains import TwoDomains
from genwerk.nn.adversarial.dcgan import initialise
from genwerk.nn.adversarial.objectives import LeastSquares, Objective, accuracy
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation.output import Output, blended, channels
from genwerk.nn.translation.resnet import ResidualTranslator, ResNetGeneratorConfig


@dataclass(frozen=True, kw_only=True)
class CUTConfig(Config):
    """Settings of a generator to the last class, of a discriminator, and of the contrast between patches.

    Weights are CUT's; FastCUT's are an ``nce`` of 10 and an ``nce_identity`` of 0.
    """

    network: ResNetGeneratorConfig = field(default_factory=ResNetGeneratorConfig)
    """Layers of the generator, whose first half is the encoder."""
    output: Output = "image"
    """What the generator makes: the image, one with a mask of what of it replaces the source, or maps of colours."""
    discriminator: PatchGANConfig = field(default_factory=PatchGANConfig)
    """Layers of the discriminator."""
    objective: Objective = field(default_factory=LeastSquares)
    """The losses of the players."""
    adversarial: float = 2.0
    """Weight of the objective for the generator; 2 is that of the authors' code, whose least squares are not halved."""
    nce: float = 1.0
    """Weight lambda_X of the contrast between patches of the source and of what is made of it."""
    nce_identity: float = 1.0
    """Weight lambda_Y of the same where the source is of the domain that it is translated to."""
    temperature: float = 0.07
    """Temperature tau of the contrast."""
    patches: int = 256
    """Places in each layer of an image that are told apart, at most."""
    features: int = 256
    """Dimensions of a patch's features."""

    def __post_init__(self) -> None:
        if min(self.adversarial, self.nce, self.nce_identity) < 0:
            raise ValueError("adversarial, nce and nce_identity are weights of losses, from 0 on")
        if self.temperature <= 0 or self.patches < 2 or self.features < 1:
            raise ValueError("the temperature is above 0, patches are 2 or more, features 1 or more")


class CUT(TwoDomains, config=CUTConfig):
    """G(x) against a discriminator of the last domain, with the mutual information of patches of x and G(x)."""

    targets = (1,)

    def __init__(self, config: CUTConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: CUTConfig = config
        self.output, network = config.output, config.network
        self.margin, self.stride = network.margin, network.stride
        self.generator: ResidualTranslator = network.build(spec.shape[0], channels(config.output, spec.shape[0]), 1)
        self.discriminator = config.discriminator.build(spec.shape)
        first = 1 + network.halvings  # of the features, that before the residual blocks
        last = first + network.blocks
        self.layers = sorted({0, *range(2, first + 1), min(first + 1, last), first + (network.blocks + 1) // 2})
        """Which features are contrasted: the pixels, each halving, the first and the middle residual block (appendix
        C.2)."""
        with torch.no_grad():
            found = self.generator.features(torch.zeros(1, *spec.shape))
        self.pixels = [found[i].shape[2] * found[i].shape[3] for i in self.layers]
        self.heads = nn.ModuleList(PatchHead(found[i].shape[1], config.features) for i in self.layers)

    def players(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": nn.ModuleList([self.generator, self.heads])}

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """A step on G and the heads H together, then one on D (appendix C.1)."""
        x = stream.next_batch().x
        places = [stream.uniform(pixels).argsort(1)[:, : self.config.patches] for pixels in self.pixels]
        fakes: list[Tensor] = []
        yield Turn("generator", self.generator_loss, x, *places, fakes=fakes)
        yield Turn("discriminator", self.discriminator_loss, x[:, 1], torch.cat(fakes))

    def generator_loss(self, x: Tensor, *places: Tensor, fakes: list[Tensor]) -> Loss:
        """Equation 5; what the generator makes is put into ``fakes``."""
        config, (source, target) = self.config, (2 * x - 1).unbind(1)
        fake, contrast = self.contrasted(source, places)
        adversarial = config.objective.generator(self.score(fake))
        metrics: Metrics = {"adversarial": adversarial, "nce": contrast}
        loss = config.adversarial * adversarial + config.nce * contrast
        if config.nce_identity:
            _, metrics["identity nce"] = self.contrasted(target, places)
            loss = loss + config.nce_identity * metrics["identity nce"]
        fakes.append(fake.detach())
        return loss, metrics

    def discriminator_loss(self, y: Tensor, fake: Tensor) -> Loss:
        """Equation 1 as D sees it."""
        real, generated = self.score(2 * y - 1), self.score(fake)
        return self.config.objective.discriminator(real, generated), accuracy(self.config.objective, real, generated)

    def contrasted(self, x: Tensor, places: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """G(x), and equation 4 for it: a mean over layers, examples and ``places``, indices with shape (n, s) each."""
        keys = self.generator.features(x)
        fake, _ = blended(self.generator.decode(keys[-1], x), x, self.output)
        queries = self.generator.features(fake, last=self.layers[-1])
        losses = [
            patch_nce(head(queries[i], at), head(keys[i].detach(), at).detach(), self.config.temperature)
            for i, head, at in zip(self.layers, self.heads, places, strict=True)
        ]
        return fake, torch.stack(losses).mean()

    def score(self, x: Tensor) -> Tensor:
        """Scores of patches."""
        score, _ = self.discriminator(x)
        return self.config.objective.score(score)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def generator_to(self, domain: int) -> nn.Module:
        return self.generator


class PatchHead(nn.Module):
    """Features with shape (n, c, h, w) at places (n, s) to unit vectors with shape (n, s, d), by two layers."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, features), nn.ReLU(), nn.Linear(features, features))
        self.apply(initialise)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        at = places.unsqueeze(1).expand(-1, x.shape[1], -1)
        return normalize(self.layers(x.flatten(2).gather(2, at).transpose(1, 2)), dim=2)


def patch_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """The cross-entropy of finding for each query, among the keys of its image, the one of its place (equation 3).

    Both are unit vectors with shape (n, s, d); a mean over examples and places.
    """
    logits = queries @ keys.transpose(1, 2) / temperature
    places = torch.arange(logits.shape[2], device=logits.device).expand(len(logits), -1)
    return cross_entropy(logits.flatten(0, 1), places.flatten())
