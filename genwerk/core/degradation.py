"""Degradations: what turns an image into the worse one from which a model learns to make it again.

A degradation is a frozen dataclass in an open registry (:mod:`genwerk.core.component`), so that pairs of a source and
its target are made from images alone; the source is a :class:`~genwerk.core.condition.Condition`. One kind stands for
sources that are data themselves (:class:`Pairs`). Images are float with shape (n, c, h, w) in [0, 1].
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from genwerk.core.component import Component
from genwerk.core.condition import Carrier, Condition
from genwerk.core.errors import BadInput
from genwerk.core.noise import ContentNoise, Noise
from genwerk.core.spec import Batch, DataSpec

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma Y' of ITU-R BT.601."""


def luma(x: Tensor) -> Tensor:
    """Y' of images with shape (n, c, h, w): shape (n, 1, h, w); of grey images themselves, and without alpha."""
    if x.shape[1] < 3:
        return x[:, :1]
    return (x[:, :3] * torch.tensor(LUMA, dtype=x.dtype, device=x.device).view(3, 1, 1)).sum(1, keepdim=True)


def enlarged(x: Tensor, scale: int) -> Tensor:
    """Images ``scale`` times as high and wide, by bicubic interpolation, in [0, 1]."""
    return x if scale == 1 else interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False).clamp(0, 1)


def filled(x: Tensor, known: Tensor, steps: int = 8) -> Tensor:
    """Images with smooth colours where pixels are not ``known`` (boolean with shape (n, 1, h, w)), which join what is
    around them: means of ever larger squares (pull-push: Gortler et al., The Lumigraph, 1996), and at each
    size ``steps`` of Jacobi's method for Laplace's equation. What nothing is known of is grey."""
    weight = known.expand(len(x), -1, -1, -1).to(x.dtype)
    levels = [(x * weight, weight)]
    while max(levels[-1][1].shape[2:]) > 1 and not levels[-1][1].all():
        odd = levels[-1][1].shape[3] % 2, levels[-1][1].shape[2] % 2
        total, share = (avg_pool2d(pad(each, (0, odd[0], 0, odd[1])), 2) for each in levels[-1])
        levels.append((total / share.where(share > 0, 1), (share > 0).to(x.dtype)))
    made = torch.full_like(levels[-1][0], 0.5)
    for colours, weight in reversed(levels):
        height, width = weight.shape[2:]
        if made.shape != colours.shape:
            made = interpolate(made, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
        for step in range(steps + 1):
            if step:
                around = pad(made, (1, 1, 1, 1), mode="replicate")
                rows, columns = around[..., 1:-1], around[..., 1:-1, :]
                made = (rows[..., :-2, :] + rows[..., 2:, :] + columns[..., :-2] + columns[..., 2:]) / 4
            made = colours.where(weight > 0, made)
    return made


@dataclass(frozen=True, kw_only=True)
class Degradation(Component):
    """What is done to an image to make its source."""

    carried: ClassVar[bool] = False
    """Whether sources are data that go with the examples, and not made of these."""

    def fitted(self, spec: DataSpec) -> Degradation:
        """The same for data of ``spec``; a BadInput where it is not for such data."""
        return self

    @property
    def scale(self) -> int:
        """How many times as high and wide as its source an image is."""
        return 1

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the source of an image of ``shape``; a BadInput where such images cannot be degraded."""
        return shape

    @abstractmethod
    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        """The sources of images ``x``, with shape (n, *self.shape); what is random is drawn from ``noise``."""

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        """The source that images ``x`` are, which nobody degraded here; of some pixels alone, where these are ``known``
        (boolean with shape (n, 1, h, w))."""
        if known is not None:
            raise BadInput("a mask is for models that fill holes, which this one was not trained for; leave it out")
        return x

    def kept(self, made: Tensor, source: Tensor) -> Tensor:
        """What is ``made`` of a source, with what the source knows of it already."""
        return made

    def shown(self, source: Tensor, channels: int) -> Tensor:
        """The source as the image that it is without a model: of the target's size, with so many ``channels``."""
        return enlarged(source, self.scale)[:, :channels]


@dataclass(frozen=True, kw_only=True)
class Downscale(Degradation, kind="downscale"):
    """Fewer pixels, by bicubic interpolation with antialiasing (as MATLAB's imresize, and as Pillow's BICUBIC)."""

    factor: int = 2
    """How many times as high and wide the image is."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"the factor is {self.factor}; an image is made smaller by 2 or more")

    @property
    def scale(self) -> int:
        return self.factor

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = shape
        if height % self.factor or width % self.factor:
            raise BadInput(
                f"images of {width}x{height} pixels are no whole number of times {self.factor}; bring them to another "
                "‹data.size›"
            )
        return channels, height // self.factor, width // self.factor

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        size = [side // self.factor for side in x.shape[2:]]
        return interpolate(x, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Degradation, kind="noise"):
    """White Gaussian noise, of a standard deviation that is uniform between two (blind denoising: Zhang et al., 2017,
    arXiv:1608.03981); not clipped, as papers have it."""

    sigma: tuple[float, float] = (0.0, 55 / 255)
    """Least and greatest standard deviation, of pixels in [0, 1]; one number twice is noise of one strength."""

    def __post_init__(self) -> None:
        low, high = self.sigma
        if not 0 <= low <= high:
            raise ValueError(f"sigma is {self.sigma}; expected two numbers from 0 on, the lesser first")

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        low, high = self.sigma
        u, e = noise.uniform(1, 1, 1), noise.normal(*x.shape[1:])
        return x + (low + (high - low) * u).to(x) * e.to(x)

    def shown(self, source: Tensor, channels: int) -> Tensor:
        return source[:, :channels].clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Greyscale(Degradation, kind="grey"):
    """Luma alone (ITU-R BT.601), of colour images."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape[0] < 3:
            raise BadInput("the images are grey, so that there is no colour to learn; take images in colour")
        return 1, *shape[1:]

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        return luma(x)

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        return luma(super().taken(x, known))

    def shown(self, source: Tensor, channels: int) -> Tensor:
        return source.expand(-1, channels, -1, -1)


@dataclass(frozen=True, kw_only=True)
class Holes(Degradation, kind="holes"):
    """Rectangles taken out, where the source has smooth colours (:func:`filled`); its last channel is 1 where pixels
    are known, else 0 (Pathak et al., 2016, arXiv:1604.07379, have one grey square; rectangles of random place and size
    are as drawn masks)."""

    most: int = 3
    """Greatest number of rectangles, which is drawn from 1 on."""
    side: tuple[float, float] = (0.15, 0.5)
    """Least and greatest side of a rectangle, as a fraction of the image's."""

    def __post_init__(self) -> None:
        if self.most < 1 or not 0 < self.side[0] <= self.side[1] <= 1:
            raise ValueError(
                f"holes are {self.most} rectangles of sides {self.side}; expected 1 or more, of sides above 0 and up "
                "to 1, the lesser first"
            )

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0] + 1, *shape[1:]

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        return self.masked(x, self.known(x.shape[2], x.shape[3], noise).to(x.device))

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        if known is None:
            raise BadInput("there is no hole to fill; give ‹mask›, an image that is dark where pixels are missing")
        if known.all():
            raise BadInput("there is no hole to fill: ‹mask› is light everywhere; darken it where pixels are missing")
        return self.masked(x, known)

    def kept(self, made: Tensor, source: Tensor) -> Tensor:
        return source[:, :-1].where(source[:, -1:] > 0.5, made)

    def known(self, height: int, width: int, noise: Noise) -> Tensor:
        """Where pixels stay, boolean with shape (n, 1, height, width)."""
        u = noise.uniform(self.most, 5).cpu()
        low, high = self.side
        fractions = low + (high - low) * u[..., :2]
        start = u[..., 2:4] * (1 - fractions)
        there = torch.arange(self.most) <= u[:, 0, 4:] * self.most - torch.finfo(u.dtype).eps  # a number from 1 on
        inside = torch.ones(len(u), self.most, height, width, dtype=torch.bool)
        for axis, pixels in enumerate((height, width)):
            middle = (torch.arange(pixels) + 0.5) / pixels
            span = (middle >= start[..., axis, None]) & (middle < (start + fractions)[..., axis, None])
            inside &= span[..., None] if axis == 0 else span[:, :, None]
        return ~(inside & there[:, :, None, None]).any(1, keepdim=True)

    def masked(self, x: Tensor, known: Tensor) -> Tensor:
        """The source of images ``x`` of which pixels are ``known``, boolean with shape (n, 1, h, w)."""
        colours = torch.cat([filled(channel, known) for channel in x.split(1, 1)], 1)  # one by one: less memory
        return torch.cat([colours, known.expand(len(x), -1, -1, -1).to(x.dtype)], 1)


@dataclass(frozen=True, kw_only=True)
class Pairs(Degradation, kind="pairs"):
    """The image that goes with each example in the data, of any number of channels (pix2pix: Isola et al., 2017)."""

    carried = True

    def fitted(self, spec: DataSpec) -> Degradation:
        if not spec.source:
            raise BadInput(
                "the data carry no source images; give pairs as ‹data› SOURCES ‹to› IMAGES, two folders whose "
                "files are called alike, or choose another ‹model.degradation›"
            )
        return Paired(source=spec.source, factor=spec.shape[1] // spec.source[1])

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        raise TypeError("pairs have the shapes that they have in the data; ask what they are fitted to")

    def __call__(self, x: Tensor, noise: Noise) -> Tensor:
        raise TypeError("the sources of pairs are data, and are not made of images")


@dataclass(frozen=True, kw_only=True)
class Paired(Pairs):
    """Pairs of known shapes."""

    source: tuple[int, ...]
    """Shape of a source."""
    factor: int
    """How many times as high and wide the image is."""

    @property
    def scale(self) -> int:
        return self.factor

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.source

    def taken(self, x: Tensor, known: Tensor | None = None) -> Tensor:
        return recoloured(super().taken(x, known), self.source[0])

    def shown(self, source: Tensor, channels: int) -> Tensor:
        return recoloured(enlarged(source, self.scale), channels)


def recoloured(x: Tensor, channels: int) -> Tensor:
    """Images with shape (n, c, h, w) with so many ``channels``: grey as luma or as a colour, opaque where there was no
    alpha, and without alpha where there is to be none."""
    if x.shape[1] == channels:
        return x
    colour = luma(x) if channels == 1 else x[:, :3] if x.shape[1] > 1 else x.expand(-1, 3, -1, -1)
    return torch.cat([colour, torch.ones_like(x[:, :1])], 1) if channels == 4 else colour


@dataclass(frozen=True)
class SourceImage(Condition):
    """The image that an example is to be made from, made of it or carried beside it: float with shape (n, *shape)."""

    name, plural, borrowed = "source", "source images", True
    shape: tuple[int, ...]
    """Of a source: channels, height, width."""
    degradation: Degradation
    """What turns an example into its source."""

    @classmethod
    def of_data(cls, spec: DataSpec, degradation: Degradation) -> Self:
        """The sources of data of ``spec``, by ``degradation``."""
        fitted = degradation.fitted(spec)
        return cls(fitted.shape(spec.shape), fitted)

    @property
    def derived(self) -> bool:
        return not self.degradation.carried

    @property
    def noun(self) -> str:
        return "a source image"

    @property
    def expected(self) -> str:
        return f"an image of {self.shape[0]} channels each"

    def valid(self, values: Tensor) -> bool:
        return values.dim() == 4 and values.shape[1] == self.shape[0] and bool(values.isfinite().all())

    def column(self, data: Carrier) -> Tensor | None:
        if self.derived:
            return None
        if data.source is None:
            raise BadInput(
                "this model makes images from the sources that go with them, and these data carry none; take data of "
                "two folders whose files are called alike"
            )
        return data.source

    def made(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        return self.degradation(x, ContentNoise(x) if noise is None else noise)

    def drawn(self, batch: Batch, noise: Noise) -> Tensor:
        """The sources of a training batch: where they are made, what is random in them is drawn from ``noise``."""
        if self.derived:
            return self.made(batch.x, noise)
        assert batch.condition is not None
        return batch.condition
