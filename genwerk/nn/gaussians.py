"""Weighted multivariate Gaussians: densities, moments, conditionals; pure functions of their tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import hardshrink

from genwerk.core.errors import BadInput

Covariance = Literal["full", "tied", "diagonal", "spherical"]
"""A matrix for every component, one matrix for all, variances for every component, or one variance for each."""

FAINT = 1e-30
"""Responsibility, relative to an example's greatest, that counts as none."""
NIL = 1e-100
"""Size of a matrix entry that counts as zero; products of fainter ones are denormal numbers, which slow arithmetic."""
EMPTY = 1e-9
"""Share of the examples below which a component is dropped."""


def factor_shape(kind: Covariance, k: int, d: int) -> tuple[int, ...]:
    """Shape of the covariances of ``k`` Gaussians in ``d`` dimensions, and of :attr:`Gaussians.factor`."""
    return {"full": (k, d, d), "tied": (d, d), "diagonal": (k, d), "spherical": (k, 1)}[kind]


def free_parameters(kind: Covariance, k: int, d: int) -> int:
    """Free parameters of weights, means and covariances."""
    covariances = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diagonal": k * d, "spherical": k}[kind]
    return k - 1 + k * d + covariances


@dataclass(frozen=True)
class Gaussians:
    """``k`` weighted Gaussians in ``d`` dimensions, seen through noise of variance ``blur`` that is integrated out."""

    kind: Covariance
    weight: Tensor
    """Shares with shape (k,), positive, summing to 1."""
    mean: Tensor
    """With shape (k, d)."""
    factor: Tensor
    """Lower Cholesky factors (full, tied) or standard deviations, with the shape that :func:`factor_shape` gives."""
    blur: float = 0.0

    @cached_property
    def whitener(self) -> Tensor:
        """Inverse of ``factor``, transposed where it is a matrix."""
        if self.kind in ("diagonal", "spherical"):
            return self.factor.reciprocal()
        eye = torch.eye(self.mean.shape[1], dtype=self.factor.dtype, device=self.factor.device)
        inverse: Tensor = torch.linalg.solve_triangular(self.factor, eye.expand_as(self.factor), upper=False)
        return hardshrink(inverse.mT.contiguous(), NIL)

    @cached_property
    def offset(self) -> Tensor:
        """All of log weight + log density that depends neither on the example nor on the mean, with shape (k,)."""
        k, d = self.mean.shape
        if self.kind in ("full", "tied"):
            log_det, trace = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1), self.whitener.square().sum((-2, -1))
        else:
            std = self.factor.expand(k, d)
            log_det, trace = std.log().sum(1), std.pow(-2).sum(1)
        return self.weight.log() - log_det - (d * log(2 * pi) + self.blur * trace) / 2

    @cached_property
    def affine(self) -> Tensor:
        """What takes (v, 1) to whitened residuals of full components, with shape (k, d + 1, d)."""
        return torch.cat([self.whitener, -self.mean[:, None] @ self.whitener], 1)

    @cached_property
    def coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        """What 1, the residuals and the squares of :meth:`residuals` are multiplied by in :meth:`log_joint`."""
        k, d = self.mean.shape
        if self.kind == "tied":
            mean, precision = self.mean @ self.whitener, self.mean.new_ones(k, 1)
        else:
            mean, precision = self.mean, self.whitener.square()
        scaled = mean * precision
        if self.kind == "spherical":
            precision = precision * d
        return self.offset - (mean * scaled).sum(1) / 2, scaled.mT, precision.mT / -2

    def residuals(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """``v`` (n, d) as the E step sees it, and its squares.

        Full: whitened about every mean (k, n, d), and their sums of squares (n, k). Tied: whitened (n, d), and their
        sums of squares (n, 1). Otherwise ``v`` itself, and its squares (n, d) or their means (n, 1).
        """
        match self.kind:
            case "full":
                y = torch.cat([v, v.new_ones(len(v), 1)], 1) @ self.affine
                return y, torch.linalg.vector_norm(y, dim=2).square().mT
            case "tied":
                y = v @ self.whitener
                return y, torch.linalg.vector_norm(y, dim=1, keepdim=True).square()
            case "diagonal":
                return v, v.square()
            case "spherical":
                return v, torch.linalg.vector_norm(v, dim=1, keepdim=True).square() / v.shape[1]

    def log_joint(self, v: Tensor) -> Tensor:
        """log weight + log density of every component: ``v`` (n, d) to (n, k)."""
        return self._log_joint(*self.residuals(v))

    def _log_joint(self, y: Tensor, square: Tensor) -> Tensor:
        if self.kind == "full":
            return self.offset - square / 2
        constant, linear, quadratic = self.coefficients
        return torch.addmm(constant, y, linear).addmm(square, quadratic)

    def moments(self, v: Tensor, r: Tensor | None = None) -> dict[str, Tensor]:
        """The E step: sums over examples ``v`` (n, d) of their log-density and of the moments that the M step needs.

        These are responsibilities ``r`` (n, k; None computes them) times 1, times the residuals and times their
        squares or products; a tied covariance needs the products without responsibilities.
        """
        y, square = self.residuals(v)
        joint = self._log_joint(y, square)
        top = joint.amax(1, keepdim=True)
        shares = torch.threshold((joint - top).clamp_min_(log(FAINT) - 1).exp_(), FAINT, 0.0)
        total = shares.sum(1, keepdim=True)
        r = shares / total if r is None else r
        match self.kind:
            case "full":
                first, second = map(torch.stack, zip(*map(weighted_moments, y, r.unbind(1)), strict=True))
            case "tied":
                first, second = r.mT @ y, y.mT @ y
            case _:
                first, second = r.mT @ y, r.mT @ square
        return {"log_p": (top + total.log()).sum(), "weight": r.sum(0), "first": first, "second": second}

    def maximised(self, weight: Tensor, first: Tensor, second: Tensor, ridge: float) -> Gaussians:
        """The M step: the Gaussians that fit the mean moments best, with ``ridge`` added to their variances.

        A component that no example is left to (a share below EMPTY) is dropped.
        """
        used = weight > EMPTY
        weight = weight[used]
        first = first[used] / weight[:, None]
        match self.kind:
            case "full":
                factor = self.factor[used]
                mean = self.mean[used] + torch.einsum("kde,ke->kd", factor, first)
                whitened = second[used] / weight[:, None, None] - first[:, :, None] * first[:, None, :]
                covariance = factor @ whitened @ factor.mT
            case "tied":
                mean = first @ self.factor.mT
                covariance = self.factor @ (second - (first * weight[:, None]).mT @ first) @ self.factor.mT
            case "diagonal":
                mean, covariance = first, second[used] / weight[:, None] - first.square()
            case "spherical":
                mean = first
                covariance = second[used] / weight[:, None] - first.square().mean(1, keepdim=True)
        factor = factorise(self.kind, covariance, ridge + self.blur)
        return Gaussians(self.kind, weight / weight.sum(), mean, factor, self.blur)

    def given(self, v: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Gaussians]:
        """The distribution of the others given the entries ``v[:, known]`` (n, d); ``known`` is boolean, (d,).

        Returns the components' posterior log-weights (n, k, not normalised), their conditional means (n, k, missing)
        and the conditional covariances, as Gaussians around zero.
        """
        seen, gone = known.nonzero().squeeze(1), (~known).nonzero().squeeze(1)
        v, mean, there = v[:, seen], self.mean[:, seen], self.mean[:, gone]
        if self.kind in ("diagonal", "spherical"):
            std = self.factor.expand_as(self.mean)
            marginal = Gaussians("diagonal", self.weight, mean, std[:, seen], self.blur)
            rest = Gaussians("diagonal", self.weight, torch.zeros_like(there), std[:, gone])
            return marginal.log_joint(v), there.expand(len(v), -1, -1), rest
        # The factor's rows in the order (seen, gone), made lower triangular again: [[A, 0], [B, C]]. A is the factor of
        # the marginal covariance, B A^-1 the regression of what is missing on what is seen, C the conditional factor.
        m, k, d = len(seen), *self.mean.shape
        triangle = torch.linalg.qr(self.factor[..., torch.cat([seen, gone]), :].mT)[1].mT
        triangle = (triangle * triangle.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]).expand(k, d, d)
        marginal = Gaussians("full", self.weight, mean, triangle[:, :m, :m], self.blur)
        expected = there + torch.einsum("kne,kde->nkd", marginal.residuals(v)[0], triangle[:, m:, :m])
        rest = Gaussians("full", self.weight, torch.zeros_like(there), triangle[:, m:, m:])
        return marginal.log_joint(v), expected, rest

    def deviate(self, component: Tensor, eps: Tensor) -> Tensor:
        """Standard normal ``eps`` (n, d) brought to the covariances of the chosen ``component`` (n,)."""
        match self.kind:
            case "tied":
                return eps @ self.factor.mT
            case "full":
                out = torch.empty_like(eps)
                for k, factor in enumerate(self.factor):
                    rows = component == k
                    out[rows] = eps[rows] @ factor.mT
                return out
            case _:
                return eps * self.factor[component]


def weighted_moments(y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of ``y`` (n, d) and of its outer products with weights ``r`` (n,), of which many may be zero."""
    rows = r.nonzero().squeeze(1)
    y, r = y[rows], r[rows]
    return r @ y, (y * r[:, None]).mT @ y


def standard(kind: Covariance, k: int, d: int, blur: float = 0.0, device: torch.device | None = None) -> Gaussians:
    """``k`` standard normals in ``d`` dimensions, of equal weight."""
    shape = factor_shape(kind, k, d)
    one = torch.ones((), dtype=torch.float64, device=device)
    factor = torch.eye(d).to(one).expand(shape) if kind in ("full", "tied") else one.expand(shape)
    return Gaussians(kind, one.expand(k) / k, one.new_zeros(k, d), factor, blur)


def factorise(kind: Covariance, covariance: Tensor, ridge: float) -> Tensor:
    """Cholesky factors, or standard deviations, of covariances (or variances) with ``ridge`` added."""
    if kind in ("diagonal", "spherical"):
        variance = covariance.clamp_min(0) + ridge
        singular = not bool((variance > 0).all())
        factor = variance.sqrt()
    else:
        eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
        factor, failed = torch.linalg.cholesky_ex(covariance + ridge * eye)
        singular = bool(failed.any())
    if singular:
        raise BadInput(
            f"a {kind} covariance became singular with a ridge of {ridge:g}; add more with ‹model.ridge› 1e-4, "
            "or ask for fewer components"
        )
    return hardshrink(factor, NIL)


def choose(log_weight: Tensor, u: Tensor) -> Tensor:
    """Components drawn by ``u`` (n, m), uniform on [0, 1), from weights (n, k) given by their logarithms."""
    sums = log_weight.softmax(1).cumsum(1)
    return torch.searchsorted(sums / sums[:, -1:], u, right=True)
