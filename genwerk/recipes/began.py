"""Recipes for BEGAN."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.began import BEGANConfig
from genwerk.nn.adversarial.began import BEGANConvConfig, BEGANMLPConfig
from genwerk.recipes.autoencoder import MNIST
from genwerk.recipes.gan import pair, small
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

THUMBNAILS = DataSpec(kind="image", shape=(3, 16, 16))
"""What the recipes for faces of 64 pixels are shown with, so that a look at them takes seconds."""
BETAS = (0.5, 0.999)


@register()
def began(spec: DataSpec) -> Recipe:
    """BEGAN fitted to the data: as published for images of 16 pixels and more (Berthelot et al., 2017).

    Tables and tiny images take fully connected networks with a narrow code, more diversity and a quicker k.
    """
    if small(spec):
        code = max(2, min(10, spec.dims // 2))
        config = BEGANConfig(
            network=BEGANMLPConfig(width=128), latent=code, hidden=code, gamma=0.8, lambda_k=0.05, patience=1_000
        )
        return Recipe(
            model=config, train=TrainConfig(rounds=6_000, batch_size=64, optim=pair(OptimConfig(lr=2e-3, betas=BETAS)))
        )
    config = BEGANConfig(network=BEGANConvConfig(width=64 if max(spec.shape[1:]) <= 64 else 128))
    return Recipe(
        model=config, train=TrainConfig(rounds=100_000, batch_size=16, optim=pair(OptimConfig(lr=1e-4, betas=BETAS)))
    )


@register(MNIST, reference=True)
def began_mnist(spec: DataSpec) -> Recipe:
    """M_global is to fall to less than half of its start on MNIST, in 10 minutes on 2 CPU cores.

    Measured (seed 0, 612 processor seconds, 4,727 rounds): from 0.596 to 0.083. Nearly all samples are strokes like a
    1, for these are given back best: a discriminator that errs by 0.121 a pixel on digits in the mean errs by 0.082 on
    a 1 and by 0.150 on an 8, so the generator pays least for 1s, and the balance is of means alone. At gamma 0.7, and
    with codes of 16, every sample was the same stroke. A quarter of the paper's channels and a quicker k.
    `genwerk train began-mnist --data MNIST_FOLDER --out runs/began-mnist`.
    """
    base = began(spec)
    return replace(
        base,
        model=BEGANConfig(network=BEGANConvConfig(width=16), gamma=1.0, lambda_k=0.01, patience=1_000),
        train=replace(
            base.train,
            rounds=6_000,
            optim=pair(OptimConfig(lr=2e-4, betas=BETAS)),
            sample_every=500,
            evaluate_every=500,
            save_every=500,
        ),
    )


@register(THUMBNAILS, reference=True)
def began_faces(spec: DataSpec) -> Recipe:
    """Faces of 64 pixels at the paper's setting for that size, for one GPU (Berthelot et al., 2017, section 4.1).

    n = 64, N_h = N_z = 64, gamma 0.5, batches of 16, Adam at 1e-4, halved when M_global stalls.
    `genwerk train began-faces --data FACES_FOLDER --out runs/began-faces`.
    """
    return replace(began(spec), model=BEGANConfig(network=BEGANConvConfig(width=64), gamma=0.5, patience=10_000))
