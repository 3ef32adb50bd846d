"""Random numbers belong to a seed and a number in it, whatever batch they are drawn in."""

from __future__ import annotations

import pytest
import torch

from genwerk.core.noise import SeededNoise, Seeds, generator


def test_a_part_of_a_batch_is_that_part_of_the_whole() -> None:
    whole = SeededNoise(7, 5)
    a, b = whole.normal(3, 2), whole.uniform(4)
    for first, n in ((0, 1), (2, 3), (6, 1)):
        part = SeededNoise(n, Seeds(5, first))
        assert torch.equal(part.normal(3, 2), a[first : first + n])
        assert torch.equal(part.uniform(4), b[first : first + n])


def test_seeds_share_no_example() -> None:
    """Among them those that agree in the 32 bits which torch reads of a seed."""
    seeds = (0, 1, 2, 2**32, 2**32 + 1, 2**63, 2**64 - 1)
    first = torch.cat([SeededNoise(64, seed).uniform(4) for seed in seeds])
    assert len(first.unique(dim=0)) == 64 * len(seeds)


def test_generators_have_all_of_their_state_of_the_hash() -> None:
    """Of states of 32 bits, 100,000 generators would likely share one; here neighbours differ in half of all bits."""
    words = torch.stack([generator(3, i).get_state()[24 : 24 + 8 * 624].view(torch.int64) for i in range(1, 65)])
    assert words.min() >= 0
    assert words.max() < 2**32
    assert len(words.unique()) > 0.9999 * words.numel()
    bits = (words[1:] ^ words[:-1]).unsqueeze(-1) >> torch.arange(32) & 1
    assert abs(bits.double().mean().item() - 0.5) < 0.005


def test_the_state_is_laid_out_as_torch_reads_it() -> None:
    """A generator whose words are those of a seed's draws what that seed draws."""
    words = [2**32 - 1 & 1234]
    for i in range(1, 624):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + i) & 2**32 - 1)
    state = torch.Generator().manual_seed(1234).get_state()
    assert state[24 : 24 + 8 * 624].view(torch.int64).tolist() == words
    drawn = torch.randn(2000, 16, generator=generator(9, 4))
    assert abs(drawn.mean().item()) < 0.02
    assert abs(drawn.std().item() - 1) < 0.02


def test_the_first_example_is_what_torch_draws_by_the_seed() -> None:
    assert torch.equal(SeededNoise(2, 11).normal(4, 8)[:1], torch.randn(1, 4, 8, generator=generator(11)))
    assert torch.equal(torch.randn(3, generator=generator(11)), torch.randn(3, generator=torch.manual_seed(11)))


@pytest.mark.parametrize("seed", [-1, 2**64, 10**20])
def test_seeds_that_cannot_be_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"the seed is {seed}; expected a whole number from 0 to 2\^64 - 1"):
        SeededNoise(1, seed)


def test_fresh_seeds_differ() -> None:
    assert not torch.equal(SeededNoise(1).normal(4), SeededNoise(1).normal(4))
