"""The archive gives back what it was given, to the last bit, and survives a kill at any byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genwerk.core.errors import BadFile, BadInput
from genwerk.evolve.archive import Archive, Columns, Outcome

COLUMNS = Columns(x=3, f=2, g=1)
X = np.random.default_rng(0).random((6, 3)) * [1e-300, 1, 1e300]
OUTCOMES = [Outcome((0.1 + i, -0.0, 1e-320), 'ValueError: "a", b\nc' if i == 2 else "") for i in range(6)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of two runs of three evaluations each, in turns."""
    path = tmp_path / "archive.csv"
    with Archive.opened(path, COLUMNS) as archive:
        for i in range(6):
            archive.add(i % 2, i // 2, X[i], OUTCOMES[i])
    return path


def test_known_solutions_are_answered_in_their_order(path: Path) -> None:
    with Archive.opened(path, COLUMNS) as archive:
        assert len(archive) == 6
        first = archive.answer(0, X[[0, 2]])
        assert [each.values for each in first] == [OUTCOMES[0].values, OUTCOMES[2].values]
        assert [each.failure for each in first] == ["", "ValueError: 'a', b c"]
        assert archive.answer(0, np.vstack([X[4], X[0]])) == [OUTCOMES[4]]
        assert archive.answer(0, X) == []
        assert np.signbit(archive.answer(1, X[[1]])[0].values[1])
        assert len(archive) == 2


@pytest.mark.parametrize("change", [1e-16, -1e-16])
def test_a_solution_that_differs_in_its_last_bit_is_refused(path: Path, change: float) -> None:
    with Archive.opened(path, COLUMNS) as archive, pytest.raises(BadInput, match="other solutions"):
        archive.answer(0, np.nextafter(X[:1], np.sign(change) * np.inf))


def test_a_kill_at_any_byte_loses_the_line_that_was_being_written_alone(path: Path) -> None:
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        kept = [line for i, line in enumerate(lines) if len(b"".join(lines[: i + 1])) <= end]
        with Archive.opened(path, COLUMNS) as archive:
            assert len(archive) == max(0, len(kept) - 1)
        assert path.read_bytes() == b"".join(kept or lines[:1])


def test_what_is_added_after_a_kill_stands_behind_what_is_whole(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with Archive.opened(path, COLUMNS) as archive:
        archive.add(1, 2, X[5], OUTCOMES[5])
    assert path.read_bytes() == whole


def test_a_damaged_line_is_named(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"0,0,1.0,2.0\n", b"\x00\xff\n", lines[3].replace(b"e-3", b"e_3")):
        path.write_bytes(b"".join([*lines[:3], damage, *lines[4:]]))
        with pytest.raises(BadFile, match=r"line 4 of .* is damaged"), Archive.opened(path, COLUMNS):
            pass


def test_other_columns_are_refused(path: Path) -> None:
    with pytest.raises(BadInput, match="other columns"), Archive.opened(path, Columns(x=3, f=2)):
        pass


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    (tmp_path / "archive.csv").symlink_to(tmp_path / "letter")
    with pytest.raises(BadInput, match="is a link"), Archive.opened(tmp_path / "archive.csv", COLUMNS):
        pass
    assert (tmp_path / "letter").read_text() == "dear"


def test_without_a_file_nothing_is_known() -> None:
    archive = Archive(COLUMNS)
    archive.add(0, 0, X[0], OUTCOMES[0])
    assert archive.answer(0, X) == []
