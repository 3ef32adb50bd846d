"""Samplers: step functions from one noise level to the next, and the loop that walks a path with one of them.

All work on x = alpha x0 + sigma eps. In x / alpha, as EDM and k-diffusion write them, the updates are the same: there
the solution of the probability-flow equation moves by eps for every unit of sigma / alpha, so that DDIM, Euler, Heun
and PNDM are one formula (:func:`along`) with different means of eps.

DDPM: Ho et al. 2020, arXiv:2006.11239. DDIM: Song et al. 2021, arXiv:2010.02502. PNDM: Liu et al. 2022,
arXiv:2202.09778. Euler and Heun: Karras et al. 2022, arXiv:2206.00364. DPM-Solver++: Lu et al. 2022, arXiv:2211.01095.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import exp, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from genwerk.diffusion.names import SamplerName, Spacing, Variance
from genwerk.diffusion.parameterisation import Estimate
from genwerk.diffusion.schedule import Level
from genwerk.noise import Noise

Predict = Callable[[Tensor, Level], Estimate]
"""What x is made of at a level (never asked at a level without noise)."""
After = Callable[[Tensor, Level], Tensor]
"""A change to x once it has come to a level, such as putting back what is known of it."""

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the last estimates, newest first, by how many there are."""
STIFF = 10.0
"""Factor by which sigma / alpha may fall in a step of Heun's: beyond, the mean of its ends is not its middle."""

LONGEST = 10
"""Training steps in a stride from which DDPM's large variance makes noise: on CIFAR-10, strides of 10 give an FID of 46
instead of 11."""


class Frame(NamedTuple):
    """Where sampling stands."""

    x: Tensor
    """The example at ``level``."""
    x0: Tensor
    """What the last estimate took the finished example to be: worth watching long before x is."""
    level: Level
    """How noisy x is."""


class Seen(NamedTuple):
    """A level that was come to, and what was estimated there."""

    x: Tensor
    level: Level
    estimate: Estimate


class Step(NamedTuple):
    """All that a step may use: what was seen, newest first, where it leads, and where estimates and noise come from."""

    seen: Sequence[Seen]
    there: Level
    predict: Predict
    noise: Noise | None
    eta: float
    variance: Variance


class Sampler(NamedTuple):
    """A step function, with what the loop must know of it."""

    step: Callable[[Step], Tensor]
    spacing: Spacing
    """The spacing of levels that suits it."""
    memory: int = 1
    """How many estimates it uses."""


def along(x: Tensor, eps: Tensor, here: Level, there: Level) -> Tensor:
    """``x`` moved from ``here`` to ``there`` on the straight line, in x / alpha, on which its noise is ``eps``."""
    shrunk = there.alpha / here.alpha
    return shrunk * x + (there.sigma - shrunk * here.sigma) * eps


def renoised(x: Tensor, here: Level, there: Level, noise: Noise) -> Tensor:
    """``x`` at ``here`` with noise added until it stands at the noisier ``there``."""
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
    """DPM-Solver++(2M), algorithm 2; the first step, and one that ends without noise, are of first order."""
    (x, here, (x0, _)), there = s.seen[0], s.there
    h = there.log_snr - here.log_snr
    if len(s.seen) > 1 and there.sigma:
        before = s.seen[1]
        half = h / (2 * (here.log_snr - before.level.log_snr))
        x0 = x0 + half * (x0 - before.estimate.x0)
    return there.sigma / here.sigma * x + there.alpha * (1 - exp(-h)) * x0


SAMPLERS: dict[SamplerName, Sampler] = {
    "ddpm": Sampler(ddpm, "log-snr"),
    "ddim": Sampler(ddim, "log-snr"),
    "pndm": Sampler(pndm, "log-snr", memory=4),
    "euler": Sampler(euler, "log-snr"),
    "heun": Sampler(heun, "log-snr"),
    "dpmpp2m": Sampler(dpmpp2m, "log-snr", memory=2),
}


def posterior_std(here: Level, there: Level) -> float:
    """Standard deviation of q(x_there | x_here, x0), where ``there`` is the less noisy."""
    return there.sigma / here.sigma * sqrt(max(1 - (here.alpha / there.alpha) ** 2, 0))


def begin(sampler: SamplerName, eps: Tensor, level: Level, spacing: Spacing | None = None) -> Tensor:
    """What stands at ``level``, the first of a path, where nothing but its noise ``eps`` is known.

    As in diffusers, so that a seed gives the same picture: Euler's and Heun's samplers, unless their spacing is
    leading, take the noise to lie on data that are zero; all others take it for the whole.
    """
    return level.sigma * eps if sampler in ("euler", "heun") and spacing != "leading" else eps


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
    """Walk ``x``, which stands at the first level of ``path``, to the last, with a frame after every step.

    Where the next level is the noisier one (:func:`~genwerk.diffusion.schedule.repaint`), noise is added instead, and a
    sampler that remembers begins anew. ``noise`` is needed by those steps, by "ddpm", and by "ddim" with ``eta`` above
    0, and asked by nobody else. Steps are computed in float32, or in float64 where ``x`` is.
    """
    step, _, memory = SAMPLERS[sampler]
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
    seen: deque[Seen] = deque(maxlen=memory)

    def asked(x: Tensor, level: Level) -> Estimate:
        x0, eps = predict(x, level)
        return Estimate(x0.to(x.dtype), eps.to(x.dtype))

    def ahead(x: Tensor, level: Level) -> Estimate:
        return asked(x if after is None else after(x, level), level)

    x0 = x
    for here, there in pairwise(path):
        if there.sigma > here.sigma:
            assert noise is not None, "a path that goes up needs noise"
            x = renoised(x, here, there, noise)
            seen.clear()
        else:
            seen.appendleft(Seen(x, here, asked(x, here)))
            x0 = seen[0].estimate.x0
            x = step(Step(seen, there, ahead, noise, eta, variance))
        if after is not None:
            x = after(x, there)
        yield Frame(x, x0, there)


def invert(predict: Predict, x: Tensor, path: Sequence[Level], rounds: int = 3) -> Tensor:
    """The noise from which DDIM with eta 0 comes to ``x`` over ``path``, which leads down and ends at ``x``'s level.

    Every step up is the solution of the step down, found by ``rounds`` fixed-point iterations; with 1 it is the usual
    DDIM inversion, which takes the noise of the noisier level to be that seen at x.
    """
    x = x if x.dtype == torch.float64 else x.float()
    for here, there in pairwise(reversed(path)):
        up = x
        for _ in range(rounds):
            up = along(x, predict(up, there).eps.to(x.dtype), here, there)
        x = up
    return x


def _normal(noise: Noise | None, x: Tensor) -> Tensor:
    assert noise is not None, "a step that adds noise needs a source of it"
    return noise.normal(*x.shape[1:]).to(x)
