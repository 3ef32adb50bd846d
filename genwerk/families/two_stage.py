"""TwoStage(autoencoder, prior): any autoencoder with any model of its codes, trained one after the other.

With a Gaussian mixture: Ghosh et al., From Variational to Deterministic Autoencoders, 2020, arXiv:1903.12436 (ex-post
density estimation). With a flow, a PixelCNN or a diffusion model the same class is what those papers call a two-stage,
latent or stable model (Rombach et al., 2022, arXiv:2112.10752).

The autoencoder's stages come first; then every training example is encoded, once, and the codes (the means, where there
is a distribution) are the prior's training data, with the labels carried along. They are a table, unless the
autoencoder says what else they are (:class:`DescribesCodes`): those of a VQ-VAE are images of symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genwerk.core.abilities import (
    Decodes,
    Diagnoses,
    Encodes,
    HasLikelihood,
    Samples,
)
from genwerk.core.batching import batches, in_batches
from genwerk.core.condition import NoCondition
from genwerk.core.model import Config, Model, Player, Stage, TrainingStream, Turn, Turns, build
from genwerk.core.noise import Noise, Seed, SeededNoise, Seeds
from genwerk.core.options import Observation, Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset


@dataclass(frozen=True, kw_only=True)
class TwoStageConfig(Config):
    """Settings of an autoencoder and of the model of its codes."""

    autoencoder: Config
    """A family that encodes and decodes, unconditionally."""
    prior: Config
    """A family that samples; its data are the codes: a table, or images of symbols where the codes are discrete."""
    prior_rounds: int | None = None
    """Rounds of the prior's training; None is as many as the autoencoder's."""
    prior_batch: int | None = None
    """Examples a batch of the prior's training; None is the run's."""


@runtime_checkable
class DescribesCodes(Protocol):
    """An autoencoder whose codes are not rows of a table."""

    def code_spec(self) -> DataSpec:
        """What ``encode`` returns, as data."""
        ...


@runtime_checkable
class DrawsExamples(Protocol):
    """An autoencoder with a distribution p(x | z), of which ``decode`` is the mean."""

    options: Observation

    def sample_likelihood(self, z: Tensor, noise: Noise) -> Tensor:
        """A draw of x ~ p(x | z) for each latent, with shape (n, *spec.shape)."""
        ...


class TwoStage(Model, Samples, Decodes, Encodes, Diagnoses, config=TwoStageConfig):
    """x = decode(z), or x ~ p(x | z) where the autoencoder has one, with z ~ prior."""

    codes_by_condition = False

    def __init__(self, config: TwoStageConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: TwoStageConfig = config
        self.autoencoder = build(config.autoencoder, spec)
        if not (isinstance(self.autoencoder, Encodes) and isinstance(self.autoencoder, Decodes)):
            raise ValueError(
                f"{type(self.autoencoder).__name__} does not both encode and decode; a Latent needs a family that does"
            )
        if not isinstance(self.autoencoder.condition, NoCondition):
            raise ValueError("the autoencoder of a Latent must be unconditional; make its prior conditional instead")
        self.latent_shape, self.discrete = self.autoencoder.latent_shape, self.autoencoder.discrete
        if isinstance(self.autoencoder, DescribesCodes):
            codes = self.autoencoder.code_spec()
        else:
            codes = DataSpec(kind="table", shape=(prod(self.latent_shape),))
        described = replace(
            codes,
            classes=spec.classes,
            class_counts=spec.class_counts,
            captions=spec.captions,
            vocabulary=spec.vocabulary,
            covariates=spec.covariates,
            covariate_ranges=spec.covariate_ranges,
        )
        self.prior = build(config.prior, described)
        if not isinstance(self.prior, Samples):
            raise ValueError(
                f"{type(self.prior).__name__} does not sample; the prior of a Latent must be a family that does"
            )
        self.condition = self.prior.condition
        if isinstance(self.autoencoder, DrawsExamples):
            self.options = self.autoencoder.options
        else:
            self.options = self.prior.options

    # --- training -----------------------------------------------------------------------------------------------------

    def players(self) -> Mapping[str, nn.Module]:
        """The players of all parts: `autoencoder` and `prior`, or `prior.critic` where a part has several."""
        return {
            _outer(part, name): module
            for part, model in self.parts().items()
            for name, module in model.players().items()
        }

    def parts(self) -> Mapping[str, Model]:
        """Its models, in the order in which they are trained."""
        return {"autoencoder": self.autoencoder, "prior": self.prior}

    def stages(self, rounds: int) -> Sequence[Stage]:
        """The autoencoder's stages on the data, then the prior's on the codes of the whole training set.

        Each part is judged by figures of its own, the prior by those of the codes.
        """
        prior_rounds = rounds if self.config.prior_rounds is None else self.config.prior_rounds
        first = self._stages("autoencoder", self.autoencoder, self.autoencoder.stages(rounds))
        own = [sized(s, self.config.prior_batch) for s in self.prior.stages(prior_rounds)]
        then = [
            replace(
                s,
                data=_chain(self.codes, s.data),
                sees=_chain(partial(TwoStage.codes, self), s.sees),  # of a subclass, codes() may be more than a look
            )
            for s in self._stages("prior", self.prior, own)
        ]
        return [*first, *then]

    @torch.no_grad()
    def codes(self, data: Dataset) -> Dataset:
        """The codes of ``data``, one row an example, with its labels and captions."""
        stored = batches(lambda rows: self._stored(data.batch(rows).x.to(self.device)), len(data), self.device)
        x = torch.cat(list(stored))
        return replace(data, x=x, spec=self.prior.spec, entropy=None)

    def _code(self, x: Tensor) -> Tensor:
        """The codes of ``x`` in the units of the prior's data."""
        return self.encode(x).reshape(len(x), *self.prior.spec.shape)

    def _stored(self, x: Tensor) -> Tensor:
        """The codes of ``x`` as a :class:`Dataset` keeps them."""
        return self.prior.spec.modality.to_stored(self._code(x))

    @classmethod
    def _stages(cls, part: str, model: Model, own: Sequence[Stage]) -> list[Stage]:
        """The ``own`` stages of a part, which a single one is named for."""
        return [cls._stage(part, model, s, part if len(own) == 1 else f"{part} {s.name}") for s in own]

    @staticmethod
    def _stage(part: str, model: Model, stage: Stage, name: str) -> Stage:
        """``stage`` of a part, whose turns are taken by the players of the whole."""

        def turns(stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
            game = stage.turns(stream, {name: players[_outer(part, name)] for name in model.players()})
            with suppress(StopIteration):
                turn = next(game)
                while True:
                    player = None if turn.player is None else _outer(part, turn.player)
                    turn = game.send((yield Turn(player, turn.loss, *turn.rows, features=turn.features, **turn.whole)))

        return replace(stage, name=name, turns=turns, part=stage.part or model)

    # --- abilities ----------------------------------------------------------------------------------------------------

    @property
    def row_cost(self) -> int | None:
        return self.prior.row_cost if isinstance(self.prior, Samples) else None

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` new examples: the mean of p(x | z) or a draw of it, or decoded codes drawn with ``options``.

        The options are the autoencoder's where it has a p(x | z), and those of the prior otherwise.
        """
        assert isinstance(self.prior, Samples)
        seeds, chosen = Seeds.of(seed), self.options.chosen(options)
        of_prior = None if isinstance(self.autoencoder, DrawsExamples) else chosen
        z = self.prior.sample(n, condition, of_prior, seed=seeds).reshape(n, *self.latent_shape)
        if isinstance(self.autoencoder, DrawsExamples) and chosen == Observation(observation="draw"):
            noise = SeededNoise(n, seeds.beside(), self.device)
            return self.autoencoder.sample_likelihood(self._like_weights(z), noise)
        return in_batches(self.decode, z)

    def _like_weights(self, z: Tensor) -> Tensor:
        """Codes where the autoencoder's weights are, and no finer: a prior of tables makes them in float64."""
        weights = next(self.autoencoder.parameters())
        return z.to(weights.device, torch.promote_types(weights.dtype, torch.float32))

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert isinstance(self.autoencoder, Encodes)
        return self.autoencoder.encode(x)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert isinstance(self.autoencoder, Decodes)
        return self.autoencoder.decode(self._like_weights(z))

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """The autoencoder's own figures, and the codes' negative log-likelihood where the prior knows it.

        In nats an example: minus a log-probability where codes are discrete, minus a log-density where they are not. It
        does not include what the codes leave out of ``x``.
        """
        found = self.autoencoder.diagnose(x) if isinstance(self.autoencoder, Diagnoses) else {}
        if isinstance(self.prior, HasLikelihood):
            found = found | {
                "NLL of codes": -self.prior.log_prob(self._code(x), self.condition.check(condition, self)).mean()
            }
        return found


def _outer(part: str, player: str) -> str:
    """Name in the whole of a part's player."""
    return part if player == "model" else f"{part}.{player}"


def sized(stage: Stage, batch: int | None) -> Stage:
    """``stage`` with a batch of ``batch`` examples, unless it has one of its own."""
    return replace(stage, batch_size=batch) if stage.batch_size is None else stage


def _chain(
    first: Callable[[Dataset], Dataset], then: Callable[[Dataset], Dataset] | None
) -> Callable[[Dataset], Dataset]:
    return first if then is None else lambda data: then(first(data))
