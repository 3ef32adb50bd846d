"""The towers of CLIP: transformers over words and over patches of an image, and a small convolutional one.

Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger & Sutskever, Learning Transferable
Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020, section 2.4; vision transformers are those of
Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, arXiv:2010.11929, with one more normalisation in front. Every
name of a module is the one under which the transformers library files its weights, a misspelt one included.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.nn.conv import halvings

Gelu = Literal["quick_gelu", "gelu"]
"""x sigmoid(1.702 x), as OpenAI's weights expect, or x times the normal distribution function, as OpenCLIP's do."""


def quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Attention among tokens with shape (n, l, width); ``causal``, to none that come later."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"{width} channels do not fall into {heads} equal attention heads; take a divisor")
        self.heads, self.causal = heads, causal
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        values = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        y: Tensor = self.out_proj(values.transpose(1, 2).flatten(2))
        return y


class FeedForward(nn.Module):
    """Two layers with shape (n, l, width), ``hidden`` units between them."""

    def __init__(self, width: int, hidden: int, gelu: Gelu) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.gelu = quick_gelu if gelu == "quick_gelu" else F.gelu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(self.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """Tokens with shape (n, l, width), plus attention, plus a feed-forward layer, each of what is normalised before."""

    def __init__(self, width: int, heads: int, hidden: int, gelu: Gelu, *, causal: bool) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = Attention(width, heads, causal=causal)
        self.mlp = FeedForward(width, hidden, gelu)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        y: Tensor = x + self.mlp(self.layer_norm2(x))
        return y


class Encoder(nn.Module):
    """A stack of blocks, initialised as CLIP's are.

    Standard deviations of the weights are width^-0.5 into attention and (2 width)^-0.5 into the feed-forward layer;
    what is added to the residual stream has width^-0.5 (2 layers)^-0.5, so that the sum does not grow with depth.
    Biases are 0. (In the published code the text tower alone is initialised so; here both are.)
    """

    def __init__(self, width: int, layers: int, heads: int, hidden: int, gelu: Gelu, *, causal: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(width, heads, hidden, gelu, causal=causal) for _ in range(layers))
        into, out, feed = width**-0.5, (2 * layers * width) ** -0.5, (2 * width) ** -0.5
        stds = {"q_proj": into, "k_proj": into, "v_proj": into, "out_proj": out, "fc1": feed, "fc2": out}
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=stds[name.rpartition(".")[2]])
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, skip: int = 0) -> Tensor:
        """Tokens after all blocks but the last ``skip``."""
        if not 0 <= skip <= len(self.layers):
            raise ValueError(f"{skip} layers are to be skipped of {len(self.layers)}; take 0 to {len(self.layers)}")
        for i in range(len(self.layers) - skip):
            x = self.layers[i](x)
        return x


# --- text -------------------------------------------------------------------------------------------------------------


class WordEmbeddings(nn.Module):
    """Token ids with shape (n, l) to token plus position embeddings, with shape (n, l, width)."""

    def __init__(self, size: int, length: int, width: int) -> None:
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(size, width), nn.Embedding(length, width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding.weight, std=0.01)

    def forward(self, tokens: Tensor) -> Tensor:
        room = self.position_embedding.num_embeddings
        if tokens.shape[1] > room:
            raise ValueError(f"a text has {tokens.shape[1]} tokens and the text tower room for {room}; cut it")
        x: Tensor = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]
        return x


class TextTower(nn.Module):
    """A causal transformer over token ids.

    ``size`` is the number of ids, ``length`` the places of a text, ``hidden`` the units of the feed-forward layers (4
    times the width where it is None).
    """

    def __init__(
        self,
        size: int,
        width: int,
        layers: int,
        heads: int,
        *,
        length: int = 77,
        hidden: int | None = None,
        gelu: Gelu = "quick_gelu",
    ) -> None:
        super().__init__()
        self.width = width
        self.embeddings = WordEmbeddings(size, length, width)
        self.encoder = Encoder(width, layers, heads, hidden or 4 * width, gelu, causal=True)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, skip: int = 0) -> Tensor:
        """The states of all places, normalised, with shape (n, l, width), of ids with shape (n, l).

        ``skip`` of the last layers are left out: none in Stable Diffusion 1, one in Stable Diffusion 2.
        """
        states: Tensor = self.final_layer_norm(self.encoder(self.embeddings(tokens), skip))
        return states


def at_end(states: Tensor, tokens: Tensor, end: int | None = None) -> Tensor:
    """The state of each text's first ``end`` token, with shape (n, d), of states with shape (n, l, d).

    Where ``end`` is None it is the greatest id of the text: the rule for files that give 2 as their eos_token_id.
    """
    place = (tokens if end is None else (tokens == end).int()).argmax(1)
    return states[torch.arange(len(states), device=states.device), place]


# --- images -----------------------------------------------------------------------------------------------------------


class PatchEmbeddings(nn.Module):
    """Images to vectors of the class token and of every patch, with shape (n, 1 + patches, width)."""

    def __init__(self, channels: int, side: int, patch: int, width: int) -> None:
        super().__init__()
        if side % patch:
            raise BadInput(
                f"an image of {side}x{side} pixels is not cut evenly into patches of {patch}; take a patch that "
                "divides its side, or another ‹data.size›"
            )
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.patch_embedding = nn.Conv2d(channels, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding((side // patch) ** 2 + 1, width)
        nn.init.normal_(self.position_embedding.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embedding(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.to(patches).expand(len(x), 1, -1), patches], dim=1)
        embedded: Tensor = tokens + self.position_embedding.weight
        return embedded


@dataclass(frozen=True, kw_only=True)
class ImageTower(Component):
    """Settings of what reads images."""

    width: int = 256
    """Units of the last layers, or of every token."""

    @abstractmethod
    def build(self, shape: Sequence[int], gelu: Gelu) -> ConvTower | ViT:
        """What brings images with shape (n, *shape) to (n, width)."""


@dataclass(frozen=True, kw_only=True)
class ConvTowerConfig(ImageTower, kind="conv"):
    """Convolutions, for small images."""

    channels: tuple[int, ...] = (32, 64, 128)
    """Channels of the convolutions, each of which halves the image."""

    def build(self, shape: Sequence[int], gelu: Gelu) -> ConvTower | ViT:
        return ConvTower(shape, self.channels, self.width)


@dataclass(frozen=True, kw_only=True)
class ViTConfig(ImageTower, kind="vit"):
    """A vision transformer, for square images."""

    patch: int = 16
    """Side of a patch in pixels."""
    layers: int = 6
    """Blocks."""
    heads: int = 4
    """Attention heads of each block."""

    def build(self, shape: Sequence[int], gelu: Gelu) -> ConvTower | ViT:
        channels, height, width = shape
        if height != width:
            raise BadInput(
                f"a vision transformer takes square images, not {height}x{width}; bring them to one ‹data.size›"
            )
        return ViT(channels, height, self.patch, self.width, self.layers, self.heads, gelu=gelu)


class ViT(nn.Module):
    """A vision transformer: images with shape (n, channels, side, side) to features with shape (n, width).

    The features are the normalised state of the class token. ``patch`` is the side of a patch in pixels, ``hidden`` the
    units of the feed-forward layers (4 times the width where it is None).
    """

    def __init__(
        self,
        channels: int,
        side: int,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        *,
        hidden: int | None = None,
        gelu: Gelu = "quick_gelu",
    ) -> None:
        super().__init__()
        self.width = width
        self.embeddings = PatchEmbeddings(channels, side, patch, width)
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = Encoder(width, layers, heads, hidden or 4 * width, gelu)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        states = self.encoder(self.pre_layrnorm(self.embeddings(x)))
        features: Tensor = self.post_layernorm(states[:, 0])
        return features


class ConvTower(nn.Module):
    """A convolutional tower for small images: shape (n, *shape) to features with shape (n, width).

    Convolutions of ``channels``, each of which halves height and width, then two linear layers over all that is left,
    so that it matters where in the picture something is.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.width = width
        layers: list[nn.Module] = []
        for i, o in pairwise([shape[0], *channels]):
            layers += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.GroupNorm(gcd(8, o), o), nn.GELU()]
        left = channels[-1] * prod(halvings(shape[1], shape[2], len(channels))[-1])
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(left, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.body(x)
        return features
