"""What is seen of a training: a line that fits any width, the plan of stages, and how long rounds take."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from contextlib import suppress

import pytest
from rich.console import Console

from genwerk.cli.progress import say, table
from genwerk.core.model import Stage
from genwerk.families.autoencoder import AutoencoderConfig
from genwerk.families.mixture import MixtureConfig
from genwerk.families.two_stage import TwoStageConfig
from genwerk.runs import progress
from genwerk.runs.progress import Line, plan

VAE = ["loss 104.2", "elbo -104.2", "log likelihood -98.1", "kl 6.123", "29,100 examples/s"]
GAN = [
    *("discriminator loss 1.386", "accuracy 0.5123", "discriminator gradient norm 0.1234", "generator loss 0.6931"),
    *("generator gradient norm 0.4321", "12,345 examples/s"),
]


def drawn(line: Line, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    with console.capture() as shown:
        console.print(line, end="")
    return shown.get()


@pytest.mark.parametrize("figures", [VAE, GAN])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
def test_what_matters_comes_first_and_figures_drop_off(
    width: int, figures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Line("autoencoder", 0, 12_060)
    now[0] += 30
    line.move("autoencoder", 3_015, figures)
    text = drawn(line, width)
    assert len(text) <= width
    assert "\n" not in text
    assert text.startswith("autoencod")
    assert "3,015/12,060 1:30 left" in text
    assert "━" in text
    seen = [figure for figure in figures if figure in text]
    assert seen == figures[: len(seen)]
    assert seen or width < 80
    assert width < 250 or seen == figures


def test_the_time_left_is_that_of_the_stage_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Line("quick", 100, 1200)
    assert line.plain() == "quick   100/1,200 -:-- left"
    for seconds, stage, done in [(10, "quick", 200), (12, "slow", 201), (112, "slow", 301), (4000, "slow", 1200)]:
        now[0] = seconds
        line.move(stage, done, ["loss 1"])
        text = {200: "1:40", 201: "1:40", 301: "14:59"}.get(done)
        assert line.plain() == f"{stage} {done:>5,}/1,200 {f'{text} left' if text else 'in 1:06:40'}  loss 1"


def test_stages_are_named_with_their_rounds_and_what_sets_them() -> None:
    def stages(**lengths: int) -> list[Stage]:
        return [Stage(name.replace("_", " "), n, lambda *_: iter(())) for name, n in lengths.items()]  # type: ignore[arg-type, return-value]

    config = TwoStageConfig(autoencoder=AutoencoderConfig(), prior=MixtureConfig(), prior_rounds=200)
    assert plan(stages(autoencoder=6000, prior=200), config) == "autoencoder 6,000, prior 200 (‹model.prior_rounds›)"
    many = stages(**{f"class_{i}": 200 for i in range(10)}, last=7)
    assert plan(many, config) == "class 0 to class 9 10 x 200, last 7"


ON_A_TERMINAL = f"""
import fcntl, struct, termios
from rich.console import Console
from rich.live import Live
from genwerk.runs.progress import Line
for width in (60, 80, 120):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    for figures in ({VAE!r}, {GAN!r}):
        line = Line("train", 0, 10_000)
        line.move("train", 100, figures)
        with Live(line, console=Console(), auto_refresh=False):
            pass
"""


def test_a_terminal_shows_one_line_of_its_width() -> None:
    child, terminal = pty.fork()
    if not child:
        os.environ.pop("COLUMNS", None)
        os.execve(sys.executable, [sys.executable, "-c", ON_A_TERMINAL], {**os.environ, "TERM": "xterm"})
    written = b""
    with suppress(OSError), os.fdopen(terminal, "rb", 0) as file:
        while part := file.read(65536):
            written += part
    assert os.waitpid(child, 0)[1] == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    lines = list(dict.fromkeys(line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()))
    assert len(lines) == 6
    for width, line in zip([60, 60, 80, 80, 120, 120], lines, strict=True):
        assert len(line) <= width
        assert re.match(r"train ━+ +100/10,000 0:00 left", line)
        assert "loss" in line or width == 60


@pytest.mark.parametrize(
    ("terminal", "shown"), [(True, "one two\nthree\n/a/path/longer/than/that\n"), (False, "one two three {}\n")]
)
def test_sentences_are_broken_in_a_terminal_alone(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/a/path/longer/than/that"
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    say(f"one two three {path}")
    assert capsys.readouterr().out == shown.format(path)
    say("one two three four", whole=True)
    assert capsys.readouterr().out == "one two three four\n"
    say("  a b\n  one two four\n")
    assert capsys.readouterr().out == ("  a b\n  one two\n  four\n\n" if terminal else "  a b\n  one two four\n\n")


def test_a_row_ends_where_its_last_cell_does(capsys: pytest.CaptureFixture[str]) -> None:
    table(["name", "what"], [["vae", "a long description"], ["gan", "short"]])
    assert capsys.readouterr().out == "name  what\nvae   a long description\ngan   short\n"
