"""Variational autoencoders of texts: a code of the whole sentence, from which an LSTM writes it token by token.

Bowman, Vilnis, Vinyals, Dai, Jozefowicz & Bengio, Generating Sentences from a Continuous Space, 2016, arXiv:1511.06349.
A decoder that sees the tokens before can do without the code, and then the KL divergence falls to nothing (posterior
collapse). Against it stand annealing and free bits (:mod:`genwerk.families.variational`), and word dropout, which takes
from the decoder some of the tokens that it goes on from. `evaluate` tells the divergence and the active units.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import torch
from torch import Tensor

from genwerk.core.errors import check_ranges
from genwerk.core.marks import Common
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import Options, Symbolwise
from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import UNKNOWN
from genwerk.families.language_model import vocabulary_of
from genwerk.families.variational import VariationalConfig, VariationalModel
from genwerk.nn.autoregressive.network import generate
from genwerk.nn.mlp import with_label
from genwerk.nn.text_coder import LSTMCoder, TextCoder

LOGITS = 2**25
"""Logits computed together when weights are computed, which bounds the memory."""


@dataclass(frozen=True, kw_only=True)
class TextVAEConfig(VariationalConfig):
    """Settings of :class:`TextVAE`."""

    network: Annotated[TextCoder, Common()] = field(default_factory=LSTMCoder)
    """Layers of the encoder and of the decoder."""
    word_dropout: Annotated[float, Common()] = 0.0
    """Share of the tokens that the decoder sees as unknown ones in training, where it goes on from them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, "model", word_dropout=(0, 1))


class TextVAE(VariationalModel, config=TextVAEConfig):
    """A variational autoencoder whose p(x | z) goes on from the tokens before.

    A sample is drawn token by token from p(x | z); the text of a code (:meth:`decode`) takes the likeliest each time.
    """

    options: Symbolwise = Symbolwise()

    def __init__(self, config: TextVAEConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: TextVAEConfig = config
        words, classes = vocabulary_of(spec, "a variational autoencoder of texts"), self.condition.classes
        self.symbols = spec.modality.tokeniser()
        self.scored, self.scored_as = self.symbols.scored, self.symbols.scored_as
        self.encoder, self.decoder = config.network.build(
            spec.shape[0],
            words.size,
            end=words.end,
            features=2 * config.latent + self.extra_features,
            code=config.latent + classes,
            classes=classes,
        )
        self.flow = config.posterior.flow(config.latent)

    # --- abilities ----------------------------------------------------------------------------------------------------

    @property
    def row_cost(self) -> int:
        """Of what the decoder remembers of a text, and of a token's logits on their way to a draw."""
        code = self.decoder.start.new_zeros(1, self.config.latent + self.condition.classes)
        return self.decoder.begin(1, code).nbytes + 4 * self.decoder.levels * code.element_size()

    @torch.no_grad()
    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        """``n`` new texts: draws of p(x | z) for z ~ N(0, I)."""
        noise, chosen = SeededNoise(n, seed, self.device), self.options.chosen(options)
        z = noise.normal(self.config.latent)
        condition = self.condition.or_drawn(condition, noise.uniform, self)
        return self._written(z, condition, chosen, noise.uniform(self.decoder.length))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        u = torch.zeros(len(z), self.decoder.length, device=z.device)
        return self._written(z, condition, replace(self.options, temperature=0.0), u)

    @torch.no_grad()
    def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """What every VAE tells, and the share of the tokens that :meth:`decode` puts back in their place."""
        symbols = self.inputs(x)
        counted = ~self.decoder.over(symbols)
        made = self.decode(self.encode(x, condition), condition)
        rebuilt = (made == symbols)[counted].float().mean()
        return super().diagnose(x, condition) | {"share of tokens rebuilt": rebuilt}

    # --- parts --------------------------------------------------------------------------------------------------------

    def inputs(self, x: Tensor) -> Tensor:
        return self.symbols.encode(x)

    @property
    def codes_at_once(self) -> int:
        return max(1, min(super().codes_at_once, LOGITS // (self.decoder.length * self.decoder.levels)))

    def _features(self, x: Tensor, condition: Tensor | None) -> Tensor:
        found: Tensor = self.encoder(x, condition).to(self.decoder.start.dtype)
        return found

    def _log_likelihood(self, x: Tensor, z: Tensor, condition: Tensor | None, u: Tensor | None = None) -> Tensor:
        n, k, _ = z.shape
        dropout = self.config.word_dropout if u is not None else 0.0
        history = x.masked_fill(u < dropout, UNKNOWN) if u is not None and dropout else x
        if condition is not None:
            condition = condition.repeat_interleave(k)
        code = self._code(z.flatten(0, 1), condition)
        log_p = self.decoder.log_prob(x.repeat_interleave(k, 0), code, history.repeat_interleave(k, 0)).sum(1)
        return log_p.view(n, k)

    def _code(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """What the decoder sees: z, and the label where there is one."""
        return with_label(z, condition, self.condition.classes)

    @torch.no_grad()
    def _written(self, z: Tensor, condition: Tensor | None, options: Symbolwise, u: Tensor) -> Tensor:
        """Texts of codes ``z``, of which each draws its tokens by a row of ``u`` with shape (n, length)."""
        z = z.to(self.decoder.start.dtype)
        cache = self.decoder.begin(len(z), self._code(z, self.condition.check(condition, self)))
        symbols = torch.zeros(len(z), self.decoder.length, dtype=torch.int64, device=z.device)
        for t, symbol in enumerate(generate(self.decoder, cache, u, options)):
            symbols[:, t] = symbol
            if self.decoder.finished(cache):
                break
        return self.symbols.decode(symbols)
