"""Which recipe to choose: by what was measured on the most alike data and, beyond that, by a few rules of thumb."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genwerk.comparison.figures import Better, about
from genwerk.comparison.precedents import Precedent, measured, nearest
from genwerk.comparison.ranking import Standing, places, surely_better
from genwerk.core.errors import BadSetting
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.settings import DataConfig
from genwerk.evaluation.report import number
from genwerk.recipes import REGISTRY
from genwerk.tasks.fitting import Fit, fit, outlined, sibling
from genwerk.training import speed
from genwerk.training.runtime import Runtime
from genwerk.training.settings import Entry, Recipe

SMALL = 16
"""Side in pixels below which images are small."""
SHORT_LIST, LEADING = 4, 3
"""Recipes that are suggested for some data, and how many of them for what was measured before any rule of thumb."""
BUDGET, LONGEST = 0.1, 0.25
"""Seconds for which a recipe is timed, and that a round of it may take."""


@dataclass(frozen=True)
class Rule:
    """A recipe to try first on data that it ``suits``, given their spec, and why."""

    recipe: str
    why: str
    suits: Callable[[DataSpec], bool]


RULES = (
    Rule(
        "superres",
        "enlarges images as the pairs do",
        lambda spec: bool(spec.source) and spec.shape[1] > spec.source[1],
    ),
    Rule(
        "pix2pix",
        "learns what becomes of each source, texture and all",
        lambda spec: bool(spec.source),
    ),
    Rule(
        "palette",
        "draws one of the images that a source may have, for more time",
        lambda spec: bool(spec.source),
    ),
    Rule(
        "recolour-hair",
        "changes one attribute and keeps the rest",
        lambda spec: bool(spec.attributes),
    ),
    Rule(
        "restyle",
        "gives images of one folder the look of the other, and back",
        lambda spec: spec.modality.has_pixels and len(spec.classes) == 2,
    ),
    Rule(
        "stargan",
        "one network for all classes or attributes",
        lambda spec: spec.modality.has_pixels and bool(len(spec.classes) > 2 or spec.attributes),
    ),
    *(
        Rule(
            recipe,
            why,
            lambda spec: spec.modality.has_pixels and not (spec.source or spec.attributes or len(spec.classes) == 2),
        )
        for recipe, why in (
            ("superres", "enlarges images"),
            ("inpaint", "fills holes"),
            ("denoise", "takes noise away"),
            ("colourise", "gives grey images colour"),
        )
    ),
    Rule(
        "latent-diffusion",
        "draws pictures from words",
        lambda spec: spec.modality.has_pixels and spec.captions and spec.side >= SMALL,
    ),
    Rule(
        "wavenet",
        "made for sound, sample by sample",
        lambda spec: spec.modality.is_sequence,
    ),
    Rule(
        "transformer-lm",
        "writes texts token by token, and knows how likely each is",
        lambda spec: spec.modality.is_text,
    ),
    Rule(
        "lstm-lm",
        "the same with a smaller memory, quick on short texts",
        lambda spec: spec.modality.is_text,
    ),
    Rule(
        "vae-text",
        "a code of every text, and texts between two of them",
        lambda spec: spec.modality.is_text,
    ),
    Rule(
        "pixelcnn",
        "few colours, which pixels keep exactly",
        lambda spec: spec.modality.has_pixels and bool(spec.palette or spec.nominal),
    ),
    Rule(
        "ddpm",
        "the most faithful samples, for the most time",
        lambda spec: spec.modality.has_pixels,
    ),
    Rule(
        "vae",
        "steady and quick, with codes",
        lambda spec: not spec.modality.is_sequence,
    ),
)
"""The best first: opinions on what the table of precedents does not tell."""


@dataclass(frozen=True)
class Want:
    """What someone wants of a model, and the figures that tell how well it serves."""

    figures: Callable[[DataSpec], tuple[str, ...]]
    """Keys of figures for some data, of which the first that was measured ranks."""
    beside: tuple[str, ...]
    """Keys of figures that are told beside it."""
    serves: Callable[[Fit], bool]
    """Whether a recipe is of use at all."""
    meaning: str
    """What a recipe that leads does, in words."""


def alike(spec: DataSpec) -> tuple[str, ...]:
    """Keys of the figures that tell how much samples are like real examples.

    A Fréchet distance compares means and covariances, which tells much in the features of a network and, in the columns
    of a table, nothing of the shape of a density. Texts are told by what they teach.
    """
    if spec.modality.is_text:
        return ("reverse_lm_score",)
    return ("frechet_distance", "fid") if spec.modality.learned_features else ("coverage",)


WANTED = {
    "samples": Want(
        alike,
        ("precision", "recall", "bleu_5", "self_bleu_5"),
        lambda fit: "sample" in fit.does,
        "made the samples most like real examples",
    ),
    "likelihood": Want(
        lambda _: ("nll",),
        ("bits_per_dim",),
        lambda fit: bool(fit.score),
        "found held-out examples likeliest",
    ),
    "codes": Want(
        lambda _: ("reconstruction_mse",),
        (),
        lambda fit: "encode" in fit.does,
        "restored examples best from codes",
    ),
    "control": Want(
        alike,
        (),
        lambda fit: bool(controls(fit)),
        "can be steered in the most ways, and of these made the samples most like real examples",
    ),
    "translation": Want(
        lambda _: ("translation_psnr", "domain_agreement"),
        ("translation_ssim", "identity_kept"),
        lambda fit: "translate" in fit.does,
        "translated images best",
    ),
    "speed": Want(
        lambda _: ("samples_per_second",),
        ("sampling_latency", "training_examples_per_second", "seconds_to_quality"),
        lambda fit: "sample" in fit.does,
        "sampled fastest",
    ),
}
"""What may be wanted, by its name."""


def controls(fit: Fit) -> tuple[str, ...]:
    """How samples can be steered: by what they are asked for, by what is given of them, and from one to another."""
    asked = [f"by {each}" for each in fit.by] + ["complete"] * ("complete" in fit.does)
    return (*asked, *["interpolate"] * ({"encode", "sample"} <= {*fit.does}))


@dataclass(frozen=True)
class Suggestion:
    """A recipe to try, and why."""

    fit: Fit
    why: str


@dataclass(frozen=True)
class Choice(Suggestion):
    """A recipe to try for what it reached on data of the same kind."""

    measured_as: str
    """The recipe that was measured; the one that is suggested may be conditioned besides."""
    standing: Standing
    """How that stands in the figure that ranks, among those that fit."""
    latent: int
    """How many numbers encoded an example; 0 where these were not fewer than it has."""


@dataclass(frozen=True)
class Advice:
    """Which recipes to choose from."""

    want: Want
    precedent: Precedent | None
    """The most alike data on which recipes that fit were measured; None where there are none."""
    key: str
    """Of the figure that ranks; empty where there is no precedent."""
    choices: tuple[Choice, ...]
    """Recipes that were measured there, by the places that they may have; beyond these, their order means nothing."""
    opinions: tuple[Suggestion, ...]
    """Others, by rules of thumb."""

    def figures(self, choice: Choice) -> dict[str, Standing]:
        """How one of the choices stands in the figure that ranks and in those beside it, by their keys."""
        assert self.precedent is not None
        known = {key: self.precedent.figures[key] for key in self.want.beside if key in self.precedent.figures}
        beside = {key: each.of(choice.measured_as) for key, each in known.items()}
        return {self.key: choice.standing, **{key: each for key, each in beside.items() if each is not None}}

    @property
    def rivals(self) -> tuple[Choice, ...]:
        """Those than which the first of the choices is not surely better; of what is steered, those in as many ways."""
        what, (first, *others) = about(self.key), self.choices
        return tuple(
            each
            for each in others
            if not surely_better(first.standing, each.standing, what.better, what.section)
            and (self.want is not WANTED["control"] or len(controls(each.fit)) == len(controls(first.fit)))
        )

    @property
    def sentence(self) -> str:
        """What the first of the choices reached, and against which others that tells nothing."""
        assert self.precedent is not None
        first, name = self.choices[0], self.precedent.figures[self.key].name
        of = first.fit.entry.name + f" (measured as {first.measured_as})" * (first.measured_as != first.fit.entry.name)
        said = f"{of} {self.want.meaning}: {name} {worded(first.standing)}"
        if first.standing.training is None:
            return f"{said}; each was trained once, so that nothing is ranked."
        names = ", ".join(each.fit.entry.name for each in self.rivals)
        return f"{said}; inconclusive against {names}." if names else f"{said}."


def advise(
    spec: DataSpec, examples: int, want: str = "samples", precedents: Sequence[Precedent] | None = None
) -> Advice:
    """Which recipes to choose from for so many ``examples`` of ``spec``; a BadSetting where nobody knows ``want``.

    Figures are those of the most alike of ``precedents`` (default: what was measured for this version) that has any for
    ``want``. In place of a recipe stands the one most like it that is conditioned on what the data carry.
    """
    if want not in WANTED:
        raise BadSetting("want", f"is {want!r}; expected {', '.join(WANTED)}")
    of, left = WANTED[want], list(measured() if precedents is None else precedents)
    precedent, key, choices = None, "", tuple[Choice, ...]()
    while not choices and (precedent := nearest(spec, examples, left)) is not None:
        left.remove(precedent)
        key = next((each for each in of.figures(spec) if each in precedent.figures), "")
        choices = _choices(of, spec, precedent, key) if key else ()
    named = {choice.fit.entry.name for choice in choices}
    opinions = [each for each in _opinions(spec) if of.serves(each.fit) and each.fit.entry.name not in named]
    return Advice(of, precedent, key if choices else "", choices, tuple(opinions))


def _choices(of: Want, spec: DataSpec, precedent: Precedent, key: str) -> tuple[Choice, ...]:
    """The recipes that fit and serve, as they stand among themselves in the figure called ``key``."""
    known, what = precedent.figures[key], about(key)
    suiting = _suiting([each.contestant for each in known.standings], spec)
    able = {name for name, fit in suiting.items() if of.serves(fit)}
    if of is WANTED["codes"]:
        able &= precedent.latents.keys()
    placed = places([each for each in known.standings if each.contestant in able], what.better, what.section)
    found = [
        Choice(
            suiting[each.contestant],
            f"{known.name} {worded(each)} on {precedent.source}, {place(each)}",
            each.contestant,
            each,
            precedent.latents.get(each.contestant, 0),
        )
        for each in placed
    ]
    sign = -1 if what.better is Better.MORE else 1

    def order(choice: Choice) -> tuple[float, ...]:
        standing, steered = choice.standing, len(controls(choice.fit)) if of is WANTED["control"] else 0
        return -steered, standing.first, standing.last, sign * standing.mean

    return tuple(sorted(found, key=order))


def _suiting(names: Sequence[str], spec: DataSpec) -> dict[str, Fit]:
    """What to suggest in place of each recipe that fits: the one most like it that is conditioned on what the data
    carry, unless that has a name of its own among ``names`` or stands for another."""
    found, taken = dict[str, Fit](), {*names}
    for name in names:
        if (own := _fitting(name, spec)) is not None:
            other = sibling(own)
            found[name] = own if other is None or other.entry.name in taken else other
            taken.add(found[name].entry.name)
    return found


def _fitting(name: str, spec: DataSpec) -> Fit | None:
    """What the recipe of that name is on data of ``spec``; None where it cannot be trained on them."""
    try:
        return fit(REGISTRY[name], spec)
    except (KeyError, ValueError):
        return None


def _opinions(spec: DataSpec) -> list[Suggestion]:
    """What the rules of thumb suggest, each recipe once."""
    found = dict[str, Suggestion]()
    for rule in RULES:
        if rule.suits(spec) and (own := _fitting(rule.recipe, spec)) is not None:
            of = sibling(own) or own
            found.setdefault(of.entry.name, Suggestion(of, f"rule of thumb: {rule.why}"))
    return list(found.values())


def wanted(settings: DataConfig) -> str:
    """What is wanted of a model of data where nobody says: translation where they name two sources."""
    return "translation" if settings.to else "samples"


def suggestions(
    spec: DataSpec, examples: int, want: str = "samples", precedents: Sequence[Precedent] | None = None
) -> list[Suggestion]:
    """Recipes to try on so many ``examples`` of ``spec``, the best first: those that led in what is wanted, then
    opinions, then the others; before all others those that are conditioned on what the data carry."""
    advice = advise(spec, examples, want, precedents)
    found = [*advice.choices[:LEADING], *advice.opinions, *advice.choices[LEADING:]]
    return sorted(found, key=lambda each: not each.fit.by)


def worded(standing: Standing) -> str:
    """The mean of a recipe, with what a perfect model would get."""
    bound, unit = "at most " * standing.bound, f" {standing.unit}" * bool(standing.unit)
    floor = "" if standing.floor is None else f" (floor {number(standing.floor, 3)})"
    return f"{bound}{number(standing.mean, 3)}{unit}{floor}"


def place(standing: Standing) -> str:
    """Its place among those that fit, or the places that are left to it."""
    if not standing.among:
        return "unranked"
    first, last, among = standing.first, standing.last, standing.among
    return f"place {first} of {among}" if first == last else f"place {first} to {last} of {among}"


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
