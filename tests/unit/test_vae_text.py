"""Variational autoencoders of texts against likelihoods that are known, as integrals over the code and otherwise."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import exp, log
from typing import Any

import pytest
import torch
from stepping import assert_forks_part, assert_steps_equal_the_pass, random_weights
from torch import Tensor

from genwerk import tasks
from genwerk.core.errors import BadInput, BadSetting
from genwerk.core.noise import Seeds
from genwerk.core.options import Symbolwise
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.vocabularies import UNKNOWN, Characters
from genwerk.data.dataset import Dataset
from genwerk.families import vae_text, variational
from genwerk.families.vae_text import TextVAE, TextVAEConfig
from genwerk.families.variational import IAFPosterior
from genwerk.nn.annealing import Annealing, CyclicalAnnealing, LinearAnnealing, NoAnnealing, SigmoidAnnealing
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import check_causality
from genwerk.nn.losses import gaussian_kl
from genwerk.nn.text_coder import LSTMCoder, LSTMDecoder, Sees
from genwerk.testing.case import double_precision
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="text", shape=(3,), vocabulary=Characters(symbols=("a", "b"), length=3))
CODER = LSTMCoder(embedding=3, width=5)
SMALL = TextVAEConfig(network=CODER, latent=1)
EVERY = torch.tensor([t for t in product((0, 1, 2, 3), repeat=3) if not (t[0] == 0 and any(t)) and (t[1] or not t[2])])
"""All texts of three tokens there are, filled up with ends."""


def vae(config: TextVAEConfig = SMALL, spec: DataSpec = SPEC, scale: float = 1.5) -> TextVAE:
    torch.manual_seed(0)
    model = TextVAE(config, spec).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(scale * torch.randn(p.shape, dtype=p.dtype) / (p[0].numel() if p.dim() > 1 else 4) ** 0.5)
    return model


def exact(model: TextVAE) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x) of every text, by the trapezoidal rule over the one code; those codes, and log p(x, z)."""
    z = torch.linspace(-8, 8, 801, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    with torch.no_grad():
        joint = model._log_likelihood(EVERY, z.expand(len(EVERY), -1)[..., None], None) + normal.log_prob(z)
    return joint.logsumexp(1) + log(16 / 800), z, joint


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sees", ["input", "state", "both"])
def test_steps_of_the_decoder_are_its_pass(sees: Sees) -> None:
    code = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    built = LSTMDecoder(9, 5, LSTMCoder(embedding=4, width=6, layers=2, sees=sees), end=0, code=4)
    random_weights(built)
    assert_steps_equal_the_pass(built, code)
    assert_forks_part(built, code[:2])
    assert check_causality(LSTMDecoder(6, 5, replace(CODER, sees=sees), end=None, code=4), (6,), range(6), code) == 1
    symbols = torch.tensor([[3, 1, 2, 0, 0, 0, 0, 0, 0]]).expand(3, -1)
    assert built.log_prob(symbols, code)[:, 0].unique().numel() == 3, "the first token depends on the code"


def test_the_encoder_reads_up_to_the_end() -> None:
    model = vae(spec=replace(SPEC, shape=(6,), vocabulary=Characters(symbols=("a", "b"), length=6)))
    x = torch.tensor([[2, 3, 0, 0, 0, 0], [3, 3, 2, 2, 3, 2]])
    torch.testing.assert_close(model.encode(x[:1, :3]), model.encode(x)[:1])
    torch.testing.assert_close(model.encode(x[:1]), model.encode(x)[:1])
    others = torch.tensor([[2, 2, 0, 0, 0, 0], [2, 3, 2, 0, 0, 0], [3, 2, 0, 0, 0, 0]])
    assert all(not torch.allclose(model.encode(other[None]), model.encode(x[:1])) for other in others)


# --- the likelihood ---------------------------------------------------------------------------------------------------


def test_bounds_come_from_below_to_the_integral() -> None:
    model = vae()
    log_p, z, joint = exact(model)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-6)
    mean, log_var = model.posterior(EVERY)
    kl = gaussian_kl(mean, log_var)[:, 0]
    log_w = model.log_weights(EVERY, 4_000, seed=1)
    error = log_w.std(1) / 4_000**0.5
    q = torch.distributions.Normal(mean, (0.5 * log_var).exp()).log_prob(z)
    gap = (q.exp() * (q - (joint - log_p[:, None]))).sum(1) * 16 / 800  # KL(q || posterior)
    assert gap.min() > 1e-3
    assert kl.max() > 0.1
    assert ((log_w.mean(1) - (log_p - gap)).abs() < 5 * error).all()
    w = (log_w - log_p[:, None]).exp()
    assert ((w.mean(1) - 1).abs() < 5 * w.std(1) / 4_000**0.5).all()
    elbos = -torch.stack(
        [model.objective(Batch(EVERY), torch.rand(len(EVERY), 3), torch.randn(len(EVERY), 1, 1).double())[0]
         for _ in range(400)]
    )  # fmt: skip
    assert abs(elbos.mean() - (log_p - gap).mean()) < 5 * elbos.std() / 20
    assert elbos.mean() < log_p.mean()


def test_a_decoder_without_a_code_is_the_language_model() -> None:
    """Nothing is lost then where q is the prior, and its KL divergence where it is not."""
    model, decoder = vae(), vae().decoder
    plain = LSTMConfig(embedding=3, width=5).build(3, 4, end=0, classes=0).double()
    with torch.no_grad():
        for d in (decoder, model.decoder):
            d.lstm.weight_ih_l0[:, 3:] = 0
            d.cell.weight.zero_()
            d.cell.bias.zero_()
        state = decoder.state_dict()
        state = {name: value for name, value in state.items() if not name.startswith("cell.")}
        plain.load_state_dict(state | {"lstm.weight_ih_l0": state["lstm.weight_ih_l0"][:, :3]})
    expected = plain.log_prob(EVERY).sum(1)
    kl = gaussian_kl(*model.posterior(EVERY))
    eps = torch.zeros(len(EVERY), 1, 1, dtype=torch.float64)
    _, metrics = model.objective(Batch(EVERY), torch.rand(len(EVERY), 3), eps)
    torch.testing.assert_close(metrics["elbo"], (expected - kl[:, 0]).mean())
    with torch.no_grad():
        model.encoder.head.weight.zero_()
        model.encoder.head.bias.zero_()
    torch.testing.assert_close(model.log_weights(EVERY, 5, seed=0), expected[:, None].expand(-1, 5))
    found = model.diagnose(EVERY)
    assert found["KL of codes"].sum() == 0 == found["active units"]


def test_weights_do_not_depend_on_how_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = vae()
    whole = model.log_weights(EVERY, 7, seed=5)
    torch.testing.assert_close(model.log_weights(EVERY[4:5], 7, seed=Seeds(5, 4))[0], whole[4])
    monkeypatch.setattr(vae_text, "LOGITS", 3 * 4 * 3)
    assert model.codes_at_once == 3
    torch.testing.assert_close(model.log_weights(EVERY, 7, seed=5), whole)
    monkeypatch.setattr(variational, "ROWS", 2)
    assert model.codes_at_once == 2


def test_samples_come_as_often_as_the_integral_says() -> None:
    model = vae()
    log_p, *_ = exact(model)
    x, n = model.sample(6_000, seed=0), 6_000
    found = (x[:, None] == EVERY).all(2).double().sum(0)
    assert found.sum() == n
    spread = (n * log_p.exp() * (1 - log_p.exp())).sqrt()
    assert ((found - n * log_p.exp()).abs() < 4.5 * spread + 1).all()
    coldest = model.sample(50, options=Symbolwise(temperature=0.0), seed=0)
    torch.testing.assert_close(coldest, model.sample(50, options=Symbolwise(top_k=1), seed=0))


def test_the_text_of_a_code_takes_the_likeliest_token_each_time() -> None:
    model = vae(scale=4.0)
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    texts = model.decode(z)
    assert len({tuple(row) for row in texts.tolist()}) > 1
    for code, text in zip(z, texts, strict=True):
        begun = list[int]()
        while len(begun) < 3 and 0 not in begun:
            candidates = torch.tensor([[*begun, token] for token in range(4)])
            begun.append(int(model.decoder.log_prob(candidates, code.expand(4, 1))[:, -1].argmax()))
        assert [*begun, 0, 0][:3] == text.tolist()
    rebuilt = model.decode(model.encode(EVERY))
    counted = ~model.decoder.over(EVERY)
    share = (rebuilt == EVERY)[counted].double().mean().item()
    assert model.diagnose(EVERY)["share of tokens rebuilt"].item() == pytest.approx(share)


# --- against collapse -------------------------------------------------------------------------------------------------


def test_free_bits_have_no_gradient_below_their_number_and_a_whole_one_above() -> None:
    model = vae(replace(SMALL, latent=3, free_bits=0.5, beta=2.0))
    kl = torch.tensor([[0.1, 0.9, 2.0], [0.3, 0.3, 1.0]], dtype=torch.float64, requires_grad=True)
    log_p, z = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    loss, metrics = model.bound(log_p, log_p, kl, z, weight=0.25)
    assert loss.item() == pytest.approx(2 * 0.25 * (0.5 + 0.6 + 1.5))
    assert metrics["kl"].item() == pytest.approx(0.2 + 0.6 + 1.5)
    assert metrics["elbo"].item() == pytest.approx(-2.3)
    (gradient,) = torch.autograd.grad(loss, kl)
    torch.testing.assert_close(gradient, 0.25 * torch.tensor([[0.0, 1.0, 1.0]] * 2).double())


def test_behind_a_flow_all_dimensions_have_their_free_bits_together() -> None:
    model = vae(replace(SMALL, latent=3, free_bits=0.5, posterior=IAFPosterior(width=4)))
    log_p, z = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64)
    for kl, cost in ((1.0, 1.5), (2.0, 2.0)):
        assert model.bound(log_p, log_p, torch.full((2, 1), kl).double(), z)[0].item() == pytest.approx(cost)


def learned(config: TextVAEConfig, rounds: int = 3, **changes: Any) -> TextVAE:
    torch.manual_seed(0)
    settings = TrainConfig(rounds=rounds, batch_size=8, optim={"model": OptimConfig(eps=1e-3)}, **changes)
    with double_precision():
        model = TextVAE(config, SPEC)
        Trainer(model, Dataset(x=EVERY.int(), spec=SPEC), settings).fit()
    return model


def test_free_bits_of_micro_batches_are_those_of_the_batch() -> None:
    config = replace(SMALL, latent=2, free_bits=0.02, word_dropout=0.5)
    whole, cut = (learned(config, micro_batch=size).state_dict() for size in (None, 3))
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=1e-5, atol=1e-7)
    assert not torch.equal(learned(replace(config, free_bits=0.0)).encoder.head.weight, whole["encoder.head.weight"])


def test_the_weight_rises_as_published() -> None:
    steps = 200
    for step in range(steps):
        assert LinearAnnealing(rise=0.25).weight(step, steps) == pytest.approx(min(1, step / 50))
        logistic = 1 / (1 + exp(-12 * (step / 50 - 0.5)))
        assert SigmoidAnnealing(rise=0.25).weight(step, steps) == pytest.approx(logistic if step < 50 else 1)
        assert NoAnnealing().weight(step, steps) == 1
    cycle = [min(1, tau / 25) for tau in range(50)]  # T = 200, M = 4, R = 0.5
    assert [CyclicalAnnealing().weight(t, steps) for t in range(steps)] == pytest.approx(4 * cycle)
    assert all(kind().weight(steps - 1, steps) == 1 for kind in Annealing.kinds.values())
    assert set(Annealing.kinds) == {"none", "linear", "sigmoid", "cyclical"}
    for kind in (LinearAnnealing, SigmoidAnnealing, CyclicalAnnealing):
        with pytest.raises(BadSetting, match=r"model\.annealing\.rise is 2"):
            kind(rise=2.0)


def test_the_weight_follows_the_rounds() -> None:
    seen = list[float]()

    class Noted(Annealing):
        """Notes what it is asked."""

        def weight(self, step: int, steps: int) -> float:
            seen.append(step / steps)
            return 0.5

    half = learned(replace(SMALL, annealing=Noted()), 4)
    assert seen == [0.0, 0.25, 0.5, 0.75]
    other = learned(replace(SMALL, beta=0.5), 4)
    for p, q in zip(half.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_dropped_words_are_unknown_to_the_decoder_in_training_alone() -> None:
    model, z = vae(replace(SMALL, word_dropout=0.5)), torch.randn(len(EVERY), 2, 1, dtype=torch.float64)
    u = torch.rand(len(EVERY), 3)
    history = torch.where(u < 0.5, UNKNOWN, EVERY)
    for k in range(2):
        expected = model.decoder.log_prob(EVERY, z[:, k], history).sum(1)
        torch.testing.assert_close(model._log_likelihood(EVERY, z, None, u)[:, k], expected)
        torch.testing.assert_close(
            model._log_likelihood(EVERY, z, None)[:, k], model.decoder.log_prob(EVERY, z[:, k]).sum(1)
        )
    model.config = replace(model.config, word_dropout=1.0)
    every = model._log_likelihood(torch.tensor([[2, 3, 2], [3, 2, 2]]), z[:1].expand(2, 2, 1), None, u[:2])
    own = [model.decoder.log_prob(torch.tensor([[1, 1, s]]), z[0, :1])[0, 2] for s in (2,)]
    assert every.shape == (2, 2)
    last = (
        every[0, 0] - model.decoder.log_prob(torch.tensor([[2, 3, 0]]), z[0, :1], torch.ones(1, 3).long())[0, :2].sum()
    )
    torch.testing.assert_close(last, own[0])  # the third token is predicted from two unknown ones


# --- use --------------------------------------------------------------------------------------------------------------


def test_a_conditional_model_uses_its_label() -> None:
    spec = replace(SPEC, classes=("x", "y"))
    model = vae(replace(SMALL, conditional=True), spec, scale=4.0)
    label = torch.arange(len(EVERY)) % 2
    assert not torch.allclose(model.encode(EVERY, label), model.encode(EVERY, 1 - label))
    assert not torch.allclose(
        model.log_weights(EVERY, 1, label, seed=0), model.log_weights(EVERY, 1, 1 - label, seed=0)
    )
    zeros, ones = (torch.full((40,), value) for value in (0, 1))
    assert not torch.equal(model.sample(40, zeros, seed=0), model.sample(40, ones, seed=0))
    with pytest.raises(ValueError, match="class index from 0 to 1"):
        model.encode(EVERY)


def test_the_way_between_two_texts_ends_at_both() -> None:
    model = vae(scale=4.0)
    found = tasks.interpolate(model, EVERY[5:6], EVERY[9:10], 5)
    assert found.shape == (1, 5, 3)
    ends = model.decode(model.encode(EVERY[[5, 9]]))
    assert torch.equal(found[0, [0, -1]], ends)
    assert torch.equal(tasks.reconstruct(model, EVERY[[5, 9]]), ends)


def test_settings_that_cannot_work_say_so() -> None:
    with pytest.raises(BadInput, match=r"a variational autoencoder of texts learns texts and cannot take"):
        TextVAE(SMALL, DataSpec(kind="table", shape=(3,)))
    with pytest.raises(BadInput, match="nothing to learn"):
        TextVAE(SMALL, replace(SPEC, vocabulary=Characters(symbols=("a",), length=3)))
    with pytest.raises(BadSetting, match=r"model\.word_dropout is 1\.5"):
        TextVAEConfig(word_dropout=1.5)
    for wrong in ({"free_bits": -1.0}, {"free_bits": 1.0, "mmd": 1.0}):
        with pytest.raises(ValueError, match="free_bits is"):
            TextVAEConfig(**wrong)
    for needs_plain in ({"free_bits": 0.1}, {"annealing": LinearAnnealing()}):
        with pytest.raises(ValueError, match="importance_samples is 5"):
            TextVAEConfig(importance_samples=5, **needs_plain)  # type: ignore[arg-type]
