"""Scheduled sampling against its formulas, a slow way to draw, and what it is known to learn."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest
import torch
from stepping import random_weights
from torch import Tensor

from genwerk.core.errors import BadSetting
from genwerk.core.options import AS_LEARNED
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import Characters
from genwerk.data.dataset import Dataset
from genwerk.families.language_model import LanguageModel, LanguageModelConfig, LSTMConfig, TransformerConfig
from genwerk.families.seqgan import SeqGANConfig
from genwerk.nn.autoregressive.scheduled_sampling import (
    ExponentialSampling,
    InverseSigmoidSampling,
    LinearSampling,
    NoSampling,
    ScheduledSampling,
)
from genwerk.nn.autoregressive.text import NEVER, TextNetwork, TextNetworkConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="text", shape=(6,), vocabulary=Characters(symbols=tuple("abc"), length=6))
SMALL = LanguageModelConfig(network=LSTMConfig(embedding=4, width=8))
RISING = (LinearSampling, ExponentialSampling, InverseSigmoidSampling)


def network(kind: TextNetworkConfig = SMALL.network) -> TextNetwork:
    built = kind.build(6, 5, end=0, classes=0)
    assert isinstance(random_weights(built, 2.0), TextNetwork)
    return built


@pytest.fixture
def symbols() -> Tensor:
    return torch.tensor([[2, 3, 4, 2, 0, 0], [4, 4, 2, 3, 2, 3], [3, 0, 0, 0, 0, 0]])


def test_curves_are_those_of_the_paper() -> None:
    """Of e_i, the probability that a token is the text's, with i from 0 to 100."""
    linear, exponential, sigmoid = (kind(sampled=0.4) for kind in RISING)
    for i in range(101):
        assert linear.share(i, 101) == pytest.approx(1 - max(0.6, 1 - 0.004 * i))
        assert exponential.share(i, 101) == pytest.approx(1 - 0.6 ** (i / 100))
    first = sigmoid.share(0, 101)
    k = 1 / first - 1  # of e_0 = k / (k + 1)
    assert k > 1
    for i in range(101):
        assert sigmoid.share(i, 101) == pytest.approx(1 - k / (k + exp(i / k)))


@pytest.mark.parametrize("kind", RISING)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_shares_rise_to_the_one_that_is_set(kind: type[LinearSampling], share: float) -> None:
    found = [kind(sampled=share).share(i, 50) for i in range(60)]
    assert found == sorted(found)
    assert found[49:] == pytest.approx([share] * 11)
    assert found[0] < share or not share
    assert kind(sampled=share).share(0, 1) in (0.0, pytest.approx(found[0], abs=share))


def test_shares_are_shares() -> None:
    assert LinearSampling(sampled=1.0).share(9, 10) == 1
    for kind in RISING:
        with pytest.raises(BadSetting, match=r"model\.scheduled_sampling\.sampled is 1\.5"):
            kind(sampled=1.5)
    assert set(ScheduledSampling.kinds) == {"none", "linear", "exponential", "inverse-sigmoid"}


@pytest.mark.parametrize("kind", [SMALL.network, TransformerConfig(width=8, heads=2, layers=2)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_tokens_are_drawn_from_what_stands_so_far(symbols: Tensor, kind: TextNetworkConfig, share: float) -> None:
    """Against a whole pass a token; an end is never drawn, and what the text has is kept."""
    built, generator = network(kind), torch.Generator().manual_seed(0)
    own, u = torch.rand(symbols.shape, generator=generator) < share, torch.rand(symbols.shape, generator=generator)
    expected = symbols.clone()
    for t in range(6):
        logits = built.transform(built.embed(expected))[:, :, t].clone()
        logits[:, 0] = NEVER
        drawn = AS_LEARNED.draw(logits, u[:, t])
        expected[:, t] = torch.where(own[:, t], drawn, symbols[:, t])
    found, going_on = built.resampled(symbols, own, u), symbols != 0
    assert torch.equal(found[going_on], expected[going_on])
    assert (found[going_on] != 0).all()
    if not share:
        assert torch.equal(found, symbols)


def test_every_token_is_predicted_from_the_history(symbols: Tensor) -> None:
    built = network()
    history = torch.tensor([[3, 3, 3, 4, 2, 2], [2, 4, 3, 3, 2, 4], [2, 2, 2, 2, 2, 2]])
    found = built.log_prob(symbols, history=history)
    for i, t in ((0, 0), (0, 3), (0, 4), (1, 5), (2, 1)):
        mixed = torch.cat([history[i, :t], symbols[i, t : t + 1]])[None]
        torch.testing.assert_close(found[i, t], built.log_prob(mixed)[0, t])
    assert (found[2, 2:] == 0).all()
    torch.testing.assert_close(built.log_prob(symbols, history=symbols), built.log_prob(symbols), rtol=0, atol=0)


def learned(sampling: ScheduledSampling, rounds: int = 6, **changes: object) -> LanguageModel:
    torch.manual_seed(0)
    spec = replace(SPEC, shape=(3,))
    x = torch.tensor([[2, 3, 0], [3, 2, 0]]).repeat(8, 1).int()  # "ab" or "ba"
    model = LanguageModel(replace(SMALL, scheduled_sampling=sampling), spec)
    settings = TrainConfig(rounds=rounds, batch_size=16, optim={"model": OptimConfig(lr=0.03)}, **changes)  # type: ignore[arg-type]
    Trainer(model, Dataset(x=x, spec=spec), settings).fit()
    return model


def test_without_sampling_it_is_maximum_likelihood_to_the_bit() -> None:
    plain, none = learned(NoSampling()).state_dict(), learned(LinearSampling(sampled=0.0)).state_dict()
    some = learned(LinearSampling(sampled=1.0)).state_dict()
    assert all(torch.equal(value, none[name]) for name, value in plain.items())
    assert not all(torch.equal(value, some[name]) for name, value in plain.items())


class Always(ScheduledSampling):
    """Every token is sampled."""

    def share(self, step: int, steps: int) -> float:
        return 1.0


def test_a_model_that_sees_only_its_own_tokens_ignores_them() -> None:
    """Huszár (2015): the optimum is then the product of the marginals. Of "ab" and "ba" the second letter follows from
    the first, and maximum likelihood knows it; sampled, it is either with probability 1/2."""
    text = Batch(torch.tensor([[2, 3, 0]]))
    likely, sampled = (learned(how, 120).log_prob(text.x).exp().item() for how in (NoSampling(), Always()))
    assert likely == pytest.approx(0.5, abs=0.03)
    assert sampled == pytest.approx(0.25, abs=0.06)


def test_micro_batches_go_on_from_the_same_tokens() -> None:
    whole, cut = (learned(Always(), 3, micro_batch=size).state_dict() for size in (None, 5))
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-4, atol=1e-5)


def test_the_first_stage_of_seqgan_has_it_too() -> None:
    assert SeqGANConfig(scheduled_sampling=LinearSampling()).scheduled_sampling.share(9, 10) == 0.25
