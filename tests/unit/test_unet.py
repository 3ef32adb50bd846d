"""The U-Net: the weights, names and figures of diffusers' UNet2DConditionModel and UNet2DModel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.diffusion.attention import SpatialTransformer, image_of, tokens_of
from genwerk.nn.diffusion.blocks import ResnetBlock, Upsample, double_and_convolve
from genwerk.nn.diffusion.unet import UNet, sinusoids

BASE: dict[str, Any] = {"channels": 4, "groups": 2, "zero_init": False}
WITH_CONTEXT: dict[str, dict[str, Any]] = {
    "two levels": {"widths": (4, 8), "blocks": 1, "attention": (False, True), "heads": 8, "context": 8},
    "four levels": {
        "widths": (4, 8, 12, 8),
        "attention": (True, True, True, False),
        "heads": (1, 2, 3, 4),
        "context": 6,
    },
    "linear projection": {
        "widths": (8, 8),
        "attention": (True, False),
        "heads": 2,
        "context": 8,
        "linear_projection": True,
    },
    "labels": {"widths": (4, 8), "blocks": 1, "attention": (False, True), "heads": 2, "context": 8, "classes": 3},
}
WITHOUT: dict[str, dict[str, Any]] = {
    "plain": {"widths": (4, 8), "attention": (False, True), "head_size": 4},
    "labels": {"widths": (4, 8), "blocks": 1, "attention": (True, False), "head_size": 2, "classes": 3},
    "no attention": {"widths": (4, 8, 8), "blocks": 1, "attention": (False,) * 3, "middle_attention": False},
    "ddpm": {
        "widths": (4, 8, 8, 12),
        "attention": (False, True, False, False),
        "eps": 1e-6,
        "symmetric": False,
        "cosine_first": False,
        "frequency_shift": 1,
    },
}


def theirs(settings: dict[str, Any]) -> Any:
    """The diffusers network of the same structure."""
    diffusers = pytest.importorskip("diffusers")
    s, crossed = settings, bool(settings.get("context"))
    kind = "CrossAttn" if crossed else "Attn"
    shared = {
        "in_channels": s["channels"],
        "out_channels": s.get("out_channels", s["channels"]),
        "down_block_types": tuple(f"{kind if a else ''}DownBlock2D" for a in s["attention"]),
        "up_block_types": tuple(f"{kind if a else ''}UpBlock2D" for a in reversed(s["attention"])),
        "block_out_channels": s["widths"],
        "layers_per_block": s.get("blocks", 2),
        "norm_num_groups": s["groups"],
        "norm_eps": s.get("eps", 1e-5),
        "num_class_embeds": s["classes"] + 1 if s.get("classes") else None,
        "flip_sin_to_cos": s.get("cosine_first", True),
        "freq_shift": s.get("frequency_shift", 0),
        "downsample_padding": int(s.get("symmetric", True)),
    }
    if crossed:
        return diffusers.UNet2DConditionModel(
            **shared,
            cross_attention_dim=s["context"],
            attention_head_dim=s["heads"],
            use_linear_projection=s.get("linear_projection", False),
        ).eval()
    return diffusers.UNet2DModel(
        **shared, attention_head_dim=s.get("head_size"), add_attention=s.get("middle_attention", True)
    ).eval()


def shaken(network: nn.Module) -> nn.Module:
    """The network with every parameter moved, so that norms and biases are not what they begin with."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def pair(settings: dict[str, Any]) -> tuple[nn.Module, Any]:
    """Our network and theirs with the same weights; a key or shape that differs is an error."""
    torch.manual_seed(0)
    ours, other = shaken(UNet(**settings)).eval(), theirs(settings)
    other.load_state_dict(ours.state_dict(), strict=True)
    return ours, other


@torch.no_grad()
def compare(settings: dict[str, Any], t: Tensor, height: int = 16, width: int = 24) -> None:
    ours, other = pair(settings)
    x = torch.randn(2, settings["channels"], height, width)
    context = torch.randn(2, 5, settings["context"]) if settings.get("context") else None
    label = torch.tensor([0, settings["classes"]]) if settings.get("classes") else None
    expected = other(x, t, *([] if context is None else [context]), class_labels=label).sample
    torch.testing.assert_close(ours(x, t, context, label), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", WITH_CONTEXT)
def test_same_weights_give_the_same_as_the_conditional_network_of_diffusers(name: str) -> None:
    compare(BASE | WITH_CONTEXT[name], torch.tensor([981, 3]))


@pytest.mark.parametrize("name", WITHOUT)
def test_same_weights_give_the_same_as_the_unconditional_network_of_diffusers(name: str) -> None:
    compare(BASE | WITHOUT[name], torch.tensor([12.25, 700.5]))


@pytest.mark.parametrize(("height", "width"), [(17, 22), (9, 31)])
def test_sizes_that_do_not_halve_evenly_are_met_as_diffusers_meets_them(height: int, width: int) -> None:
    compare(BASE | WITH_CONTEXT["four levels"], torch.tensor([981, 3]), height, width)


def test_uneven_sizes_keep_their_size_with_either_padding() -> None:
    for symmetric in (True, False):
        network = UNet(channels=1, widths=(4, 4, 4), attention=(False,) * 3, groups=2, symmetric=symmetric)
        for side in range(4, 12):
            x = torch.zeros(1, 1, side, 13)
            assert network(x, torch.zeros(1)).shape == x.shape


def structure(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


STABLE: dict[str, Any] = {
    "channels": 4,
    "widths": (320, 640, 1280, 1280),
    "attention": (True, True, True, False),
    "heads": 8,
    "context": 768,
    "groups": 32,
}
CIFAR: dict[str, Any] = {
    "channels": 3,
    "widths": (128, 256, 256, 256),
    "attention": (False, True, False, False),
    "groups": 32,
    "eps": 1e-6,
    "symmetric": False,
    "cosine_first": False,
    "frequency_shift": 1,
}
PUBLISHED = {
    "stable diffusion 1.5": (STABLE, 859_520_964, 686),
    "its inpainting variant": (STABLE | {"channels": 9, "out_channels": 4}, 859_535_364, 686),
    "stable diffusion 2": (
        STABLE | {"heads": (5, 10, 20, 20), "context": 1024, "linear_projection": True},
        865_910_724,
        686,
    ),
    "ddpm cifar-10": (CIFAR, 35_746_307, 328),
}


@pytest.mark.parametrize(("settings", "count", "tensors"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_networks_have_their_parameters_and_names(settings: dict[str, Any], count: int, tensors: int) -> None:
    pytest.importorskip("diffusers")
    with torch.device("meta"):
        ours, other = UNet(**settings), theirs(settings)
    assert (sum(p.numel() for p in ours.parameters()), len(ours.state_dict())) == (count, tensors)
    assert structure(ours) == structure(other)


def test_sinusoids_have_the_values_of_stable_diffusion_and_of_ddpm() -> None:
    t = torch.tensor([981])
    stable = [0.679957, -0.757959, -0.926715, 0.556192, 0.733252, -0.652303, -0.375764, 0.831054]
    ddpm = [0.733252, 0.999817, 0.856315, 0.097943, 0.679957, 0.019103, -0.516454, 0.995192]
    torch.testing.assert_close(sinusoids(t, 8), torch.tensor([stable]), atol=2e-5, rtol=0)
    torch.testing.assert_close(sinusoids(t, 8, cosine_first=False, shift=1), torch.tensor([ddpm]), atol=2e-5, rtol=0)


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (4, 4), (3, 7)])
def test_doubling_and_convolving_in_one_step_is_what_the_two_steps_are(height: int, width: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, height, width), torch.randn(5, 3, 3, 3), torch.randn(5)
    given = [v.double().requires_grad_() for v in (x, weight, bias)]
    one = double_and_convolve(*given)
    two = F.conv2d(F.interpolate(given[0], scale_factor=2, mode="nearest"), given[1], given[2], padding=1)
    torch.testing.assert_close(one, two)
    sent = torch.randn_like(two)
    torch.testing.assert_close(torch.autograd.grad(one, given, sent), torch.autograd.grad(two, given, sent))


@pytest.mark.parametrize("size", [(6, 10), (5, 9), (7, 11)], ids=["double", "one less", "one more"])
@pytest.mark.parametrize("channels", [4, 64], ids=["in one step", "in two"])
def test_upsampling_repeats_pixels_then_convolves(channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block, x = Upsample(channels).double(), torch.randn(2, channels, 3, 5).double()
    rows, columns = ([i * old // new for i in range(new)] for new, old in zip(size, (3, 5), strict=True))
    torch.testing.assert_close(block(x, size), block.conv(x[:, :, rows][:, :, :, columns]))


def test_a_linear_projection_and_a_1x1_convolution_are_the_same() -> None:
    torch.manual_seed(0)
    convolved, linear = (SpatialTransformer(8, 2, 6, groups=2, linear=linear) for linear in (False, True))
    state = convolved.state_dict()
    linear.load_state_dict({k: v.flatten(1) if "proj_" in k and v.ndim == 4 else v for k, v in state.items()})
    x, context = torch.randn(2, 8, 3, 5), torch.randn(2, 4, 6)
    torch.testing.assert_close(linear(x, context), convolved(x, context))


def test_tokens_are_pixels_row_by_row() -> None:
    x = torch.arange(24.0).view(1, 2, 3, 4)
    assert tokens_of(x)[0, 5].tolist() == x[0, :, 1, 1].tolist()
    assert image_of(tokens_of(x), x).equal(x)


# --- the network by itself --------------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"channels": 1, "widths": (4, 8), "blocks": 1, "attention": (False, True), "groups": 2}


def test_patches_are_channels_inside() -> None:
    torch.manual_seed(0)
    patched = UNet(**SMALL, patch=2, zero_init=False)
    plain = UNet(**SMALL | {"channels": 4}, zero_init=False)
    plain.load_state_dict(patched.state_dict())
    x, t = torch.randn(3, 1, 12, 10), torch.tensor([1, 2, 3])
    assert structure(patched)["conv_in.weight"][1] == structure(patched)["conv_out.weight"][0] == 4
    torch.testing.assert_close(patched(x, t), F.pixel_shuffle(plain(F.pixel_unshuffle(x, 2), t), 2))


def test_zero_init_begins_with_branches_and_output_at_zero() -> None:
    network = UNet(**BASE | WITH_CONTEXT["four levels"] | {"zero_init": True})
    x, time, context = torch.randn(2, 4, 8, 8), torch.randn(2, 16), torch.randn(2, 3, 6)
    assert not network(x, torch.zeros(2), context).any()
    kinds = set()
    for module in network.modules():
        if isinstance(module, SpatialTransformer):
            h = torch.randn(2, module.norm.num_channels, 4, 4)
            assert module(h, context).equal(h)
        elif isinstance(module, ResnetBlock) and module.conv_shortcut is None:
            h = torch.randn(2, module.norm1.num_channels, 4, 4)
            assert module(h, time).equal(h)
        kinds.add(type(module))
    assert {SpatialTransformer, ResnetBlock} <= kinds
    attention = UNet(**SMALL).mid_block.attentions[0]
    h = torch.randn(1, 8, 2, 2)
    assert attention(h).equal(h)


@pytest.mark.parametrize("context", [0, 6])
def test_gradient_reaches_every_parameter(context: int) -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL, heads=2, context=context, classes=2, patch=2, dropout=0.1, zero_init=False)
    tokens = torch.randn(4, 3, context) if context else None
    network(torch.randn(4, 1, 8, 8), torch.rand(4), tokens, torch.tensor([0, 1, 2, 0])).square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_no_label_is_the_null_class() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL, classes=3, zero_init=False)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([1.0, 2.0])
    assert network(x, t).equal(network(x, t, label=torch.tensor([3, 3])))
    assert not network(x, t).isclose(network(x, t, label=torch.tensor([0, 0]))).all()


def test_an_example_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL, heads=2, context=6, classes=3, zero_init=False)
    x, t, context, label = torch.randn(3, 1, 8, 8), torch.rand(3) * 999, torch.randn(3, 5, 6), torch.tensor([0, 2, 3])
    alone = [network(*(v[i : i + 1] for v in (x, t, context, label))) for i in range(3)]
    torch.testing.assert_close(network(x, t, context, label), torch.cat(alone), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_bfloat16_by_autocast_stays_near_and_embeds_time_in_float32() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL | {"widths": (8, 16)}, heads=2, context=6, classes=3, zero_init=False)
    x, t, context = torch.randn(2, 1, 8, 8), torch.tensor([981.0, 982.0]), torch.randn(2, 5, 6)
    exact, embedded = network(x, t, context), []
    network.time_embedding.register_forward_hook(lambda module, args, out: embedded.append(out))
    network(x, t, context)
    with torch.autocast("cpu", torch.bfloat16):
        near = network(x, t, context)
    assert near.dtype == torch.float32
    assert embedded[1].equal(embedded[0])
    error = (near - exact).square().mean().sqrt() / exact.std()
    assert 0 < error < 0.03


@torch.no_grad()
def test_weights_may_be_of_another_precision() -> None:
    torch.manual_seed(0)
    network = UNet(**SMALL, zero_init=False)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([981, 3])
    exact = network(x, t)
    torch.testing.assert_close(network.double()(x.double(), t), exact.double(), atol=1e-4, rtol=1e-4)
    rough = network.bfloat16()(x.bfloat16(), t)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).square().mean().sqrt() / exact.std() < 0.05


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"groups": 3}, "4 channels wide.* 3 equal groups"),
        ({"heads": 3}, "8 channels wide.* 3 equal attention heads"),
        ({"head_size": 16}, "8 channels wide.* heads of 16"),
        ({"attention": (True,)}, "attention has 1 .* for 2 levels"),
        ({"heads": (1, 1, 1)}, "heads 3, for 2 levels"),
        ({"widths": (2, 4)}, "even number of channels, 4 or more"),
    ],
)
def test_settings_that_do_not_fit_are_said_in_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        UNet(**SMALL | change)


@pytest.mark.parametrize(
    ("settings", "given", "sentence"),
    [
        ({"patch": 3}, {}, "multiples of 3"),
        ({"context": 6}, {}, "a context of 0 channels, and is built for 6"),
        ({}, {"context": torch.zeros(1, 2, 6)}, "a context of 6 channels, and is built for 0"),
        ({}, {"label": torch.tensor([0])}, "without classes"),
    ],
)
def test_inputs_that_do_not_fit_are_said_in_a_sentence(
    settings: dict[str, Any], given: dict[str, Tensor], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        UNet(**SMALL, **settings)(torch.zeros(1, 1, 8, 8), torch.zeros(1), **given)
