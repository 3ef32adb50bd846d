"""Codes of an autoencoder, as data for the models that make them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwerk.core.layout import SQUARE, Layout
from genwerk.core.modality import Modality
from genwerk.core.spec import Batch
from genwerk.modalities.rows import TABLES, write_table
from genwerk.modalities.writers import ending
from genwerk.nn.flows.preprocessing import PixelTransform, Preprocessing
from genwerk.nn.units import NetworkUnits


class Latent(Modality, kind="latent"):
    """Floats of any scale with shape (c, h, w)."""

    plural = "latents"
    is_grid = shares_scale = True

    @property
    def size(self) -> str:
        return "x".join(map(str, self.spec.shape[1:] + self.spec.shape[:1]))

    def made_up(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, *self.spec.shape, generator=generator).cumsum(-1)

    def units(self, *, centred: bool = True) -> NetworkUnits:
        return NetworkUnits()

    def preprocessing(self, pixels: PixelTransform) -> Preprocessing:
        raise ValueError(f"a flow of {self.spec} is not known; take a diffusion model for it")

    def write(self, stem: Path, batch: Batch, origin: Mapping[str, Any], layout: Layout = SQUARE) -> Path:
        """A table of the numbers, of the targets where there are any."""
        return write_table(ending(stem, TABLES), *self.records([batch]))
