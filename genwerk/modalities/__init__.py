"""Kinds of data, one class each: see :class:`genwerk.core.modality.Modality`."""

from genwerk.modalities import audio, image, latent, table, text

__all__ = ["audio", "image", "latent", "table", "text"]
