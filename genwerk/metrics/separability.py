"""Linear separability of a latent space.

Karras, Laine & Aila, A Style-Based Generator Architecture for Generative Adversarial Networks, 2019, arXiv:1812.04948,
section 4.2: if attributes of an image lie along directions of a latent space, a hyperplane separates the latents with
an attribute from those without.

Done differently: latents are standardised by column before the hyperplane is fitted, so that spaces of another scale
are regularised alike; the attributes come from any classifier, each of whose classes counts as one attribute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Hyperplane:
    """Where ``latent @ normal + offset`` is positive, an attribute is present."""

    normal: Tensor
    """Unit vector with shape (d,)."""
    offset: float

    def side(self, latents: Tensor) -> Tensor:
        """Signed distance from the plane with shape (n,), for latents with shape (n, d)."""
        return latents @ self.normal + self.offset


@dataclass(frozen=True)
class Separability:
    """How well hyperplanes predict attributes of examples from their latents."""

    score: float
    """Two to the power of the summed entropies: 1 where every attribute is predicted; smaller is better."""
    entropies: tuple[float, ...]
    """Bits by which the side of the plane leaves each attribute unknown, H(attribute | side)."""


def linear_svm(latents: Tensor, present: Tensor) -> Hyperplane:
    """The hyperplane of a linear support vector machine between latents with shape (n, d), by boolean ``present``."""
    from sklearn.svm import LinearSVC

    with_it = int(present.sum())
    if not 0 < with_it < len(present):
        raise ValueError(
            f"{with_it} of {len(present)} examples have the attribute; a direction needs some with and some without"
        )
    z = latents.detach().double().cpu()
    mean, std = z.mean(0), z.std(0, correction=0)
    std = std.where(std > 0, 1.0)
    machine = LinearSVC(dual=False).fit(((z - mean) / std).numpy(), present.cpu().numpy())
    slope = torch.from_numpy(machine.coef_[0]) / std
    length = slope.norm()
    if not length > 0:
        return Hyperplane(torch.zeros_like(latents[0]), float(np.sign(machine.intercept_[0])))
    offset = (float(machine.intercept_[0]) - slope @ mean) / length
    return Hyperplane((slope / length).to(latents), offset.item())


def linear_separability(latents: Tensor, log_odds: Tensor, *, keep: float = 0.5) -> Separability:
    """2^(sum of H(attribute | side of its plane) in bits) over attributes.

    ``latents`` has shape (n, d); ``log_odds`` with shape (n, attributes) are a classifier's, positive where an
    attribute is present. For each attribute the ``keep`` most confident fraction of the examples counts (the paper's
    half of 200,000), on which the plane is also fitted, so n should be many times d. An attribute that all or none of
    these have leaves nothing unknown: 0 bits.
    """
    if len(latents) != len(log_odds):
        raise ValueError(
            f"there are {len(latents)} latents and {len(log_odds)} rows of log-odds; give one row a latent"
        )
    entropies = []
    for odds in log_odds.cpu().T:
        sure = odds.abs().argsort(descending=True, stable=True)[: max(1, round(keep * len(odds)))]
        z, present = latents.cpu()[sure], odds[sure] > 0
        predicted = present if present.all() or not present.any() else linear_svm(z, present).side(z) > 0
        entropies.append(conditional_entropy(present.numpy(), predicted.numpy()))
    return Separability(2.0 ** sum(entropies), tuple(entropies))


def conditional_entropy(of: NDArray[np.bool_], given: NDArray[np.bool_]) -> float:
    """H(of | given) in bits, of two boolean arrays of one length."""
    bits = 0.0
    for side in (False, True):
        here = of[given == side]
        for value in (False, True):
            share = float(np.mean(here == value)) if len(here) else 0.0
            bits -= len(here) / len(of) * share * (np.log2(share) if share else 0.0)
    return float(bits)


def one_against_rest(logits: Tensor) -> Tensor:
    """Log-odds of each class against all others together, from class logits with shape (n, classes)."""
    others = torch.stack(
        [logits[:, torch.arange(logits.shape[1]) != k].logsumexp(1) for k in range(logits.shape[1])], 1
    )
    return logits - others
