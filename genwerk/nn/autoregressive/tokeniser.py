"""Between data in their units and the symbols that an autoregressive model emits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log1p
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.abilities import ScoredAs
from genwerk.core.errors import BadInput
from genwerk.core.noise import own_uniform
from genwerk.core.spec import DataSpec

Binarise = Literal["none", "dynamic", "threshold"]


class Tokeniser(nn.Module, ABC):
    """Data to integer symbols with values 0 to ``levels`` - 1 and shape (n, *shape), and back."""

    levels: int
    shape: tuple[int, ...]
    scored: str
    """What the likelihood of the symbols is a likelihood of, for reports."""
    scored_as: ScoredAs = "stored"
    """As in :class:`genwerk.core.abilities.HasLikelihood`."""
    ordered: bool = True
    """Whether neighbouring values mean nearly the same."""
    random: bool = False
    """Whether :meth:`encode` draws, and takes uniform numbers of the data's shape to do so."""

    @abstractmethod
    def encode(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        """Symbols (int64) of ``x``."""

    @abstractmethod
    def decode(self, symbols: Tensor) -> Tensor:
        """Data of symbols: exact for those that came from data, but for what :meth:`encode` rounds."""

    def known(self, mask: Tensor) -> Tensor:
        """Which symbols are given where ``mask``, boolean with the data's shape, says which values are."""
        return mask


class Pixels(Tokeniser):
    """The stored levels of each channel; or black and white.

    ``dynamic`` binarisation (Salakhutdinov & Murray, 2008) paints a pixel white with probability x, anew at every look
    in training; elsewhere the numbers that decide belong to the picture, so that it always gives the same bits.
    """

    def __init__(self, spec: DataSpec, binarise: Binarise = "none") -> None:
        super().__init__()
        self.binarise = binarise
        self.levels, self.shape = (spec.levels if binarise == "none" else 2), spec.shape
        self.ordered, self.random = not spec.nominal, binarise == "dynamic"
        ways: dict[Binarise, ScoredAs] = {"none": "stored", "dynamic": "binary", "threshold": "symbols"}
        self.scored_as = ways[binarise]
        self.scored = {
            "none": "" if self.levels != 2 else "binary pixels",
            "dynamic": "pixels binarised at random (dynamic binarisation)",
            "threshold": "pixels binarised at one half",
        }[binarise]

    def encode(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        if self.binarise == "dynamic":
            return ((own_uniform(x) if u is None else u) < x).long()
        return (x * (self.levels - 1)).round().long().clamp(0, self.levels - 1)

    def decode(self, symbols: Tensor) -> Tensor:
        return symbols.to(torch.get_default_dtype()) / (self.levels - 1)


class Colours(Tokeniser):
    """The index of each pixel in a palette, the nearest where its colour is not one of them."""

    table: Tensor
    ordered = False

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        if not spec.palette:
            raise BadInput("these data have no palette; give them one with ‹data.palette› 64, the number of colours")
        self.levels, self.shape = len(spec.palette), (1, *spec.shape[1:])
        self.scored = f"{self.levels} palette colours"
        self.register_buffer("table", torch.tensor(spec.palette) / 255, persistent=False)

    def encode(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        pixels = x.movedim(1, -1).reshape(-1, 3)
        nearest = torch.cdist(pixels, self.table.to(x), compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        return nearest.view(len(x), 1, *x.shape[2:])

    def decode(self, symbols: Tensor) -> Tensor:
        return self.table[symbols[:, 0]].movedim(-1, 1)

    def known(self, mask: Tensor) -> Tensor:
        """A colour is one symbol: a mask that knows one channel of a pixel and not another is refused."""
        known = mask.all(1, keepdim=True)
        if (mask != known).any():
            raise ValueError("the mask gives some channels of a pixel and not others; a palette's colour is whole")
        return known


class Tokens(Tokeniser):
    """The ids of texts as they are."""

    ordered = False

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        if spec.vocabulary is None:
            raise BadInput(f"these texts have no vocabulary: {spec}")
        self.levels, self.shape, self.scored = spec.vocabulary.size, spec.shape, f"texts in {spec.vocabulary.units}"

    def encode(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        return x.long()

    def decode(self, symbols: Tensor) -> Tensor:
        return symbols


class MuLaw(Tokeniser):
    """Sound companded by the mu-law and cut into ``levels`` steps, finer near silence (ITU-T G.711; WaveNet, eq. 3)."""

    scored_as = "symbols"

    def __init__(self, spec: DataSpec, levels: int = 256) -> None:
        super().__init__()
        if spec.shape[0] != 1:
            raise ValueError(f"the sound has {spec.shape[0]} channels; symbols are of one (mono)")
        self.levels, self.shape = levels, spec.shape[1:]
        self.scored = f"mu-law samples of {levels} levels"

    def encode(self, x: Tensor, u: Tensor | None = None) -> Tensor:
        mu = self.levels - 1
        companded = x.sign() * torch.log1p(mu * x.abs()) / log1p(mu)
        return ((companded.clamp(-1, 1) + 1) / 2 * mu).round().long()[:, 0]

    def decode(self, symbols: Tensor) -> Tensor:
        mu = self.levels - 1
        companded = 2 * symbols.to(torch.get_default_dtype()) / mu - 1
        return (companded.sign() * torch.expm1(companded.abs() * log1p(mu)) / mu).unsqueeze(1)

    def known(self, mask: Tensor) -> Tensor:
        return mask[:, 0]
