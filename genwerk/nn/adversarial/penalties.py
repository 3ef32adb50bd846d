"""Regularisers that keep a discriminator smooth.

Each is a pure function of its arguments. Gradients are of single examples: their norm is taken over all but the first
dimension. They are computed in single precision, for the second derivative needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

TINY = 1e-12
"""Added under the square root of a norm, whose derivative at zero is none."""


@contextmanager
def differentiable_twice(device: torch.device) -> Iterator[None]:
    """While inside, networks on ``device`` run as they are written and in single precision: torch.compile's have no
    second derivative, and bfloat16 has too few digits for it."""
    with torch.compiler.set_stance("force_eager"), torch.autocast(device.type, enabled=False):
        yield


def score_gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of each example's score with respect to the example, with shape (n, d), differentiable in turn."""
    with torch.enable_grad(), differentiable_twice(x.device):
        x = (x.detach().float() if x.dtype == torch.bfloat16 else x.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def gradient_penalty(score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, eps: Tensor) -> Tensor:
    """Mean of (norm of the gradient - 1)^2 at points between real and fake examples, one point a pair.

    Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028, algorithm 1, lines 6 and 7; ``eps``
    is uniform on [0, 1) with shape (n,).
    """
    eps = eps.view(-1, *[1] * (real.dim() - 1))
    gradient = score_gradient(score, eps * real + (1 - eps) * fake)
    return ((gradient.square().sum(1) + TINY).sqrt() - 1).square().mean()


def r1(score: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the mean squared norm of the gradient at real examples; times gamma it is the paper's penalty.

    Mescheder, Geiger & Nowozin, Which Training Methods for GANs do actually Converge?, 2018, arXiv:1801.04406,
    equation 9. The gradient is of the raw score, by the examples as the data hold them: augmentation belongs to
    ``score``, as in the code of StyleGAN2-ADA.
    """
    return 0.5 * score_gradient(score, real).square().sum(1).mean()


def path_lengths(fake: Tensor, w: Tensor, y: Tensor) -> Tensor:
    """Norm of J^T y for each example, J being the derivative of ``fake`` (n, c, h, w) by styles ``w`` (n, layers, d).

    Karras et al., Analyzing and Improving the Image Quality of StyleGAN, 2020, arXiv:1912.04958, equation 4: ``y`` is
    standard normal with the shape of ``fake``, divided by the square root of its pixels here. The norm is over one
    layer's styles, averaged (in the square) over layers. Compute it and ``fake`` inside :func:`differentiable_twice`.
    """
    y = y / (fake.shape[2] * fake.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((fake * y).sum(), w, create_graph=True)
    return (gradient.square().sum(2).mean(1) + TINY).sqrt()


@torch.no_grad()
def clip_(parameters: Iterable[Tensor], c: float) -> None:
    """Bring every weight into [-c, c] (Wasserstein GAN, algorithm 1, line 7)."""
    for p in parameters:
        p.clamp_(-c, c)


def couples_examples(network: nn.Module) -> bool:
    """Whether an example's output depends on the others of its batch, so that its own gradient means nothing."""
    return any(isinstance(m, _BatchNorm) for m in network.modules())
