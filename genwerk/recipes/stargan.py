"""Recipes for translation among domains by one generator: hair of another colour, any class from any other."""

from __future__ import annotations

from genwerk.core.spec import DataSpec
from genwerk.families.stargan import StarGANConfig
from genwerk.nn.adversarial.attributes import AttributeDiscriminatorConfig
from genwerk.nn.adversarial.objectives import LeastSquares
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.recipes.gan import pair
from genwerk.training.settings import OptimConfig, Recipe, TrainConfig, register

CLASSES = DataSpec(kind="image", shape=(3, 8, 8), classes=("black", "blue", "red"))
"""Images of several classes."""


@register(spec=CLASSES)
def stargan(spec: DataSpec) -> Recipe:
    """StarGAN as published (WGAN-GP, five steps of D for one of G, Adam 1e-4 that falls over the last half).

    For images of 128 pixels with attributes or classes (Choi et al., 2018); smaller ones are halved less often.
    """
    network = ResNetGeneratorConfig(blocks=6, halvings=2 if spec.side >= 32 else 1)
    optim = OptimConfig(lr=1e-4, betas=(0.5, 0.999), schedule="linear", hold=0.5)
    return Recipe(
        model=StarGANConfig(network=network), train=TrainConfig(rounds=40_000, batch_size=16, optim=pair(optim))
    )


@register(spec=CLASSES)
def recolour_hair(spec: DataSpec) -> Recipe:
    """Hair of another colour, by a StarGAN that a CPU can train: it maps colours, and keeps what is drawn.

    It learns the attribute hair, found in captions such as "blue hair, red eyes", or the classes where there is none.
    """
    patch = 2 if spec.side >= 48 else 1
    model = StarGANConfig(
        attributes=("hair",) if "hair" in dict(spec.attributes) else (),
        network=ResNetGeneratorConfig(width=24, halvings=1, blocks=3, kernel=3, patch=patch, subpixel=False),
        output="colours",
        discriminator=AttributeDiscriminatorConfig(width=24, widest=192, halvings=4),
        objective=LeastSquares(),
        critic_steps=1,
        gradient_penalty=0.0,
        reconstruction=0.0,
        classification=0.5,
        change=2.5,
    )
    generator, discriminator = (
        OptimConfig(lr=lr, betas=(0.5, 0.999), schedule="linear", hold=0.5, final=0.1) for lr in (1e-3, 5e-4)
    )
    train = TrainConfig(rounds=3_000, batch_size=16, optim=pair(generator, discriminator), ema={"generator": 2_000.0})
    return Recipe(model=model, train=train)
