"""Parts of flows, each against autograd, a closed form or an integral."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log, pi

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.model import Config, build
from genwerk.core.noise import SeededNoise, own_uniform
from genwerk.core.options import Tempered
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.flow import FlowConfig
from genwerk.families.nice import NICE, NICEConfig
from genwerk.nn.flows.actnorm import ActNorm, fitting
from genwerk.nn.flows.base import BaseConfig, LogisticBase, MixtureBase, NormalBase
from genwerk.nn.flows.check import Broken, check_transform, mass
from genwerk.nn.flows.conditioner import ContextAffine, DenseConditioner
from genwerk.nn.flows.coupling import Checkerboard, Coupling, Halves, Interleaved, Split
from genwerk.nn.flows.monotone import Additive, Affine, AffineConfig, Monotone, Spline
from genwerk.nn.flows.preprocessing import CentreTransform, LogitTransform, Pixels
from genwerk.nn.flows.transform import Chain, Flatten, Inverse, Transform
from genwerk.recipes import find
from genwerk.training.settings import from_json, to_json

MONOTONES = [Additive(), Affine(), Affine(1.0), Affine(1.0, 0.7), Spline(), Spline(bins=4, tail_bound=1.0)]


def examples(*shape: int, n: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(shape: tuple[int, ...], output: tuple[int, ...]) -> nn.Module:
    return DenseConditioner(shape, output, (16,), "tanh")


def told(shape: tuple[int, ...], output: tuple[int, ...]) -> nn.Module:
    return DenseConditioner(shape, output, (16,), "tanh", context=4)


# --- increasing functions of one value --------------------------------------------------------------------------------


@pytest.mark.parametrize("f", MONOTONES, ids=lambda f: type(f).__name__)
def test_a_monotone_rises_with_the_slope_it_says_and_is_undone(f: Monotone) -> None:
    x = 2 * examples(50, n=4).requires_grad_()
    parameters = 2 * examples(f.size, 50, n=4, seed=1)
    y, log_slope = f.forward(x, parameters)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope, slope.log(), rtol=0, atol=1e-9)
    back, log_back = f.inverse(y, parameters)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)
    torch.testing.assert_close(log_back, -log_slope, rtol=0, atol=1e-8)


@pytest.mark.parametrize("f", MONOTONES, ids=lambda f: type(f).__name__)
def test_zeros_are_the_identity(f: Monotone) -> None:
    x = 2 * examples(50)
    y, log_slope = f.forward(x, torch.zeros(3, f.size, 50, dtype=torch.float64))
    torch.testing.assert_close(y, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["maf", "iaf", "cmaf", "maf-mixture", "realnvp", "crealnvp", "nice"])
def test_far_values_have_linear_tails(name: str) -> None:
    """Whatever the weights: where all values are far, a value twice as far comes out as much further, and no more.

    Without a tail bound the slopes of layers multiply, and each sees what the one before it blew up.
    """
    spec = DataSpec(kind="table", shape=(4,), covariates=("a",) if name.startswith("c") else ())
    recipe, far = find(name).make(spec).model, 1e4 * examples(4, n=8).sign()
    assert recipe.tail_bound == 5
    condition = 1e6 * examples(1, n=8).float() if spec.covariates else None

    def moved(config: Config) -> Tensor:
        torch.manual_seed(0)
        flow = build(config, spec).double().eval()
        for p in flow.transform.parameters():
            nn.init.normal_(p, 0, 0.2)
        for norm in (m for m in flow.transform.modules() if isinstance(m, ActNorm)):
            nn.init.zeros_(norm.log_scale)
        with torch.no_grad():
            return (flow.encode(2 * far, condition) - flow.encode(far, condition)) / far

    torch.testing.assert_close(moved(recipe), torch.ones(8, 4, dtype=torch.float64))
    assert moved(replace(recipe, tail_bound=None)).abs().max() > 2


def test_a_flow_stored_before_there_were_tails_extrapolates_as_it_did() -> None:
    config = to_json(find("maf").make(DataSpec(kind="table", shape=(2,))).model)
    del config["tail_bound"]
    old = from_json(FlowConfig, config)
    assert old.tail_bound is None
    assert isinstance(old, MAFConfig)
    x, parameters = 9 * examples(50), examples(2, 50, seed=1)
    y, log_slope = old.monotone.build(old.tail_bound).forward(x, parameters)
    assert isinstance(old.monotone, AffineConfig)
    bound = old.monotone.bound
    s = torch.tanh(parameters[:, 0] / bound) * bound
    assert torch.equal(y, torch.addcmul(parameters[:, 1], s.exp(), x))
    assert torch.equal(log_slope, s)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tail_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="the tail bound is"):
        Affine(tail_bound=bound)


def test_a_spline_goes_through_its_knots_and_is_the_identity_beyond() -> None:
    f, line = Spline(bins=3, tail_bound=2.0), torch.linspace(-2, 2, 4001, dtype=torch.float64)[None]
    parameters = examples(f.size, 1, n=1).expand(-1, -1, 4001)
    raw_x, raw_y = parameters[0, :3, 0], parameters[0, 3:6, 0]
    knots = [
        torch.cat([torch.tensor([-2.0]), -2 + (4 * (0.001 + 0.997 * r.softmax(0))).cumsum(0)]) for r in (raw_x, raw_y)
    ]
    for x_k, y_k in zip(*knots, strict=True):
        found = f.forward(x_k.reshape(1, 1).double().clamp(-2, 2), parameters[:, :, :1])[0]
        torch.testing.assert_close(found.squeeze(), y_k.double(), rtol=0, atol=1e-6)
    assert (f.forward(line, parameters)[0].diff() > 0).all()
    outside = torch.tensor([[-7.0, 2.0, 9.0]], dtype=torch.float64)
    y, log_slope = f.forward(outside, parameters[:, :, :3])
    assert torch.equal(y, outside)
    assert (log_slope == 0).all()


def test_single_precision_round_trips_at_hostile_parameters() -> None:
    for f in MONOTONES:
        x = 3 * examples(2000, n=1).float()
        parameters = 8 * examples(f.size, 2000, n=1, seed=2).float()
        y, _ = f.forward(x, parameters)
        assert y.isfinite().all()
        slope = f.forward(x, parameters)[1].exp()
        error = (f.inverse(y, parameters)[0] - x).abs()
        assert (error < 1e-4 * (1 + 1 / slope)).all(), f"{type(f).__name__}: {float(error.max())}"


# --- transforms -------------------------------------------------------------------------------------------------------

TRANSFORMS: dict[str, tuple[Callable[[], Transform], tuple[int, ...]]] = {
    "flatten": (lambda: Flatten((2, 3, 2)), (2, 3, 2)),
    "actnorm": (lambda: ActNorm((3, 2, 2)), (3, 2, 2)),
    "inverse": (lambda: Inverse(Coupling((4,), Halves(), Affine(), dense)), (4,)),
    "chain": (
        lambda: Chain([Coupling((5,), Interleaved(), Affine(), dense, swap=bool(i % 2)) for i in range(3)]),
        (5,),
    ),
    **{
        f"coupling {type(split).__name__} {type(f).__name__}{' swap' * swap}": (
            lambda split=split, f=f, swap=swap, shape=shape: Coupling(shape, split, f, dense, swap=swap),
            shape,
        )
        for split, shape in (
            (Halves(), (5,)),
            (Interleaved(), (5,)),
            (Halves(), (3, 2, 2)),
            (Checkerboard(), (2, 4, 2)),
        )
        for f in (Additive(), Affine(), Spline(bins=4))
        for swap in (False, True)
    },
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_keeps_its_promises(name: str) -> None:
    make, shape = TRANSFORMS[name]
    torch.manual_seed(0)
    check_transform(make(), examples(*shape))


def test_transforms_that_are_told_something_keep_their_promises() -> None:
    torch.manual_seed(0)
    context = examples(4, seed=5)
    coupling = Coupling((5,), Halves(), Affine(), told)
    check_transform(coupling, examples(5), context)
    check_transform(ContextAffine((3, 2, 2), 4), examples(3, 2, 2), context)
    with torch.no_grad():
        for p in coupling.parameters():
            p += 0.3
    x = examples(5).float()
    assert not torch.allclose(coupling(x, context.float())[0], coupling(x, context.flip(0).float())[0])


def test_what_moves_what_is_as_the_halves_say() -> None:
    torch.manual_seed(0)
    eye, ones = torch.eye(4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool)
    first = torch.arange(4) < 2
    check_transform(
        Coupling((4,), Halves(), Affine(), dense), examples(4), depends=eye | (~first[:, None] & first[None])
    )
    two = [Coupling((4,), Halves(), Affine(), dense, swap=swap) for swap in (False, True)]
    found = check_transform(Chain(two), examples(4))
    assert found.depends[:2].all()
    three = Chain([*two, Coupling((4,), Halves(), Affine(), dense)])
    check_transform(three, examples(4), depends=ones)


@pytest.mark.parametrize("split", [Halves(), Interleaved(), Checkerboard()], ids=lambda s: type(s).__name__)
def test_splits_come_together_again(split: Split) -> None:
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    a, b = split.apart(x)
    assert (tuple(a.shape[1:]), tuple(b.shape[1:])) == tuple(map(tuple, split.shapes((2, 4, 4))))
    assert torch.equal(split.together(a, b), x)


def test_black_squares_are_those_whose_row_and_column_are_both_even_or_odd() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    black, white = Checkerboard().apart(x)
    assert sorted(black.flatten().tolist()) == [0, 2, 5, 7, 8, 10, 13, 15]
    assert sorted(white.flatten().tolist()) == [1, 3, 4, 6, 9, 11, 12, 14]


class Wrong(ActNorm):
    """Errors of public libraries, one at a time."""

    def __init__(self, fault: str) -> None:
        super().__init__((3,))
        self.fault = fault
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().forward(x, context)
        match self.fault:
            case "sign":
                return z, -log_det
            case "scalar":
                return z, log_det.sum()
            case "batch":
                return z + x.mean(0), log_det
            case "memory":
                self.seen.copy_(x[0])
        return z, log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, log_det = super().inverse(z, context)
        return (x + 1e-3, log_det) if self.fault == "elsewhere" else (x, -log_det if self.fault == "sign" else log_det)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("sign", "autograd"),
        ("scalar", "one an example"),
        ("batch", "off|others"),
        ("memory", "changed seen"),
        ("elsewhere", "there and back"),
    ],
)
def test_the_check_finds_the_errors_of_public_libraries(fault: str, said: str) -> None:
    with pytest.raises(Broken, match=said):
        check_transform(Wrong(fault), examples(3))


def test_a_first_normalisation_is_taken_once() -> None:
    torch.manual_seed(0)
    layer = Chain([ActNorm((3, 4, 4)), ActNorm((3, 4, 4))])
    x = 5 + 2 * torch.randn(40, 3, 4, 4)
    x[:, 1] = 7.0
    with fitting(layer):
        layer(x)
    z, _ = layer(x)
    torch.testing.assert_close(z[:, (0, 2)].mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z[:, (0, 2)].std((0, 2, 3), correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert z.isfinite().all()
    kept = {k: v.clone() for k, v in layer.state_dict().items()}
    layer(x + 100)
    assert all(torch.equal(v, kept[k]) for k, v in layer.state_dict().items())


# --- where a flow ends and begins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [NormalBase(), LogisticBase(), MixtureBase(components=3)], ids=lambda c: c.kind)
def test_a_base_integrates_to_one_and_draws_what_it_says(config: BaseConfig) -> None:
    torch.manual_seed(1)
    base = config.build(2).double()
    assert mass(base.log_prob, -40, 40, 1601) == pytest.approx(1, abs=1e-4)
    z = base.draw(SeededNoise(40_000, 0)).double()
    grid = torch.linspace(-12, 12, 241, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    density = base.log_prob(points).exp() * 0.01
    for moment in (lambda v: v, lambda v: v.square(), lambda v: v[:, :1] * v[:, 1:]):
        expected, found = (density[:, None] * moment(points)).sum(0), moment(z).mean(0)
        deviation = moment(z).std(0) / 200
        assert ((found - expected).abs() < 5 * deviation + 1e-3).all()


def test_the_density_of_pixels_is_the_probability_of_their_levels() -> None:
    """Under a flow whose density of dequantised pixels is flat, each of 4 levels has probability 1/4."""
    spec = DataSpec(kind="image", shape=(1, 2, 2), levels=4)
    surface = Pixels(spec, CentreTransform())
    x = torch.randint(4, (6, 1, 2, 2), generator=torch.Generator().manual_seed(0)).float() / 3
    y, log_det = surface(x)
    assert ((y > -0.5) & (y < 0.5)).all()
    torch.testing.assert_close(log_det, torch.full((6,), -4 * log(4)))
    torch.testing.assert_close(surface.inverse(surface.place(x)), x)


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
def test_the_logit_counts_its_change_of_volume(alpha: float) -> None:
    spec = DataSpec(kind="image", shape=(1, 2, 3))
    surface = Pixels(spec, LogitTransform(logit_alpha=alpha))
    x = torch.tensor([0.0, 1.0, 0.5, 0.2, 0.9, 1.0]).view(1, 1, 2, 3)
    x = (x * 255).round() / 255
    u = torch.rand(1, 1, 2, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    y, log_det = surface(x.double(), u)
    (slope,) = torch.autograd.grad(y.sum(), u)  # of y by the place within a level, whose width is 1
    torch.testing.assert_close(log_det, slope.log().sum()[None], rtol=0, atol=1e-9)
    torch.testing.assert_close(surface.inverse(surface.place(x)), x, rtol=0, atol=1e-5)
    ends, _ = surface(torch.tensor([0.0, 1.0, 1, 1, 1, 1]).view(1, 1, 2, 3), torch.full((1, 1, 2, 3), 1 - 2**-24))
    assert ends.isfinite().all()


def test_noise_outside_training_belongs_to_the_picture() -> None:
    x = torch.randint(256, (5, 1, 3, 3), generator=torch.Generator().manual_seed(0)).float() / 255
    u = own_uniform(x)
    assert torch.equal(own_uniform(x[2:3])[0], u[2])
    assert not torch.equal(u[0], u[1])


def test_a_column_that_never_changes_is_refused() -> None:
    spec = DataSpec(kind="table", shape=(3,), columns=("a", "b", "c"))
    x = torch.randn(20, 3)
    x[:, 1] = 4
    with pytest.raises(ValueError, match="column 'b' never changes"):
        spec.modality.preprocessing(LogitTransform()).fit(x)
    with pytest.raises(ValueError, match="there is 1 row to train on"):
        spec.modality.preprocessing(LogitTransform()).fit(x[:1])


@pytest.mark.parametrize(
    "spec", [DataSpec(kind="text", shape=(5,)), DataSpec(kind="image", shape=(3, 4, 4), palette=((0, 0, 0),))]
)
def test_names_are_refused(spec: DataSpec) -> None:
    with pytest.raises(ValueError, match="names"):
        spec.modality.preprocessing(LogitTransform())


# --- a whole flow -----------------------------------------------------------------------------------------------------


def test_the_density_of_a_table_is_in_its_own_units_and_integrates_to_one() -> None:
    torch.manual_seed(0)
    spec = DataSpec(kind="table", shape=(2,))
    model = NICE(NICEConfig(widths=(16,), couplings=3, base=NormalBase()), spec).double().eval()
    x = torch.randn(500, 2, dtype=torch.float64) * torch.tensor([0.5, 2.0]) + torch.tensor([1.0, -2.0])
    model.stages(1)[0].data(Dataset(x=x, spec=spec))
    with torch.no_grad():
        for p in model.transform.parameters():
            p += 0.2 * torch.randn(p.shape, dtype=torch.float64)
    assert mass(model.log_prob, -20, 20, 1601) == pytest.approx(1, abs=1e-4)


def test_an_identity_flow_is_its_base() -> None:
    """Fresh NICE on a standardised table: the logistic density, moved and scaled to the data."""
    spec = DataSpec(kind="table", shape=(3,))
    model = NICE(NICEConfig(widths=(8,)), spec).double()
    x = 3 * examples(3, n=200) + 1
    model.stages(1)[0].data(Dataset(x=x, spec=spec))
    v = (x - x.mean(0)) / x.std(0, correction=0)
    expected = (-v - 2 * torch.log1p((-v).exp())).sum(1) - x.std(0, correction=0).log().sum()
    torch.testing.assert_close(model.log_prob(x), expected, rtol=0, atol=1e-9)


def test_a_colder_sample_is_nearer_to_the_mode() -> None:
    spec = DataSpec(kind="table", shape=(4,))
    model = NICE(NICEConfig(widths=(8,), base=NormalBase()), spec)
    one, half, none = (model.sample(50, options=Tempered(temperature=t), seed=3) for t in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half, 0.5 * one)
    assert (none == none[0]).all()
    assert (model.log_prob(half) >= model.log_prob(one)).all()
    assert model.log_prob(none)[0].item() == pytest.approx(-2 * log(2 * pi), abs=1e-5)
