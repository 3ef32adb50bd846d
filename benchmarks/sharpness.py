"""Are a VAE-GAN's reconstructions sharper than a VAE's of equal latent size?

    python benchmarks/sharpness.py --data MNIST_FOLDER [--rounds 3000] [--seeds 3] [--latent 20] [--out sharpness.png]

Both have the same encoder and, to its last layer, decoders of the same shape (convolutions of stride 2 with batch
normalisation, 32 channels nearest to the image), and see the same number of examples; the VAE has the Bernoulli
likelihood for grey images and the discretised logistic one for colour. Sharpness is the gradient energy of
reconstructions of held-out images (the mean square of differences of neighbouring pixels) divided by that of the
originals: 1 is as sharp as the data, below 1 is blurred. The squared error stands beside it, which blur makes small.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

import torch

from genwerk import Config, DataConfig, Model, OptimConfig, TrainConfig, Trainer, build, open_data
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Splits
from genwerk.evaluation.samples import rebuild
from genwerk.families.vae import VAEConfig
from genwerk.families.vaegan import VAEGANConfig
from genwerk.gallery.figures.blur import gradient_energy
from genwerk.modalities.writers import grid, write_image
from genwerk.nn.adversarial.dcgan import DCGANConfig, channels, stages
from genwerk.nn.coder import ConvCoder
from genwerk.nn.losses import BernoulliConfig, LogisticConfig
from genwerk.recipes import recipe

SHOWN = 12


def settings(spec: DataSpec, latent: int, rounds: int, seed: int) -> dict[str, tuple[Config, TrainConfig]]:
    """Model and training of both, by name."""
    gan = recipe("vaegan", spec)
    config = gan.model
    assert isinstance(config, VAEGANConfig)
    assert isinstance(config.network, DCGANConfig)
    vae = VAEConfig(
        network=ConvCoder(widths=tuple(channels(config.network.width, stages(spec.shape)))),
        latent=latent,
        likelihood=BernoulliConfig() if spec.shape[0] == 1 else LogisticConfig(),
    )
    train = replace(gan.train, rounds=rounds, seed=seed, sample_every=0, evaluate_every=0, save_every=0)
    alone = replace(train, optim={"model": OptimConfig(lr=1e-3, schedule="cosine")}, ema={})
    return {"vae": (vae, alone), "vaegan": (replace(config, latent=latent), train)}


def trained(config: Config, train: TrainConfig, splits: Splits) -> Model:
    torch.manual_seed(train.seed)
    return Trainer(build(config, splits.spec), splits.train, train).fit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="images of 16 pixels and more")
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--examples", type=int, default=1000, help="held-out images to rebuild")
    parser.add_argument("--out", type=Path, default=Path("sharpness.png"), help="originals, VAE and VAE-GAN, seed 0")
    arguments = parser.parse_args()
    splits = open_data(DataConfig(source=arguments.data))
    held_out = splits.test.subset(arguments.examples, 0)
    x = held_out.batch().x
    sharpness: dict[str, list[float]] = {"vae": [], "vaegan": []}
    error: dict[str, list[float]] = {"vae": [], "vaegan": []}
    rows = [x[:SHOWN]]
    for seed in range(arguments.seeds):
        for name, (config, train) in settings(splits.spec, arguments.latent, arguments.rounds, seed).items():
            y = rebuild(trained(config, train, splits).eval(), held_out)
            sharpness[name].append(gradient_energy(y) / gradient_energy(x))
            error[name].append((y - x).square().mean().item())
            if seed == 0:
                rows.append(y[:SHOWN])
    origin = {"benchmark": "sharpness", "rounds": arguments.rounds, "latent": arguments.latent, "seed": 0}
    write_image(arguments.out, grid(torch.cat(rows), SHOWN), origin)
    print("| model | gradient energy over the originals' | squared error a pixel | by seed |")
    print("| --- | --- | --- | --- |")
    for name, found in sharpness.items():
        each = " ".join(f"{v:.3f}" for v in found)
        print(f"| {name} | {statistics.mean(found):.3f} | {statistics.mean(error[name]):.4f} | {each} |")


if __name__ == "__main__":
    main()
