"""Recipes for StyleGAN: one that fits any images, and references for digits, faces and CIFAR-10."""

from __future__ import annotations

from dataclasses import replace

from genwerk.core.spec import DataSpec
from genwerk.families.stylegan import StyleGANConfig
from genwerk.nn.adversarial.stylegan import MappingConfig, SynthesisConfig
from genwerk.recipes.autoencoder import MNIST
from genwerk.recipes.gan import PROTOCOL, pair
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register


def tiny(spec: DataSpec) -> bool:
    """Whether the images are below 16 pixels, where a narrow and shallow network learns fastest."""
    return min(spec.shape[-2:]) < 16


def fitted(spec: DataSpec) -> StyleGANConfig:
    """Networks for data of ``spec`` that a CPU can train; the minibatch standard deviation from 16 pixels on."""
    if tiny(spec):
        mapping, synthesis = MappingConfig(width=32, layers=2), SynthesisConfig(width=32, max_width=32)
        return StyleGANConfig(latent=16, mapping=mapping, synthesis=synthesis, minibatch_group=0, r1=1.0, r1_every=4)
    mapping, synthesis = MappingConfig(width=128, layers=4), SynthesisConfig(width=32, max_width=128)
    return StyleGANConfig(latent=64, mapping=mapping, synthesis=synthesis, r1=1.0, r1_every=4)


def published(spec: DataSpec, width: int) -> StyleGANConfig:
    """The paper's networks with ``width`` channels at the image's size; those of :func:`fitted` if it is tiny."""
    return fitted(spec) if tiny(spec) else StyleGANConfig(synthesis=SynthesisConfig(width=width))


@register()
def stylegan(spec: DataSpec) -> Recipe:
    """StyleGAN with networks fitted to the data's size: styles by layer, noise by pixel, R1, averaged generator."""
    optim = OptimConfig(lr=4e-3 if tiny(spec) else 2e-3, betas=(0.0, 0.99))
    half_life = 2_000.0 if tiny(spec) else 10_000.0
    train = TrainConfig(rounds=20_000, batch_size=32, optim=pair(optim), ema={"generator": half_life})
    return Recipe(model=fitted(spec), train=train)


@register(MNIST, reference=True)
def stylegan_mnist(spec: DataSpec) -> Recipe:
    """MNIST at its own 28 pixels (7, 14, 28), conditioned on the digit, for 10 minutes of one CPU core.

    The paper has no figures for digits; the Fréchet distance in the digit classifier's features, beside its floor and
    ceiling, is what to compare. Measured on one thread, seed 0: 9.4 (619 seconds), every digit legible, one or two
    shapes of each (recall 0.004). Without the label, and with 4 layers of mapping, the same
    networks make one shape in all samples (67.6 after 1,200 rounds):
    `genwerk train stylegan-mnist --data MNIST_FOLDER --out runs/stylegan-mnist`.
    """
    optim = OptimConfig(lr=2e-3, betas=(0.0, 0.99), schedule="linear", final=0.1)
    base = stylegan(spec)
    train = replace(base.train, rounds=3_325, optim=pair(optim), ema={"generator": 10_000.0}, evaluate_every=2_500)
    base_model = fitted(spec)
    model = replace(
        base_model,
        synthesis=SynthesisConfig(width=16, max_width=64),
        mapping=replace(base_model.mapping, layers=2),
    )
    return replace(base, model=replace(model, conditioning="project" if spec.classes else "none"), train=train)


@register(reference=True)
def stylegan_faces(spec: DataSpec) -> Recipe:
    """Drawn faces of 64 pixels, small networks, for an hour and a half of one CPU core.

    The default networks with half the channels at the image's size, 160,000 images, rate falling to a tenth. No figure
    is published for these data. Measured, seed 0, 97 minutes: Fréchet distance 0.69 in features of orientation (floor
    0.03, ceiling 53), precision 0.96, recall 0.63: `genwerk train stylegan-faces --data FACES_FOLDER --out runs/faces`.
    """
    base = stylegan(spec)
    optim = OptimConfig(lr=2e-3, betas=(0.0, 0.99), schedule="linear", final=0.1)
    train = replace(base.train, rounds=5_000, optim=pair(optim), sample_every=500, evaluate_every=1_000, save_every=500)
    model = fitted(spec)
    synthesis = replace(model.synthesis, width=16)
    return replace(base, model=replace(model, synthesis=synthesis), train=train)


@register(reference=True)
def stylegan_faces_gpu(spec: DataSpec) -> Recipe:
    """Drawn faces of 64 pixels with the paper's networks, for one GPU.

    Karras et al., 2019, section 2 and appendix C: z and w of 512, 8 layers of mapping, up to 512 channels, mixing 0.9,
    Adam (0, 0.99), average with a half-life of 10,000 images. The paper has FFHQ at 1024 pixels (FID 4.40, 25 million
    images); here 64 pixels, 2 million images, R1 every 4 steps with gamma 1, as suits so few pixels, and no growing
    (`--model.progressive` grows from 8 pixels). Not measured here:
    `genwerk train stylegan-faces-gpu --data FACES_FOLDER --out runs/faces --device cuda`.
    """
    model = replace(published(spec, 256), r1=1.0, r1_every=4)
    optim = OptimConfig(lr=2e-3, betas=(0.0, 0.99))
    train = TrainConfig(
        rounds=32_000, batch_size=64, optim=pair(optim), ema={"generator": 10_000.0}, precision="bfloat16"
    )
    return Recipe(model=model, train=train)


@register(reference=True)
def stylegan2_ada_cifar10(spec: DataSpec) -> Recipe:
    """Class-conditional CIFAR-10 with adaptive augmentation, for one GPU.

    Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, arXiv:2006.06676: FID 2.42 (50,000
    samples against the training images) and inception score 10.14 after 100 million images; the curve of another
    public run, in the same protocol, has 41 after 0.64, 14 after 1.9 and 8.0 after 3.2 million. As there: 512
    channels, 2 layers of mapping, batch 64, Adam 2.5e-3, R1 with gamma 0.01 every 16 steps, average with a half-life
    of 500,000 images, no mixing, no path lengths, groups of 32. Different here: StyleGAN's instance normalisation
    instead of modulated convolutions, one output to colour instead of one a size, mapping without its own normalised
    label embedding, Adam's constants not rescaled for lazy R1. So 2.42 is not promised. 3.2 million images; not
    measured here:
    `genwerk train stylegan2-ada-cifar10 --data hf:cifar10 --out runs/cifar --device cuda`.
    """
    base = published(spec, 512)
    model = replace(
        base,
        conditioning="project" if spec.classes else "none",
        mapping=replace(base.mapping, layers=2),
        minibatch_group=0 if tiny(spec) else 32,
        style_mixing=0.0,
        r1=0.01,
        r1_every=16,
        augment="ada",
    )
    optim = OptimConfig(lr=2.5e-3, betas=(0.0, 0.99))
    train = TrainConfig(
        rounds=50_000, batch_size=64, optim=pair(optim), ema={"generator": 500_000.0}, precision="bfloat16"
    )
    return Recipe(model=model, train=train, evaluate=PROTOCOL)
