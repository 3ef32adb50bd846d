"""Which recipes suit which data, and what their models can do: asked of the models themselves, which are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from genwerk.core.abilities import abilities
from genwerk.core.condition import Condition, NoCondition
from genwerk.core.errors import BadInput
from genwerk.core.modality import MODALITIES
from genwerk.core.model import Config, build, family
from genwerk.core.spec import DataSpec
from genwerk.recipes import REGISTRY, Entry
from genwerk.training.settings import Recipe, to_json

WANTS = {
    "sample": "samples",
    "score exactly": "has-likelihood",
    "score by a bound": "bounds-likelihood",
    "encode": "encodes",
    "complete": "completes",
    "translate": "translates",
    "match texts": "aligns-text",
}
"""What one may want of a model, and the ability that this needs."""

SMALL = 32
"""Height and width of the images by which large ones are stood in for."""
QUICK = 256
"""Values in an example up to which a model is built sooner with its weights than without them, on the device "meta";
references are large in any case."""


@dataclass(frozen=True)
class Fit:
    """A recipe that can be trained on some data, and what its model is then."""

    entry: Entry
    recipe: Recipe
    spec: DataSpec
    abilities: frozenset[str]
    condition: Condition
    """What it is conditioned on; NoCondition where it is not."""

    @property
    def family(self) -> str:
        """What the class of its model is called."""
        return family_name(self.recipe.model)

    @property
    def by(self) -> tuple[str, ...]:
        """What samples can be asked for by: label, prompt or covariates."""
        return (self.condition.option,) if self.condition.option else ()

    @property
    def does(self) -> tuple[str, ...]:
        """Which of :data:`WANTS` the model serves."""
        return tuple(want for want, ability in WANTS.items() if ability in self.abilities)

    @property
    def score(self) -> str:
        """How likelihoods are known: exact, bound, or not at all (empty)."""
        return "exact" if "score exactly" in self.does else "bound" if "score by a bound" in self.does else ""


def outlined(entry: Entry, recipe: Recipe, spec: DataSpec) -> Fit:
    """What ``recipe``, settings of ``entry``, is on data of ``spec``; a ValueError says why it cannot be."""
    small = spec.dims <= QUICK and not entry.reference
    with nullcontext() if small else torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = build(recipe.model, spec)
    return Fit(entry, recipe, spec, abilities(model), model.condition)


@lru_cache(256)
def fit(entry: Entry, spec: DataSpec) -> Fit:
    """What the recipe is on data of ``spec``; a ValueError says why it cannot be."""
    return outlined(entry, entry.make(spec), spec)


def fits(spec: DataSpec, *, references: bool = False) -> list[Fit]:
    """The recipes that can be trained on data of ``spec``, with references or without, in the order of their names."""
    return list(_possible(spec, references))


def recipes_with(spec: DataSpec, *needed: str, by: str = "") -> list[str]:
    """Names of the recipes, but for references, whose models of data of ``spec`` have all abilities ``needed`` and,
    where ``by`` is given, are conditioned on it.

    Large images are stood in for by small ones, for which networks are built in a moment.
    """
    if spec.modality.is_grid:
        spec = replace(spec, shape=(spec.shape[0], *(min(side, SMALL) for side in spec.shape[1:])))
    possible = _possible(spec, False, frozenset(needed))
    return [each.entry.name for each in possible if each.abilities.issuperset(needed) and (not by or by in each.by)]


def _possible(spec: DataSpec, references: bool, needed: frozenset[str] = frozenset()) -> Iterator[Fit]:
    """What can be trained; of a family that has not all ``needed`` in any case, nothing is built."""
    for _, entry in sorted(REGISTRY.items()):
        if references or not entry.reference:
            try:
                if needed <= abilities(family(entry.make(spec).model)):
                    yield fit(entry, spec)
            except ValueError:
                continue


# --- without data -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A recipe, the kinds of data that it takes, and what its model can do."""

    entry: Entry
    kinds: tuple[str, ...]
    does: tuple[str, ...]
    """Which of :data:`WANTS` its model serves."""
    by: tuple[str, ...]
    """What samples can be asked for by: label, prompt, covariates."""
    family: str
    """What the class of its model is called."""


def mentions(found: Fit | Offer, word: str) -> bool:
    """Whether ``word`` is in the name, the family, the summary, or what the model can do."""
    told = (found.entry.name, found.family, found.entry.summary, *found.does, *found.by)
    return any(word.lower() in text.lower() for text in told)


def examples() -> dict[str, DataSpec]:
    """Small data of every kind that a source may hold, by the kind's name."""
    import genwerk.modalities  # noqa: F401

    found = {kind: modality.example() for kind, modality in sorted(MODALITIES.items())}
    return {kind: spec for kind, spec in found.items() if spec is not None}


def offers(kind: str | None = None, *, references: bool = False) -> list[Offer]:
    """What the recipes take and do, with references or without; of a ``kind`` of data alone, if one is given."""
    shown = examples()
    if kind is not None and kind not in shown:
        raise BadInput(f"‹kind› is {kind!r}; expected {', '.join(shown)}")
    found = (_offer(entry, shown) for _, entry in sorted(REGISTRY.items()) if references or not entry.reference)
    return [each for each in found if each is not None and (kind is None or kind in each.kinds)]


def _offer(entry: Entry, shown: Mapping[str, DataSpec]) -> Offer | None:
    """What ``entry`` takes and does on data as ``shown``, or on those that it is registered with."""
    taken, by, model = list[str](), dict[str, None](), None
    for kind, spec in [*shown.items(), (entry.spec.kind, entry.spec)]:
        if kind in taken:
            continue
        try:
            found = fit(entry, spec)
        except ValueError:
            continue
        taken.append(kind)
        model = model or found
        if found.by:
            bare = NoCondition.carried(spec)
            carried = [each for each in Condition.kinds if each.from_spec(spec) is not None]
            by |= dict.fromkeys(each.option for each in carried if _takes(entry, each, each.carried(bare)))
    return None if model is None else Offer(entry, tuple(taken), model.does, tuple(by), model.family)


def _takes(entry: Entry, kind: type[Condition], spec: DataSpec) -> bool:
    """Whether the recipe's model is conditioned on ``kind`` where the data carry nothing else."""
    try:
        return isinstance(fit(entry, spec).condition, kind)
    except ValueError:
        return False


def family_name(config: Config) -> str:
    return type(config).__name__.removesuffix("Config")


# --- conditional siblings ---------------------------------------------------------------------------------------------


def sibling(of: Fit) -> Fit | None:
    """The recipe most like ``of`` that is conditioned on what the data carry; None where ``of`` is, or there is none.

    It is of the same family, or has that family for a part, and as few settings differ as can be.
    """
    spec = of.spec
    carried = any(kind.from_spec(spec) is not None for kind in Condition.kinds)
    if not carried or "samples" not in of.abilities or of.by:
        return None
    own, found = _families(of.recipe.model), list[tuple[int, int, Entry]]()
    for entry in REGISTRY.values():
        if entry.reference or entry is of.entry:
            continue
        try:
            model = entry.make(spec).model
        except ValueError:
            continue
        if _within(own, theirs := _families(model)):
            found.append((len(theirs), _differing(to_json(of.recipe.model), to_json(model)), entry))
    for *_, entry in sorted(found, key=lambda each: each[:2]):
        try:
            other = fit(entry, spec)
        except ValueError:
            continue
        if other.by:
            return other
    return None


def _families(config: Any) -> tuple[str, ...]:
    """The families that ``config`` is made of, from the whole to its parts."""
    own = (family_name(config),) if isinstance(config, Config) else ()
    return sum((_families(getattr(config, f.name)) for f in fields(config)), own) if is_dataclass(config) else own


def _within(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    return any(many[i : i + len(few)] == few for i in range(len(many) - len(few) + 1))


def _differing(one: Any, other: Any) -> int:
    """How many settings differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(_differing(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    return int(one != other)
