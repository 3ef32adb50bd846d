"""The family pages of docs/ follow one pattern, and name every recipe, algorithm and option as it is called."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import genwerk
from genwerk.recipes import REGISTRY

ROOT = Path(genwerk.__file__).parent
DOCS = ROOT.parent / "docs"
RECIPES = ["autoencoders", "flows", "adversarial", "autoregressive", "diffusion", "text", "image-to-image"]
PAGES = [*RECIPES, "optimisation"]
FIELDS = {
    node.target.id
    for path in ROOT.rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next of its level."""
    text = (DOCS / f"{page}.md").read_text()
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page}.md has no section {title}"
    return found[1]


def first_column(text: str) -> list[str]:
    """What is between backticks in the first cells of the tables whose head is Recipe or Algorithm."""
    names, inside = [], False
    for line in text.splitlines():
        if line.startswith(("| Recipe |", "| Algorithm |")):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside:
            names += re.findall(r"`([\w-]+)`", line.split("|")[1])
    return names


@pytest.mark.parametrize("page", PAGES)
def test_a_family_page_follows_the_pattern(page: str) -> None:
    headings = re.findall(r"^## (.+)$", (DOCS / f"{page}.md").read_text(), re.MULTILINE)
    wanted = ["Idea", "Algorithms" if page == "optimisation" else "Recipes", "Options", "Figures", "What goes wrong"]
    assert [each for each in headings if each in wanted] == wanted
    idea = section(page, "Idea")
    assert "$$" in idea
    pictures = re.findall(r"!\[.+\]\((.+)\)", idea)
    assert pictures
    assert all((DOCS / each).stat().st_size < 400_000 for each in pictures)
    assert "results.md" in section(page, "Figures")
    assert section(page, "What goes wrong").count("\n|") >= 6


def test_every_recipe_stands_on_one_family_page() -> None:
    named = [name for page in RECIPES for name in first_column(section(page, "Recipes"))]
    ours = {name for name, entry in REGISTRY.items() if entry.make.__module__.startswith("genwerk.")}
    assert sorted(set(named) - ours) == []
    assert sorted(ours - set(named)) == []
    # those that another page explains may be mentioned there too
    twice = {name for name in named if named.count(name) > 1}
    assert twice <= {"vae-iaf"}


def test_every_algorithm_stands_on_the_page_of_optimisation() -> None:
    pytest.importorskip("pymoo")
    from genwerk.evolve.algorithms import ALGORITHMS

    assert set(first_column(section("optimisation", "Algorithms"))) == set(ALGORITHMS)


@pytest.mark.parametrize("page", PAGES)
def test_settings_on_a_family_page_exist(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text()
    for option in re.findall(r"--(?:model|data|train)((?:\.[a-z][\w-]*)+)", text):
        for part in option[1:].split("."):
            name = part.replace("-", "_")
            assert name in FIELDS or name.removeprefix("no_") in FIELDS or name in ("optim", "discriminator"), option
