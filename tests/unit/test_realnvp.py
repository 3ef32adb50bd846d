"""RealNVP and what its images are made of, each against autograd, a written-down example or a textbook definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.model import build
from genwerk.core.options import Tempered
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.flow import FlowModel
from genwerk.families.realnvp import DenseCouplings, MultiScaleCouplings, RealNVP, RealNVPConfig
from genwerk.nn.flows.actnorm import ActNorm
from genwerk.nn.flows.check import check_transform
from genwerk.nn.flows.coupling import Checkerboard, Coupling
from genwerk.nn.flows.image import MultiScale, Squeeze
from genwerk.nn.flows.image_conditioner import GlowConditioner, ResNetConditioner
from genwerk.nn.flows.invertible import InvertibleConv
from genwerk.nn.flows.monotone import AdditiveConfig, Affine, SplineConfig
from genwerk.nn.flows.transform import Chain
from genwerk.recipes import find
from genwerk.runs import store
from genwerk.training.settings import DIGITS, Recipe
from genwerk.training.trainer import Trainer

TABLE = DataSpec(kind="table", shape=(5,))
DENSE = DenseCouplings(couplings=4, widths=(16,))
SMALL = RealNVPConfig(architecture=DENSE)
IMAGES = RealNVPConfig(architecture=MultiScaleCouplings(channels=4, blocks=1))
ONE_SCALE = RealNVPConfig(architecture=MultiScaleCouplings(scales=1, channels=4, blocks=1))
MIXED = replace(SMALL, architecture=replace(DENSE, mix=True))
TOLD = replace(DIGITS, classes=("a", "b", "c"))


def examples(*shape: int, n: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixels(spec: DataSpec, n: int = 6, seed: int = 0) -> Tensor:
    levels = torch.randint(spec.levels, (n, *spec.shape), generator=torch.Generator().manual_seed(seed))
    return levels / (spec.levels - 1)


def perturbed(model: FlowModel, deviation: float = 0.1, seed: int = 0) -> FlowModel:
    """``model`` with all of its weights moved at random, for zeros hide errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(deviation * torch.randn(p.shape, generator=generator))
    return model.eval()


# --- geometry ---------------------------------------------------------------------------------------------------------


def test_squeezing_takes_whole_pixels_apart_by_their_place_in_the_block() -> None:
    red = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    z, log_det = Squeeze()(torch.stack([red, 10 * red])[None])
    expected = [[1, 3], [10, 30], [2, 4], [20, 40], [5, 7], [50, 70], [6, 8], [60, 80]]
    assert z[0].flatten(1).tolist() == expected
    assert log_det.tolist() == [0]
    check_transform(Squeeze(), examples(2, 4, 6))


def test_a_checkerboard_packs_the_squares_of_one_colour() -> None:
    board = torch.arange(16.0).view(1, 1, 4, 4)
    black, white = Checkerboard().apart(board)
    assert black.flatten().tolist() == [0, 2, 8, 10, 5, 7, 13, 15]
    assert white.flatten().tolist() == [1, 3, 9, 11, 4, 6, 12, 14]
    assert torch.equal(Checkerboard().together(black, white), board)


def test_a_checkerboard_coupling_moves_one_colour_by_what_it_sees_of_the_other() -> None:
    def build(shape: tuple[int, ...], output: tuple[int, ...]) -> nn.Module:
        return ResNetConditioner(shape, output, 6, 1)

    black = (torch.arange(4)[:, None] + torch.arange(4)) % 2 == 0
    for swap in (False, True):
        torch.manual_seed(0)
        coupling = Coupling((1, 4, 4), Checkerboard(), Affine(), build, swap=swap)
        seen = check_transform(coupling, examples(1, 4, 4)).depends
        still = (~black if swap else black).flatten()
        assert torch.equal(seen[still], torch.eye(16, dtype=torch.bool)[still])
        assert (seen[~still].sum(1) > 1).all()
        assert not (seen & ~torch.eye(16, dtype=torch.bool))[:, ~still].any()


def test_what_leaves_after_a_scale_is_moved_no_more() -> None:
    """Two scales of shifts by a constant: the second half of the first scale's channels gets the first shift alone."""
    halved = (2, 2, 2)
    flow = MultiScale([Chain([Squeeze(), Shift((4, 2, 2), 1.0)]), Shift(halved, 10.0)], [(4, 2, 2), halved])
    x = torch.arange(16.0).view(1, 1, 4, 4)
    z, _ = flow(x)
    assert z[0].tolist() == [x + 1 for x in (4, 6, 12, 14, 5, 7, 13, 15)] + [x + 11 for x in (0, 2, 8, 10, 1, 3, 9, 11)]
    assert torch.equal(flow.inverse(z)[0], x)


class Shift(ActNorm):
    """Adds a number."""

    def __init__(self, shape: tuple[int, ...], by: float) -> None:
        super().__init__(shape)
        nn.init.constant_(self.shift, by)


# --- the matrix across channels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (1,), (6, 3, 2)])
def test_the_matrix_is_p_l_u_and_its_determinant_that_of_the_diagonal(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = InvertibleConv(shape).double()
    unit = torch.eye(shape[0], dtype=torch.float64)
    rotation = layer(unit.view(*unit.shape, *[1] * (len(shape) - 1)))[0].flatten(1).T
    torch.testing.assert_close(rotation @ rotation.T, unit, rtol=0, atol=1e-6)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype))
    permutation = torch.zeros_like(unit)
    permutation[torch.arange(shape[0]), layer.order] = 1
    lower = torch.tril(layer.triangles, -1) + unit
    upper = torch.triu(layer.triangles, 1) + torch.diag(layer.sign * layer.log_scale.exp())
    matrix = permutation @ lower @ upper
    x = examples(*shape)
    z, log_det = layer(x)
    torch.testing.assert_close(z, torch.einsum("ij,nj...->ni...", matrix, x), rtol=0, atol=1e-12)
    places = x[0, 0].numel()
    torch.testing.assert_close(log_det, (places * torch.linalg.slogdet(matrix).logabsdet).expand(2), rtol=0, atol=1e-10)
    check_transform(layer, x)


def test_the_matrix_is_undone_in_single_precision() -> None:
    torch.manual_seed(0)
    layer = InvertibleConv((48, 4, 4))
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.03 * torch.randn(p.shape))
    x = torch.randn(4, 48, 4, 4)
    assert (layer.inverse(layer(x)[0])[0] - x).abs().max() < 2e-5
    plain = layer(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x)[0], plain)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [ResNetConditioner, GlowConditioner])
def test_networks_begin_with_zeros_and_see_the_context(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = network((2, 4, 4), (6, 4, 4), channels=8, context=3)
    x, context = torch.randn(3, 2, 4, 4), torch.eye(3)
    assert (net(x, context) == 0).all()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    assert net(x, context).shape == (3, 6, 4, 4)
    assert not torch.allclose(net(x[:1], context[:1]), net(x[:1], context[1:2]))
    torch.testing.assert_close(net(x, context)[1:2], net(x[1:2], context[1:2]), rtol=0, atol=1e-5)


# --- the whole flow ---------------------------------------------------------------------------------------------------

FLOWS = {
    "affine": (SMALL, TABLE),
    "additive": (
        RealNVPConfig(architecture=replace(DENSE, split="halves"), monotone=AdditiveConfig(), normalise=False),
        TABLE,
    ),
    "spline": (replace(MIXED, monotone=SplineConfig(bins=4)), TABLE),
    "two columns": (MIXED, replace(TABLE, shape=(2,))),
    "told the class": (replace(SMALL, conditional=True), replace(TABLE, classes=("a", "b", "c"))),
    "two scales": (IMAGES, replace(DIGITS, shape=(1, 8, 4))),
    "one scale": (ONE_SCALE, replace(DIGITS, shape=(3, 4, 2))),
    "images told the class": (replace(IMAGES, conditional=True), replace(TOLD, shape=(1, 4, 4))),
}


@pytest.mark.parametrize("name", FLOWS)
def test_the_flow_keeps_its_promises(name: str) -> None:
    config, spec = FLOWS[name]
    torch.manual_seed(0)
    model = build(config, spec)
    assert isinstance(model, RealNVP)
    context = torch.eye(3)[:2] if config.conditional else None
    found = check_transform(model.transform, examples(*spec.shape), context, perturb=0.1)
    assert found.round_trip < 1e-8
    if spec.modality.has_columns:
        assert found.depends.all(), "every value is moved by every other"


def test_images_of_28_pixels_come_back_in_single_precision() -> None:
    spec = DataSpec(kind="image", shape=(1, 28, 28))
    torch.manual_seed(0)
    model = perturbed(RealNVP(RealNVPConfig(architecture=MultiScaleCouplings(channels=8, blocks=1)), spec), 0.05)
    x = pixels(spec)
    x[:, :, :4] = 0
    with torch.no_grad():
        assert (model.decode(model.encode(x)) - x).abs().max() < 1e-4
        assert model.log_prob(x).isfinite().all()


# --- activation normalisation -----------------------------------------------------------------------------------------


def test_normalisation_is_fitted_once_and_never_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = RealNVP(IMAGES, DIGITS)
    x = pixels(DIGITS, 64)
    x[:, :, 0] = 0
    data = Dataset(x=(x * 16).round().to(torch.uint8), spec=DIGITS)
    (stage,) = model.stages(1)
    assert stage.data is not None
    stage.data(data)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    assert not torch.equal(first["transform.scales.0.parts.0.mean"], torch.zeros(1, 1, 1))
    z = model.transform(model.surface(x)[0])[0]
    assert 0.5 < z.std() < 2
    recipe = Recipe(model=IMAGES)
    checkpoints = store.Checkpoints(tmp_path, store.describe("realnvp", recipe, DIGITS))
    loaded = store.load_model(store.find(checkpoints.save(model, Trainer(model, data, recipe.train).state())))
    (again,) = loaded.stages(1)
    assert again.data is not None
    other = replace(data, x=16 - data.x)
    again.data(other)
    loaded.train()
    loaded.log_prob(other.batch().x)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, first[name]), name


# --- sampling and refusals --------------------------------------------------------------------------------------------


def test_at_temperature_0_all_samples_are_one() -> None:
    torch.manual_seed(0)
    model = perturbed(RealNVP(SMALL, TABLE))
    x = model.sample(4, options=Tempered(temperature=0.0), seed=1)
    assert torch.equal(x, x[:1].expand(4, -1))
    assert torch.equal(model.sample(4, options=Tempered(temperature=1.0), seed=1), model.sample(4, seed=1))
    spread = [float(model.sample(200, options=Tempered(temperature=t), seed=0).std(0).mean()) for t in (0.3, 0.7, 1.0)]
    assert spread == sorted(spread)


REFUSED = [
    (
        RealNVPConfig(architecture=MultiScaleCouplings(scales=3)),
        (1, 30, 30),
        r"30x30 pixels can be halved once and 3 scales .* by 8: .*size 32 or .*scales 1",
    ),
    (
        RealNVPConfig(architecture=MultiScaleCouplings()),
        (1, 27, 28),
        r"27x28 pixels cannot be halved .* by 4: take data.size 28$",
    ),
    (RealNVPConfig(architecture=MultiScaleCouplings(scales=0)), (1, 8, 8), "scales is 0"),
]


@pytest.mark.parametrize("config, shape, sentence", REFUSED)
def test_sides_that_cannot_be_halved_are_refused_with_those_that_can(
    config: RealNVPConfig, shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        build(config, replace(DIGITS, shape=shape))


def test_what_couplings_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="two columns or more"):
        build(SMALL, replace(TABLE, shape=(1,)))
    with pytest.raises(ValueError, match="take the recipe wavenet"):
        build(SMALL, DataSpec(kind="audio", shape=(1, 64), sample_rate=8000))
    with pytest.raises(ValueError, match="would never move"):
        DenseCouplings(couplings=1)
    with pytest.raises(ValueError, match="take multi-scale ones"):
        build(SMALL, DIGITS)
    with pytest.raises(ValueError, match="take dense ones"):
        build(IMAGES, TABLE)


@pytest.mark.parametrize("name", ["realnvp", "crealnvp", "spline-flow", "nice"])
@pytest.mark.parametrize("shape", [(2,), (43,), (1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_recipes_fit_any_data(name: str, shape: tuple[int, ...]) -> None:
    spec = DataSpec(kind="table" if len(shape) == 1 else "image", shape=shape, classes=("a", "b"))
    model = build(find(name).make(spec).model, spec)
    assert isinstance(model, FlowModel)
    assert model.latent_shape == (spec.dims,)
