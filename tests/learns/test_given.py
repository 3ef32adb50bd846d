"""Flows that are told numbers learn the posterior of a linear simulator, which is known in closed form."""

from __future__ import annotations

from math import log, pi
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from genwerk import tasks
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.core.tensors import cells
from genwerk.data import DataConfig, Splits, open_data
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.flow import FlowConfig, FlowModel
from genwerk.families.realnvp import DenseCouplings, RealNVPConfig
from genwerk.modalities.rows import write_table
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

SLOPE = torch.tensor([[1.0, 0.5], [-0.3, 0.8]])
NOISE = torch.tensor([[0.25, 0.1], [0.1, 0.16]])
"""x = SLOPE theta + e with e ~ N(0, NOISE) and theta ~ N(0, I)."""


def posterior(x: Tensor) -> MultivariateNormal:
    """p(theta | x): normal, of covariance S = (I + A' N^-1 A)^-1 and mean S A' N^-1 x."""
    gain = (SLOPE.T @ torch.linalg.inv(NOISE)).to(x)
    covariance = torch.linalg.inv(torch.eye(2).to(x) + gain @ SLOPE.to(x))
    return MultivariateNormal(x @ (covariance @ gain).T, covariance)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """A table of parameters t and of what the simulator made of them, x in other units."""
    generator = torch.Generator().manual_seed(0)
    theta, e = torch.randn(2, 6_000, 2, generator=generator)
    x = theta @ SLOPE.T + e @ torch.linalg.cholesky(NOISE).T
    path: Path = tmp_path_factory.mktemp("simulator") / "table.csv"
    spec = DataSpec(kind="table", shape=(4,), columns=("x1", "t1", "x2", "t2"))
    write_table(path, spec.columns, cells([torch.stack([1e4 * x[:, 0], theta[:, 0], x[:, 1], theta[:, 1]], 1)]))
    return open_data(DataConfig(source=str(path), covariates="x1,x2"))


@pytest.mark.parametrize(
    "config",
    [
        MAFConfig(layers=3, widths=(32,), activation="tanh", conditional=True),
        RealNVPConfig(architecture=DenseCouplings(couplings=4, widths=(32,), activation="tanh"), conditional=True),
    ],
    ids=lambda config: type(config).__name__,
)
def test_a_posterior_is_learned(simulated: Splits, config: FlowConfig) -> None:
    """Within 0.03 nats of the truth on held-out rows; samples have its mean and covariance."""
    torch.manual_seed(0)
    optim = {"model": OptimConfig(lr=5e-3, schedule="cosine")}
    train = TrainConfig(rounds=400, batch_size=256, optim=optim, sample_every=0, evaluate_every=0, save_every=0)
    model = Trainer(build(config, simulated.spec), simulated.train, train).fit().requires_grad_(False)
    assert isinstance(model, FlowModel)
    units, batch = torch.tensor([1e-4, 1.0]), simulated.test.batch()
    assert batch.condition is not None
    truth = posterior(batch.condition * units).log_prob(batch.x)
    assert -0.01 < (truth - model.log_prob(batch.x, batch.condition)).mean() < 0.03
    observed = torch.tensor([[8_000.0, -0.5]], dtype=torch.float64)
    drawn, wanted = tasks.sample(model, 4_000, condition=observed, seed=0).x, posterior(observed * units)
    torch.testing.assert_close(drawn.mean(0), wanted.mean[0], rtol=0, atol=0.06)
    torch.testing.assert_close(drawn.T.cov(), wanted.covariance_matrix.squeeze(), rtol=0, atol=0.04)


def test_the_truth_is_what_bayes_says() -> None:
    """The posterior of this file against p(theta) p(x | theta) / p(x)."""
    theta, x = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(1))
    joint = -0.5 * theta.square().sum(1) - log(2 * pi) + MultivariateNormal(theta @ SLOPE.T, NOISE).log_prob(x)
    evidence = MultivariateNormal(torch.zeros(2), SLOPE @ SLOPE.T + NOISE).log_prob(x)
    torch.testing.assert_close(posterior(x).log_prob(theta), joint - evidence, rtol=1e-4, atol=1e-4)
