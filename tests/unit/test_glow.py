"""Glow: every part of it against autograd, and what temperature, priors and refusals promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genwerk.core.model import build
from genwerk.core.options import Tempered
from genwerk.core.spec import DataSpec
from genwerk.families.glow import Glow, GlowConfig
from genwerk.nn.flows.check import check_transform
from genwerk.nn.flows.coupling import Coupling, Halves
from genwerk.nn.flows.image_conditioner import PriorConditioner
from genwerk.nn.flows.monotone import Affine
from genwerk.recipes import find
from genwerk.training.settings import DIGITS

SMALL = GlowConfig(scales=2, steps=2, channels=8)
FLOWS = {
    "affine": (SMALL, replace(DIGITS, shape=(1, 8, 4))),
    "additive": (replace(SMALL, coupling="additive"), replace(DIGITS, shape=(2, 4, 4))),
    "told the class": (replace(SMALL, conditional=True), replace(DIGITS, shape=(1, 4, 4), classes=("a", "b", "c"))),
    "one level": (replace(SMALL, scales=1), replace(DIGITS, shape=(3, 2, 4))),
}


def moved(model: Glow, deviation: float = 0.1) -> Glow:
    """``model`` with all of its weights moved at random, for zeros hide errors."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(deviation * torch.randn(p.shape, generator=generator))
    return model.eval()


def examples(*shape: int, n: int = 2) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", FLOWS)
def test_the_flow_keeps_its_promises(name: str) -> None:
    config, spec = FLOWS[name]
    torch.manual_seed(0)
    model = Glow(config, spec)
    context = torch.eye(3)[:2] if config.conditional else None
    found = check_transform(model.transform, examples(*spec.shape), context, perturb=0.1)
    assert found.round_trip < 1e-8
    assert found.depends.any(0).all()


def test_a_learned_prior_is_a_normal_given_what_goes_on() -> None:
    """log N(z2; mean(z1), sd(z1)) written out is what the transform to a standard normal gives."""
    torch.manual_seed(0)
    prior = Coupling((4, 2, 2), Halves(), Affine(2.0), PriorConditioner).double()
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype))
    x = examples(4, 2, 2)
    goes_on, leaves = x.chunk(2, 1)
    z, log_det = prior(x)
    raw, t = prior.network(goes_on).chunk(2, 1)
    s = 2 * torch.tanh(raw / 2)
    expected = torch.distributions.Normal(-t * (-s).exp(), (-s).exp()).log_prob(leaves).sum((1, 2, 3))
    standard = torch.distributions.Normal(torch.zeros((), dtype=x.dtype), 1.0)
    torch.testing.assert_close(standard.log_prob(z[:, 2:]).sum((1, 2, 3)) + log_det, expected)
    assert torch.equal(z[:, :2], goes_on)


def test_the_class_moves_the_prior_of_the_last_level() -> None:
    spec = replace(DIGITS, shape=(1, 4, 4), classes=("a", "b", "c"))
    torch.manual_seed(0)
    model = Glow(replace(SMALL, conditional=True), spec)
    last = model.transform.scales[-1].parts[-1]
    with torch.no_grad():
        last.body.weight.normal_()
    label = torch.tensor([0, 1, 2])
    modes = model.sample(3, label, Tempered(temperature=0.0), seed=0)
    assert not torch.allclose(modes[0], modes[1])
    x = modes[:1].expand(3, -1, -1, -1)
    assert (model.log_prob(x, label).diff().abs() > 1e-3).all()
    with pytest.raises(ValueError, match="conditioned on the class"):
        model.log_prob(x)


def test_at_temperature_0_all_samples_are_one() -> None:
    torch.manual_seed(0)
    model = moved(Glow(SMALL, DIGITS))
    x = model.sample(3, options=Tempered(temperature=0.0), seed=1)
    assert torch.equal(x, x[:1].expand(3, -1, -1, -1))
    assert torch.equal(model.sample(3, options=Tempered(temperature=1.0), seed=1), model.sample(3, seed=1))
    z = model.prior(3, seed=1)
    torch.testing.assert_close(
        model.sample(3, options=Tempered(temperature=0.7), seed=1), model.decode(0.7 * z), rtol=0, atol=1e-5
    )


def test_images_of_32_pixels_come_back_in_single_precision() -> None:
    spec = DataSpec(kind="image", shape=(3, 32, 32))
    torch.manual_seed(0)
    model = moved(Glow(GlowConfig(scales=3, steps=4, channels=16), spec), 0.03)
    x = torch.randint(256, (3, 3, 32, 32)) / 255
    with torch.no_grad():
        assert (model.decode(model.encode(x)) - x).abs().max() < 1e-4


def test_what_glow_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match=r"12x12 pixels can be halved 2 times .* by 8: .*size 16 or model.scales 2"):
        build(replace(SMALL, scales=3), replace(DIGITS, shape=(1, 12, 12)))
    with pytest.raises(ValueError, match="take the recipe maf or mixture"):
        build(SMALL, DataSpec(kind="table", shape=(4,)))
    with pytest.raises(ValueError, match="steps is 0"):
        GlowConfig(steps=0)


@pytest.mark.parametrize("name", ["glow", "cglow"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_recipes_fit_any_image(name: str, shape: tuple[int, ...]) -> None:
    spec = DataSpec(kind="image", shape=shape, classes=("a", "b"))
    model = build(find(name).make(spec).model, spec)
    assert isinstance(model, Glow)


def test_the_reference_is_the_published_network() -> None:
    spec = DataSpec(kind="image", shape=(3, 32, 32))
    config = find("glow-cifar10").make(spec).model
    assert isinstance(config, GlowConfig)
    assert (config.scales, config.steps, config.channels) == (3, 32, 512)
