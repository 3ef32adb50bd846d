"""A command in a stranger's file: listed, parsed, run and rendered, with no edit elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from genwerk.cli import main
from genwerk.commands import COMMANDS, Command
from genwerk.commands.command import AtLeast, Positional, Short, options, summary
from genwerk.commands.results import Figures, Note, Written
from genwerk.core.abilities import ABILITIES
from genwerk.core.errors import BadSetting, naming
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class CountWords(Command):
    """Count the words of a sentence."""

    sentence: Annotated[str, Positional()]
    """What is counted."""
    times: Annotated[int, AtLeast(1), Short("t")] = 1
    """How often it is said."""
    out: Path | None = None
    """Where to write the sentence."""

    def run(self, session: Session) -> Iterator[Note | Figures | Written]:
        if self.sentence == "":
            raise BadSetting("sentence", "is empty; expected words")
        words = self.times * len(self.sentence.split())
        yield Figures({"words": words}, [Note(f"{words} words")])
        if self.out is not None:
            self.out.write_text(self.sentence)
            yield Written(self.out)


def test_it_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMANDS["count-words"] is CountWords
    main(["commands", "--json"])
    assert json.loads(capsys.readouterr().out)["count-words"] == {"needs": [], "what": "Count the words of a sentence."}
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "count-words" in capsys.readouterr().out


def test_it_is_parsed_run_and_rendered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["count-words", "two words", "-t", "3", "--out", str(tmp_path / "said.txt")])
    assert capsys.readouterr().out == f"6 words\nwrote {tmp_path / 'said.txt'}\n"
    main(["count-words", "two words", "--json"])
    assert json.loads(capsys.readouterr().out) == {"words": 2}
    with pytest.raises(SystemExit):
        main(["count-words", "--help"])
    assert "How often it is said." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["two words", "--times", "0"], "genwerk: --times is 0; expected 1 or more\n"),
        ([""], "genwerk: --sentence is empty; expected words\n"),
    ],
)
def test_its_mistakes_are_told_with_its_flags(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["count-words", *arguments])
    assert (end.value.code, capsys.readouterr().err) == (2, said)


# --- all commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_needs_what_there_is(name: str) -> None:
    command = COMMANDS[name]
    assert summary(command).endswith(".")
    assert all(option.help for option in options(command)), [o.name for o in options(command) if not o.help]
    assert {one for each in command.needs for one in each.split(" or ")} <= ABILITIES.keys()


def test_what_each_command_needs_of_a_model() -> None:
    """Commands that need nothing work with any run, or open none."""
    assert {name: {*command.needs} for name, command in COMMANDS.items() if command.needs} == {
        "sample": {"samples"},
        "complete": {"completes"},
        "translate": {"translates"},
        "image-to-image": {"denoises"},
        "watch": {"traces"},
        "reconstruct": {"encodes", "decodes"},
        "interpolate": {"decodes or interpolates-prompts"},
        "traverse": {"encodes", "decodes"},
        "encode": {"encodes"},
        "project": {"has-latent-prior"},
        "mix": {"styles"},
        "truncate": {"styles"},
        "edit": {"has-latent-prior"},
        "entanglement": {"has-latent-prior"},
        "zero-shot": {"aligns-text"},
        "search": {"aligns-text"},
        "classify": {"has-likelihood"},
        "outliers": {"has-likelihood or bounds-likelihood"},
        "nearest": {"samples"},
    }


def test_a_setting_has_the_word_of_the_face_that_shows_it() -> None:
    error = BadSetting("data.size", "is 3; expected 8 or more")
    assert str(error) == "data.size is 3; expected 8 or more"
    assert error.settings == ("data.size",)
    assert naming(error.sentence, str.upper) == "DATA.SIZE is 3; expected 8 or more"
