"""PixelCNN and Gated PixelCNN: masks, causality, what they see, and that steps are the parallel pass."""

from __future__ import annotations

from typing import Any

import pytest
import stepping
import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.families.pixelcnn import PixelCNN, PixelCNNConfig
from genwerk.nn.autoregressive.causal import CausalConv2d, live_taps, owners, pointwise, shares
from genwerk.nn.autoregressive.gated_pixelcnn import GatedPixelCNN
from genwerk.nn.autoregressive.network import Leak, check_causality, dependence
from genwerk.nn.autoregressive.pixelcnn import MaskedPixelCNN

Network = type[MaskedPixelCNN] | type[GatedPixelCNN]
NETWORKS: list[Network] = [MaskedPixelCNN, GatedPixelCNN]
CASES: dict[str, tuple[tuple[int, int, int], int, dict[str, Any]]] = {
    "binary": ((1, 5, 4), 2, {}),
    "3x3": ((1, 3, 3), 2, {}),
    "one row": ((1, 1, 6), 3, {}),
    "one column": ((1, 6, 1), 3, {}),
    "17 levels, wide kernels": ((1, 6, 7), 17, {"kernel": 5}),
    "kernels wider than the image": ((1, 5, 2), 3, {"kernel": 7, "stem": 9}),
    "stem narrower than kernels": ((1, 7, 5), 2, {"kernel": 5, "stem": 3}),
    "256 levels": ((1, 4, 3), 256, {}),
    "colour": ((3, 4, 5), 4, {"width": 7, "head": 8}),
    "colour, 256 levels": ((3, 2, 3), 256, {"width": 5, "head": 7}),
    "one row of colour": ((3, 1, 4), 4, {"width": 3, "head": 3}),
    "two channels of names": ((2, 4, 4), 5, {"embedding": 3, "kernel": 5}),
    "names": ((1, 5, 4), 9, {"embedding": 4}),
    "labels": ((1, 5, 4), 2, {"classes": 4}),
    "colour with labels": ((3, 4, 3), 4, {"classes": 4, "kernel": 5, "stem": 3, "width": 8}),
    "few layers": ((1, 4, 4), 2, {"layers": 2}),
}


def network(kind: Network, case: str, **changes: Any) -> tuple[MaskedPixelCNN | GatedPixelCNN, Tensor | None]:
    """The network of a case with random weights, and labels for three examples where it takes them."""
    shape, levels, settings = CASES[case]
    net = kind(shape, levels, **{"width": 6, "layers": 3, "head": 8} | settings | changes)
    stepping.random_weights(net, 0.7)
    return net, torch.tensor([1, 3, 0]) if "classes" in settings else None


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize(("colours", "channels", "size"), [(1, 4, 3), (1, 3, 7), (3, 7, 3), (3, 6, 5), (2, 5, 1)])
def test_masks_are_those_of_the_definition(mask: Any, colours: int, channels: int, size: int) -> None:
    """Every weight asked: from which pixel and which colour, to which colour, does it lead?"""
    half, outputs = size // 2, channels + 1
    incoming, outgoing = owners(channels, colours), owners(outputs, colours)
    live = live_taps(mask, (half + 1, size), half, incoming, outgoing)
    for out in range(outputs):
        for into in range(channels):
            for row in range(half + 1):
                for column in range(size):
                    above, beside = row < half, row == half and column < half
                    itself = row == half and column == half
                    earlier = incoming[into] < outgoing[out] or (mask == "B" and incoming[into] == outgoing[out])
                    assert bool(live[out, into, row, column]) == (above or beside or (itself and bool(earlier)))


@pytest.mark.parametrize(("channels", "colours"), [(6, 3), (7, 3), (128, 3), (3, 3), (5, 1), (9, 4)])
def test_colours_share_channels_as_equally_as_can_be(channels: int, colours: int) -> None:
    parts = shares(channels, colours)
    sizes = [s.stop - s.start for s in parts]
    assert [c for s in parts for c in range(s.start, s.stop)] == list(range(channels))
    assert len(parts) == colours
    assert max(sizes) - min(sizes) <= 1


def test_a_causal_convolution_is_a_full_one_with_a_masked_kernel() -> None:
    conv = CausalConv2d("B", owners(4, 1), owners(5, 1), above=2, left=2, right=2).double()
    kernel = torch.zeros(5, 4, 5, 5, dtype=torch.float64)
    kernel[:, :, :2] = conv.weight[:, :, :2].detach()
    kernel[:, :, 2, :3] = conv.weight[:, :, 2, :3].detach()
    x = torch.randn(2, 4, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(conv(x), F.conv2d(x, kernel, conv.bias, padding=2))


def test_dead_weights_stay_as_they_are_and_get_no_gradient() -> None:
    conv = CausalConv2d("A", owners(3, 3), owners(6, 3), above=1, left=1, right=1)
    before = conv.weight.detach().clone()
    conv(torch.randn(2, 3, 4, 4)).square().sum().backward()
    assert torch.equal(conv.weight, before)
    assert conv.weight.grad is not None
    assert ((conv.weight.grad != 0) == conv.live).all()


def test_only_colours_are_masked_in_a_single_pixel() -> None:
    assert not pointwise(4, 6, 1).masked
    assert pointwise(6, 6, 3).masked


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("case", CASES)
def test_steps_are_the_parallel_pass(kind: Network, case: str) -> None:
    net, condition = network(kind, case)
    stepping.assert_steps_equal_the_pass(net, condition)
    stepping.assert_log_prob_is_that_of_the_logits(net, condition)
    stepping.assert_forks_part(net, None if condition is None else condition[:2])


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_single_pixel_is_drawn_from_what_depends_on_nothing(kind: Network) -> None:
    net = stepping.random_weights(kind((1, 1, 1), 4, width=6, layers=3))
    symbols = stepping.some_symbols(net, 3)
    found = stepping.stepped_logits(net, symbols)
    torch.testing.assert_close(found, stepping.parallel_logits(net, symbols))
    torch.testing.assert_close(found, found[:1].expand_as(found))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("case", ["colour", "colour with labels", "17 levels, wide kernels"])
def test_a_prefill_of_any_length_is_as_good_as_steps(kind: Network, case: str) -> None:
    net, condition = network(kind, case)
    symbols = stepping.some_symbols(net, 3)
    whole = stepping.parallel_logits(net, symbols, condition)
    for start in range(net.length):
        found = stepping.stepped_logits(net, symbols, condition, start)[:, :4]
        torch.testing.assert_close(found, whole[:, start : start + 4], rtol=1e-8, atol=1e-8)
    assert net.prefill(net.sequence(symbols), condition).position == net.length


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("case", ["3x3", "one row", "one row of colour"])
def test_probabilities_of_all_images_sum_to_one(kind: Network, case: str) -> None:
    shape, _, settings = CASES[case]
    net = stepping.random_weights(kind(shape, 2, **{"width": 6, "layers": 3, "head": 8} | settings))
    stepping.assert_sums_to_one(net)


@pytest.mark.parametrize("kind", NETWORKS)
def test_probabilities_of_all_images_with_a_label_sum_to_one(kind: Network) -> None:
    net = stepping.random_weights(kind((1, 3, 3), 2, width=4, layers=3, head=4, classes=3))
    label = torch.tensor([2])
    stepping.assert_sums_to_one(net, label)
    image = stepping.some_symbols(net, 1)
    assert not torch.allclose(net.log_prob(image, label), net.log_prob(image, torch.tensor([0])))


@pytest.mark.parametrize("kind", NETWORKS)
def test_single_precision_steps_differ_by_rounding_alone(kind: Network) -> None:
    torch.manual_seed(0)
    net = kind((1, 12, 12), 2, width=16, layers=8).eval()
    symbols = stepping.some_symbols(net, 4)
    found = stepping.stepped_logits(net, symbols)
    torch.testing.assert_close(found, stepping.parallel_logits(net, symbols), rtol=1e-5, atol=1e-5)


# --- what is seen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("case", CASES)
def test_no_position_depends_on_itself_or_on_later_ones(kind: Network, case: str) -> None:
    net, condition = network(kind, case)
    check_causality(net, net.shape, range(net.length), condition)


def test_the_gated_network_has_no_blind_spot() -> None:
    net = GatedPixelCNN((1, 6, 6), 2, width=16, layers=7, stem=3)
    assert check_causality(net, (1, 6, 6), range(36)) == 1.0
    coloured = GatedPixelCNN((3, 4, 4), 2, width=36, layers=5, stem=3)
    assert check_causality(coloured, (3, 4, 4), range(48)) == 1.0


def test_the_masked_network_is_blind_to_the_right_of_a_diagonal() -> None:
    """Kernels of 3 see one pixel further to the right for every row further up, however many they are."""
    side, layers = 6, 12
    net = MaskedPixelCNN((1, side, side), 2, width=12, layers=layers, stem=3)
    seen = dependence(net, (1, side, side), range(side * side)).view(side, side, side, side)
    for i in range(side):
        for j in range(side):
            expected = torch.tensor(
                [[(r < i and c - j <= i - r) or (r == i and c < j) for c in range(side)] for r in range(side)]
            )
            assert torch.equal(seen[i, j], expected)


def test_a_wrong_mask_is_found_when_a_model_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CausalConv2d.__init__
    monkeypatch.setattr(CausalConv2d, "__init__", lambda self, mask, *a, **k: honest(self, "B", *a, **k))
    with pytest.raises(Leak, match="predicts symbol 0 from symbol 0"):
        build(PixelCNNConfig(width=4, layers=2), DataSpec(kind="image", shape=(1, 4, 4)))


# --- the family -------------------------------------------------------------------------------------------------------

PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


@pytest.mark.parametrize("kind", ["masked", "gated"])
@pytest.mark.parametrize(
    ("spec", "levels", "channels"),
    [
        (DataSpec(kind="image", shape=(1, 4, 4), levels=17), 17, 1),
        (DataSpec(kind="image", shape=(3, 4, 4)), 256, 1),
        (DataSpec(kind="image", shape=(1, 4, 4), levels=40, nominal=True), 40, 32),
        (DataSpec(kind="image", shape=(3, 4, 4), palette=PALETTE), 5, 5),
    ],
)
def test_symbols_that_are_names_are_embedded(kind: Any, spec: DataSpec, levels: int, channels: int) -> None:
    model = build(PixelCNNConfig(network=kind, width=6, layers=3, head=8), spec)
    assert isinstance(model, PixelCNN)
    assert model.network.levels == levels
    assert model.network.input.channels == channels
    assert model.sample(2, seed=0).shape == (2, *spec.shape)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stem": 4}, "odd side"),
        ({"kernel": 1}, "3 pixels or more"),
        ({"layers": 0}, "needs 1 or more"),
        ({"network": "gated", "layers": 1}, "needs 2 or more"),
        ({"embedding": -1}, "embedding is -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelCNNConfig(**settings)


def test_data_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="makes images"):
        build(PixelCNNConfig(), DataSpec(kind="audio", shape=(1, 100), sample_rate=8000))
    with pytest.raises(ValueError, match="shared among 3 colours"):
        build(PixelCNNConfig(width=2), DataSpec(kind="image", shape=(3, 4, 4)))
