"""The Gaussian mixture against scikit-learn, torch.distributions, closed forms and numerical integration."""

from __future__ import annotations

from functools import partial
from math import log

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from genwerk.core.model import Stage
from genwerk.core.noise import Seeds
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.mixture import Mixture, MixtureConfig
from genwerk.nn.gaussians import Covariance, Gaussians, choose, factorise
from genwerk.nn.k_means import k_means
from genwerk.recipes.mixture import fitted, mixture
from genwerk.training.runtime import Runtime
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

KINDS: list[Covariance] = ["full", "tied", "diagonal", "spherical"]
QUIET = {"sample_every": 0, "evaluate_every": 0, "save_every": 0}


def table(x: Tensor) -> Dataset:
    return Dataset(x=x, spec=DataSpec(kind="table", shape=(x.shape[1],)))


def clusters(n: int = 600, k: int = 3, d: int = 4, seed: int = 0, apart: float = 3.0) -> Tensor:
    """Rows from ``k`` Gaussians with random means and covariances, float64."""
    g = torch.Generator().manual_seed(seed)
    means = apart * torch.randn(k, d, generator=g, dtype=torch.float64)
    mixing = torch.randn(k, d, d, generator=g, dtype=torch.float64) / d**0.5
    which = torch.randint(k, (n,), generator=g)
    return means[which] + torch.einsum("nij,nj->ni", mixing[which], torch.randn(n, d, generator=g, dtype=torch.float64))


def parameters(kind: Covariance, k: int = 3, d: int = 4, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances of a random mixture."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand(k, generator=g, dtype=torch.float64) + 0.2
    means = 2 * torch.randn(k, d, generator=g, dtype=torch.float64)
    a = torch.randn(k, d, d, generator=g, dtype=torch.float64)
    full = a @ a.mT + 0.3 * torch.eye(d)
    covariances = {
        "full": full,
        "tied": full[0],
        "diagonal": full.diagonal(dim1=1, dim2=2),
        "spherical": full[:, 0, 0],
    }[kind]
    return weights / weights.sum(), means, covariances


def placed(kind: Covariance, k: int = 3, d: int = 4, **settings: float) -> Mixture:
    model = Mixture(MixtureConfig(components=(k,), covariance=kind, **settings), DataSpec(kind="table", shape=(d,)))
    model.place(*parameters(kind, k, d))
    return model


def fit(model: Mixture, data: Dataset, rounds: int = 50, **settings: int) -> list[float]:
    """Train; the mean log-likelihood before every round."""
    events = Trainer(model, data, TrainConfig(rounds=rounds, **QUIET, **settings))
    return [event.metrics["log_p"].item() for event in events if hasattr(event, "metrics")]


def improve(model: Mixture, x: Tensor, rounds: int) -> list[float]:
    """``rounds`` iterations of EM from where the mixture stands; the mean log-likelihood before each."""
    model.stages = lambda rounds: [Stage("em", rounds, model.turns, partial(model.begin, 0), batch_size=0)]  # type: ignore[method-assign]
    return fit(model, table(x), rounds)


@pytest.mark.parametrize("kind", KINDS)
def test_em_equals_scikit_learn_from_the_same_start(kind: Covariance) -> None:
    x = clusters()
    weights, means, covariances = parameters(kind)
    precisions = covariances.inverse() if kind in ("full", "tied") else 1 / covariances
    oracle = GaussianMixture(
        3,
        covariance_type="diag" if kind == "diagonal" else kind,
        tol=0,
        max_iter=12,
        weights_init=weights.numpy(),
        means_init=means.numpy(),
        precisions_init=precisions.numpy(),
    )
    with pytest.warns(UserWarning, match="did not converge"):
        oracle.fit(x.numpy())
    model = placed(kind, tolerance=0.0)
    improve(model, x, 12)
    assert model.log_prob(x).mean().item() == pytest.approx(oracle.score(x.numpy()), abs=1e-9)
    assert torch.allclose(model.responsibilities(x), torch.tensor(oracle.predict_proba(x.numpy())), atol=1e-7)
    improve(model, x, 1)
    assert model.diagnose(x)["BIC of the training data"].item() == pytest.approx(oracle.bic(x.numpy()), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_likelihood_never_falls(kind: Covariance) -> None:
    curve = torch.tensor(improve(placed(kind, tolerance=0.0, ridge=1e-12), clusters(k=6), 25))
    assert curve.diff().min() > -1e-9
    assert curve[-1] > curve[0] + 1
    data = digits(300)
    model = Mixture(MixtureConfig(components=(4,), covariance=kind, tolerance=0.0, ridge=0.0), data.spec)
    assert torch.tensor(fit(model, data, 25)).diff().min() > -1e-9


def digits(n: int) -> Dataset:
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images[:n]).to(torch.uint8)[:, None]
    return Dataset(x=x, spec=DataSpec(kind="image", shape=(1, 8, 8), levels=17))


def test_one_component_is_the_maximum_likelihood_gaussian() -> None:
    x = clusters()
    model = Mixture(MixtureConfig(components=(1,), ridge=0.0), table(x).spec)
    fit(model, table(x))
    oracle = MultivariateNormal(x.mean(0), x.T.cov(correction=0))
    assert torch.allclose(model.log_prob(x), oracle.log_prob(x), atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_density_equals_torch_distributions(kind: Covariance) -> None:
    weights, means, covariances = parameters(kind)
    if kind in ("full", "tied"):
        components = MultivariateNormal(means, covariances)
    else:
        std = covariances.sqrt().reshape(3, -1).expand(3, 4)
        components = Independent(Normal(means, std), 1)
    x = clusters(50)
    oracle = MixtureSameFamily(Categorical(weights), components).log_prob(x)
    assert torch.allclose(placed(kind).log_prob(x), oracle, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_density_integrates_to_one_in_the_units_of_the_data(kind: Covariance) -> None:
    x = clusters(d=2) * torch.tensor([0.1, 30.0]) + torch.tensor([5.0, -100.0])
    model = Mixture(MixtureConfig(components=(3,), covariance=kind), table(x).spec)
    fit(model, table(x))
    low, high = x.amin(0), x.amax(0)
    low, high = low - (high - low) / 2, high + (high - low) / 2
    if kind == "spherical":
        low, high = low.amin() - 50, high.amax() + 50
        low, high = low.expand(2), high.expand(2)
    axes = [torch.linspace(a, b, 1200, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    density = model.log_prob(torch.cartesian_prod(*axes)).exp()
    assert (density.sum() * (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_conditional_times_marginal_is_joint(kind: Covariance) -> None:
    weights, means, covariances = parameters(kind)
    covariances = covariances[:, None] if kind == "spherical" else covariances
    g = Gaussians(kind, weights, means, factorise(kind, covariances, 0.0))
    v, known = clusters(20), torch.tensor([True, False, True, False])
    log_weight, mean, rest = g.given(v, known)
    residual = v[:, None, ~known] - mean
    zero = [Gaussians(rest.kind, torch.ones(1), rest.mean[:1], rest.factor[k : k + 1]) for k in range(3)]
    log_rest = torch.cat([zero[k].log_joint(residual[:, k]) for k in range(3)], 1)
    assert torch.allclose((log_weight + log_rest), g.log_joint(v), atol=1e-10)
    dense = covariances if kind in ("full", "tied") else torch.diag_embed(covariances.expand(3, 4))
    marginal = MultivariateNormal(means[:, known], dense[..., known, :][..., known])
    oracle = MixtureSameFamily(Categorical(weights), marginal).log_prob(v[:, known])
    assert torch.allclose(log_weight.logsumexp(1), oracle, atol=1e-10)


def test_completion_of_one_gaussian_has_the_conditional_mean_and_covariance() -> None:
    model = placed("full", k=1)
    _, (mean,), (covariance,) = parameters("full", k=1)
    known = torch.tensor([False, True, True, False])
    x = torch.tensor([[torch.nan, 0.5, -1.0, torch.nan]], dtype=torch.float64)
    filled = model.complete(x, known, 20_000, seed=0).x[0]
    assert torch.equal(filled[:, known], x[:, known].expand(20_000, 2))
    gain = covariance[~known][:, known] @ covariance[known][:, known].inverse()
    expected = mean[~known] + gain @ (x[0, known] - mean[known])
    spread = covariance[~known][:, ~known] - gain @ covariance[known][:, ~known]
    drawn = filled[:, ~known]
    assert torch.allclose(drawn.mean(0), expected, atol=5 * (spread.diagonal().amax() / 20_000).sqrt().item())
    assert torch.allclose(drawn.T.cov(), spread, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_completion_of_a_mixture_follows_bayes_rule(kind: Covariance) -> None:
    model = placed(kind, d=2)
    x = torch.tensor([[0.4, 0.0], [0.0, -1.0]], dtype=torch.float64)
    known = torch.tensor([[True, False], [False, True]])
    filled = model.complete(x, known, 20_000, seed=3).x
    line = torch.linspace(-25, 25, 20_001, dtype=torch.float64)
    for row, (seen, gone) in enumerate(((0, 1), (1, 0))):
        points = torch.zeros(len(line), 2, dtype=torch.float64)
        points[:, seen], points[:, gone] = x[row, seen], line
        p = model.log_prob(points).softmax(0)
        cdf = p.cumsum(0)
        drawn = filled[row, :, gone].sort().values
        distance = (torch.arange(20_000) / 20_000 - cdf[torch.searchsorted(line, drawn).clamp_max(20_000)]).abs().max()
        assert distance < 1.95 / 20_000**0.5, "Kolmogorov-Smirnov, level 0.001"


def test_completion_of_an_example_does_not_depend_on_its_batch() -> None:
    model = placed("full")
    x = clusters(6)
    known = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    known[0], known[1] = True, False
    together = model.complete(x, known, 3, seed=10).x
    assert torch.equal(together[0], x[0].expand(3, 4))
    for i in range(6):
        alone = model.complete(x[i : i + 1], known[i : i + 1], 3, seed=Seeds(10, i)).x
        assert torch.allclose(together[i : i + 1], alone, atol=1e-12)


def test_bic_finds_the_number_of_clusters() -> None:
    g = torch.Generator().manual_seed(0)
    x = 20 * torch.randn(5, 3, generator=g).repeat(80, 1) + torch.randn(400, 3, generator=g)
    data = table(x)
    model = Mixture(MixtureConfig(components=(2, 8, 5, 3), starts=3), data.spec)
    assert len(model.stages(10)) == 12
    fit(model, data)
    assert model.responsibilities(x).shape == (400, 5)
    found = model.diagnose(x)
    assert found["components"] == 5
    free = 4 + 5 * 3 + 5 * 6
    expected = free * log(400) - 2 * model.log_prob(x).sum().item()
    assert found["BIC of the training data"].item() == pytest.approx(expected, rel=1e-6)
    placed = Mixture(MixtureConfig(components=(1,)), data.spec)
    placed.place(torch.ones(1), torch.zeros(1, 3), torch.eye(3)[None])
    assert placed.diagnose(x).keys() == {"components"}


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_add_up_to_the_whole(kind: Covariance) -> None:
    data = table(clusters())
    whole, parts = (Mixture(MixtureConfig(covariance=kind, components=(3,)), data.spec) for _ in range(2))
    curve = fit(whole, data, 10)
    assert torch.allclose(torch.tensor(fit(parts, data, 10, micro_batch=37)), torch.tensor(curve), atol=1e-10)
    assert torch.allclose(whole.log_prob(data.x), parts.log_prob(data.x), atol=1e-8)


def test_a_trial_goes_on_from_its_buffers_to_the_bit() -> None:
    data = table(clusters())
    config = MixtureConfig(components=(3, 4), starts=2, tolerance=0.0)
    first = Mixture(config, data.spec)
    states = []
    for event in Trainer(first, data, TrainConfig(rounds=5, **QUIET)):
        if hasattr(event, "metrics"):
            states.append({k: v.clone() for k, v in first.state_dict().items()})
    again = Mixture(config, data.spec)
    again.load_state_dict(states[6])
    for stage in again.stages(5)[1:2]:
        assert stage.data is not None
        stage.data(data)
    assert all(torch.equal(v, states[6][k]) for k, v in again.state_dict().items())
    repeated = Mixture(config, data.spec)
    fit(repeated, data, 5)
    assert all(torch.equal(v, states[-1][k]) for k, v in repeated.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_data_at_an_offset_fit_as_well_as_without(kind: Covariance) -> None:
    x = (clusters() * 1024).round() / 1024
    far = x + 1e9
    assert torch.equal(far - 1e9, x)
    near, away = (Mixture(MixtureConfig(covariance=kind, components=(3,)), table(x).spec) for _ in range(2))
    fit(near, table(x))
    fit(away, table(far))
    assert torch.allclose(near.log_prob(x), away.log_prob(far), atol=1e-6)


def test_fit_does_not_depend_on_the_units_of_columns() -> None:
    x = clusters()
    units = torch.tensor([1e-6, 1.0, 1e6, 1e3], dtype=torch.float64)
    plain, scaled = (Mixture(MixtureConfig(components=(3,)), table(x).spec) for _ in range(2))
    fit(plain, table(x))
    fit(scaled, table(x * units))
    assert torch.allclose(plain.log_prob(x) - units.log().sum(), scaled.log_prob(x * units), atol=1e-6)


def test_pixels_are_levels_blurred_by_uniform_noise() -> None:
    spec = DataSpec(kind="image", shape=(1, 1, 2), levels=6)
    levels = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    u = (torch.arange(60, dtype=torch.float64) + 0.5) / 60 - 0.5
    for kind in KINDS:
        model = Mixture(MixtureConfig(components=(3,), covariance=kind), spec)
        weights, _, covariances = parameters(kind, 3, 2)
        means = torch.tensor([[1.0, 1.0], [4.0, 2.0], [2.0, 4.0]])
        model.place(weights, means, covariances / 2)
        plain = Mixture(MixtureConfig(components=(3,), covariance=kind), DataSpec(kind="table", shape=(2,)))
        plain.place(weights, means, covariances / 2)
        inside = levels[:, None].double() + torch.cartesian_prod(u, u)
        log_density = plain.log_prob(inside.flatten(0, 1)).view(36, -1)
        scored = model.log_prob(levels.view(36, 1, 1, 2) / 5)
        assert (scored < log_density.mean(1) + 1e-6).all(), "never above the dequantised log-density"
        gap = log_density.mean(1) - scored
        assert (gap * scored.exp()).sum() < 0.1, "and close to it, but where components meet inside a level"
        assert (scored < log_density.logsumexp(1) - log(3600)).all(), "never above the log-probability"


def test_one_gaussian_over_pixels_is_exactly_dequantised() -> None:
    data = digits(200)
    model = Mixture(MixtureConfig(components=(1,), ridge=0.0), data.spec)
    fit(model, data)
    v = data.x.flatten(1).double()
    cov = v.T.cov(correction=0) + torch.eye(64) / 12
    oracle = MultivariateNormal(v.mean(0), cov).log_prob(v) - cov.inverse().trace() / 24
    assert torch.allclose(model.log_prob(data.batch().x), oracle, atol=1e-5)


def test_samples_have_the_moments_of_the_mixture_and_belong_to_their_seeds() -> None:
    for kind in KINDS:
        model, (weights, means, covariances) = placed(kind), parameters(kind)
        x = model.sample(20_000, seed=0).double()
        expected = weights @ means
        dense = covariances if kind in ("full", "tied") else torch.diag_embed(covariances.reshape(3, -1).expand(3, 4))
        between = (means - expected).T @ ((means - expected) * weights[:, None])
        covariance = between + torch.einsum("k,kij->ij", weights, dense.expand(3, 4, 4))
        assert torch.allclose(x.mean(0), expected, atol=5 * (covariance.diagonal().amax() / 20_000).sqrt().item())
        assert torch.allclose(x.T.cov(), covariance, rtol=0.1, atol=0.2)
        assert torch.allclose(model.sample(3, seed=Seeds(0, 4)), x[4:7], atol=1e-5)
    assert choose(
        torch.tensor([[0.0, -torch.inf, 0.0, -torch.inf]]), torch.tensor([[0.0, 0.49, 0.51, 0.9999]])
    ).tolist() == [[0, 0, 2, 2]]


def test_samples_of_images_are_levels() -> None:
    data = digits(200)
    model = Mixture(MixtureConfig(components=(3,), covariance="diagonal"), data.spec)
    fit(model, data)
    x = model.sample(5, seed=1)
    assert x.shape == (5, 1, 8, 8)
    assert x.dtype == torch.float32
    assert torch.equal((x * 16).round() / 16, x)
    assert x.min() >= 0
    assert x.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_degenerate_data(kind: Covariance) -> None:
    constant = clusters()
    constant[:, 1] = 1234.5678
    repeated = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]]).repeat(20, 1)
    for x, used in ((constant, 3), (repeated, 3), (repeated[:1], 1)):
        model = Mixture(
            MixtureConfig(components=(5 if used < 3 or len(x) == 60 else 3,), covariance=kind), table(x).spec
        )
        fit(model, table(x))
        assert model.responsibilities(x).shape[1] == used
        assert model.log_prob(x).isfinite().all()
        assert model.sample(4, seed=0).isfinite().all()


def test_a_component_without_examples_is_dropped() -> None:
    x = clusters(k=1, d=2)
    model = Mixture(MixtureConfig(components=(2,)), table(x).spec)
    model.place(torch.tensor([0.5, 0.5]), torch.stack([x.mean(0), x.mean(0) + 500]), torch.eye(2).expand(2, 2, 2))
    improve(model, x, 2)
    assert model.responsibilities(x).shape == (600, 1)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_finds_what_a_cpu_finds(kind: Covariance) -> None:
    data = table(clusters())
    here, there = (Mixture(MixtureConfig(components=(3,), covariance=kind), data.spec) for _ in range(2))
    fit(here, data)
    Trainer(there, data, TrainConfig(rounds=50, **QUIET), runtime=Runtime(torch.device("cuda"))).fit()
    x, known = data.x[:20], torch.tensor([True, False, True, False])
    assert torch.allclose(there.log_prob(x.cuda()).cpu(), here.log_prob(x), atol=1e-8)
    assert torch.allclose(there.sample(5, seed=0).cpu(), here.sample(5, seed=0), atol=1e-4)
    drawn = there.complete(x.cuda(), known.cuda(), 3, seed=0).x.cpu()
    assert torch.allclose(drawn, here.complete(x, known, 3, seed=0).x, atol=1e-6)


def test_half_precision_training_leaves_float64_alone() -> None:
    data = table(clusters())
    plain, half = (Mixture(MixtureConfig(components=(3,)), data.spec) for _ in range(2))
    fit(plain, data, 5)
    Trainer(half, data, TrainConfig(rounds=5, precision="bfloat16", **QUIET)).fit()
    assert torch.equal(plain.log_prob(data.x), half.log_prob(data.x))


def test_k_means_separates_clusters() -> None:
    g = torch.Generator().manual_seed(0)
    truth = torch.randint(6, (300,), generator=g)
    v = 50 * torch.randn(6, 3, generator=g, dtype=torch.float64)[truth] + torch.randn(300, 3, generator=g)
    for seed in range(5):
        label = k_means(v, 6, torch.Generator().manual_seed(seed))
        assert len({(a, b) for a, b in zip(label.tolist(), truth.tolist(), strict=True)}) == 6
    assert k_means(torch.ones(4, 2, dtype=torch.float64), 3, g).tolist() == [0] * 4


def test_recipe_fits_itself() -> None:
    pixels, wide = DataSpec(kind="image", shape=(1, 28, 28)), DataSpec(kind="table", shape=(100,))
    narrow = DataSpec(kind="table", shape=(2,))
    assert fitted(narrow).covariance == "full"
    assert fitted(wide).covariance == fitted(pixels).covariance == "diagonal"
    data = table(clusters(d=2))
    recipe = mixture(data.spec)
    model = Mixture(recipe.model, data.spec)
    Trainer(model, data, recipe.train).fit()
    assert model.responsibilities(data.x).shape[1] <= 4


def test_mistakes_are_explained() -> None:
    spec = DataSpec(kind="table", shape=(4,))
    for wrong, said in (
        ({"components": ()}, "components"),
        ({"components": (0,)}, "components"),
        ({"starts": 0}, "starts"),
        ({"ridge": -1.0}, "ridge"),
    ):
        with pytest.raises(ValueError, match=said):
            MixtureConfig(**wrong)
    with pytest.raises(ValueError, match="text"):
        Mixture(MixtureConfig(), DataSpec(kind="text", shape=(10,)))
    model = placed("full")
    with pytest.raises(ValueError, match="takes no condition"):
        model.sample(2, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="expected booleans"):
        model.complete(clusters(2), torch.ones(4))
    weights, means, covariances = parameters("full")
    with pytest.raises(ValueError, match="means have shape"):
        model.place(weights, means[:, :2], covariances)
    with pytest.raises(ValueError, match="covariances have shape"):
        model.place(weights, means, covariances[0])
    flat = clusters()
    flat[:, 1] = flat[:, 0]
    with pytest.raises(ValueError, match=r"model\.ridge"):
        fit(Mixture(MixtureConfig(ridge=0.0, components=(2,)), spec), table(flat))
