"""The blur of a VAE, measured: pixel art by a VAE and by a GAN.

A Gaussian likelihood's mean is the average of all pictures that a code may stand for, and an average of edges in
different places is no edge. What is drawn from that likelihood has noise in place of the edges. A discriminator sees
either at once. Sharpness is the gradient energy of pictures over that of the data; a power spectrum tells edges from
noise, for that of noise is flat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from genwerk.core.model import Config
from genwerk.core.options import Observation
from genwerk.data import DataConfig, open_data
from genwerk.evaluation.samples import rebuild
from genwerk.families.gan import GANConfig
from genwerk.families.vae import VAEConfig
from genwerk.gallery.figures import Figures, paper
from genwerk.nn.adversarial import DCGANConfig
from genwerk.nn.adversarial.objectives import Hinge
from genwerk.nn.coder import MLPCoder
from genwerk.nn.losses import GaussianConfig
from genwerk.tasks import sample
from genwerk.training.settings import OptimConfig, TrainConfig

VAE = VAEConfig(network=MLPCoder(widths=(512, 256)), latent=32, likelihood=GaussianConfig(sigma="learned"))
GAN = GANConfig(network=DCGANConfig(width=32), latent=64, objective=Hinge())
SETTINGS: dict[str, tuple[Config, int, dict[str, OptimConfig]]] = {
    "VAE": (VAE, 3000, {"model": OptimConfig(lr=1e-3, schedule="cosine")}),
    "GAN": (
        GAN,
        1500,
        dict.fromkeys(("generator", "discriminator"), OptimConfig(lr=1e-3, betas=(0.5, 0.999), schedule="cosine")),
    ),
}
"""Model, rounds and optimisers of each."""
QUICK = 10
COUNT = 500
"""Pictures of each kind that are measured."""
SHOWN = 10
COLOURS = {
    "data": paper.BLACK,
    "VAE, reconstructions": paper.SKY,
    "VAE, means": paper.BLUE,
    "VAE, draws": paper.ORANGE,
    "GAN": paper.GREEN,
}


def gradient_energy(x: Tensor) -> float:
    """Mean square of the differences of horizontal and vertical neighbours of images with shape (n, c, h, w)."""
    across, down = x.diff(dim=3).square().mean(), x.diff(dim=2).square().mean()
    return (across + down).item() / 2


def spectrum(x: Tensor) -> Tensor:
    """Mean power at each frequency from 1 to h / 2 cycles a picture, of images with shape (n, c, h, h)."""
    side = x.shape[-1]
    power = torch.fft.fft2(x.double()).abs().square().mean((0, 1)) / side**4
    along = torch.fft.fftfreq(side, 1 / side)
    radius = (along[:, None].square() + along.square()).sqrt().round().long()
    return torch.stack([power[radius == k].mean() for k in range(1, side // 2 + 1)])


def draw(out: Path, seed: int, quick: bool) -> Iterator[str | Path | Figures]:
    """The pictures of both models, and their spectra."""
    splits = open_data(DataConfig(source="sprites"))
    held_out = splits.test.subset(COUNT, seed)
    models = {}
    for name, (config, rounds, optim) in SETTINGS.items():
        yield f"training a {name} on pixel art"
        train = TrainConfig(rounds=QUICK if quick else rounds, batch_size=64, optim=optim)
        models[name] = paper.trainer(config, splits.train, train, seed).fit()
    n = len(held_out)
    mean, drawn = (
        sample(models["VAE"], n, options=Observation(observation=how), seed=seed).x for how in ("mean", "draw")
    )
    pictures = {
        "data": held_out.batch().x,
        "VAE, reconstructions": rebuild(models["VAE"], held_out),
        "VAE, means": mean,
        "VAE, draws": drawn,
        "GAN": sample(models["GAN"], n, seed=seed).x,
    }
    yield picture(out / "blur.png", pictures, {"figure": "blur", "seed": seed})
    real, high = gradient_energy(pictures["data"]), spectrum(pictures["data"])[-1].item()
    made = {name: x for name, x in pictures.items() if name != "data"}
    yield {
        **{f"{name}: sharpness": gradient_energy(x) / real for name, x in made.items()},
        **{f"{name}: power at the highest frequency": spectrum(x)[-1].item() / high for name, x in made.items()},
    }


def picture(path: Path, pictures: Mapping[str, Tensor], origin: dict[str, object]) -> Path:
    """Some pictures of each kind, with the sharpness of all, and the spectra over that of the data."""
    real, energy = spectrum(pictures["data"]), gradient_energy(pictures["data"])
    with paper.letters():
        figure = paper.canvas(12, 4.6)
        left, right = figure.subfigures(1, 2, width_ratios=(1.7, 1), squeeze=False).flat
        for axes, (name, x) in zip(left.subplots(len(pictures)), pictures.items(), strict=True):
            strip = pad(x[:SHOWN], (1, 1), value=1.0).permute(2, 0, 3, 1).flatten(1, 2)
            axes.imshow(strip.clamp(0, 1), interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(f"{name}: sharpness {gradient_energy(x) / energy:.2f}", color=COLOURS[name])
        axes = right.subplots()
        for name, x in pictures.items():
            axes.plot(range(1, len(real) + 1), spectrum(x) / real, color=COLOURS[name], label=name)
        axes.set(xlabel="cycles a picture", ylabel="power over that of the data", yscale="log")
        axes.set_yticks([0.1, 0.2, 0.5, 1.0], ["0.1", "0.2", "0.5", "1"])
        axes.set_yticks([], minor=True)
        axes.legend()
        return paper.write(figure, path, origin)
