"""PixelRNN: images pixel by pixel, from a state that has seen all pixels above and to the left.

van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759: the Row LSTM (section
3.1), the Diagonal BiLSTM (3.2), residual and skip connections (3.3) and masks by colour (3.4).

Done differently: the Diagonal BiLSTM is computed one pixel past the end of every row, for otherwise the first pixels of
a row do not see the last pixel above, and its context is not the whole past; diagonals are gathered, not skewed and
padded; states outside the image are learned on every side; forget gates begin open; a label can add a bias to the
gates; binary pixels are a softmax of two, and colours of a palette are embedded; Adam in place of RMSProp; and a sample
costs one LSTM update for each pixel, layer and direction, instead of a whole pass a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.nn.autoregressive.pixelrnn import CellName, PixelRNNNetwork
from genwerk.nn.autoregressive.tokeniser import Binarise

PROBE = (3, 5)
"""Rows and columns of the small canvas on which causality is proved."""


@dataclass(frozen=True, kw_only=True)
class PixelRNNConfig(AutoregressiveConfig):
    """Settings of a PixelRNN."""

    cell: CellName = "diagonal"
    """Row LSTM (row: quicker, sees a triangle) or Diagonal BiLSTM (diagonal: sees all earlier pixels)."""
    width: int = 32
    """Units of an LSTM's state, h; features between layers are twice as many. A multiple of the colours of a pixel."""
    layers: int = 1
    """LSTM layers, each with a residual connection."""
    skip: bool = False
    """Whether every layer is also connected to the output."""
    head: int = 32
    """Features of the layer before the output. A multiple of the colours of a pixel."""
    embedding: int = 16
    """Embedding size of a symbol, where symbols are names (palette colours, codes) and not intensities."""
    binarise: Binarise = "none"
    """Grey images as they are (none), or in black and white: drawn with probability x (dynamic), or cut at one half."""

    def __post_init__(self) -> None:
        for name in ("width", "layers", "head", "embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


class PixelRNN(AutoregressiveModel, config=PixelRNNConfig):
    """p(x) = prod p(x_i | x_1 .. x_{i-1}) over pixels and their colours, by two-dimensional LSTMs."""

    def __init__(self, config: PixelRNNConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not spec.modality.has_pixels:
            raise ValueError(f"a PixelRNN is a model of images and cannot take {spec}; for sound take wavenet")
        symbols = spec.modality.tokeniser(config.binarise)
        channels, height, width = symbols.shape

        def network(height: int, width: int, levels: int, widest: int) -> PixelRNNNetwork:
            return PixelRNNNetwork(
                (channels, height, width),
                levels,
                config.cell,
                min(config.width, widest),
                config.layers,
                config.skip,
                min(config.head, widest),
                embedding=0 if symbols.ordered else config.embedding,
                classes=self.condition.classes,
            )

        self.emits(
            symbols,
            network(height, width, symbols.levels, max(config.width, config.head)),
            lambda: network(*PROBE, 2, 12 * channels),
        )
