"""Images written as indices in text: what is read, and one sentence for every damaged line."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from genwerk.data import DataConfig, open_data, palette

COLOURS = [(255, 255, 255), (200, 30, 30), (0, 0, 0), (30, 30, 200)]


def written(path, images, colours=COLOURS):
    """A folder of both files; the last lines end without a newline, as in the original."""
    lines = {"colormap.txt": colours, "pixel_color.txt": np.asarray(images).reshape(len(images), -1).tolist()}
    for name, rows in lines.items():
        (path / name).write_text("\n".join(" ".join(map(str, row)) for row in rows))
    return str(path)


def indices(n=20, side=4):
    return np.random.default_rng(0).integers(0, len(COLOURS), (n, side, side))


def test_images_are_read_row_by_row_with_the_palette_in_its_own_order(tmp_path):
    images = indices()
    got = open_data(DataConfig(source=written(tmp_path, images), holdout=0))
    assert got.spec.shape == (3, 4, 4)
    assert got.spec.palette == tuple(COLOURS)
    expected = torch.tensor(COLOURS)[torch.from_numpy(images)].permute(0, 3, 1, 2)
    assert torch.equal(got.train.x.int(), expected.int())
    assert any("20 images as indices into the 4 colours" in n for n in got.notes)


def test_blank_lines_and_repeated_colours_do_no_harm(tmp_path):
    written(tmp_path, indices(), [*COLOURS[:3], COLOURS[1]])
    for name in ("colormap.txt", "pixel_color.txt"):
        (tmp_path / name).write_text("\n" + (tmp_path / name).read_text().replace("\n", "\r\n\n") + "\n\n")
    got = open_data(DataConfig(source=str(tmp_path)))
    assert got.spec.palette == tuple(COLOURS[:3])


@pytest.mark.parametrize("size", [2, 6, 8])
def test_another_size_mixes_no_colours(tmp_path, size):
    images = indices()
    got = open_data(DataConfig(source=written(tmp_path, images), size=size, holdout=0))
    assert got.spec.shape == (3, size, size)
    assert palette.outside(palette.histogram(got.train.x.numpy()), palette.as_array(tuple(COLOURS))) == 0
    if size == 8:
        assert torch.equal(got.train.x[..., ::2, ::2], open_data(DataConfig(source=str(tmp_path), holdout=0)).train.x)


def test_grey_and_fewer_colours_where_asked(tmp_path):
    source = written(tmp_path, indices())
    grey = open_data(DataConfig(source=source, colour="grey"))
    assert (grey.spec.shape, grey.spec.palette) == ((1, 4, 4), ())
    assert len(open_data(DataConfig(source=source, palette=2)).spec.palette) == 2


def test_a_map_of_greys_is_a_palette_all_the_same(tmp_path):
    got = open_data(DataConfig(source=written(tmp_path, indices(), [(v, v, v) for v in (0, 80, 160, 255)])))
    assert got.spec.shape == (3, 4, 4)
    assert len(got.spec.palette) == 4


@pytest.mark.parametrize(
    "name, line, text, words",
    [
        ("colormap.txt", 2, "1 2", "not a colour.*0 to 255"),
        ("colormap.txt", 2, "1 2 256", "not a colour"),
        ("colormap.txt", 2, "1 2 red", "holds 'red'"),
        ("colormap.txt", 2, "1 2 -3", "holds '-3'"),
        ("pixel_color.txt", 3, "0 1 2 x", "holds 'x'"),
        ("pixel_color.txt", 3, "0 " * 15 + "4", "index 4.*4 colours, 0 to 3"),
        ("pixel_color.txt", 3, "0 " * 15, "15 indices; expected a square"),
        ("pixel_color.txt", 3, "0 " * 9, "9 indices; expected 16 as in the first line"),
        ("pixel_color.txt", 3, "9" * 5000, "holds '9999.*whole numbers"),
        ("pixel_color.txt", 3, "\xff\0", "whole numbers"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, name, line, text, words):
    source = written(tmp_path, indices())
    lines = (tmp_path / name).read_text().split("\n")
    lines[line - 1] = text
    (tmp_path / name).write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(ValueError, match=f"line {line} of .*{name}.*{words}") as caught:
        open_data(DataConfig(source=source))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["colormap.txt", "pixel_color.txt"])
def test_an_empty_file_says_so(tmp_path, name):
    source = written(tmp_path, indices())
    (tmp_path / name).write_text("\n")
    with pytest.raises(ValueError, match=f"{name} is empty"):
        open_data(DataConfig(source=source))


SHARED = os.environ.get("GENWERK_SHARED_DATA")


@pytest.mark.skipif(SHARED is None, reason="GENWERK_SHARED_DATA is not set")
def test_the_exercise_of_2016():
    got = open_data(DataConfig(source=str(Path(SHARED, "pokemon_creation"))))
    assert (len(got.train), len(got.test)) == (713, 79)
    assert got.spec.shape == (3, 20, 20)
    assert len(got.spec.palette) == 167
    assert got.spec.palette[0] == (255, 255, 255)
    merged = open_data(DataConfig(source=got.settings.source, palette=167, tolerance=1))
    assert len(merged.spec.palette) == 90
