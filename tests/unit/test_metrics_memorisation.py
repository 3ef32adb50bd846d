"""Memorisation, the Vendi score and the feature likelihood divergence, where the answer is known beforehand."""

from math import exp, log

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from genwerk.metrics import feature_likelihood_divergence, memorisation, vendi_score
from genwerk.metrics.likelihood_divergence import _log_variances, _nats_per_dim
from genwerk.metrics.memorisation import Neighbourhood, compared, nearest, own


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Vendi ------------------------------------------------------------------------------------------------------------


def test_vendi_counts_orthogonal_kinds_whatever_their_length() -> None:
    kinds = torch.eye(7)[:4].repeat_interleave(25, 0) * torch.linspace(1, 9, 100)[:, None]
    assert vendi_score(kinds) == pytest.approx(4)
    assert vendi_score(kinds[:25]) == pytest.approx(1)
    unequal = torch.eye(2)[[0, 0, 0, 1]]
    assert vendi_score(unequal) == pytest.approx(exp(-0.75 * log(0.75) - 0.25 * log(0.25)))


@pytest.mark.parametrize("n,d", [(20, 50), (50, 20)])
def test_vendi_of_the_small_product_is_that_of_all_similarities(n: int, d: int) -> None:
    x = normal(n, d, 0)
    unit = x / x.norm(dim=1, keepdim=True)
    share = torch.linalg.eigvalsh(unit @ unit.T / n).clamp(min=1e-300)
    assert vendi_score(x) == pytest.approx(float((-(share * share.log()).sum()).exp()), rel=1e-9)


def test_vendi_refuses_what_has_no_direction() -> None:
    with pytest.raises(ValueError, match="all zeros"):
        vendi_score(torch.zeros(3, 2))


# --- memorisation -----------------------------------------------------------------------------------------------------


def test_figures_on_a_line_counted_by_hand() -> None:
    train, test = torch.tensor([[0.0], [1.0], [10.0], [12.0]]), torch.tensor([[0.5], [11.0], [14.0]])
    fake = torch.tensor([[0.0], [1.4], [10.0], [20.0]])
    found = memorisation(train, test, fake, cells=1)
    # nearest training example: 0, 0.4, 0 and 8 away for generated, 0.5, 1 and 2 for test examples; torch's median is
    # the lower of the two in the middle; training examples are 1, 1, 2 and 2 from one another
    assert found.ratio == pytest.approx(0.0 / 1.0)
    assert found.nearer_than_any_test == pytest.approx(3 / 4)
    assert found.authenticity == pytest.approx(1 / 4)


def test_copies_look_like_copies_and_fresh_examples_do_not() -> None:
    train, test, fresh = normal(1500, 8, 0), normal(500, 8, 1), normal(500, 8, 2)
    copies = memorisation(train, test, train[:500] + normal(500, 8, 3, 1e-3))
    assert copies.copying < -10
    assert copies.authenticity == 0
    assert copies.nearer_than_any_test == 1
    honest = memorisation(train, test, fresh)
    assert abs(honest.copying) < 3
    assert honest.ratio == pytest.approx(1, abs=0.1)
    assert memorisation(train, test, normal(500, 8, 2, 3)).copying > 10


def test_c_t_is_standard_normal_under_equality() -> None:
    """In one cell, for distances exchangeable between generated and test examples: mean 0, variance 1."""
    train = normal(50, 2, 0)
    scores = torch.tensor(
        [memorisation(train, normal(40, 2, 2 * i + 1), normal(60, 2, 2 * i + 2), cells=1).copying for i in range(200)]
    )
    assert scores.mean().item() == pytest.approx(0, abs=0.25)
    assert scores.std().item() == pytest.approx(1, abs=0.15)


def test_a_rows_own_neighbour_is_not_itself() -> None:
    x = torch.tensor([[0.0], [3.0], [4.0]])
    assert own(x, torch.arange(3)).tolist() == [3, 1, 1]
    assert own(torch.tensor([[1.0], [1.0]]), torch.arange(2)).tolist() == [0, 0]
    distance, row = nearest(x, torch.tensor([[3.4], [-1.0]]))
    assert distance.tolist() == pytest.approx([0.4, 1.0])
    assert row.tolist() == [1, 0]


def test_within_a_cell_only_its_own_training_examples_count() -> None:
    train, of = normal(300, 3, 0), normal(100, 3, 1)
    among = Neighbourhood(train, cells=4)
    near, cells = among.near(of), among._cell(train)
    assert torch.equal(near.distance, nearest(train, of)[0])
    assert (near.within > near.distance).any()
    for i in range(100):
        members = train[cells == near.cell[i]]
        assert near.within[i].item() == pytest.approx((members - of[i]).norm(dim=1).min().item(), rel=1e-9)
    part = compared(near[:50], near[50:])[0]
    again = compared(among.near(of[:50]), among.near(of[50:]))[0]
    assert part == again


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 of each"):
        memorisation(torch.zeros(1, 2), torch.zeros(2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="at least 4 of each"):
        feature_likelihood_divergence(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(4, 2))


# --- feature likelihood divergence ------------------------------------------------------------------------------------


def test_the_likelihood_is_that_of_the_mixture() -> None:
    x, centres, variances = normal(5, 3, 0), normal(2, 3, 1), torch.tensor([0.3, 2.0])
    densities = [
        multivariate_normal(c.numpy(), v.item()).pdf(x.numpy()) for c, v in zip(centres, variances, strict=True)
    ]
    expected = -torch.log(torch.tensor(sum(densities)) / 2).mean().item() / 3
    assert _nats_per_dim(x.float(), centres.float(), variances.log()) == pytest.approx(expected, rel=1e-5)


def test_widths_are_the_likeliest() -> None:
    """Two centres far apart, rows spread about each: their variances are the mean squared distances a dimension."""
    a, b = normal(400, 4, 0, 0.5), normal(400, 4, 1, 1.5) + 100
    centres = torch.stack([torch.zeros(4), torch.full((4,), 100.0)])
    found = _log_variances(torch.cat([a, b]).float(), centres).exp()
    expected = [a.square().mean().item(), (b - 100).square().mean().item()]
    assert found.tolist() == pytest.approx(expected, rel=2e-2)


def test_real_data_are_at_nought_and_worse_samples_above() -> None:
    train, test = normal(800, 16, 0), normal(400, 16, 1)
    fresh = feature_likelihood_divergence(train, test, normal(400, 16, 2))
    shifted = feature_likelihood_divergence(train, test, normal(400, 16, 3) + 0.5)
    copies = feature_likelihood_divergence(train, test, train[:400] + normal(400, 16, 4, 0.01))
    assert abs(fresh) < 1.5
    assert shifted > 5
    assert copies > 100


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = normal(60, 5, 0), normal(30, 5, 1), normal(31, 5, 2)
    whole = feature_likelihood_divergence(*parts)
    monkeypatch.setitem(feature_likelihood_divergence.__globals__, "CHUNK_BYTES", 4 * 31 * 7)
    assert feature_likelihood_divergence(*parts) == pytest.approx(whole, rel=1e-4)
