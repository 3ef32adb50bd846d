"""Which recipe to begin with: a few rules of thumb by kind and number of examples, and how long each takes here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.recipes import REGISTRY
from genwerk.tasks.fitting import Fit, fit, outlined, sibling
from genwerk.training import speed
from genwerk.training.runtime import Runtime
from genwerk.training.settings import Entry, Recipe

FEW = 1_000
"""Examples below which data are few."""
ENOUGH = 2_000
"""Images from which on adversarial and diffusion models do not learn them by heart at once."""
SMALL = 16
"""Side in pixels below which images are small."""
BUDGET, LONGEST = 0.1, 0.25
"""Seconds for which a recipe is timed, and that a round of it may take."""


@dataclass(frozen=True)
class Rule:
    """A recipe to try first on data that it ``suits``, given their spec and number, and why."""

    recipe: str
    why: str
    suits: Callable[[DataSpec, int], bool]


RULES = (
    Rule(
        "latent-diffusion",
        "draws pictures from words",
        lambda spec, _: spec.modality.has_pixels and spec.captions and spec.side >= SMALL,
    ),
    Rule(
        "mixture",
        "few rows: fitted in seconds, its size chosen by BIC",
        lambda spec, n: spec.modality.has_columns and n < FEW,
    ),
    Rule(
        "spline-maf",
        "a density of any shape, known exactly",
        lambda spec, _: spec.modality.has_columns,
    ),
    Rule(
        "maf",
        "steadier than splines where columns are many",
        lambda spec, _: spec.modality.has_columns,
    ),
    Rule(
        "wavenet",
        "made for sound, sample by sample",
        lambda spec, _: spec.modality.is_sequence,
    ),
    Rule(
        "transformer-lm",
        "writes texts token by token, and knows how likely each is",
        lambda spec, _: spec.modality.is_text,
    ),
    Rule(
        "lstm-lm",
        "the same with a smaller memory, quick on short texts",
        lambda spec, _: spec.modality.is_text,
    ),
    Rule(
        "pixelcnn",
        "few colours, which pixels keep exactly",
        lambda spec, _: spec.modality.has_pixels and bool(spec.palette or spec.nominal),
    ),
    Rule(
        "vae",
        "small or few images: steady and quick, with codes",
        lambda spec, n: spec.modality.has_pixels and (n < ENOUGH or spec.side < SMALL),
    ),
    Rule(
        "gan",
        "sharp samples in the shortest time",
        lambda spec, _: spec.modality.has_pixels,
    ),
    Rule(
        "ddpm",
        "the most faithful samples, for the most time",
        lambda spec, _: spec.modality.has_pixels,
    ),
    Rule(
        "vae",
        "steady and quick, with codes",
        lambda spec, _: not spec.modality.is_sequence,
    ),
)
"""The best first. Measured where figures exist (benchmarks/README.md): on digits of 28 pixels the Fréchet distance is
3.5 for a VAE after 5 minutes and 0.3 for a GAN after 18; on a table of 478 rows a MAF is 7 nats better than the mixture
and takes 40 times as long."""


@dataclass(frozen=True)
class Suggestion:
    """A recipe to try, and why."""

    fit: Fit
    why: str


def suggestions(spec: DataSpec, examples: int) -> list[Suggestion]:
    """Recipes to try on so many ``examples`` of ``spec``, the best first; before all others those that are conditioned
    on what the data carry."""
    found = dict[str, Suggestion]()
    for rule in RULES:
        if rule.recipe not in REGISTRY or not rule.suits(spec, examples):
            continue
        try:
            of = fit(REGISTRY[rule.recipe], spec)
        except ValueError:
            continue
        of = sibling(of) or of
        found.setdefault(of.entry.name, Suggestion(of, rule.why))
    return sorted(found.values(), key=lambda each: not each.fit.by)


def hints(entry: Entry, recipe: Recipe, spec: DataSpec) -> list[str]:
    """What to say to someone who trains a model without a condition on data with labels, captions or covariates."""
    of = outlined(entry, recipe, spec)
    other = sibling(of)
    if other is None:
        return []
    what = other.condition.plural
    return [f"these data carry {what}, which {entry.name} does not use; {other.entry.name} is conditioned on them"]


def minutes(of: Fit, data: Dataset, runtime: Runtime) -> float:
    """About how long training takes here, if no stage ends early, by a few rounds that are played and forgotten."""
    return speed.total(speed.measure(of.recipe, data, runtime, budget=BUDGET, longest=LONGEST)) / 60
