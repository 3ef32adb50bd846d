"""Image-to-image translation from pairs: a generator told the source, a discriminator of pairs.

pix2pix: Isola, Zhu, Zhou & Efros, Image-to-Image Translation with Conditional Adversarial Networks, 2017,
arXiv:1611.07004. What is added to the source: VDSR, Kim, Lee & Lee, 2016, arXiv:1511.04587; DnCNN, Zhang et al., 2017,
arXiv:1608.03981. Without a discriminator it is their regression.

Done differently: pairs are also made from images, by a degradation; the discriminator sees the source as an image of
the channels of its target; G steps first, so that D sees what it made without another pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genwerk.core.degradation import Degradation, Downscale
from genwerk.core.model import Config, Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed
from genwerk.core.spec import DataSpec
from genwerk.families.translation import TranslatesPairs
from genwerk.nn.adversarial.objectives import NonSaturating, Objective, accuracy
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import EDSRConfig, TranslationNetwork


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig(Config):
    """Settings of a generator of images from their sources, and of the discriminator of both."""

    degradation: Degradation = field(default_factory=Downscale)
    """What turns an image into its source."""
    network: TranslationNetwork = field(default_factory=EDSRConfig)
    """Layers of the generator."""
    residual: bool = True
    """Whether the generator's output is added to the source, and is not the image itself."""
    l1: float = 100.0
    """Weight lambda of the mean absolute error."""
    adversarial: float = 1.0
    """Weight of the discriminator in the generator's loss; 0: there is none, and the error alone counts."""
    objective: Objective = field(default_factory=NonSaturating)
    """The losses of the two players."""
    discriminator: PatchGANConfig = field(default_factory=PatchGANConfig)
    """Layers of the discriminator, which sees the source beside the image."""

    def __post_init__(self) -> None:
        if min(self.l1, self.adversarial) < 0 or self.l1 == self.adversarial == 0:
            raise ValueError(f"l1 and adversarial are {self.l1} and {self.adversarial}; expected weights above 0")


class Pix2Pix(TranslatesPairs, config=Pix2PixConfig):
    """min over G, max over D, of an objective of D(y, x) and D(y, G(y)), y the source of x, with L1 of G(y) and x."""

    def __init__(self, config: Pix2PixConfig, spec: DataSpec) -> None:
        super().__init__(config, spec, config.degradation)
        self.config: Pix2PixConfig = config
        self.margin, self.stride = config.network.margin, config.network.stride
        self.generator = config.network.build(self.condition.shape[0], spec.shape[0], self.scale)
        if config.adversarial:
            self.discriminator: nn.Module = config.discriminator.build((2 * spec.shape[0], *spec.shape[1:]))

    def players(self) -> Mapping[str, nn.Module]:
        generator = {"generator": self.generator}
        return {"discriminator": self.discriminator, **generator} if self.config.adversarial else generator

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """One gradient step on G, then one on D with what G made before its step."""
        batch, fakes = stream.next_batch(), list[Tensor]()
        x, source = batch.x, self.condition.drawn(batch, stream)
        yield Turn("generator", self.generator_loss, x, source, fakes=fakes)
        if "discriminator" in players:
            yield Turn("discriminator", self.discriminator_loss, x, source, torch.cat(fakes))

    def generator_loss(self, x: Tensor, source: Tensor, fakes: list[Tensor]) -> Loss:
        """Equation 4; what G makes is put into ``fakes``."""
        fake = self.generate(source)
        fakes.append(fake.detach())
        error = fake - x
        l1 = error.abs().mean()
        metrics: Metrics = {"l1": l1, "mse": error.square().mean()}
        loss = self.config.l1 * l1
        if self.config.adversarial:
            loss = loss + self.config.adversarial * self.objective.generator(self.score(source, fake))
        return loss, metrics

    def discriminator_loss(self, x: Tensor, source: Tensor, fake: Tensor) -> Loss:
        """Equation 1 as D sees it, a mean over examples and patches, divided by 2 (section 3.3)."""
        real, made = self.score(source, x), self.score(source, fake)
        return self.objective.discriminator(real, made) / 2, accuracy(self.objective, real, made)

    @property
    def objective(self) -> Objective:
        return self.config.objective

    def score(self, source: Tensor, x: Tensor) -> Tensor:
        """D's scores of pairs with shape (n, h', w'), one a patch."""
        pair = torch.cat([self.shown(source), x], 1)
        score, _ = self.discriminator(2 * pair - 1)
        return self.objective.score(score)

    def generate(self, source: Tensor) -> Tensor:
        """G(y) in [0, 1] but for what is added to the source, which may leave it."""
        raw: Tensor = self.generator(2 * source - 1).float()
        made = self.shown(source) + raw if self.config.residual else (raw.tanh() + 1) / 2
        return self.degradation.kept(made, source)

    # --- abilities ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        return self.generate(self.checked(source)).clamp(0, 1)
