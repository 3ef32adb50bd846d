"""A process that computes for the page: it is asked by lines of JSON, and answers by lines of JSON.

Run as ``python -m genwerk.studio.worker ROOT``. A line asks either a question of
:class:`~genwerk.studio.questions.Questions` (``{"id": 1, "ask": "runs", "values": {}}``) or for a command
(``{"id": 2, "command": "sample", "run": "runs/vae", "values": {}, "uploads": {}, "folder": "/tmp/..."}``); what comes
back has the same id, and ``{"type": "end"}`` is the last of it. SIGINT ends what is being computed, not the process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from genwerk.cli.parsing import parsed
from genwerk.commands.command import Opens, options, results
from genwerk.core.errors import BadInput, refusal
from genwerk.runs.opened import outline
from genwerk.runs.session import Session
from genwerk.studio.forms import APART, OUT, makes_folder, options_of, training_words, words
from genwerk.studio.jobs import FAULT
from genwerk.studio.offered import offered
from genwerk.studio.questions import Questions, answer
from genwerk.studio.showing import Page, Tell, settings_of, spoken, without_paths


def serve(root: Path, given: TextIO, out: TextIO) -> None:
    """Answer every line of ``given`` until it ends."""
    questions = Questions(root)

    def send(id: int, told: Mapping[str, Any]) -> None:
        line = json.dumps({"id": id, **told})
        out.write((line if told["type"] == "words" else without_paths(line, root)) + "\n")
        out.flush()

    for line in given:
        asked = json.loads(line)
        tell: Tell = partial(send, asked["id"])
        warnings.showwarning = lambda message, *_, tell=tell, **__: tell(
            {"type": "note", "text": spoken(getattr(message, "sentence", str(message)))}
        )
        end: dict[str, Any] = {"type": "end"}
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                if "ask" in asked:
                    tell({"type": "answer", "answer": answer(questions, asked["ask"], asked["values"])})
                else:
                    run(questions, asked, tell)
            except Exception as error:
                end |= told_of(error)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:  # which may come again before it is ignored
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            end = {"type": "end", "cancelled": True}
        tell(end)


def run(questions: Questions, asked: Mapping[str, Any], tell: Tell) -> None:
    """A command, as the page filled it in; of a training the words that start it are told."""
    if asked["command"] == "train":
        tell({"type": "words", "words": training_words(questions.root, asked["values"], asked["uploads"])})
        return
    values = questions.root.named(asked["values"], {name: Path(path) for name, path in asked["uploads"].items()})
    command, name, model = offered(asked["command"]), asked["run"], None
    apart = values.pop(APART, False) is True
    if OUT in values:
        if not makes_folder(command):
            raise BadInput(f"there is no setting ‹{OUT}› here")
        questions.root.new(str(values[OUT]))
    first = [asked["command"]]
    if name is not None:
        model = outline(questions.root.run(name))
        values = {next(each.name for each in options(command) if each.has(Opens)): name, **values}
    typed = words(options_of(command, model), values, first)
    folder = Path(asked["folder"])
    asked_for = parsed(typed)
    if apart and asked_for.command.output:
        asked_for = replace(asked_for, out=f"{folder}/{asked_for.command.output}/")
    page = Page(asked_for, folder, questions.root.path, tell)
    with (
        closing(page),
        Session(page.asked.machine, page.note, page.opened, page.frame) as session,
        closing(results(page.asked.command, session)) as found,
    ):
        for result in found:
            page.show(result)


def told_of(error: Exception) -> dict[str, Any]:
    """What the page is told of an ``error``: a sentence, and the ``settings`` that it names."""
    sentence = error.sentence if isinstance(error, BadInput) else _sentence(error)
    named = error.settings if isinstance(error, BadInput) else ()
    settings = [*settings_of(sentence), *named]
    settings.sort(key=lambda each: each != OUT)  # where another folder helps, that is what is to be changed
    return {"error": spoken(sentence), "settings": list(dict.fromkeys(settings))}


def _sentence(error: Exception) -> str:
    """What a user can mend, or that the fault is ours; that is shown in the terminal."""
    if isinstance(error, OSError):
        return refusal(error)
    from genwerk.core.batching import out_of_memory

    if isinstance(error, (MemoryError, RuntimeError)) and out_of_memory(error):
        return "there is not enough memory for this; ask for fewer or smaller examples"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return str(error).split("\n")[0]
    import traceback

    traceback.print_exception(error)
    return FAULT


def main() -> None:
    """Serve standard input; what else is printed goes to standard error."""
    root = Path(sys.argv[1])
    os.chdir(root)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ignored: Callable[..., Any] = signal.SIG_IGN  # type: ignore[assignment]
    signal.signal(signal.SIGHUP, ignored)
    serve(root, sys.stdin, answers)


if __name__ == "__main__":
    main()
