"""Where results go: every form by its name, standard output, and nothing lost that was there."""

from __future__ import annotations

import csv
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from PIL.ExifTags import IFD, Base

from genwerk.cli import main
from genwerk.cli.writing import Files
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec

Genwerk = Callable[..., str]
QUICK = ["--rounds", "2", "--evaluate.samples", "0", "--evaluate.examples", "20", "--train.sample-every", "0"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("images") / "run"
    main(["train", "vae", "--data", "digits", "--data.limit", "60", "--out", str(run), *QUICK])
    return run


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    x = np.random.default_rng(0).normal([1.7, 70, 30], [0.1, 10, 8], (80, 3))
    np.savetxt(folder / "people.csv", x, delimiter=",", header="height,weight,age", comments="")
    main(["train", "mixture", "--data", str(folder / "people.csv"), "--out", str(folder / "run"), *QUICK])
    return folder / "run"


def test_a_sheet_is_written_in_the_form_that_its_name_asks_for(images: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    for end, form in ((".png", "PNG"), (".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP"), (".WebP", "WEBP")):
        path = tmp_path / f"sheet{end}"
        assert f"wrote {path}" in genwerk("sample", images, "-n", 4, "--out", path)
        with Image.open(path) as sheet:
            assert sheet.format == form
            if form == "PNG":
                inside, line = sheet.info["genwerk"], sheet.info["parameters"]
            else:
                comment = sheet.getexif().get_ifd(IFD.Exif)[Base.UserComment]
                inside, line = comment.removeprefix(b"ASCII\0\0\0"), sheet.getexif()[Base.ImageDescription]
        assert json.loads(inside)["recipe"] == "vae"
        assert line.startswith("recipe: vae, run: run, round: 2, seed: 0")
    for end in (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".npy", ".npz"):
        genwerk("sample", images, "-n", 4, "--out", tmp_path / f"values{end}")
    values = np.load(tmp_path / "values.npy")
    assert values.shape == (4, 1, 8, 8)
    with (tmp_path / "values.csv").open() as file:
        np.testing.assert_allclose(np.loadtxt(file, delimiter=",", skiprows=1), values.reshape(4, 64))


def test_sounds_are_written_as_wav_flac_and_ogg(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    run, rate = tmp_path / "run", 8000
    (tmp_path / "drums").mkdir()
    for i in range(12):
        soundfile.write(tmp_path / "drums" / f"{i}.wav", np.sin(np.arange(800) * (0.1 + 0.02 * i)), rate)
    genwerk("train", "vae", "--data", tmp_path / "drums", "--out", run, *QUICK)
    for end in (".wav", ".flac", ".ogg"):
        assert ".png" in genwerk("sample", run, "-n", 2, "--out", tmp_path / f"s{end}")
        with soundfile.SoundFile(tmp_path / f"s{end}") as file:
            assert (file.format, file.samplerate) == (end[1:].upper(), rate)
            assert json.loads(file.comment)["run"] == "run"
    assert "--out is -, standard output, which takes tables" in refused("sample", run, "--out", "-")


def test_an_unknown_form_is_refused_before_anything_is_computed(
    images: Path, people: Path, refused: Genwerk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genwerk.tasks.samples", lambda *_, **__: pytest.fail("it samples"))
    Path("a.csv").write_text("mine")
    for name in ("a.svg", "a.mp3", "a.tiff", "a.xlsx", "a.csv.gz"):
        assert "cannot be written; expected .png, .jpg, .jpeg, .webp, .csv" in refused("sample", images, "--out", name)
    assert "expected .csv, .tsv, .json" in refused("sample", people, "--out", "a.png")
    assert "expected .csv" in refused("encode", images, "--out", "codes.png")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'genwerk[parquet]'" in refused("sample", people, "--out", "a.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert Path("a.csv").read_text() == "mine"


def test_a_table_goes_to_standard_output_alone(
    people: Path, images: Path, genwerk: Genwerk, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "genwerk", "sample", str(people), "-n", "3", "--out", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, *rows = csv.reader(done.stdout.splitlines())
    assert head == ["height", "weight", "age"]
    assert np.array(rows, float).shape == (3, 3)
    main(["encode", str(images), "-n", "3", "--out", "-"])
    said = capsys.readouterr()
    assert len(list(csv.reader(said.out.splitlines()))) == 4
    assert "wrote" in said.err
    found = json.loads(genwerk("complete", people, "--known", "height", "-n", 2, "--json"))
    assert found["examples"][0]["log_prob"]
    assert found["files"][0]["path"].endswith(".csv")
    with pytest.raises(SystemExit) as end:
        main(["complete", str(people), "--known", "height", "--json", "--out", "-"])
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert "both go to standard output" in said.err


def test_nothing_is_written_over_unless_that_is_asked_for(
    images: Path, genwerk: Genwerk, refused: Genwerk, tmp_path: Path
) -> None:
    first = genwerk("sample", images, "-n", 2)
    again = genwerk("sample", images, "-n", 2)
    assert "samples.png" in first
    assert "samples-2.png" in again
    path = tmp_path / "mine.png"
    path.write_text("years of work")
    assert "exists already; name another, or replace it with --overwrite" in refused("sample", images, "--out", path)
    assert path.read_text() == "years of work"
    assert f"replaced {path}" in genwerk("sample", images, "-n", 2, "--out", path, "--overwrite")
    genwerk("sample", images, "-n", 3, "--out", f"{tmp_path}/each/")
    assert "holds 00000.png already" in refused("sample", images, "-n", 3, "--out", f"{tmp_path}/each/")
    assert "holds 00002.png already" in refused("sample", images, "--first", 2, "--out", f"{tmp_path}/each/")
    genwerk("sample", images, "-n", 2, "--first", 3, "--out", f"{tmp_path}/each/")
    assert sorted(os.listdir(tmp_path / "each")) == [f"{i:05d}.png" for i in range(5)]


def test_files_that_belong_together_have_one_number_and_replace_nothing(
    images: Path, genwerk: Genwerk, tmp_path: Path
) -> None:
    genwerk("encode", images, "-n", 5)
    said = genwerk("encode", images, "-n", 5).splitlines()
    written = [Path(line.split()[1]).name for line in said if line.startswith("wrote")]
    number = written[0].removeprefix("codes-").removesuffix(".csv")
    assert number in "23"
    assert written == [f"codes-{number}.csv", f"codes-{number}.map.png"]
    (tmp_path / "codes.map.png").write_text("mine")
    assert "codes.map-2.png" in genwerk("encode", images, "-n", 5, "--out", tmp_path / "codes.csv").replace("\n", "")
    assert (tmp_path / "codes.map.png").read_text() == "mine"


def test_a_number_after_a_dot_belongs_to_the_name(images: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    for name in ("t-0.5", "t-0.7"):
        genwerk("sample", images, "-n", 2, "--out", tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["t-0.5", "t-0.7"]


def test_places_that_cannot_be_written_are_refused_in_words(
    images: Path, refused: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genwerk.tasks.samples", lambda *_, **__: pytest.fail("it samples"))
    (tmp_path / "file").write_text("mine")
    for out, said in (
        (tmp_path / "file" / "x.png", f"{tmp_path / 'file'} is a file"),
        (tmp_path / ("n" * 300 + ".png"), "its name is too long"),
        (tmp_path / "a\0b.png", "NUL"),
        ("/dev/null", "/dev/null"),
        ("/proc/x.png", "there is no such file or folder"),
    ):
        told = refused("sample", images, "--out", out)
        assert said in told
        assert "[Errno" not in told
    assert os.listdir(tmp_path) == ["file"]


def test_a_picture_that_its_form_cannot_hold_is_refused(tmp_path: Path) -> None:
    import torch

    from genwerk.modalities.writers import write_image

    wide = torch.zeros(1, 16_384, 3, dtype=torch.uint8)
    with pytest.raises(BadInput, match=r"16384x1 pixels, and WEBP has at most 16,383 a side; write a \.png"):
        write_image(tmp_path / "x.webp", wide, {})
    assert write_image(tmp_path / "x.png", wide, {}).is_file()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    files = Files("samples", out=str(tmp_path / "x.csv"))
    files.begin(DataSpec(kind="table", shape=(3,)).modality)
    (tmp_path / "x.csv").write_text("of another process")
    assert files._place(tmp_path / "x.csv") == (tmp_path / "x-2.csv", "wrote")


def test_every_file_has_the_permissions_that_the_user_gives_files(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        main(["train", "mixture", "--data", "ring", "--data.limit", "40", "--out", str(tmp_path / "run"), *QUICK])
        main(["sample", str(tmp_path / "run"), "-n", "2"])
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".json", ".jsonl", ".png", ".md"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o664}


def test_a_picture_of_data_is_written_like_any_other(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    assert "wrote" not in genwerk("data", "check", "digits")
    assert f"wrote {tmp_path / 'some.webp'}" in genwerk("data", "check", "digits", "--out", tmp_path / "some.webp")
    assert Image.open(BytesIO((tmp_path / "some.webp").read_bytes())).format == "WEBP"
    assert "exists already" in refused("data", "check", "digits", "--out", tmp_path / "some.webp")
