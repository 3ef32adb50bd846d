"""Figures of sampled texts: how like held-out texts they are, how varied, how new, and what can be learned from them.

Zhu et al., "Texygen", 2018, arXiv:1802.01886 (BLEU and self-BLEU of samples); Zhao et al., "Adversarially Regularized
Autoencoders", 2018, arXiv:1706.04223 (reverse perplexity: a language model of samples, asked about real texts); Caccia
et al., "Language GANs Falling Short", 2020, arXiv:1811.02549 (one temperature says little: quality can be had for
variety, so that methods are compared by whole curves).

Words, of which n-grams are made, are those of the written text whatever a model's tokens are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot, isfinite, sqrt
from typing import TypeVar

import torch
from torch import Tensor

from genwerk.core.outcome import outcome
from genwerk.core.vocabularies import TextVocabulary
from genwerk.data import oracle
from genwerk.data.dataset import Dataset, Splits
from genwerk.evaluation import verdicts
from genwerk.evaluation.extractor import alone
from genwerk.evaluation.reference import Beside, Steps
from genwerk.evaluation.report import Figure
from genwerk.families.language_model import LanguageModel, LanguageModelConfig, LSTMConfig
from genwerk.metrics import copied, distinct, duplicates, repeats, self_bleu, sentence_bleu
from genwerk.metrics.bleu import Bleu
from genwerk.tasks.likelihood import scored
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

T = TypeVar("T")

Words = Sequence[Sequence[str]]
"""Texts, each as its words."""

DISTINCT = (1, 2, 3)
"""Words of the n-grams of which the share of different ones is told."""
REPEATED = 4
"""Words of the n-grams that a text may repeat."""
SMALL = LanguageModelConfig(network=LSTMConfig(embedding=64, width=128, dropout=0.2))
"""The small language model: an LSTM."""
TOKENS, BATCH = 2048, 64
"""Tokens, and texts, at most in a batch of its training."""
EPOCHS = 20
"""How often it sees each text at most, for of few texts it would only learn them by heart."""


class TextReference(Beside):
    """Real texts and texts of uniform tokens, and a small language model of the real ones."""

    depends = (*Beside.depends, "lm_rounds")

    def __init__(self, splits: Splits, settings: EvaluateConfig) -> None:
        super().__init__(splits, settings)
        self.modality = splits.spec.modality
        self.oracle = oracle.behind(splits.settings)
        """The distribution that the texts were drawn from, where it is known."""
        self._models = dict[int, "Scores"]()

    @property
    def held_out(self) -> Dataset:
        """The test texts that are measured on."""
        return self.once("held out", lambda: self.splits.test.subset(self.settings.examples, self.settings.seed))

    @property
    def references(self) -> Words:
        """The real texts that samples are compared with, of the part that the settings name."""
        part = self.splits.test if self.against_test else self.splits.train
        return self.once("references", lambda: self.modality.words(self._some(part, self.settings.examples)))

    def floor(self, n: int) -> Tensor:
        """``n`` real texts of the other part as token ids, or as many as it has."""
        part = self.splits.train if self.against_test else self.splits.test
        return self.once(("floor", n), lambda: self._some(part, n))

    def noise(self, n: int) -> Tensor:
        """Texts as long as those of :meth:`floor`, of tokens drawn uniformly."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        return self.once(("noise", n), lambda: self.modality.at_random(self.floor(n), generator))

    def of_real(self, name: str, n: int, figure: Callable[[Words], T]) -> tuple[T, T]:
        """``figure`` of ``n`` real texts (floor) and of noise, found once by its name."""
        words, x = self.modality.words, (self.floor(n), self.noise(n))
        real, noise = (self.once(("words", n, i), partial(words, each)) for i, each in enumerate(x))
        return self.once((name, n), lambda: (figure(real), figure(noise)))

    @property
    def scores(self) -> bool:
        """Whether small language models are trained: they need texts that are held out, and time."""
        return self.separate and self.settings.lm_rounds > 0 and isinstance(self.splits.spec.vocabulary, TextVocabulary)

    @property
    def unit(self) -> str:
        """What a token of the data stands for."""
        vocabulary = self.splits.spec.vocabulary
        return vocabulary.unit if isinstance(vocabulary, TextVocabulary) else "token"

    def preparing(self, n: int) -> Steps:
        """Train the small language model of ``n`` real texts, unless it is there."""
        if self.scores and n not in self._models:
            x = self._some(self.splits.train, n)
            self._models[n] = yield from self.learned(x)

    def of_real_texts(self, n: int) -> Scores:
        """What that one scores."""
        return self._models[n]

    def learned(self, x: Tensor) -> Generator[tuple[int, int], None, Scores]:
        """What a small language model scores that has been trained on the texts ``x``, in token ids."""
        spec, settings = self.splits.spec, self.settings
        batch = max(1, min(BATCH, TOKENS // spec.dims))
        rounds = max(1, min(settings.lm_rounds, EPOCHS * len(x) // batch))
        data = Dataset(x=self.modality.to_stored(x), spec=spec)
        optim = OptimConfig(lr=5e-3, clip_norm=float(spec.dims), schedule="cosine", final=0.1, warmup=rounds // 20)
        train = TrainConfig(
            rounds=rounds, batch_size=batch, optim={"model": optim}, sample_every=0, log_every=0, seed=settings.seed
        )
        model = yield from trained(data, train)
        return Scores(model, len(x), f"{rounds:,} rounds of {batch} texts", self)

    def _some(self, part: Dataset, n: int) -> Tensor:
        return part.subset(n, self.settings.seed).batch().x.cpu()


@torch.enable_grad()
def trained(data: Dataset, settings: TrainConfig) -> Generator[tuple[int, int], None, LanguageModel]:
    """The small language model of ``data``, trained in one thread so that it is the same whatever the machine has."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = LanguageModel(SMALL, data.spec)
    trainer = Trainer(model, data, settings)
    events = iter(trainer)
    while (event := alone(lambda: next(events, None))) is not None:
        yield event.round, trainer.rounds
    trainer.finished()
    return model


class Scores:
    """What a language model that was trained on ``texts`` texts says of others."""

    def __init__(self, model: LanguageModel, texts: int, budget: str, beside: TextReference) -> None:
        self.model, self.texts, self.budget, self.unit = model, texts, budget, beside.unit
        self.held_out = self.of(beside.held_out)
        """Nats of the held-out texts."""

    def of(self, data: Dataset) -> Nats:
        """Nats of ``data``."""
        tokens = sum(data.spec.modality.counted(x)[self.unit] for x in data.parts())
        return Nats(-outcome(scored(self.model, data)).each, tokens)


@dataclass(frozen=True)
class Nats:
    """Nats of each of some texts, with shape (n,), and how many tokens they have together, ends among them."""

    each: Tensor
    tokens: int

    @property
    def a_token(self) -> float:
        """Nats a token."""
        return float(self.each.sum()) / self.tokens

    @property
    def error(self) -> float | None:
        """Standard error of that, over texts, their lengths as they are."""
        return _error(self.each, self.tokens)


# --- figures ----------------------------------------------------------------------------------------------------------


def text_figures(x: Tensor, beside: TextReference, cut: str = "") -> Generator[tuple[int, int], None, list[Figure]]:
    """All figures of sampled texts, in token ids with shape (n, length); ``cut`` says why there are no more."""
    n, words = len(x), beside.modality.words(x)
    said = f"{n:,} samples{cut}"
    figures = [*bleu_figures(words, beside, said), *self_bleu_figures(words, beside, said)]
    figures += repetition_figures(words, beside, said)
    figures += copy_figures(x, beside, said)
    if beside.oracle is not None:
        figures += oracle_figures(x, beside, beside.oracle, said)
    if beside.scores:
        yield from beside.preparing(n)
        figures += score_figures(x, beside, (yield from beside.learned(x)), said)
    return figures


def bleu_figures(words: Words, beside: TextReference, said: str) -> Iterator[Figure]:
    """Mean BLEU of samples against real texts, with floor and noise."""
    references, separate = beside.references, beside.separate
    found = sentence_bleu(words, references)
    real, noise = beside.of_real("BLEU", len(words), lambda texts: sentence_bleu(texts, references))
    part = "held-out" if beside.against_test else "training"
    note = f"mean BLEU of {said}, method 1 smoothing; each has all {found.references:,} {part} texts as references"
    yield from _by_order("BLEU", found, real if separate else None, noise, note, verdicts.ALIKE)


def self_bleu_figures(words: Words, beside: TextReference, said: str) -> Iterator[Figure]:
    """Mean BLEU of samples against one another, with that of real texts and of noise: less is more varied."""
    if len(words) < 2:
        return
    found = self_bleu(words)
    real, noise = beside.of_real("self-BLEU", len(words), self_bleu)
    note = (
        f"mean BLEU of {said}, method 1 smoothing; each has the {found.references:,} others as references, not itself"
    )
    yield from _by_order("self-BLEU", found, real, noise, note, verdicts.VARIED)


def _by_order(
    name: str, found: Bleu, real: Bleu | None, noise: Bleu, note: str, words: verdicts.BesideReal
) -> Iterator[Figure]:
    for i, order in enumerate(found.orders):
        value, error = found.scores[:, i], _error(found.scores[:, i])
        floor = None if real is None else real.scores[:, i]
        apart = None if floor is None or error is None else hypot(error, _error(floor) or 0.0)
        mean = value.mean().item()
        yield Figure(
            name=f"{name}-{order}",
            value=mean,
            spread=error,
            floor=None if floor is None else floor.mean().item(),
            noise=noise.scores[:, i].mean().item(),
            note=note,
            verdict="" if floor is None or apart is None else words.of(mean - floor.mean().item(), apart),
        )


def repetition_figures(words: Words, beside: TextReference, said: str) -> Iterator[Figure]:
    """Shares of n-grams that are different, and of those and of texts that are there again."""
    for n in DISTINCT:
        yield _share(f"distinct-{n}", partial(distinct, n=n), words, beside, f"of {said}; compare for equally many")
    yield _share("repeats", partial(repeats, n=REPEATED), words, beside, f"{REPEATED}-grams within a text; {said}")
    yield _share("duplicates", duplicates, words, beside, f"samples that another sample equals; {said}")


def _share(name: str, figure: Callable[[Words], float], words: Words, beside: TextReference, note: str) -> Figure:
    floor, noise = beside.of_real(name, len(words), figure)
    known = floor if isfinite(floor) else None
    return Figure(name=name, value=figure(words), floor=known, noise=noise if isfinite(noise) else None, note=note)


def copy_figures(x: Tensor, beside: TextReference, said: str) -> Iterator[Figure]:
    """The share of samples that are word for word a training text, beside that of held-out texts."""

    def of(texts: Tensor) -> float:
        training = (row for part in beside.splits.train.parts() for row in part.tolist())
        return copied(texts.tolist(), training)

    def of_held_out() -> float:
        return of(beside.held_out.batch().x.cpu())

    value = of(x)
    yield Figure(
        name="copied",
        value=value,
        spread=sqrt(value * (1 - value) / len(x)),
        floor=beside.once("copied", of_held_out) if beside.separate else None,
        note=f"{said} that equal one of {len(beside.splits.train):,} training texts; floor: of held-out texts",
    )


def oracle_figures(x: Tensor, beside: TextReference, truth: oracle.Oracle, said: str) -> Iterator[Figure]:
    """NLL_oracle: what samples cost under the distribution that the data were drawn from."""

    def nats(texts: Tensor) -> Tensor:
        some = texts[oracle.possible(texts, truth)]
        return truth.nll(oracle.tokens_of(some)).double() if len(some) else torch.empty(0)

    def of_real() -> tuple[Tensor, Tensor]:
        return nats(beside.held_out.batch().x.cpu()), nats(beside.noise(len(x)))

    floor, noise = beside.once(("oracle", len(x)), of_real)
    found = nats(x)
    left = len(x) - len(found)
    lost = f"; {left:,} that it never writes are left out" if left else ""
    error, mean = _error(found), found.mean().item()
    apart = None if error is None else hypot(error, _error(floor) or 0.0)
    yield Figure(
        name="NLL_oracle",
        value=mean,
        spread=error,
        unit="nats a token",
        floor=floor.mean().item(),
        noise=noise.mean().item(),
        note=f"{said} under the oracle{lost}; floor: its own texts; least for its likeliest one again and again",
        verdict="" if apart is None else verdicts.LIKELY.of(mean - floor.mean().item(), apart),
    )


def score_figures(x: Tensor, beside: TextReference, of_samples: Scores, said: str) -> Iterator[Figure]:
    """LM score and reverse LM score: samples under a model of real texts, and held-out texts under one of samples."""
    real = beside.of_real_texts(len(x))
    samples = real.of(Dataset(x=beside.modality.to_stored(x), spec=beside.splits.spec))
    floor, reverse = real.held_out, of_samples.held_out
    apart = hypot(samples.error or 0.0, floor.error or 0.0)
    yield Figure(
        name="LM score",
        value=samples.a_token,
        spread=samples.error,
        unit=f"nats a {beside.unit}",
        floor=floor.a_token,
        note=f"{said} under an LSTM of {real.texts:,} training texts ({real.budget}); floor: held-out texts",
        verdict=verdicts.LIKELY.of(samples.a_token - floor.a_token, apart),
    )
    behind = reverse.each - floor.each
    yield Figure(
        name="reverse LM score",
        value=reverse.a_token,
        spread=reverse.error,
        unit=f"nats a {beside.unit}",
        floor=floor.a_token,
        note=f"{len(behind):,} held-out texts under the same LSTM, trained on {said} ({of_samples.budget}); floor: on "
        f"{real.texts:,} training texts",
        verdict=verdicts.TAUGHT.of(float(behind.sum()) / reverse.tokens, _error(behind, reverse.tokens) or 0.0),
    )


def _error(each: Tensor, of: int | None = None) -> float | None:
    """Standard error of the sum of ``each`` over ``of``, by default of their mean; None where there is one alone."""
    n = len(each)
    return None if n < 2 else each.double().std().item() * sqrt(n) / (of or n)
