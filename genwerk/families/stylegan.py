"""StyleGAN: a generator steered by styles, one a layer, from coarse to fine.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948.
Path length regularisation and lazy penalties: Karras et al., 2020, arXiv:1912.04958. Adaptive augmentation: Karras et
al., 2020, arXiv:2006.06676. Progressive growing: Karras et al., 2018, arXiv:1710.10196.

Done differently: images need be neither square nor a power of two; growing is measured in rounds, so that it does not
depend on the number of processes, and keeps the optimisers' state; the mean of w starts as a plain mean; path lengths
are of the generator's whole batch; truncation acts at every layer. As there, samples and the distances measured on them
have fresh noise maps, and path lengths, latents and edits the model's fixed ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from genwerk.core.abilities import Styles
from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Metrics, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Noise, Seed, SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.adversarial import AdversarialConfig, AdversarialModel
from genwerk.nn.adversarial.augment import DRAWS, Augmentation, augment, next_p
from genwerk.nn.adversarial.objectives import NonSaturating, accuracy
from genwerk.nn.adversarial.output import DiscriminatorOutput
from genwerk.nn.adversarial.penalties import differentiable_twice, path_lengths, r1
from genwerk.nn.adversarial.stylegan import (
    Growth,
    MappingConfig,
    MappingNetwork,
    StyleDiscriminator,
    StyleGenerator,
    SynthesisConfig,
    SynthesisNetwork,
    double,
    fade,
    halve,
    mix_styles,
    sizes,
)

SMALLEST = 8
"""Smaller side in pixels that growing starts from, at least."""


@dataclass(frozen=True, kw_only=True)
class StyleGANConfig(AdversarialConfig):
    """Settings of StyleGAN; the defaults are the paper's, for faces of 1024 pixels."""

    latent: int = 512
    """Number of dimensions of z."""
    mapping: MappingConfig = field(default_factory=MappingConfig)
    """The network from z to w."""
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    """The network from w to an image, which the discriminator mirrors."""
    minibatch_group: int = 4
    """Group size of the minibatch standard deviation (within a micro-batch); 0 leaves it out."""
    style_mixing: float = 0.9
    """Chance that an image in training has its coarse styles from one z and its fine ones from another."""
    r1: float = 10.0
    """Weight gamma of the R1 penalty (half the squared gradient at real examples)."""
    r1_every: int = 1
    """Steps of the discriminator between R1 penalties, each of which then counts so many times as much."""
    path_length: float = 0.0
    """Weight of StyleGAN2's path length penalty."""
    path_every: int = 4
    """Steps of the generator between path length penalties, each of which then counts so many times as much."""
    augment: Augmentation = "none"
    """Augmentation of all that the discriminator sees: differentiable (diffaugment), or adaptive (ada)."""
    progressive: bool = False
    """Whether training starts with small images (8 pixels or a little more) and grows."""
    growing: float = 0.4
    """Fraction of the rounds spent growing: one part at the smallest size, two (fading in, staying) at every next."""
    mean_decay: float = 0.995
    """Decay per round of the moving mean of w; 1 tracks none."""
    truncation: float = 1.0
    """psi: styles are moved towards their mean, to this fraction of their distance; 1 leaves them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conditioning == "concatenate":
            raise BadInput("StyleGAN is conditioned on the label by projection; take ‹model.conditioning› project")
        if self.r1_every < 1 or self.path_every < 1:
            raise ValueError("r1_every and path_every count steps; they must be 1 or more")
        if not 0 <= self.style_mixing <= 1 or not 0 < self.growing < 1:
            raise ValueError(
                "style_mixing is a chance, from 0 to 1, and growing a fraction of the rounds, between 0 and 1"
            )
        if self.truncation != 1 and self.mean_decay == 1:
            raise BadInput("truncation needs the mean of w; take ‹model.mean_decay› 0.995")


class StyleGAN(AdversarialModel, Styles, config=StyleGANConfig):
    """z to w to an image, learned against a discriminator with the non-saturating objective and the R1 penalty."""

    grown: Tensor
    style_mean: Tensor
    style_rounds: Tensor
    path_mean: Tensor
    p: Tensor

    def __init__(self, config: StyleGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: StyleGANConfig = config
        if not spec.modality.has_pixels:
            raise ValueError(f"StyleGAN makes images, and these data are {spec}; the recipe gan makes tables")
        colours, height, width = spec.shape
        self.sizes = sizes(height, width)
        self.top = len(self.sizes) - 1
        large = [i for i, size in enumerate(self.sizes) if min(size) >= SMALLEST]
        self.first = large[0] if config.progressive and large else self.top
        widths, w = config.synthesis.widths(len(self.sizes)), config.mapping.width
        self.generator: StyleGenerator = StyleGenerator(
            MappingNetwork(config.latent, w, config.mapping.layers, self.condition.classes),
            SynthesisNetwork(colours, self.sizes, widths, w, self.first),
        )
        self.discriminator: StyleDiscriminator = StyleDiscriminator(
            colours, self.sizes, widths, self.first, config.minibatch_group, self.condition.classes
        )
        self.objective = NonSaturating()
        self.style_sizes = tuple(min(size) for size in self.generator.synthesis.layer_sizes)
        self.register_buffer("grown", torch.tensor(float(self.first)))  # 1.3: the size after 1, three tenths faded in
        self.register_buffer("style_mean", torch.zeros(w))
        self.register_buffer("style_rounds", torch.tensor(0))
        self.register_buffer("path_mean", torch.tensor(0.0))
        self.register_buffer("p", torch.tensor(0.0 if config.augment == "ada" else 1.0))

    # --- training -----------------------------------------------------------------------------------------------------

    @property
    def couples(self) -> Sequence[str]:
        return ("the minibatch standard deviation",) if self.config.minibatch_group else ()

    def stages(self, rounds: int) -> Sequence[Stage]:
        """One stage a size where the networks grow, the last of which goes on to the end."""
        levels = range(self.first, self.top + 1)
        part = int(rounds * self.config.growing / (2 * len(levels) - 1))
        lengths = [part, *[2 * part] * (len(levels) - 2), rounds - part * (2 * len(levels) - 3)]
        if len(levels) == 1 or not part:
            return [Stage("train", rounds, self.turns)]
        names = ["x".join(map(str, self.sizes[level])) for level in levels]
        return [
            Stage(name, length, partial(self.turns, level=level, fading=part), continues=level > self.first)
            for name, length, level in zip(names, lengths, levels, strict=True)
        ]

    def turns(
        self, stream: TrainingStream, players: Mapping[str, Player], level: int | None = None, fading: int = 1
    ) -> Turns:
        """One step of each player at size ``level`` (None: the finest), which is faded in over ``fading`` rounds."""
        config, discriminator, generator = self.config, players["discriminator"], players["generator"]
        level = self.top if level is None else level
        growth = self.growth_at(level)
        batch = stream.next_batch()
        penalised = discriminator.steps % config.r1_every == 0
        u = self._augmentation(stream, 2)
        real = batch, *self.generator_inputs(stream, level), u
        metrics = yield Turn("discriminator", self.discriminator_loss, *real, penalised=penalised, growth=growth)
        if config.augment == "ada":
            self.p.copy_(next_p(self.p, metrics["sign of real scores"], stream.batch_size))
        measured = config.path_length > 0 and generator.steps % config.path_every == 0
        y = stream.normal(self.spec.shape[0], *self.sizes[level]) if measured else None
        u = self._augmentation(stream, 1)
        fake = *self.generator_inputs(stream, level), batch.condition, u, y
        metrics = yield Turn("generator", self.generator_loss, *fake, growth=growth)
        self._track(metrics)
        self.grown.add_(1 / fading).clamp_(max=level)

    def generator_inputs(self, noise: Noise, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the generator: two latents (n, 2, latent), the layer (n,) from which styles are the second's,
        and noise (n, noise_size)."""
        z = torch.stack([self.latents(noise), self.latents(noise)], dim=1)
        layers, u = 2 * level + 2, noise.uniform(2)
        crossover = 1 + (u[:, 1] * (layers - 1)).long()
        crossover = torch.where(u[:, 0] < self.config.style_mixing, crossover, layers)
        return z, crossover, noise.normal(self.generator.synthesis.noise_size)

    def generate_with_styles(
        self, z: Tensor, crossover: Tensor, noise: Tensor, condition: Tensor | None, growth: Growth
    ) -> tuple[Tensor, Tensor]:
        """Images of :meth:`generator_inputs` in the networks' units, and their styles with shape (n, layers, d)."""
        network = self.generator
        c = None if condition is None else condition.repeat_interleave(2)
        w1, w2 = network.mapping(z.flatten(0, 1), c).unflatten(0, (-1, 2)).unbind(1)
        w = mix_styles(network.spread(w1), network.spread(w2), crossover)
        return self.squash(network.synthesis(w, network.synthesis.maps(noise), growth)), w

    def discriminator_loss(
        self,
        batch: Batch,
        z: Tensor,
        crossover: Tensor,
        noise: Tensor,
        u: Tensor | None,
        penalised: bool,
        growth: Growth,
    ) -> Loss:
        """The discriminator's objective and the R1 penalty; ``u`` is uniform with shape (n, 2, draws)."""
        c = self.condition.check(batch.condition, self)
        real = self.shrunk(self.inward(batch.x), growth)
        fake, _ = self.generate_with_styles(z, crossover, noise, c, growth)

        def score(x: Tensor, i: int) -> Tensor:
            output: DiscriminatorOutput = self.discriminator(self._augmented(x, u, i), c, growth)
            return output.score

        on_real, on_fake = score(real, 0), score(fake, 1)
        loss = self.objective.discriminator(on_real, on_fake)
        metrics: Metrics = accuracy(self.objective, on_real, on_fake)
        if self.config.augment == "ada":
            metrics["sign of real scores"] = on_real.sign().mean()
        if self.config.r1 and penalised:
            metrics["r1"] = r1(lambda x: score(x, 0), real)
            loss = loss + self.config.r1_every * self.config.r1 * metrics["r1"]
        return loss, metrics

    def generator_loss(
        self,
        z: Tensor,
        crossover: Tensor,
        noise: Tensor,
        condition: Tensor | None,
        u: Tensor | None,
        y: Tensor | None,
        growth: Growth,
    ) -> Loss:
        """The generator's objective, with the path length penalty where its directions ``y`` are given."""
        c = self.condition.check(condition, self)
        with nullcontext() if y is None else differentiable_twice(z.device):
            fake, w = self.generate_with_styles(z, crossover, noise, c, growth)
            lengths = None if y is None else path_lengths(fake, w, y)
        metrics: Metrics = {"mean style": w[:, 0].to(self.style_mean.dtype).mean(0)}
        loss = self.objective.generator(self.discriminator(self._augmented(fake, u, 0), c, growth).score)
        if lengths is not None:
            metrics |= {"path length": lengths.mean(), "path penalty": (lengths - self.path_mean).square().mean()}
            loss = loss + self.config.path_every * self.config.path_length * metrics["path penalty"]
        return loss, metrics

    def _augmentation(self, stream: TrainingStream, times: int) -> Tensor | None:
        return None if self.config.augment == "none" else stream.uniform(times, DRAWS)

    def _augmented(self, x: Tensor, u: Tensor | None, i: int) -> Tensor:
        return x if u is None else augment(x, u[:, i], self.p, self.config.augment)

    def _track(self, metrics: Metrics) -> None:
        """The moving means of w and of path lengths; that of w is the plain mean until this is the slower."""
        if self.config.mean_decay < 1:
            self.style_rounds += 1
            rate = (1 / self.style_rounds).clamp(min=1 - self.config.mean_decay)
            self.style_mean += rate * (metrics["mean style"] - self.style_mean)
        if "path length" in metrics:
            self.path_mean += 0.01 * (metrics["path length"] - self.path_mean)

    # --- growth -------------------------------------------------------------------------------------------------------

    def growth_at(self, level: int) -> Growth:
        """What is in use at size ``level``, as far as it is faded in."""
        return Growth(level, (self.grown - (level - 1)).clamp(0, 1) if level > self.first else None)

    def growth(self) -> Growth:
        """What is in use now."""
        return self.growth_at(int(self.grown.ceil()))

    def shrunk(self, x: Tensor, growth: Growth) -> Tensor:
        """Real images at the size in use, as sharp as it is faded in."""
        x = halve(x, self.top - growth.level)
        return x if growth.alpha is None else fade(double(halve(x)), x, growth.alpha)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def squash(self, raw: Tensor) -> Tensor:
        """The raw output as it is (there is no tanh), in single precision."""
        return raw.float() if raw.dtype == torch.bfloat16 else raw

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The image of each latent with the model's fixed noise; truncated where the settings say so."""
        return self.synthesise(self.map(z, condition))

    def realise(self, z: Tensor, condition: Tensor | None, noise: Noise) -> Tensor:
        """The image of each latent with noise maps of its own."""
        return self.synthesise(self.map(z, condition), self._maps(noise))

    def map(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        w: Tensor = self.generator.mapping(z, self.condition.check(condition, self))
        if self.config.truncation != 1:
            w = torch.lerp(self.mean_style(), w, self.config.truncation)
        return self.generator.spread(w)

    def mean_style(self) -> Tensor:
        if not self.style_rounds:
            raise BadInput("this StyleGAN has tracked no mean of w: train it first, with ‹model.mean_decay› below 1")
        return self.style_mean

    def draw_noise(self, n: int, *, seed: Seed | None = None) -> list[Tensor]:
        noise = SeededNoise(n, seed, self.device)
        self.latents(noise)  # a sample's latent is drawn first
        return self._maps(noise)

    def _maps(self, noise: Noise) -> list[Tensor]:
        synthesis = self.generator.synthesis
        return synthesis.maps(noise.normal(synthesis.noise_size))

    def synthesise(self, w: Tensor, noise: list[Tensor] | None = None) -> Tensor:
        growth = self.growth()
        fake = self.squash(self.generator.synthesis(w, noise, growth))
        return self.outward(double(fake, self.top - growth.level))

    @torch.no_grad()
    def judge(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The discriminator's raw score with shape (n,), higher for more real; examples are compared in their batch."""
        growth = self.growth()
        output = self.discriminator(self.shrunk(self.inward(x), growth), self.condition.check(condition, self), growth)
        score: Tensor = output.score
        return score
