"""Attention among the pixels of an image, and from them to a context such as the words of a caption.

Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, as Ho, Jain & Abbeel (2020, arXiv:2006.11239) put it
into a U-Net, and as transformer blocks with a context after Rombach, Blattmann, Lorenz, Esser & Ommer, High-Resolution
Image Synthesis with Latent Diffusion Models, 2022, arXiv:2112.10752, section 3.3. Feed-forward layers: Shazeer, GLU
Variants Improve Transformer, 2020, arXiv:2002.05202. Every name of a module is the one under which the diffusers
library files its weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def check_heads(channels: int, heads: int) -> None:
    """ValueError unless the channels fall into ``heads`` equal parts."""
    if heads < 1 or channels % heads:
        raise ValueError(
            f"a level that attends is {channels} channels wide, which do not fall into {heads} equal attention heads;"
            f" take a number of heads that divides {channels}"
        )


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention of queries with shape (n, l, d) to keys and values with shape (n, m, d), by heads of
    d / heads channels: values with shape (n, l, d)."""
    parts = [tokens.unflatten(2, (heads, -1)).transpose(1, 2) for tokens in (query, key, value)]
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


def tokens_of(x: Tensor) -> Tensor:
    """An image's pixels, row by row: (n, c, h, w) to (n, h w, c)."""
    return x.flatten(2).transpose(1, 2)


def image_of(tokens: Tensor, like: Tensor) -> Tensor:
    """The inverse of :func:`tokens_of`: an image of the shape of ``like``."""
    return tokens.transpose(1, 2).reshape(like.shape)


class SelfAttention(nn.Module):
    """x with shape (n, c, h, w), plus the attention of its normalised pixels to one another."""

    def __init__(self, channels: int, heads: int = 1, *, groups: int = 32, eps: float = 1e-6) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """A context is not looked at."""
        tokens = tokens_of(self.group_norm(x))
        tokens = attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens), self.heads)
        return x + image_of(self.to_out[0](tokens), x)


class TokenAttention(nn.Module):
    """Tokens with shape (n, l, channels), as queries, to those with shape (n, m, source), as keys and values."""

    def __init__(self, channels: int, source: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k, self.to_v = (nn.Linear(source, channels, bias=False) for _ in range(2))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, tokens: Tensor, source: Tensor) -> Tensor:
        values = attend(self.to_q(tokens), self.to_k(source), self.to_v(source), self.heads)
        y: Tensor = self.to_out[0](values)
        return y


class GEGLU(nn.Module):
    """a * GELU(b), with a and b linear in x: (n, l, channels) to (n, l, out)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * out)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.proj(x).chunk(2, dim=2)
        y: Tensor = a * F.gelu(b)
        return y


class FeedForward(nn.Module):
    """GEGLU to four times the width, and back; the identity between them keeps the numbering of the names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.net(tokens)
        return y


class TransformerBlock(nn.Module):
    """Tokens with shape (n, l, c) plus attention to themselves, then to the context, then a feed-forward layer."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1 = TokenAttention(channels, channels, heads)
        self.attn2 = TokenAttention(channels, context, heads)
        self.ff = FeedForward(channels)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        normalised = self.norm1(tokens)
        tokens = tokens + self.attn1(normalised, normalised)
        tokens = tokens + self.attn2(self.norm2(tokens), context)
        y: Tensor = tokens + self.ff(self.norm3(tokens))
        return y


class SpatialTransformer(nn.Module):
    """x with shape (n, c, h, w) plus what a transformer block makes of its pixels and a context with shape (n, m, d).

    The projections into the block and out of it are 1x1 convolutions, or linear layers (``linear``), whose weights have
    two dimensions instead of four; both compute the same.
    """

    def __init__(
        self, channels: int, heads: int, context: int, *, groups: int = 32, eps: float = 1e-6, linear: bool = False
    ) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.norm = nn.GroupNorm(groups, channels, eps)
        self.proj_in, self.proj_out = (
            nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1) for _ in range(2)
        )
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, heads, context)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        tokens = project(self.proj_in, tokens_of(self.norm(x)))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + image_of(project(self.proj_out, tokens), x)


def project(layer: nn.Linear | nn.Conv2d, tokens: Tensor) -> Tensor:
    """A linear layer or 1x1 convolution of each token."""
    return F.linear(tokens, layer.weight.flatten(1), layer.bias)
