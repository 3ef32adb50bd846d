"""Language models: p(text) = prod_t p(token_t | tokens before it), by a transformer or a long short-term memory.

Graves, Generating Sequences With Recurrent Neural Networks, 2013, arXiv:1308.0850; Radford et al., Language Models are
Unsupervised Multitask Learners, 2019. Both learn by maximum likelihood, token by token (teacher forcing).

A text ends with a token of its own, whose probability is part of the text's; a window of a longer text has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

from torch import Tensor

from genwerk.core.errors import BadInput
from genwerk.core.model import Loss
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import FIRST, TextVocabulary
from genwerk.families.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genwerk.nn.autoregressive.lstm import LSTMConfig
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


class LanguageModel(AutoregressiveModel, config=LanguageModelConfig):
    """The exact probability of texts, and samples that go on from any beginning."""

    network: TextNetwork

    def __init__(self, config: LanguageModelConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: LanguageModelConfig = config
        words = spec.vocabulary
        if not spec.modality.is_text or not isinstance(words, TextVocabulary):
            raise BadInput(f"a language model learns texts and cannot take {spec}; give it a .txt file")
        if words.size < FIRST + 2:
            raise BadInput(
                f"the texts have fewer than two different {words.units}, so there is nothing to learn; give others"
            )
        classes = self.condition.classes
        network = config.network.build(spec.shape[0], words.size, end=words.end, classes=classes)
        narrow = config.network.narrow()
        self.emits(spec.modality.tokeniser(), network, lambda: narrow.build(PROBED, 3, end=None, classes=classes))

    def objective(self, batch: Batch, u: Tensor | None = None) -> Loss:
        """Negative log-likelihood in nats a text; tokens count until the end, which is one."""
        symbols = self.symbols.encode(batch.x)
        nats = -self.network.log_prob(symbols, self.condition.check(batch.condition, self)).sum(1).mean()
        tokens = (~self.network.over(symbols)).sum(1).float().mean()
        return nats, {"nll": nats, "bits per token": nats.detach() / (tokens * log(2))}
