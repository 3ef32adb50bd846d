"""Recipes for models of one class each."""

from __future__ import annotations

from genwerk.core.spec import DataSpec
from genwerk.families.mixture import MixtureConfig
from genwerk.families.per_class import PerClassConfig
from genwerk.training.settings import Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> MixtureConfig:
    """Full covariances up to 256 numbers an example, of which BIC takes few: a class has few examples for them.

    Pixels get a ridge of (range / 16)^2, which says what is the same for all classes: that a pixel which hardly varies
    in a class may do so in new pictures. Without it the posterior is sure of itself and wrong.
    """
    image = spec.modality.has_levels
    return MixtureConfig(
        components=(1, 2, 4) if spec.dims <= 256 else (10,),
        covariance="full" if spec.dims <= 256 else "diagonal",
        ridge=((spec.levels - 1) / 16) ** 2 if image else 1e-3,
    )


@register()
def cmixture(spec: DataSpec) -> Recipe:
    """A Gaussian mixture for each class, the classifier of Hastie & Tibshirani (1996); BIC chooses its components."""
    train = TrainConfig(rounds=100, batch_size=0, log_every=1, sample_every=0, evaluate_every=0, save_every=20)
    return Recipe(model=PerClassConfig(model=fitted(spec)), train=train)
