"""Generative adversarial networks: one game, of which each paper changes a line or two.

GAN: Goodfellow et al., Generative Adversarial Nets, 2014, arXiv:1406.2661.
cGAN: Mirza & Osindero, Conditional Generative Adversarial Nets, 2014, arXiv:1411.1784.
DCGAN: Radford, Metz & Chintala, 2016, arXiv:1511.06434 (the networks).
LSGAN: Mao et al., Least Squares Generative Adversarial Networks, 2017, arXiv:1611.04076 (the objective).
WGAN: Arjovsky, Chintala & Bottou, Wasserstein GAN, 2017, arXiv:1701.07875 (the objective, clipping, critic steps).
WGAN-GP: Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028 (the penalty).
R1: Mescheder, Geiger & Nowozin, 2018, arXiv:1801.04406. Spectral normalisation: Miyato et al., 2018, arXiv:1802.05957.

Done differently: the discriminator's sigmoid lives in the objective, where it is exact; a conditional generator learns
from the labels of the batch at hand; real and fake examples pass through the discriminator apart, as in DCGAN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Metrics, Player, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.adversarial import AdversarialConfig, AdversarialModel
from genwerk.nn.adversarial.augment import DRAWS, Augmentation, augment, next_p
from genwerk.nn.adversarial.dcgan import DCGANConfig
from genwerk.nn.adversarial.networks import AdversarialNetwork
from genwerk.nn.adversarial.objectives import NonSaturating, Objective, accuracy
from genwerk.nn.adversarial.output import DiscriminatorOutput, Norm
from genwerk.nn.adversarial.penalties import clip_, couples_examples, gradient_penalty, r1


@dataclass(frozen=True, kw_only=True)
class GANConfig(AdversarialConfig):
    """Settings of a generator and a discriminator and of the game they play."""

    network: AdversarialNetwork = field(default_factory=DCGANConfig)
    """Layers of both players."""
    norm: Norm = "batch"
    """Normalisation in the discriminator."""
    spectral_norm: bool = False
    """Whether every layer of the discriminator, the label's embedding too, is divided by its largest singular value."""
    objective: Objective = field(default_factory=NonSaturating)
    """The losses of the two players."""
    critic_steps: int = 1
    """Steps of the discriminator in a round."""
    critic_warmup: int = 0
    """Steps of the discriminator in each of the first 25 rounds and in every 500th (100 in WGAN's code); 0: none
    more."""
    clip: float = 0.0
    """Greatest absolute weight of the discriminator; 0 does not clip."""
    gradient_penalty: float = 0.0
    """Weight lambda of WGAN-GP's penalty."""
    r1: float = 0.0
    """Weight gamma of the R1 penalty (half the squared gradient at real examples)."""
    r1_every: int = 1
    """Steps of the discriminator between R1 penalties, each of which then counts so many times as much."""
    augment: Augmentation = "none"
    """Augmentation of all that the discriminator sees: differentiable (diffaugment), or adaptive (ada)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critic_steps < 1 or self.r1_every < 1:
            raise ValueError("critic_steps and r1_every count steps; they must be 1 or more")


class GAN(AdversarialModel, config=GANConfig):
    """min over G, max over D, of an objective of D's scores of x ~ data and of G(z), z ~ prior."""

    def __init__(self, config: GANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: GANConfig = config
        self.objective = config.objective
        self.generator, self.discriminator = config.network.build(
            spec.shape,
            config.latent,
            norm=config.norm,
            classes=self.condition.classes,
            conditioning=config.conditioning,
        )
        if config.spectral_norm:
            for layer in self.discriminator.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Embedding)):
                    parametrizations.spectral_norm(layer)
        if (config.gradient_penalty or config.r1) and couples_examples(self.discriminator):
            raise BadInput(
                "a gradient penalty is of single examples, which batch normalisation in the discriminator couples; "
                "take ‹model.norm› layer or none"
            )
        if config.augment != "none" and not spec.modality.has_pixels:
            raise BadInput(f"augmentation is of images, and these data are {spec}; take ‹model.augment› none")
        self.register_buffer("p", torch.tensor(0.0 if config.augment == "ada" else 1.0))
        self.p: Tensor

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """Algorithm 1 of the GAN, WGAN and WGAN-GP papers alike."""
        critic = players["discriminator"]
        for _ in range(self.critic_steps(players["generator"].steps)):  # for t = 0, ..., n_critic
            batch = stream.next_batch()  # x ~ data
            z = self.latents(stream)  # z ~ prior
            eps, u = stream.uniform(), self._augmentation(stream, 2)
            penalised = critic.steps % self.config.r1_every == 0
            metrics = yield Turn("discriminator", self.discriminator_loss, batch, z, eps, u, penalised=penalised)
            if self.config.clip:
                clip_(critic.module.parameters(), self.config.clip)  # w <- clip(w, -c, c)
            if self.config.augment == "ada":
                self.p.copy_(next_p(self.p, metrics["sign of real scores"], stream.batch_size))
        yield Turn(
            "generator", self.generator_loss, self.latents(stream), batch.condition, self._augmentation(stream, 1)
        )

    @property
    def batches(self) -> int:
        return self.config.critic_steps

    def critic_steps(self, generator_steps: int) -> int:
        """n_critic of a round; the warm-up is that of the authors' code (WassersteinGAN, main.py)."""
        warming = generator_steps < 25 or generator_steps % 500 == 0
        return self.config.critic_warmup if warming and self.config.critic_warmup else self.config.critic_steps

    def discriminator_loss(self, batch: Batch, z: Tensor, eps: Tensor, u: Tensor | None, penalised: bool) -> Loss:
        """The discriminator's objective with its penalties; ``eps`` (n,) and ``u`` (n, 2, draws) are uniform."""
        c = self.condition.check(batch.condition, self)
        real = self.inward(batch.x)
        x, fake = self._augmented(real, u, 0), self._augmented(self.generate(z, c), u, 1)
        on_real, on_fake = self.score(x, c), self.score(fake, c)
        loss = self.objective.discriminator(on_real, on_fake)
        metrics: Metrics = accuracy(self.objective, on_real, on_fake)
        if self.config.augment == "ada":
            metrics["sign of real scores"] = on_real.sign().mean()
        if self.config.gradient_penalty:
            metrics["penalty"] = gradient_penalty(lambda x: self.score(x, c), x, fake, eps)
            loss = loss + self.config.gradient_penalty * metrics["penalty"]
        if self.config.r1 and penalised:
            metrics["r1"] = r1(lambda x: self.score(self._augmented(x, u, 0), c), real)
            loss = loss + self.config.r1_every * self.config.r1 * metrics["r1"]
        return loss, metrics

    def generator_loss(self, z: Tensor, condition: Tensor | None, u: Tensor | None) -> Loss:
        """The generator's objective; ``u`` is uniform with shape (n, 1, draws)."""
        c = self.condition.check(condition, self)
        return self.objective.generator(self.score(self._augmented(self.generate(z, c), u, 0), c)), {}

    def score(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """D's score as the objective takes it, with shape (n,)."""
        output: DiscriminatorOutput = self.discriminator(x, condition)
        return self.objective.score(output.score)

    def _augmentation(self, stream: TrainingStream, times: int) -> Tensor | None:
        return None if self.config.augment == "none" else stream.uniform(times, DRAWS)

    def _augmented(self, x: Tensor, u: Tensor | None, i: int) -> Tensor:
        return x if u is None else augment(x, u[:, i], self.p, self.config.augment)
