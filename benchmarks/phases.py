"""Between a half moon and a full moon: a VAE's halfway picture is a phase, a plain autoencoder's less so.

    python benchmarks/phases.py [--seeds 5] [--rounds 3000] [--out docs/pictures/phases.png]

The lecture's example (Hung-yi Lee, Machine Learning 2016). Autoencoder and VAE share network, optimiser, rounds and a
code of two numbers; both are asked for the picture halfway in the code between a half and a full moon, for 200 pairs of
moons with random place and size. The residual is the root mean square distance of that picture from the nearest moon
that can be drawn (a cross-fade of the two ends has 0.19); the lit fraction is that moon's.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from genwerk import Batch, Config, Data, Model, Optim, Train, Trainer, build, interpolate, open_data
from genwerk.data import phases
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.vae import VAEConfig
from genwerk.pictures import write_image
from genwerk.verbs import grid

WIDTHS, CODE = (256, 64), 2
CONFIGS: dict[str, Config] = {
    "autoencoder": AutoencoderConfig(widths=WIDTHS, activation="relu", latent=CODE),
    "vae": VAEConfig(widths=WIDTHS, activation="relu", latent=CODE, likelihood="gaussian", sigma=1.0),
}


def moons(fraction: float, n: int, generator: torch.Generator) -> Batch:
    """``n`` moons of one phase in random places and sizes."""
    dx, dy, size = torch.rand(3, n, generator=generator)
    low, high = phases.RADIUS
    shift = phases.SHIFT
    return Batch(phases.draw(fraction, (2 * dx - 1) * shift, (2 * dy - 1) * shift, low + (high - low) * size))


def trained(config: Config, seed: int, rounds: int) -> Model:
    splits = open_data(Data(source="phases"))
    torch.manual_seed(seed)
    optim = {"model": Optim(lr=2e-3, schedule="cosine")}
    settings = Train(rounds=rounds, batch_size=128, optim=optim, seed=seed, sample_every=0, evaluate_every=0)
    return Trainer(build(config, splits.spec), splits.train, settings).fit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path("phases.png"), help="picture of the ways, seed 0")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    half, full = moons(0.5, 200, generator), moons(1.0, 200, generator)
    residuals: dict[str, list[float]] = {name: [] for name in CONFIGS}
    strips = []
    print("| seed | model | residual halfway | lit fraction halfway | residual of the ends |")
    print("|---|---|---|---|---|")
    for seed in range(arguments.seeds):
        for name, config in CONFIGS.items():
            model = trained(config, seed, arguments.rounds)
            way = interpolate(model, half, full, steps=9)
            middle = phases.fraction(way[:, 4])
            ends = phases.fraction(way[:, [0, 8]].flatten(0, 1))
            residuals[name].append(middle.residual.mean().item())
            lit = f"{middle.fraction.mean():.3f} ± {middle.fraction.std():.3f}"
            print(f"| {seed} | {name} | {residuals[name][-1]:.4f} | {lit} | {ends.residual.mean():.4f} |", flush=True)
            if seed == 0:
                strips.append(way[0])
    for name, values in residuals.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:12} residual halfway {statistics.mean(values):.4f} ± {spread:.4f} (std over {len(values)} seeds)")
    wins = sum(v < a for a, v in zip(residuals["autoencoder"], residuals["vae"], strict=True))
    print(f"the VAE's is the smaller in {wins} of {arguments.seeds} seeds")
    write_image(arguments.out, grid(torch.cat(strips), 9), {"rows": "autoencoder, vae", "rounds": arguments.rounds})


if __name__ == "__main__":
    main()
