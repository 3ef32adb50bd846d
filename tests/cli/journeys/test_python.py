"""A script as one writes it in a notebook, run by itself, and the command on the run that it made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SCRIPT = """
import numpy as np
import genwerk
from genwerk import RoundDone

rng = np.random.default_rng(0)
x = rng.normal(size=(200, 2))
events = []
run = genwerk.train("gan", x, rounds=3, samples=0, on_event=events.append)
rounds = [event for event in events if isinstance(event, RoundDone)]
samples = run.sample(5)
print(len(rounds), samples, samples._repr_png_()[:4])
samples.save("samples.csv")
genwerk.save(run.model, "model")
"""


def test_a_script_and_the_command_share_a_run(
    tmp_path: Path, genwerk: Callable[..., str], refused: Callable[..., str]
) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 5 examples: a table of 2 columns b'\\x89PNG'"
    assert len((tmp_path / "samples.csv").read_text().splitlines()) == 6
    for folder in ("runs/gan", "model"):
        genwerk("sample", tmp_path / folder, "-n", "3", "--out", tmp_path / folder / "three.csv")
        assert (tmp_path / folder / "three.csv").exists()
    assert "in Python, pass them again" in refused("nearest", tmp_path / "runs/gan")
