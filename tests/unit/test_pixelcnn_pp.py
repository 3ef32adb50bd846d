"""PixelCNN++: what it sees, what it sums to, and that stepping is the parallel pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import stepping
import torch

from genwerk.core.model import build
from genwerk.core.options import Symbolwise
from genwerk.core.spec import DataSpec
from genwerk.families.pixelcnn_pp import PixelCNNPP, PixelCNNPPConfig
from genwerk.nn.autoregressive.network import check_causality, dependence
from genwerk.nn.autoregressive.pixelcnn_pp.layers import Grow, Shifted
from genwerk.nn.autoregressive.pixelcnn_pp.network import PixelCNNPPNetwork
from genwerk.recipes import recipe

SHAPES = [
    ((1, 8, 8), 3),
    ((3, 8, 8), 3),
    ((1, 7, 5), 3),
    ((3, 5, 6), 2),
    ((1, 9, 9), 3),
    ((3, 3, 2), 1),
    ((1, 1, 4), 2),
    ((1, 4, 1), 3),
    ((2, 6, 3), 3),
]
"""Shapes, some of odd sizes and some smaller than their lowest resolution, with the number of resolutions."""

IMAGE = DataSpec(kind="image", shape=(3, 8, 8), levels=4, classes=("a", "b"))


def network(
    shape: tuple[int, int, int],
    *,
    levels: int = 5,
    resolutions: int = 3,
    blocks: int = 1,
    classes: int = 0,
    dropout: float = 0.0,
) -> PixelCNNPPNetwork:
    torch.manual_seed(0)
    sizes = {"filters": 4, "blocks": blocks, "resolutions": resolutions, "components": 3}
    return PixelCNNPPNetwork(shape, levels, classes=classes, dropout=dropout, **sizes)


@pytest.mark.parametrize(("shape", "resolutions"), SHAPES)
def test_steps_are_the_parallel_pass(shape: tuple[int, int, int], resolutions: int) -> None:
    net = stepping.random_weights(network(shape, resolutions=resolutions))
    stepping.assert_steps_equal_the_pass(net)
    stepping.assert_forks_part(net)


@pytest.mark.parametrize(("shape", "resolutions"), SHAPES)
@pytest.mark.parametrize("levels", [2, 256])
def test_the_direct_likelihood_is_that_of_the_logits(
    shape: tuple[int, int, int], resolutions: int, levels: int
) -> None:
    net = stepping.random_weights(network(shape, levels=levels, resolutions=resolutions))
    stepping.assert_log_prob_is_that_of_the_logits(net)


def test_labels_reach_steps_as_they_reach_the_pass() -> None:
    net, labels = stepping.random_weights(network((3, 4, 5), classes=4)), torch.tensor([3, 0, 2])
    stepping.assert_steps_equal_the_pass(net, labels)
    stepping.assert_forks_part(net, labels[:2])
    first = stepping.parallel_logits(net, stepping.some_symbols(net, 1).expand(4, -1, -1, -1), torch.arange(4))
    assert len(first[:, 0].unique(dim=0)) == 4, "the first symbol depends on nothing but the label"


def test_deeper_streams_step_alike() -> None:
    stepping.assert_steps_equal_the_pass(stepping.random_weights(network((3, 12, 10), blocks=2)))


@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 1, 3)])
@pytest.mark.parametrize("resolutions", [1, 3])
def test_the_probabilities_of_all_binary_images_sum_to_one(shape: tuple[int, int, int], resolutions: int) -> None:
    stepping.assert_sums_to_one(stepping.random_weights(network(shape, levels=2, resolutions=resolutions)))


@pytest.mark.parametrize(("shape", "resolutions"), [((1, 6, 6), 2), ((3, 4, 5), 1), ((3, 5, 7), 3), ((1, 9, 4), 3)])
def test_every_symbol_is_predicted_from_all_before_it_and_no_other(
    shape: tuple[int, int, int], resolutions: int
) -> None:
    net = network(shape, resolutions=resolutions, blocks=2)
    assert check_causality(net, shape, range(net.length)) == 1.0


def test_a_colour_depends_on_those_before_it_in_its_pixel() -> None:
    found = dependence(network((3, 2, 2)), (3, 2, 2), [9, 10, 11])[:, 9:]
    assert torch.equal(found, torch.ones(3, 3).tril(-1).bool())


def test_the_probe_runs_on_other_shapes_than_the_network_s_own() -> None:
    assert check_causality(network((3, 32, 32), blocks=2), (3, 4, 4), range(48)) == 1.0


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (2, 3)])
@pytest.mark.parametrize("right", [False, True])
def test_maps_are_halved_upwards_and_doubled_again(size: tuple[int, int], right: bool) -> None:
    kernel = (2, 2) if right else (2, 3)
    x = torch.randn(2, 3, *size)
    low = Shifted(3, 3, kernel, right, 1, stride=2)(x)
    assert low.shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    high = Grow(3, kernel, right, 2)(low)
    assert high.shape[2:] == (2 * low.shape[2], 2 * low.shape[3])


@pytest.mark.parametrize("right", [False, True])
def test_the_first_weights_keep_the_variance(right: bool) -> None:
    """Without a look at data: inputs of variance 1 come out with variance 1, enlarged or not."""
    torch.manual_seed(0)
    kernel = (2, 2) if right else (2, 3)
    x = torch.randn(8, 64, 24, 24)
    for layer in (Shifted(64, 64, kernel, right, 1), Grow(64, kernel, right, 2)):
        inner = layer(x)[..., 2:-2, 2:-2]
        assert inner.var().item() == pytest.approx(1, abs=0.1)


def test_dropout_drops_in_training_and_not_in_use() -> None:
    net = network((1, 6, 6), dropout=0.5)
    symbols = stepping.some_symbols(net, 2)
    net.train()
    assert not torch.equal(net.log_prob(symbols), net.log_prob(symbols))
    net.eval()
    assert torch.equal(net.log_prob(symbols), net.log_prob(symbols))


def test_the_memory_of_a_state_holds_a_few_rows_and_not_the_image() -> None:
    small, tall = (network((3, rows, 8)).begin(2).tensors.values() for rows in (8, 64))
    assert [t.shape for t in small] == [t.shape for t in tall]


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_samples_and_completions_have_the_levels_of_the_data(levels: int) -> None:
    spec = replace(IMAGE, levels=levels)
    model = build(PixelCNNPPConfig(filters=4, blocks=1, resolutions=2, components=2, conditional=True), spec)
    x = model.eval().sample(3, torch.tensor([0, 1, 1]), seed=0)
    torch.testing.assert_close((x * (levels - 1)).round() / (levels - 1), x)
    known = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    found = model.complete(x, known, 2, torch.tensor([0, 1, 1]), Symbolwise(particles=4), seed=0)
    assert torch.equal(found.x[:, :, known], x[:, None].expand_as(found.x)[:, :, known])


@pytest.mark.parametrize(
    "spec",
    [
        replace(IMAGE, palette=((0, 0, 0), (255, 0, 0))),
        replace(IMAGE, nominal=True),
        DataSpec(kind="audio", shape=(1, 100), sample_rate=8000),
    ],
)
def test_symbols_without_an_order_are_refused(spec: DataSpec) -> None:
    with pytest.raises(ValueError, match=r"is for images|recipe pixelcnn"):
        build(PixelCNNPPConfig(), spec)


@pytest.mark.parametrize(
    "setting", [{"filters": 0}, {"blocks": 0}, {"resolutions": 0}, {"components": 0}, {"dropout": 1.0}]
)
def test_settings_that_make_no_network_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        PixelCNNPPConfig(**setting)  # type: ignore[arg-type]


def test_the_published_network_has_its_published_size() -> None:
    """160 filters, 5 blocks, 3 resolutions and 10 components: 100 numbers a pixel."""
    config = recipe("pixelcnn-pp-cifar10", DataSpec(kind="image", shape=(3, 32, 32))).model
    assert isinstance(config, PixelCNNPPConfig)
    assert (config.filters, config.blocks, config.resolutions, config.components) == (160, 5, 3, 10)
    with torch.device("meta"):
        model = PixelCNNPP(config, DataSpec(kind="image", shape=(3, 32, 32)))
    assert model.network.head.bias.shape == (100,)
