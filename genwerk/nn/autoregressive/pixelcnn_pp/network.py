"""The network of PixelCNN++: two shifted streams, each a U of gated blocks, that end in a mixture of logistics.

Salimans et al., 2017, arXiv:1701.05517, section 2; blocks of van den Oord et al., 2016, arXiv:1606.05328.

Stream u at row i knows the rows above it; stream ul at (i, j) knows those, through u, and what is to the left. Any
height and width will do: halves are rounded up, and what an enlarged map has too much is cut off.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.autoregressive import logistic_mixture as mol
from genwerk.nn.autoregressive.network import Cache
from genwerk.nn.autoregressive.pixelcnn_pp.layers import Grow, Normed, Pointwise, Shifted, concat_elu
from genwerk.nn.autoregressive.pixelcnn_pp.sweeps import Cell, Reading, Row, Sweep, Whole
from genwerk.nn.autoregressive.raster import Raster


class Block(nn.Module):
    """A gated residual block; one of ul receives what its partner in u sends, and on the way up both a ``skip``."""

    pair: int
    """By which number a block of u and its partner in ul know what passes between them."""

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
            h = h + sweep.receive(self.pair, self.every)
        h = sweep.shift(self.second, self.dropout(concat_elu(h)))
        if self.label is not None:
            label: Tensor = self.label(sweep.condition)
            h = h + label.view(*label.shape, *[1] * (h.dim() - 2))
        x = x + F.glu(h, dim=1)
        if self.link is not None:
            sweep.send(self.pair, self.every, sweep.point(self.link, concat_elu(x)))
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


class PixelCNNPPNetwork(Raster):
    """Symbols of images to the mixture of each pixel given those before it.

    ``resolutions`` maps, each with half the height and width of the last, have ``blocks`` gated blocks of ``filters``
    channels each on the way down, and as many and one more on the way up (at the lowest, as many).

    Cached are, by layer, what :mod:`~genwerk.nn.autoregressive.pixelcnn_pp.sweeps` says; by the number of a pair of
    blocks what u sends to ul; the ``row`` in progress (as it begins, the one above); the ``parameters`` of the mixture
    of the pixel in progress; the ``label``.
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
        for i, (above, left) in enumerate(zip(self.u.blocks(), self.ul.blocks(), strict=True), 1):
            above.pair = left.pair = i

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
        sweep.send(0, 1, sweep.shift(self.row_above, above))
        self.u(sweep, sweep.shift(self.rows_above, above))

    def _predict(self, sweep: Sweep, left: Tensor) -> Tensor:
        """Run ul up to the parameters; ``left`` is the input, one column further right."""
        ul = self.ul(sweep, sweep.receive(0, 1) + sweep.shift(self.pixels_left, left))
        return sweep.point(self.head, F.elu(ul))

    def _logits(self, parameters: Tensor, earlier: Tensor) -> Tensor:
        return mol.logits(parameters, earlier, self.shape[0], self.levels)

    # --- one by one ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(self, symbols: Tensor, condition: Tensor | None) -> Cache:
        (n, channels, i, width), sweep = symbols.shape, Reading(condition, symbols.shape[2] - 1)
        x = self.embed(symbols if i else symbols.new_zeros(n, channels, 1, width))
        self.parameters_of(x, sweep)
        last = _with_ones(x)[:, :, -1:].contiguous()
        tensors = sweep.tensors | {"row": last if i else torch.zeros_like(last)}
        cache = Cache(tensors if condition is None else tensors | {"label": condition}, self._pack())
        self.enter(cache, i)
        return cache

    @torch.inference_mode()
    def logits(self, cache: Cache) -> Tensor:
        i, j, channel = self.place(cache.position)
        row = cache.tensors["row"]
        if not channel:
            left = row[:, :, 0, j - 1] if j else torch.zeros_like(row[:, :, 0, 0])
            cache.tensors["parameters"] = self._predict(Cell(cache, i, j), left)
        return self._logits(cache.tensors["parameters"], row[:, :channel, 0, j])

    def write(self, cache: Cache, symbol: Tensor, i: int, j: int, channel: int) -> None:
        cache.tensors["row"][:, channel, 0, j] = self.embed(symbol)
        cache.tensors["row"][:, -1, 0, j] = 1

    @torch.inference_mode()
    def enter(self, cache: Cache, i: int) -> None:
        """Run u over row ``i``, and make room in the caches of ul."""
        self._read_above(Row(cache, i), cache.tensors["row"])
        for layer in self.modules():
            if isinstance(layer, Shifted) and layer.right and i % layer.every == 0:
                cache.tensors[layer] = cache.tensors[layer].roll(-1, 1)

    def _pack(self) -> dict[Normed, tuple[Tensor, Tensor]]:
        """Weights in the order in which rows (of u) and cells (of ul) need them."""
        packed: dict[Normed, tuple[Tensor, Tensor]] = {}
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
