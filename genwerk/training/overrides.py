"""Settings by name: which of a recipe's a name means, and the recipe with other values there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from math import ceil
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from genwerk.core.component import Component
from genwerk.core.errors import BadInput, BadSetting, check_number, shortly
from genwerk.core.model import weightless
from genwerk.data.dataset import Splits
from genwerk.training.settings import Recipe, from_json, to_json


@dataclass(frozen=True)
class Place:
    """Where a setting stands in a recipe."""

    path: tuple[str, ...]
    """Names of fields, and of players among the optimisers, from the recipe on."""
    key: str
    """The same joined by dots, without the players: what holds for each of them is one setting."""
    kind: Any
    """Type of its value."""

    @property
    def name(self) -> str:
        """What it is called in full."""
        return ".".join(self.path)


def places(settings: Any, path: tuple[str, ...] = (), key: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every setting within ``settings``, those of a part after the part."""
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value, here, called = getattr(settings, field.name), (*path, field.name), (*key, field.name)
        yield Place(here, ".".join(called), hints[field.name])
        if is_dataclass(value):
            yield from places(value, here, called)
        elif isinstance(value, Mapping):
            for name, each in value.items():
                kind = get_args(hints[field.name])[1]
                yield Place((*here, name), ".".join((*called, name)), kind)
                if is_dataclass(each):
                    yield from places(each, (*here, name), called)


def value_at(settings: Any, place: Place) -> Any:
    """What a ``place`` within ``settings`` holds."""
    for name in place.path:
        settings = settings[name] if isinstance(settings, Mapping) else getattr(settings, name)
    return settings


def meant(recipe: Recipe, name: str) -> list[Place]:
    """The places that ``name`` means: one, or the same setting of each player; none where there is no such setting.

    A name is that of a setting in full (train.batch_size), or its end alone (batch_size). Where several settings end so
    it means the one that is least deep within the recipe; a BadInput names them where these are several, too.
    """
    every = [place for place in places(recipe) if len(place.path) > 1]
    found = [place for place in every if name in (place.name, place.key)]
    if not found and (ends := [place for place in every if place.key.endswith(f".{name}")]):
        least = min(place.key.count(".") for place in ends)
        found = [place for place in ends if place.key.count(".") == least]
    if len(keys := sorted({place.key for place in found})) > 1:
        raise BadInput(
            f"{name!r} may be {', '.join(keys[:-1])} or {keys[-1]}; write the one you mean in full, as in "
            f'**{{"{keys[0]}": ...}}'
        )
    return found


def overridden(recipe: Recipe, values: Mapping[str, object], *, fitted: bool = True) -> Recipe:
    """``recipe`` with other ``values`` of the settings that they name.

    A part of another kind is named by it (network="dcgan"), or given as its settings. Kinds are chosen before all that
    is set in them. A BadInput tells a name that means no setting, unless the recipe is not ``fitted`` to the data yet
    and may still have it then.
    """
    left = dict(values)
    for name in [name for name in left if any(_component(place.kind) for place in meant(recipe, name))]:
        recipe = _put_all(recipe, name, left.pop(name))
    for name, value in left.items():
        if fitted and not meant(recipe, name):
            raise _unknown(recipe, name)
        recipe = _put_all(recipe, name, value)
    return recipe


def rounds_of(recipe: Recipe, epochs: object, splits: Splits) -> int:
    """Rounds in which the first stage draws the training examples of ``splits`` so many times."""
    if isinstance(epochs, bool) or not isinstance(epochs, (int, float)) or not 0 < epochs < 1e12:
        said = shortly(epochs) if isinstance(epochs, (int, float)) else repr(epochs)
        raise BadSetting("epochs", f"is {said}; expected a number above 0")
    model = weightless(recipe.model, splits.spec)
    own = model.stages(1)[0].batch_size
    size = (recipe.train.batch_size if own is None else own) or len(splits.train)
    return ceil(epochs * len(splits.train) / (size * model.batches))


def _unknown(recipe: Recipe, name: str) -> BadInput:
    """That ``name`` means no setting, with the nearest that there are."""
    every = {place.key: place.key for place in places(recipe)}
    ends = {key.rpartition(".")[2]: key for key in every}
    near = dict.fromkeys((every | ends)[near] for near in get_close_matches(name, [*ends, *every], 3, 0.6))
    hint = f"did you mean {' or '.join(near)}?" if near else "print(recipe) shows all there are"
    return BadInput(f"this recipe has no setting {name!r}; {hint}")


def _put_all(recipe: Recipe, name: str, value: object) -> Recipe:
    for place in meant(recipe, name):
        recipe = _put(recipe, place.path, _value(place, value))
    return recipe


def _value(place: Place, value: Any) -> Any:
    """``value`` as the setting holds it; a BadInput says what was expected."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a number of NumPy or PyTorch
    if (part := _component(place.kind)) and isinstance(value, str):
        try:
            return part.of(value)()
        except BadInput as error:
            raise BadInput(f"{place.name}: {error.sentence}") from None
    if hasattr(value, "__array__") and str in (place.kind, *get_args(place.kind)):
        is_source = place.key in ("data.source", "data.to", "data.test")
        raise BadInput(
            f"{place.name} is an array; expected a " + ("path or a name of built-in data" if is_source else "text")
        )
    if not isinstance(value, Mapping):
        check_number(place.name, value)
    return from_json(place.kind, to_json(value), place.name)


def _component(kind: Any) -> type[Component] | None:
    """The part whose kinds a setting of the type ``kind`` may have."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else [kind]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Component)), None)


def _put(settings: Any, path: tuple[str, ...], value: object) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(settings, Mapping):
        return {**settings, name: _put(settings[name], rest, value) if rest else value}
    return replace(settings, **{name: _put(getattr(settings, name), rest, value) if rest else value})
