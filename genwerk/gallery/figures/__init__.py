"""The lecture's pictures, each drawn from models that are trained while one waits."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

FIGURES: dict[str, str] = {
    "gan-1d": "a GAN in one dimension, round by round: densities, discriminator and the way from z to x",
    "disjoint": "two parallel lines: why Jensen-Shannon gives a generator no direction and Wasserstein does",
    "critic-meter": "the critic's loss against the quality of the samples, for a Wasserstein and for a plain GAN",
    "began-gamma": "BEGAN's gamma against the diversity of what it makes",
    "entanglement": "StyleGAN's latent spaces z and w: ways between samples, path lengths and separability",
    "elbo": "a VAE whose likelihood is known: ELBO = log p(x) - KL, while q alone is fitted and then both",
    "gap": "from a half moon to a full one where the data have a gap: an autoencoder and a VAE",
    "blur": "what a VAE makes of edges: means, reconstructions and draws, beside a GAN, in sharpness and spectrum",
    "one-pixel": "two flaws of the same squared error, one plainly wrong, and what other models say of them",
}
"""Every figure's name and what it shows."""

Figures = dict[str, float]
"""The numbers of a figure, by name."""


def draw(name: str, out: Path, seed: int = 0, *, quick: bool = False) -> Iterator[str | Path | Figures]:
    """Draw the figure ``name`` into the folder ``out``.

    Yields a line on what is being done now and then, the path of each picture as it is written, and in the end the
    numbers that the picture shows. ``quick`` trains for a moment only, to see that everything works.
    """
    if name not in FIGURES:
        raise ValueError(f"there is no figure {name!r}; there are {', '.join(FIGURES)}")
    module = import_module(f"genwerk.gallery.figures.{name.replace('-', '_')}")
    steps: Iterator[str | Path | Figures] = module.draw(out, seed, quick)
    return steps
