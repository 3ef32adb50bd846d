"""Drawing, completing and the probe, on a net whose every answer can be counted out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import stepping
import torch
from torch import Tensor, nn

from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Symbolwise
from genwerk.nn.autoregressive.network import (
    AutoregressiveNetwork,
    Cache,
    Leak,
    check_causality,
    dependence,
    emit,
    fill,
    generate,
)


class Table(AutoregressiveNetwork):
    """Logits of each symbol from a masked linear map of all symbols before it; ``slip`` lets it see ahead."""

    def __init__(self, length: int, levels: int, slip: int = 0) -> None:
        super().__init__()
        self.shape, self.levels, self.slip = (length,), levels, slip
        self.weight = nn.Parameter(torch.randn(length, levels, levels, length) * 1.5)
        self.bias = nn.Parameter(torch.randn(levels, length))

    def embed(self, symbols: Tensor) -> Tensor:
        return nn.functional.one_hot(symbols, self.levels).to(self.bias).mT

    def transform(self, features: Tensor, condition: Tensor | None = None) -> Tensor:
        length = features.shape[2]
        mask = torch.ones(length, length).tril(self.slip - 1).to(features)  # [t, s]: s before t
        weight = self.weight[:length, :, :, :length] * mask[:, None, None, :]
        return torch.einsum("tlks,nks->nlt", weight, features) + self.bias[:, :length]

    def begin(self, n: int, condition: Tensor | None = None) -> Cache:
        return Cache({"symbols": torch.zeros(n, self.length, dtype=torch.int64)})

    def logits(self, cache: Cache) -> Tensor:
        return self(cache.tensors["symbols"])[:, :, cache.position]

    def push(self, cache: Cache, symbol: Tensor) -> None:
        cache.tensors["symbols"][:, cache.position] = symbol
        cache.position += 1


def table(length: int = 5, levels: int = 3, slip: int = 0, seed: int = 0) -> Table:
    torch.manual_seed(seed)
    return Table(length, levels, slip).double().requires_grad_(False)


def every(net: AutoregressiveNetwork) -> tuple[Tensor, Tensor]:
    """All sequences with shape (m, length), and their probabilities."""
    all_of_them = torch.tensor(list(product(range(net.levels), repeat=net.length)))
    return all_of_them, net.log_prob(all_of_them).sum(1).exp()


def uniform(n: int, seed: int = 0):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    return lambda rows, columns: torch.rand(n, rows, columns, generator=generator)


def frequencies(net: AutoregressiveNetwork, drawn: Tensor) -> Tensor:
    """Share of each of all sequences among ``drawn`` (m, length)."""
    place = net.levels ** torch.arange(net.length - 1, -1, -1)
    return torch.bincount((drawn * place).sum(1), minlength=net.levels**net.length) / len(drawn)


def test_the_table_is_what_a_stepper_must_be() -> None:
    stepping.assert_steps_equal_the_pass(table())
    stepping.assert_log_prob_is_that_of_the_logits(table())
    stepping.assert_forks_part(table())
    stepping.assert_sums_to_one(table())


def test_samples_have_the_model_s_frequencies() -> None:
    net, n = table(4), 40_000
    drawn = torch.stack(list(generate(net, net.begin(n), torch.rand(n, 4))), 1)
    _, p = every(net)
    found = frequencies(net, drawn)
    assert ((found - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 2e-4).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Symbolwise(), [0.5, 0.3, 0.15, 0.05]),
        (Symbolwise(temperature=0), [1, 0, 0, 0]),
        (Symbolwise(temperature=0.5), [0.25, 0.09, 0.0225, 0.0025]),
        (Symbolwise(top_k=2), [0.5, 0.3, 0, 0]),
        (Symbolwise(top_k=9), [0.5, 0.3, 0.15, 0.05]),
        (Symbolwise(top_p=0.5), [1, 0, 0, 0]),
        (Symbolwise(top_p=0.6), [0.5, 0.3, 0, 0]),
        (Symbolwise(top_p=0.81), [0.5, 0.3, 0.15, 0]),
    ],
)
def test_options_shape_the_probabilities(options: Symbolwise, expected: list[float]) -> None:
    order = [2, 0, 3, 1]
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    wanted = torch.tensor(expected, dtype=torch.float64)
    found = options.probabilities(p[order].log()[None])[0]
    torch.testing.assert_close(found / found.sum(), wanted[order] / wanted.sum())
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    drawn = options.draw(p[order].log().expand(20_000, 4), u)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares.double(), (wanted / wanted.sum())[order], rtol=0, atol=1e-3)


def test_several_draws_from_one_row_are_those_from_copies_of_it() -> None:
    logits, u = torch.randn(5, 7), torch.rand(5, 3)
    copies = Symbolwise().draw(logits.repeat_interleave(3, 0), u.flatten())
    assert torch.equal(Symbolwise().draw(logits, u), copies.view(5, 3))


@pytest.mark.parametrize("setting", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_options_that_make_no_sense_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Symbolwise(**setting)  # type: ignore[arg-type]


def test_what_is_emitted_has_the_model_s_probability_whatever_the_options() -> None:
    net = table()
    cache = net.begin(6)
    given = torch.tensor([-1, 2, -1, 0, -1, 1])
    symbol, log_p = emit(net, cache, torch.rand(6), Symbolwise(top_k=1), given)
    expected = net(torch.zeros(6, 5, dtype=torch.int64))[:, :, 0].log_softmax(1)
    assert (symbol[given >= 0] == given[given >= 0]).all()
    assert (symbol[given < 0] == expected.argmax(1)[given < 0]).all()
    torch.testing.assert_close(log_p.double(), expected.gather(1, symbol[:, None])[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hole", [(3, 4), (0, 1, 2), (1,), (0, 2), (0, 1, 2, 3, 4)])
def test_completions_follow_the_conditional_distribution_around_any_hole(hole: tuple[int, ...]) -> None:
    """Brute force over all sequences that agree with what is known."""
    net, k = table(seed=3), 4000
    truth = torch.tensor([2, 0, 1, 1, 0])
    given = truth.clone()
    given[list(hole)] = -1
    found = fill(net, given[None], k, uniform(1), particles=k)
    sequences, p = every(net)
    agree = ((sequences == given) | (given < 0)).all(1)
    expected = torch.where(agree, p, 0.0) / p[agree].sum()
    shares = frequencies(net, found.sequence[0])
    assert (shares - expected).abs().sum() / 2 < 0.06  # total variation
    assert (shares[~agree] == 0).all()
    first = min(hole)
    log_p = net.log_prob(found.sequence[0])[:, first:].sum(1)
    torch.testing.assert_close(found.log_prob[0].double(), log_p, rtol=1e-4, atol=1e-4)
    late = any(t > first and t not in hole for t in range(5))
    assert found.particles == k
    assert found.ess[0] < 0.999 * k if late else found.ess[0] == k


def test_completions_of_several_examples_with_masks_of_their_own() -> None:
    net = table(seed=3)
    given = torch.tensor([[0, 1, -1, -1, -1], [-1, 1, 2, 0, 1], [2, 2, 1, 0, 0]])
    found = fill(net, given, 3, uniform(3), particles=8)
    assert found.sequence.shape == (3, 3, 5)
    assert ((found.sequence == given[:, None]) | (given[:, None] < 0)).all()
    assert (found.log_prob[2] == 0).all(), "nothing was unknown"
    assert (found.log_prob[:2] < 0).all()


def test_an_example_s_completions_do_not_depend_on_the_others_of_its_batch() -> None:
    net = table(seed=3)
    given = torch.tensor([[0, 1, 2, -1, -1], [-1, 1, -1, 0, 1], [2, -1, 1, -1, 0]])

    def numbers(rows: list[int]) -> Callable[[int, int], Tensor]:
        each = [SeededNoise(1, Seeds(7, i)) for i in rows]
        return lambda particles, columns: torch.cat([noise.uniform(particles, columns) for noise in each])

    together = fill(net, given, 3, numbers([0, 1, 2]), particles=16)
    for i in range(3):
        alone = fill(net, given[i : i + 1], 3, numbers([i]), particles=16)
        assert torch.equal(together.sequence[i], alone.sequence[0])
        torch.testing.assert_close(together.log_prob[i], alone.log_prob[0])
        torch.testing.assert_close(together.ess[i], alone.ess[0])
        assert together.ancestors[i] == alone.ancestors[0]
    assert together.ess[0] == together.ancestors[0] == 3, "nothing known follows the hole of the first"


def test_few_particles_have_few_ancestors_and_it_is_said() -> None:
    net, given = table(seed=3), torch.tensor([[-1, 1, -1, 0, 1]]).expand(64, -1)
    few, many = (fill(net, given, 5, uniform(64), particles=p).ancestors.double().mean() for p in (5, 160))
    assert few < 4
    assert many > few + 0.7


def test_one_completion_without_particles_is_plain_drawing() -> None:
    net = table(seed=3)
    found = fill(net, torch.tensor([[1, -1, -1, 2, -1]]), 1, uniform(1), particles=1)
    assert found.particles == 1
    assert found.sequence[0, 0, 3] == 2


def test_a_leak_is_found_and_named() -> None:
    assert check_causality(table(), (5,), range(5)) == 1.0
    with pytest.raises(Leak, match="predicts symbol 0 from symbol 0, which is not before it"):
        check_causality(table(slip=1), (5,), range(5))
    with pytest.raises(Leak, match="symbol 2 from symbol 2"):
        check_causality(table(slip=2), (5,), [2])


def test_dependence_is_every_earlier_symbol() -> None:
    assert torch.equal(dependence(table(), (5,), range(5)), torch.ones(5, 5).tril(-1).bool())
