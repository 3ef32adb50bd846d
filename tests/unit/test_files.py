"""Files of others and our own: JSON within bounds, regular files alone, and no link followed to be written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from genwerk.core.errors import BadFile, BadInput, Unwritable, check_ranges, refusal
from genwerk.core.files import check_writable, open_own, open_regular, read_json, write_atomically


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "no JSON object"),
        (b"null", "no JSON object"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "nested more than 100 deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not valid JSON"),
        (b" " * 2000, "2,000 bytes; JSON of at most 1,000"),
    ],
)
def test_json_is_read_within_bounds(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=message):
        read_json(path, largest=1000 if message.endswith("1,000") else 2**20)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "pipe", "no regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "does not exist"),
    ):
        with pytest.raises(BadFile, match=message):
            open_regular(path)


def test_no_link_is_followed_to_be_written(tmp_path: Path) -> None:
    precious, link, twin = tmp_path / "precious", tmp_path / "link", tmp_path / "twin"
    precious.write_text("thesis")
    link.symlink_to(precious)
    os.link(precious, twin)
    for path in (link, twin):
        with pytest.raises(Unwritable, match="remove it"):
            open_own(path, os.O_APPEND)
    (tmp_path / f".card.md.tmp-{os.getpid()}").symlink_to(precious)
    for name in ("card.md", "link"):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert precious.read_text() == "thesis"
    assert not list(tmp_path.glob(".*"))


def test_a_failed_write_is_one_sentence_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomically(tmp_path / "card.md", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unwritable, match=r"card.md cannot be written: the disk is full"):
        write_atomically(tmp_path / "card.md", b"new")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_numbers_out_of_their_range_are_named() -> None:
    @dataclass(frozen=True)
    class Settings:
        rounds: int = 1
        betas: tuple[float, float] = (0.9, 0.999)
        clip: float | None = None

    for settings, message in (
        (Settings(rounds=-5), r"train.rounds is -5; expected a number 1 or more"),
        (Settings(betas=(0.9, 1.5)), r"train.betas is 1.5; expected a number from 0 to 1"),
        (Settings(clip=float("nan")), r"train.clip is nan; expected a finite number"),
    ):
        with pytest.raises(BadInput, match=message):
            check_ranges(settings, "train", rounds=(1, float("inf")), betas=(0, 1))
    check_ranges(Settings(), "train", rounds=(1, float("inf")), betas=(0, 1))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "x.csv"), "x.csv cannot be read or written: permission denied"),
        (OSError(30, "Read-only file system", "x"), "x cannot be read or written: its file system is read-only"),
        (OSError(28, "it needs 9 MB and 2 MB are free"), "the system refused: it needs 9 MB and 2 MB are free"),
        (
            OSError("Error while serializing: File too large (os error 27)"),
            "the system refused: larger than a file may",
        ),
    ],
)
def test_what_the_system_refuses_is_told_in_words(error: OSError, told: str) -> None:
    assert refusal(error).startswith(told)


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "x.csv")
    with pytest.raises(Unwritable, match="its name is too long"):
        check_writable(tmp_path / "new" / ("n" * 300))
    assert not list(tmp_path.iterdir())
