"""Recipes for image-to-image tasks, each of which learns from images alone, of which sources are made, or pairs."""

from __future__ import annotations

from dataclasses import replace
from math import log2

from genwerk.core.degradation import Degradation, Downscale, GaussianNoise, Greyscale, Holes, Pairs
from genwerk.core.spec import DataSpec
from genwerk.families.pix2pix import Pix2PixConfig
from genwerk.nn.adversarial.patchgan import PatchGANConfig, patches
from genwerk.nn.translation import EDSRConfig, UNetGeneratorConfig
from genwerk.recipes.gan import pair
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

COLOUR = DataSpec(kind="image", shape=(3, 8, 8))
"""Images that every task is possible with."""
SMALL = EDSRConfig(width=32, blocks=4)
"""A network that a CPU can train."""
ADAM = OptimConfig(lr=2e-4, betas=(0.5, 0.999))
"""The optimiser of both players of pix2pix."""


def paired(spec: DataSpec, degradation: Degradation) -> Degradation:
    """The pairs that the data are, else ``degradation``."""
    return Pairs() if spec.source else degradation


def regression(degradation: Degradation, spec: DataSpec) -> Recipe:
    """The network of EDSR, smaller, trained by the absolute error alone with a learning rate that falls from 1e-3."""
    model = Pix2PixConfig(degradation=paired(spec, degradation), network=SMALL, l1=1.0, adversarial=0.0)
    optim = OptimConfig(lr=1e-3, schedule="cosine", final=0.01)
    return Recipe(model=model, train=TrainConfig(rounds=10_000, batch_size=16, optim={"generator": optim}))


def game(degradation: Degradation, spec: DataSpec) -> Recipe:
    """The same network with pix2pix's losses and optimisers."""
    discriminator = PatchGANConfig(width=32, halvings=fitting(spec))
    model = Pix2PixConfig(degradation=paired(spec, degradation), network=SMALL, discriminator=discriminator)
    return Recipe(model=model, train=TrainConfig(rounds=10_000, batch_size=16, optim=pair(ADAM)))


def fitting(spec: DataSpec) -> int:
    """Halvings of a discriminator of the largest patches, of at most 70 pixels, that leave several to an image."""
    return next((n for n in (3, 2) if patches(spec.side, n) > 1), 1)


@register(spec=COLOUR)
def superres(spec: DataSpec) -> Recipe:
    """Super-resolution: twice as many pixels a side (`--model.degradation.factor 4`: four times), by regression."""
    return regression(Downscale(), spec)


@register(spec=COLOUR)
def denoise(spec: DataSpec) -> Recipe:
    """Denoising of white Gaussian noise of any strength up to 55 of 255 (DnCNN-B's), by regression."""
    return regression(GaussianNoise(), spec)


@register(spec=COLOUR)
def colourise(spec: DataSpec) -> Recipe:
    """Colours for grey images, by pix2pix, for a regression paints the mean of what is possible: brown."""
    return game(Greyscale(), spec)


@register(spec=COLOUR)
def inpaint(spec: DataSpec) -> Recipe:
    """Filling of holes, rectangles of random place and size, by pix2pix (context encoders, Pathak et al., 2016).

    It learns what a smooth filling lacks.
    """
    return game(Holes(), spec)


@register(spec=COLOUR)
def pix2pix(spec: DataSpec) -> Recipe:
    """pix2pix as published (U-Net, patches of 70 pixels, L1 100, Adam 2e-4), on pairs, or else on "BW to color".

    Images of 256 pixels are halved 8 times, down to one; smaller ones less often (Isola et al., 2017).
    """
    halvings = max(1, min(8, int(log2(spec.side))))
    network = UNetGeneratorConfig(halvings=halvings)
    model = Pix2PixConfig(degradation=paired(spec, Greyscale()), network=network, residual=False)
    train = TrainConfig(rounds=200_000, batch_size=1, optim=pair(ADAM))
    return Recipe(model=replace(model, discriminator=PatchGANConfig(halvings=fitting(spec))), train=train)
