"""SeqGAN: a language model that learns, beyond maximum likelihood, from a discriminator of whole texts.

Yu, Zhang, Wang & Yu, SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient, 2017, arXiv:1609.05473. The
reward of a text is the discriminator's probability that it is real; the action value Q of a token is the mean reward of
rollouts, texts that the generator makes of the beginning that ends with it. The generator follows the policy gradient.

Done differently: the discriminator has one output and not two, with the same penalty; the loss is a mean over texts.
What stands after the end of a text has no action value and no gradient.

Whether it makes better texts than its first stage is a question to be measured: Caccia et al., Language GANs Falling
Short, 2020, arXiv:1811.02549, find maximum likelihood ahead at every temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Literal

import torch
from torch import Tensor, nn

from genwerk.core.errors import ONE, BadInput, check_ranges
from genwerk.core.model import Loss, Player, Stage, TrainingStream, Turn, Turns, evaluating
from genwerk.core.spec import Batch, DataSpec
from genwerk.families.language_model import LanguageModel, LanguageModelConfig
from genwerk.nn.adversarial.objectives import NonSaturating, accuracy
from genwerk.nn.adversarial.text_cnn import TextCNN, TextCNNConfig
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import generate
from genwerk.nn.autoregressive.rollouts import rollouts
from genwerk.nn.autoregressive.text import TextNetworkConfig

ROWS = 512
"""Texts that the discriminator looks at together outside its turns."""
LONGEST = 256
"""Tokens of a text beyond which the rollouts of all its beginnings take too much memory."""


@dataclass(frozen=True, kw_only=True)
class SeqGANConfig(LanguageModelConfig):
    """Settings of :class:`SeqGAN`."""

    network: TextNetworkConfig = field(default_factory=lambda: LSTMConfig(embedding=32, width=32))
    """The generator."""
    discriminator: TextCNNConfig = field(default_factory=TextCNNConfig)
    """Layers of the discriminator."""
    likelihood_rounds: int | None = None
    """Steps of the generator by maximum likelihood before the game; None is as many as the game has rounds."""
    discriminator_rounds: int | None = None
    """Rounds of the discriminator before the game, each as one of its rounds in the game; None is as many as that."""
    rollouts: int = 16
    """Texts that are made of each beginning to estimate its action value (N)."""
    baseline: Literal["none", "batch"] = "none"
    """What is subtracted from the action value of a token: nothing, or the mean at its place in the batch's other
    texts."""
    g_steps: int = 1
    """Steps of the generator in a round."""
    d_steps: int = 5
    """Rounds of the discriminator in a round of the game, each with texts made anew."""
    d_batches: int = 32
    """Batches of real texts, with as many generated ones, in a round of the discriminator."""
    d_epochs: int = 3
    """How often the discriminator sees them (k)."""
    l2: float = 0.2
    """Weight of half the squared weights of the discriminator's output, as if it had the published two."""

    def __post_init__(self) -> None:
        counts = (
            "rollouts",
            "g_steps",
            "d_steps",
            "d_batches",
            "d_epochs",
            "likelihood_rounds",
            "discriminator_rounds",
        )
        check_ranges(self, "model", **dict.fromkeys(counts, ONE), l2=(0, float("inf")))


class SeqGAN(LanguageModel, config=SeqGANConfig):
    """A generator G of texts, token by token, and a discriminator D of whole texts."""

    def __init__(self, config: SeqGANConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config: SeqGANConfig = config
        if self.network.length > LONGEST:
            raise BadInput(
                f"the texts have up to {self.network.length:,} tokens, and SeqGAN completes each of their beginnings; "
                f"it takes at most {LONGEST}: set ‹data.length› or take the recipe lstm-lm"
            )
        self.discriminator = TextCNN(
            self.network.length, self.network.levels, config.discriminator, classes=self.condition.classes
        )
        self.objective_of_d = NonSaturating()

    def players(self) -> Mapping[str, nn.Module]:
        return {"generator": self.network, "discriminator": self.discriminator}

    @property
    def couples(self) -> Sequence[str]:
        return ("SeqGAN's baseline",) if self.config.baseline == "batch" else ()

    # --- training: algorithm 1 ----------------------------------------------------------------------------------------

    def stages(self, rounds: int) -> Sequence[Stage]:
        """Lines 2, 5 and 6 to 19; the last two are not judged by a likelihood, which they do not raise.

        In the game the generator's optimiser begins anew, as the authors' does: averages of the squared gradients of
        maximum likelihood, which are larger, would shorten its steps for about a thousand rounds.
        """
        config = self.config
        first = config.likelihood_rounds or rounds
        return [
            Stage("maximum likelihood", first, partial(self.likelihood_turns, "generator", first)),
            Stage("discriminator", config.discriminator_rounds or rounds, self.discriminator_turns, judged=False),
            Stage("adversarial", rounds, self.turns, judged=False, fresh=("generator",)),
        ]

    def discriminator_turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        real = [stream.next_batch() for _ in range(self.config.d_batches)]  # x ~ S
        fake = [self.generated(stream, batch.condition) for batch in real]  # y ~ G
        for _ in range(self.config.d_epochs):
            for batch, y in zip(real, fake, strict=True):
                yield Turn("discriminator", self.discriminator_loss, batch, y)

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        """Lines 7 to 18; the roll-out policy of line 18 is G itself, as it stands."""
        for _ in range(self.config.g_steps):
            c = stream.next_batch().condition if self.condition.classes else None
            y = self.generated(stream, c)  # line 8
            u = stream.uniform(self.network.length - 1, self.config.rollouts, self.network.length)
            q = self.action_values(y, u, c)  # lines 9 to 11
            yield Turn("generator", self.policy_loss, y, self.advantage(q, y), c)  # line 12
        for _ in range(self.config.d_steps):  # lines 14 to 17
            yield from self.discriminator_turns(stream, players)

    def generated(self, stream: TrainingStream, condition: Tensor | None) -> Tensor:
        """Texts of the generator with shape (n, length), one an example of the stream."""
        u = stream.uniform(self.network.length)
        with evaluating(self.network):
            cache = self.network.begin(len(u), self.condition.check(condition, self))
            return torch.stack(list(generate(self.network, cache, u)), 1)

    def action_values(self, y: Tensor, u: Tensor, condition: Tensor | None = None) -> Tensor:
        """Q of every token of the texts ``y``, with shape (n, length): equation 4, and 0 after the end.

        ``u`` is uniform with shape (n, length - 1, rollouts, length).
        """
        c, over = self.condition.check(condition, self), self.network.over(y)
        with evaluating(self.network), evaluating(self.discriminator):
            q = self.reward(y, c)[:, None].repeat(1, y.shape[1])
            going_on = ~over[:, 1:]
            made = rollouts(self.network, y, u, c, settled=over)[going_on]  # (beginnings, k, length)
            if len(made):
                of = None if c is None else c[going_on.nonzero()[:, 0]].repeat_interleave(made.shape[1])
                q[:, :-1][going_on] = self.reward(made.flatten(0, 1), of).view(made.shape[:2]).mean(1)
        return q.masked_fill(over, 0)

    def reward(self, y: Tensor, c: Tensor | None) -> Tensor:
        """D(y), the probability that texts are real, with shape (n,).

        Parts are of one size whatever the memory, for a training that goes on must round as it did.
        """
        parts = zip(y.split(ROWS), repeat(None) if c is None else c.split(ROWS))  # noqa: B905, as many as texts
        return torch.cat([self.discriminator(*part).sigmoid() for part in parts])

    def advantage(self, q: Tensor, y: Tensor) -> Tensor:
        """``q`` less the baseline, which an example's own text has no part in, so that the gradient stays unbiased."""
        if self.config.baseline == "none":
            return q
        counted = (~self.network.over(y)).to(q)
        others = (counted.sum(0) - counted).clamp(min=1)
        return (q - (q.sum(0) - q) / others) * counted

    def policy_loss(self, y: Tensor, advantage: Tensor, condition: Tensor | None) -> Loss:
        """Minus equation 8's objective, whose gradient is that of equation 7: E[sum_t log G(y_t | ..) Q_t]."""
        log_p = self.network.log_prob(y, self.condition.check(condition, self))
        last = (~self.network.over(y)).sum(1, keepdim=True) - 1
        return -(log_p * advantage).sum(1).mean(), {"advantage of the whole": advantage.gather(1, last).mean()}

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Loss:
        """Equation 5 as a mean over real and generated texts, and the penalty.

        Two outputs with weights w/2 and -w/2 say what one with w says; their squares are half of its.
        """
        c = self.condition.check(batch.condition, self)
        on_real, on_fake = self.discriminator(self.symbols.encode(batch.x), c), self.discriminator(fake, c)
        loss = self.objective_of_d.discriminator(on_real, on_fake) / 2
        output = self.discriminator.head.linear
        penalty = (output.weight.square().sum() + output.bias.square().sum()) / 2
        return loss + self.config.l2 / 2 * penalty, accuracy(self.objective_of_d, on_real, on_fake)
