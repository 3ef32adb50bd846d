"""How exactly encoding and decoding undo each other, of models of which it is known."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor

from genwerk.core.abilities import Decodes, Encodes, HasLatentPrior
from genwerk.core.model import Config, Model
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.evaluation.invertibility import EXAMPLES, FIRST, invertibility, inverts

TABLE = DataSpec(kind="table", shape=(4,))


def rows(n: int = 100, *, scale: Tensor | float = 1.0) -> Dataset:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Dataset(x=(x - x.mean(0)) / x.std(0, correction=0) * scale, spec=TABLE)


class Halves(Model, Encodes, Decodes):
    """Encodes x as x and decodes z as z / 2."""

    def __init__(self, spec: DataSpec = TABLE, clock: list[float] | None = None) -> None:
        super().__init__(Config(), spec)
        self.latent_shape, self.clock, self.most = spec.shape, clock, 0

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert not self.training
        if self.clock is not None:
            self.clock[0] += 0.1 * len(x)
        return x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z / 2


class Rotation(Halves, HasLatentPrior):
    """A linear flow: an orthogonal matrix, in float32."""

    lossless = True

    def __init__(self) -> None:
        super().__init__()
        turned = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
        self.matrix = torch.nn.Parameter(turned)

    def prior(self, n: int, *, seed: Seed | None = None) -> Tensor:
        return SeededNoise(n, seed).normal(4)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.float() @ self.matrix

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z @ self.matrix.T


class Names(Halves):
    """Two names of four values: of the decoded examples the first value has lost its own."""

    discrete = True

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return (x > 0).to(x.dtype)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.cat([torch.ones_like(z[:, :1]), z[:, 1:] - 0.5], 1)


class Blind(Model, Encodes):
    latent_shape = (1,)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x[:, :1]


def test_what_halves_is_off_by_half_of_the_spread() -> None:
    out, back = invertibility(Halves(), rows())
    assert (out.key, back.key) == ("encode_decode_error", "decode_encode_error")
    assert out.value == pytest.approx(0.5)
    assert back.value == pytest.approx(0.5)
    each = rows().x.square().mean(1).sqrt() / 2
    assert f"median {each.median():.3g}, most {each.max():.3g}" in out.note
    assert "100 held-out rows" in out.note
    assert "100 latents of held-out rows" in back.note
    assert "float32" not in out.note


def test_columns_count_in_units_of_their_own_spread() -> None:
    class OneLost(Halves):
        def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
            return z * torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=z.dtype)

    wide = rows(scale=torch.tensor([1e6, 1.0, 1.0, 1e-3], dtype=torch.float64))
    assert invertibility(OneLost(), wide)[0].value == pytest.approx(sqrt(1 / 4))


def test_an_orthogonal_flow_is_exact_to_rounding() -> None:
    out, back = invertibility(Rotation(), rows())
    assert 0 < out.value < 4e-7
    assert 0 < back.value < 4e-7
    assert "100 latents of the prior" in back.note
    assert out.note.endswith("float32 rounds to 6e-08 of a value")


def test_of_names_it_is_the_share_that_does_not_come_back() -> None:
    data = rows()
    out, back = invertibility(Names(), data)
    lost = (data.x[:, 0] <= 0).double().mean().item() / 4
    assert back.value == pytest.approx(lost)
    assert back.note == "share that does not come back; 100 codes of held-out rows"
    assert out.value > 0.5


def test_where_time_runs_out_fewer_go() -> None:
    clock = [0.0]
    found = invertibility(Halves(clock=clock), rows(500), seconds=4.0, clock=lambda: clock[0])
    n = 28  # 4, 8 and 16 rows of 0.1 s; another 32 would end after 6 s
    assert f"{n} held-out rows (of {EXAMPLES}, for want of time)" in found[0].note
    assert found[0].value == pytest.approx(0.5, rel=0.3)
    clock[0] = 0.0
    slow = invertibility(Halves(clock=clock), rows(500), seconds=0.0, clock=lambda: clock[0])
    assert f"{FIRST} held-out rows" in slow[0].note


def test_memory_bounds_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(Halves):
        def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
            self.most = max(self.most, len(x))
            return x

    model, spec = Watched(), DataSpec(kind="table", shape=(4,))
    monkeypatch.setenv("GENWERK_MEMORY", "1KB")
    invertibility(model, Dataset(x=rows(64).x, spec=spec))
    assert 1 <= model.most <= 8


def test_only_what_goes_both_ways_is_measured() -> None:
    assert inverts(Halves())
    assert not inverts(Blind(Config(), TABLE))
