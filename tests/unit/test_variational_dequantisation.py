"""Learned noise within levels: against autograd, uniform noise, and probabilities integrated over each bin."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.noise import SeededNoise
from genwerk.core.options import Tempered
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.flow import FlowConfig
from genwerk.families.nice import NICEConfig
from genwerk.families.realnvp import MultiScaleCouplings, RealNVPConfig
from genwerk.families.variational_dequantisation import VariationalDequantisation, VariationalDequantisationConfig
from genwerk.nn.flows.base import NormalBase
from genwerk.nn.flows.dequantise import Dequantiser
from genwerk.tasks import Unsupported, log_likelihood, require

TINY = DataSpec(kind="image", shape=(1, 2, 2), levels=3)
FLOWS = [
    MAFConfig(layers=2, widths=(8,), activation="tanh"),
    NICEConfig(couplings=3, widths=(8,), activation="tanh"),
    RealNVPConfig(architecture=MultiScaleCouplings(scales=1, channels=8, blocks=1)),
]


def model_of(flow: FlowConfig, spec: DataSpec = TINY) -> VariationalDequantisation:
    """In float64, with weights that are not those of the beginning; noise so narrow that weights explode is avoided."""
    torch.manual_seed(0)
    model = build(VariationalDequantisationConfig(flow=flow, channels=8), spec).double().eval()
    assert isinstance(model, VariationalDequantisation)
    with torch.no_grad():
        for part, deviation in ((model.flow, 0.3), (model.noise, 0.1)):
            for p in part.parameters():
                p += deviation * torch.randn(p.shape, dtype=torch.float64)
    return model.requires_grad_(False)


def pictures(spec: DataSpec, n: int, seed: int = 0) -> Tensor:
    levels = torch.randint(spec.levels, (n, *spec.shape), generator=torch.Generator().manual_seed(seed))
    return levels.double() / (spec.levels - 1)


def test_the_noise_is_a_bijection_of_the_cube_whose_volume_is_counted() -> None:
    torch.manual_seed(0)
    noise = Dequantiser((1, 4, 2), couplings=3, channels=8).double()
    with torch.no_grad():
        for p in noise.parameters():
            p += 0.3 * torch.randn(p.shape, dtype=torch.float64)
    x = pictures(DataSpec(kind="image", shape=(1, 4, 2)), 3)
    e = torch.rand(3, 1, 4, 2, dtype=torch.float64)
    u, minus_log_q = noise(e, x)
    assert ((u > 0) & (u < 1)).all()
    for i in range(3):

        def alone(one: Tensor, i: int = i) -> Tensor:
            found: Tensor = noise(one.view(1, 1, 4, 2), x[i : i + 1])[0]
            return found.flatten()

        jacobian = torch.autograd.functional.jacobian(alone, e[i].flatten())
        assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(minus_log_q[i].item(), abs=1e-9)
    assert not torch.allclose(noise(e, x.flip(0))[0], u), "it sees the picture"


def test_at_first_it_is_uniform_dequantisation_with_the_same_noise() -> None:
    model = build(VariationalDequantisationConfig(flow=FLOWS[2]), TINY).eval()
    assert isinstance(model, VariationalDequantisation)
    with torch.no_grad():
        for p in model.flow.parameters():
            p += 0.3 * torch.randn(p.shape)
        x = pictures(TINY, 7).float()
        e = SeededNoise(7, 5).uniform(3, 1, 2, 2)
        expected = torch.stack([model.flow.log_prob_at(x, one) for one in e.unbind(1)], 1)
    torch.testing.assert_close(model.log_weights(x, 3, seed=5), expected, rtol=1e-5, atol=1e-4)


def probability(model: VariationalDequantisation, x: Tensor, nodes: int = 8) -> Tensor:
    """P(x) of pictures of 2x2 pixels with shape (n,): Gauss-Legendre quadrature of the flow's density over each bin."""
    places, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(nodes))
    u = torch.cartesian_prod(*[(places + 1) / 2] * 4).view(-1, 1, 2, 2)
    weight = torch.cartesian_prod(*[weights / 2] * 4).prod(1)
    return torch.stack([(model.flow.log_prob_at(one.expand_as(u), u).exp() * weight).sum() for one in x])


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: type(flow).__name__)
def test_many_draws_are_the_probability_of_the_levels(flow: FlowConfig) -> None:
    """And one draw is a lower bound of it on average."""
    model, x = model_of(flow), pictures(TINY, 3)
    truth, draws = probability(model, x), 10_000
    bound = model.log_prob_bound(x, 400, seed=1)
    e = torch.rand(draws, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for one, p, some in zip(x, truth, bound, strict=True):
        u, minus_log_q = model.noise(e, one.expand_as(e))
        w = (model.flow.log_prob_at(one.expand_as(u), u) + minus_log_q).exp() / p
        assert (w.mean() - 1).abs() < 5 * w.std() / draws**0.5
        assert w.std() > 0.1, "draws differ, or nothing is shown"
        assert w.log().mean() < 0
        assert (some - p.log()).abs() < 5 * w.std() / 400**0.5


def test_the_probabilities_of_all_pictures_sum_to_less_than_one_by_what_lies_outside() -> None:
    """The flow's density lies on the whole space, of which pictures fill the unit cube (pixel transform "none")."""
    model = model_of(NICEConfig(couplings=3, widths=(8,), activation="tanh", base=NormalBase()))
    every = torch.tensor(list(product((0.0, 0.5, 1.0), repeat=4)), dtype=torch.float64).view(-1, 1, 2, 2)
    inside = model.flow.decode(model.prior(40_000, seed=0).double())  # clamped to the range of the data
    raw = model.flow.transform.inverse(model.prior(40_000, seed=0).double())[0]
    share = ((raw > -0.5) & (raw < 0.5)).flatten(1).all(1).double().mean().item()
    assert ((inside >= 0) & (inside <= 1)).all()
    assert probability(model, every, 6).sum().item() == pytest.approx(share, abs=0.01)


def test_it_bounds_and_does_not_score() -> None:
    model = model_of(FLOWS[2])
    require(model, "a bound", "importance-weighted", "bounds-likelihood")
    assert isinstance(model.options, Tempered)
    with pytest.raises(Unsupported, match="a score needs a model with an exact likelihood"):
        require(model, "a score", "has-likelihood")


def test_evaluation_says_that_it_is_a_bound_and_of_what() -> None:
    model = model_of(FLOWS[2])
    x = (pictures(TINY, 20) * 2).to(torch.uint8)
    with torch.no_grad():
        found = log_likelihood(model.float(), Dataset(x=x, spec=TINY), importance_samples=8)
    assert not found.exact
    assert found.bits_per_dim == pytest.approx(-found.nats / (4 * log(2)))
    assert "variational dequantisation" in found.derivation
    assert found.ess is not None
    assert 1 <= found.ess <= 8


def test_a_label_is_told_to_the_flow() -> None:
    spec = DataSpec(kind="image", shape=(1, 2, 2), levels=3, classes=("a", "b"))
    model = model_of(
        RealNVPConfig(architecture=MultiScaleCouplings(scales=1, channels=8, blocks=1), conditional=True), spec
    )
    x, c = pictures(spec, 4), torch.tensor([0, 1, 0, 1])
    assert model.condition.classes == 2
    assert not torch.allclose(model.log_weights(x, 2, c, seed=0), model.log_weights(x, 2, 1 - c, seed=0))


def test_what_has_no_levels_or_no_squares_is_refused() -> None:
    with pytest.raises(ValueError, match="levels of pixels"):
        build(VariationalDequantisationConfig(flow=FLOWS[0]), DataSpec(kind="table", shape=(4,)))
    with pytest.raises(ValueError, match=r"5x4 pixels cannot be halved"):
        build(VariationalDequantisationConfig(flow=FLOWS[0]), DataSpec(kind="image", shape=(1, 5, 4)))
    with pytest.raises(ValueError, match="couplings is 1"):
        VariationalDequantisationConfig(flow=FLOWS[0], couplings=1)
