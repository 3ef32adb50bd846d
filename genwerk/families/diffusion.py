"""What every diffusion model shares: a network that separates data from noise at any level, and all uses of it.

A family gives the objective, and the meaning of the network's output. Sampling removes noise along a path of levels;
the same path, entered later, edits an image (Meng et al., SDEdit, 2022, arXiv:2108.01073), with known pixels restored
completes one (Lugmayr et al., RePaint, 2022, arXiv:2201.09865), and backwards finds an image's noise (Song et al.,
DDIM, 2021, arXiv:2010.02502).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from genwerk.core.abilities import (
    Completes,
    Completion,
    Denoises,
    Encodes,
    HasLatentPrior,
    last,
)
from genwerk.core.batching import Cost, bounded
from genwerk.core.condition import Condition, Label, choose
from genwerk.core.errors import Unsupported
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.noise import Noise, Seed, SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import Batch, DataSpec
from genwerk.diffusion.guidance import guide
from genwerk.diffusion.parameterisation import Estimate, clamped, noised
from genwerk.diffusion.samplers import Predict, invert
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Level, Process
from genwerk.nn.diffusion import Denoiser, UNetConfig
from genwerk.nn.units import Centred


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(Config):
    """Settings of a diffusion model's network, and its default sampling options."""

    conditional: bool = False
    """Whether the network is conditioned on the label."""
    context: int = 0
    """Channels of the vectors that the network attends to, where a larger model gives it such; 0 for none."""
    condition_dropout: float = 0.1
    """Fraction of the training examples with the null condition, so that samples can be guided."""
    network: Denoiser = field(default_factory=UNetConfig)
    """Layers of the network."""
    sampling: Diffusion = field(default_factory=Diffusion)
    """Default sampling options."""

    def __post_init__(self) -> None:
        if not 0 <= self.condition_dropout < 1:
            raise ValueError(
                f"condition_dropout is {self.condition_dropout}; it is a share of the examples, at least 0 and below 1"
            )
        if self.sampling.stochastic and not self.context:
            raise ValueError(
                "a model's own sampling depends on the first noise alone, so that samples can be found again; take "
                f"another sampler here, and ask for {self.sampling.sampler} or an eta when samples are drawn"
            )


@dataclass(frozen=True, eq=False)
class Context(Condition):
    """Vectors that a network attends to: floats with shape (n, l, channels), or what a larger model encodes as such."""

    name = "context"
    channels: int
    of_encoder: Condition | None = None
    """What ``encoder`` encodes."""
    encoder: Callable[[Tensor], Tensor] | None = None

    @property
    def noun(self) -> str:
        return self.name if self.of_encoder is None else self.of_encoder.noun

    @property
    def expected(self) -> str:
        return f"vectors with shape (n, l, {self.channels})"

    def valid(self, values: Tensor) -> bool:
        if values.is_floating_point() or self.of_encoder is None:
            return values.dim() == 3 and values.shape[2] == self.channels
        return self.of_encoder.valid(values)

    def encoded(self, values: Tensor) -> Tensor:
        return values if values.is_floating_point() or self.encoder is None else self.encoder(values)

    def parse(self, typed: Sequence[str]) -> Tensor:
        return super().parse(typed) if self.of_encoder is None else self.of_encoder.parse(typed)

    def null(self, values: Tensor) -> Tensor:
        return super().null(values) if self.of_encoder is None else self.of_encoder.null(values)


class DiffusionModel(Model, Denoises, HasLatentPrior, Encodes, Completes):
    """x_t = alpha x_0 + sigma eps, and a network that estimates both parts."""

    options: Diffusion
    lossless = True
    process: Process
    """How noise is added in training."""

    def __init__(self, config: DiffusionConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: DiffusionConfig = config
        if not (spec.modality.is_grid or spec.modality.has_columns) or spec.nominal:
            raise ValueError(f"a diffusion model describes images and tables of numbers, and these data are {spec}")
        self.condition = Context(config.context) if config.context else choose(config.conditional, spec, Label)
        self.options, self.latent_shape = config.sampling, spec.shape
        self.centred = Centred(spec)
        self.network = config.network.build(spec.shape, self.condition.classes, config.context)

    @property
    def extra_channels(self) -> int:
        """Channels of the network's input besides those of x."""
        return self.config.network.conditioning_channels

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        """One, at the beginning of which the scale of tables and latents is taken from all of the data."""
        if self.extra_channels:
            raise ValueError(
                f"a network that sees {self.extra_channels} extra channels is loaded and not trained; set "
                "extra_channels to 0"
            )
        return [Stage("training", rounds, self.turns, data=self.centred.fitted)]

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        if (condition := self.condition.of(batch)) is not None:
            dropped = self.condition.dropped(condition, stream.uniform(), self.config.condition_dropout)
            batch = replace(batch, condition=self.condition.encoded(dropped))
        yield Turn("model", self.objective, batch, stream.normal(*batch.x.shape[1:]), stream.uniform())

    @abstractmethod
    def objective(self, batch: Batch, eps: Tensor, u: Tensor, extra: Tensor | None = None) -> Loss:
        """The loss where the data are noised by ``eps``, at levels chosen by ``u``, uniform with shape (n,).

        The condition is the null condition where it was dropped; ``extra`` are the network's extra input channels.
        """

    # --- what the network says ----------------------------------------------------------------------------------------

    @abstractmethod
    def output(self, x: Tensor, level: Level, condition: Tensor | None, extra: Tensor | None = None) -> Tensor:
        """The network's output for examples at one ``level``, with ``extra`` channels beside them."""

    @abstractmethod
    def estimate(self, output: Tensor, x: Tensor, level: Level) -> Estimate:
        """The estimate of data and noise that an ``output`` means."""

    def predictor(
        self,
        condition: Tensor | None,
        options: Diffusion,
        negative: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Predict:
        """Estimates of x at a level, guided as ``options`` say: towards the condition, away from ``negative``.

        ``extra`` are the extra input channels of a network that has some, with shape (n, extra_channels, ...).
        """
        network = self._seeing(extra, Cost())
        c = None if condition is None else self.condition.encoded(condition)
        output: Callable[[Tensor, Level], Tensor] = lambda x, level: network(x, level, c)  # noqa: E731
        if condition is not None and c is not None and options.guidance > 1:
            away = self.condition.encoded(self.condition.null(condition[:1]) if negative is None else negative)
            output = guide(network, c, away.expand_as(c), options.guidance, options.rescale)

        def predict(x: Tensor, level: Level) -> Estimate:
            found = self.estimate(output(x, level), x, level)
            return clamped(found, x, level.alpha, level.sigma) if self.centred.columns.range else found

        return predict

    def _seeing(self, extra: Tensor | None, cost: Cost) -> Callable[[Tensor, Level, Tensor | None], Tensor]:
        """The network's output on x and ``extra``, which is repeated where x has several times as many rows.

        As many rows go through the network at once as memory allows, unless gradients are needed.
        """
        if self.extra_channels != (0 if extra is None else extra.shape[1]):
            raise ValueError(
                f"this network has {self.extra_channels} extra input channels, as inpainting networks do; give it a "
                "picture to complete"
            )

        def output(x: Tensor, level: Level, condition: Tensor | None) -> Tensor:
            beside = None if extra is None else extra.repeat(len(x) // len(extra), 1, 1, 1)
            return bounded(lambda x, c, extra: self.output(x, level, c, extra), x, condition, beside, cost=cost)

        return output

    # --- abilities ----------------------------------------------------------------------------------------------------

    @property
    def row_cost(self) -> int:
        """Of the frames that a sampler looks back on; what the network takes is bounded at every call of it."""
        return 64 * self.spec.dims

    @torch.no_grad()
    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        noise, options = SeededNoise(n, seed, self.device), self.options.chosen(options)
        yield from self.walk(self.first_noise(noise, options.sides), noise, condition, options, self.negative(options))

    def first_noise(self, noise: Noise, sides: tuple[int, int] | None = None) -> Tensor:
        """The noise that samples begin with, of the data's size or with other ``sides`` (height, width)."""
        if sides is not None and not self.spec.modality.has_pixels:
            raise Unsupported(f"only images have a size that can be chosen, and these data are {self.spec}")
        return noise.normal(*(self.spec.shape if sides is None else (self.spec.shape[0], *sides)))

    def negative(self, options: Diffusion) -> Tensor | None:
        """The condition to guide away from, with one row."""
        return None if options.negative is None else self.condition.parse([options.negative]).to(self.device)

    def walk(
        self,
        z: Tensor,
        noise: Noise,
        condition: Tensor | None = None,
        options: Diffusion | None = None,
        negative: Tensor | None = None,
        extra: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Frames from the noise ``z``: the estimate of the example at each step, and then the example."""
        options = options or self.options
        predict = self.predictor(self.optional(condition), options, negative, extra)
        levels = options.levels(self.process)
        for frame in options.walk(predict, options.start(z, levels), levels, noise):
            yield self.centred.inverse(frame.x if frame.level is levels[-1] else frame.x0)

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return SeededNoise(n, seed, self.device).normal(*self.spec.shape)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return last(self.walk(z, SeededNoise(len(z), 0, z.device), condition))

    @torch.no_grad()
    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The noise from which the model's own sampler, unguided, reaches ``x``, as nearly as ``invert`` finds it."""
        options = replace(self.options, guidance=1.0)
        predict, levels = self.predictor(self.optional(condition), options), options.levels(self.process)
        start = invert(predict, self.centred(x), levels, options.sampler)
        return start / options.start(start.new_ones(()), levels)

    @torch.no_grad()
    def sdedit(
        self,
        x: Tensor,
        strength: float,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Tensor:
        noise, options = SeededNoise(len(x), seed, self.device), self.options.chosen(options)
        return self.denoise_from(x, strength, noise, condition, options, self.negative(options))

    def denoise_from(
        self,
        x: Tensor,
        strength: float,
        noise: Noise,
        condition: Tensor | None = None,
        options: Diffusion | None = None,
        negative: Tensor | None = None,
    ) -> Tensor:
        """:meth:`sdedit` with the numbers that ``noise`` has next."""
        options = options or self.options
        levels = options.levels(self.process, strength)
        if len(levels) == 1:
            return x.clone()
        start = noised(self.centred(x), noise.normal(*x.shape[1:]), levels[0].alpha, levels[0].sigma)
        predict = self.predictor(self.optional(condition), options, negative)
        return self.centred.inverse(last(options.walk(predict, start, levels, noise)).x)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        k: int = 1,
        condition: Tensor | None = None,
        options: Options = None,
        *,
        seed: Seed | None = None,
    ) -> Completion:
        """Completions without a likelihood; the known values are restored at the end."""
        observed, mask, condition = repeated(x, known, k, condition)
        noise, options = SeededNoise(len(observed), Seeds.of(seed) * k, self.device), self.options.chosen(options)
        filled = self.fill(observed, mask, noise, condition, options, self.negative(options))
        completed = torch.where(mask, observed, filled.to(x.dtype))
        return Completion(completed.unflatten(0, (len(x), k)), None)

    def fill(
        self,
        x: Tensor,
        known: Tensor,
        noise: Noise,
        condition: Tensor | None = None,
        options: Diffusion | None = None,
        negative: Tensor | None = None,
    ) -> Tensor:
        """Examples that are nearly ``x`` where ``known``, which has its shape, by the numbers that ``noise`` has next.

        After every step the known part is restored, as noisy as the rest.
        """
        options = options or self.options
        y, eps = self.centred(x), noise.normal(*x.shape[1:])
        levels, predict = options.completing(self.process), self.predictor(self.optional(condition), options, negative)

        def held(z: Tensor, level: Level) -> Tensor:
            if level is levels[-1]:
                return torch.where(known, y, z)
            fresh = eps if options.resamples == 1 else noise.normal(*x.shape[1:])
            return torch.where(known, noised(y, fresh, level.alpha, level.sigma), z)

        return self.centred.inverse(last(options.walk(predict, options.start(eps, levels), levels, noise, held)).x)

    def network_output(self, x: Tensor, t: Tensor, condition: Tensor | None, extra: Tensor | None = None) -> Tensor:
        """What the network makes of x and ``extra`` channels beside it, at times ``t`` with shape (n,)."""
        x = x if extra is None else torch.cat([x, extra], dim=1)
        output: Tensor = self.network(x, t, *self.network_condition(condition))
        return output

    def network_condition(self, condition: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Context and label for the network, of which there is at most one."""
        return (condition, None) if self.config.context else (None, condition if self.condition.classes else None)

    def optional(self, condition: Tensor | None) -> Tensor | None:
        """``condition``, checked; None samples unconditionally, where the network can."""
        return None if condition is None and not self.config.context else self.condition.check(condition, self)


def repeated(x: Tensor, known: Tensor, k: int, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Examples, mask and condition with each row ``k`` times; a ValueError unless the mask is of booleans."""
    if known.dtype != torch.bool:
        raise ValueError(f"known is {known.dtype}; expected booleans, True where a value is observed")
    c = None if condition is None else condition.repeat_interleave(k, 0)
    return x.repeat_interleave(k, 0), known.expand_as(x).repeat_interleave(k, 0), c
