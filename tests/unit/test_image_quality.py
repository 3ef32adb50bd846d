"""PSNR and SSIM by their definition, and beside torchmetrics."""

from __future__ import annotations

import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genwerk.core.errors import BadInput
from genwerk.metrics.image_quality import psnr, ssim


def pair(n: int = 5, c: int = 3, h: int = 20, w: int = 31) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, c, h, w, generator=generator)
    return x, (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def test_psnr_is_that_of_each_image() -> None:
    x = torch.zeros(2, 1, 4, 4)
    y = torch.full_like(x, 0.1)
    y[1] = 0
    assert psnr(y, x).tolist() == pytest.approx([20.0, float("inf")])
    a, b = pair()
    theirs = [peak_signal_noise_ratio(p, q, data_range=1.0).item() for p, q in zip(b, a, strict=True)]
    assert psnr(b, a).tolist() == pytest.approx(theirs, rel=1e-5)


def test_ssim_is_torchmetrics() -> None:
    a, b = pair()
    found = structural_similarity_index_measure(b.double(), a.double(), data_range=1.0, return_full_image=True)
    theirs = found[1][..., 5:-5, 5:-5]  # theirs goes on beyond the border, where it mirrors the image
    assert torch.allclose(ssim(b, a), theirs.flatten(1).mean(1), atol=1e-9)
    assert ssim(a, a).tolist() == pytest.approx([1.0] * 5)


def test_ssim_of_flat_images_follows_from_their_means() -> None:
    x, y = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.6)
    assert ssim(x, y).item() == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


def test_images_of_different_shapes_are_refused() -> None:
    with pytest.raises(BadInput, match=r"expected \(n, c, h, w\) twice"):
        psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5))
