"""Recipes for generative adversarial networks: one a paper, fitted to the data, and measured references."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from genwerk.core.spec import DataSpec
from genwerk.families.gan import GANConfig
from genwerk.nn.adversarial import DCGANConfig, MLPConfig, ResNetConfig
from genwerk.nn.adversarial.objectives import Hinge, LeastSquares, Wasserstein
from genwerk.recipes.autoencoder import MNIST
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def pair(optim: OptimConfig, discriminator: OptimConfig | None = None) -> dict[str, OptimConfig]:
    """The optimisers of both players, alike where ``discriminator`` is None."""
    return {"generator": optim, "discriminator": discriminator or optim}


def small(spec: DataSpec, below: int = 16) -> bool:
    """Whether fully connected networks suit the data: tables, and images ``below`` so many pixels."""
    return not spec.modality.has_pixels or spec.side < below


def fitted(spec: DataSpec, below: int = 16) -> GANConfig:
    """Networks for data of ``spec``: fully connected for tables and images ``below`` so many pixels, else DCGAN's."""
    if small(spec, below):
        table = not spec.modality.has_pixels
        network = MLPConfig(width=128 if table else 256)
        return GANConfig(network=network, latent=max(2, min(64, spec.dims)), norm="none")
    return GANConfig(network=DCGANConfig(width=32 if max(spec.shape[1:]) <= 32 else 64), latent=100)


def stable(spec: DataSpec) -> GANConfig:
    """The non-saturating objective with the R1 penalty, which converges where data and samples do not overlap."""
    return replace(fitted(spec), norm="none", r1=0.1 if spec.modality.has_columns else 1.0)


def classic(spec: DataSpec) -> GANConfig:
    """DCGAN's setting: z uniform, and from 8 pixels on convolutions with batch normalisation."""
    return replace(fitted(spec, 8), norm="none" if small(spec, 8) else "batch", prior="uniform")


def published(spec: DataSpec, kernel: Literal[4, 5] = 4) -> GANConfig:
    """The same with the paper's number of channels."""
    network = MLPConfig(width=128) if small(spec, 8) else DCGANConfig(width=128, kernel=kernel)
    return replace(classic(spec), network=network)


def quick(spec: DataSpec) -> GANConfig:
    """The hinge objective on DCGAN's networks with batch normalisation, which bears ten times DCGAN's learning rate."""
    return replace(classic(spec), objective=Hinge(), prior="normal")


@register()
def gan(spec: DataSpec) -> Recipe:
    """A GAN that fits the data: for images hinge and batch normalisation, for tables R1; averaged generator.

    Images below 16 pixels count as tables. On drawn faces of 32 pixels, shown 80,000 of them (seed 0, by eye), the
    setting for images makes varied faces with eyes and hair; R1 at a rate of 2e-4 had made blurred ones after 77,000.
    """
    if small(spec):
        optim = OptimConfig(lr=1e-3, betas=(0.5, 0.9), schedule="linear", final=0.05)
        train = TrainConfig(rounds=6_000, batch_size=256, optim=pair(optim), ema={"generator": 20_000.0})
        return Recipe(model=stable(spec), train=train)
    optim = OptimConfig(lr=2e-3, betas=(0.5, 0.99), schedule="linear", final=0.05)
    train = TrainConfig(rounds=16_000, batch_size=32, optim=pair(optim), ema={"generator": 10_000.0})
    return Recipe(model=quick(spec), train=train)


@register()
def cgan(spec: DataSpec) -> Recipe:
    """A GAN conditioned on the label, beside z and beside x (Mirza & Osindero, 2014)."""
    config = stable(spec) if small(spec) else quick(spec)
    return replace(gan(spec), model=replace(config, conditioning="concatenate"))


@register()
def dcgan(spec: DataSpec) -> Recipe:
    """DCGAN's layers and optimiser on networks that a CPU can train: Adam 2e-4 with beta1 0.5 (Radford et al., 2016).

    The paper's network has twice the channels, the authors' code kernels of 5x5: `dcgan-lsun`.
    """
    optim = OptimConfig(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(model=classic(spec), train=TrainConfig(rounds=10_000, batch_size=128, optim=pair(optim)))


@register()
def lsgan(spec: DataSpec) -> Recipe:
    """DCGAN with the least-squares objective, in its 0-1 coding (Mao et al., 2017)."""
    return replace(dcgan(spec), model=replace(classic(spec), objective=LeastSquares()))


@register()
def wgan(spec: DataSpec) -> Recipe:
    """Wasserstein GAN as published: clipped critic, 5 critic steps (100 at first), RMSProp 5e-5 (Arjovsky et al.)."""
    config = replace(fitted(spec), objective=Wasserstein(), critic_steps=5, critic_warmup=100, clip=0.01)
    optim = OptimConfig(name="rmsprop", lr=5e-5, betas=(0.0, 0.99))
    return Recipe(model=config, train=TrainConfig(rounds=10_000, batch_size=64, optim=pair(optim)))


@register()
def wgan_gp(spec: DataSpec) -> Recipe:
    """Wasserstein GAN with a gradient penalty in place of clipping (Gulrajani et al., 2017).

    As published for images. Tables take the authors' weight for their toys, and a learning rate that falls from 2e-3
    with an averaged generator instead of 100,000 rounds at 1e-4.
    """
    config = replace(fitted(spec), objective=Wasserstein(), critic_steps=5, gradient_penalty=10.0, norm="none")
    if spec.modality.has_columns:
        fast = OptimConfig(lr=2e-3, betas=(0.5, 0.9), schedule="linear", final=0.05)
        train = TrainConfig(rounds=6_000, batch_size=256, optim=pair(fast), ema={"generator": 20_000.0})
        return Recipe(model=replace(config, gradient_penalty=0.1), train=train)
    optim = OptimConfig(lr=1e-4, betas=(0.5, 0.9))
    return Recipe(model=config, train=TrainConfig(rounds=10_000, batch_size=64, optim=pair(optim)))


@register()
def hinge_gan(spec: DataSpec) -> Recipe:
    """A GAN with the hinge objective and spectral normalisation (Lim & Ye, 2017; Miyato et al., 2018)."""
    config = replace(fitted(spec, 8), objective=Hinge(), spectral_norm=True, norm="none")
    optim = OptimConfig(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(model=config, train=TrainConfig(rounds=10_000, batch_size=64, optim=pair(optim)))


# --- references -------------------------------------------------------------------------------------------------------


@register(MNIST, reference=True)
def gan_mnist(spec: DataSpec) -> Recipe:
    """Digits of 28 pixels in ten minutes on 2 CPU cores, the recipe gan for longer: DCGAN made faster.

    Fréchet distance in the digit classifier's features 0.32 after 1,106 processor seconds of one thread (19,330
    rounds, seed 0); real digits have 0.086.
    The hinge objective, ten times DCGAN's learning rate, falling to a twentieth, a quarter of its batch, normal z, and
    an averaged generator. Each was chosen by the Fréchet distance in the digit classifier's features after the same 140
    processor seconds, seed 0: 3.5 with the non-saturating objective at 1e-3 and batches of 64, 2.9 with hinge, 2.6 with
    batches of 32, 2.6 at 2e-3. The table of all games stands in benchmarks/adversarial.md:
    `genwerk train gan-mnist --data MNIST_FOLDER --out runs/gan-mnist`.
    """
    base = gan(spec)
    return replace(base, train=replace(base.train, rounds=19_330))


@register(MNIST, reference=True)
def cgan_mnist(spec: DataSpec) -> Recipe:
    """The recipe gan-mnist with the digit by conditional normalisation and projection (Miyato & Koyama, 2018).

    Its distance was 0.30 after 7,723 rounds in 533 processor seconds, seed 0, with labels drawn as in the data; real
    digits have 0.086: `genwerk train cgan-mnist --data MNIST_FOLDER --out runs/cgan-mnist`.
    """
    base = gan(spec)
    model = replace(quick(spec), conditioning="project")
    return replace(base, model=model, train=replace(base.train, rounds=7_723))


@register(MNIST, reference=True)
def gan_2014(spec: DataSpec) -> Recipe:
    """The first GAN's MNIST networks, a rectifier generator and a maxout discriminator with drop-out.

    Goodfellow et al., 2014, with the values of the authors' mnist.yaml: z of 100, two layers of 1200, maxout of 240
    units and 5 pieces, drop-out 0.5 (0.2 of the input there, 0.25 here), SGD at 0.1 with momentum 0.5 in batches of 100
    over 250 epochs. Here the learning rate falls along a line, momentum stays, and weights begin as torch's do. The
    paper's Parzen estimate, 225 nats, says little and is not computed:
    `genwerk train gan-2014 --data MNIST_FOLDER --out runs/gan-2014`.
    """
    config = GANConfig(
        network=MLPConfig(width=1200, layers=2, maxout_pieces=5, dropout=0.5, discriminator_width=240),
        norm="none",
        prior="uniform",
    )
    optim = OptimConfig(name="sgd", lr=0.1, momentum=0.5, schedule="linear", final=1e-5)
    train = TrainConfig(rounds=125_000, batch_size=100, optim=pair(optim))
    return replace(gan(spec), model=config, train=train)


@register(reference=True)
def dcgan_lsun(spec: DataSpec) -> Recipe:
    """DCGAN as published, for photographs of 64 pixels (bedrooms of LSUN) and one GPU; not run here.

    Radford et al., 2016: 1024, 512, 256 and 128 channels from 4 to 32 pixels, z of 100 uniform on [-1, 1], Adam 2e-4
    with beta1 0.5, batches of 128; kernels of 5x5 as in the authors' code. The paper prints pictures, no figure. At
    every other size there are as many halvings as lead to about 4 pixels:
    `genwerk train dcgan-lsun --data BEDROOMS_FOLDER --data.size 64 --out runs/dcgan-lsun --device cuda`.
    """
    return replace(dcgan(spec), model=published(spec, kernel=5))


PROTOCOL = EvaluateConfig(reference="train", examples=50_000, samples=50_000)
"""How the literature measures FID on CIFAR-10: 50,000 samples against the 50,000 training images."""


@register(reference=True)
def dcgan_cifar10(spec: DataSpec) -> Recipe:
    """DCGAN on CIFAR-10, for one GPU; not run to its end here.

    No figure is published for these networks. StudioGAN's DCGAN, whose generator ends in a convolution without stride
    and whose critic has two convolutions a size, has FID 48.3 and inception score 6.1 (50,000 samples against the
    training images, TensorFlow's Inception, the best checkpoint, at 42,000 steps, after which it diverges); Mimicry's,
    28.1 to 29.0 with 10,000 of each. Number of steps, batch and two steps of the critic are StudioGAN's:
    `GENWERK_INCEPTION=WEIGHTS genwerk train dcgan-cifar10 --data hf:cifar10 --out runs/dcgan-cifar10`.
    """
    config = replace(published(spec), critic_steps=2)
    train = replace(dcgan(spec).train, rounds=42_000, batch_size=64)
    return Recipe(model=config, train=train, evaluate=PROTOCOL)


@register(reference=True)
def lsgan_cifar10(spec: DataSpec) -> Recipe:
    """LSGAN on CIFAR-10 with DCGAN's networks, for one GPU; not run to its end here.

    No figure is published for these networks. StudioGAN's LSGAN, on the networks and in the protocol that dcgan-cifar10
    describes, has FID 40.2 and inception score 6.6 in its table; the log has 66.7 against the test images at its best,
    after 22,000 steps, and divergence later:
    `GENWERK_INCEPTION=WEIGHTS genwerk train lsgan-cifar10 --data hf:cifar10 --out runs/lsgan-cifar10`.
    """
    parent = dcgan_cifar10(spec)
    config = replace(published(spec), critic_steps=2, objective=LeastSquares())
    return replace(parent, model=config, train=replace(parent.train, rounds=22_000))


@register(reference=True)
def wgan_gp_cifar10(spec: DataSpec) -> Recipe:
    """The residual WGAN-GP of the paper's table 3 on CIFAR-10, for one GPU; not run to its end here.

    Published: inception score 7.86 of 50,000 samples (the paper, without labels); FID 22.3 of 50,000 samples against
    the training images, with a generator twice as wide (Mimicry). Adam 2e-4 (0, 0.9) falling to nothing over 100,000
    rounds, five steps of the critic in batches of 64. Here the generator's batch is 64 too (128 there), and pixels are
    not dequantised:
    `GENWERK_INCEPTION=WEIGHTS genwerk train wgan-gp-cifar10 --data hf:cifar10 --out runs/wgan-gp-cifar10`.
    """
    config = GANConfig(
        network=MLPConfig(width=128) if small(spec) else ResNetConfig(width=128),
        latent=128,
        norm="none",
        objective=Wasserstein(),
        critic_steps=5,
        gradient_penalty=10.0,
    )
    optim = OptimConfig(lr=2e-4, betas=(0.0, 0.9), schedule="linear")
    return Recipe(model=config, train=TrainConfig(rounds=100_000, batch_size=64, optim=pair(optim)), evaluate=PROTOCOL)
