"""Conformance of invertible transforms, checked by autograd, in float64, with weights that are not zero.

Zero-initialised networks hide wrong signs and wrong masks, for then every log-determinant is 0: the public libraries'
worst errors passed tests that way. :func:`check_transform` is for anybody who writes a transform of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from genwerk.nn.flows.transform import Transform


class Broken(AssertionError):
    """A transform does not do what it says."""


@dataclass(frozen=True)
class Conformance:
    """What was measured of a transform that conforms."""

    round_trip: float
    """Greatest error of a value after going there and back."""
    log_det: float
    """Greatest difference from the log-determinant of autograd's Jacobian, in nats."""
    depends: Tensor
    """Which value of z (rows) depends on which of x (columns), boolean with shape (d, d): seen in some example."""


def check_transform(
    transform: Transform,
    x: Tensor,
    context: Tensor | None = None,
    *,
    perturb: float = 0.3,
    seed: int = 0,
    tolerance: float = 1e-6,
    depends: Tensor | None = None,
) -> Conformance:
    """Test a copy of ``transform`` at examples ``x`` with shape (n, *shape), n of 2 or more.

    Every parameter is moved by normal noise of deviation ``perturb`` first. :class:`Broken` is raised where

    * a log-determinant is not one number an example, differs from autograd's by more than ``tolerance``, or does not
      cancel with the inverse's; or the inverse does not return ``x``;
    * an example depends on the others of its batch;
    * a call changes the transform, or its stored weights do not restore it;
    * a value of z depends on one of x that ``depends`` (boolean with shape (d, d), z by x) does not allow, or does not
      depend on one that it demands.
    """
    proof = deepcopy(transform).double().eval()
    x, context = x.double(), None if context is None else context.double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in proof.parameters():
            p.add_(perturb * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    before = {name: value.clone() for name, value in proof.state_dict().items()}
    with torch.no_grad():
        z, there = proof(x, context)
        back, again = proof.inverse(z, context)
    if there.shape != (len(x),) or again.shape != (len(x),):
        raise Broken(f"log-determinants have shapes {tuple(there.shape)} and {tuple(again.shape)}, not one an example")
    round_trip = float((back - x).abs().amax())
    _require(round_trip, tolerance, "there and back again a value is off")
    _require(
        float((there + again).abs().amax()), tolerance, "the log-determinants there and back do not cancel, but are off"
    )
    for name, value in proof.state_dict().items():
        if not torch.equal(value, before[name]):
            raise Broken(f"going through the transform changed {name}")
    _check_stored(proof, before, x, context, z)

    seen, worst = torch.zeros(x[0].numel(), x[0].numel(), dtype=torch.bool), 0.0
    for i in range(len(x)):
        c = None if context is None else context[i : i + 1]
        with torch.no_grad():
            alone = proof(x[i : i + 1], c)[0]
        _require(float((alone[0] - z[i]).abs().amax()), tolerance, "an example depends on the others of its batch, by")

        def flat(row: Tensor, c: Tensor | None = c) -> Tensor:
            through: Tensor = proof(row.view(1, *x.shape[1:]), c)[0]
            return through.flatten()

        jacobian = torch.autograd.functional.jacobian(flat, x[i].flatten())
        seen |= jacobian.abs() > 1e-12
        sign_and_size = torch.linalg.slogdet(jacobian)
        worst = max(worst, abs(float(sign_and_size.logabsdet - there[i])))
    _require(worst, tolerance, "a log-determinant differs from autograd's by")
    if depends is not None and not torch.equal(seen, depends):
        row, column = (seen != depends).nonzero()[0].tolist()
        does = "depends" if seen[row, column] else "does not depend"
        raise Broken(f"value {row} of z {does} on value {column} of x")
    return Conformance(round_trip, worst, seen)


def mass(log_prob: Callable[[Tensor], Tensor], low: float = -8.0, high: float = 8.0, steps: int = 801) -> float:
    """The integral of exp(log_prob) over [low, high]^2 by the trapezoidal rule: 1 for a density that lies inside."""
    line = torch.linspace(low, high, steps, dtype=torch.float64)
    with torch.no_grad():
        density = torch.cat([log_prob(rows).exp() for rows in torch.cartesian_prod(line, line).split(65_536)])
    return float(torch.trapezoid(torch.trapezoid(density.view(steps, steps).double(), line), line))


def _check_stored(proof: Transform, state: dict[str, Tensor], x: Tensor, context: Tensor | None, z: Tensor) -> None:
    """Other weights are put in, then the stored ones back: z must be as before, from other examples on."""
    stranger = deepcopy(proof)
    with torch.no_grad():
        for p in stranger.parameters():
            p.add_(1)
        stranger.load_state_dict(state)
        stranger(x.flip(0) + 1, None if context is None else context.flip(0))
        found = stranger(x, context)[0]
    if not torch.equal(found, z):
        raise Broken("stored and loaded, the transform is another")


def _require(error: float, tolerance: float, what: str) -> None:
    if not error <= tolerance:
        raise Broken(f"{what} {error:.3g}")
