"""Path length against closed forms for linear generators, and its similarities against definitions written out."""

import numpy as np
import pytest
import torch
from torch import Tensor

from genwerk.metrics.features import Extractor
from genwerk.metrics.ppl import in_features, path_lengths, pixels, trimmed_mean
from genwerk.tasks import lerp, slerp


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).double().square().sum(1)


def test_a_line_through_a_linear_generator_has_one_speed():
    """G(z) = A z moves by A (b - a) epsilon, so that the length is |A (b - a)|^2 wherever it is taken."""
    weight, a, b = normal(7, 4, seed=1).double(), normal(50, 4, seed=2).double(), normal(50, 4, seed=3).double()
    truth = squared(a @ weight.T, b @ weight.T)
    for t in (torch.zeros(50), torch.rand(50, generator=torch.Generator().manual_seed(4))):
        found = path_lengths(lambda z: z @ weight.T, a, b, t, squared, lerp)
        torch.testing.assert_close(found, truth, rtol=1e-7, atol=0.0)
    half = path_lengths(lambda z: z @ weight.T, a, b, torch.zeros(50), squared, lerp, epsilon=0.5)
    torch.testing.assert_close(half, truth)


def test_an_arc_through_the_identity_has_the_speed_of_its_angle():
    """On a circle of radius r an arc of angle phi moves by the chord 2 r sin(phi epsilon / 2)."""
    angle, radius = torch.tensor([0.5, 1.0, 2.0, 3.0]).double(), 1.7
    a = radius * torch.tensor([[1.0, 0.0]]).double().expand(4, 2)
    b = radius * torch.stack([angle.cos(), angle.sin()], 1)
    found = path_lengths(lambda z: z, a, b, torch.tensor([0.0, 0.2, 0.5, 0.9]), squared, slerp)
    torch.testing.assert_close(found, (2 * radius * (angle * 1e-4 / 2).sin() / 1e-4) ** 2, rtol=1e-7, atol=0.0)


def test_single_precision_is_enough():
    weight, a, b = normal(7, 4, seed=1), normal(200, 4, seed=2), normal(200, 4, seed=3)
    t = torch.rand(200, generator=torch.Generator().manual_seed(4))
    found = trimmed_mean(path_lengths(lambda z: z @ weight.T, a, b, t, squared, lerp)).mean
    assert found == pytest.approx(trimmed_mean(squared(a @ weight.T, b @ weight.T)).mean, rel=2e-3)


def test_the_extremes_are_left_out():
    lengths = normal(1000, seed=5).exp()
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    kept = [v for v in lengths.double().tolist() if low <= v <= high]
    found = trimmed_mean(lengths)
    assert found.pairs == len(kept) < 1000
    assert found.mean == pytest.approx(np.mean(kept), rel=1e-12)
    assert found.standard_error == pytest.approx(np.std(kept, ddof=1) / len(kept) ** 0.5, rel=1e-9)
    assert trimmed_mean(torch.tensor([1.0, 2.0, 6.0])).mean == 3.0


def test_pixels_average_over_halved_sizes():
    a, b = normal(3, 2, 16, 9, seed=6), normal(3, 2, 16, 9, seed=7)
    d = a - b
    halved = d[:, :, 0::2, 0:8:2] + d[:, :, 1::2, 0:8:2] + d[:, :, 0::2, 1:8:2] + d[:, :, 1::2, 1:8:2]
    truth = (d.square().mean((1, 2, 3)) + (halved / 4).square().mean((1, 2, 3))) / 2
    torch.testing.assert_close(pixels(a, b), truth)
    torch.testing.assert_close(pixels(a[:, 0, 0], b[:, 0, 0]), d[:, 0, 0].square().mean(1))


def test_features_are_compared_where_they_can_be_differentiated():
    a = normal(4, 3, seed=8).requires_grad_()
    distance = in_features(Extractor("doubled", lambda x: 2 * x, None, ""))(a, torch.zeros(4, 3))
    torch.testing.assert_close(distance, 4 * a.square().sum(1))
    torch.testing.assert_close(torch.autograd.grad(distance.sum(), a)[0], 8 * a)
