"""Data of one's own as people have them, looked at, trained on and sampled, as typed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

Genwerk = Callable[..., str]


def test_data_are_checked_with_the_words_that_train_them(genwerk: Genwerk, refused: Genwerk) -> None:
    said = genwerk("data", "check", "digits", "--data.size", "12", "--data.validation=0")
    assert "images of 12x12x1" in said
    assert genwerk("data", "check", "--data", "digits", "--size", "12", "--validation", "0") == said
    assert "name them once" in refused("data", "check", "digits", "--data", "scenes")
    assert "--data.seed is -1" in refused("data", "check", "digits", "--seed", "-1")


PEOPLE = ["age,height,label,weight,children"] + [
    f"{20 + 7 * i % 50},{1.5 + i % 37 / 80:.3f},{('low', 'mid', 'high')[i % 3]},{60 + i % 41},{i % 4}"
    for i in range(120)
]
"""A table of people: numbers, whole numbers, and classes amid them."""


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_sample_of_a_table_is_a_table_like_it(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    table, out = tmp_path / "people.csv", tmp_path / "more.csv"
    table.write_text("\n".join(PEOPLE))
    genwerk("train", "cmixture", "--data", table, "--out", tmp_path / "run", "--rounds", 2, "--evaluate.samples", 0)
    genwerk("sample", tmp_path / "run", "-n", 5, "--label", "mid", "--out", out)
    found = rows(out)
    assert list(found[0]) == PEOPLE[0].split(",")
    assert all(row["label"] == "mid" and row["age"].isdecimal() and "." in row["height"] for row in found)

    table.write_text("\n".join(",".join(line.split(",")[:2] + line.split(",")[3:]) for line in PEOPLE))
    genwerk(
        "train", "cmaf", "--data", table, "--data.covariates", "children,age", "--out", tmp_path / "told", "--rounds", 2
    )
    genwerk("sample", tmp_path / "told", "-n", 3, "--covariates", "2,40.5", "--out", tmp_path / "told.csv")
    found = rows(tmp_path / "told.csv")
    assert list(found[0]) == ["age", "height", "weight", "children"]
    assert {(row["age"], row["children"]) for row in found} == {("40.5", "2")}

    table.write_text("age,city,born\n" + "30,Rome,1990-01-02\n" * 3)
    assert "one column of class names, which --data.label names" in refused("data", "check", table)
    assert "write them as numbers" in refused("data", "check", table, "--data.label", "city")


def test_digits_whose_labels_are_in_a_second_file(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    digits = load_digits()
    (tmp_path / "digits").mkdir()
    for i in range(40):
        Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(tmp_path / "digits" / f"{i}.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("id,digit,writer\n" + "".join(f"{i},{digits.target[i]},{i % 2}\n" for i in range(41)))
    said = genwerk("data", "check", tmp_path / "digits", "--data.labels", f"{labels}:digit")
    assert "10 classes" in said
    assert "1 names in labels.csv are of no file: 40." in said
    assert "labels.csv:writer" in refused("data", "check", tmp_path / "digits", "--data.labels", labels)
    told = ("--data.labels", f"{labels}:digit", "--rounds", 2, "--evaluate.samples", 0)
    genwerk("train", "cvae", "--data", tmp_path / "digits", *told, "--out", tmp_path / "run")
    genwerk("sample", tmp_path / "run", "-n", 2, "--label", 7, "--out", tmp_path / "sevens.png")
    assert "reconstruct" in genwerk("reconstruct", tmp_path / "run", "--input", tmp_path / "digits", "--label", 3)


def test_emoji_keep_their_transparency(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    emoji = tmp_path / "emoji"
    emoji.mkdir()
    for i in range(12):
        face = Image.new("RGBA", (16, 16))
        ImageDraw.Draw(face).ellipse([1, 1, 9 + i // 2, 9 + i // 2], fill=(255, 200 + i, 40, 255))
        face.save(emoji / f"{i}.png")
    said = genwerk("data", "check", emoji)
    assert "images of 16x16x3" in said
    assert "12 images have an alpha channel and are laid over white" in said
    assert "--data.colour rgba keeps the transparency" in said
    assert "the background is 'blue'" in refused("data", "check", emoji, "--data.background", "blue")
    told = ("--data.colour", "rgba", "--rounds", 2, "--evaluate.samples", 8)
    genwerk("train", "vae", "--data", emoji, *told, "--out", tmp_path / "run")
    genwerk("sample", tmp_path / "run", "-n", 2, "--out", f"{tmp_path / 'each'}/")
    with Image.open(tmp_path / "each" / "00000.png") as image:
        assert (image.mode, image.size) == ("RGBA", (16, 16))
    genwerk("sample", tmp_path / "run", "-n", 4, "--out", tmp_path / "sheet.jpg")
    genwerk("reconstruct", tmp_path / "run", "--input", emoji / "3.png")


def test_drum_hits_without_their_tails(genwerk: Genwerk, tmp_path: Path) -> None:
    for i in range(12):
        time = np.arange(1000 + 50 * i) / 2000
        hit = 0.8 * np.sin(2 * np.pi * 60 * time) * np.exp(-6 * time)
        soundfile.write(tmp_path / f"kick-{i}.wav", hit, 2000)
    said = genwerk("data", "check", tmp_path, "--data.seconds", 0.25)
    assert "12 recordings are longer and cut into consecutive pieces" in said
    said = genwerk("data", "check", tmp_path, "--data.seconds", 0.25, "--data.first-piece")
    assert "12 recordings are longer, of which the first piece is used." in said
    assert "12 examples" in said


def test_a_table_with_semicolons_and_decimal_commas(genwerk: Genwerk, tmp_path: Path) -> None:
    table = tmp_path / "leute.csv"
    lines = ["name;größe;gewicht", *(f"{i};1,{50 + i};{60 + i % 9},5" for i in range(40))]
    table.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    said = genwerk("data", "check", table, "--data.group", "name")
    assert "a table of 2 columns;" in said
    assert "Cells are separated by semicolons, and numbers have a decimal comma." in said


def test_new_rows_of_a_table_need_no_labels(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    table, new, run = tmp_path / "people.csv", tmp_path / "new.csv", tmp_path / "run"
    heights = [(160 + i % 7 if i % 2 else 180 + i % 7, "FM"[i % 2 == 0]) for i in range(60)]
    table.write_text(
        "height,weight,sex\n" + "".join(f"{h},{h - 100 + i % 5},{s}\n" for i, (h, s) in enumerate(heights))
    )
    new.write_text("weight,height\n63,163\n84,183\n")
    assert "add --data.label sex" in refused("data", "check", table)
    asked = ("--data", table, "--data.label", "sex", "--rounds", 30, "--no-evaluate", "--out")
    genwerk("train", "cmixture", *asked, run)
    said = [line.split()[:2] for line in genwerk("classify", run, "--input", new).splitlines()]
    assert ["0", "F"] in said
    assert ["1", "M"] in said
    assert "typicality" in genwerk("outliers", run, "--input", new)
    said = refused("evaluate", run, "--data", new)
    assert "no column 'sex'" in said
    assert "name them" not in said

    genwerk("train", "cvae", *asked, tmp_path / "codes")
    assert "give --label" in refused("encode", tmp_path / "codes", "--input", new)
    genwerk("encode", tmp_path / "codes", "--input", new, "--label", "M", "--out", tmp_path / "codes.csv")
    assert len(rows(tmp_path / "codes.csv")) == 2


def test_new_rows_need_covariates_only_where_the_model_takes_them(
    genwerk: Genwerk, refused: Genwerk, tmp_path: Path
) -> None:
    table, new = tmp_path / "a.csv", tmp_path / "new.csv"
    table.write_text("a,b,c\n" + "".join(f"{i % 7}.5,{i % 11}.5,{i % 13}.5\n" for i in range(60)))
    new.write_text("b,c\n1.5,2.5\n3.5,4.5\n")
    asked = ("--data", table, "--data.covariates", "a", "--rounds", 1, "--no-evaluate", "--out")
    genwerk("train", "mixture", *asked, tmp_path / "free")
    assert "typicality" in genwerk("outliers", tmp_path / "free", "--input", new)
    genwerk("train", "cmaf", *asked, tmp_path / "told")
    assert "no column 'a' for --data.covariates" in refused("outliers", tmp_path / "told", "--input", new)
