"""The Inception network whose features define the FID.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015, arXiv:1512.00567, as Google published
it for TensorFlow on 2015-12-05 and Heusel et al. (2017, arXiv:1706.08500) used it. It differs from the network of the
paper in three places, on which the figure depends: average pooling leaves the padding out of its mean, the last block
pools by the maximum, and images are brought to 299 x 299 by TensorFlow 1's bilinear rule (no half-pixel shift, no
antialiasing). Layers bear the names under which the converted weights of that network are commonly distributed
(pt_inception-2015-12-05, weights-inception-2015-12-05).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log
from pathlib import Path
from statistics import mean, stdev

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.metrics.features import Extractor, eight_bits, weights_hash

SIDE = 299
"""Height and width in pixels of the images that the network looks at."""
CLASSES = 1008
"""Rows of the last layer of the FID's weights; other Inception weights have 1000."""

Spec = tuple[str, int, tuple[int, int], int]
"""Name, output channels, kernel height and width, and stride of a convolution; only those of stride 1 are padded."""
Step = str | list[Spec]
"""A pooling by name, or convolutions applied side by side to the same input and joined."""
Route = list[Step]
"""Steps one after another."""


def conv(name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1) -> list[Spec]:
    """A step of one convolution; two such steps added are applied side by side."""
    return [(name, channels, (kernel, kernel) if isinstance(kernel, int) else kernel, stride)]


def pool(x: Tensor, how: str) -> Tensor:
    """3 x 3 pooling: ``average`` (of what lies inside the image) and ``max`` keep the size, ``shrink`` halves it."""
    match how:
        case "average":
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        case "max":
            return F.max_pool2d(x, 3, 1, 1)
        case _:
            return F.max_pool2d(x, 3, 2)


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, channels: int, kernel: tuple[int, int], stride: int = 1, pad: bool = False) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(inputs, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Several routes from one input, their outputs joined along the channels."""

    def __init__(self, inputs: int, *routes: Route) -> None:
        super().__init__()
        self.routes, self.channels = routes, 0
        for route in routes:
            width = inputs
            for step in route:
                if not isinstance(step, str):
                    for name, channels, kernel, stride in step:
                        self.add_module(name, Unit(width, channels, kernel, stride, pad=stride == 1))
                    width = sum(channels for _, channels, _, _ in step)
            self.channels += width

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._follow(x, route) for route in self.routes], 1)

    def _follow(self, x: Tensor, route: Route) -> Tensor:
        for step in route:
            x = pool(x, step) if isinstance(step, str) else torch.cat([self.get_submodule(s[0])(x) for s in step], 1)
        return x


def _a(pooled: int) -> Sequence[Route]:
    return (
        [conv("branch1x1", 64)],
        [conv("branch5x5_1", 48), conv("branch5x5_2", 64, 5)],
        [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), conv("branch3x3dbl_3", 96, 3)],
        ["average", conv("branch_pool", pooled)],
    )


def _b() -> Sequence[Route]:
    return (
        [conv("branch3x3", 384, 3, 2)],
        [conv("branch3x3dbl_1", 64), conv("branch3x3dbl_2", 96, 3), conv("branch3x3dbl_3", 96, 3, 2)],
        ["shrink"],
    )


def _c(n: int) -> Sequence[Route]:
    row, column = (1, 7), (7, 1)
    once = [conv("branch7x7_1", n), conv("branch7x7_2", n, row), conv("branch7x7_3", 192, column)]
    twice = [conv("branch7x7dbl_1", n), conv("branch7x7dbl_2", n, column), conv("branch7x7dbl_3", n, row)]
    twice += [conv("branch7x7dbl_4", n, column), conv("branch7x7dbl_5", 192, row)]
    return [conv("branch1x1", 192)], [*once], [*twice], ["average", conv("branch_pool", 192)]


def _d() -> Sequence[Route]:
    sevens = [conv("branch7x7x3_1", 192), conv("branch7x7x3_2", 192, (1, 7)), conv("branch7x7x3_3", 192, (7, 1))]
    return (
        [conv("branch3x3_1", 192), conv("branch3x3_2", 320, 3, 2)],
        [*sevens, conv("branch7x7x3_4", 192, 3, 2)],
        ["shrink"],
    )


def _e(pooling: str) -> Sequence[Route]:
    row, column = (1, 3), (3, 1)
    once = conv("branch3x3_2a", 384, row) + conv("branch3x3_2b", 384, column)
    twice = conv("branch3x3dbl_3a", 384, row) + conv("branch3x3dbl_3b", 384, column)
    return (
        [conv("branch1x1", 320)],
        [conv("branch3x3_1", 384), once],
        [conv("branch3x3dbl_1", 448), conv("branch3x3dbl_2", 384, 3), twice],
        [pooling, conv("branch_pool", 192)],
    )


class Inception(nn.Module):
    """Images in [0, 1] with shape (n, 1 or 3, h, w) to features ("pool3") with shape (n, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Unit(32, 64, (3, 3), pad=True)
        self.Conv2d_3b_1x1 = Unit(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Unit(80, 192, (3, 3))
        self.Mixed_5b = Block(192, *_a(32))
        self.Mixed_5c = Block(256, *_a(64))
        self.Mixed_5d = Block(288, *_a(64))
        self.Mixed_6a = Block(288, *_b())
        self.Mixed_6b = Block(768, *_c(128))
        self.Mixed_6c = Block(768, *_c(160))
        self.Mixed_6d = Block(768, *_c(160))
        self.Mixed_6e = Block(768, *_c(192))
        self.Mixed_7a = Block(768, *_d())
        self.Mixed_7b = Block(1280, *_e("average"))
        self.Mixed_7c = Block(2048, *_e("max"))

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(prepare(x))))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(pool(x, "shrink")))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(pool(x, "shrink"))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def prepare(x: Tensor) -> Tensor:
    """Images in [0, 1] with shape (n, c, h, w) as the network takes them: 8 bits, 3 x 299 x 299, in [-1, 1)."""
    x = eight_bits(x, "Inception")
    height, width = (interpolation(side, SIDE).to(x) for side in x.shape[2:])
    return ((height @ x @ width.T - 128) / 128).expand(-1, 3, -1, -1)


def interpolation(old: int, new: int) -> Tensor:
    """Matrix with shape (new, old) of TensorFlow 1's bilinear rule: pixel i stands where i * old / new was."""
    position = torch.arange(new, dtype=torch.float64) * old / new
    below = position.long()
    matrix = torch.zeros(new, old, dtype=torch.float64)
    rows, share = torch.arange(new), position - below
    matrix[rows, below] = 1 - share
    matrix[rows, (below + 1).clamp(max=old - 1)] += share
    return matrix


def inception(path: Path, device: torch.device) -> Extractor:
    """Inception with the weights in the .safetensors file ``path``."""
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise ValueError(
            f"there is no Inception weights file {path}; set GENWERK_INCEPTION to one, or unset it"
        ) from None
    except SafetensorError:
        raise ValueError(
            f"{path} is not a safetensors file, and pickled weights (.pth) are never opened, for they can run code; "
            "convert them: safetensors.torch.save_file(torch.load(OLD, weights_only=True), NEW)"
        ) from None
    network = Inception()
    expected = {k: v.shape for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    last = weights.get("fc.weight")
    if last is not None and len(last) != CLASSES:
        raise ValueError(
            f"{path} holds an Inception of {len(last)} classes, whose features do not give the FID; "
            f"expected the weights of 2015-12-05 with {CLASSES}"
        )
    for name, shape in expected.items():
        if name not in weights or weights[name].shape != shape:
            raise ValueError(f"{path} does not hold Inception's weights: {name!r} is missing or has another shape")
    network.load_state_dict({name: weights[name] for name in expected}, strict=False)
    network.requires_grad_(False).eval().to(device)
    return Extractor(
        "Inception 2015-12-05",
        network,
        None,
        weights_hash(network.state_dict().values()),
        device,
        50,
        inception=True,
        head=None if last is None else partial(F.linear, weight=last.float().to(device)),
    )


def inception_score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    """exp E KL(p(y | x) || p(y)), from 1 to the number of classes: its mean and standard deviation over ``splits``.

    Salimans et al., "Improved Techniques for Training GANs", 2016, arXiv:1606.03498, section 4. ``logits`` have shape
    (n, classes), in random order; each split has a p(y) of its own. As in the authors' code, Inception's logits are
    taken without the last layer's bias.
    """
    if len(logits) < splits:
        raise ValueError(f"the inception score is of {splits} splits, and there are {len(logits)} samples")
    scores = []
    for part in logits.double().log_softmax(1).tensor_split(splits):
        marginal = part.logsumexp(0, keepdim=True) - log(len(part))
        scores.append((part.exp() * (part - marginal)).sum(1).mean().exp().item())
    return mean(scores), stdev(scores)
