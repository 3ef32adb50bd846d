"""The lessons: pages quote the sections and figures of their scripts, and the scripts find these figures again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LESSONS = Path(__file__).resolve().parents[2] / "docs" / "lessons"
sys.path.append(str(LESSONS))
import lesson  # noqa: E402

SCRIPTS = sorted(LESSONS.glob("[0-9][0-9]_*.py"))
PAGES = [page for script in SCRIPTS for page in lesson.pages(script)]
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(LESSONS)))


def script_of(page: Path) -> Path:
    return LESSONS / f"{page.stem}.py"


def figures_of(script: Path) -> dict[str, float]:
    found = json.loads(script.with_suffix(".json").read_text())
    return {**found["figures"], "cpu_seconds": found["cpu_seconds"]}


@each_page
def test_a_page_quotes_its_script(page: Path) -> None:
    script, text = script_of(page), page.read_text()
    assert lesson.filled(text, lesson.sections(script), figures_of(script)) == text, "run docs/lessons/lesson.py"


@each_script
def test_both_languages_show_the_same(script: Path) -> None:
    english, chinese = (page.read_text() for page in lesson.pages(script))
    shown = [[m[1] for m in lesson.SHOWN.finditer(text)] for text in (english, chinese)]
    assert shown[0] == shown[1]
    assert len(shown[0]) >= 2
    quoted = [{m["name"] for m in lesson.QUOTED.finditer(text)} for text in (english, chinese)]
    assert quoted[0] == quoted[1]
    assert len(quoted[0]) >= 3
    pictures = [re.findall(r"pictures/[\w./-]+", text) for text in (english, chinese)]
    assert pictures[0] == pictures[1]
    assert pictures[0]


@each_page
def test_every_comment_is_understood_and_every_picture_there(page: Path) -> None:
    text = page.read_text()
    comments = re.findall(r"<!--.*?-->", text)
    assert len(comments) == len(lesson.SHOWN.findall(text)) + len(lesson.QUOTED.findall(text))
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


@each_page
def test_every_figure_measured_is_quoted_and_no_other_result(page: Path) -> None:
    """Figures that nobody reads are left out of the JSON file; numbers with decimals in the prose are quoted ones."""
    text = page.read_text()
    found = json.loads(script_of(page).with_suffix(".json").read_text())
    assert set(found["figures"]) <= {m["name"] for m in lesson.QUOTED.finditer(text)}
    assert set(found["within"]) == set(found["figures"])


def test_the_index_lists_every_lesson() -> None:
    for index in (LESSONS / "index.md", LESSONS / "zh" / "index.md"):
        assert re.findall(r"\]\((\d\d_\w+)\.md\)", index.read_text()) == [script.stem for script in SCRIPTS]


@pytest.mark.slow
@each_script
def test_a_script_finds_its_figures_again(script: Path, tmp_path: Path) -> None:
    env = os.environ | {"LESSON_OUT": str(tmp_path), "PYTHONPATH": str(LESSONS.parents[1])}
    subprocess.run([sys.executable, str(script)], env=env, check=True, timeout=3600)
    again = json.loads((tmp_path / script.with_suffix(".json").name).read_text())["figures"]
    known = json.loads(script.with_suffix(".json").read_text())
    assert again.keys() == known["figures"].keys()
    off = {
        name: (value, known["figures"][name])
        for name, value in again.items()
        if abs(value - known["figures"][name]) > known["within"][name] * abs(known["figures"][name]) + 1e-6
    }
    assert not off
