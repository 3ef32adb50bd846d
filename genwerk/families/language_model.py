"""Language models: p(text) = prod_t p(token_t | tokens before it), by a transformer or a long short-term memory.

Graves, Generating Sequences With Recurrent Neural Networks, 2013, arXiv:1308.0850; Radford et al., Language Models are
Unsupervised Multitask Learners, 2019. Both learn by maximum likelihood, token by token (teacher forcing).

A text ends with a token of its own, whose probability is part of the text's; a window of a longer text has none.

scheduled_sampling: Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, 2015,
arXiv:1506.03099, which is no longer maximum likelihood (:mod:`genwerk.nn.autoregressive.scheduled_sampling`). Done
differently: tokens are drawn without dropout, and all at once for a batch before the step that goes on from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import log

from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import Loss, Player, Stage, TrainingStream, Turn, Turns, evaluating
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import FIRST, TextVocabulary
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.scheduled_sampling import NoSampling, ScheduledSampling
from genwerk.nn.autoregressive.text import TextNetwork, TextNetworkConfig
from genwerk.nn.autoregressive.transformer import TransformerConfig

__all__ = ["LanguageModel", "LanguageModelConfig", "LSTMConfig", "TransformerConfig"]

PROBED = 8
"""Tokens of the text on which it is proved that a network does not look ahead."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig(AutoregressiveConfig):
    """Settings of :class:`LanguageModel`."""

    network: TextNetworkConfig = field(default_factory=TransformerConfig)
    """What predicts a token from those before it."""
    scheduled_sampling: ScheduledSampling = field(default_factory=NoSampling)
    """Share of the tokens that are replaced in training by the network's own, where others are predicted from them."""


def vocabulary_of(spec: DataSpec, family: str) -> TextVocabulary:
    """The vocabulary of the texts that ``spec`` describes; a BadInput where a ``family`` of texts cannot learn them."""
    words = spec.vocabulary
    if not spec.modality.is_text or not isinstance(words, TextVocabulary):
        raise BadInput(f"{family} learns texts and cannot take {spec}; give it a .txt file, or strings")
    if words.size < FIRST + 2:
        raise BadInput(
            f"the texts have fewer than two different {words.units}, so there is nothing to learn; give others"
        )
    return words


class LanguageModel(AutoregressiveModel, config=LanguageModelConfig):
    """The exact probability of texts, and samples that go on from any beginning."""

    network: TextNetwork

    def __init__(self, config: LanguageModelConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: LanguageModelConfig = config
        words = vocabulary_of(spec, "a language model")
        classes = self.condition.classes
        network = config.network.build(spec.shape[0], words.size, end=words.end, classes=classes)
        narrow = config.network.narrow()
        self.emits(spec.modality.tokeniser(), network, lambda: narrow.build(PROBED, 3, end=None, classes=classes))

    def stages(self, rounds: int) -> Sequence[Stage]:
        return [Stage("train", rounds, partial(self.likelihood_turns, "model", rounds))]

    def likelihood_turns(
        self, player: str, rounds: int, stream: TrainingStream, players: Mapping[str, Player]
    ) -> Turns:
        """A step of ``player``, of so many ``rounds``, by maximum likelihood or with scheduled sampling."""
        batch, history = stream.next_batch(), None
        if share := self.config.scheduled_sampling.share(players[player].steps, rounds):
            u = stream.uniform(2, self.network.length)
            history = self.resampled(batch, u[:, 0] < share, u[:, 1])
        yield Turn(player, self.objective, batch, history)

    def resampled(self, batch: Batch, own: Tensor, u: Tensor) -> Tensor:
        """The tokens of ``batch`` with the network's where ``own``, with shape (n, length): its ``resampled``."""
        with evaluating(self.network):
            c = self.condition.check(batch.condition, self)
            return self.network.resampled(self.symbols.encode(batch.x), own, u, c)

    def objective(self, batch: Batch, history: Tensor | None = None) -> Loss:
        """Negative log-likelihood in nats a text; tokens count until the end, which is one.

        With ``history``, int64 with shape (n, length), every token is predicted from those before it there.
        """
        symbols = self.symbols.encode(batch.x)
        nats = -self.network.log_prob(symbols, self.condition.check(batch.condition, self), history).sum(1).mean()
        tokens = (~self.network.over(symbols)).sum(1).float().mean()
        return nats, {"nll": nats, "bits per token": nats.detach() / (tokens * log(2))}
