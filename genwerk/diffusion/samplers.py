"""Samplers: step functions from one noise level to the next, and the loop that walks a path with one of them.

All work on x = alpha x0 + sigma eps. In x / alpha, as EDM and k-diffusion write them, the updates are the same: there
the solution of the probability-flow equation moves by eps for every unit of sigma / alpha, so that DDIM, Euler, Heun
and PNDM are one formula (:func:`along`) with different means of eps.

DDPM: Ho et al. 2020, arXiv:2006.11239. DDIM: Song et al. 2021, arXiv:2010.02502. PNDM: Liu et al. 2022,
arXiv:2202.09778. Euler and Heun: Karras et al. 2022, arXiv:2206.00364. DPM-Solver++, and its form as an SDE: Lu et al.
2022, arXiv:2211.01095. UniPC: Zhao et al. 2023, arXiv:2302.04867. Euler ancestral: k-diffusion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import exp, expm1, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from genwerk.core.noise import Noise
from genwerk.diffusion.names import SamplerName, Spacing, Variance
from genwerk.diffusion.parameterisation import Estimate
from genwerk.diffusion.schedule import Level

Predict = Callable[[Tensor, Level], Estimate]
"""The estimate of x at a level, which has some noise."""
After = Callable[[Tensor, Level], Tensor]
"""A change to x once it has reached a level, such as restoring the pixels that are known."""

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the last estimates, newest first, by how many there are."""
STIFF = 10.0
"""Factor by which sigma / alpha may fall in a step of Heun's: beyond, the mean of its ends is far from its middle."""

SHORT = 15
"""Steps of a path below which DPM-Solver++ takes the last in first order, as diffusers does."""
LONGEST = 10
"""Training steps in a stride from which DDPM's large variance leaves noise: on CIFAR-10, strides of 10 give an FID of
46 instead of 11."""


class Frame(NamedTuple):
    """Where sampling stands."""

    x: Tensor
    """The example at ``level``."""
    x0: Tensor
    """The last estimate of the finished example: recognisable long before x is."""
    level: Level
    """How noisy x is."""


class Seen(NamedTuple):
    """A level that was reached, and the estimate there."""

    x: Tensor
    level: Level
    estimate: Estimate


class Step(NamedTuple):
    """All that a step may use: what was seen, newest first, the next level, and the sources of estimates and noise."""

    seen: Sequence[Seen]
    there: Level
    predict: Predict
    noise: Noise | None = None
    eta: float = 0.0
    variance: Variance = "small"
    left: int = 0
    """Steps that follow."""
    of: int = 0
    """Steps of the whole path."""


class Sampler(NamedTuple):
    """A step function, with what the loop must know about it."""

    step: Callable[[Step], Tensor]
    spacing: Spacing
    """The spacing of levels that suits it."""
    memory: int = 1
    """How many estimates it uses."""
    correct: Callable[[Sequence[Seen]], Tensor] | None = None
    """The corrector: where the newest x should have been, given the estimate there."""
    stochastic: bool = False
    """Whether every step adds fresh noise."""


def along(x: Tensor, eps: Tensor, here: Level, there: Level) -> Tensor:
    """``x`` moved from ``here`` to ``there`` on the straight line, in x / alpha, on which its noise is ``eps``."""
    shrunk = there.alpha / here.alpha
    return shrunk * x + (there.sigma - shrunk * here.sigma) * eps


def renoised(x: Tensor, here: Level, there: Level, noise: Noise) -> Tensor:
    """``x`` at ``here`` with noise added up to the noisier level ``there``."""
    kept = there.alpha / here.alpha
    return kept * x + sqrt(max(there.sigma**2 - (kept * here.sigma) ** 2, 0)) * _normal(noise, x)


def ddim(s: Step) -> Tensor:
    """Equation 12: deterministic with eta 0, ancestral with eta 1."""
    (x, here, (x0, eps)), there = s.seen[0], s.there
    fresh = s.eta * posterior_std(here, there)
    if not fresh:
        return along(x, eps, here, there)
    return there.alpha * x0 + sqrt(there.sigma**2 - fresh**2) * eps + fresh * _normal(s.noise, x)


def ddpm(s: Step) -> Tensor:
    """A draw of q(x_there | x_here, x0), which is DDIM with eta 1; "large" is the variance of q(x_here | x_there)."""
    (x, here, (x0, eps)), there = s.seen[0], s.there
    small = posterior_std(here, there)
    if not small:
        return along(x, eps, here, there)
    fresh = small if s.variance == "small" else small * here.sigma / there.sigma
    return there.alpha * x0 + sqrt(there.sigma**2 - small**2) * eps + fresh * _normal(s.noise, x)


def pndm(s: Step) -> Tensor:
    """Pseudo linear multistep as Stable Diffusion runs it: Heun's step first, then ever more estimates, up to four.

    Equations 9 and 12; the weights are those of equal strides, whatever the path.
    """
    x, here, (_, eps) = s.seen[0]
    if len(s.seen) == 1:
        return trapezoid(s)
    weights = ADAMS_BASHFORTH[len(s.seen) - 1]
    mean = sum((w * seen.estimate.eps for w, seen in zip(weights, s.seen, strict=True)), torch.zeros_like(eps))
    return along(x, mean, here, s.there)


def euler(s: Step) -> Tensor:
    """Euler's step of the probability-flow equation, which is DDIM's with eta 0."""
    x, here, (_, eps) = s.seen[0]
    return along(x, eps, here, s.there)


def euler_ancestral(s: Step) -> Tensor:
    """Euler's step to less noise than the next level has, and fresh noise for the rest: DDIM with eta 1, but in
    x / alpha."""
    x, here, (_, eps) = s.seen[0]
    below = s.there.ratio**2 / here.ratio
    x = along(x, eps, here, Level(s.there.t, s.there.alpha, s.there.alpha * below))
    fresh = s.there.alpha * sqrt(s.there.ratio**2 - below**2)
    return x + fresh * _normal(s.noise, x) if fresh else x


def trapezoid(s: Step) -> Tensor:
    """Euler's step, taken again with the mean noise of both its ends, unless there is none at the far one."""
    x, here, (_, eps) = s.seen[0]
    first = along(x, eps, here, s.there)
    return along(x, (eps + s.predict(first, s.there).eps) / 2, here, s.there) if s.there.sigma else first


def heun(s: Step) -> Tensor:
    """Karras et al., algorithm 1 without churn: Euler's step, taken again with the mean noise of both its ends.

    Done differently: it is not taken again where it is so long that the mean would throw x far off (``STIFF``), as
    happens in very few steps.
    """
    return euler(s) if s.seen[0].level.ratio > STIFF * s.there.ratio else trapezoid(s)


def dpmpp2m(s: Step) -> Tensor:
    """DPM-Solver++(2M), algorithm 2; the first step, and the last where it ends without noise or there are few, are of
    first order."""
    (x, here, _), there = s.seen[0], s.there
    h = there.log_snr - here.log_snr
    return there.sigma / here.sigma * x + there.alpha * (1 - exp(-h)) * extrapolated(s)


def dpmpp2m_sde(s: Step) -> Tensor:
    """SDE-DPM-Solver++(2M): as :func:`dpmpp2m`, with as much fresh noise as the reverse diffusion adds."""
    (x, here, _), there = s.seen[0], s.there
    h = there.log_snr - here.log_snr
    mean = there.sigma / here.sigma * exp(-h) * x + there.alpha * (1 - exp(-2 * h)) * extrapolated(s)
    return mean + there.sigma * sqrt(1 - exp(-2 * h)) * _normal(s.noise, x) if there.sigma else mean


def extrapolated(s: Step) -> Tensor:
    """x0 in the middle of a step of DPM-Solver++, from the last two estimates."""
    (_, here, (x0, _)), there = s.seen[0], s.there
    if len(s.seen) == 1 or not there.sigma or (s.left == 0 and s.of < SHORT):
        return x0
    before = s.seen[1]
    half = (there.log_snr - here.log_snr) / (2 * (here.log_snr - before.level.log_snr))
    return x0 + half * (x0 - before.estimate.x0)


def unipc(s: Step) -> Tensor:
    """UniP-2 of x0 with B(h) = e^h - 1 (bh2), equation 9; the first and the last step are of first order."""
    (x, here, (x0, _)), there = s.seen[0], s.there
    h = there.log_snr - here.log_snr
    if len(s.seen) > 1 and s.left and there.sigma:
        before = s.seen[1]
        share = h / (here.log_snr - before.level.log_snr)
        x0 = x0 + share / 2 * (x0 - before.estimate.x0)
    return there.sigma / here.sigma * x - there.alpha * expm1(-h) * x0


def unic(seen: Sequence[Seen]) -> Tensor:
    """UniC, equation 3: the step that led here, with the estimate that was made here counted in."""
    (_, here, (x0, _)), (x, before, (old, _)) = seen[0], seen[1]
    h = here.log_snr - before.log_snr
    shift = expm1(-h)
    step = here.sigma / before.sigma * x - here.alpha * shift * old
    if len(seen) == 2:
        return step - here.alpha * shift * 0.5 * (x0 - old)
    # two conditions of order on the weights a and b of the older and of the newest difference, with r < 0 and 1 the
    # places of these estimates: a + b = first, r a + b = second
    r = (seen[2].level.log_snr - before.log_snr) / h
    phi = shift / -h - 1
    first, second = phi / shift, 2 * (phi / -h - 0.5) / shift
    a = (second - first) / (r - 1)
    return step - here.alpha * shift * (a / r * (seen[2].estimate.x0 - old) + (first - a) * (x0 - old))


SAMPLERS: dict[SamplerName, Sampler] = {
    "ddpm": Sampler(ddpm, "log-snr", stochastic=True),
    "ddim": Sampler(ddim, "log-snr"),
    "pndm": Sampler(pndm, "log-snr", memory=4),
    "euler": Sampler(euler, "log-snr"),
    "euler-ancestral": Sampler(euler_ancestral, "log-snr", stochastic=True),
    "heun": Sampler(heun, "log-snr"),
    "dpmpp2m": Sampler(dpmpp2m, "log-snr", memory=2),
    "dpmpp2m-sde": Sampler(dpmpp2m_sde, "log-snr", memory=2, stochastic=True),
    "unipc": Sampler(unipc, "log-snr", memory=3, correct=unic),
}


def posterior_std(here: Level, there: Level) -> float:
    """Standard deviation of q(x_there | x_here, x0), where ``there`` is the less noisy."""
    return there.sigma / here.sigma * sqrt(max(1 - (here.alpha / there.alpha) ** 2, 0))


UNSCALED = frozenset[SamplerName]({"euler", "euler-ancestral", "heun"})
"""Samplers that diffusers runs in x / alpha, and that begin and end there."""


def begin(sampler: SamplerName, eps: Tensor, level: Level, spacing: Spacing | None = None) -> Tensor:
    """x at ``level``, the first of a path, of nothing but the noise ``eps``.

    As in diffusers, so that a seed gives the same picture: for Euler's and Heun's samplers, unless their spacing is
    leading, it is the noise on data that are zero; for all others the noise itself.
    """
    return level.sigma * eps if sampler in UNSCALED and spacing != "leading" else eps


def denoise(
    predict: Predict,
    x: Tensor,
    path: Sequence[Level],
    sampler: SamplerName = "dpmpp2m",
    *,
    noise: Noise | None = None,
    eta: float = 0.0,
    variance: Variance = "small",
    after: After | None = None,
) -> Iterator[Frame]:
    """Take ``x`` from the first level of ``path`` to the last, with a frame after every step.

    Where the next level is the noisier one (:func:`repaint`), noise is added instead, and multistep samplers begin
    anew. ``noise`` is used by those steps, by stochastic samplers, and by "ddim" with ``eta`` above 0 alone. Steps are
    computed in float32, or in float64 where ``x`` is.
    """
    step, memory, correct = SAMPLERS[sampler].step, SAMPLERS[sampler].memory, SAMPLERS[sampler].correct
    if eta and sampler != "ddim":
        raise ValueError(f"eta is {eta}, which the sampler {sampler} does not know; take ddim, or leave eta at 0")
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is {eta}; it lies between 0 (no fresh noise) and 1 (as much as DDPM adds)")
    if variance == "large" and path[0].t - path[-1].t >= LONGEST * (len(path) - 1):
        raise ValueError(
            f"the large variance is that of the steps of training, and in strides of {LONGEST} of them or more it "
            f"leaves noise; take variance small, or more steps"
        )
    x = x if x.dtype == torch.float64 else x.float()
    seen, estimate = deque[Seen](maxlen=memory), _in_precision(predict)

    def ahead(x: Tensor, level: Level) -> Estimate:
        return estimate(x if after is None else after(x, level), level)

    x0, of = x, len(path) - 1
    for i, (here, there) in enumerate(pairwise(path)):
        if there.sigma > here.sigma:
            assert noise is not None, "a path that goes up needs noise"
            x = renoised(x, here, there, noise)
            seen.clear()
        else:
            seen.appendleft(Seen(x, here, estimate(x, here)))
            if correct is not None and len(seen) > 1:
                seen[0] = seen[0]._replace(x=correct(seen))
            x0 = seen[0].estimate.x0
            x = step(Step(seen, there, ahead, noise, eta, variance, of - 1 - i, of))
        if after is not None:
            x = after(x, there)
        yield Frame(x, x0, there)


SIGMA_DATA = 0.5
"""Standard deviation of data for which :func:`invert` is exact at once (EDM's, for images in [-1, 1])."""


def invert(
    predict: Predict, x: Tensor, path: Sequence[Level], sampler: SamplerName = "ddim", rounds: int = 4
) -> Tensor:
    """The noise from which a deterministic ``sampler`` reaches ``x`` over ``path``, which ends at ``x``'s level.

    x at all levels is guessed, at first by the usual DDIM inversion, which takes the noise of the noisier level to be
    that estimated at the less noisy. The guess is improved ``rounds`` times: every step is taken from the guess at its
    beginning, which is then corrected by how far the step missed the guess at its end, scaled as for Gaussian data, for
    which steps are linear. UniPC is inverted without its corrector.
    """
    x = x if x.dtype == torch.float64 else x.float()
    step, _, memory, _, stochastic = SAMPLERS[sampler]
    assert not stochastic, "what adds fresh noise cannot be inverted"

    estimate = _in_precision(predict)

    def spread(level: Level) -> float:
        return sqrt((SIGMA_DATA * level.alpha) ** 2 + level.sigma**2)

    stops = [x]
    for here, there in pairwise(reversed(path)):
        stops.insert(0, along(stops[0], estimate(stops[0], there).eps, here, there))
    for _ in range(rounds):
        seen: deque[Seen] = deque(maxlen=memory)
        came = []
        for i, (here, there) in enumerate(pairwise(path)):
            seen.appendleft(Seen(stops[i], here, estimate(stops[i], here)))
            came.append(step(Step(seen, there, estimate, left=len(path) - 2 - i, of=len(path) - 1)))
        for i in reversed(range(len(came))):
            stops[i] = stops[i] + (stops[i + 1] - came[i]) * (spread(path[i]) / spread(path[i + 1]))
    return stops[0]


def _in_precision(predict: Predict) -> Predict:
    """``predict`` with its estimates in the precision of x."""

    def estimate(x: Tensor, level: Level) -> Estimate:
        x0, eps = predict(x, level)
        return Estimate(x0.to(x.dtype), eps.to(x.dtype))

    return estimate


def _normal(noise: Noise | None, x: Tensor) -> Tensor:
    assert noise is not None, "a step that adds noise needs a source of it"
    return noise.normal(*x.shape[1:]).to(x)
