"""PixelCNN and Gated PixelCNN: an image pixel by pixel, each from those above it and to its left, by convolutions.

van den Oord, Kalchbrenner & Kavukcuoglu, Pixel Recurrent Neural Networks, 2016, arXiv:1601.06759 (masked).
van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016, arXiv:1606.05328 (gated).

Done differently: samples are drawn with every activation computed once, as Ramachandran et al., 2017, arXiv:1704.06001
do for PixelCNN++; the label may enter the masked network as well, as a bias in every block; symbols that are names
(colours of a palette, entries of a codebook) enter as learned vectors; nothing looks ahead, which is proved by the
gradient whenever a model is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.families.instead import recipes_for
from genwerk.nn.autoregressive.gated_pixelcnn import GatedPixelCNN
from genwerk.nn.autoregressive.pixelcnn import MaskedPixelCNN
from genwerk.nn.autoregressive.raster import Raster
from genwerk.nn.autoregressive.tokeniser import Binarise

PROBE = 5
"""Side in pixels of the canvas on which causality is checked."""


@dataclass(frozen=True, kw_only=True)
class PixelCNNConfig(AutoregressiveConfig):
    """Settings of a PixelCNN."""

    network: Literal["masked", "gated"] = "masked"
    """Residual blocks of masked convolutions (2016), or two gated stacks without a blind spot."""
    width: int = 16
    """The papers' h: channels inside a masked block, which has 2h outside, or of a gated stack."""
    layers: int = 15
    """Residual blocks, or gated layers of which the first looks at the image."""
    stem: int = 7
    """Side in pixels of the kernel that looks at the image, odd."""
    kernel: int = 3
    """Side in pixels of the other kernels, odd."""
    head: int = 32
    """Channels between the two 1x1 convolutions at the end."""
    embedding: int = 0
    """Embedding size of a symbol; 0 fits it to the data: names are embedded, intensities are one number."""
    binarise: Binarise = "none"
    """Whether grey pixels are binarised: at random in every batch (dynamic), or at one half (threshold)."""

    def __post_init__(self) -> None:
        for name, size in (("stem", self.stem), ("kernel", self.kernel)):
            if size < 3 or size % 2 == 0:
                raise ValueError(f"{name} is {size}; a kernel needs an odd side of 3 pixels or more")
        least = 1 if self.network == "masked" else 2
        if self.layers < least:
            raise ValueError(f"layers is {self.layers}; a {self.network} PixelCNN needs {least} or more")
        if self.embedding < 0:
            raise ValueError(f"embedding is {self.embedding}; it must be 0 (fitted) or a number of channels")


class PixelCNN(AutoregressiveModel, config=PixelCNNConfig):
    """p(x) = prod_i p(x_i | x_1 .. x_{i-1}) over pixels in raster order, red before green before blue."""

    config: PixelCNNConfig

    def __init__(self, config: PixelCNNConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not spec.modality.has_pixels:
            raise ValueError(f"a PixelCNN makes images and the data are {spec}; {recipes_for(spec)}")
        symbols = spec.modality.tokeniser(config.binarise)
        channels, height, width = symbols.shape
        if min(config.width, config.head) < channels:
            raise ValueError(
                f"width {config.width} and head {config.head} cannot be shared among {channels} colours; both must be "
                f"{channels} or more"
            )

        def network(height: int, width: int, levels: int, widest: int) -> Raster:
            return (MaskedPixelCNN if config.network == "masked" else GatedPixelCNN)(
                (channels, height, width),
                levels,
                width=min(config.width, widest),
                layers=config.layers,
                stem=config.stem,
                kernel=config.kernel,
                head=min(config.head, widest),
                embedding=config.embedding or (0 if symbols.ordered else min(32, symbols.levels)),
                classes=self.condition.classes,
            )

        self.emits(
            symbols,
            network(height, width, symbols.levels, max(config.width, config.head)),
            lambda: network(min(height, PROBE), min(width, PROBE), 2, 36),
        )
