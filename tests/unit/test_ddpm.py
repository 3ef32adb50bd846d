from __future__ import annotations

from dataclasses import replace
from math import log, pi

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.model import build
from genwerk.core.noise import SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Linear
from genwerk.families.ddpm import DDPM, DDPMConfig
from genwerk.nn.diffusion import DenseDenoiserConfig, UNetConfig
from genwerk.recipes import recipe

TABLE = DataSpec(kind="table", shape=(3,))
IMAGE = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=("a", "b"))
SMALL = DDPMConfig(network=UNetConfig(widths=(16,), attention=(False,), blocks=1))
ROWS = DDPMConfig(network=DenseDenoiserConfig(widths=(16,)))


class Exact(nn.Module):
    """The best guess of the noise in examples of N(0, std^2): E[eps | x] = sigma x / (alpha^2 std^2 + sigma^2)."""

    def __init__(self, model: DDPM, std: float) -> None:
        super().__init__()
        self.process, self.variance = model.process, std**2

    def forward(self, x: Tensor, t: Tensor, *told: object) -> Tensor:
        levels = [self.process.level(float(time)) for time in t]
        alpha, sigma = (
            torch.tensor(v).view(-1, *[1] * (x.dim() - 1)) for v in zip(*(level[1:] for level in levels), strict=True)
        )
        return (sigma * x / (alpha**2 * self.variance + sigma**2)).to(x.dtype)


def exact(std: float = 1.0, spec: DataSpec = TABLE, **settings: object) -> DDPM:
    model = build(replace(ROWS if spec.kind == "table" else SMALL, **settings), spec)  # type: ignore[arg-type]
    assert isinstance(model, DDPM)
    model.network = Exact(model, std)  # type: ignore[assignment]
    return model.eval()


def expected_bound(model: DDPM, std: float) -> float:
    """The mean of the bound over N(0, std^2), a value, from the Gaussians of equations 6 and 7 written with betas."""
    bar = model.process.alpha_bar
    betas = 1 - bar / torch.cat([bar.new_ones(1), bar[:-1]])
    error = std**2 * (1 - bar) / (bar * std**2 + 1 - bar)  # of the best guess of x_0
    mean, variance = bar[-1] * std**2, 1 - bar[-1]
    total = -0.5 * (variance + mean - 1 - variance.log())
    for t in range(1, len(betas)):
        posterior = (1 - bar[t - 1]) / (1 - bar[t]) * betas[t]
        share = bar[t - 1].sqrt() * betas[t] / (1 - bar[t])
        total = total - share**2 * error[t] / (2 * posterior)
    return float(total - 0.5 * (2 * pi * betas[0]).log() - error[0] / (2 * betas[0]))


@pytest.mark.parametrize("std", [0.5, 2.0])
def test_the_bound_is_that_of_the_chain_of_gaussians(std: float) -> None:
    model = exact(std, steps=40, schedule=Linear(beta_start=1e-3, beta_end=0.2))
    x = std * torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    bound = model.log_prob_bound(x, importance_samples=39, seed=1) / 3
    assert bound.mean().item() == pytest.approx(expected_bound(model, std), abs=4 * bound.std().item() / 4000**0.5)
    truth = -torch.distributions.Normal(0.0, std).entropy().item()
    assert expected_bound(model, std) < truth
    few = model.log_prob_bound(x, importance_samples=3, seed=2) / 3
    assert few.mean().item() == pytest.approx(bound.mean().item(), abs=4 * few.std().item() / 4000**0.5)


def test_the_bound_counts_standardised_columns_in_their_own_units() -> None:
    model = exact(1.0)
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    before = model.log_prob_bound(x, seed=2)
    model.centred.columns.std.copy_(torch.tensor([1.0, 10.0, 0.1]))
    model.centred.columns.mean.copy_(torch.tensor([0.0, 5.0, -1.0]))
    after = model.log_prob_bound(model.centred.inverse(x), seed=2)
    torch.testing.assert_close(after, before - log(10) - log(0.1), rtol=1e-3, atol=1e-2)


def test_levels_of_a_pixel_have_probabilities_that_sum_to_one() -> None:
    model = build(SMALL, IMAGE)
    assert isinstance(model, DDPM)
    levels = (torch.arange(17) / 16 * 2 - 1).view(17, 1, 1, 1)
    for mean in (-1.3, -0.9, 0.031, 1.0):
        log_p = model._first_term(levels, torch.full_like(levels, mean), torch.tensor(0.05))
        assert log_p.isfinite().all()
        assert log_p.double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_the_objective_is_the_papers() -> None:
    model = build(replace(SMALL, steps=10), IMAGE)
    assert isinstance(model, DDPM)
    x, eps = torch.rand(5, 1, 8, 8), torch.randn(5, 1, 8, 8)
    u = torch.tensor([0.0, 0.05, 0.49, 0.51, 0.99])
    nn.init.normal_(model.network.conv_out.weight)
    betas = torch.linspace(1e-4, 0.02, 10)
    alpha_bar = (1 - betas).cumprod(0)[(10 * u).long()].view(-1, 1, 1, 1)
    noisy = alpha_bar.sqrt() * (2 * x - 1) + (1 - alpha_bar).sqrt() * eps
    by_hand = (eps - model.network(noisy, (10 * u).long())).square().mean()
    loss, figures = model.objective(Batch(x), eps, u)
    torch.testing.assert_close(loss, by_hand)
    torch.testing.assert_close(figures["mse"], by_hand)


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_a_right_network_samples_the_right_spread_whatever_it_predicts(prediction: str) -> None:
    """Of N(0, 0.6^2), walked down exactly by many small steps."""
    model = exact(0.6)
    eps_net = model.network

    class As(nn.Module):
        def forward(self, x: Tensor, t: Tensor, *told: object) -> Tensor:
            level = model.process.level(float(t[0]))
            eps = eps_net(x, t)
            x0 = (x - level.sigma * eps) / level.alpha
            return {"eps": eps, "x0": x0, "v": level.alpha * eps - level.sigma * x0}[prediction]

    many = Diffusion(steps=100)
    other = build(replace(ROWS, prediction=prediction, sampling=many), TABLE)  # type: ignore[arg-type]
    assert isinstance(other, DDPM)
    other.network = As()  # type: ignore[assignment]
    x = other.sample(4000, seed=0)
    assert x.std().item() == pytest.approx(0.6, rel=0.03)
    z = other.encode(x[:200])
    torch.testing.assert_close(z, other.prior(200, seed=0), rtol=0.05, atol=0.05)


def test_labels_are_left_out_as_often_as_asked() -> None:
    model = build(replace(SMALL, conditional=True, condition_dropout=0.25), IMAGE)
    assert isinstance(model, DDPM)

    class Stream(SeededNoise):
        batch_size = 4000

        def next_batch(self) -> Batch:
            return Batch(torch.rand(4000, 1, 8, 8), torch.arange(4000) % 2)

    turn = next(model.turns(Stream(4000, 0), {}))
    told = turn.rows[0].condition
    assert (told == 2).float().mean().item() == pytest.approx(0.25, abs=0.03)
    kept = told != 2
    assert torch.equal(told[kept], (torch.arange(4000) % 2)[kept])


def test_guidance_leads_from_nothing_to_the_label() -> None:
    model = build(replace(SMALL, conditional=True), IMAGE).eval()
    assert isinstance(model, DDPM)
    nn.init.normal_(model.network.conv_out.weight, std=0.05)
    for name, weight in model.network.named_parameters():
        if "conv2" in name:
            nn.init.normal_(weight)
    x, level, c = torch.randn(4, 1, 8, 8), model.process.level(400), torch.tensor([0, 1, 0, 1])
    with torch.no_grad():
        led = model.predictor(c, Diffusion(guidance=3.0))(x, level).eps
        label, nothing = model.output(x, level, c), model.output(x, level, None)
        found = model.estimate(nothing + 3 * (label - nothing), x, level)
    torch.testing.assert_close(led, (x - level.alpha * found.x0.clamp(-1, 1)) / level.sigma, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(label, nothing)


def test_what_is_known_is_as_noisy_as_the_rest_on_the_way_and_itself_in_the_end() -> None:
    model = exact(0.6)
    x, known = torch.randn(3, 3), torch.tensor([[True, False, True]])
    for resamples in (1, 4):
        sampling = Diffusion(steps=10, resamples=resamples)
        found = model.complete(x, known, 2, options=sampling, seed=0)
        assert found.log_prob is None
        assert torch.equal(found.x[:, :, [0, 2]], x[:, None, [0, 2]].expand(-1, 2, -1))
        raw = model.fill(x, known.expand_as(x), SeededNoise(3, 0), options=sampling)
        torch.testing.assert_close(raw[:, [0, 2]], x[:, [0, 2]].double())
    with pytest.raises(ValueError, match="expected booleans"):
        model.complete(x, torch.ones(3, 3))


def test_a_correlated_pair_is_completed_by_its_regression() -> None:
    """Of a Gaussian with correlation r, what is filled in has mean r x and variance 1 - r^2: RePaint comes close."""
    r = 0.8
    covariance = torch.tensor([[1.0, r], [r, 1.0]])
    model = build(ROWS, DataSpec(kind="table", shape=(2,)))
    assert isinstance(model, DDPM)

    class Pair(nn.Module):
        def forward(self, x: Tensor, t: Tensor, *told: object) -> Tensor:
            level = model.process.level(float(t[0]))
            noisy = level.alpha**2 * covariance + level.sigma**2 * torch.eye(2)
            return level.sigma * torch.linalg.solve(noisy, x.T).T

    model.network = Pair()  # type: ignore[assignment]
    given = torch.tensor([[1.5, 0.0]])
    known = torch.tensor([[True, False]])
    put_back, repainted = (
        model.complete(given, known, 500, options=Diffusion(steps=20, resamples=n), seed=0).x[0, :, 1] for n in (1, 20)
    )
    assert repainted.mean().item() == pytest.approx(r * 1.5, abs=0.12)
    assert repainted.std().item() == pytest.approx((1 - r**2) ** 0.5, abs=0.1)
    assert put_back.mean() < 0.6 * r * 1.5, "values that are only put back are hardly listened to"


def test_an_edit_keeps_more_of_what_is_noised_less() -> None:
    model = exact(1.0)
    x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(3))
    kept = []
    for strength in (0.2, 0.5, 1.0):
        made = model.sdedit(x, strength, seed=5)
        assert made.std().item() == pytest.approx(1, abs=0.05)
        kept.append(torch.corrcoef(torch.stack([x.flatten(), made.flatten()]))[0, 1].item())
    assert kept[0] > kept[1] > kept[2]
    assert abs(kept[2]) < 0.05


def test_the_reference_for_cifar10_has_the_published_networks_weights() -> None:
    spec = DataSpec(kind="image", shape=(3, 32, 32))
    model = build(recipe("ddpm-cifar10", spec).model, spec)
    assert sum(p.numel() for p in model.parameters()) == 35_746_307


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match="needs labels"):
        build(replace(ROWS, conditional=True), TABLE)
    with pytest.raises(ValueError, match=r"take model\.network dense"):
        build(SMALL, TABLE)
    with pytest.raises(ValueError, match="describes images and tables"):
        build(SMALL, DataSpec(kind="audio", shape=(1, 100), sample_rate=8000))
    with pytest.raises(ValueError, match=r"dropout is 1\.0"):
        replace(SMALL, condition_dropout=1.0)
    with pytest.raises(ValueError, match="depends on the first noise alone"):
        replace(SMALL, sampling=Diffusion(sampler="ddpm"))
    with pytest.raises(ValueError, match="from 1 to 1000"):
        exact().sdedit(torch.zeros(1, 3), 0.5, options=Diffusion(steps=1001))
