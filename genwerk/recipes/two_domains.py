"""Recipes for translation between two classes of images, of which there are no pairs."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.cut import CUTConfig
from genwerk.families.cyclegan import CycleGANConfig
from genwerk.families.swap_faces import SwapFacesConfig
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.recipes.gan import pair
from genwerk.recipes.pix2pix import fitting
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

DOMAINS = DataSpec(kind="image", shape=(3, 8, 8), classes=("photo", "painting"))
"""Images of two classes."""
FALLING = OptimConfig(lr=2e-4, betas=(0.5, 0.999), schedule="linear", hold=0.5)
"""The optimiser of CycleGAN and CUT: as many epochs at 2e-4 as on the way down to nought."""


def published(spec: DataSpec) -> ResNetGeneratorConfig:
    """CycleGAN's network: 9 residual blocks from 256 pixels on, else 6; below 32 pixels they are halved once."""
    return ResNetGeneratorConfig(blocks=9 if spec.side >= 256 else 6, halvings=2 if spec.side >= 32 else 1)


def small(spec: DataSpec) -> ResNetGeneratorConfig:
    """A network that a CPU can train, inside which images of 64 pixels have 16, and digits of 28 pixels 7."""
    width, patch = 32 if spec.side >= 16 else 16, 2 if spec.side >= 28 else 1
    return ResNetGeneratorConfig(width=width, halvings=1, blocks=3, kernel=3, patch=patch)


@register(spec=DOMAINS)
def cyclegan(spec: DataSpec) -> Recipe:
    """CycleGAN as published (ResNet, least squares, cycle 10, identity 0.5, a pool of 50, an image a batch).

    For two folders of images of 128 or 256 pixels (Zhu et al., 2017).
    """
    network = replace(published(spec), up="transposed")
    model = CycleGANConfig(network=network, discriminator=PatchGANConfig(halvings=fitting(spec)))
    return Recipe(model=model, train=TrainConfig(rounds=200_000, batch_size=1, optim=pair(FALLING)))


@register(spec=DOMAINS)
def cut(spec: DataSpec) -> Recipe:
    """CUT as published: from the first class to the second alone, by a contrast of patches; FastCUT by two settings.

    Half the work of CycleGAN (Park et al., 2020); `--model.nce 10 --model.nce-identity 0` makes it FastCUT.
    """
    model = CUTConfig(network=published(spec), discriminator=PatchGANConfig(halvings=fitting(spec)))
    return Recipe(model=model, train=TrainConfig(rounds=200_000, batch_size=1, optim=pair(FALLING)))


@register(spec=DOMAINS)
def restyle(spec: DataSpec) -> Recipe:
    """Images of one class or folder in the style of another, both ways, by a CycleGAN that a CPU can train.

    Distances between images are kept (DistanceGAN), so that content is not exchanged: in grey images in place of the
    identity loss, which is for colours (Zhu et al., section 5.2).
    """
    network = small(spec)
    discriminator = PatchGANConfig(width=network.width, halvings=min(2, fitting(spec)))
    identity, distance = (0.5, 2.0) if spec.shape[0] >= 3 else (0.0, 10.0)
    model = CycleGANConfig(network=network, discriminator=discriminator, identity=identity, distance=distance)
    optim = OptimConfig(lr=5e-4, betas=(0.5, 0.999), schedule="linear", hold=0.5)
    return Recipe(model=model, train=TrainConfig(rounds=3_000, batch_size=16, optim=pair(optim)))


@register(spec=DOMAINS)
def swap_faces(spec: DataSpec) -> Recipe:
    """Faces of one person with the features of another, by an encoder of both and a decoder for each.

    For two folders of faces, cut out and aligned; `--model.adversarial 0.1` adds a discriminator of each person's.
    """
    halvings, patch, width = 2 if spec.side >= 64 else 1, 2 if spec.side >= 32 else 1, 32 if spec.side >= 16 else 16
    network = ResNetGeneratorConfig(width=width, halvings=halvings, patch=patch, blocks=2, kernel=5)
    model = SwapFacesConfig(network=network, discriminator=PatchGANConfig(width=32, halvings=fitting(spec)))
    optim = {"autoencoder": OptimConfig(lr=5e-4, betas=(0.5, 0.999))}
    return Recipe(model=model, train=TrainConfig(rounds=10_000, batch_size=16, optim=optim))
