"""Examples know where they come from: the file, or the row of the source, whatever is chosen of them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from genwerk.data import DataConfig, cache, open_data
from genwerk.data.dataset import PARTS


def open_(source: Path | str, **settings):
    return open_data(DataConfig(source=str(source), **settings))


def values(path: Path, n: int = 60) -> np.ndarray:
    """An array of ``n`` rows, each of which tells its number."""
    x = np.column_stack([np.arange(n), np.random.default_rng(0).normal(size=n)])
    np.save(path, x)
    return x


def told(dataset) -> bool:
    """Whether each row's first value is the number that it is known by."""
    return dataset.known()["row"] == dataset.x[:][:, 0].long().tolist()


def test_rows_of_every_part_are_numbered_as_in_the_source(tmp_path):
    values(tmp_path / "x.npy")
    splits = open_(tmp_path / "x.npy", limit=20)
    assert all(told(splits.part(name)) for name in PARTS)
    assert len({row for name in PARTS for row in splits.part(name).known()["row"]}) == sum(
        len(splits.part(name)) for name in PARTS
    )
    chosen = splits.train.subset(7, seed=3)
    assert told(chosen)
    assert chosen.known(slice(2, 4))["row"] == chosen.known()["row"][2:4]
    assert open_(tmp_path / "x.npy", holdout=0).train.rows is None  # nothing to remember


def test_rows_of_an_array_that_is_mapped_are_numbered_too(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LARGE", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    values(tmp_path / "x.npy")
    assert all(told(open_(tmp_path / "x.npy").part(name)) for name in PARTS)


def test_a_row_without_a_label_is_counted_and_labels_and_covariates_are_named(tmp_path):
    lines = [f"{i},{i / 8},{'' if i == 1 else 'ab'[i % 2]}" for i in range(20)]
    (tmp_path / "t.csv").write_text("n,u,label\n" + "\n".join(lines) + "\n")
    data = open_(tmp_path / "t.csv", holdout=0).train
    assert told(data)
    assert data.known(slice(2)) == {"row": [0, 2], "label": ["a", "a"]}
    (tmp_path / "u.csv").write_text("n,u\n" + "\n".join(f"{i},{i / 8}" for i in range(20)) + "\n")
    beside = open_(tmp_path / "u.csv", holdout=0, covariates="u").train
    assert beside.known(slice(3, 5)) == {"row": [3, 4], "u": [0.375, 0.5]}


@pytest.mark.parametrize("packed", [False, True])
def test_images_are_known_by_their_files_relative_to_the_source(tmp_path, packed):
    folder = tmp_path / "d"
    for i in range(12):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * i).save(folder / "ab"[i % 2] / f"{i}.png")
    source = folder
    if packed:
        source = tmp_path / "d.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in sorted(folder.rglob("*.png")):
                archive.write(file, file.relative_to(folder))
    splits = open_(source)
    for part in map(splits.part, PARTS):
        known = part.known()
        assert [int(Path(name).stem) * 20 for name in known["file"]] == part.x[:, 0, 0, 0].tolist()
        assert [name[0] for name in known["file"]] == known["label"]


def test_pieces_of_a_recording_are_counted(tmp_path):
    for name, seconds in (("long", 3), ("short", 1)):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(seconds).uniform(-1, 1, 800 * seconds), 800)
    data = open_(tmp_path, seconds=1.0, holdout=0).train
    assert data.known()["file"] == ["long.wav piece 1", "long.wav piece 2", "long.wav piece 3", "short.wav"]


def test_where_examples_stand_is_no_part_of_what_they_are(tmp_path):
    values(tmp_path / "x.npy")
    data = open_(tmp_path / "x.npy", holdout=0).train
    other = replace(data, rows=torch.arange(len(data)).flip(0), files=[str(i) for i in range(len(data))])
    assert other.fingerprint() == data.fingerprint()
    assert other.known(slice(1))["file"] == ["59"]
