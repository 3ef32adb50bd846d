"""Translation among any number of domains by one generator, which is told the attributes that an image is to have.

StarGAN: Choi, Choi, Kim, Ha, Kim & Choo, StarGAN: Unified Generative Adversarial Networks for Multi-Domain
Image-to-Image Translation, 2018, arXiv:1711.09020. The mask: Pumarola et al., GANimation, 2018, arXiv:1807.09251.

Done differently: an attribute is one of several values, and each has a cross-entropy of its own; the attributes to
translate to are drawn evenly and each by itself, not those of other examples; an attribute that is to be kept is what
the discriminator's classifier sees in the source; they enter by conditional instance normalisation, for instance
normalisation takes away what planes of ones and zeros add to a convolution, but at borders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from genwerk.core.abilities import TranslatesDomains
from genwerk.core.attributes import KEPT, Attributes
from genwerk.core.model import Config, Loss, Metrics, Model, Player, TrainingStream, Turn, Turns
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.translation import require_intensities
from genwerk.nn.adversarial.attributes import AttributeDiscriminatorConfig
from genwerk.nn.adversarial.objectives import Objective, Wasserstein, accuracy
from genwerk.nn.adversarial.penalties import gradient_penalty
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.nn.translation.instance_norm import by_parts, shrunk
from genwerk.nn.translation.output import Output, begun, blended, channels


@dataclass(frozen=True, kw_only=True)
class StarGANConfig(Config):
    """Settings of a generator that is told attributes, and of a discriminator that tells them."""

    attributes: tuple[str, ...] = ()
    """Names of the attributes that it learns to change; empty: all that the data carry."""
    network: ResNetGeneratorConfig = field(default_factory=lambda: ResNetGeneratorConfig(blocks=6))
    """Layers of the generator."""
    output: Output = "image"
    """What the generator makes: the image, one with a mask of what of it replaces the source, or maps of colours."""
    discriminator: AttributeDiscriminatorConfig = field(default_factory=AttributeDiscriminatorConfig)
    """Layers of the discriminator."""
    objective: Objective = field(default_factory=Wasserstein)
    """The losses of the two players."""
    critic_steps: int = 5
    """Steps of the discriminator in a round."""
    gradient_penalty: float = 10.0
    """Weight lambda_gp of WGAN-GP's penalty."""
    classification: float = 1.0
    """Weight lambda_cls of the attributes' cross-entropy."""
    reconstruction: float = 10.0
    """Weight lambda_rec of the error after the way there and back."""
    change: float = 0.0
    """Weight of the mean absolute change of pixels, which leaves alone what need not change."""

    def __post_init__(self) -> None:
        if self.critic_steps < 1:
            raise ValueError(f"critic_steps is {self.critic_steps}; the discriminator takes 1 step or more in a round")
        if min(self.gradient_penalty, self.classification, self.reconstruction, self.change) < 0:
            raise ValueError("weights of losses are 0 or more")


class StarGAN(Model, TranslatesDomains, config=StarGANConfig):
    """G(x, c) makes an image with attributes c of x; D tells real images from generated ones, and their attributes."""

    provenance = True

    def __init__(self, config: StarGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: StarGANConfig = config
        require_intensities(self, spec)
        self.condition: Attributes = Attributes.from_data(spec).only(config.attributes)
        self.margin, self.stride = config.network.margin, config.network.stride
        out = channels(config.output, spec.shape[0])
        generator = config.network.build(spec.shape[0], out, 1, sum(self.condition.sizes))
        self.generator = begun(generator, config.output)
        self.discriminator = config.discriminator.build(spec.shape, self.condition.sizes)

    def players(self) -> Mapping[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    @property
    def batches(self) -> int:
        return self.config.critic_steps

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """Steps of D, then one of G (section 4)."""
        for _ in range(self.config.critic_steps):
            batch = stream.next_batch()
            target = self.condition.drawn(stream.uniform(len(self.condition.names)))
            yield Turn("discriminator", self.discriminator_loss, batch, target, stream.uniform())
        yield Turn("generator", self.generator_loss, batch, target)

    def discriminator_loss(self, batch: Batch, target: Tensor, eps: Tensor) -> Loss:
        """L_D = -L_adv + lambda_cls L_cls^r (equations 2, 5 and 8)."""
        x = 2 * batch.x - 1
        with torch.no_grad():
            fake = self.generate(x, target)
        (real_score, logits), (fake_score, _) = self.judged(x), self.judged(fake)
        classification, right = self.classify(logits, self.told(batch))
        objective = self.config.objective
        metrics = accuracy(objective, real_score, fake_score)
        metrics |= {"real classification": classification, "real right": right}
        loss = objective.discriminator(real_score, fake_score) + self.config.classification * classification
        if self.config.gradient_penalty:
            penalty = gradient_penalty(lambda y: self.judged(y)[0].mean((1, 2)), x, fake, eps)
            metrics["penalty"] = penalty
            loss = loss + self.config.gradient_penalty * penalty
        return loss, metrics

    def generator_loss(self, batch: Batch, target: Tensor) -> Loss:
        """L_G = L_adv + lambda_cls L_cls^f + lambda_rec L_rec (equations 3, 4 and 6)."""
        x = 2 * batch.x - 1
        fake = self.generate(x, target)
        score, logits = self.judged(fake)
        classification, right = self.classify(logits, target)
        metrics: Metrics = {"fake classification": classification, "fake right": right}
        loss = self.config.objective.generator(score) + self.config.classification * classification
        if self.config.reconstruction:
            back = self.generate(fake, self.told(batch))
            metrics["reconstruction"] = (x - back).abs().mean()
            loss = loss + self.config.reconstruction * metrics["reconstruction"]
        metrics["change"] = (fake - x).abs().mean()
        loss = loss + self.config.change * metrics["change"]
        return loss, metrics

    def judged(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """D's scores of patches as the objective takes them, and its logits of each attribute."""
        score, logits = self.discriminator(x)
        return self.config.objective.score(score), logits

    def told(self, batch: Batch) -> Tensor:
        """The attributes of the examples in ``batch``."""
        values = self.condition.check(batch.condition, self)
        assert values is not None
        return values

    @staticmethod
    def classify(logits: list[Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of ``values``, summed over attributes, and the share of them that the logits tell."""
        each = list(zip(logits, values.T, strict=True))
        right = torch.stack([(a.argmax(1) == c).float().mean() for a, c in each]).mean()
        return torch.stack([cross_entropy(a, c) for a, c in each]).sum(), right

    def generate(self, x: Tensor, values: Tensor) -> Tensor:
        """G(x, c) of images in [-1, 1]."""
        return blended(self.generator(x, self.condition.one_hot(values).to(x)), x, self.config.output)[0]

    # --- abilities ----------------------------------------------------------------------------------------------------

    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        return self.by_parts(source, condition, seed=seed)(source)

    @torch.no_grad()
    def by_parts(
        self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Kept attributes, and statistics of normalisation, are those of all of ``source``, shrunk to the size that the
        model was trained with. Without a ``condition`` each attribute gets its last value."""
        size = self.spec.shape[1], self.spec.shape[2]
        values = torch.tensor([[n - 1 for n in self.condition.sizes]]) if condition is None else condition
        values = self.condition.check(values.to(self.device), self).expand(len(source), -1)  # type: ignore[union-attr]
        if (values == KEPT).any():
            values = values.where(values != KEPT, self.seen(source))
        network = by_parts(self.generator, source, size, self.condition.one_hot(values).to(source.dtype))

        @torch.no_grad()
        def of(part: Tensor) -> Tensor:
            y = 2 * part - 1
            made, _ = blended(network(y), y, self.config.output)
            return ((made + 1) / 2).clamp(0, 1)

        return of

    def seen(self, source: Tensor) -> Tensor:
        """The attributes that the discriminator sees in images in [0, 1] of any size."""
        size = self.spec.shape[1], self.spec.shape[2]
        small = 2 * shrunk(source, size).to(self.device) - 1
        if small.shape[2:] != size:
            small = interpolate(small, size, mode="bilinear", align_corners=False)
        return torch.stack([logits.argmax(1) for logits in self.discriminator(small)[1]], 1)

    def aims(self, condition: Tensor, *, seed: Seed | None = None) -> Tensor:
        """Another value of one attribute, each as likely, and the others kept."""
        u = SeededNoise(len(condition), seed).uniform(2).to(condition.device)
        sizes = torch.tensor(self.condition.sizes, device=condition.device)
        which = (u[:, 0] * len(sizes)).long()
        rows = torch.arange(len(condition), device=condition.device)
        now, among = condition[rows, which], sizes[which]
        aim = torch.full_like(condition, KEPT)
        aim[rows, which] = (now + 1 + (u[:, 1] * (among - 1)).long()) % among
        return aim
