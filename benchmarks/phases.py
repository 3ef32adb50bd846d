"""Between a half moon and a full moon: is the picture halfway in the code of an autoencoder, and of a VAE, a phase?

    python benchmarks/phases.py [--seeds 5] [--rounds 2000] [--out docs/pictures/phases.png]

The lecture's example (Hung-yi Lee, Machine Learning 2016). Autoencoder and VAE share network, loss (cross-entropy, the
Bernoulli likelihood), optimiser, rounds and a code of two numbers. *Halfway*: both decode the middle of the codes of a
half and a full moon, for 200 pairs of random place and size. *Random*: both decode codes drawn from the Gaussian that
has the mean and covariance of the data's codes. The residual is the root mean square distance of a picture from the
nearest moon that can be drawn (the cross-fade of a half and a full moon has 0.19); the lit fraction is that moon's.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from genwerk import Batch, Config, DataConfig, Model, OptimConfig, TrainConfig, Trainer, build, interpolate, open_data
from genwerk.core.abilities import Decodes, Encodes
from genwerk.data import phases
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.vae import VAEConfig
from genwerk.modalities.writers import grid, write_image
from genwerk.nn.coder import MLPCoder

WIDTHS, CODE = (256, 64), 2
CONFIGS: dict[str, Config] = {
    "autoencoder": AutoencoderConfig(network=MLPCoder(widths=WIDTHS), latent=CODE, loss="cross-entropy"),
    "vae": VAEConfig(network=MLPCoder(widths=WIDTHS), latent=CODE),
}


def moons(fraction: float, n: int, generator: torch.Generator) -> Batch:
    """``n`` moons of one phase in random places and sizes."""
    dx, dy, size = torch.rand(3, n, generator=generator)
    low, high = phases.RADIUS
    shift = phases.SHIFT
    return Batch(phases.draw(fraction, (2 * dx - 1) * shift, (2 * dy - 1) * shift, low + (high - low) * size))


def trained(config: Config, seed: int, rounds: int) -> Model:
    splits = open_data(DataConfig(source="phases"))
    torch.manual_seed(seed)
    optim = {"model": OptimConfig(lr=2e-3, schedule="cosine")}
    settings = TrainConfig(rounds=rounds, batch_size=128, optim=optim, seed=seed, sample_every=0, evaluate_every=0)
    return Trainer(build(config, splits.spec), splits.train, settings).fit()


def random_pictures(model: Model, n: int, generator: torch.Generator) -> torch.Tensor:
    """Pictures of codes drawn from the Gaussian that the data's codes have the moments of."""
    assert isinstance(model, Encodes)
    assert isinstance(model, Decodes)
    with torch.no_grad():
        codes = model.encode(open_data(DataConfig(source="phases")).train.batch().x)
        factor = torch.linalg.cholesky(codes.T.cov() + 1e-9 * torch.eye(CODE))
        return model.decode(codes.mean(0) + torch.randn(n, CODE, generator=generator) @ factor.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("phases.png"), help="picture of the ways, seed 0")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    half, full = moons(0.5, 200, generator), moons(1.0, 200, generator)
    halfway: dict[str, list[float]] = {name: [] for name in CONFIGS}
    anywhere: dict[str, list[float]] = {name: [] for name in CONFIGS}
    strips = []
    print("| seed | model | residual halfway | lit fraction halfway | residual at the ends | residual, random codes |")
    print("|---|---|---|---|---|---|")
    for seed in range(arguments.seeds):
        for name, config in CONFIGS.items():
            model = trained(config, seed, arguments.rounds)
            way = interpolate(model, half, full, steps=9)
            middle, ends = phases.fraction(way[:, 4]), phases.fraction(way[:, [0, 8]].flatten(0, 1))
            halfway[name].append(middle.residual.mean().item())
            anywhere[name].append(phases.fraction(random_pictures(model, 200, generator)).residual.mean().item())
            lit = f"{middle.fraction.mean():.3f} ± {middle.fraction.std():.3f}"
            residuals = f"{halfway[name][-1]:.4f} | {lit} | {ends.residual.mean():.4f} | {anywhere[name][-1]:.4f}"
            print(f"| {seed} | {name} | {residuals} |", flush=True)
            if seed == 0:
                strips.append(way[0])
    for what, found in (("halfway", halfway), ("random codes", anywhere)):
        for name, values in found.items():
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"{what}, {name}: residual {statistics.mean(values):.4f} ± {spread:.4f} (std of {len(values)} seeds)")
        wins = sum(v < a for a, v in zip(found["autoencoder"], found["vae"], strict=True))
        print(f"{what}: the VAE's is the smaller in {wins} of {arguments.seeds} seeds")
    write_image(arguments.out, grid(torch.cat(strips), 9), {"rows": "autoencoder, vae", "rounds": arguments.rounds})


if __name__ == "__main__":
    main()
