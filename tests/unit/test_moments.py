"""Moments of parts are those of the whole in float64, and what is measured by them does not change by the cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genwerk.core.batching import within
from genwerk.core.moments import Moments
from genwerk.core.spec import DataSpec
from genwerk.data import dataset
from genwerk.data.dataset import Dataset
from genwerk.evaluation.quick import column_scale, in_components
from genwerk.evaluation.samples import noise

ROWS = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([1, 1e-6, 1e3, 0, 5])
ROWS += torch.tensor([0.0, 1.0, 1e9, 7.0, -3.0])
TABLE = Dataset(x=ROWS, spec=DataSpec(kind="table", shape=(5,)))


@pytest.mark.parametrize("size", [1, 7, 300])
def test_moments_of_parts_are_those_of_the_whole(size: int) -> None:
    found, full = Moments(ROWS.split(size)), Moments(ROWS.split(size), full=True)
    torch.testing.assert_close(found.mean, ROWS.mean(0), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(found.covariance, ROWS.var(0, correction=0), rtol=1e-6, atol=1e-18)
    torch.testing.assert_close(full.covariance, torch.cov(ROWS.T, correction=0), rtol=1e-6, atol=1e-6)
    assert torch.equal(found.least, ROWS.amin(0))
    assert torch.equal(found.greatest, ROWS.amax(0))
    assert found.std[3] == full.std[3] == 1
    assert found.n == 300


def test_parts_of_a_data_set_are_few_values_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "AT_ONCE", 100)
    parts = list(TABLE.parts())
    assert [len(part) for part in parts] == [20] * 15
    assert torch.equal(torch.cat(parts), TABLE.batch().x)


def test_scale_and_noise_do_not_depend_on_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    scale, made = column_scale(TABLE), torch.cat(list(noise(TABLE, 10, 0)))
    assert torch.equal(scale, ROWS.std(0, correction=0).where(ROWS.std(0) > 0, 1))
    monkeypatch.setattr(dataset, "AT_ONCE", 100)
    torch.testing.assert_close(column_scale(TABLE), scale, rtol=1e-6, atol=0)
    assert torch.equal(torch.cat(list(noise(TABLE, 10, 0))), made)


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 20, 20)])
def test_components_are_those_of_the_singular_value_decomposition(shape: tuple[int, int, int]) -> None:
    """Of more rows than values, and of more values than rows, however few are in memory at once."""
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(100, *shape, generator=generator) * torch.rand(shape, generator=generator) * 255).byte()
    data = Dataset(x=x, spec=DataSpec(kind="image", shape=shape))
    made = torch.rand(50, *shape, generator=generator)
    flat = data.batch().x.double().flatten(1)
    *_, directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    known = [(each.double().flatten(1) - flat.mean(0)) @ directions[:32].T for each in (flat, made)]
    for memory in ("1GB", "10kB"):
        with within(memory):
            found = in_components(data, made.split(13))
        for a, b in zip(found, known, strict=True):
            torch.testing.assert_close(a.abs(), b.abs(), rtol=1e-8, atol=1e-10)
    alike = replace(data, x=x[:1].expand(100, *shape))
    real, other = in_components(alike, [made])
    assert real.abs().max() < 1e-6
    assert other.isfinite().all()
