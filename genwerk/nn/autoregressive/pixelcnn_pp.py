"""The network of PixelCNN++: two shifted streams, each a U of gated blocks, that end in a mixture of logistics.

Salimans et al., 2017, arXiv:1701.05517, section 2; blocks of van den Oord et al., 2016, arXiv:1606.05328.

Stream u at row i knows the rows above it; stream ul at (i, j) knows those, through u, and what is to the left. A kernel
that reaches only upwards (or upwards and to the left) needs no mask. The same code runs in three ways that differ in
what a convolution finds around it (:class:`Sweep`): over a whole map, which is how it learns; over one row of u; and
over one cell of ul. The latter two work from memory: a lower resolution is computed only at every second or fourth row
and cell, and its enlarged output is left for the rows and cells that follow (Ramachandran et al., 2017,
arXiv:1704.06001).

Any height and width will do: halves are rounded up, and what an enlarged map has too much is cut off.

Weights are normalised (Salimans & Kingma, 2016, arXiv:1602.07868); their gains start without looking at data, at the
value that keeps the variance of inputs of variance 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive import logistic_mixture as mol
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.raster import Raster

# --- layers -----------------------------------------------------------------------------------------------------------


def concat_elu(x: Tensor) -> Tensor:
    """Twice the channels: ELU of x and of -x."""
    return F.elu(torch.cat([x, -x], dim=1))


class Normed(nn.Module):
    """A convolution's weight as direction and gain, and its bias."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int] = (1, 1), gain: float = 1.0) -> None:
        super().__init__()
        self.direction = nn.Parameter(0.05 * torch.randn(outputs, inputs, *kernel))
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def weight(self) -> Tensor:
        """The weight with shape (outputs, inputs, *kernel)."""
        weight = F.normalize(self.direction.flatten(1)) * self.gain.unsqueeze(1)
        return weight.view_as(self.direction)


class Pointwise(Normed):
    """A convolution of one cell."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias)


class Located(Normed):
    """A layer whose surroundings are remembered from cell to cell; ``every`` counts pixels between its inputs' cells.

    ``right`` says of which stream it is: false for u, which goes by rows, true for ul, which goes by cells.
    """

    slot: int
    """Where among a state's tensors its memory is."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], right: bool, every: int, gain: float = 1.0
    ) -> None:
        super().__init__(inputs, outputs, kernel, gain)
        self.kernel, self.right, self.every = kernel, right, every


class Shifted(Located):
    """A convolution that reaches upwards and to both sides, or (``right``) upwards and to the left."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        right: bool,
        every: int,
        gain: float = 1.0,
        stride: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, kernel, right, every, gain)
        self.stride = stride
        before = kernel[1] - 1 if right else kernel[1] // 2
        self.sides = (before, kernel[1] - 1 - before)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (*self.sides, self.kernel[0] - 1, 0))
        return F.conv2d(padded, self.weight(), self.bias, self.stride)


class Grow(Located):
    """A transposed convolution from maps of ``every`` pixels a cell to twice the size: the mirror of stride 2."""

    def __init__(self, filters: int, kernel: tuple[int, int], right: bool, every: int) -> None:
        super().__init__(filters, filters, kernel, right, every, gain=2.0)  # each output meets a quarter of the taps
        self.left = 0 if right else 1

    def forward(self, x: Tensor) -> Tensor:
        """Maps of twice the height and width of ``x``."""
        return self.enlarge(x, self.weight())

    def enlarge(self, x: Tensor, weight: Tensor) -> Tensor:
        grown = F.conv_transpose2d(x, weight.transpose(0, 1), self.bias, stride=2)
        return grown[..., self.left : self.left + 2 * x.shape[3]]


# --- ways to go through an image --------------------------------------------------------------------------------------


WRITTEN, PIXEL, LABEL, START = 0, 1, 2, 3
"""Slots of the row that is being written (as it begins, of the one above), of the parameters of the present pixel, of
the condition (empty where there is none), and of what the first layers of u tell ul."""


class Sweep(ABC):
    """How layers meet their surroundings; ``condition`` holds class indices with shape (n,), where there are any."""

    def __init__(self, condition: Tensor | None) -> None:
        self.condition = condition

    @abstractmethod
    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        """``layer`` of ``x``."""

    @abstractmethod
    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        """``layer`` of ``x`` and of what stands before it."""

    @abstractmethod
    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        """The same for a layer of stride 2; None where none of its outputs falls."""

    @abstractmethod
    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        """What an enlarged map holds here; ``low`` is new at the lower resolution, ``like`` has the size wanted."""

    @abstractmethod
    def tell(self, slot: int, every: int, x: Tensor) -> None:
        """Leave ``x``, from u at ``every`` pixels a cell, to ul."""

    @abstractmethod
    def told(self, slot: int, every: int) -> Tensor:
        """What u has left here."""


class Whole(Sweep):
    """All cells at once; differentiable."""

    def __init__(self, condition: Tensor | None) -> None:
        super().__init__(condition)
        self.links: dict[int, Tensor] = {}

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        return layer.forward(x)

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        return layer.forward(x)

    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        return self.shift(layer, x)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        assert low is not None
        return layer.forward(low)[..., : like.shape[2], : like.shape[3]]

    def tell(self, slot: int, every: int, x: Tensor) -> None:
        self.links[slot] = x

    def told(self, slot: int, every: int) -> Tensor:
        return self.links.pop(slot)


class Reading(Whole):
    """All cells at once, and a memory of what the rows and cells after ``row`` will ask for, by slot.

    Memories are of rows for u, with shape (n, channels, rows, w), and of cells for ul, with shape
    (n, rows, w, channels); those of kernels end in the present row. Row -1 is before the first.
    """

    def __init__(self, condition: Tensor | None, row: int) -> None:
        super().__init__(condition)
        self.row, self.memory = row, dict[int, Tensor]()

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        rows, before = layer.kernel[0], layer.sides[0] if layer.right else 0
        end = self.row // layer.every + 1
        self._keep(layer, F.pad(x, (before, 0, rows, 0))[:, :, end : end + rows])
        return super().shift(layer, x)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        assert low is not None
        first = max(0, self.row // layer.every)
        self._keep(layer, layer.forward(low[:, :, first : first + 1]))
        return super().grow(layer, low, like)

    def tell(self, slot: int, every: int, x: Tensor) -> None:
        self.memory[slot] = x[:, :, max(0, self.row // every)].transpose(1, 2).contiguous()
        super().tell(slot, every, x)

    def _keep(self, layer: Located, x: Tensor) -> None:
        self.memory[layer.slot] = (x.permute(0, 2, 3, 1) if layer.right else x).contiguous()


Packed = dict[Normed, tuple[Tensor, Tensor]]
"""Weight and bias of each layer as they are needed one row, or one cell, at a time."""


class Stepping(Sweep):
    """From memory."""

    def __init__(self, state: Cache, row: int) -> None:
        super().__init__(state.tensors[LABEL])
        self.memory, self.row = state.tensors, row
        self.packed: Packed = state.packed


class Row(Stepping):
    """One row of u, with shape (n, channels, 1, w)."""

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.packed[layer])

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        return F.conv2d(self._remember(layer, x), *self.packed[layer], padding=(0, layer.sides[0]))

    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        seen = self._remember(layer, x)
        if self.row // layer.every % 2:
            return None
        return F.conv2d(seen, *self.packed[layer], stride=2, padding=(0, layer.sides[0]))

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        if low is not None:
            self.memory[layer.slot] = layer.enlarge(low, self.packed[layer][0])
        line = 2 * self.row // layer.every % 2
        return self.memory[layer.slot][:, :, line : line + 1, : like.shape[3]]

    def tell(self, slot: int, every: int, x: Tensor) -> None:
        self.memory[slot] = x[:, :, 0].transpose(1, 2).contiguous()

    def told(self, slot: int, every: int) -> Tensor:
        raise AssertionError("u is told nothing")

    def _remember(self, layer: Shifted, x: Tensor) -> Tensor:
        seen = torch.cat([self.memory[layer.slot][:, :, 1:], x], dim=2)
        self.memory[layer.slot] = seen
        return seen


class Cell(Stepping):
    """One cell of ul, with shape (n, channels)."""

    def __init__(self, state: Cache, row: int, column: int) -> None:
        super().__init__(state, row)
        self.column = column

    def point(self, layer: Pointwise, x: Tensor) -> Tensor:
        weight, bias = self.packed[layer]
        return torch.addmm(bias, x, weight)

    def shift(self, layer: Shifted, x: Tensor) -> Tensor:
        weight, bias = self.packed[layer]
        return torch.addmm(bias, self._remember(layer, x).flatten(1), weight)

    def shrink(self, layer: Shifted, x: Tensor) -> Tensor | None:
        seen = self._remember(layer, x)
        if self.row // layer.every % 2 or self.column // layer.every % 2:
            return None
        weight, bias = self.packed[layer]
        return torch.addmm(bias, seen.flatten(1), weight)

    def grow(self, layer: Grow, low: Tensor | None, like: Tensor) -> Tensor:
        memory = self.memory[layer.slot]
        column = 2 * self.column // layer.every
        if low is not None:
            weight, bias = self.packed[layer]
            memory[:, :, column : column + 2] = torch.addmm(bias, low, weight).view(-1, 2, 2, low.shape[1])
        return memory[:, 2 * self.row // layer.every % 2, column]

    def tell(self, slot: int, every: int, x: Tensor) -> None:
        raise AssertionError("ul tells nothing")

    def told(self, slot: int, every: int) -> Tensor:
        return self.memory[slot][:, self.column // every]

    def _remember(self, layer: Shifted, x: Tensor) -> Tensor:
        memory, column = self.memory[layer.slot], self.column // layer.every
        memory[:, -1, column + layer.sides[0]] = x
        return memory[:, :, column : column + layer.kernel[1]]


# --- streams ----------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """A gated residual block; of ul it hears its partner in u, and on the way up a ``skip`` from the way down."""

    slot: int
    """Where among a state's tensors the row lies that is told from u to ul."""

    def __init__(self, filters: int, right: bool, every: int, skip: bool, classes: int, dropout: float) -> None:
        super().__init__()
        kernel = (2, 2) if right else (2, 3)
        self.every = every
        self.first = Shifted(2 * filters, filters, kernel, right, every)
        self.second = Shifted(2 * filters, 2 * filters, kernel, right, every, gain=0.1)
        self.skip = Pointwise(2 * filters, filters) if skip else None
        self.link = None if right else Pointwise(2 * filters, filters)
        self.label = nn.Embedding(classes, 2 * filters) if classes else None
        self.dropout = nn.Dropout(dropout)
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.05)

    def forward(self, sweep: Sweep, x: Tensor, skip: Tensor | None = None) -> Tensor:
        h = sweep.shift(self.first, concat_elu(x))
        if self.skip is not None:
            assert skip is not None
            h = h + sweep.point(self.skip, concat_elu(skip))
        if self.link is None:
            h = h + sweep.told(self.slot, self.every)
        h = sweep.shift(self.second, self.dropout(concat_elu(h)))
        if self.label is not None:
            label: Tensor = self.label(sweep.condition)
            h = h + label.view(*label.shape, *[1] * (h.dim() - 2))
        x = x + F.glu(h, dim=1)
        if self.link is not None:
            sweep.tell(self.slot, self.every, sweep.point(self.link, concat_elu(x)))
        return x


class Level(nn.Module):
    """A stream at one resolution: blocks on the way down, the lower resolutions, and blocks on the way up.

    Every map of the way down, the first included, is met again by a block of the way up.
    """

    def __init__(
        self, filters: int, right: bool, every: int, blocks: int, lower: int, classes: int, dropout: float
    ) -> None:
        super().__init__()
        kernel, after = (2, 2) if right else (2, 3), blocks + (lower > 0)
        self.before = nn.ModuleList(Block(filters, right, every, False, classes, dropout) for _ in range(blocks))
        self.after = nn.ModuleList(Block(filters, right, every, True, classes, dropout) for _ in range(after))
        self.lower: Level | None = None
        if lower:
            self.shrink = Shifted(filters, filters, kernel, right, every, stride=2)
            self.lower = Level(filters, right, 2 * every, blocks, lower - 1, classes, dropout)
            self.grow = Grow(filters, kernel, right, 2 * every)

    def forward(self, sweep: Sweep, x: Tensor) -> Tensor:
        passed = [x]
        for block in self.before:
            x = block(sweep, x)
            passed.append(x)
        if self.lower is None:
            passed.pop()
        else:
            low = sweep.shrink(self.shrink, x)
            x = sweep.grow(self.grow, None if low is None else self.lower(sweep, low), x)
        for block in self.after:
            x = block(sweep, x, passed.pop())
        return x

    def blocks(self) -> Iterator[Block]:
        """Blocks of all resolutions."""
        return (m for m in self.modules() if isinstance(m, Block))


# --- the network ------------------------------------------------------------------------------------------------------


class PixelCNNPPNetwork(Raster):
    """Symbols of images to the mixture of each pixel given those before it.

    ``resolutions`` maps, each with half the height and width of the last, have ``blocks`` gated blocks of ``filters``
    channels each on the way down, and as many and one more on the way up (at the lowest, as many).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        levels: int,
        *,
        filters: int,
        blocks: int,
        resolutions: int,
        components: int,
        dropout: float = 0.0,
        classes: int = 0,
    ) -> None:
        super().__init__(shape, levels)
        channels = shape[0]
        self.rows_above = Shifted(channels + 1, filters, (2, 3), right=False, every=1)
        self.row_above = Shifted(channels + 1, filters, (1, 3), right=False, every=1)
        self.pixels_left = Shifted(channels + 1, filters, (2, 1), right=True, every=1)
        self.u = Level(filters, False, 1, blocks, resolutions - 1, classes, dropout)
        self.ul = Level(filters, True, 1, blocks, resolutions - 1, classes, dropout)
        self.head = Pointwise(filters, mol.size(components, channels))
        free = count(START + 1)
        for layer in self.modules():
            if isinstance(layer, Located):
                layer.slot = next(free)
        for above, beside in zip(self.u.blocks(), self.ul.blocks(), strict=True):
            above.slot = beside.slot = next(free)

    # --- all at once --------------------------------------------------------------------------------------------------

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        parameters = self.parameters_of(features, Whole(condition))
        rows = zip(parameters.split(1, dim=2), features.split(1, dim=2), strict=True)  # bounds the memory
        return torch.cat([torch.stack([self._logits(p, x[:, :i]) for i in range(x.shape[1])], 2) for p, x in rows], 3)

    def log_prob(self, symbols: Tensor, condition: Tensor | None = None) -> Tensor:
        x = self.embed(symbols)
        return mol.log_prob(self.parameters_of(x, Whole(condition)), x, self.levels)

    def parameters_of(self, x: Tensor, sweep: Whole) -> Tensor:
        """Parameters of the mixture at every pixel of ``x``, in [-1, 1], with shape (n, size, h, w)."""
        x = _with_ones(x)
        self._read_above(sweep, F.pad(x, (0, 0, 1, -1)))
        return self._predict(sweep, F.pad(x, (1, -1)))

    def _read_above(self, sweep: Sweep, above: Tensor) -> None:
        """Run u; ``above`` is the input, one row further down."""
        sweep.tell(START, 1, sweep.shift(self.row_above, above))
        self.u(sweep, sweep.shift(self.rows_above, above))

    def _predict(self, sweep: Sweep, left: Tensor) -> Tensor:
        """Run ul up to the parameters; ``left`` is the input, one column further right."""
        ul = self.ul(sweep, sweep.told(START, 1) + sweep.shift(self.pixels_left, left))
        return sweep.point(self.head, F.elu(ul))

    def _logits(self, parameters: Tensor, earlier: Tensor) -> Tensor:
        return mol.logits(parameters, earlier, self.shape[0], self.levels)

    # --- one by one ---------------------------------------------------------------------------------------------------

    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        return self.prefill(torch.zeros(n, 0, dtype=torch.int64, device=self.head.bias.device), condition)

    @torch.no_grad()
    def prefill(self, sequence: Tensor, condition: Tensor | None = None) -> Cache:
        position = sequence.shape[1]
        row, column, channel = self.place(position)
        begun = row if column or channel else row - 1
        x = self.embed(self.canvas(sequence)[:, :, : max(begun, 0) + 1])
        sweep = Reading(condition, begun)
        parameters = self.parameters_of(x, sweep)
        tensors = sweep.memory
        tensors[WRITTEN] = F.pad(_with_ones(x), (0, 0, 1, 0))[:, :, begun + 1 : begun + 2].contiguous()
        tensors[PIXEL] = parameters[:, :, -1, column].contiguous()
        tensors[LABEL] = x.new_zeros(len(x), 0) if condition is None else condition
        return Cache([tensors[slot] for slot in range(len(tensors))], self._pack(), position)

    @torch.no_grad()
    def logits(self, state: Cache) -> Tensor:
        row, column, channel = self.place(state.position)
        written = state.tensors[WRITTEN]
        if not channel:
            if not column:
                self._begin_row(state, row)
            left = written[:, :, 0, column - 1] if column else torch.zeros_like(written[:, :, 0, 0])
            state.tensors[PIXEL] = self._predict(Cell(state, row, column), left)
        return self._logits(state.tensors[PIXEL], written[:, :channel, 0, column])

    @torch.no_grad()
    def push(self, state: Cache, symbol: Tensor) -> None:
        _, column, channel = self.place(state.position)
        written = state.tensors[WRITTEN]
        written[:, channel, 0, column] = self.embed(symbol)
        written[:, -1, 0, column] = 1
        state.position += 1

    def _begin_row(self, state: Cache, row: int) -> None:
        """Run u over the row, and make room in the memories of ul."""
        self._read_above(Row(state, row), state.tensors[WRITTEN])
        for layer in self.modules():
            if isinstance(layer, Shifted) and layer.right and row % layer.every == 0:
                memory = state.tensors[layer.slot]
                memory[:, :-1] = memory[:, 1:].clone()

    def _pack(self) -> Packed:
        """Weights in the order in which rows (of u) and cells (of ul) need them."""
        packed: Packed = {}
        by_cells = {self.pixels_left, self.head, *self.ul.modules()}
        for layer in self.modules():
            if not isinstance(layer, Normed):
                continue
            weight, bias = layer.weight(), layer.bias
            if layer not in by_cells:
                packed[layer] = weight, bias
            elif isinstance(layer, Grow):  # from channels to the four cells that one becomes
                packed[layer] = weight.permute(1, 2, 3, 0).flatten(1).contiguous(), bias.repeat(4)
            else:
                packed[layer] = weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous(), bias
        return packed


def _with_ones(x: Tensor) -> Tensor:
    """``x`` with a channel of ones, by which what is outside the image is told from what is grey."""
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
