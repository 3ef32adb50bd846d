"""Masked networks against autograd, and the three ways back against each other and against what was put in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive_flow import IAF, MAF, IAFConfig, MAFConfig, orders
from genwerk.nn.flows.autoregressive import Autoregressive
from genwerk.nn.flows.check import check_transform
from genwerk.nn.flows.made import MADE, Degrees, Walk
from genwerk.nn.flows.monotone import (
    Additive,
    AdditiveConfig,
    Affine,
    AffineConfig,
    Monotone,
    MonotoneConfig,
    Spline,
    SplineConfig,
)
from genwerk.nn.flows.preprocessing import LogitTransform

TABLE = DataSpec(kind="table", shape=(5,))
MONOTONES = (Additive(), Affine(), Spline(bins=4), Affine(2.0, tail_bound=0.8))


def named(monotone: Monotone) -> str:
    return type(monotone).__name__ + (" with tails" if getattr(monotone, "tail_bound", None) else "")


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def random_weights(module: nn.Module, deviation: float = 0.5) -> None:
    for p in module.parameters():
        nn.init.normal_(p, 0, deviation)


def layer(
    dims: int = 6, monotone: Monotone = MONOTONES[1], context: int = 0, deviation: float = 0.5, **how: object
) -> Autoregressive:
    made = MADE(dims, monotone.size, (11, 7), "tanh", context)
    random_weights(made, deviation)
    return Autoregressive(made, monotone, torch.randperm(dims), **how)  # type: ignore[arg-type]


def jacobian_of(function: object, x: Tensor) -> Tensor:
    """Derivatives with shape (outputs, inputs) at the one example ``x``."""
    return torch.autograd.functional.jacobian(lambda row: function(row[None])[0], x)  # type: ignore[operator,no-any-return]


# --- the network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", ["even", "random"])
@pytest.mark.parametrize("dims,widths", [(1, (8,)), (2, (8,)), (6, (4,)), (6, (20, 13)), (6, ())])
@pytest.mark.parametrize("context", [0, 3])
def test_output_i_sees_the_inputs_before_i_and_all_of_the_context(
    dims: int, widths: tuple[int, ...], degrees: Degrees, context: int
) -> None:
    made = MADE(dims, 2, widths, "tanh", context, degrees, seed=4)
    random_weights(made)
    c = torch.randn(3, context)
    seen = sum(
        jacobian_of(lambda x, c=c: made(x, c if context else None), x).abs()
        for x, c in zip(torch.randn(3, dims), c[:, None], strict=True)
    )
    allowed = torch.ones(dims, dims).tril(-1).bool()
    assert (seen.amax(0)[~allowed] == 0).all()
    if len(widths) and (degrees == "even" and min(widths) >= dims):
        assert (seen.amin(0)[allowed] > 0).all(), "a value before is not seen"
    if context and widths:
        told = jacobian_of(lambda c: made(torch.randn(1, dims), c), torch.randn(context)).abs()
        assert (told.amax(0) > 0).all() if degrees == "random" else (told > 0).all()


def test_without_random_weights_the_network_says_nothing() -> None:
    assert (MADE(4, 3, (8,), context=2)(torch.randn(5, 4), torch.randn(5, 2)) == 0).all()


def test_degrees_are_the_same_whenever_they_are_drawn() -> None:
    a, b, other = (MADE(20, 1, (9, 9), degrees="random", seed=s).degrees for s in (1, 1, 2))
    assert a == b != other
    assert all(row == sorted(row) for row in a)
    assert all(min(row) >= min(before) for before, row in pairwise(a))


@pytest.mark.parametrize("block", [1, 2, 6])
def test_a_pass_in_pieces_is_the_pass(block: int) -> None:
    made = MADE(6, 3, (11, 7), "tanh", 2, "random")
    random_weights(made)
    x, c = torch.randn(4, 6), torch.randn(4, 2)
    walk, found = Walk(made, x, c), []
    for part in x.split(block, 1):
        walk.ahead(part.shape[1])
        found.append(walk.parameters(part))
        walk.take(part)
    torch.testing.assert_close(torch.cat(found, 2), made(x, c))


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("monotone", MONOTONES, ids=named)
@pytest.mark.parametrize("context", [0, 3])
def test_transform_keeps_its_promises(monotone: Monotone, context: int) -> None:
    made = MADE(5, monotone.size, (16, 9), "silu", context)
    order = torch.tensor([3, 0, 4, 2, 1])
    transform = Autoregressive(made, monotone, order.tolist(), block=2)
    place = order.argsort()
    depends = place[:, None] >= place
    c = torch.randn(3, context) if context else None
    check_transform(transform, torch.randn(3, 5), c, depends=depends)


@pytest.mark.parametrize("monotone", MONOTONES, ids=named)
def test_all_ways_back_agree(monotone: Monotone) -> None:
    one = layer(9, monotone, context=2)
    x, c = torch.randn(5, 9), torch.randn(5, 2)
    z, log_det = one(x, c)
    for how in ({"inversion": "sequential"}, {"block": 9}, {"block": 4}, {"block": 4, "tolerance": 0.0}):
        other = Autoregressive(one.network, monotone, one.order.tolist(), **how)  # type: ignore[arg-type]
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                back, log_back = other.inverse(z, c)
            torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
            torch.testing.assert_close(log_back, -log_det, rtol=0, atol=1e-10)


def test_value_i_is_exact_after_i_iterations_and_all_after_d_whatever_the_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights so great that the iteration runs away before it comes to rest."""
    one = layer(8, Affine(bound=2.0), deviation=8.0, block=8, tolerance=0.0)
    x = torch.randn(6, 8)
    guesses: list[Tensor] = []
    real = Walk.parameters
    monkeypatch.setattr(Walk, "parameters", lambda walk, guess: guesses.append(guess) or real(walk, guess))
    with torch.no_grad():
        back, _ = one.inverse(one(x)[0])
    torch.testing.assert_close(back, x, rtol=0, atol=1e-8)
    assert len(guesses) <= 8
    wrong = [(guess - x[:, one.order]).abs().amax(0) for guess in guesses]
    assert all((error[:i] < 1e-8).all() for i, error in enumerate(wrong))
    assert max(error.max() for error in wrong) > 1, "not hostile"


def test_what_overflows_on_the_way_does_no_harm() -> None:
    """z_i = x_i + 2^20 x_(i-1) of small whole numbers, so that nothing is rounded; the iteration multiplies what is not
    exact yet by 2^20 a time, beyond what single precision holds, and an infinity times a mask's 0 would be NaN."""
    d, k = 12, 2.0**20
    made = MADE(d, 1, (2 * (d - 1),), "relu").float()
    with torch.no_grad():
        (hidden,) = made.layers
        hidden.weight.zero_()  # type: ignore[operator, union-attr]
        hidden.bias.zero_()  # type: ignore[operator, union-attr]
        for i in range(d - 1):
            hidden.weight[2 * i, i], hidden.weight[2 * i + 1, i] = 1.0, -1.0  # type: ignore[index, operator]
            made.last.weight[i + 1, 2 * i], made.last.weight[i + 1, 2 * i + 1] = k, -k
    one = Autoregressive(made, Additive(), block=d)
    x = (torch.randint(1, 4, (5, d)) * (2 * torch.randint(0, 2, (5, d)) - 1)).float()
    z = one(x)[0].detach().requires_grad_()
    assert torch.equal(one.inverse(z)[0], x)
    with torch.no_grad():
        assert torch.equal(one.inverse(z)[0], x)
    (gradient,) = torch.autograd.grad(one.inverse(z)[0][:, 2].sum(), z)
    assert torch.equal(gradient, z.new_tensor([k**2, -k, 1.0, *[0.0] * (d - 3)]).expand(5, d))


@pytest.mark.parametrize("monotone", MONOTONES, ids=named)
@pytest.mark.parametrize("block", [3, 7])
def test_gradients_of_the_way_back_are_exact(monotone: Monotone, block: int) -> None:
    """dx/dz is the inverse of dz/dx, and a weight moves x by -dx/dz dz/dweight."""
    one = layer(7, monotone, block=block)
    x = torch.randn(7)
    z = one(x[None])[0][0].detach()
    there = jacobian_of(lambda row: one(row)[0], x)
    back = jacobian_of(lambda row: one.inverse(row)[0], z)
    torch.testing.assert_close(back @ there, torch.eye(7), rtol=0, atol=1e-8)
    weights = [one.network.layers[0].weight, one.network.last.weight]
    v = torch.randn(7)
    found = torch.autograd.grad(one.inverse(z[None])[0][0] @ v, weights)
    pulled = -(back.T @ v)
    expected = torch.autograd.grad(one(x[None])[0][0] @ pulled, weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8)


def test_a_gradient_is_exact_even_where_the_iteration_begins_at_its_end() -> None:
    """All of z = x = 0 is a fixed point, found at once; its Jacobian is not the identity all the same."""
    made = MADE(6, 2, (12,), "tanh")
    random_weights(made)
    for m in (*made.layers, made.last):
        nn.init.zeros_(m.bias)  # type: ignore[arg-type]
    one = Autoregressive(made, Affine(), block=6)
    there = jacobian_of(lambda row: one(row)[0], torch.zeros(6))
    back = jacobian_of(lambda row: one.inverse(row)[0], torch.zeros(6))
    torch.testing.assert_close(back @ there, torch.eye(6), rtol=0, atol=1e-10)
    assert (there - torch.eye(6)).abs().max() > 0.1


def test_a_gentle_network_comes_to_rest_early(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer(64, Additive(), deviation=0.05, block=64)
    made: list[int] = []
    real = Walk.parameters
    monkeypatch.setattr(Walk, "parameters", lambda walk, guess: made.append(1) or real(walk, guess))
    x = torch.randn(2, 64)
    with torch.no_grad():
        torch.testing.assert_close(one.inverse(one(x)[0])[0], x, rtol=0, atol=1e-12)
    assert 2 < len(made) < 30


# --- the families -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["reverse", "random"])
@pytest.mark.parametrize("model,config", [(MAF, MAFConfig), (IAF, IAFConfig)])
def test_every_latent_depends_on_every_value(model: type[MAF] | type[IAF], config: type[MAFConfig], order: str) -> None:
    """Orders that cancel, as between a flip after a layer and another after its normalisation, leave a triangle."""
    flow = model(config(layers=2 if order == "reverse" else 8, widths=(16,), order=order), TABLE)  # type: ignore[arg-type]
    everything = torch.ones(5, 5, dtype=torch.bool)
    check_transform(flow.transform, torch.randn(2, 5), perturb=0.15, depends=everything)


@pytest.mark.parametrize("monotone", [AdditiveConfig(), AffineConfig(), SplineConfig()], ids=lambda c: c.kind)
@pytest.mark.parametrize("model,config", [(MAF, MAFConfig), (IAF, IAFConfig)])
def test_density_is_the_change_of_variables(
    model: type[MAF] | type[IAF], config: type[MAFConfig], monotone: MonotoneConfig
) -> None:
    flow = model(config(layers=3, widths=(16,), monotone=monotone), TABLE).eval()
    random_weights(flow.transform, 0.3)
    flow.surface.fit(torch.randn(100, 5) * 3 + 1)
    for x in torch.randn(2, 5):
        jacobian = jacobian_of(flow.encode, x)
        z = flow.encode(x[None])
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum() + torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(flow.log_prob(x[None])[0], expected)
        torch.testing.assert_close(flow.decode(z)[0], x)


def test_an_iaf_is_a_maf_walked_the_other_way() -> None:
    settings = {"layers": 1, "widths": (16,), "normalise": False}
    torch.manual_seed(1)
    maf, iaf = MAF(MAFConfig(**settings), TABLE), IAF(IAFConfig(**settings), TABLE)
    random_weights(maf)
    iaf.load_state_dict({k.replace("parts.1.", "parts.1.transform."): v for k, v in maf.state_dict().items()})
    x = torch.randn(3, 5)
    torch.testing.assert_close(iaf.decode(x), maf.encode(x))
    torch.testing.assert_close(iaf.encode(x), maf.decode(x))


def test_orders_turn_round_or_are_drawn() -> None:
    turned = orders("reverse", 4, 3)
    assert turned == [[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 3]]
    drawn = orders("random", 30, 4)
    assert all(sorted(o) == list(range(30)) for o in drawn)
    assert all(a != b for a, b in pairwise(drawn))
    assert drawn == orders("random", 30, 4)


def test_single_precision_comes_back_to_a_hundred_thousandth() -> None:
    torch.set_default_dtype(torch.float32)
    spec = DataSpec(kind="image", shape=(1, 12, 12), levels=256)
    flow = MAF(MAFConfig(widths=(256,), pixel_transform=LogitTransform(logit_alpha=1e-6)), spec).eval()
    random_weights(flow.transform, 0.04)
    x = torch.randint(0, 256, (8, 1, 12, 12)) / 255
    y = flow.surface.place(x)
    with torch.no_grad():
        back = flow.transform.inverse(flow.transform(y)[0])[0]
    assert (back - y).abs().max() < 1e-4


def test_settings_that_cannot_work_say_so() -> None:
    with pytest.raises(ValueError, match="layers is 0"):
        MAFConfig(layers=0)
    with pytest.raises(ValueError, match="block is 0"):
        layer(block=0)
    with pytest.raises(ValueError, match="labels"):
        MAF(MAFConfig(conditional=True), TABLE)
