"""Image-to-image translation by diffusion: an image is drawn from p(x | source) by a network that sees the source.

Palette: C. Saharia, W. Chan, H. Chang, C. Lee, J. Ho, T. Salimans, D. Fleet, M. Norouzi, 2022, arXiv:2111.05826; for
super-resolution SR3: Saharia, Ho, Chan, Salimans, Fleet & Norouzi, 2021, arXiv:2104.07636. The source, enlarged to the
image's size, is concatenated with the noisy image. The difference from the source in place of the image: SRDiff, Li et
al., 2021, arXiv:2104.14951; Whang et al., Deblurring via Stochastic Refinement, 2021, arXiv:2112.02475. Large images:
:mod:`genwerk.diffusion.windows`.

Done differently: the loss counts pixels that the source knows, too, which are put back at every step of sampling; the
network is not told the noise level alone but the time step, and samples take a few steps of a fast sampler, as in DDPM
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import gcd

import torch
from torch import Tensor

from genwerk.core.abilities import last
from genwerk.core.batching import Cost, batches
from genwerk.core.degradation import Degradation, Holes, enlarged
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Loss, Player, Stage, TrainingStream, Turn, Turns, build
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.diffusion.parameterisation import Estimate
from genwerk.diffusion.samplers import Predict
from genwerk.diffusion.schedule import Level
from genwerk.diffusion.windows import Windows
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.diffusion import DiffusionConfig, DiffusionModel
from genwerk.families.translation import TranslatesPairs
from genwerk.nn.translation.unet import reflected


@dataclass(frozen=True, kw_only=True)
class PaletteConfig(Config):
    """Settings of a diffusion model of images given their sources."""

    degradation: Degradation = field(default_factory=Holes)
    """What turns an image into its source."""
    diffusion: Config = field(default_factory=DDPMConfig)
    """A diffusion family: its objective, network and sampling."""
    residual: bool = False
    """Whether the difference from the source is what is drawn, in units of its standard deviation, and not the
    image."""


class Palette(TranslatesPairs, config=PaletteConfig):
    """A diffusion model whose network sees the source beside the noisy image."""

    margin = None
    spread: Tensor
    """Standard deviation of pixels' differences from their sources, where there are any."""

    def __init__(self, config: PaletteConfig, spec: DataSpec) -> None:
        super().__init__(config, spec, config.degradation)
        self.config: PaletteConfig = config
        inner = config.diffusion
        if not isinstance(inner, DiffusionConfig) or inner.conditional or inner.context:
            raise BadInput("the diffusion model of a Palette is told the source alone; take one without a condition")
        network = inner.network.seeing(self.condition.shape[0])
        diffusion = build(replace(inner, network=network), spec)
        assert isinstance(diffusion, DiffusionModel)
        self.diffusion, self.multiple = diffusion, network.multiple
        self.register_buffer("spread", torch.tensor(1.0), persistent=config.residual)

    # --- training -----------------------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        """One, which counts by its end: of draws from a distribution the squared error says little."""
        return [Stage("training", rounds, self.turns, data=self.measured, judged=False)]

    def measured(self, data: Dataset) -> Dataset:
        """``data``, whose differences from the sources have their :attr:`spread` measured on some examples."""
        if self.config.residual:
            batch = data.subset(256).batch()
            difference = batch.x - self.shown(self.source(batch))
            self.spread.copy_(difference[difference != 0].square().mean().sqrt().nan_to_num(1.0))
        return data

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        batch = stream.next_batch()
        x, source = batch.x, self.condition.drawn(batch, stream)
        yield Turn("model", self.objective, x, source, stream.normal(*x.shape[1:]), stream.uniform())

    def objective(self, x: Tensor, source: Tensor, eps: Tensor, u: Tensor) -> Loss:
        """Equation 2: that of the diffusion model, whose network sees the source too."""
        return self.diffusion.objective(Batch(self.drawn(x, source)), eps, u, self.seen(source))

    def drawn(self, x: Tensor, source: Tensor) -> Tensor:
        """What the diffusion model draws in place of images ``x`` in [0, 1]: these, or differences as far spread."""
        return x if not self.config.residual else 0.5 + (x - self.shown(source)) / (4 * self.spread)

    def image(self, drawn: Tensor, source: Tensor) -> Tensor:
        """The images that were :meth:`drawn`."""
        return drawn if not self.config.residual else self.shown(source) + 4 * self.spread * (drawn - 0.5)

    def seen(self, source: Tensor) -> Tensor:
        """The source as the network sees it: of the image's size, in [-1, 1]."""
        return 2 * enlarged(source, self.scale) - 1

    # --- sampling -----------------------------------------------------------------------------------------------------

    def predictor(self, source: Tensor) -> Predict:
        """Estimates of noisy images with these sources, by windows as large as the training images, several at a time
        as memory allows; what a source knows is put back."""
        seen, model, cost = self.seen(source), self.diffusion, Cost()
        windows = Windows((seen.shape[2], seen.shape[3]), (self.spec.shape[1], self.spec.shape[2]))

        def predict(x: Tensor, level: Level) -> Estimate:
            def part(rows: slice) -> Tensor:
                some = range(rows.start, rows.stop)
                noisy, beside = windows.cut(x, some), windows.cut(seen, some)
                return model.estimate(model.output(noisy, level, None, beside), noisy, level).x0

            x0 = windows.blend(batches(part, len(x) * len(windows), x.device, cost=cost), x)
            image = self.degradation.kept(self.image(model.centred.inverse(x0), source), source)
            x0 = model.centred(self.drawn(image, source))
            return Estimate(x0, (x - level.alpha * x0) / level.sigma)

        return predict

    # --- abilities ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        """A draw of p(x | source); sides are reflected to a multiple of the network's squares, and cropped again."""
        values = self.checked(source)
        height, width = (self.scale * side for side in values.shape[2:])
        multiple = self.multiple // gcd(self.multiple, self.scale)
        values = reflected(values, -values.shape[2] % multiple, -values.shape[3] % multiple)
        noise, options = SeededNoise(len(values), seed, self.device), self.diffusion.options
        eps = noise.normal(self.spec.shape[0], *(self.scale * side for side in values.shape[2:]))
        levels = options.levels(self.diffusion.process)
        found = last(options.walk(self.predictor(values), options.start(eps, levels), levels, noise)).x
        made = self.degradation.kept(self.image(self.diffusion.centred.inverse(found), values), values)
        return made[..., :height, :width].clamp(0, 1)
