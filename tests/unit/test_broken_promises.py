"""What check-family says of a family that cannot be trained, and of a promise that is broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from genwerk.cli import main
from genwerk.core import plugins
from genwerk.testing import contract, promise, training
from genwerk.testing.case import prepared


def raising(error: Exception) -> Callable[[str], Any]:
    def case(_: str) -> Any:
        raise error

    return case


def error_of(does: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        does()
    return caught.value


def test_a_family_without_a_loss_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forgotten = NotImplementedError("BadTwo defines neither loss() nor turns()")
    monkeypatch.setattr(contract, "case", raising(forgotten))
    with pytest.raises(SystemExit) as ended:
        main(["check-family", "vae"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "the model of vae cannot be built and trained: NotImplementedError: BadTwo defines neither" in said


def test_a_broken_promise_says_what_was_found() -> None:
    """Where other tests of this process have the contract's assertions rewritten, pytest says it."""
    case: Any = SimpleNamespace(entry=SimpleNamespace(summary="Short."))
    said = contract.told(error_of(lambda: training.the_recipe_says_what_it_is(case, Path())))
    ours, theirs = r"not true: len\(case.entry.summary\) > 20; found 6", "assert 6 > 20"
    assert re.fullmatch(rf"AssertionError: ({ours}|{theirs}) \(training.py, line \d+\)", said)


def test_the_line_is_the_authors_own_where_one_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import json\n\n\ndef read():\n    return json.loads('{')\n")
    read: dict[str, Any] = {"__name__": f"{plugins.PREFIX}mine"}
    exec(compile(path.read_text(), str(path), "exec"), read)
    said = contract.told(error_of(read["read"]))
    assert said.startswith("JSONDecodeError: Expecting property name")
    assert said.endswith("(mine.py, line 5)")


def test_what_a_family_does_not_claim_is_what_it_lacks() -> None:
    flow = prepared("realnvp")
    assert promise.claims("encodes", "has-likelihood")(flow) is None
    assert promise.claims("completes", "has-likelihood")(flow) == "does not claim completes"
    assert promise.claims("completes", "encodes", "denoises")(flow) == "does not claim completes and denoises"
