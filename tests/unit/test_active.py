"""Which latent dimensions are active, with variances known beforehand."""

from __future__ import annotations

import torch

from genwerk.commands.latents import active_dimensions
from genwerk.metrics.activity import active, activity


def test_dimensions_whose_means_vary_are_active_the_most_first():
    z = torch.zeros(4, 5)
    z[:, 1] = torch.tensor([-1.0, 1, -1, 1])  # variance 1
    z[:, 3] = torch.tensor([-3.0, 3, -3, 3])  # variance 9
    z[:, 4] = torch.tensor([-0.1, 0.1, -0.1, 0.1])  # variance 0.01, which is not above it
    z[:, 2] += 7  # a constant
    variance = activity(z.double())
    torch.testing.assert_close(variance[:4], torch.tensor([0.0, 1, 0, 9], dtype=torch.float64))
    assert active(variance * 0.999) == [3, 1]
    found = active_dimensions(z)
    assert found.values["active"][:2] == [3, 1]
    assert len(found.values["activity"]) == 5
    assert "2 of 5" in active_dimensions(z[:, [0, 1, 2, 3, 0]]).shown[0].text


def test_codes_of_images_are_flattened():
    assert activity(torch.randn(6, 2, 3, 3)).shape == (18,)
