"""The interface of every network from an image to another."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import nn

from genwerk.core.component import Component


@dataclass(frozen=True, kw_only=True)
class TranslationNetwork(Component):
    """Settings of a convolutional network from source images to images, of any height and width."""

    @abstractmethod
    def build(self, channels: int, out: int, scale: int) -> nn.Module:
        """From images with shape (n, channels, h, w) to raw output with shape (n, out, scale * h, scale * w)."""

    @property
    @abstractmethod
    def margin(self) -> int:
        """Pixels around a part of the source, which begins and ends at multiples of the stride, on which the output of
        that part depends, at most."""

    @property
    def stride(self) -> int:
        """Pixels of the source by which a part may be moved so that what is made of it moves with it and else stays."""
        return 1
