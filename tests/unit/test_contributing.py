"""The family that CONTRIBUTING.md shows works as it stands, and keeps what every family promises."""

from __future__ import annotations

import json
import re
from pathlib import Path

from forkserver import run

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def genwerk(folder: Path, *words: str) -> str:
    done = run(folder, *words, "--plugin", "small_gan.py")
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_example_is_a_family(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", CONTRIBUTING.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "small_gan.py").write_text(example)
    found = json.loads(genwerk(tmp_path, "check-family", "small-gan", "--json"))
    assert found["samples"] == found["resume is bit exact at a random round"] == "kept"
    (tmp_path / "table.csv").write_text("a,b\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(200)))
    genwerk(tmp_path, "train", "small-gan", "--data", "table.csv", "--rounds", "5", "--evaluate.samples", "0")
    genwerk(tmp_path, "sample", "runs/small-gan", "-n", "3", "--out", "some.csv")
    assert len((tmp_path / "some.csv").read_text().splitlines()) == 4
