"""How much each dimension of a latent tells of the data: which are active.

Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2016, arXiv:1509.00519, section 5.2.
"""

from __future__ import annotations

from torch import Tensor

ACTIVE = 0.01
"""Variance above which a latent dimension is active."""


def activity(z: Tensor) -> Tensor:
    """The variance over examples of each dimension of their latents ``z`` with shape (n, ...), with shape (d,).

    For a VAE, whose latents are the means of its posterior, it is the paper's A_u.
    """
    return z.flatten(1).var(0, correction=0)


def active(variance: Tensor) -> list[int]:
    """The active dimensions by their :func:`activity`, the most active first."""
    order = variance.argsort(descending=True)
    return [int(d) for d in order if variance[d] > ACTIVE]
