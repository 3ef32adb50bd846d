"""Named extractors: what turns examples into the features in which samples are compared.

A distance between features means nothing without the network that they come from, so an :class:`Extractor` carries its
name, how good it is at its own task, and a hash of its weights. Only figures in Inception's features are called FID and
KID; see :mod:`genwerk.metrics.inception`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import ceil, prod

import torch
from torch import Tensor, nn

from genwerk.core.batching import batches
from genwerk.core.model import Config, Loss, Model
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset


@dataclass(frozen=True)
class Extractor:
    """A named map from examples to features.

    ``network`` takes x with shape (n, *spec.shape), in the units of the spec and on ``device``, to (n, d).
    """

    name: str
    network: Callable[[Tensor], Tensor]
    accuracy: float | None
    """Fraction of held-out examples that it classifies rightly, where it is a classifier trained here."""
    hash: str
    """First 12 hex digits of the sha256 of its weights."""
    device: torch.device | str = "cpu"
    batch: int = 250
    """Most examples sent through the network at once."""
    inception: bool = False
    """Whether these are Inception's features, in which the Fréchet distance is the FID."""
    head: Callable[[Tensor], Tensor] | None = None
    """A classifier's last layer: takes features (n, d), on ``device``, to logits (n, classes)."""
    classes: tuple[str, ...] = ()
    """What the logits stand for where they are of the data's own labels; empty where they are of anything else."""
    chance: float = 0.0
    """Share of the held-out examples that are of the most frequent class: the accuracy of knowing nothing."""

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Float32 features with shape (n, d), on the CPU, of examples with shape (n, *spec.shape)."""
        place = torch.device(self.device)
        parts = batches(lambda rows: self.network(x[rows].to(place)).float().cpu(), len(x), place, most=self.batch)
        return torch.cat(list(parts))

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Float32 logits with shape (n, classes), on the CPU, of features with shape (n, d); of a classifier only."""
        assert self.head is not None
        return self.head(features.to(self.device)).float().cpu()

    def describe(self) -> str:
        """One line for reports."""
        accuracy = [] if self.accuracy is None else [f"accuracy {self.accuracy:.1%}"]
        accuracy += [f"chance {self.chance:.1%}"] if self.chance else []
        return f"{self.name} ({', '.join([*accuracy, f'weights {self.hash}'])})"


def weights_hash(tensors: Iterable[Tensor]) -> str:
    """First 12 hex digits of the sha256 of the tensors' bytes, in their order."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def eight_bits(x: Tensor, of: str) -> Tensor:
    """Images in [0, 1] with shape (n, c, h, w) as 8-bit numbers, floats from 0 to 255 with shape (n, 1 or 3, h, w).

    c is 1 (grey), 3 (colour) or 4 (with alpha: they are laid over white). ``of`` names the network that looks at them.
    """
    if x.shape[1] not in (1, 3, 4):
        raise ValueError(f"images have {x.shape[1]} channels; {of}'s features are for 1, 3 or 4 (with alpha)")
    if x.shape[1] == 4:
        x = 1 - x[:, 3:] * (1 - x[:, :3])
    return (x * 255).round().clamp(0, 255)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Config):
    """The network whose penultimate layer gives features."""

    width: int = 16
    """Channels of the first convolution; every further one has twice as many."""
    features: int = 64
    """Values of the penultimate layer."""


class Classifier(Model):
    """A small convolutional classifier of ``spec.classes``, not generative and so in no registry.

    Three convolutions of what the modality shows it (of sounds their spectrogram), of which the first brings each side
    to at most 32 pixels and the others halve it.
    """

    def __init__(self, config: ClassifierConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        channels, high, wide = spec.modality.as_image(torch.zeros(1, *spec.shape)).shape[1:]
        rows, columns, w = ceil(high / 32), ceil(wide / 32), config.width
        small = [ceil(ceil(ceil(side / stride) / 2) / 2) for side, stride in ((high, rows), (wide, columns))]
        kernel, strides = (2 * rows + 1, 2 * columns + 1), (rows, columns)
        self.body = nn.Sequential(
            nn.Conv2d(channels, w, kernel, strides, strides, bias=False),
            nn.BatchNorm2d(w),
            nn.ReLU(),
            nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False),
            nn.BatchNorm2d(2 * w),
            nn.ReLU(),
            nn.Conv2d(2 * w, 4 * w, 3, 2, 1, bias=False),
            nn.BatchNorm2d(4 * w),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * w * prod(small), config.features, bias=False),
            nn.BatchNorm1d(config.features, affine=False),
        )
        self.head = nn.Linear(config.features, len(spec.classes))

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, before its ReLU, with shape (n, features) for examples x with shape (n, *spec.shape).

        Batch normalisation leaves every feature with mean 0 and variance 1 over the training data, so that distances
        are on one scale whatever the data.
        """
        features: Tensor = self.body(self.spec.modality.as_image(x))
        return features

    def logits(self, features: Tensor) -> Tensor:
        """Class logits with shape (n, classes) of features with shape (n, features)."""
        logits: Tensor = self.head(features.relu())
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Class logits with shape (n, classes)."""
        return self.logits(self.features(x))

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy in nats, and the fraction classified wrongly."""
        assert batch.condition is not None
        logits = self(batch.x)
        wrong = (logits.argmax(1) != batch.condition).float().mean()
        return nn.functional.cross_entropy(logits, batch.condition), {"error": wrong}


def is_labelled(dataset: Dataset) -> bool:
    """Whether there are classes to tell apart."""
    return dataset.condition is not None and len(dataset.spec.classes) > 1


def oriented(dataset: Dataset, seed: int = 0) -> Dataset:
    """Images labelled by how they were turned, for data without labels.

    Each image takes one of four orientations at random: quarter turns when it is square (Gidaris et al., 2018,
    arXiv:1803.07728), else the two flips and both together.
    """
    height, width = dataset.spec.shape[1:]
    names = ("0", "90", "180", "270") if height == width else ("upright", "mirrored", "upside down", "both")
    turn = torch.randint(4, (len(dataset),), generator=torch.Generator().manual_seed(seed)).to(dataset.device)
    x = dataset.x.clone()
    for k in range(1, 4):
        rows = turn == k
        if height == width:
            x[rows] = torch.rot90(x[rows], k, (2, 3))
        else:
            x[rows] = x[rows].flip([d for d, bit in ((3, 1), (2, 2)) if k & bit])
    return replace(dataset, x=x, condition=turn, captions=None, text=None, spec=replace(dataset.spec, classes=names))
