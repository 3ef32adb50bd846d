"""Recipes for VAE-GAN."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.vaegan import VAEGANConfig
from genwerk.nn.adversarial import DCGANConfig, MLPConfig
from genwerk.recipes.autoencoder import MNIST
from genwerk.recipes.began import BETAS, THUMBNAILS
from genwerk.recipes.gan import small
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def trio(optim: OptimConfig) -> dict[str, OptimConfig]:
    """The optimisers of the three players, alike."""
    return {"encoder": optim, "decoder": optim, "discriminator": optim}


def fitted(spec: DataSpec) -> VAEGANConfig:
    """Fully connected networks for tables and tiny images, DCGAN's for the rest.

    The discriminator is normalised by layer: its features keep their scale, against which the KL divergence is weighed,
    and an example's do not depend on its batch.
    """
    if small(spec):
        latent = max(2, min(16, spec.dims // 4))
        return VAEGANConfig(network=MLPConfig(width=128), latent=latent, norm="layer", gamma=0.3, beta=0.05)
    return VAEGANConfig(network=DCGANConfig(width=32 if max(spec.shape[1:]) <= 32 else 64), norm="layer", gamma=0.01)


@register()
def vaegan(spec: DataSpec) -> Recipe:
    """A VAE-GAN that fits its networks to the data: an autoencoder with a discriminator's similarity metric.

    Adam in place of the paper's RMSProp.
    """
    optim = OptimConfig(lr=5e-4 if small(spec) else 2e-4, betas=BETAS)
    train = TrainConfig(rounds=4_000 if small(spec) else 50_000, batch_size=64, optim=trio(optim))
    return Recipe(model=fitted(spec), train=train)


@register(MNIST, reference=True)
def vaegan_mnist(spec: DataSpec) -> Recipe:
    """Digits are to be rebuilt more sharply than by a VAE of as many latents, in 10 minutes on 2 cores.

    `genwerk train vaegan-mnist --data MNIST_FOLDER --out runs/vaegan-mnist`; benchmarks/sharpness.py measures it beside
    a VAE.
    """
    base = vaegan(spec)
    return replace(
        base,
        model=replace(fitted(spec), latent=20),
        train=replace(base.train, rounds=3_000, sample_every=500, evaluate_every=500, save_every=500),
    )


@register(THUMBNAILS, reference=True)
def vaegan_faces(spec: DataSpec) -> Recipe:
    """Faces of 64 pixels with the paper's 128 latents and batch normalisation in the discriminator, for one GPU.

    Larsen et al., 2016, section 4.1 and their published script: RMSProp at 3e-4, batches of 64.
    `genwerk train vaegan-faces --data FACES_FOLDER --out runs/vaegan-faces`.
    """
    optim = OptimConfig(name="rmsprop", lr=3e-4, betas=(0.0, 0.9))
    return replace(
        vaegan(spec),
        model=VAEGANConfig(norm="batch", gamma=1e-3),
        train=TrainConfig(rounds=50_000, batch_size=64, optim=trio(optim), sample_every=2_000),
    )
