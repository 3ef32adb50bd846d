"""The card of a run tells a stranger what it is, of which data, with which figures, how to use it and where not to."""

from __future__ import annotations

import re

import numpy as np
import pytest

import genwerk

SECTIONS = ["What it is", "Data", "Training", "Figures", "Use", "Limits"]


def section(card: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    rows = np.random.default_rng(0).normal(size=(300, 3))
    texts = [f"the {a} cat sat on the {b} mat" for a in ("red", "blue", "old") for b in ("soft", "warm")] * 8
    quick = {"rounds": 4, "progress": False, "seed": 0}
    genwerk.train("vae", data="digits", out=folder / "image", **quick)
    genwerk.train("maf", rows, out=folder / "table", evaluate=False, **quick)
    genwerk.train("lstm-lm", texts, out=folder / "text", evaluate=False, **quick)
    return {name: (folder / name / "card.md").read_text() for name in ("image", "table", "text")}


@pytest.mark.parametrize("name", ["image", "table", "text"])
def test_a_card_has_its_sections_in_order(cards: dict[str, str], name: str) -> None:
    assert re.findall(r"^## (.+)$", cards[name], re.MULTILINE) == SECTIONS
    assert all(section(cards[name], title).strip() for title in SECTIONS)
    assert f"Written by Genwerk {genwerk.__version__}" in cards[name]


def test_a_card_says_what_the_model_does_and_of_which_rows_its_figures_are(cards: dict[str, str]) -> None:
    card = cards["image"]
    assert card.startswith("# vae, trained on digits\n")
    assert "gives bounds of likelihoods" in section(card, "What it is")
    assert "| training | 1,488 | trains the model |" in section(card, "Data")
    assert "4 rounds at most, batches of 128, seed 0. Cost: training CPU seconds" in section(card, "Training")
    assert "genwerk train vae --data digits --train.rounds 4" in section(card, "Training")
    assert "Measured on the 175 test examples, which neither trained" in section(card, "Figures")
    assert re.search(r"^\| ≤ NLL \|", section(card, "Figures"), re.MULTILINE)


def test_a_card_of_a_bad_model_says_where_it_falls_short(cards: dict[str, str]) -> None:
    limits = section(cards["image"], "Limits")
    assert "It falls short by its own figures." in limits
    assert "Fréchet distance: worse than noise" in limits
    assert "Its likelihoods are bounds" in limits


def test_commands_of_a_card_are_those_of_the_model(cards: dict[str, str]) -> None:
    used = {name: set(re.findall(r"genwerk ([a-z-]+) \S+", section(card, "Use"))) for name, card in cards.items()}
    assert used["image"] == {"sample", "encode", "evaluate"}
    assert used["table"] == {"sample", "encode", "outliers", "evaluate"}
    assert used["text"] == {"sample", "complete", "outliers", "evaluate"}


def test_python_on_a_card_runs(cards: dict[str, str]) -> None:
    code = re.search(r"```python\n(.*?)```", section(cards["text"], "Use"), re.DOTALL)
    assert code
    space: dict[str, object] = {}
    exec(code[1], space)
    assert isinstance(space["run"], genwerk.Run)


def test_a_card_without_figures_says_how_to_measure_them(cards: dict[str, str]) -> None:
    assert "Not measured yet: `genwerk evaluate " in section(cards["table"], "Figures")
    assert "on data in memory" in cards["table"]
