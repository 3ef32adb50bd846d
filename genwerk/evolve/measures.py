"""How good a set of solutions is: distance from a front, and hypervolume, both of raw objectives.

pymoo's own display scales objectives to [0, 1] first; these do not.
"""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

EXACT = 5
"""Objectives up to which the hypervolume is exact; beyond, its time grows too fast."""
DIRECTIONS = 100_000
"""Directions by which the hypervolume is approximated (Rphi-FWE+, Deng & Zhang, 2019, as in moocore)."""


def igd(f: NDArray[np.float64], front: NDArray[np.float64]) -> float:
    """Inverted generational distance: the mean over points of ``front`` (p, m) of the Euclidean distance to the nearest
    of the solutions' objectives ``f`` (n, m)."""
    return float(moocore.igd(f, ref=front))


def hypervolume(f: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, str]:
    """The volume that objectives ``f`` (n, m) dominate within the point ``reference`` (m,), and how it was found.

    Exact up to :data:`EXACT` objectives, else approximated by :data:`DIRECTIONS` deterministic directions.
    """
    if f.shape[1] <= EXACT:
        return float(moocore.hypervolume(f, ref=reference)), "exact"
    return float(moocore.hv_approx(f, reference, nsamples=DIRECTIONS)), f"approximate, {DIRECTIONS:,} directions"


def reference_point(front: NDArray[np.float64]) -> NDArray[np.float64]:
    """The customary reference point of a front (p, m): its worst value of each objective and a tenth of the range."""
    nadir = front.max(axis=0)
    return nadir + 0.1 * (nadir - front.min(axis=0))
