"""How to draw from a diffusion model: what a user may ask for, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from torch import Tensor

from genwerk.core.marks import Common, Needs
from genwerk.core.noise import Noise
from genwerk.core.options import SamplingOptions
from genwerk.diffusion.names import Final, SamplerName, Spacing, Variance
from genwerk.diffusion.samplers import SAMPLERS, UNSCALED, After, Frame, Predict, begin, denoise
from genwerk.diffusion.schedule import Level, Process, path, repaint


@dataclass(frozen=True, kw_only=True)
class Diffusion(SamplingOptions):
    """Sampler, levels and guidance."""

    sampler: Annotated[SamplerName, Common()] = "dpmpp2m"
    """How a step is taken; all but ddpm, euler-ancestral, dpmpp2m-sde (and ddim with an eta) depend on the first noise
    alone."""
    steps: Annotated[int, Common()] = 20
    """Number of steps, at most as many as in training."""
    spacing: Spacing | None = None
    """How the levels are spread; None is what suits the sampler."""
    within: Spacing | None = None
    """Spacing between whose ends the levels of karras and log-snr are spread; None is between those of training."""
    offset: int = 0
    """Training step at which the leading spacing ends."""
    final: Final = "clean"
    """Where the last step leads: to no noise at all, or to the first level of training."""
    eta: float = 0.0
    """Share of DDPM's fresh noise that ddim adds at each step, from 0 to 1."""
    variance: Variance = "small"
    """Variance of ddpm's fresh noise: that of the posterior (small), or of the step of the process (large), which is
    meant for the whole chain."""
    guidance: Annotated[float, Common()] = 1.0
    """Classifier-free guidance scale: up to 1 is the conditional output itself, 2 to 8 exaggerate the condition."""
    negative: Annotated[str | None, Common()] = None
    """Negative prompt: a label or text to guide away from; None is the null condition."""
    rescale: float = 0.0
    """How far guided outputs are brought back to the contrast of unguided ones, from 0 to 1 (0.7 is usual)."""
    resamples: Annotated[int, Needs("completes")] = 5
    """RePaint's resamplings: how often each jump is repeated, so that parts agree; 1 only restores the
    known values after every step."""
    jump: Annotated[int, Needs("completes")] = 1
    """RePaint's jump length in steps."""
    size: Annotated[str | None, Common()] = None
    """Width and height in pixels of the samples, as 96x64 or one number for both; None is as in training."""

    def __post_init__(self) -> None:
        if self.sides is not None and min(self.sides) < 1:
            raise ValueError(f"the size is {self.size}; a picture has 1 pixel or more each way")

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width that ``size`` says."""
        if self.size is None:
            return None
        sides = self.size.lower().split("x")
        if len(sides) > 2 or not all(side.isdigit() for side in sides):
            raise ValueError(
                f"the size is {self.size!r}; expected WIDTHxHEIGHT in pixels, such as 96x64, or one number"
            )
        return int(sides[-1]), int(sides[0])

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """A copy with ``changes``; another sampler also resets the levels, for what suits one does not suit another."""
        if changes.get("sampler", self.sampler) == self.sampler:
            return replace(self, **changes)
        return replace(self, **{"spacing": None, "within": None, "offset": 0, "final": "clean", **changes})

    def levels(self, process: Process, strength: float = 1.0) -> list[Level]:
        """The path that an example takes, entered where ``strength`` of the steps are left.

        As in diffusers: DPM-Solver++ and UniPC round times to whole ones, as in training; Euler's and Heun's samplers
        return x / alpha where some noise is left.
        """
        spacing = self.spacing or SAMPLERS[self.sampler].spacing
        *levels, end = path(
            process, self.steps, spacing, strength=strength, offset=self.offset, final=self.final, within=self.within
        )
        if self.sampler in UNSCALED:
            return [*levels, Level(end.t, 1.0, end.ratio)]
        if self.sampler in ("dpmpp2m", "dpmpp2m-sde", "unipc"):
            return [level._replace(t=float(round(level.t))) for level in (*levels, end)]
        return [*levels, end]

    @property
    def stochastic(self) -> bool:
        """Whether samples depend on more than the first noise."""
        return SAMPLERS[self.sampler].stochastic or self.eta > 0

    def start(self, eps: Tensor, levels: Sequence[Level]) -> Tensor:
        """x at the first of ``levels``, which is all noise, ``eps``."""
        return begin(self.sampler, eps, levels[0], self.within or self.spacing)

    def walk(
        self, predict: Predict, x: Tensor, levels: Sequence[Level], noise: Noise, after: After | None = None
    ) -> Iterator[Frame]:
        """Take ``x`` from the first of ``levels`` to the last (:func:`denoise`)."""
        return denoise(predict, x, levels, self.sampler, noise=noise, eta=self.eta, variance=self.variance, after=after)

    def completing(self, process: Process) -> list[Level]:
        """The path of a completion."""
        return repaint(self.levels(process), self.jump, self.resamples)
