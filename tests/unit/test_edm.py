from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.model import build
from genwerk.core.spec import Batch, DataSpec
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.schedule import Geometric, Process
from genwerk.families.edm import EDM, EDMConfig
from genwerk.nn.diffusion import DenseDenoiserConfig

TABLE = DataSpec(kind="table", shape=(2,))


def model(**settings: object) -> EDM:
    built = build(EDMConfig(network=DenseDenoiserConfig(widths=(16,)), **settings), TABLE)  # type: ignore[arg-type]
    assert isinstance(built, EDM)
    return built.eval()


def test_a_silent_network_samples_the_gaussian_it_was_scaled_for() -> None:
    """Of N(0, 0.7^2), D is c_skip x: nothing is left for F to say, and samples have the right spread."""
    edm = model(sigma_data=0.7)
    x = edm.sample(5000, options=Diffusion(sampler="heun", steps=40, spacing="karras"), seed=0)
    assert x.std().item() == pytest.approx(0.7, rel=0.03)
    slow = model(sigma_data=0.7, sampling=Diffusion(sampler="ddim", steps=200))
    torch.testing.assert_close(slow.decode(slow.encode(x[:100])), x[:100], rtol=0.02, atol=0.02)


def test_the_loss_is_equation_8() -> None:
    """lambda |D(x0 + n, sigma) - x0|^2 with lambda = (sigma^2 + s^2) / (sigma s)^2, D written out by hand."""
    edm, s = model(sigma_data=0.6), 0.6
    nn.init.normal_(edm.network.out.weight)
    x0, eps = torch.randn(4, 2), torch.randn(4, 2)
    u = torch.tensor([0.1, 0.4, 0.6, 0.95])
    sigma = (-1.2 + 1.2 * torch.distributions.Normal(0.0, 1.0).icdf(u)).exp()[:, None]
    x, spread = x0 + sigma * eps, (sigma**2 + s**2).sqrt()
    t = (sigma.log() - torch.tensor(0.002).log()) / torch.tensor(80 / 0.002).log() * 999
    d = s**2 / spread**2 * x + sigma * s / spread * edm.network(x / spread, t[:, 0])
    by_hand = (spread**2 / (sigma * s) ** 2 * (d - x0).square()).mean()
    loss, figures = edm.objective(Batch(x0), eps, u)
    torch.testing.assert_close(loss, by_hand)
    torch.testing.assert_close(figures["mse"], (d - x0).square().mean())


def test_the_network_sees_the_level_that_it_was_trained_at() -> None:
    """What sampling asks at a level is what training asked at its sigma."""
    edm, seen = model(), list[Tensor]()
    inner = edm.network

    class Spy(nn.Module):
        def forward(self, x: Tensor, t: Tensor, *told: object) -> Tensor:
            seen.append(t)
            return inner(x, t)

    edm.network = Spy()  # type: ignore[assignment]
    level = edm.process.at_log_snr(1.3)
    edm.output(torch.randn(3, 2), level, None)
    torch.testing.assert_close(seen[0], torch.full((3,), level.t), rtol=1e-4, atol=1e-3)


def test_sampling_starts_from_the_most_noise_asked_for() -> None:
    levels = Diffusion(sampler="heun", steps=8, spacing="karras").levels(Process(Geometric(sigma_max=500.0)))
    assert levels[0].ratio == pytest.approx(500)
    assert levels[-2].ratio == pytest.approx(0.002)


def test_noise_must_rise() -> None:
    with pytest.raises(ValueError, match=r"goes from 1\.0 to 0\.5; it must rise"):
        model(sigma_min=1.0, sigma_max=0.5)
