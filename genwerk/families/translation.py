"""What families that translate images share: which data they take, and sources that are known of each image."""

from __future__ import annotations

from torch import Tensor

from genwerk.core.abilities import Translates
from genwerk.core.degradation import Degradation, SourceImage
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model
from genwerk.core.spec import Batch, DataSpec


def require_intensities(model: Model, spec: DataSpec) -> None:
    """A BadInput unless data of ``spec`` are images whose pixels are intensities, and not names of colours."""
    if spec.palette:
        raise BadInput(
            f"{type(model).__name__} translates images whose pixels have intensities, and these have a palette of "
            f"{len(spec.palette)} colours; read them as RGB by ‹data.colour› rgb, without a ‹data.palette›"
        )
    if not spec.modality.has_pixels or spec.nominal:
        raise BadInput(f"a model that translates images takes pixels that have intensities, not {spec}")


class TranslatesPairs(Model, Translates):
    """Learns from images with the source of each: one that the data bring along, or a degradation of the image."""

    def __init__(self, config: Config, spec: DataSpec, degradation: Degradation) -> None:
        super().__init__(config, spec)
        require_intensities(self, spec)
        self.condition: SourceImage = SourceImage.of_data(spec, degradation)
        self.degradation = self.condition.degradation
        self.scale = self.degradation.scale

    def source(self, batch: Batch) -> Tensor:
        return self.checked(batch.condition)

    def checked(self, source: Tensor | None) -> Tensor:
        """``source`` as the condition that it is; a BadInput where it is none."""
        values = self.condition.check(source, self)
        assert values is not None
        return values

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        return self.degradation.taken(x, known)

    def shown(self, source: Tensor) -> Tensor:
        return self.degradation.shown(source, self.spec.shape[0])
