"""The variational autoencoder against a model whose density is known, and its variants against their formulas."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log, nan
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genwerk import tasks
from genwerk.core.errors import BadSetting
from genwerk.core.model import build
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.options import Observation
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families import variational as family
from genwerk.families.vae import VAE, VAEConfig
from genwerk.families.variational import GaussianPosterior, IAFPosterior
from genwerk.nn.coder import ConvCoder, MLPCoder
from genwerk.nn.losses import (
    BernoulliConfig,
    GaussianConfig,
    LikelihoodConfig,
    LogisticConfig,
    Sigma,
    gaussian_kl,
    log_prior_ratio,
    mmd,
    reparametrise,
)
from genwerk.recipes import find
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

DIGIT = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=tuple("0123456789"))
COLOUR = DataSpec(kind="image", shape=(3, 20, 17))
TABLE = DataSpec(kind="table", shape=(4,))
LINEAR = VAEConfig(network=MLPCoder(widths=()), latent=2, likelihood=GaussianConfig(sigma=0.5))
SMALL = VAEConfig(network=MLPCoder(widths=(16,)), latent=3)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@torch.no_grad()
def linear_gaussian(spread: float = 1.0) -> tuple[VAE, MultivariateNormal]:
    """A VAE with x = W z + b + N(0, 0.25), its encoder's standard deviations ``spread`` times the exact ones; and p(x).

    The columns of W are orthogonal, so that the exact posterior has independent dimensions and the encoder can be it.
    """
    model = VAE(LINEAR, TABLE).double()
    w = torch.tensor([[1.0, 1.0], [2.0, -0.5], [0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([0.1, -0.2, 0.3, 1.0], dtype=torch.float64)
    variance = 1 / (1 + w.square().sum(0) / 0.25)
    assert (w[:, 0] @ w[:, 1]).item() == 0
    decoder, encoder = model.decoder.body[0], model.encoder.body[0]
    decoder.weight.copy_(w)
    decoder.bias.copy_(b)
    encoder.weight.copy_(torch.cat([variance[:, None] * w.T / 0.25, torch.zeros(2, 4)]))
    encoder.bias.copy_(torch.cat([-variance * (w.T @ b) / 0.25, (spread**2 * variance).log()]))
    return model, MultivariateNormal(b, w @ w.T + 0.25 * torch.eye(4, dtype=torch.float64))


def batch_of(spec: DataSpec, n: int, dtype: torch.dtype = torch.float32) -> tuple[Batch, Tensor]:
    """Random data with labels, and uniform noise like them."""
    x = torch.randint(0, spec.levels, (n, *spec.shape)) / (spec.levels - 1)
    condition = torch.randint(0, 10, (n,)) if spec.classes else None
    return Batch(x.to(dtype), condition), torch.rand(n, *spec.shape, dtype=dtype)


def test_weights_are_the_density_where_the_posterior_is_exact() -> None:
    model, p = linear_gaussian()
    x = p.sample((6,))
    weights = model.log_weights(x, 5, seed=0)
    torch.testing.assert_close(weights, p.log_prob(x)[:, None].expand(6, 5), rtol=0, atol=1e-6)  # eps is float32
    eps = torch.randn(6, 1, 2, dtype=torch.float64)
    loss, metrics = model.objective(Batch(x), torch.rand_like(x), eps)
    torch.testing.assert_close(loss, -metrics["elbo"])
    draws = torch.stack([-model.objective(Batch(x), x, torch.randn_like(eps))[0] for _ in range(4000)])
    assert (draws.mean() - p.log_prob(x).mean()).abs() < 4 * draws.std() / 4000**0.5


def test_importance_sampling_comes_from_below_to_the_known_density() -> None:
    model, p = linear_gaussian(spread=1.3)
    x = p.sample((50,))
    exact = p.log_prob(x)
    log_w = model.log_weights(x, 20_000, seed=1)
    w = (log_w - exact[:, None]).exp()
    deviation = (w.mean(1) - 1) / (w.std(1) / 20_000**0.5)
    assert deviation.abs().max() < 4.5
    bounds = [(log_w.unflatten(1, (-1, k)).logsumexp(2).mean() - log(k)).item() for k in (1, 10, 1000)]
    assert bounds[0] + 0.05 < bounds[1] < bounds[2] < exact.mean().item() + 0.001
    torch.testing.assert_close(model.log_prob_bound(x, 20_000, seed=1), log_w.logsumexp(1) - log(20_000))
    slack = gaussian_kl(torch.zeros(2), torch.full((2,), 2 * log(1.3))).sum()  # KL(q || posterior)
    assert (log_w.mean() - (exact.mean() - slack)).abs() < 0.02


def test_density_of_a_table_is_in_its_own_units() -> None:
    model, p = linear_gaussian()
    x = p.sample((8,))
    scale = torch.tensor([10.0, 1e-3, 1.0, 100.0], dtype=torch.float64)
    model.standardise.std.copy_(scale)
    model.standardise.mean.fill_(3.0)
    moved = model.log_weights(x * scale + 3, 2, seed=0)
    torch.testing.assert_close(moved.mean(1), p.log_prob(x) - scale.log().sum(), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        model.decode(model.encode(x)),
        model.standardise.inverse(linear_gaussian()[0].decode(linear_gaussian()[0].encode((x - 3) / scale))),
    )


def test_objective_is_the_bound_with_its_parts() -> None:
    model = VAE(SMALL, DIGIT).double()
    batch, u = batch_of(DIGIT, 5, torch.float64)
    eps = torch.randn(5, 1, 3, dtype=torch.float64)
    x = (u < batch.x).double()
    mean, log_var = model.posterior(x)
    z = mean + (0.5 * log_var).exp() * eps[:, 0]
    p = model.decode(z)
    reconstruction = (x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean()
    kl = 0.5 * (log_var.exp() + mean**2 - 1 - log_var).mean(0)
    loss, metrics = model.objective(batch, u, eps)
    torch.testing.assert_close(loss, -(reconstruction - kl.sum()))
    torch.testing.assert_close(metrics["elbo"], -loss)
    torch.testing.assert_close(metrics["log likelihood"], reconstruction)
    torch.testing.assert_close(metrics["kl by dimension"], kl)
    prior = torch.randn(5, 3, dtype=torch.float64)
    model.config = replace(SMALL, beta=4.0, mmd=10.0)
    weighted, metrics = model.objective(batch, u, eps, prior)
    torch.testing.assert_close(weighted, -reconstruction + 4 * kl.sum() + 10 * mmd(z, prior))
    torch.testing.assert_close(metrics["elbo"], -loss)


def test_gradient_of_many_draws_is_weighted_by_normalised_weights() -> None:
    model = VAE(replace(SMALL, importance_samples=6), DIGIT).double()
    batch, u = batch_of(DIGIT, 4, torch.float64)
    eps = torch.randn(4, 6, 3, dtype=torch.float64)
    loss, metrics = model.objective(batch, u, eps)
    gradients = torch.autograd.grad(loss, list(model.parameters()))

    x = model.observe(batch.x, u)
    mean, log_var = model.posterior(x)
    z = reparametrise(mean, log_var, eps)
    log_w = model._log_likelihood(x, z, None) + log_prior_ratio(z, log_var, eps)
    torch.testing.assert_close(loss, -(log_w.logsumexp(1) - log(6)).mean())
    torch.testing.assert_close(metrics["elbo"] < -loss, torch.tensor(True))
    surrogate = -(log_w.softmax(1).detach() * log_w).sum(1).mean()
    for gradient, expected in zip(gradients, torch.autograd.grad(surrogate, list(model.parameters())), strict=True):
        torch.testing.assert_close(gradient, expected)


def test_prior_ratio_is_the_difference_of_two_normal_densities() -> None:
    mean, log_var, eps = torch.randn(3, 2), torch.randn(3, 2), torch.randn(3, 5, 2)
    z = reparametrise(mean, log_var, eps)
    q = torch.distributions.Normal(mean[:, None], (0.5 * log_var).exp()[:, None])
    p = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(log_prior_ratio(z, log_var, eps), (p.log_prob(z) - q.log_prob(z)).sum(-1))


def test_weights_do_not_depend_on_the_batch_or_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = VAE(replace(SMALL, conditional=True), DIGIT).eval()
    batch, _ = batch_of(DIGIT, 9)
    whole = model.log_weights(batch.x, 40, batch.condition, seed=5)
    alone = model.log_weights(batch.x[4:5], 40, batch[4:5].condition, seed=Seeds(5, 4))
    torch.testing.assert_close(whole[4:5], alone)
    monkeypatch.setattr(family, "ROWS", 16)
    torch.testing.assert_close(model.log_weights(batch.x, 40, batch.condition, seed=5), whole)
    assert not torch.allclose(model.log_weights(batch.x, 40, batch.condition), whole)


def test_posterior_is_sampled_by_name_and_encode_is_its_mean() -> None:
    model, p = linear_gaussian(spread=2.0)
    x = p.sample((1,)).expand(20_000, 4)
    z = model.sample_posterior(x, SeededNoise(20_000, 0))
    mean, log_var = model.posterior(x)
    torch.testing.assert_close(model.encode(x), mean)
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(z.std(0), (0.5 * log_var[0]).exp(), atol=0.02, rtol=0)


# --- posterior "iaf" --------------------------------------------------------------------------------------------------

IAF = VAEConfig(
    network=MLPCoder(widths=()), latent=2, likelihood=GaussianConfig(sigma=0.5), posterior=IAFPosterior(width=8)
)


def stirred(model: VAE, deviation: float = 0.5) -> VAE:
    """``model`` with random weights in its flow, which begins as the identity."""
    assert model.flow is not None
    for p in model.flow.parameters():
        torch.nn.init.normal_(p, 0, deviation)
    return model


def test_density_of_a_flowing_posterior_is_the_change_of_variables() -> None:
    model = stirred(
        VAE(
            replace(IAF, latent=3, posterior=IAFPosterior(steps=3, width=8), conditional=True),
            replace(TABLE, classes=("a", "b")),
        ).double()
    )
    x, label = torch.randn(2, 4, dtype=torch.float64), torch.tensor([0, 1])
    mean, log_var, told = model._encode(x, label)
    assert told.shape == (2, 8)
    eps = torch.randn(2, 5, 3, dtype=torch.float64)
    z, log_ratio = model._draw(mean, log_var, told, eps)
    normal = torch.distributions.Normal(0.0, 1.0)
    for i, k in ((0, 0), (0, 4), (1, 2)):
        row = slice(i, i + 1)

        def moved(e: Tensor, row: slice = row) -> Tensor:
            return model._draw(mean[row], log_var[row], told[row], e.view(1, 1, 3))[0].flatten()

        jacobian = torch.autograd.functional.jacobian(moved, eps[i, k])
        assert (jacobian.abs() > 1e-9).all(), "every code depends on all of the noise when the order has turned round"
        log_q = normal.log_prob(eps[i, k]).sum() - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(moved(eps[i, k]), z[i, k])
        torch.testing.assert_close(log_ratio[i, k], normal.log_prob(z[i, k]).sum() - log_q)


def test_weights_of_a_flowing_posterior_average_to_the_density() -> None:
    exact, p = linear_gaussian(spread=1.3)
    model = VAE(IAF, TABLE).double()
    with torch.no_grad():
        model.decoder.load_state_dict(exact.decoder.state_dict())
        model.encoder.body[0].weight[:4] = exact.encoder.body[0].weight
        model.encoder.body[0].bias[:4] = exact.encoder.body[0].bias
    x = p.sample((20,))
    torch.testing.assert_close(model.log_weights(x, 3, seed=1), exact.log_weights(x, 3, seed=1))  # the identity, so far
    stirred(model, 0.1)
    w = (model.log_weights(x, 20_000, seed=1) - p.log_prob(x)[:, None]).exp()
    assert w.std() > 0.05
    deviation = (w.mean(1) - 1) / (w.std(1) / 20_000**0.5)
    assert deviation.abs().max() < 4.5


class Bent(torch.nn.Module):
    """x = z_1 - z_0^2: the codes of one x lie on a parabola."""

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z[:, 1:] - z[:, :1] ** 2


def test_a_flow_fits_codes_that_lie_on_a_parabola_better_than_a_gaussian() -> None:
    spec, gaps = DataSpec(kind="table", shape=(1,)), {}
    x = torch.zeros(64, 1)
    line = torch.linspace(-6, 6, 601, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    residual = z[:, 1] - z[:, 0] ** 2
    log_p = -0.5 * (z**2).sum(1) - 0.5 * (residual / 0.3) ** 2 - log(0.3) - 1.5 * log(2 * torch.pi)
    exact = log_p.logsumexp(0) + 2 * log(12 / 600)
    for posterior in (GaussianPosterior(), IAFPosterior(width=16, activation="tanh")):
        torch.manual_seed(0)
        model = VAE(replace(IAF, likelihood=GaussianConfig(sigma=0.3), posterior=posterior), spec)
        model.decoder = Bent()
        optim = {"model": OptimConfig(lr=3e-2, schedule="cosine")}
        Trainer(model, Dataset(x=x, spec=spec), TrainConfig(rounds=400, batch_size=64, optim=optim)).fit()
        gaps[posterior.kind] = (exact - model.log_weights(x, 200, seed=0).mean()).item()
    assert gaps["gaussian"] > 0.15
    assert -0.02 < gaps["iaf"] < 0.5 * gaps["gaussian"]


def test_objective_of_a_flow_is_the_bound_of_its_draws() -> None:
    model = stirred(VAE(replace(SMALL, posterior=IAFPosterior(width=8)), DIGIT).double())
    batch, u = batch_of(DIGIT, 5, torch.float64)
    eps = torch.randn(5, 1, 3, dtype=torch.float64)
    x = model.observe(batch.x, u)
    z, log_ratio = model._draw(*model._encode(x, None), eps)
    log_p = model._log_likelihood(x, z, None)
    loss, metrics = model.objective(batch, u, eps)
    torch.testing.assert_close(loss, -(log_p + log_ratio).mean())
    torch.testing.assert_close(metrics["elbo"], -loss)
    assert "kl by dimension" not in metrics
    assert model.diagnose(batch.x)["KL of codes"].dim() == 0
    model.config = replace(model.config, beta=3.0)
    torch.testing.assert_close(model.objective(batch, u, eps)[0], -log_p.mean() - 3 * log_ratio.mean())


def test_diagnosis_tells_the_active_units() -> None:
    model, p = linear_gaussian()
    with torch.no_grad():
        model.encoder.body[0].weight[1].zero_()  # the second unit ignores its input
    x = p.sample((500,))
    found, (mean, log_var) = model.diagnose(x), model.posterior(x)
    assert found["active units"] == 1 == (mean.var(0, correction=0) > 0.01).sum()
    torch.testing.assert_close(found["KL of codes"], gaussian_kl(mean, log_var).mean(0))


def test_a_conditional_model_uses_its_label() -> None:
    model = VAE(replace(SMALL, conditional=True), DIGIT).eval()
    assert model.condition.classes == 10
    assert VAE(SMALL, DIGIT).condition.classes == 0
    batch, _ = batch_of(DIGIT, 6)
    other = (batch.condition + 1) % 10
    assert not torch.allclose(model.encode(batch.x, batch.condition), model.encode(batch.x, other))
    ones = torch.ones(6, dtype=torch.long)
    assert not torch.allclose(model.sample(6, ones, seed=0), model.sample(6, 2 * ones, seed=0))
    torch.testing.assert_close(model.sample(6, ones, seed=0)[2:3], model.sample(1, ones[:1], seed=Seeds(0, 2)))
    assert model.sample(6, seed=0).shape == (6, 1, 8, 8)
    for wrong in (None, 10 * ones, -ones):
        with pytest.raises(ValueError, match="class index from 0 to 9"):
            model.encode(batch.x, wrong)
    with pytest.raises(ValueError, match="takes none"):
        VAE(SMALL, DIGIT).sample(6, ones)


@pytest.mark.parametrize("name", ["vae", "cvae", "iwae", "infovae", "vae-iaf"])
@pytest.mark.parametrize("spec", [DIGIT, COLOUR, TABLE, DataSpec(kind="audio", shape=(1, 50))], ids=str)
def test_recipes_fit_themselves_to_the_data(name: str, spec: DataSpec) -> None:
    spec = replace(spec, classes=DIGIT.classes)
    recipe = find(name).make(spec)
    assert isinstance(recipe.model, VAEConfig)
    model = VAE(recipe.model, spec)
    x = torch.randint(0, 256, (8, *spec.shape), dtype=torch.uint8)
    data = Dataset(x=x if spec.modality.has_pixels else x / 255, spec=spec, condition=torch.arange(8))
    before = [p.clone() for p in model.parameters()]
    Trainer(model, data, replace(recipe.train, rounds=2, batch_size=4)).fit()
    assert all((p != q).any() for p, q in zip(model.parameters(), before, strict=True))
    batch = data.batch()
    assert model.sample(2, seed=0).shape == (2, *spec.shape)
    bound = model.log_prob_bound(batch.x, 3, batch.condition, seed=0)
    assert bound.shape == (8,)
    assert bound.isfinite().all()


@pytest.mark.parametrize(
    "change",
    [
        {"likelihood": GaussianConfig()},
        {"likelihood": LogisticConfig(), "network": ConvCoder(widths=(16,))},
        {"importance_samples": 3},
    ],
)
def test_micro_batches_give_the_gradient_of_the_whole(change: dict[str, Any]) -> None:
    config = replace(SMALL, **change)
    model = VAE(config, DIGIT).double().eval()  # batch normalisation couples examples while training
    batch, u = batch_of(DIGIT, 6, torch.float64)
    eps = torch.randn(6, config.importance_samples, 3, dtype=torch.float64)
    whole = torch.autograd.grad(model.objective(batch, u, eps)[0], list(model.parameters()))
    parts = [model.objective(batch[r], u[r], eps[r])[0] for r in (slice(0, 2), slice(2, 6))]
    cut = torch.autograd.grad(parts[0] / 3 + 2 * parts[1] / 3, list(model.parameters()))
    for a, b in zip(whole, cut, strict=True):
        torch.testing.assert_close(a, b)


def test_a_table_is_learned_in_its_own_units() -> None:
    x = (torch.randn(4_000, 2) @ torch.tensor([[30.0, 0.0], [20.0, 1.0]]) + torch.tensor([1e4, -5.0])).double()
    spec = DataSpec(kind="table", shape=(2,))
    model = VAE(VAEConfig(network=MLPCoder(widths=(32,)), latent=2, likelihood=GaussianConfig(sigma="each")), spec)
    Trainer(model, Dataset(x=x, spec=spec), TrainConfig(rounds=300, batch_size=200)).fit()
    sample = model.sample(4_000, seed=0)
    torch.testing.assert_close(sample.mean(0), x.mean(0), rtol=0, atol=8.0)
    assert -12 < model.log_prob_bound(x[:200], 50, seed=0).mean() < -5


def test_settings_that_cannot_work_say_so() -> None:
    with pytest.raises(ValueError, match="labels"):
        VAE(replace(SMALL, conditional=True), TABLE)
    with pytest.raises(ValueError, match="gaussian"):
        VAE(SMALL, TABLE)
    with pytest.raises(ValueError, match="steps is 0"):
        IAFPosterior(steps=0)
    with pytest.raises(ValueError, match="sigma is 0"):
        GaussianConfig(sigma=0.0)
    for wrong in (
        {"importance_samples": 0},
        {"importance_samples": 5, "beta": 2.0},
        {"importance_samples": 5, "mmd": 1.0},
    ):
        with pytest.raises(ValueError, match="importance_samples is"):
            VAEConfig(**wrong)


@pytest.mark.parametrize("sigma", [0.5, "learned", "each"])
def test_rows_of_a_table_are_draws_and_their_mean_is_an_option(sigma: Sigma) -> None:
    """By the law of total variance a column varies by what its mean varies and by the sigma of p(x | z)."""
    spec = DataSpec(kind="table", shape=(3,))
    model = VAE(VAEConfig(network=MLPCoder(widths=(8,)), latent=2, likelihood=GaussianConfig(sigma=sigma)), spec).eval()
    model.standardise.fit(torch.randn(500, 3, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e3]) + 7)
    drawn, mean = model.sample(6_000, seed=0), model.sample(6_000, options=Observation(observation="mean"), seed=0)
    assert torch.equal(mean, model.decode(model.prior(6_000, seed=0)))
    noise = (drawn - mean) / model.standardise.std
    with torch.no_grad():
        each = model.likelihood._split(model._likelihood_of(model.prior(6_000, seed=0), None))[1].exp()
    expected = each.expand(6_000, 3).square().mean(0).sqrt()
    torch.testing.assert_close(noise.std(0).float(), expected, rtol=0.04, atol=0)
    assert not noise[:, 0].equal(noise[:, 1])

    def same(found: Tensor, expected: Tensor) -> None:
        """Equal but for the rounding of a network in single precision, which differs with the size of a batch."""
        torch.testing.assert_close(
            found / model.standardise.std, expected / model.standardise.std, rtol=1e-5, atol=1e-5
        )

    same(model.sample(1, seed=Seeds(0, 11)), drawn[11:12])
    same(tasks.sample(model, 5, seed=0).x, drawn[:5])
    same(tasks.sample(model, 5, seed=0, options={"observation": "mean"}).x, mean[:5])


@pytest.mark.parametrize("likelihood", [BernoulliConfig(), LogisticConfig(), GaussianConfig()])
def test_pictures_are_means_and_draws_an_option(likelihood: LikelihoodConfig) -> None:
    model = VAE(replace(SMALL, likelihood=likelihood), DIGIT).eval()
    mean, drawn = model.sample(2_000, seed=0), model.sample(2_000, options=Observation(observation="draw"), seed=0)
    assert torch.equal(mean, model.sample(2_000, options=Observation(observation="mean"), seed=0))
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    if likelihood.kind != "gaussian":
        levels = 1 if likelihood.kind == "bernoulli" else DIGIT.levels - 1
        torch.testing.assert_close(drawn * levels, (drawn * levels).round(), rtol=0, atol=1e-5)
        torch.testing.assert_close(drawn.mean(0), mean.mean(0), rtol=0, atol=0.06)


@pytest.mark.parametrize("wrong", [nan, inf])
def test_numbers_that_are_none_are_refused_by_name(wrong: float) -> None:
    with pytest.raises(BadSetting, match=f"model.beta is {wrong}; expected a finite number"):
        build(VAEConfig(beta=wrong), DataSpec(kind="table", shape=(2,)))
