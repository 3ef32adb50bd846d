"""PerClass(model): any unconditional density, made class-conditional by one model for every class.

With one Gaussian a class this is quadratic discriminant analysis (Hastie, Tibshirani & Friedman, The Elements of
Statistical Learning, 2nd edition, 2009, section 4.3), with diagonal covariances Gaussian naive Bayes, and with several
Gaussians a class mixture discriminant analysis with covariances of their own (Hastie & Tibshirani: Discriminant
analysis by Gaussian mixtures, 1996). :func:`classify` turns the densities into p(c | x).

Done differently: nothing is shared between the classes, neither covariances nor weights, so that any family will do;
what a family can share through a condition of its own (``conditional``) is learned from more examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from genwerk.core.abilities import HasLikelihood, Samples
from genwerk.core.condition import Label, NoCondition, choose
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model, Stage, build
from genwerk.core.noise import Seed, SeededNoise, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class PerClassConfig(Config):
    """Settings of a model for each class."""

    model: Config
    """A family that samples and scores, unconditionally, and learns as one player; every class gets one."""


class Density(Protocol):
    """What a class's model must be."""

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor: ...

    def log_prob(self, x: Tensor) -> Tensor: ...


class PerClass(Model, Samples, HasLikelihood, config=PerClassConfig):
    """p(x | c) = p_c(x), where the model p_c has seen the examples of class c alone."""

    def __init__(self, config: PerClassConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: PerClassConfig = config
        self.condition = choose(True, spec, Label)
        alone = replace(spec, classes=())
        self.models = nn.ModuleList(_checked(build(config.model, alone)) for _ in spec.classes)
        self.options = cast(Model, self.models[0]).options
        one = cast(HasLikelihood, self.models[0])
        self.scored, self.scored_as = one.scored, one.scored_as

    # --- training -----------------------------------------------------------------------------------------------------

    def players(self) -> Mapping[str, nn.Module]:
        """One, `model`: all classes share its settings, and in a class's stages only that class's weights move.

        Averaged weights (EMA) follow the last weights of a class once its stages are over.
        """
        return {"model": self}

    def stages(self, rounds: int) -> Sequence[Stage]:
        """Each class's stages in turn, every one as long as the family makes it of ``rounds``."""
        return [
            replace(
                stage,
                name=f"class {name}: {stage.name}",
                data=partial(self.begin, c, stage.data),
                part=cast(Model, self.models[c]),
                sees=partial(self.alone, c),
            )
            for c, name in enumerate(self.spec.classes)
            for stage in cast(Model, self.models[c]).stages(rounds)
        ]

    def begin(self, c: int, prepare: Callable[[Dataset], Dataset] | None, data: Dataset) -> Dataset:
        """The examples of class ``c``, without their label, as ``prepare`` (the data of that class's stage) has them.

        A class of which there is no example is an error before the first class has been learned.
        """
        labels = self.condition.check(data.condition, self)
        assert labels is not None
        counts = torch.bincount(labels, minlength=self.condition.classes)
        if missing := [self.spec.classes[i] for i in (counts == 0).nonzero().flatten().tolist()]:
            raise BadInput(
                f"class {missing[0]!r} has no training example"
                + (f" (nor have {len(missing) - 1} more)" if len(missing) > 1 else "")
                + "; give some, raise ‹data.limit› or hold out less, or leave the class out of the data"
            )
        own = self.alone(c, data)
        return own if prepare is None else prepare(own)

    def alone(self, c: int, data: Dataset) -> Dataset:
        """The examples of class ``c``, without their label; none where ``data`` carry no labels."""
        none = torch.zeros(len(data), dtype=torch.bool, device=data.device)
        rows = (none if data.condition is None else data.condition == c).nonzero().squeeze(1)
        spec = cast(Model, self.models[c]).spec
        return replace(data.select(rows), spec=spec, condition=None, captions=None, text=None, entropy=None)

    # --- abilities ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` new examples; without ``condition`` each is of a class drawn as often as in the training data.

        A class is sampled from its first place in ``condition`` to its last, and samples in between are dropped: where
        they are costly, put equal classes side by side.
        """
        seeds = Seeds.of(seed)
        # not by the numbers that the class's own model draws first
        condition = self.condition.or_drawn(
            condition, lambda: SeededNoise(n, seeds.beside(), self.device).uniform(), self
        )

        def draw(model: Density, places: Tensor) -> Tensor:
            start, stop = int(places[0]), int(places[-1]) + 1
            return model.sample(stop - start, None, options, seed=seeds + start)[places - start]

        return self._by_class(condition, draw)

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self._by_class(condition, lambda model, places: model.log_prob(x[places]))

    def _by_class(self, condition: Tensor | None, of: Callable[[Density, Tensor], Tensor]) -> Tensor:
        """``of`` each class's model and its places in ``condition``, brought back to the order of ``condition``."""
        label = self.condition.check(condition, self)
        assert label is not None
        places = [(label == c).nonzero().squeeze(1) for c in range(len(self.models))]
        parts = [of(cast(Density, self.models[c]), rows) for c, rows in enumerate(places) if len(rows)]
        return torch.cat(parts)[torch.cat(places).argsort()]


def _checked(model: Model) -> Model:
    """``model``, if it can be one class's."""
    name = type(model).__name__
    if not (isinstance(model, Samples) and isinstance(model, HasLikelihood)):
        raise ValueError(f"{name} does not both sample and score; a ByClass needs a family that does, such as Mixture")
    if not isinstance(model.condition, NoCondition):
        raise ValueError(f"the {name} of a ByClass must be unconditional; the class enters by having one of its own")
    if others := sorted(model.players().keys() - {"model"}):
        raise ValueError(f"{name} has the player {others[0]!r}; a ByClass needs a family with the one player 'model'")
    return model
