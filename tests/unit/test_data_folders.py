"""Folders and zips as people have them: links, pipes, odd names, tables beside the files, and what cannot be used."""

from __future__ import annotations

import io
import json
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main
from genwerk.data import DataConfig, open_data
from genwerk.data.folders import list_folder, list_zip

RNG = np.random.default_rng(0)


def png(size=4):
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (size, size, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


PNG = png()


def fill(folder: Path, *names: str, content: bytes = PNG) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def listed(folder, **options):
    return list_folder(folder, DataConfig(source=str(folder), **options))


def names(pictures):
    return [p.name for p in pictures]


def labels(listing):
    return {p.name: p.label for p in listing.train}


def said(listing, *words):
    return all(any(word in note for note in listing.notes) for word in words)


def reasons(listing):
    return {s.name: s.reason for s in listing.skipped}


def zipped(path: Path, members: dict[str, bytes], compression=zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo()
            info.filename, info.compress_type = name, compression  # as it is, also with backslashes
            archive.writestr(info, content)
    return path


def listed_zip(path, **options):
    with zipfile.ZipFile(path) as archive:
        return list_zip(path, archive, DataConfig(source=str(path), **options))


# --- Links, and what is no file -------------------------------------------------------------------------------------


def test_linked_class_folders_are_read_and_no_folder_twice(tmp_path):
    fill(tmp_path / "store/cat", "0.png", "1.png")
    data = fill(tmp_path / "data", "dog/0.png")
    (data / "cat").symlink_to(tmp_path / "store/cat")
    (data / "dog" / "up").symlink_to(data)
    (data / "dog" / "sideways").symlink_to(data / "cat")
    found = listed(data)
    assert labels(found) == {"cat/0.png": "cat", "cat/1.png": "cat", "dog/0.png": "dog"}
    assert sorted(reasons(found)) == ["dog/sideways", "dog/up"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", ["a.png", "a.wav", "metadata.csv", "0.txt", "train.csv", "x.npy", "images.idx3"])
def test_nothing_waits_for_a_pipe(tmp_path, name):
    fill(tmp_path, "0.png", "1.png")
    os.mkfifo(tmp_path / name)
    assert len(open_data(DataConfig(source=str(tmp_path), holdout=0)).train) == 2
    with pytest.raises(ValueError, match="expected a file"):
        open_data(DataConfig(source=str(tmp_path / name)))
    fill(tmp_path / "tables", "train.csv", "other.csv", content=b"a,b\n1,2\n3,4\n")
    os.mkfifo(tmp_path / "tables" / "test.csv")
    assert open_data(DataConfig(source=str(tmp_path / "tables"))).spec.kind == "table"


def test_sockets_devices_and_broken_links_are_named(tmp_path, monkeypatch):
    fill(tmp_path, "0.png")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
        (tmp_path / "null.png").symlink_to("/dev/null")
        (tmp_path / "gone.png").symlink_to("nowhere.png")
        (tmp_path / "loop.png").symlink_to("loop.png")
        assert sorted(reasons(listed(tmp_path))) == ["gone.png", "loop.png", "null.png", "s.png"]


def test_what_may_not_be_read_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "0.png", "closed.png", "shut/1.png")
    scandir, stat = os.scandir, os.open

    def refuse(path, *rest, call):
        if os.fspath(path).endswith(("closed.png", "shut")):
            raise PermissionError(13, "Permission denied", path)
        return call(path, *rest)

    monkeypatch.setattr(os, "scandir", lambda path: refuse(path, call=scandir))
    monkeypatch.setattr(os, "open", lambda path, *rest: refuse(path, *rest, call=stat))
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert len(splits.train) == 1
    assert {s.name: "permission denied" in s.reason for s in splits.skipped} == {"closed.png": True, "shut": True}


# --- Names ----------------------------------------------------------------------------------------------------------


def test_names_that_are_not_utf8_or_drive_a_terminal_are_escaped(tmp_path, capsys):
    for name in (b"caf\xe9/0.png", b"tea/1.png", b"tea/\x1b]0;owned\x07.png", b"tea/bad\xff.png"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no" if b"bad" in name else PNG)
    (tmp_path / "metadata.csv").write_bytes(b"file_name,text\n" + rb"caf\xe9/0.png,a" + b"\ntea/1.png,b\n")
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert splits.spec.classes == (r"caf\xe9", "tea")
    assert {s.name for s in splits.skipped} == {r"tea/\x1b]0;owned\x07.png", r"tea/bad\xff.png"}
    main(["data", "check", str(tmp_path)])
    main(["data", "check", str(tmp_path), "--json"])
    assert "\x1b" not in capsys.readouterr().out.encode("utf-8").decode()


# --- Parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelled", [("train", "val", "test"), ("Train", "Validation", "TEST"), ("training", "valid", "testing")]
)
def test_parts_are_found_in_any_case(tmp_path, spelled):
    for part, n in zip(spelled, (3, 2, 1), strict=True):
        fill(tmp_path / "set" / part, *(f"{c}/{i}.png" for c in "ab" for i in range(n)))
    found = listed(tmp_path)
    assert [len(p) for p in (found.train, found.validation, found.test)] == [6, 4, 2]
    assert {p.label for p in found.test} == {"a", "b"}


def test_what_stands_beside_the_parts_is_said(tmp_path):
    fill(tmp_path, "train/0.png", "test/1.png", "more/2.png", "3.png")
    found = listed(tmp_path)
    assert (names(found.train), names(found.test)) == (["train/0.png"], ["test/1.png"])
    assert said(found, "left unused: images beside them, more.")


@pytest.mark.parametrize("tops", [("train", "tram"), ("test", "val"), ("train", "training")])
def test_classes_may_be_called_like_parts(tmp_path, tops):
    fill(tmp_path, *(f"{top}/0.png" for top in tops))
    assert {p.label for p in listed(tmp_path).train} == set(tops)


def test_classes_are_sought_below_the_folder_that_holds_all(tmp_path):
    fill(tmp_path / "a/b", "cat/x/0.png", "dog/1.png")
    assert labels(listed(tmp_path)) == {"a/b/cat/x/0.png": "cat", "a/b/dog/1.png": "dog"}


# --- Captions and labels --------------------------------------------------------------------------------------------


def test_captions_and_class_folders_go_together(tmp_path):
    fill(tmp_path, "cat/0.png", "dog/1.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\ncat/0.png,one\ndog\\1.png,two\n")
    splits = open_data(DataConfig(source=str(tmp_path), holdout=0))
    assert splits.spec.classes == ("cat", "dog")
    assert sorted(splits.train.captions) == ["one", "two"]


def test_json_lines_give_captions_and_labels(tmp_path):
    fill(tmp_path, "0.png", "1.png", "2.png", "3.png")
    rows = [
        {"file_name": "./0.png", "caption": "a, b", "label": 3},
        {"file_name": "1.png", "caption": "één", "label": 4},
        {"file_name": "2.png", "caption": "c", "label": None},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    found = listed(tmp_path)
    assert {p.name: (p.caption, p.label) for p in found.train} == {"0.png": ("a, b", "3"), "1.png": ("één", "4")}
    assert reasons(found) == {
        "2.png": "metadata.jsonl gives it no label",
        "3.png": "metadata.jsonl does not name it",
    }


@pytest.mark.parametrize(
    "line", ["[1]", "{", '{"text": "a"}', '{"file_name": 3}', "[" * 10_000, '{"file_name": "x.png"}']
)
def test_json_lines_that_make_no_sense_are_one_sentence(tmp_path, line):
    fill(tmp_path, "0.png")
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(ValueError, match=r"metadata\.jsonl"):
        listed(tmp_path)


def test_text_files_beside_the_images_are_captions(tmp_path):
    for i in range(2):
        fill(tmp_path, f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(f"a thing\n{i}\n")
    (tmp_path / "readme.txt").write_text("hello")
    found = listed(tmp_path)
    assert [p.caption for p in found.train] == ["a thing 0", "a thing 1"]
    assert said(found, "gives its caption", "1 with .txt")


@pytest.mark.parametrize("content", [b"\xff\xfe\xfd", bytes(70_000), None])
def test_captions_are_read_where_every_image_has_one(tmp_path, content):
    fill(tmp_path, "0.png", "1.png")
    (tmp_path / "0.txt").write_text("a thing")
    if content is not None:
        (tmp_path / "1.txt").write_bytes(content)
    found = listed(tmp_path)
    assert [p.caption for p in found.train] == [None, None]
    assert said(found, "the first is 1.png")


def test_stylegans_labels_are_read(tmp_path):
    fill(tmp_path, "00000/a.png", "00000/b.png", "00001/c.png", "00001/d.png")
    pairs = [["00000/a.png", 5], ["00000/b.png", 7], ["00001/c.png", 5]]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": pairs}))
    found = listed(tmp_path)
    assert labels(found) == {"00000/a.png": 5, "00000/b.png": 7, "00001/c.png": 5}
    assert reasons(found) == {"00001/d.png": "dataset.json gives it no label"}
    (tmp_path / "dataset.json").write_text('{"labels": null}')
    assert set(labels(listed(tmp_path)).values()) == {None}  # its folders are shards, not classes


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"labels": 3}', '{"labels": [["x"]]}', '{"labels": [["x.png", 1]]}', "{}"]
)
def test_another_dataset_json_is_said_to_be_unused(tmp_path, content):
    fill(tmp_path, "a/0.png", "b/1.png")
    (tmp_path / "dataset.json").write_text(content)
    found = listed(tmp_path)
    assert set(labels(found).values()) == {"a", "b"}
    assert said(found, "dataset.json")


# --- What is not used -----------------------------------------------------------------------------------------------


def test_every_file_that_is_not_used_is_named_or_counted(tmp_path):
    fill(
        tmp_path,
        "0.png",
        "1.jfif",
        "2.jpe",
        "phone.heic",
        "raw/3.DNG",
        "old.ppm",
        "song.m4a",
        "a.pdf",
        "b.pdf",
        "LICENSE",
        ".x.png",
    )
    fill(tmp_path, "Thumbs.db", "desktop.ini", ".DS_Store", "._0.png", "__MACOSX/0.png", content=b"")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    found = listed(tmp_path)
    assert names(found.train) == ["0.png", "1.jfif", "2.jpe"]
    assert reasons(found) == {
        "old.ppm": ".ppm is not read; save it as PNG",
        "phone.heic": ".heic is not read; save it as PNG",
        "raw/3.DNG": ".dng is not read; save it as PNG",
        "song.m4a": ".m4a is not read; save it as WAV",
    }
    assert said(
        found,
        "several kinds: 1 with .png, 1 with .jfif, 1 with .jpe.",
        "2 with .pdf, 1 with no suffix.",
        "passed over: .x.png.",
        "hold no image: empty, raw.",
    )


# --- Zips -----------------------------------------------------------------------------------------------------------


def test_backslashes_separate_folders_where_no_name_has_a_slash(tmp_path):
    members = {rf"data\{part}\{c}\0.png": PNG for part in ("train", "test") for c in ("cat", "dog")}
    found = listed_zip(zipped(tmp_path / "w.zip", members))
    assert labels(found) == {"data/train/cat/0.png": "cat", "data/train/dog/0.png": "dog"}
    assert len(found.test) == 2
    mixed = listed_zip(zipped(tmp_path / "m.zip", {r"a\b.png": PNG, "c/d.png": PNG}))
    assert names(mixed.train) == [r"a\b.png", "c/d.png"]


def test_a_zip_names_what_cannot_be_read(tmp_path):
    members = {
        "a/0.png": PNG,
        "a/b.heic": b"",
        "c.zip": b"PK",
        "empty/": b"",
        "__MACOSX/a/._0.png": b"",
        "/x/../up.png": PNG,
    }
    path = zipped(tmp_path / "it.zip", members)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/0.png", PNG)
    found = listed_zip(path)
    assert sorted(names(found.train)) == ["a/0.png", "x/up.png"]
    assert reasons(found) == {
        "a/0.png": "another file has the same name",
        "a/b.heic": ".heic is not read; save it as PNG",
    }
    assert said(found, "1 with .zip", "hold no image: empty")


def test_encrypted_members_are_named(tmp_path):
    path = zipped(tmp_path / "it.zip", {"0.png": PNG, "1.png": PNG})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert reasons(listed_zip(path)) == {"1.png": "it is encrypted; make a zip without a password"}


@pytest.mark.parametrize("place", range(0, 200, 3))
def test_a_zip_with_any_byte_changed_is_read_or_one_sentence(tmp_path, place):
    path = zipped(tmp_path / "it.zip", {"a/0.png": PNG, "b/1.png": PNG}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[-place - 1] ^= 0xFF
    path.write_bytes(content)
    complaint = "it.zip"
    try:
        splits = open_data(DataConfig(source=str(path), holdout=0))
        assert len(splits.train) + len(splits.skipped) >= 1
    except ValueError as error:
        complaint = str(error)
    assert "it.zip" in complaint
