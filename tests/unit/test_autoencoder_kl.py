"""AutoencoderKL: the weights, names and figures of the diffusers class of that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genwerk.nn.autoencoder_kl import AutoencoderKL

TINY: dict[str, Any] = {"widths": (4, 8), "blocks": 1, "groups": 2}
FOUR: dict[str, Any] = {"widths": (4, 8, 12, 8), "blocks": 2, "groups": 2, "channels": 1, "latent": 3}
NO_ATTENTION: dict[str, Any] = {**TINY, "attention": False}


def theirs(settings: dict[str, Any]) -> Any:
    diffusers = pytest.importorskip("diffusers")
    levels, channels = len(settings["widths"]), settings.get("channels", 3)
    return diffusers.AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings["widths"],
        layers_per_block=settings["blocks"],
        latent_channels=settings.get("latent", 4),
        norm_num_groups=settings["groups"],
        mid_block_add_attention=settings.get("attention", True),
    ).eval()


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """The network with every parameter moved, so that norms and biases are not what they begin with."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize("settings", [TINY, FOUR, NO_ATTENTION], ids=["tiny", "four levels", "no attention"])
def test_same_weights_give_the_same_codes_and_images_as_diffusers(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    ours, other = AutoencoderKL(**settings), theirs(settings)
    shaken(ours)
    other.load_state_dict(ours.state_dict(), strict=True)
    x = torch.rand(2, settings.get("channels", 3), 16, 24) * 2 - 1
    with torch.no_grad():
        mean, log_var = ours.encode(x)
        posterior = other.encode(x).latent_dist
        torch.testing.assert_close(mean, posterior.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(log_var, posterior.logvar, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.decode(mean), other.decode(mean).sample, atol=1e-5, rtol=1e-5)


def test_default_is_the_first_stage_of_stable_diffusion() -> None:
    with torch.device("meta"):
        ours = AutoencoderKL()
    count = sum(p.numel() for p in ours.parameters())
    assert (count, len(ours.state_dict())) == (83_653_863, 248)
    settings = {"widths": (128, 256, 512, 512), "blocks": 2, "groups": 32}
    pytest.importorskip("diffusers")
    with torch.device("meta"):
        other = theirs(settings)
    shapes = {name: tensor.shape for name, tensor in other.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes


def test_each_level_but_the_last_halves_the_sides() -> None:
    for widths, factor in [((4,), 1), ((4, 8), 2), ((4, 4, 8), 4)]:
        network = AutoencoderKL(widths=widths, blocks=1, groups=2, latent=3)
        mean, log_var = network.encode(torch.zeros(1, 3, 8, 16))
        assert network.factor == factor
        assert mean.shape == log_var.shape == (1, 3, 8 // factor, 16 // factor)
        assert network.decode(mean).shape == (1, 3, 8, 16)


def test_log_variance_is_held_between_minus_30_and_20() -> None:
    network = AutoencoderKL(**TINY)
    bias: Tensor = network.quant_conv.bias  # type: ignore[assignment]
    with torch.no_grad():
        bias[4:6], bias[6:8] = 100.0, -100.0
        _, log_var = network.encode(torch.zeros(1, 3, 4, 4))
    assert log_var[:, :2].eq(20).all()
    assert log_var[:, 2:].eq(-30).all()


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = AutoencoderKL(**FOUR)
    mean, log_var = network.encode(torch.randn(2, 1, 16, 16))
    x = network.decode(mean + torch.randn_like(mean) * (log_var / 2).exp())
    (x.square().mean() + log_var.mean()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_other_channels_out_than_in() -> None:
    network = AutoencoderKL(**TINY, out_channels=6)
    assert network.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 6, 4, 4)


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        AutoencoderKL(widths=(4, 4, 4), groups=2).encode(torch.zeros(1, 3, 6, 8))
    with pytest.raises(ValueError, match=r"6 channels wide.* 4 equal groups"):
        AutoencoderKL(widths=(4, 6), groups=4)
