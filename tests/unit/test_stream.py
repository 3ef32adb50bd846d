"""The training order is a function of seed, epoch and position; noise belongs to the round."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from genwerk.core.noise import mix
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream

CPU = torch.device("cpu")


def rows(n: int) -> Dataset:
    return Dataset(
        x=torch.arange(float(n))[:, None], spec=DataSpec(kind="table", shape=(1,)), condition=torch.arange(n)
    )


@given(n=st.integers(1, 60), batch=st.integers(1, 90), seed=st.integers(0, 5))
def test_every_epoch_holds_every_example_once(n: int, batch: int, seed: int) -> None:
    stream = Stream(rows(n), batch, seed, device=CPU)
    drawn = torch.cat([stream.next_batch().x[:, 0] for _ in range(-(-3 * n // batch))]).long()
    if batch == n:
        assert torch.equal(drawn[:n], torch.arange(n))
    for epoch in range(3):
        assert sorted(drawn[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@given(start=st.integers(0, 500), batch=st.integers(1, 30))
def test_a_position_is_a_number(start: int, batch: int) -> None:
    straight, jumped = (Stream(rows(37), batch, 3, device=CPU) for _ in range(2))
    straight.next_batch()
    straight.examples = jumped.examples = start
    assert torch.equal(straight.next_batch().x, jumped.next_batch().x)


@given(world=st.integers(1, 5), batch=st.integers(5, 40))
def test_ranks_share_a_batch_and_its_noise(world: int, batch: int) -> None:
    one = Stream(rows(100), batch, 1, device=CPU)
    ranks = [Stream(rows(100), batch, 1, device=CPU, rank=r, world=world) for r in range(world)]
    for stream in (one, *ranks):
        stream.begin(0, 7)
    parts = [r.next_batch() for r in ranks]
    assert torch.equal(one.next_batch().x, torch.cat([p.x for p in parts]))
    assert torch.equal(one.normal(2, 3), torch.cat([r.normal(2, 3) for r in ranks]))
    assert torch.equal(one.uniform(), torch.cat([r.uniform() for r in ranks]))


def test_labels_go_with_their_examples() -> None:
    batch = Stream(rows(50), 20, 0, device=CPU).next_batch()
    assert batch.condition is not None
    assert torch.equal(batch.x[:, 0].long(), batch.condition)


def test_noise_is_that_of_its_round_alone() -> None:
    a, b = (Stream(rows(50), 4, 0, device=CPU) for _ in range(2))
    a.begin(0, 1)
    first = a.normal(3)
    b.begin(0, 0)
    b.normal(100)
    b.begin(0, 1)
    assert torch.equal(first, b.normal(3))
    a.begin(1, 1)
    assert not torch.equal(first, a.normal(3))


def test_seeds_do_not_collide_for_neighbours() -> None:
    seeds = {mix(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(seeds) == 8000
    assert all(0 <= s < 2**63 for s in seeds)
