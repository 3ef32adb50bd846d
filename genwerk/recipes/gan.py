"""Recipes for generative adversarial networks: one a paper, fitted to the data."""

from __future__ import annotations

from dataclasses import replace

from genwerk.families.gan import GANConfig
from genwerk.settings import Optim, Recipe, Train, register
from genwerk.spec import DataSpec


def pair(optim: Optim, discriminator: Optim | None = None) -> dict[str, Optim]:
    """The optimisers of both players, alike where ``discriminator`` is None."""
    return {"generator": optim, "discriminator": discriminator or optim}


def small(spec: DataSpec) -> bool:
    """Whether fully connected networks suit the data: tables, and images below 16 pixels."""
    return spec.kind != "image" or min(spec.shape[1:]) < 16


def fitted(spec: DataSpec) -> GANConfig:
    """Networks for data of ``spec``: fully connected for tables and tiny images, DCGAN's for the rest."""
    if small(spec):
        table = spec.kind != "image"
        return GANConfig(network="mlp", width=128 if table else 256, latent=max(2, min(64, spec.dims)), norm="none")
    return GANConfig(network="dcgan", width=32 if max(spec.shape[1:]) <= 32 else 64, latent=100)


def stable(spec: DataSpec) -> GANConfig:
    """The non-saturating objective with the R1 penalty, which converges where data and samples do not overlap."""
    return replace(fitted(spec), norm="none", r1=0.1 if spec.kind == "table" else 1.0)


def classic(spec: DataSpec) -> GANConfig:
    """DCGAN's setting: z uniform, batch normalisation where there are convolutions."""
    return replace(fitted(spec), norm="none" if small(spec) else "batch", prior="uniform")


@register()
def gan(spec: DataSpec) -> Recipe:
    """A GAN that fits its networks to the data and stays stable: non-saturating, R1 penalty, averaged generator."""
    lr = 1e-3 if small(spec) else 2e-4
    optim = Optim(lr=lr, betas=(0.5, 0.9), schedule="linear", final=0.05)
    train = Train(rounds=6_000, batch_size=256 if small(spec) else 64, optim=pair(optim), ema={"generator": 20_000.0})
    return Recipe(model=stable(spec), train=train)


@register()
def cgan(spec: DataSpec) -> Recipe:
    """A GAN that is told the label, beside z and beside x, and can be asked for one (Mirza & Osindero, 2014)."""
    return replace(gan(spec), model=replace(stable(spec), conditioning="concatenate"))


@register()
def dcgan(spec: DataSpec) -> Recipe:
    """DCGAN as published: batch normalisation in both networks, Adam 2e-4 with beta1 0.5 (Radford et al., 2016)."""
    optim = Optim(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(model=classic(spec), train=Train(rounds=10_000, batch_size=128, optim=pair(optim)))


@register()
def lsgan(spec: DataSpec) -> Recipe:
    """DCGAN with the least-squares objective, in its 0-1 coding (Mao et al., 2017)."""
    return replace(dcgan(spec), model=replace(classic(spec), objective="least-squares"))


@register()
def wgan(spec: DataSpec) -> Recipe:
    """Wasserstein GAN as published: clipped critic, 5 critic steps (100 at first), RMSProp 5e-5 (Arjovsky et al.)."""
    config = replace(fitted(spec), objective="wasserstein", critic_steps=5, critic_warmup=100, clip=0.01)
    optim = Optim(name="rmsprop", lr=5e-5, betas=(0.0, 0.99))
    return Recipe(model=config, train=Train(rounds=10_000, batch_size=64, optim=pair(optim)))


@register()
def wgan_gp(spec: DataSpec) -> Recipe:
    """Wasserstein GAN with a gradient penalty in place of clipping (Gulrajani et al., 2017)."""
    weight = 0.1 if spec.kind == "table" else 10.0
    config = replace(fitted(spec), objective="wasserstein", critic_steps=5, gradient_penalty=weight, norm="none")
    optim = Optim(lr=1e-4, betas=(0.5, 0.9))
    return Recipe(model=config, train=Train(rounds=10_000, batch_size=64, optim=pair(optim)))


@register()
def hinge_gan(spec: DataSpec) -> Recipe:
    """A GAN with the hinge objective and spectral normalisation (Lim & Ye, 2017; Miyato et al., 2018)."""
    config = replace(fitted(spec), objective="hinge", spectral=True, norm="none")
    optim = Optim(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(model=config, train=Train(rounds=10_000, batch_size=64, optim=pair(optim)))
