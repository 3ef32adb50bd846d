"""The text tower of CLIP alone, as Stable Diffusion has it: it reads prompts, and learns nothing.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020; Rombach
et al., High-Resolution Image Synthesis with Latent Diffusion Models, 2022, arXiv:2112.10752.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from genwerk.core.model import Config, Model, Stage
from genwerk.core.spec import DataSpec
from genwerk.nn.clip import Gelu, TextTower


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig(Config):
    """Settings of a text tower; the defaults are those of Stable Diffusion 1."""

    width: int = 768
    """Units of every token of a text."""
    layers: int = 12
    """Blocks of the transformer."""
    heads: int = 12
    """Attention heads of each of them."""
    hidden: int = 3072
    """Units of the feed-forward layers."""
    gelu: Gelu = "quick_gelu"
    """Function between the two layers of the feed-forward part: exact, or OpenAI's approximation."""
    size: int | None = None
    """Ids that there are vectors for; None is as many as the vocabulary has."""
    skip: int = 0
    """Last blocks that are left out (Stable Diffusion 2: 1)."""


class TextEncoder(Model, config=TextEncoderConfig):
    """Token ids to a vector for each of them, for a network to attend to."""

    def __init__(self, config: TextEncoderConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: TextEncoderConfig = config
        if spec.vocabulary is None:
            raise ValueError(f"a text encoder reads captions, and these data have none: {spec}")
        self.text_model = TextTower(
            config.size or spec.vocabulary.size,
            config.width,
            config.layers,
            config.heads,
            length=spec.vocabulary.length,
            hidden=config.hidden,
            gelu=config.gelu,
        )

    def players(self) -> Mapping[str, nn.Module]:
        """None: it is loaded, or left as it begins."""
        return {}

    def stages(self, rounds: int) -> Sequence[Stage]:
        return []

    @property
    def context_width(self) -> int:
        """Numbers that a token becomes."""
        return self.config.width

    def context(self, text: Tensor) -> Tensor:
        """A vector a token with shape (n, l, width), of ids with shape (n, l)."""
        states: Tensor = self.text_model(text, self.config.skip)
        return states
