"""Importance-sampled log-likelihood: `genwerk.log_likelihood` against pythae's `VAE.get_nll`, one model, one run.

    pip install pythae
    python benchmarks/importance.py --data path/to/mnist [--draws 200] [--images 100] [--repeats 3]

A VAE 784-400-20 is trained for 2,000 rounds on pixels cut at one half (so that nothing is drawn in the data), then both
estimate log p(x) of the same held-out images with the same encoder and decoder weights. Blocks of images alternate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from pythae.models import VAE as PythaeVAE
from pythae.models import VAEConfig as PythaeVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder

from genwerk import DataConfig, Dataset, DataSpec, OptimConfig, TrainConfig, Trainer, log_likelihood, open_data
from genwerk.families.vae import VAE, VAEConfig


def binary(data: Dataset, spec: DataSpec) -> Dataset:
    """Pixels of two levels, cut at one half."""
    return replace(data, x=(data.x > (data.spec.levels - 1) / 2).to(torch.uint8), spec=spec)


class Encoder(BaseEncoder):  # type: ignore[misc]
    """Our encoder in pythae's clothes."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> Any:
        mean, log_var = self.model.posterior(x)
        return ModelOutput(embedding=mean, log_covariance=log_var)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """Our decoder in pythae's clothes: probabilities of white."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: torch.Tensor) -> Any:
        return ModelOutput(reconstruction=self.model.decode(z))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="MNIST's folder, or any grey images")
    parser.add_argument("--draws", type=int, default=200, help="K, a multiple of 100 (pythae rounds others)")
    parser.add_argument("--images", type=int, default=100, help="images a block")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of blocks")
    arguments = parser.parse_args()

    splits = open_data(DataConfig(source=arguments.data))
    spec = replace(splits.spec, levels=2)
    torch.manual_seed(0)
    model = VAE(VAEConfig(), spec)
    settings = TrainConfig(
        rounds=2000, optim={"model": OptimConfig(lr=1e-3)}, sample_every=0, evaluate_every=0, save_every=0
    )
    Trainer(model, binary(splits.train, spec), settings).fit()
    peer = PythaeVAE(
        PythaeVAEConfig(input_dim=spec.shape, latent_dim=20, reconstruction_loss="bce"), Encoder(model), Decoder(model)
    )
    peer.eval()
    test = binary(splits.test, spec)
    found: dict[str, list[tuple[float, float]]] = {"pythae": [], "genwerk": []}
    error = 0.0
    for repeat in range(arguments.repeats):
        rows = torch.arange(repeat * arguments.images, (repeat + 1) * arguments.images)
        block = test.select(rows)
        start = time.perf_counter()
        with torch.no_grad():
            nats = float(peer.get_nll(block.batch().x, n_samples=arguments.draws))
        found["pythae"].append((nats, time.perf_counter() - start))
        start = time.perf_counter()
        ours = log_likelihood(model, block, importance_samples=arguments.draws, seed=repeat)
        found["genwerk"].append((ours.nats, time.perf_counter() - start))
        error = max(error, abs(ours.nats - nats))
    for name, values in found.items():
        seconds = statistics.median(s for _, s in values)
        nats = statistics.mean(n for n, _ in values)
        print(f"{name:8} {nats:9.3f} nats, {arguments.images / seconds:8.1f} images/s (K = {arguments.draws})")
    ratios = sorted(p / g for (_, p), (_, g) in zip(found["pythae"], found["genwerk"], strict=True))
    print(
        f"ratio    {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}); greatest gap {error:.3f} nats"
    )
    spread = log_likelihood(model, test.select(torch.arange(arguments.images)), importance_samples=arguments.draws)
    print(f"standard error over images {spread.standard_error:.3f}, effective sample size {spread.ess:.1f}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
