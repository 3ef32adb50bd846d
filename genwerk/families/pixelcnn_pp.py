"""PixelCNN++: whole pixels from a mixture of logistics, by two streams of shifted convolutions.

Salimans, Karpathy, Chen & Kingma, PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and
Other Modifications, 2017, arXiv:1701.05517.

Done differently: gains of the normalised weights start at what keeps the variance, without a first batch of data;
blocks on the way up of the second stream join the first stream and the skip connection by a weight each; levels are
counted exactly in the tails, where the authors' program approximates by the density; samples are levels, drawn one
sub-pixel after the other, so that they can be sharpened and completed, and do not fall between levels; any number of
levels, channels and any height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.nn.autoregressive.pixelcnn_pp.network import PixelCNNPPNetwork
from genwerk.nn.autoregressive.tokeniser import Pixels

PROBE = (4, 6)
"""Rows and columns of the small canvas on which causality is proved."""


@dataclass(frozen=True, kw_only=True)
class PixelCNNPPConfig(AutoregressiveConfig):
    """Settings of PixelCNN++."""

    filters: int = 64
    """Channels of every layer."""
    blocks: int = 3
    """Gated blocks at each resolution on the way down, in each stream; the way up has as many and one more."""
    resolutions: int = 3
    """Resolutions, each of half the height and width of the one before; 1 stays at the image's own."""
    components: int = 10
    """Logistic distributions in a pixel's mixture."""
    dropout: float = 0.0
    """Share of values dropped in the middle of a block in training."""

    def __post_init__(self) -> None:
        for name in ("filters", "blocks", "resolutions", "components"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be 0 (none) or more, and below 1")


class PixelCNNPP(AutoregressiveModel, config=PixelCNNPPConfig):
    """p(pixel | pixels before it) = sum_k pi_k prod_c logistic_k(channel c | channels before it), cut into levels."""

    network: PixelCNNPPNetwork

    def __init__(self, config: PixelCNNPPConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        if not spec.modality.has_pixels:
            raise ValueError(f"PixelCNN++ is for images and cannot take {spec}")
        if spec.palette or spec.nominal:
            raise ValueError(
                f"PixelCNN++ takes levels for intensities, and those of this {spec} are names without an order; train "
                "the recipe pixelcnn"
            )
        symbols, (channels, height, width) = Pixels(spec), spec.shape

        def network(height: int, width: int, levels: int, filters: int) -> PixelCNNPPNetwork:
            return PixelCNNPPNetwork(
                (channels, height, width),
                levels,
                filters=filters,
                blocks=config.blocks,
                resolutions=config.resolutions,
                components=config.components,
                dropout=config.dropout,
                classes=self.condition.classes,
            )

        self.emits(symbols, network(height, width, symbols.levels, config.filters), lambda: network(*PROBE, 2, 4))
