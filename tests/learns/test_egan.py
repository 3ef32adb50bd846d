"""The evolutionary GAN finds every mode of a ring, in seconds."""

from __future__ import annotations

from learning import taught

from genwerk.data.toys import TOYS, Gaussians
from genwerk.families.egan import EGAN
from genwerk.metrics.modes import mode_coverage


def test_all_modes_of_the_ring_are_found() -> None:
    """After 600 generations seed 0 has measured 8 modes and 33 % of samples of high quality; untrained it has none."""
    model, ring = taught("egan", "ring", 600), TOYS["ring"]
    assert isinstance(model, EGAN)
    assert isinstance(ring, Gaussians)
    found = mode_coverage(model.sample(2_500, seed=0), ring.centres, ring.std)
    assert found.modes == 8
    assert found.quality > 0.15
    assert model.wins.sum() == 600
    assert (model.wins > 0).all(), "every mutation wins now and then"
