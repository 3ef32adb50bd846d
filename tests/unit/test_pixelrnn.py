"""Row LSTM and Diagonal BiLSTM: the maps are those of their definition, they see what they should, and step exactly."""

from __future__ import annotations

import pytest
import stepping
import torch
from torch import Tensor

from genwerk.core.options import Symbolwise
from genwerk.core.spec import DataSpec
from genwerk.families.pixelrnn import PixelRNN, PixelRNNConfig
from genwerk.nn.autoregressive.network import Leak, check_causality, dependence
from genwerk.nn.autoregressive.pixelrnn import REACH, CellName, PixelRNNNetwork
from genwerk.nn.autoregressive.spatial_lstm import DiagonalBiLSTM, Gates, RowLSTM, diagonals

CELLS: tuple[CellName, ...] = ("row", "diagonal")
Shape = tuple[int, int, int]
Pixel = tuple[int, int]


def network(cell: CellName, shape: Shape, levels: int = 3, **settings: int) -> PixelRNNNetwork:
    torch.manual_seed(0)
    return PixelRNNNetwork(shape, levels, cell, width=12, head=48, **settings)


# --- the maps, pixel by pixel -----------------------------------------------------------------------------------------


def update(gates: Gates, x: Tensor, before: list[Tensor], c: Tensor, left: Tensor | None = None) -> list[Tensor]:
    """h and c of one pixel of one image, colour by colour, from features and states, by the LSTM's equations."""
    driven = gates.inputs.masked() @ x + gates.inputs.bias + gates.states.weight @ torch.cat(before)
    if left is not None and gates.left is not None:
        driven = driven + gates.left.weight @ left
    h, new, groups = [], [], gates.inputs.groups
    for part, old in zip(driven.chunk(groups), c.chunk(groups), strict=True):
        i, f, o, g = part.chunk(4)
        new.append(torch.sigmoid(f) * old + torch.sigmoid(i) * torch.tanh(g))
        h.append(torch.sigmoid(o) * torch.tanh(new[-1]))
    return [torch.cat(h), torch.cat(new)]


def in_rows(states: dict[Pixel, list[Tensor]], rows: int, columns: int) -> Tensor:
    return torch.stack([torch.stack([states[i, j][0] for j in range(columns)]) for i in range(rows)])


def slow_row(cell: RowLSTM, x: Tensor) -> Tensor:
    """States (rows, columns, h) of the features of one image."""
    (rows, columns, _), outside, s = x.shape, list(cell.gates.outside), dict[Pixel, list[Tensor]]()
    for i in range(rows):
        for j in range(columns):
            before = [s.get((i - 1, k), outside)[0] for k in (j - 1, j, j + 1)]
            s[i, j] = update(cell.gates, x[i, j], before, s.get((i - 1, j), outside)[1], x[i, j - 1] if j else None)
    return in_rows(s, rows, columns)


def slow_diagonal(cell: DiagonalBiLSTM, x: Tensor) -> Tensor:
    """The same: left to right at the pixel, and right to left at the pixel above."""
    rows, columns, _ = x.shape
    right, left = dict[Pixel, list[Tensor]](), dict[Pixel, list[Tensor]]()
    for s, gates, order, step in (
        (right, cell.gates, range(columns), 1),
        (left, cell.back, range(columns - 1, -1, -1), -1),
    ):
        outside = list(gates.outside)
        for i in range(rows):
            for j in order:
                beside = s.get((i, j - step), outside)
                s[i, j] = update(gates, x[i, j], [s.get((i - 1, j), outside)[0], beside[0]], beside[1])
    top = cell.back.outside[:1].expand(columns, -1)[None]
    return in_rows(right, rows, columns) + torch.cat((top, in_rows(left, rows, columns)[:-1]))


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("rows,columns", [(4, 6), (5, 3), (1, 4), (4, 1)])
@torch.no_grad()
def test_the_maps_are_those_of_a_double_loop_over_pixels(groups: int, rows: int, columns: int) -> None:
    for make, slow in ((RowLSTM, slow_row), (DiagonalBiLSTM, slow_diagonal)):
        torch.manual_seed(1)
        cell = make(6, groups).double()
        for gates in (g for g in (cell.gates, cell.back) if g is not None):
            torch.nn.init.normal_(gates.outside)
        x = torch.randn(rows, columns, 2, 12, dtype=torch.float64)
        found, _ = cell(x)
        for n in range(2):
            torch.testing.assert_close(found[:, :, n], slow(cell, x[:, :, n]), rtol=1e-10, atol=1e-12)  # type: ignore[operator]


def test_diagonals_are_gathered_and_put_back() -> None:
    order, inverse, sizes = diagonals(2, 3, torch.device("cpu"))
    assert order.tolist() == [0, 1, 3, 2, 4, 5]
    assert sizes == [1, 2, 2, 1]
    assert order[inverse].tolist() == list(range(6))


# --- what they see ----------------------------------------------------------------------------------------------------


def context(cell: CellName, rows: int, columns: int, layers: int) -> list[set[Pixel]]:
    """The pixels that each pixel's features contain, in raster order, from which features follow from which."""
    past = 1 if cell == "diagonal" else 0
    places = [(i, j) for i in range(rows) for j in range(columns + past)]
    x = {
        (i, j): {
            (a, b)
            for a in range(max(0, i - REACH), i + 1)
            for b in range(max(0, j - REACH), min(columns, j + REACH + 1))
            if (a, b) < (i, j)
        }
        for i, j in places
    }
    none: set[Pixel] = set()
    for _ in range(layers):
        s, back = dict[Pixel, set[Pixel]](), dict[Pixel, set[Pixel]]()
        for i, j in places:
            if cell == "row":
                s[i, j] = x[i, j] | x.get((i, j - 1), none)
                s[i, j] |= none.union(*(s.get((i - 1, k), none) for k in (j - 1, j, j + 1)))
            else:
                s[i, j] = x[i, j] | s.get((i - 1, j), none) | s.get((i, j - 1), none)
        for i, j in sorted(places, key=lambda p: (p[0], -p[1])):
            back[i, j] = x[i, j] | back.get((i - 1, j), none) | back.get((i, j + 1), none)
        x = {
            (i, j): x[i, j] | s[i, j] | (back.get((i - 1, j), none) if cell == "diagonal" else none) for i, j in places
        }
    return [x[i, j] for i in range(rows) for j in range(columns)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(1, 4, 13), (3, 3, 11)])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_context_is_the_whole_past_or_the_triangle_and_nothing_else(
    cell: CellName, shape: Shape, layers: int
) -> None:
    """By the gradient of every symbol, colours included, against the sets of the definition."""
    colours, rows, columns = shape
    net = network(cell, shape, levels=5, layers=layers)
    expected = torch.zeros(net.length, net.length, dtype=torch.bool)
    for place, seen in enumerate(context(cell, rows, columns, layers)):
        for colour in range(colours):
            t = place * colours + colour
            expected[t, place * colours : t] = True
            for i, j in seen:
                expected[t, (i * columns + j) * colours : (i * columns + j + 1) * colours] = True
    assert torch.equal(dependence(net, shape, range(net.length)), expected)
    past = torch.ones_like(expected).tril(-1)
    assert torch.equal(expected, past) == (cell == "diagonal")


def test_the_last_pixel_of_a_row_is_seen_from_the_next_by_the_column_past_the_end() -> None:
    net = network("diagonal", (1, 3, 9))
    net.past = 0
    found = dependence(net, (1, 3, 9), [9, 10])
    assert not found[:, 8].any(), "the paper's network does not see it"
    assert found[0, :8].all()
    net.past = 1
    assert dependence(net, (1, 3, 9), [9, 10])[:, 8].all()


def test_a_direction_that_is_not_shifted_is_caught() -> None:
    class Unshifted(DiagonalBiLSTM):
        def forward(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
            h, memory = super().forward(x, condition)
            return torch.cat((h[1:], h[-1:])), memory

    net = network("diagonal", (1, 3, 5))
    net.blocks[0].cell = Unshifted(12, 1)
    with pytest.raises(Leak):
        check_causality(net, (1, 3, 5), range(15))


# --- stepping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "shape,levels,settings",
    [
        ((1, 5, 7), 2, {}),
        ((1, 9, 4), 17, {"layers": 3, "skip": True}),
        ((1, 4, 5), 6, {"embedding": 3}),
        ((1, 4, 5), 4, {"classes": 3, "layers": 2}),
        ((3, 4, 5), 4, {"layers": 2, "skip": True}),
        ((3, 3, 3), 5, {"classes": 3, "embedding": 2}),
        ((1, 1, 6), 2, {}),
        ((1, 6, 1), 2, {}),
        ((3, 1, 1), 2, {}),
    ],
)
def test_steps_are_the_parallel_pass(cell: CellName, shape: Shape, levels: int, settings: dict[str, int]) -> None:
    net = stepping.random_weights(network(cell, shape, levels, **settings))
    label = torch.tensor([2, 0, 1]) if "classes" in settings else None
    stepping.assert_steps_equal_the_pass(net, label)
    stepping.assert_log_prob_is_that_of_the_logits(net, label)
    stepping.assert_forks_part(net, None if label is None else label[:2])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape,levels", [((1, 3, 3), 2), ((3, 1, 3), 2), ((1, 2, 3), 3)])
def test_the_probabilities_of_all_images_sum_to_one(cell: CellName, shape: Shape, levels: int) -> None:
    stepping.assert_sums_to_one(stepping.random_weights(network(cell, shape, levels)))


@pytest.mark.parametrize("cell", CELLS)
def test_the_label_changes_what_is_predicted(cell: CellName) -> None:
    net = stepping.random_weights(network(cell, (1, 3, 3), classes=2))
    symbols = stepping.some_symbols(net, 1)
    one, other = (net(symbols, torch.tensor([label])) for label in (0, 1))
    assert not torch.allclose(one, other)


# --- the family -------------------------------------------------------------------------------------------------------

GREY = DataSpec(kind="image", shape=(1, 4, 6), levels=5)
PALETTE = DataSpec(kind="image", shape=(3, 4, 6), palette=((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)))


@pytest.mark.parametrize("cell", CELLS)
def test_samples_of_a_palette_have_its_colours(cell: CellName) -> None:
    model = PixelRNN(PixelRNNConfig(cell=cell, width=8), PALETTE)
    colours = {tuple(pixel) for pixel in (model.sample(4, seed=0) * 255).movedim(1, -1).reshape(-1, 3).tolist()}
    assert colours <= {tuple(map(float, colour)) for colour in PALETTE.palette}
    assert model.network.input.table is not None, "an index is not an intensity"


@pytest.mark.parametrize("known", [(slice(2), slice(None)), (slice(None), slice(3)), (slice(2, None), slice(None))])
def test_holes_of_any_form_are_filled(known: tuple[slice, slice]) -> None:
    model, mask = PixelRNN(PixelRNNConfig(width=8), GREY), torch.zeros(1, 4, 6, dtype=torch.bool)
    mask[:, *known] = True
    x = torch.randint(5, (2, 1, 4, 6)) / 4
    found = model.complete(x, mask, 3, None, Symbolwise(particles=8), seed=1)
    assert found.x.shape == (2, 3, 1, 4, 6)
    assert torch.equal(found.x[:, :, mask], x[:, None].expand_as(found.x)[:, :, mask])
    torch.testing.assert_close(found.x * 4, (found.x * 4).round())


@pytest.mark.parametrize(
    "settings,spec,message",
    [
        ({"width": 0}, GREY, "width is 0; it must be 1 or more"),
        ({"layers": 0}, GREY, "layers is 0"),
        ({"width": 8}, DataSpec(kind="image", shape=(3, 4, 4)), "must be multiples of 3"),
        ({}, DataSpec(kind="audio", shape=(1, 64), sample_rate=8000), "model of images"),
        ({"conditional": True}, GREY, "needs labels"),
        ({"binarise": "dynamic"}, PALETTE, "only grey images"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(settings: dict[str, object], spec: DataSpec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelRNN(PixelRNNConfig(**settings), spec)  # type: ignore[arg-type]
