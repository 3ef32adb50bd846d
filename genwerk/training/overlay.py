"""A recipe with other settings, named as in its JSON: those of a file, or some of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genwerk.core.errors import BadFile, BadInput
from genwerk.training.settings import Recipe, from_json, to_json


def updated(recipe: Recipe, changes: Mapping[str, Any], where: str = "settings") -> Recipe:
    """``recipe`` with ``changes`` in their places, nested as :func:`to_json` nests them; what is not named stays.

    A part of another kind, named by ``$type`` or by that name alone, has the kind's own defaults. A BadInput, which
    calls the changes ``where``, names what is unknown or cannot be.
    """
    found: Recipe = from_json(Recipe, _over(to_json(recipe), changes), where)
    if type(found.model) is not type(recipe.model):
        wanted, own = type(found.model).__name__, type(recipe.model).__name__
        raise BadInput(f"{where} has settings of {wanted}, and this recipe is of {own}; name a recipe of {wanted}")
    return found


def _over(base: Any, change: Any) -> Any:
    """The JSON ``base`` with ``change`` laid over it."""
    if isinstance(base, dict) and "$type" in base and isinstance(change, str):
        change = {"$type": change}
    if not isinstance(base, dict) or not isinstance(change, Mapping):
        return to_json(change)
    if change.get("$type", base.get("$type")) != base.get("$type"):
        return to_json(change)
    return base | {str(name): _over(base.get(name), value) for name, value in change.items()}


def read(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The recipe that a file of JSON or TOML names, if any, and the settings in it, as far as they are named.

    It may be what `genwerk show RECIPE --json` prints, or a run's config.json; a BadFile says what is wrong with it.
    """
    if path.suffix.lower() not in (".json", ".toml"):
        raise BadFile(f"{path} is neither .json nor .toml; `genwerk show RECIPE --json > recipe.json` writes one")
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except FileNotFoundError:
        raise BadFile(f"there is no file {path}; `genwerk show RECIPE --json > {path.stem}.json` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be read ({error}); name a text file of settings") from None
    except ValueError as error:
        raise BadFile(f"{path} is not {path.suffix[1:].upper()} ({error}); mend it there") from None
    if not isinstance(found, dict):
        raise BadFile(f"{path} holds no settings by name; expected what `genwerk show RECIPE --json` prints")
    name = found.pop("name", None)
    if not isinstance(name, str | None):
        raise BadFile(f"{path}: name is {name!r}; expected that of a recipe")
    of_run = found.get("recipe")
    return name, of_run if isinstance(of_run, dict) else found
