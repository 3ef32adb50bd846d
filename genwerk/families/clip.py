"""CLIP: images and the texts that go with them, brought to the same place.

Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger & Sutskever, Learning Transferable
Visual Models From Natural Language Supervision, 2021, arXiv:2103.00020, figure 3 and section 2.5.

Done differently: pixels are standardised by the channels of the training data, and small images get a convolutional
tower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.abilities import AlignsText, Diagnoses
from genwerk.core.condition import Text, choose
from genwerk.core.model import Config, Loss, Model, Player, Stage, TrainingStream, Turn, Turns
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.metrics.recall import alike, chance, recall
from genwerk.nn.clip import ConvTowerConfig, Gelu, ImageTower, TextTower, at_end

STEEPEST = log(100)
"""Greatest logarithm of the scale on cosines; the least is 0."""
MEASURED = 4096
"""Training examples from which the mean and deviation of pixels are taken."""


@dataclass(frozen=True, kw_only=True)
class CLIPConfig(Config):
    """Settings of an image tower, a text tower and the space where they meet."""

    tower: ImageTower = field(default_factory=ConvTowerConfig)
    """What reads images."""
    text_width: int = 64
    """Units of every token of a text."""
    text_layers: int = 2
    """Blocks of the text transformer."""
    text_heads: int = 4
    """Attention heads of each of them."""
    gelu: Gelu = "gelu"
    """Function between the two layers of a transformer's feed-forward part: exact, or OpenAI's approximation."""
    embedding: int = 64
    """Dimensions of the common space."""
    temperature: float = 0.07
    """What cosines are divided by at first; it is learned, and stays from 0.01 to 1."""

    def __post_init__(self) -> None:
        if not 0.01 <= self.temperature <= 1:
            raise ValueError(f"temperature is {self.temperature}; it must be from 0.01 to 1, for example 0.07")
        if self.embedding < 2:
            raise ValueError(f"embedding is {self.embedding}; the common space needs 2 dimensions or more")


def contrast(images: Tensor, texts: Tensor, same: Tensor, scale: Tensor) -> Loss:
    """Symmetric InfoNCE in nats, averaged over n pairs of unit vectors, each with shape (n, d).

    Of every image the text is sought among n, and of every text the image (Radford et al., figure 3). ``same``, boolean
    with shape (n, n), says whose texts are equal. Equal texts have equal vectors, so it makes no difference whether
    they share a target or each has its own: the loss and its gradient are the same. But it does not fall to 0; beside
    it stands what it is where nothing is known, ``chance`` = ln n, and where all is, ``floor``: the mean logarithm of
    how many texts are equal to one.
    """
    with torch.autocast(images.device.type, enabled=False):
        logits = scale * images @ texts.T
    own = torch.arange(len(logits), device=logits.device)
    loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    found = same.gather(1, logits.detach().argmax(1, keepdim=True))
    return loss, {
        "chance": torch.full_like(loss, log(len(logits))),
        "floor": same.sum(1).to(loss.dtype).log().mean(),
        "text found": found.float().mean(),
        "scale": scale,
    }


class CLIP(Model, AlignsText, Diagnoses, config=CLIPConfig):
    """cos(f(image), g(text)) large where they go together, and small where they do not."""

    def __init__(self, config: CLIPConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: CLIPConfig = config
        if not spec.modality.has_pixels or spec.vocabulary is None:
            raise ValueError(
                f"CLIP learns from images with captions, and these data are {spec}; give a folder with a metadata.csv "
                "of file_name and text, or the built-in scenes"
            )
        self.condition = choose(True, spec, Text)
        self.vision_model = config.tower.build(spec.shape, config.gelu)
        self.text_model = TextTower(
            spec.vocabulary.size,
            config.text_width,
            config.text_layers,
            config.text_heads,
            length=spec.vocabulary.length,
            gelu=config.gelu,
        )
        self.visual_projection = nn.Linear(config.tower.width, config.embedding, bias=False)
        self.text_projection = nn.Linear(config.text_width, config.embedding, bias=False)
        for projection in (self.visual_projection, self.text_projection):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(-log(config.temperature)))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.full((spec.shape[0], 1, 1), 0.5))
        self.register_buffer("deviation", torch.full((spec.shape[0], 1, 1), 0.25))

    # --- training -----------------------------------------------------------------------------------------------------

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        yield Turn("model", self.contrast, stream.next_batch(), features=self.features)
        with torch.no_grad():
            self.logit_scale.clamp_(0, STEEPEST)

    def loss(self, batch: Batch) -> Loss:
        """InfoNCE over the examples of ``batch``."""
        return self.contrast(*self.features(batch))

    def features(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors of the images and of the texts, each with shape (n, d), and the texts."""
        text = self.condition.check(batch.condition, self)
        assert text is not None
        return self.embed(batch.x), self.embed_text(text), text

    def contrast(self, images: Tensor, texts: Tensor, text: Tensor) -> Loss:
        """InfoNCE among all whose :meth:`features` are given."""
        return contrast(images, texts, alike(text), self.logit_scale.exp())

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=self._fit_scale)]

    def _fit_scale(self, data: Dataset) -> Dataset:
        if not bool((self.deviation == 0.25).all()):
            return data  # the weights were trained with this mean and deviation
        x = data.subset(MEASURED).batch().x.transpose(0, 1).flatten(1)
        self.mean.copy_(x.mean(1).view(-1, 1, 1))
        self.deviation.copy_(x.std(1).clamp(min=1e-3).view(-1, 1, 1))
        return data

    # --- abilities ----------------------------------------------------------------------------------------------------

    def embed(self, x: Tensor) -> Tensor:
        features = self.vision_model((x - self.mean) / self.deviation)
        return unit(self.visual_projection(features), x)

    def embed_text(self, text: Tensor) -> Tensor:
        text = text[:, : int(text.argmax(1).max()) + 1]  # what follows the last end reaches no end
        features = at_end(self.text_model(text), text)
        return unit(self.text_projection(features), self.mean)

    @property
    def context_width(self) -> int:
        """Numbers that a token of a text becomes."""
        return self.config.text_width

    def context(self, text: Tensor) -> Tensor:
        """A vector a token with shape (n, l, context_width), of ids with shape (n, l), for a network to attend to."""
        states: Tensor = self.text_model(text)
        return states

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """How often, among all of ``x``, the nearest text to an image is its own or an equal one, and the reverse."""
        text = self.condition.check(condition, self)
        assert text is not None
        cosines = self.embed(x) @ self.embed_text(text).T
        right = alike(text)
        return {
            "text found": recall(cosines, right, 1),
            "image found": recall(cosines.T, right, 1),
            "found by chance": chance(right, 1),
        }


def unit(x: Tensor, like: Tensor) -> Tensor:
    """The rows of ``x`` brought to length 1, in the precision of ``like``."""
    return F.normalize(x.to(like.dtype), dim=1)
