"""How the raw output of a generator becomes an image, beside its source."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.nn.translation.resnet import ResidualTranslator

Output = Literal["image", "mask", "colours"]
"""Whether the generator makes all of the image; an image, and a mask of what of it replaces the source; or for every
pixel an affine map of colours, which keeps what is drawn and is smooth where the generator is."""


def channels(output: Output, image: int) -> int:
    """Channels of raw output for images of so many."""
    return {"image": image, "mask": image + 1, "colours": image * (image + 1)}[output]


def blended(raw: Tensor, source: Tensor, output: Output) -> tuple[Tensor, Tensor | None]:
    """The image that ``raw`` makes of ``source``, and the mask in [0, 1] with shape (n, 1, h, w); both images are in
    [-1, 1], which what maps of colours make may leave.

    With a mask A * C + (1 - A) * x, A being the share of what is made (Pumarola et al., GANimation, 2018,
    arXiv:1807.09251, section 4.1, where A is the share of what stays). Maps of colours are added to the identity
    (Gharbi et al., Deep Bilateral Learning for Real-Time Image Enhancement, 2017, arXiv:1707.02880, section 3.3, there
    on a grid of brightness besides).
    """
    raw = raw.float() if raw.dtype == torch.bfloat16 else raw
    if output == "image":
        return raw.tanh(), None
    if output == "mask":
        mask = raw[:, -1:].sigmoid()
        return source.lerp(raw[:, :-1].tanh(), mask), mask
    shift, *rows = raw.split(source.shape[1], 1)
    change = shift + torch.stack([(row * source).sum(1) for row in rows], 1)
    return source + change, None


def begun(network: ResidualTranslator, output: Output) -> ResidualTranslator:
    """``network``, which with maps of colours begins with the identity."""
    if output == "colours":
        last = list(network.up.children())[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return network
