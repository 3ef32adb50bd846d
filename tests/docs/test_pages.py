"""Every code block of README and docs is executed as it stands, but for the length of trainings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, Block, blocks, make_data
from reader import Reader

import genwerk
from genwerk.cli import main

QUICK = {
    "README.md",
    "docs/getting-started.md",
    "docs/training.md",
    "docs/troubleshooting.md",
    "docs/your-own.md",
}
"""Pages whose blocks take a few seconds together."""
ELSEWHERE = {"docs/python.md": "tests/unit/test_python.py", "CONTRIBUTING.md": "tests/unit/test_contributing.py"}
"""Pages that another test executes."""
OWN = {"docs/diffusion.md": {"captions.csv": "photos/metadata.csv"}}
"""Files that readers of a page have elsewhere."""
OF_THE_SYSTEM = re.compile(
    r"([A-Z_]+=\S+ )?(\.venv/bin/)?(pip|python3?|make|git|uv|pipx|conda|source|torchrun|srun|"
    r"wait|head=|#SBATCH|#!|export|cd|pytest|npm|npx)\b"
)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


ENGLISH = [page for page in PAGES if page.parent.name != "zh" and page.name != "README.zh-CN.md"]
THERE = [block for page in ENGLISH for block in blocks(page)]


def own(page: Path) -> list[Block]:
    """Blocks of a page, but for those that a Chinese page has from English ones, which are executed there."""
    if page in ENGLISH:
        return list(blocks(page))
    code, commands = {block.text for block in THERE}, {tuple(words) for block in THERE for words in block.commands}
    return [b for b in blocks(page) if b.text not in code and not commands.issuperset(map(tuple, b.commands))]


MADE = [page for page in PAGES if name(page) not in ELSEWHERE and own(page)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with data of one's own, and nothing left in the registries afterwards."""
    from genwerk.commands import COMMANDS
    from genwerk.core.modality import MODALITIES
    from genwerk.core.model import Model
    from genwerk.data import BUILT_INS
    from genwerk.recipes import REGISTRY

    registries: list[dict[str, Any]] = [COMMANDS, MODALITIES, Model.registry, BUILT_INS, REGISTRY]  # type: ignore[list-item]
    kept = [dict(each) for each in registries]
    train = genwerk.train
    monkeypatch.setattr(genwerk, "train", lambda *a, **k: train(*a, **{**k, "rounds": 2, "evaluate": False}))
    make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for registry, before in zip(registries, kept, strict=True):
        registry.clear()
        registry.update(before)


def execute(block: Block, reader: Reader, space: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    if block.language == "python":
        if block.not_run:
            compile(block.text, str(block), "exec")
        elif file := re.match(r"# (\w+\.py)\n", block.text):
            (reader.folder / file[1]).write_text(block.text, encoding="utf-8")
        else:
            exec(compile(block.text, str(block), "exec"), space)
    for words in block.commands:
        capsys.readouterr()
        try:
            if block.not_run:
                reader.parse(words)
            else:
                reader.type(words)
        except SystemExit as end:
            if end.code:
                pytest.fail(f"{block}: genwerk {' '.join(words)}\n{capsys.readouterr().err}")
        except Exception as error:
            raise AssertionError(f"{block}: genwerk {' '.join(words)}") from error
    if block.says:
        words = Block(block.page, block.line, "sh", block.says).commands[0]
        reader.prepare(words, refused=True)
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
        said = " ".join(capsys.readouterr().err.split())
        assert " ".join(block.text.split()) in said, str(block)


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=name(p), marks=() if name(p) in QUICK else pytest.mark.slow) for p in MADE]
)
def test_what_a_page_shows_works(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for source, place in OWN.get(name(page), {}).items():
        (folder / place).write_text((folder / source).read_text())
    reader, space = Reader(folder), {"__name__": "__main__"}
    for block in own(page):
        execute(block, reader, space, capsys)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_shows_is_known(page: Path) -> None:
    """Each line of a shell is a command of Genwerk or of the system; what is not run says why."""
    for block in blocks(page):
        assert block.language in ("", "sh", "console", "python", "text", "toml", "json", "bibtex", "{toctree}") or (
            block.language.startswith("{genwerk-")
        ), str(block)
        if block.not_run or block.language not in ("", "sh", "console"):
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            command = line.removeprefix("$ ").strip()
            known = not command or command.startswith(("#", "genwerk ", ".venv/bin/genwerk ")) or command == "genwerk"
            assert known or OF_THE_SYSTEM.match(command), f"{block}: {line}"


def test_targets_of_make_exist() -> None:
    targets = {*re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}
    named = {t for page in PAGES for t in re.findall(r"(?:`|^)make ([\w-]+)", page.read_text("utf-8"), re.MULTILINE)}
    assert named <= targets


def test_the_picture_of_the_architecture_is_that_of_the_imports() -> None:
    check = [sys.executable, str(ROOT / "docs" / "architecture.py"), "--check"]
    assert subprocess.run(check, check=False, env=os.environ).returncode == 0
