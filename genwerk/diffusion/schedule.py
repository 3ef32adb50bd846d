"""Noise schedules: the forward process of training, and the paths of noise levels on which sampling goes back.

At a level, x_t = alpha x0 + sigma eps with alpha² + sigma² = 1 (variance preserving). All that a sampler needs to know
about a step is in its two levels; no step guesses the time of its neighbour from a stride.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import cos, exp, inf, log, pi, sqrt
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwerk.core.component import Component
from genwerk.diffusion.names import Final, Spacing

BETA_MAX = 0.999
"""Greatest beta of the cosine schedule (Nichol & Dhariwal 2021)."""
RHO = 7.0
"""Exponent of Karras et al. 2022, equation 5."""
NOISIEST = -5.1
"""Log signal-to-noise ratio at which paths spaced by it begin, for below it nothing of the data is visible (the
clipping that Lu et al. 2022, arXiv:2211.01095, advise for the cosine schedule, which goes down to -10)."""


class Level(NamedTuple):
    """How noisy x is: x = alpha x0 + sigma eps."""

    t: float
    """Time on the scale of the training steps, from 0 (the least noise in training) to T - 1; -1 without noise."""
    alpha: float
    """Factor on the data."""
    sigma: float
    """Standard deviation of the noise."""

    @property
    def ratio(self) -> float:
        """sigma / alpha: the sigma of EDM and k-diffusion, where x / alpha is diffused."""
        return self.sigma / self.alpha

    @property
    def log_snr(self) -> float:
        """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio; infinite without noise."""
        return -log(self.ratio) if self.sigma else inf


CLEAN = Level(-1.0, 1.0, 0.0)
"""The end of every path that removes all noise."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Component):
    """Settings of how noise grows from step to step of training."""

    floor: ClassVar[float] = NOISIEST
    """Log signal-to-noise below which no step of sampling is spent that is placed by it."""

    @abstractmethod
    def alpha_bar(self, steps: int) -> Tensor:
        """Share of the data's variance that is left after each of ``steps`` steps, float64 with shape (steps,)."""


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule, kind="linear"):
    """The betas, the shares of variance replaced in each step, rise evenly (Ho et al. 2020, arXiv:2006.11239)."""

    beta_start: float = 1e-4
    """First beta."""
    beta_end: float = 0.02
    """Last beta."""

    def __post_init__(self) -> None:
        _check_betas(self.beta_start, self.beta_end)

    def alpha_bar(self, steps: int) -> Tensor:
        return torch.cumprod(1 - torch.linspace(self.beta_start, self.beta_end, steps, dtype=torch.float64), 0)


@dataclass(frozen=True, kw_only=True)
class ScaledLinear(Schedule, kind="scaled-linear"):
    """The square roots of the betas rise evenly (latent and Stable Diffusion)."""

    beta_start: float = 0.00085
    """First beta."""
    beta_end: float = 0.012
    """Last beta."""

    def __post_init__(self) -> None:
        _check_betas(self.beta_start, self.beta_end)

    def alpha_bar(self, steps: int) -> Tensor:
        ends = sqrt(self.beta_start), sqrt(self.beta_end)
        return torch.cumprod(1 - torch.linspace(*ends, steps, dtype=torch.float64).square(), 0)


def _check_betas(start: float, end: float) -> None:
    if not 0 < start <= end < 1:
        raise ValueError(f"the betas of the noising process go from {start} to {end}; they must rise between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule, kind="cosine"):
    """alpha_bar falls as cos² (Nichol & Dhariwal 2021, arXiv:2102.09672)."""

    def alpha_bar(self, steps: int) -> Tensor:
        left = [cos((i / steps + 0.008) / 1.008 * pi / 2) ** 2 for i in range(steps + 1)]
        betas = torch.tensor([min(1 - b / a, BETA_MAX) for a, b in pairwise(left)], dtype=torch.float64)
        return torch.cumprod(1 - betas, 0)


@dataclass(frozen=True, kw_only=True)
class Geometric(Schedule, kind="geometric"):
    """sigma / alpha rises by the same factor in each step (Karras et al. 2022, arXiv:2206.00364)."""

    floor: ClassVar[float] = -inf
    sigma_min: float = 0.002
    """First sigma / alpha."""
    sigma_max: float = 80.0
    """Last sigma / alpha."""

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"sigma / alpha goes from {self.sigma_min} to {self.sigma_max}; it must rise from above 0")

    def alpha_bar(self, steps: int) -> Tensor:
        return 1 / (1 + torch.from_numpy(np.geomspace(self.sigma_min, self.sigma_max, steps)).square())


@dataclass(frozen=True)
class Process:
    """The variance-preserving noising process of training: ``steps`` steps of a schedule."""

    schedule: Schedule = field(default_factory=Linear)
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a noising process has {self.steps} steps; it needs 1 or more, and 1000 are usual")

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of the data's variance that is left after each step, float64 with shape (T,)."""
        return self.schedule.alpha_bar(self.steps)

    def alpha_sigma(self, t: Tensor, dims: int = 4) -> tuple[Tensor, Tensor]:
        """alpha and sigma of whole times ``t`` with shape (n,): float32, each with shape (n, 1, ..., 1) of ``dims``."""
        alpha_bar = self.alpha_bar.to(t.device)[t].reshape(-1, *[1] * (dims - 1))
        return alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()

    def level(self, t: float) -> Level:
        """The level at time ``t`` from 0 to T - 1; between two training steps, sigma / alpha is interpolated."""
        return _level(t, float(np.interp(t, self._times, self._ratios)))

    def at_log_snr(self, log_snr: float) -> Level:
        """The level with this ``log_snr``; its time is interpolated in the logarithm."""
        return _level(float(np.interp(-log_snr, np.log(self._ratios), self._times)), exp(-log_snr))

    @cached_property
    def _ratios(self) -> NDArray[np.float64]:
        """sigma / alpha at every training step, rising."""
        alpha_bar = self.alpha_bar.numpy()
        ratios: NDArray[np.float64] = np.sqrt((1 - alpha_bar) / alpha_bar)
        return ratios

    @cached_property
    def _times(self) -> NDArray[np.float64]:
        return np.arange(self.steps, dtype=np.float64)


def path(
    process: Process,
    steps: int,
    spacing: Spacing = "log-snr",
    *,
    strength: float = 1.0,
    offset: int = 0,
    final: Final = "clean",
    within: Spacing | None = None,
) -> list[Level]:
    """The levels that sampling goes through: ``steps`` + 1 of them, noisiest first, of which the last is the clean end.

    Spacings in time: "leading", whole strides from ``offset`` up; "inner", those of one step more, without the lowest
    (DPM-Solver's "leading" in diffusers); "trailing", equal strides from T down, less one;
    "linspace", equal strides from T - 1 to 0, not rounded; "even", equal strides from T - 1 of which the last, that
    would come to 0, leads to the clean end. In noise: "karras", equal strides of (sigma / alpha)^(1/7) (Karras et al.
    2022, arXiv:2206.00364); "log-snr", equal strides of lambda (Lu et al. 2022, arXiv:2206.00927); both between the
    first and the last time of the spacing ``within``, or else all of training's. As many steps as training had are
    always those of training.

    ``strength`` below 1 enters later, at an image noised to the first level left: int(``steps`` ``strength``) steps
    remain. ``final`` is where the last step leads: to no noise at all, or to the first level of training ("first").
    """
    if not 1 <= steps <= process.steps:
        raise ValueError(f"sampling was asked for in {steps} steps; the model takes from 1 to {process.steps}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; it lies between 0 (the image as it is) and 1 (nothing of it left)")
    if steps == process.steps:
        levels = [process.level(t) for t in reversed(range(steps))]
    elif spacing in ("karras", "log-snr"):
        ends = None if within is None else _times(process.steps, steps, within, offset)
        levels = [process.at_log_snr(log_snr) for log_snr in _log_snrs(process, steps, spacing, ends)]
    else:
        levels = [process.level(t) for t in _times(process.steps, steps, spacing, offset)]
    end = CLEAN if final == "clean" else process.level(0)
    return [*levels, end][steps - int(steps * strength) :]


def repaint(levels: list[Level], jump: int, resamples: int) -> list[Level]:
    """The path that repeats every ``jump`` steps of ``levels`` ``resamples`` times, adding the noise back in between.

    What is filled in thus comes to agree with what is known (Lugmayr et al., RePaint, 2022, arXiv:2201.09865). Noise is
    added back at once, which has the same distribution as step by step.
    """
    if min(jump, resamples) < 1:
        raise ValueError(f"jump is {jump} and resamples {resamples}; RePaint needs 1 of each or more")
    walked = levels[:1]
    for first in range(0, len(levels) - 1, jump):
        there = levels[first + 1 : first + jump + 1]
        walked += there + (resamples - 1) * [levels[first], *there]
    return walked


def _level(t: float, ratio: float) -> Level:
    alpha = 1 / sqrt(1 + ratio**2)
    return Level(t, alpha, ratio * alpha)


def _times(training: int, steps: int, spacing: Spacing, offset: int) -> list[float]:
    """Times that are equally far apart, falling."""
    if spacing in ("leading", "inner"):
        first = int(spacing == "inner")
        stride = training // (steps + first)
        if not 0 <= offset < training - (steps - 1 + first) * stride:
            raise ValueError(
                f"{steps} steps of {stride} with an offset of {offset} do not fit into {training} training steps; "
                f"take fewer steps, or another spacing than {spacing}"
            )
        return [float((i + first) * stride + offset) for i in reversed(range(steps))]
    if spacing == "trailing":
        return [float(round(training * i / steps) - 1) for i in range(steps, 0, -1)]
    if spacing == "even":
        return [float(round(i * ((training - 1) / steps))) for i in range(steps, 0, -1)]
    return [(training - 1) * i / max(steps - 1, 1) for i in reversed(range(steps))] if steps > 1 else [training - 1.0]


def _log_snrs(process: Process, steps: int, spacing: Spacing, ends: list[float] | None) -> list[float]:
    """Log signal-to-noise ratios, rising, from :data:`NOISIEST` or training's last level to its first, or between the
    times ``ends``."""
    low, high = (process.level(t).log_snr for t in ((process.steps - 1, 0) if ends is None else (ends[0], ends[-1])))
    low = max(low, process.schedule.floor)
    shares = np.linspace(0, 1, steps)
    if spacing == "log-snr":
        return list(low + shares * (high - low))
    first, last = exp(-low / RHO), exp(-high / RHO)
    return list(-RHO * np.log(first + shares * (last - first)))
