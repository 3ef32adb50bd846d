"""The oracle draws what it scores, the same for ever, between a floor and a ceiling that can be told beforehand."""

from __future__ import annotations

from itertools import product
from math import log

import torch

from genwerk.data.oracle import oracle


def test_it_draws_as_often_as_it_says() -> None:
    """All 3^3 sequences: the scores are a distribution, and the frequencies of 20,000 draws are that distribution."""
    of = oracle(vocabulary=3, length=3, width=4)
    every = torch.tensor(list(product(range(3), repeat=3)))
    p = (-3 * of.nll(every)).exp()
    torch.testing.assert_close(p.sum(), torch.tensor(1.0))
    place = 3 ** torch.arange(2, -1, -1)
    found = torch.bincount((of.sample(20_000) * place).sum(1), minlength=27) / 20_000
    assert ((found - p).abs() <= 4 * (p * (1 - p) / 20_000).sqrt() + 1e-4).all()


def test_a_seed_is_one_oracle_and_one_sample() -> None:
    assert torch.equal(oracle(50, 5, seed=3).sample(9, seed=1), oracle(50, 5, seed=3).sample(9, seed=1))
    assert not torch.equal(oracle(50, 5, seed=3).sample(9, seed=1), oracle(50, 5, seed=4).sample(9, seed=1))
    assert not torch.equal(oracle(50, 5, seed=3).sample(9, seed=1), oracle(50, 5, seed=3).sample(9, seed=2))


def test_samples_cost_less_than_chance_and_uniform_tokens_cost_more() -> None:
    """Of 500 tokens: log 500 is between, for the mean of -log p over the tokens is at least that (Jensen)."""
    of = oracle(vocabulary=500)
    own, uniform = of.sample(500), torch.randint(500, (500, 20), generator=torch.Generator().manual_seed(0))
    assert of.nll(own).mean() < log(500) - 1
    assert of.nll(uniform).mean() > log(500) + 1
