"""Recipes for the evolutionary GAN."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.egan import EGANConfig
from genwerk.nn.adversarial import DCGANConfig, MLPConfig
from genwerk.recipes.autoencoder import MNIST
from genwerk.recipes.gan import PROTOCOL, pair, small
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


@register()
def egan(spec: DataSpec) -> Recipe:
    """An evolutionary GAN that fits its networks to the data: three mutations, R1 penalty, averaged generators.

    Wang et al., 2018, with fully connected networks for tables and tiny images and DCGAN's for the rest. The average of
    row 0 keeps its meaning in evolution, for every child is one step away from a survivor; it is taken before the
    selection, so that it is an average of survivors and one step by the first mutation.

    Measured on the ring with seeds 0 to 4: 8 of 8 modes in each, 96.4 to 97.6 % of 2,500 samples of high quality, about
    two minutes on one core.
    """
    table = not spec.modality.has_pixels
    if small(spec):
        config = EGANConfig(network=MLPConfig(width=128 if table else 256), latent=max(2, min(64, spec.dims)))
    else:
        config = EGANConfig(network=DCGANConfig(width=32 if max(spec.shape[1:]) <= 32 else 64))
    optim = OptimConfig(lr=1e-3 if small(spec) else 2e-4, betas=(0.5, 0.9), schedule="linear", final=0.05)
    train = TrainConfig(
        rounds=6_000, batch_size=256 if small(spec) else 64, optim=pair(optim), ema={"generator": 20_000.0}
    )
    return Recipe(model=replace(config, r1=0.3 if table else 1.0), train=train)


@register(MNIST, reference=True)
def egan_mnist(spec: DataSpec) -> Recipe:
    """MNIST at its own 28 pixels, on a CPU; not tuned yet."""
    base = egan(spec)
    model = EGANConfig(network=DCGANConfig(width=16), latent=64, r1=1.0)
    optim = OptimConfig(lr=1e-3, betas=(0.5, 0.9), schedule="linear", final=0.05)
    return replace(base, model=model, train=replace(base.train, rounds=3_000, optim=pair(optim)))


@register(reference=True)
def egan_cifar10(spec: DataSpec) -> Recipe:
    """E-GAN-GP with 8 parents on CIFAR-10 (Wang et al., 2018), for a GPU; not run to its end here.

    Published: an inception score of about 7.34 (of 50,000 samples; not checked against the paper). The networks are the
    paper's, but without its batch normalisation in the discriminator. From the authors' code: learning rate, batches
    of 32, 256 examples to judge a child by, three steps of the discriminator, the penalty's weight 2, the length (100
    epochs of 50,000 images in 3 batches a generation), and gamma, which is 0.002 there, on the logarithm of the squared
    norm, and so 0.004 on the norm:

        GENWERK_INCEPTION=WEIGHTS genwerk train egan-cifar10 --data hf:cifar10 --out run
    """
    model = EGANConfig(
        network=DCGANConfig(width=128),
        parents=8,
        prior="uniform",
        gamma=0.004,
        fitness_batches=8,
        discriminator_steps=3,
        gradient_penalty=2.0,
    )
    optim = OptimConfig(lr=2e-4, betas=(0.5, 0.999))
    train = TrainConfig(rounds=52_000, batch_size=32, optim=pair(optim, replace(optim, betas=(0.0, 0.999))))
    return replace(egan(spec), model=model, train=train, evaluate=PROTOCOL)
