"""Commands run in this process, as a user types them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genwerk.cli import main

Genwerk = Callable[..., str]


@pytest.fixture
def genwerk(capsys: pytest.CaptureFixture[str]) -> Genwerk:
    """Run the command; returns what it printed."""

    def call(*arguments: object) -> str:
        main([str(a) for a in arguments])
        return capsys.readouterr().out

    return call


@pytest.fixture
def stopped(capsys: pytest.CaptureFixture[str]) -> Genwerk:
    """Run a command that must end with exit code 2 and no traceback; returns what it said."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said

    return call


@pytest.fixture
def refused(stopped: Genwerk) -> Genwerk:
    """The same, where what it said is one sentence."""

    def call(*arguments: object) -> str:
        said = stopped(*arguments)
        assert said.startswith("genwerk: ")
        assert said.count("\n") == 1, said
        return said

    return call
