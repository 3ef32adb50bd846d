"""What families that translate between two domains share: batches of both, and which generator goes where."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from genwerk.core.abilities import TranslatesDomains
from genwerk.core.attributes import PAIRS
from genwerk.core.condition import Label
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model, Stage
from genwerk.core.noise import Seed
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Rows
from genwerk.families.translation import require_intensities
from genwerk.nn.translation.instance_norm import by_parts
from genwerk.nn.translation.output import Output, blended


class TwoDomains(Model, TranslatesDomains):
    """Translates between the two classes of its data, of which a batch holds as many each: shape (n, 2, c, h, w)."""

    targets: Sequence[int] = (0, 1)
    """The domains that it can translate to."""
    output: Output = "image"
    """What of the image the generator makes."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__(config, spec)
        require_intensities(self, spec)
        if spec.source and not spec.classes:
            raise BadInput(PAIRS)
        if len(spec.classes) != 2:
            raise BadInput(
                f"{type(self).__name__} translates between two domains, and the data have "
                f"{len(spec.classes) or 'no'} classes; put the images into two class folders, or name a folder of each "
                "as ‹data› and ‹to›"
            )
        if spec.counted and 0 in spec.class_counts:
            raise lacking(spec.classes[spec.class_counts.index(0)])
        label = Label.from_spec(spec)
        assert label is not None
        self.condition: Label = label

    @abstractmethod
    def generator_to(self, domain: int) -> nn.Module:
        """The network that makes images of ``domain`` from those of the other."""

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, self.turns, data=side_by_side)]

    def generate(self, network: nn.Module | Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What ``network`` makes of images in [-1, 1], and the mask where it makes one."""
        return blended(network(x), x, self.output)

    # --- abilities ----------------------------------------------------------------------------------------------------

    def translate(self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None) -> Tensor:
        return self.by_parts(source, condition, seed=seed)(source)

    @torch.no_grad()
    def by_parts(
        self, source: Tensor, condition: Tensor | None = None, *, seed: Seed | None = None
    ) -> Callable[[Tensor], Tensor]:
        """Statistics of normalisation are those of all of ``source``, shrunk to the size that the model was trained
        with. Without a ``condition`` an image of the last domain is made."""
        domains = self.wanted(condition, len(source))
        size = self.spec.shape[1], self.spec.shape[2]
        networks = [
            (rows, by_parts(self.generator_to(k), source[rows.to(source.device)], size))
            for k in self.targets
            if len(rows := (domains == k).nonzero().squeeze(1))
        ]

        @torch.no_grad()
        def of(part: Tensor) -> Tensor:
            made = torch.empty_like(part)
            for rows, network in networks:
                image, _ = self.generate(network, 2 * part[rows] - 1)
                made[rows] = ((image + 1) / 2).clamp(0, 1)
            return made

        return of

    def wanted(self, condition: Tensor | None, n: int) -> Tensor:
        """The domain that each of ``n`` images is to become."""
        if condition is None:
            condition = torch.tensor([self.targets[-1]])
        domains = self.condition.check(condition.to(self.device), self)
        assert domains is not None
        if never := set(domains.tolist()) - set(self.targets):
            raise BadInput(
                f"this model translates to {self.spec.classes[self.targets[-1]]} alone, and "
                f"{self.spec.classes[never.pop()]} was asked for; train it with the folders exchanged"
            )
        return domains.expand(n)

    def aims(self, condition: Tensor, *, seed: Seed | None = None) -> Tensor:
        other = 1 - condition
        there = torch.isin(other, torch.tensor(self.targets, device=other.device))
        return other.where(there, condition)


def lacking(domain: str) -> BadInput:
    """What is said where no image of ``domain`` is there to learn from."""
    return BadInput(
        f"there is no training image of {domain}, and both domains need some; where all that there are were held out, "
        "add images that are no copies of these, or lower ‹data.holdout›"
    )


def side_by_side(data: Dataset) -> Dataset:
    """Examples of both classes, one of each beside the other, as many as there are of the larger class.

    The smaller one begins anew as often as that takes; which examples meet is random, and always the same.
    """
    assert data.condition is not None
    generator, rows = torch.Generator().manual_seed(0), list[Tensor]()
    for k, name in enumerate(data.spec.classes):
        found = (data.condition == k).nonzero().squeeze(1)
        if not len(found):
            raise lacking(name)
        rows.append(found[torch.randperm(len(found), generator=generator).to(found.device)])
    most = max(map(len, rows))
    at = torch.arange(most, device=data.device)
    pairs = torch.stack([of[at % len(of)] for of in rows], 1)
    return replace(data, x=cast(Tensor, Rows(data.x, pairs)), condition=None, attributes=None, rows=None)
