"""Recipes for Gaussian mixtures."""

from __future__ import annotations

from genwerk.core.spec import DataSpec
from genwerk.families.mixture import MixtureConfig
from genwerk.training.settings import Recipe, TrainConfig, register


def fitted(spec: DataSpec) -> MixtureConfig:
    """Full covariances for narrow tables, variances for pixels and what is wide; BIC chooses the number of components.

    The more numbers an example has, the fewer candidates are tried. Images get a ridge of 1e-5 of the squared range, so
    that a pixel that never varies in training, as at the border of MNIST, may vary a little in new pictures.
    """
    full = not spec.modality.has_levels and spec.dims <= 64
    return MixtureConfig(
        components=(1, 2, 4, 8, 16, 32) if full else (10, 20, 40, 80) if spec.dims <= 256 else (40,),
        covariance="full" if full else "diagonal",
        starts=3 if full else 1,
        ridge=1e-5 * (spec.levels - 1) ** 2 if spec.modality.has_levels else 1e-6,
    )


@register()
def mixture(spec: DataSpec) -> Recipe:
    """A Gaussian mixture by EM; BIC chooses the number of components (Dempster et al., 1977; Schwarz, 1978)."""
    train = TrainConfig(rounds=100, batch_size=0, log_every=1, sample_every=0, evaluate_every=0, save_every=20)
    return Recipe(model=fitted(spec), train=train)
