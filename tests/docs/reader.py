"""A reader who types what a page shows, with trainings cut to a few rounds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from pages import ROOT, blocks

from genwerk.cli import main
from genwerk.cli.parsing import of_today, parsed, without_plugins
from genwerk.core import plugins
from genwerk.core.errors import BadInput
from genwerk.recipes import REGISTRY
from genwerk.training.settings import to_json

RUNS = {words[-1]: words for words in next(blocks(ROOT / "docs" / "using-a-run.md")).commands}
"""How a reader came to the runs that a page uses and has not trained itself, as that page says."""
LENGTHS = ("--rounds", "--train.rounds", "--epochs", "--minutes")
LARGEST = 32
"""Pixels a side that trainings are cut to."""
NEVER = ("studio", "demo", "figure")
"""A server, and what takes minutes and has tests of its own: their options are parsed."""


class Reader:
    """Someone in a folder with data of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rounds: dict[str, int] = {}

    def type(self, words: list[str]) -> None:
        """Type a command of Genwerk, cut short."""
        self.prepare(words)
        if words[0] in NEVER:
            self.parse(words)
            return
        if words[-2:-1] == [">"]:
            with (self.folder / words[-1]).open("w") as file, redirect_stdout(file):
                main(self.cut(words[:-2]))
        else:
            main(self.cut(words))

    def parse(self, words: list[str]) -> None:
        """Have a command understood that is not run."""
        rest, files = without_plugins(of_today(words))
        for file in files:
            plugins.load(Path(file))
        try:
            parsed(rest, files)
        except BadInput as error:  # of a run that is not there, the options are not known
            if "is not a folder" not in error.sentence:
                raise

    def prepare(self, words: list[str], refused: bool = False) -> None:
        """Train the runs that the command uses, or is refused for, and the page did not train."""
        makes = words[words.index("--out") + 1] if not refused and words[0] == "train" and "--out" in words else None
        for word in words:
            if word in RUNS and (word != makes or "--resume" in words) and not (self.folder / word).exists():
                main(self.cut(["16" if of == "32" else of for of in RUNS[word]]))

    def cut(self, words: list[str]) -> list[str]:
        """The command with few rounds, few samples, and room where it writes."""
        if helps(words):
            return words
        cuts = {"train": self.cut_training, "compare": cut_comparison, "optimise": cut_optimisation}
        if words[0] in cuts:
            return cuts[words[0]](words)
        if words[0] == "evaluate":
            few = {"--samples": "40", "--examples": "20"}
            return [*words, *(word for name, value in few.items() if name not in words for word in (name, value))]
        if "--out" in words and (path := self.folder / words[words.index("--out") + 1]).is_file():
            path.unlink()
        return words

    def cut_training(self, words: list[str]) -> list[str]:
        rest = without(words, *LENGTHS)
        if "--data.size" in rest:
            place = rest.index("--data.size") + 1
            rest[place] = str(min(int(rest[place]), LARGEST))
        out = rest[rest.index("--out") + 1] if "--out" in rest else f"runs/{rest[1]}"
        if "--resume" not in rest:
            shutil.rmtree(self.folder / out, ignore_errors=True)
        self.rounds[out] = self.rounds.get(out, 0) + 2 if "--resume" in rest else 2
        rest += ["--rounds", str(self.rounds[out]), "--no-evaluate"]
        if rest[1] in REGISTRY and "--resume" not in rest:
            entry = REGISTRY[rest[1]]
            stages = (name for name in leaves(to_json(entry.make(entry.spec).model)) if name.endswith("_rounds"))
            rest += [word for name in stages for word in (f"--model.{name.replace('_', '-')}", "2")]
        return rest


def helps(words: list[str]) -> bool:
    return bool({"--help", "--help-all"} & {*words})


def cut_comparison(words: list[str]) -> list[str]:
    short = without(words, "--minutes", "--seeds")
    recipes = [] if all(word.startswith("runs/") for word in words[1:3]) else ["--examples", "64", "--seeds", "1"]
    return [*short, *recipes, "--evaluate.samples", "40", "--evaluate.examples", "20"]


def cut_optimisation(words: list[str]) -> list[str]:
    return [*without(words, "--runs", "--evaluations"), "--evaluations", "200"] if words[1:] else words


def without(words: list[str], *options: str) -> list[str]:
    """The words less some options and the value of each."""
    found, rest = iter(words), []
    for word in found:
        if word in options:
            next(found)
        else:
            rest.append(word)
    return rest


def leaves(settings: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Dotted names of all values of a config."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{within}{name}.")
        else:
            yield within + name
