"""Options that name the kind of a part, as ``--model.network dcgan`` does, and so decide which options there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.training.settings import Recipe


def about(part: Component) -> str:
    """What a kind of part is, in a line."""
    return (part.__doc__ or "").strip().split("\n")[0]


def found(settings: Any, path: str = "") -> dict[str, Component]:
    """Every component within ``settings``, by the option that names its kind, without its dashes."""
    parts: dict[str, Component] = {path: settings} if isinstance(settings, Component) else {}
    if is_dataclass(settings):
        for field in fields(settings):
            parts |= found(getattr(settings, field.name), f"{path}.{field.name}".lstrip(".").replace("_", "-"))
    return parts


def chosen(default: Recipe, arguments: Sequence[str], *, fitted: bool = True) -> Recipe:
    """``default`` with the kinds that ``arguments`` name, each with its own defaults.

    A BadInput names a setting that the part lacks and another kind of it has, unless ``default`` is not ``fitted`` to
    the data yet and may still have that kind then. Whatever else is wrong is left to the parser.
    """
    options, settings = dict(_options(arguments)), default
    while change := next(_changes(settings, options, fitted), None):
        settings = _with(settings, *change)
    return settings


def _changes(settings: Recipe, options: Mapping[str, str], fitted: bool) -> Iterator[tuple[Sequence[str], Component]]:
    """Parts that are to be of another kind: where, and what instead."""
    for path, part in found(settings).items():
        kind, typed = part.kind, {o.removeprefix(f"{path}.").split(".")[0] for o in options if o.startswith(f"{path}.")}
        if options.get(path) in part.kinds:
            kind = options[path]
        elif not fitted and not typed <= _names(part):
            kind = next((name for name, other in part.kinds.items() if typed <= _names(other)), kind)
        if kind != part.kind:
            yield path.split("."), part.kinds[kind]()
        for name in typed - _names(part):
            if others := [name_ for name_, other in part.kinds.items() if name in _names(other)]:
                own = ", ".join(f.name.replace("_", "-") for f in fields(part)) or "no settings"
                raise BadInput(
                    f"--{path}.{name} is a setting of {' and '.join(others)}, and --{path} is {part.kind}, which has "
                    f"{own}"
                )


def _names(kind: Component | type[Component]) -> set[str]:
    """Settings of ``kind`` as they are typed."""
    return {name for f in fields(kind) for name in spelt(f.name)}


def spelt(name: str) -> tuple[str, str]:
    """How the setting called ``name`` may be typed, if it is a yes or no."""
    return name.replace("_", "-"), f"no-{name.replace('_', '-')}"


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names of options, with dashes inside, and the first value of each."""
    for i, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            yield name.replace("_", "-"), value if equals else (*arguments, "")[i + 1]


def _with(settings: Any, path: Sequence[str], part: Component) -> Any:
    """``settings`` with ``part`` in the place that ``path`` names."""
    name = path[0].replace("-", "_")
    return replace(settings, **{name: part if len(path) == 1 else _with(getattr(settings, name), path[1:], part)})
