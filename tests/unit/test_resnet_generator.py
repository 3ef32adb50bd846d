"""The ResNet generator: parts of an image are made as the whole is, whatever its size, and its margin is no wider."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import instance_norm

from genwerk.core.errors import BadInput
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.nn.translation.instance_norm import InstanceNorm, by_parts, normalised_by, shrunk, statistics

SMALL = ResNetGeneratorConfig(width=4, halvings=1, blocks=1, kernel=3)


def built(config: ResNetGeneratorConfig) -> torch.nn.Module:
    torch.manual_seed(0)
    return config.build(3, 3, 1).eval()


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(SMALL, halvings=2, kernel=7, up="transposed"), replace(SMALL, patch=2), replace(SMALL, halvings=0)],
)
def test_what_a_pixel_depends_on_is_within_the_margin(config: ResNetGeneratorConfig) -> None:
    """With statistics that do not depend on the pixels; and nearly all of the margin is needed."""
    network = built(replace(config, norm="none"))
    for parameter in network.parameters():
        parameter.data = parameter.data.abs()  # nothing cancels, and no ReLU is silent
    reach, stride = 0, config.stride
    for offset in range(stride):
        x = torch.rand(1, 3, 20 * stride, 20 * stride).requires_grad_()
        middle = 10 * stride + offset
        (gradient,) = torch.autograd.grad(network(x)[0, :, middle].sum(), x)
        rows = gradient.abs().sum((0, 1, 3)).nonzero()
        reach = max(reach, middle - int(rows.min()), int(rows.max()) - middle)
    assert reach <= config.margin <= reach + 2 * stride


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, patch=2), replace(SMALL, halvings=2, up="transposed")])
def test_parts_of_a_large_image_are_those_of_the_whole(config: ResNetGeneratorConfig) -> None:
    network, step = built(config), 8 * config.stride
    x = torch.rand(1, 3, 3 * step + 5, 2 * step + 3, generator=torch.Generator().manual_seed(1))
    of = by_parts(network, (x + 1) / 2, (16, 16))
    whole, around = of(x), -(-config.margin // config.stride) * config.stride
    for top in range(0, x.shape[2], step):
        for left in range(0, x.shape[3], step):
            first = max(0, top - around), max(0, left - around)
            made = of(x[..., first[0] : top + step + around, first[1] : left + step + around])
            made = made[..., top - first[0] :, left - first[1] :][..., :step, :step]
            torch.testing.assert_close(made, whole[..., top : top + step, left : left + step], rtol=0, atol=1e-5)
    assert not torch.allclose(whole, network(x), atol=1e-3)  # which its own statistics would make otherwise


def test_an_image_as_small_as_those_trained_on_is_normalised_by_its_own_statistics() -> None:
    network, x = built(SMALL), torch.rand(2, 3, 16, 12)
    assert torch.equal(by_parts(network, (x + 1) / 2, (16, 16))(x), network(x))
    with normalised_by(statistics(network, x)):
        torch.testing.assert_close(network(x), network(x.clone()))
        given = network(x)
    torch.testing.assert_close(given, network(x), rtol=1e-4, atol=1e-5)


def test_instance_normalisation_is_that_of_torch() -> None:
    norm, x = InstanceNorm(5), torch.randn(3, 5, 6, 7)
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    expected = instance_norm(x, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(x), expected)
    norm.given = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(norm(x), expected)


def test_a_flat_channel_becomes_the_bias_and_has_no_gradient() -> None:
    norm, x = InstanceNorm(2), torch.randn(2, 2, 6, 7)
    with torch.no_grad():
        norm.bias.normal_()
    x[0, 1] = 0.3 + 1e-7 * x[0, 1]
    x.requires_grad_()
    y = norm(x)
    assert torch.equal(y[0, 1], norm.bias[1].expand(6, 7))
    torch.testing.assert_close(y[1:], instance_norm(x[1:], weight=norm.weight, bias=norm.bias))
    with normalised_by(statistics(norm, x)):
        torch.testing.assert_close(norm(x), y)
    (gradient,) = torch.autograd.grad((y * torch.randn_like(y)).sum(), x)
    assert not gradient[0, 1].any()
    assert gradient[0, 0].any()


def test_images_of_one_colour_each_have_gradients_that_do_not_overflow() -> None:
    network = ResNetGeneratorConfig(width=8, halvings=2, blocks=6).build(3, 3, 1)
    flat = torch.rand(2, 3, 1, 1).expand(-1, -1, 16, 16)
    back = network(network(flat).tanh())
    gradients = torch.autograd.grad(back.square().sum(), network.parameters(), allow_unused=True)
    assert max(float(g.abs().max()) for g in gradients if g is not None) < 1e3


def test_a_shrunk_pixel_is_the_mean_of_those_that_become_it() -> None:
    x = torch.rand(1, 1, 8, 4)
    expected = x.unflatten(2, (4, 2)).unflatten(4, (2, 2)).mean((3, 5))
    torch.testing.assert_close(shrunk(x, (4, 2)), expected)
    assert shrunk(x, (8, 8)) is x


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 2), (3, 3)])
def test_an_image_of_a_few_pixels_has_a_translation(size: tuple[int, int]) -> None:
    for config in (SMALL, replace(SMALL, patch=2), replace(SMALL, halvings=0, kernel=7)):
        assert built(config)(torch.rand(1, 3, *size)).shape[2:] == size


def test_it_does_not_enlarge() -> None:
    with pytest.raises(BadInput, match=r"take model\.network edsr to enlarge"):
        SMALL.build(3, 3, 2)
