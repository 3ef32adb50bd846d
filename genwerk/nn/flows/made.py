"""MADE: a fully connected network each of whose outputs depends only on the inputs before it.

Germain, Gregor, Murray & Larochelle, MADE: Masked Autoencoder for Distribution Estimation, 2015, arXiv:1502.03509.

Done differently: the inputs are in order, 0 to d - 1 (:class:`Autoregressive` sorts them), and the units of a hidden
layer are sorted by degree, so that those that the first inputs determine are the beginning of every layer, and a pass
can be run in pieces (:class:`Walk`). With a context there are units of degree -1, which see nothing else, so that the
first output depends on it as well.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.nn.mlp import ACTIVATIONS, Activation

Degrees = Literal["even", "random"]


def hidden_degrees(kind: Degrees, width: int, least: int, greatest: int, random: Random) -> list[int]:
    """The degrees of a layer's ``width`` units, rising from ``least`` to ``greatest`` at most: evenly, or at random."""
    count = greatest - least + 1
    if kind == "even":
        return [least + i * count // width for i in range(width)]
    return sorted(least + int(random.random() * count) for _ in range(width))


class MaskedLinear(nn.Linear):
    """A linear layer from units of rising degrees ``sources`` to units of ``targets``, which see no higher ones.

    ``strict``: nor their own degree. Weights that do not count are multiplied by zero, and get no gradient.
    """

    mask: Tensor

    def __init__(self, sources: Sequence[int], targets: Sequence[int], *, strict: bool = False) -> None:
        super().__init__(len(sources), len(targets))
        mask = torch.tensor(sources) + int(strict) <= torch.tensor(targets)[:, None]
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        seen = sum(k * bisect_right(sources, degree - int(strict)) for degree, k in Counter(targets).items())
        bound = max(1.0, seen / len(targets)) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """Examples with shape (n, d), and context, to parameters with shape (n, size, d), zero to begin with.

    Those of value i depend on the values before i, and on all of the context. ``degrees`` says how many units of a
    hidden layer see how far: as many for every value, or drawn by ``seed``.
    """

    def __init__(
        self,
        dims: int,
        size: int,
        widths: Sequence[int],
        activation: Activation = "relu",
        context: int = 0,
        degrees: Degrees = "even",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dims, self.size = dims, size
        least, greatest = -1 if context else 0, dims - 2
        random = Random(seed)
        self.degrees = [list(range(dims))]
        for width in widths if least <= greatest else ():
            self.degrees.append(hidden_degrees(degrees, width, least, greatest, random))
            least = self.degrees[-1][0]
        self.layers = nn.ModuleList(MaskedLinear(a, b) for a, b in pairwise(self.degrees))
        self.last = MaskedLinear(self.degrees[-1], list(range(dims)) * size, strict=True)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.tell = nn.Linear(context, len(self.degrees[1]), bias=False) if context and self.layers else None
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = x
        for i, layer in enumerate(self.layers):
            h = layer(h)
            if i == 0 and self.tell is not None:
                h = h + self.shift(context, x)
            h = self.activation(h)
        found: Tensor = self.last(h).unflatten(1, (self.size, self.dims))
        return found

    def shift(self, context: Tensor | None, like: Tensor) -> Tensor:
        """What the context adds to the first hidden layer, with shape (n, units)."""
        assert context is not None
        assert self.tell is not None
        shift: Tensor = self.tell(context.to(like.dtype))
        return shift

    def known(self, layer: int, values: int) -> int:
        """How many units of ``layer`` (0 is the input) are settled, and seen by some output, once ``values`` are known.

        Inputs are settled themselves; a unit of degree m, which sees the values up to m, is for the outputs after m.
        """
        return values if layer == 0 else bisect_left(self.degrees[layer], values - 1)


class Walk:
    """A pass of ``made`` in pieces: a few values at a time, and each unit once, as soon as these determine it.

    Between two calls of :meth:`take`, the parameters of the next values can be computed as often as needed.
    """

    def __init__(self, made: MADE, like: Tensor, context: Tensor | None = None) -> None:
        self.made = made
        self.settled = [like.new_empty(len(like), 0) for _ in made.degrees]
        self.shift = None if made.tell is None else made.shift(context, like)
        self.values = 0

    def ahead(self, count: int) -> None:
        """Prepare the next ``count`` values: compute what the settled units contribute to them."""
        made, end = self.made, self.values + count
        self.pieces: list[tuple[Tensor, Tensor]] = []
        for i, layer in enumerate([*made.layers, made.last]):
            assert isinstance(layer, MaskedLinear)
            old, new = made.known(i, self.values), made.known(i, end)
            if layer is made.last:
                weight, mask, bias = (
                    t.unflatten(0, (made.size, made.dims))[:, self.values : end].flatten(0, 1)
                    for t in (layer.weight, layer.mask[:, old:new], layer.bias)
                )
            else:
                rows = slice(made.known(i + 1, self.values), made.known(i + 1, end))
                weight, mask, bias = layer.weight[rows], layer.mask[rows, old:new], layer.bias[rows]
            base = F.linear(self.settled[i], weight[:, :old], bias)
            if i == 0 and self.shift is not None:
                base = base + self.shift[:, rows]
            self.pieces.append((base, weight[:, old:new] * mask))
        self.count = count

    def parameters(self, x: Tensor) -> Tensor:
        """Those of the values ahead, with shape (n, size, count), where the values themselves are ``x`` (n, count)."""
        self.units = [x]
        for base, weight in self.pieces[:-1]:
            self.units.append(self.made.activation(base + F.linear(self.units[-1], weight)))
        base, weight = self.pieces[-1]
        found: Tensor = (base + F.linear(self.units[-1], weight)).unflatten(1, (self.made.size, self.count))
        return found

    def take(self, x: Tensor) -> None:
        """Go on from the values ``x``, for which :meth:`parameters` was called last."""
        self.units[0] = x
        self.settled = [torch.cat(pair, 1) for pair in zip(self.settled, self.units, strict=True)]
        self.values += self.count
