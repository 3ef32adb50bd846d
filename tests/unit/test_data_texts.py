"""Text files, good and bad, to examples: lines, files, sections, windows, columns of tables."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from genwerk.core.vocabularies import Characters, TextVocabulary
from genwerk.data import DataConfig, Splits, documents, open_data, texts
from genwerk.data.dataset import PARTS
from genwerk.data.documents import Texts, tokenised
from genwerk.data.parts import arranged

LINES = [f"line {i} says {i * i}" for i in range(60)]


def save(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def opened(path: Path, **settings: object) -> Splits:
    return open_data(DataConfig(source=str(path), **settings))  # type: ignore[arg-type]


def said(splits: Splits, part: str = "train") -> list[str]:
    return splits.spec.modality.lines(splits.part(part).batch().x)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_text_a_line_each_in_one_part_and_none_lost(tmp_path: Path, end: str) -> None:
    splits = opened(save(tmp_path / "my.txt", "\ufeff" + end.join([*LINES, "", "  ", ""])))
    assert sorted(text for part in PARTS for text in said(splits, part)) == sorted(LINES)
    assert splits.spec.shape == (max(map(len, LINES)) + 1,)
    assert any("Empty lines are passed over: 2" in note for note in splits.notes)
    again = opened(save(tmp_path / "other.txt", end.join(reversed(LINES))))
    assert set(said(again, "test")) == set(said(splits, "test"))


def test_the_vocabulary_is_of_the_training_part_and_the_rest_is_counted(tmp_path: Path) -> None:
    signs = [chr(0x4E00 + i) for i in range(60)]
    splits = opened(save(tmp_path / "my.txt", "\n".join(f"天{sign}" for sign in signs)))
    assert isinstance(splits.spec.vocabulary, Characters)
    assert set(splits.spec.vocabulary.symbols) == {sign for text in said(splits) for sign in text}
    assert any(f"Of {2 * len(splits.test):,} characters of the test part" in note for note in splits.notes)


def test_a_whole_file_is_cut_into_sections_and_windows_that_hold_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "SECTION", 4)
    whole = "".join(f"夜{i} " for i in range(400))
    splits = opened(save(tmp_path / "my.txt", whole), unit="file", length=10)
    rows = {part: splits.part(part).rows for part in PARTS}
    assert all(len(np.unique(each)) == 1 for each in rows.values())  # of one text
    found = sorted((text for part in rows for text in said(splits, part)), key=whole.find)
    assert found[0] == whole[:10]
    covered = np.zeros(len(whole), bool)
    for text in found:
        covered[whole.find(text) : whole.find(text) + len(text)] = True
    assert covered.all()
    assert sum(len(text) < 10 for text in found) <= 1  # where the text ends


@pytest.mark.parametrize(
    ("long", "lines"), [("windows", ["abcde", "fgh", "ab"]), ("cut", ["abcde", "ab"]), ("drop", ["ab"])]
)
def test_what_is_too_long_becomes_what_was_asked_for(long: documents.Long, lines: list[str]) -> None:
    vocabulary = Characters(symbols=tuple("abcdefgh"), length=5)
    x, owners = tokenised(Texts.of(["abcdefgh", "ab"]), vocabulary, long)
    assert vocabulary.decode(torch.from_numpy(x)) == lines
    assert owners.tolist() == [0] * (len(lines) - 1) + [1]


def test_a_text_that_goes_on_has_no_end() -> None:
    vocabulary = Characters(symbols=tuple("abcdefgh"), length=5)
    some = Texts.of(["abcdefgh", "ab"])
    some.goes_on[0] = True
    assert vocabulary.decode(torch.from_numpy(tokenised(some, vocabulary)[0])) == ["abcde", "defgh", "ab"]


def test_folders_have_a_text_a_file_or_parts_by_name(tmp_path: Path) -> None:
    for i in range(30):
        save(tmp_path / "many" / f"{i}.txt", f"first line\nand second {i}")
    save(tmp_path / "many" / "bad.txt", b"\xff\xfe\xfd")
    many = opened(tmp_path / "many")
    assert "first line\nand second" in said(many)[0]
    assert many.train.files is not None
    assert many.train.known(slice(1))["file"][0].endswith(".txt")
    assert [skip.name for skip in many.skipped] == ["bad.txt"]
    save(tmp_path / "parts" / "train.txt", "\n".join(LINES))
    save(tmp_path / "parts" / "test.txt", "line 1\nsays 7")
    assert said(opened(tmp_path / "parts"), "test") == ["line 1", "says 7"]


def test_a_zip_of_texts_is_read_as_the_folder(tmp_path: Path) -> None:
    folders = {
        "one": {"my.txt": "\n".join(LINES)},
        "many": {f"sub/{i}.TXT": f"first line\nand second {i}" for i in range(30)} | {"bad.txt": b"\xff\xfe\xfd"},
        "parts": {"train.txt": "\n".join(LINES), "test.txt": "line 1\nsays 7"},
    }
    for name, files in folders.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("__MACOSX/._my.txt", b"\0\1")
            for place, content in files.items():
                archive.writestr(place, content)
                save(tmp_path / name / place, content)
        zipped, plain = opened(tmp_path / f"{name}.zip"), opened(tmp_path / name)
        assert zipped.spec == plain.spec
        assert [skip.name for skip in zipped.skipped] == [skip.name for skip in plain.skipped]
        assert all(sorted(said(zipped, part)) == sorted(said(plain, part)) for part in PARTS)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("my.txt", "")
    with pytest.raises(ValueError, match=r"empty\.zip/my\.txt is empty; expected a text on every line"):
        opened(tmp_path / "empty.zip")


def test_of_a_damaged_zip_of_texts_what_is_whole_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as archive:
        archive.writestr("first.txt", "it was whole once")
        archive.writestr("second.txt", "it is whole")
    whole = (tmp_path / "damaged.zip").read_bytes()
    (tmp_path / "damaged.zip").write_bytes(whole.replace(b"it was whole once", b"it was whole onze", 1))
    found = opened(tmp_path / "damaged.zip")
    assert said(found, "train") == ["it is whole"]
    assert [(each.name, each.reason) for each in found.skipped] == [
        ("first.txt", "cannot be read: it cannot be decoded (BadZipFile: Bad CRC-32 for file 'first.txt')")
    ]


def test_a_row_is_the_line_of_the_file_that_a_text_stands_in(tmp_path: Path) -> None:
    splits = opened(save(tmp_path / "my.txt", "\n\n" + "\n \n".join(LINES)))
    rows = {text: row for part in PARTS for text, row in zip(said(splits, part), splits.part(part).rows, strict=True)}
    assert [int(rows[line]) for line in LINES] == [2 + 2 * i for i in range(60)]


def test_a_column_of_a_table(tmp_path: Path) -> None:
    rows = [f'"{line}, yes",{"odd" if i % 2 else "even"}' for i, line in enumerate(LINES)]
    path = save(tmp_path / "my.csv", "\n".join(["review,label", *rows, ",odd"]))
    splits = opened(path, text="review")
    assert splits.spec.classes == ("even", "odd")
    assert all(text.endswith(", yes") for text in said(splits))
    assert splits.train.condition is not None
    assert {skip.reason for skip in splits.skipped} == {"it has no text"}
    with pytest.raises(ValueError, match=r"where it holds texts to learn, name it by data\.text"):
        opened(path)
    with pytest.raises(ValueError, match=r"no column 'words' for data\.text; its columns are review, label"):
        opened(path, text="words")


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(json.dumps({"id": i, "text": text}) for i, text in enumerate(LINES)),
        "\n".join(map(json.dumps, LINES)),
    ],
)
def test_lines_of_json_hold_texts(tmp_path: Path, content: str) -> None:
    splits = opened(save(tmp_path / "my.jsonl", content))
    assert sorted(text for part in PARTS for text in said(splits, part)) == sorted(LINES)
    with pytest.raises(ValueError, match=r"torn\.jsonl"):
        opened(save(tmp_path / "torn.jsonl", content[:-3]))


def test_an_entry_of_json_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no column 'body' .* its columns are text"):
        opened(save(tmp_path / "my.jsonl", '{"text": "a cat"}\n{"text": "a dog"}'), text="body")


def test_a_gzipped_text_file_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "\n".join(LINES).encode()
    plain = opened(save(tmp_path / "my.txt", whole))
    packed = opened(save(tmp_path / "my.txt.gz", gzip.compress(whole)))
    assert all(said(plain, part) == said(packed, part) for part in PARTS)
    with pytest.raises(ValueError, match="not a whole gzip file"):
        opened(save(tmp_path / "torn.txt.gz", gzip.compress(whole)[:-9]))
    monkeypatch.setattr(texts, "UNPACKED", 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        opened(tmp_path / "my.txt.gz")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; expected a text on every line"),
        (b"\xef\xbb\xbf", "is empty; expected a text on every line"),
        (b"\xff\xfe", "is empty; expected a text on every line"),
        ("a text".encode("utf-32"), "is in UTF-32; save it in UTF-8"),
        ("a text".encode("utf-16-be"), "has a NUL byte in line 1"),
        (b" \n\t\n", "holds white space alone"),
        (b"good\nbad \xff\n", r"is not UTF-8 in line 2 \(byte 0xff\); save it in UTF-8"),
        (b"cut \xe4\xb8", r"is not UTF-8 in line 1 \(byte 0xe4\)"),
        (b"one\ntwo\0\n", "has a NUL byte in line 2, so it is no text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 in line 1|NUL byte"),
    ],
)
def test_what_is_no_text_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        opened(save(tmp_path / "my.txt", content))


def test_a_line_without_an_end_is_cut_into_sections(tmp_path: Path) -> None:
    splits = opened(save(tmp_path / "my.txt", "word " * 40_000))
    assert len(splits.test)
    assert len(splits.test) < len(splits.train)
    assert any("cut into sections" in note for note in splits.notes)


def test_large_texts_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "my.txt", "\n".join(LINES))
    plain = opened(path)
    monkeypatch.setattr(texts, "LARGE", 100)
    monkeypatch.setattr("genwerk.data.cache.LARGE", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        mapped = opened(path)
        assert mapped.train.texts is not None
        assert isinstance(mapped.train.texts.raw, np.memmap)
        assert torch.equal(mapped.train.x, plain.train.x)
    assert len(list((tmp_path / "cache").rglob("x.npy"))) == 3


def test_another_source_is_read_with_the_vocabulary_of_the_first(tmp_path: Path) -> None:
    first = opened(save(tmp_path / "my.txt", "\n".join(LINES)))
    other = opened(save(tmp_path / "test.txt", "says 7\nzebra says"))
    read = arranged(other.train, first.spec, "test.txt")
    assert isinstance(first.spec.vocabulary, TextVocabulary)
    assert read.spec.vocabulary == first.spec.vocabulary
    assert read.x.shape[1:] == first.spec.shape
