"""What the page shows in Chinese: every help text is translated, and so is every sentence of the studio's server."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import genwerk
from genwerk.commands import COMMANDS
from genwerk.commands.command import options
from genwerk.core.options import SamplingOptions
from genwerk.studio.forms import TERMINALS
from genwerk.studio.questions import Questions
from genwerk.studio.showing import spoken
from genwerk.studio.wording import said
from genwerk.tasks.fitting import offers

STUDIO = Path(genwerk.__file__).parent / "studio"
WORDS = STUDIO / "static" / "words"
HIDDEN = {"recipe", "out", "resume", "config", "from_run", "data.source", "tensorboard"}
"""Settings of a training that its form leaves out."""
RAISED = {"BadInput", "Refused", "Denied", "Full"}
OF_THE_TERMINAL = {"command.py"}
"""Files whose sentences are told before there is a page."""


def ours(kind: type) -> bool:
    """Whether ``kind`` is the library's: other tests in this process define commands and options of their own."""
    return kind.__module__.startswith("genwerk.")


def commands(questions: Questions) -> list[dict[str, Any]]:
    return [form for form in questions.commands() if ours(COMMANDS[form["name"]])]


def helped(root: Path) -> Iterator[str]:
    """Summaries and help texts of all commands, recipes and sampling options that the page offers."""
    questions = Questions(root)

    def of(sections: list[dict[str, Any]], hidden: Collection[str] = ()) -> Iterator[str]:
        for section in sections:
            yield section["about"]
            yield from (field["help"] for field in section["fields"] if field["name"] not in hidden)

    def kinds(of_options: type[SamplingOptions]) -> Iterator[type[SamplingOptions]]:
        for kind in of_options.__subclasses__():
            yield from (kind, *kinds(kind))

    for command in commands(questions):
        assert command["name"] not in TERMINALS
        yield command["summary"]
        yield from of(command["sections"])
    for offer in offers():
        yield spoken(offer.entry.summary)
        yield from of(questions.recipe(offer.entry.name)["sections"], HIDDEN)
    for kind in filter(ours, kinds(SamplingOptions)):
        yield from (spoken(option.help) for option in options(kind))


def test_every_help_text_of_the_page_is_in_chinese(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh.json").read_text("utf-8")) | json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    texts = {text for text in helped(tmp_path) if text}
    assert len(texts) > 500
    assert [text for text in texts if text not in known] == []


def test_no_translation_is_of_a_text_that_is_gone(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    helps = {text: words for text, words in known.items() if not text.startswith("field:")}
    assert all(re.search("[\u4e00-\u9fff]", words) or "alpha" in words for words in helps.values())
    assert not helps.keys() - set(helped(tmp_path))


def test_every_field_of_the_page_has_a_chinese_name(tmp_path: Path) -> None:
    known = json.loads((WORDS / "zh.json").read_text("utf-8")) | json.loads((WORDS / "zh-help.json").read_text("utf-8"))
    questions = Questions(tmp_path)
    forms = [*commands(questions), *(questions.recipe(offer.entry.name) for offer in offers())]
    names = {field["name"] for form in forms for section in form["sections"] for field in section["fields"]}
    assert len(names) > 400

    def named(name: str) -> bool:
        last = name.rpartition(".")[2]
        spelt = re.sub("[-_]+", " ", last)
        return bool({f"field:{name}", f"field:{last}", spelt[:1].upper() + spelt[1:]} & known.keys())

    assert not [name for name in names - HIDDEN if not named(name)]


def sentences(path: Path) -> Iterator[str]:
    """The sentences that a file raises, with a word where a value is put in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr):
                    yield "".join(
                        str(each.value) if isinstance(each, ast.Constant) else "17" for each in argument.values
                    )
                elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def test_every_sentence_of_the_server_is_in_chinese() -> None:
    found = [text for path in STUDIO.glob("*.py") if path.name not in OF_THE_TERMINAL for text in sentences(path)]
    assert len(found) > 40
    assert not [text for text in map(spoken, found) if said(text, "zh") == text]
