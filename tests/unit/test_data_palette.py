"""Palettes against what is known: counts by hand, colours from the standards' tables, the nearest by trying all."""

import json
import os
from collections import Counter
from math import inf, log2, log10
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, cache, open_data, palette
from genwerk.data.palette import Histogram
from genwerk.nn.autoregressive.tokeniser import Colours
from genwerk.training.settings import from_json, to_json


def bytes_(*shape, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def counted(*pairs):
    """A histogram of (colour, count) pairs, the most frequent first."""
    return Histogram(np.array([c for c, _ in pairs], np.uint8), np.array([n for _, n in pairs]))


# --- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rgb, expected",
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 255, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 255), (32.2970, 79.1875, -107.8602)),
        ((119, 119, 119), (50.0344, 0, 0)),
        ((1, 1, 1), (0.2742, 0, 0)),  # on the straight pieces of both curves: 903.3 * (1 / 255 / 12.92)
    ],
)
def test_lab_of_known_colours(rgb, expected):
    assert palette.lab(np.array(rgb, np.uint8)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("chunk", [1, 40, 2**20])
def test_exact_colours_are_counted_whatever_the_chunk(monkeypatch, chunk):
    monkeypatch.setattr(palette, "CHUNK", chunk)
    images = bytes_(7, 3, 5, 4, high=3) * 127
    found = palette.histogram(images)
    expected = Counter(map(tuple, images.transpose(0, 2, 3, 1).reshape(-1, 3).tolist()))
    assert dict(zip(palette.as_tuples(found.colours), found.counts.tolist(), strict=True)) == expected
    assert (np.diff(found.counts) <= 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(0, 10_000))
def test_merged_colours_are_near_a_kept_one_and_kept_ones_are_apart(tolerance, seed):
    found = palette.histogram(bytes_(2, 3, 8, 8, high=24, seed=seed))
    kept = palette.merge(found, tolerance)
    gaps = np.abs(found.colours[:, None].astype(int) - kept.colours[None]).max(2)
    assert (gaps.min(1) <= tolerance).all()
    apart = np.abs(kept.colours[:, None].astype(int) - kept.colours[None]).max(2)
    assert (apart[~np.eye(len(kept), dtype=bool)] > tolerance).all()
    assert kept.counts.sum() == found.counts.sum()


def test_no_chain_of_neighbours_becomes_one_colour():
    greys = counted(*[((v, v, v), 100 - v) for v in range(10)])
    assert palette.merge(greys, 1).colours[:, 0].tolist() == [0, 2, 4, 6, 8]
    assert palette.merge(greys, 1).counts.tolist() == [100 + 99, 98 + 97, 96 + 95, 94 + 93, 92 + 91]
    assert len(palette.merge(greys, 0)) == 10


@pytest.mark.parametrize("chunk", [1, 64, 2**20])
def test_the_nearest_is_that_of_trying_all_and_the_first_of_equals(monkeypatch, chunk):
    monkeypatch.setattr(palette, "CHUNK", chunk)
    colours, table = bytes_(300, 3), np.concatenate([bytes_(20, 3, seed=1)] * 2)
    squared = np.square(colours[:, None].astype(int) - table[None]).sum(2)
    assert palette.nearest(colours, table).tolist() == squared.argmin(1).tolist()
    assert palette.nearest(table[20:], table).tolist() == list(range(20))


BLOBS = [(250, 250, 250), (200, 30, 30), (30, 160, 60), (30, 40, 200)]


def blobs():
    """Four heaps of colours, each around one that is more frequent than the rest of its heap."""
    near = [tuple(int(v) for v in np.array(b) + d) for b in BLOBS for d in bytes_(30, 3, high=4)]
    return palette.histogram(np.array([*BLOBS * 50, *near], np.uint8).T.reshape(1, 3, 1, -1))


def test_separate_heaps_become_their_most_frequent_colours():
    assert set(palette.as_tuples(palette.cluster(blobs(), 4, seed=0).colours)) == set(BLOBS)


def test_clusters_are_of_equal_difference_to_the_eye():
    """Two dark blues are as far apart in RGB as two greens, but the greens differ far more to the eye."""
    found = counted(((0, 255, 0), 10), ((0, 195, 0), 9), ((0, 0, 255), 8), ((60, 0, 255), 7))
    kept = palette.as_tuples(palette.cluster(found, 3, seed=0).colours)
    assert kept == ((0, 0, 255), (0, 255, 0), (0, 195, 0))


def test_a_palette_is_the_same_with_any_seeded_repetition_and_number_of_threads():
    found = palette.histogram(bytes_(2, 3, 12, 12))
    kept = []
    for threads in (1, 2, 2):
        with threadpool_limits(threads):
            kept.append(palette.cluster(found, 8, seed=3).colours)
    assert np.array_equal(kept[0], kept[1])
    assert np.array_equal(kept[1], kept[2])
    assert not np.array_equal(kept[0], palette.cluster(found, 8, seed=4).colours)


def test_very_many_colours_are_thinned_before_they_are_clustered(monkeypatch):
    monkeypatch.setattr(palette, "MANY", 50)
    found = palette.histogram(bytes_(4, 3, 16, 16, high=64))
    kept = palette.cluster(found, 8, seed=0)
    assert len(kept) == 8
    assert set(palette.as_tuples(kept.colours)) <= set(palette.as_tuples(found.colours))
    assert kept.counts.sum() == found.counts.sum()


def test_the_report_of_a_hand_made_case():
    found = counted(((0, 0, 0), 6), ((255, 255, 255), 1), ((255, 255, 249), 1))
    got = palette.report(found, np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    before = -(0.75 * log2(0.75) + 2 * 0.125 * log2(0.125))
    after = -(0.75 * log2(0.75) + 0.25 * log2(0.25))
    assert got.colours == 2
    assert got.changed == 1 / 8
    assert got.psnr == pytest.approx(10 * log10(255**2 / (36 / 24)))
    assert (got.index_bits, got.entropy) == (1, pytest.approx(after))
    assert got.lost == pytest.approx(before - after)
    exact = palette.report(found, found.colours)
    assert (exact.psnr, exact.changed, exact.lost) == (inf, 0, 0)


@pytest.mark.parametrize("chunk", [1, 100, 2**20])
def test_painting_is_to_the_nearest_and_agrees_with_the_report(monkeypatch, chunk):
    monkeypatch.setattr(palette, "CHUNK", chunk)
    images, table = bytes_(5, 3, 6, 7), bytes_(9, 3, seed=1)
    painted = palette.paint(images, table)
    pixels = images.transpose(0, 2, 3, 1)
    squared = np.square(pixels[..., None, :].astype(int) - table).sum(-1)
    assert np.array_equal(painted.transpose(0, 2, 3, 1), table[squared.argmin(-1)])
    assert np.array_equal(palette.paint(painted, table), painted)
    error = np.square(painted.astype(float) - images).mean()
    found = palette.histogram(images)
    assert palette.report(found, table).psnr == pytest.approx(10 * log10(255**2 / error))
    assert palette.outside(found, table) == (squared.min(-1) > 0).sum()
    assert palette.outside(palette.histogram(painted), table) == 0


# --- sources --------------------------------------------------------------------------------------------------------


def saved(path, images, test=None):
    """A source of images with shape (n, h, w, 3)."""
    arrays = {"x_train": images} if test is None else {"x_train": images, "x_test": test}
    np.savez(path / "x.npz", **arrays)
    return str(path / "x.npz")


FEW = np.array([(255, 255, 255), (20, 20, 30), (200, 60, 60), (60, 120, 220), (61, 120, 221)], np.uint8)


def few(n=40, seed=0):
    """Images of the five colours, each twice as frequent as the next."""
    p = np.array([16, 8, 4, 2, 1]) / 31
    return FEW[np.random.default_rng(seed).choice(5, (n, 6, 6), p=p)]


def test_images_of_few_colours_keep_them_exactly_by_frequency(tmp_path):
    source = saved(tmp_path, few())
    plain, got = open_data(DataConfig(source=source)), open_data(DataConfig(source=source, palette=5))
    assert plain.spec.palette == ()
    assert got.spec.palette == tuple(map(tuple, FEW.tolist()))
    assert torch.equal(got.train.x, plain.train.x)
    assert torch.equal(got.test.x, plain.test.x)
    assert any("5 colours; the palette holds them all" in n for n in got.notes)


def test_colours_within_the_tolerance_count_as_the_more_frequent(tmp_path):
    got = open_data(DataConfig(source=saved(tmp_path, few()), palette=5, tolerance=1))
    assert got.spec.palette == tuple(map(tuple, FEW[:4].tolist()))
    assert any("4 when those within 1 a channel count as one" in n for n in got.notes)


def test_more_colours_are_clustered_and_the_loss_is_told(tmp_path):
    got = open_data(DataConfig(source=saved(tmp_path, few()), palette=3))
    assert len(got.spec.palette) == 3
    for part in (got.train, got.test):
        assert set(map(tuple, part.x.permute(0, 2, 3, 1).reshape(-1, 3).tolist())) == set(got.spec.palette)
        assert part.spec.palette == got.spec.palette
    assert any("clustered in CIE Lab to 3" in n for n in got.notes)
    assert any("PSNR" in n and "bits" in n for n in got.notes)
    again = open_data(DataConfig(source=saved(tmp_path, few()), palette=3))
    assert (again.spec, again.train.fingerprint()) == (got.spec, got.train.fingerprint())


def test_the_palette_is_chosen_without_a_look_at_the_test_part(tmp_path):
    strange = np.full((4, 6, 6, 3), (64, 120, 216), np.uint8)
    got = open_data(DataConfig(source=saved(tmp_path, few(), strange), palette=64))
    assert len(got.spec.palette) == 5
    assert got.test.x.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0).tolist() == [[60, 120, 220]]
    assert any("held-out pixels 100.00%" in n for n in got.notes)


def test_one_set_for_both_parts_stays_one(tmp_path):
    got = open_data(DataConfig(source=saved(tmp_path, few()), palette=3, holdout=0))
    assert got.train is got.test


def test_large_images_stay_in_a_mapped_file(tmp_path, monkeypatch):
    source = saved(tmp_path, few())
    small = open_data(DataConfig(source=source, palette=3))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "LARGE", 300)
    for _ in range(2):  # made, then found
        large = open_data(DataConfig(source=source, palette=3))
        assert large.train.fingerprint() == small.train.fingerprint()
    assert len(list((tmp_path / "cache").rglob("x.npy"))) == 3


@pytest.mark.parametrize(
    "options, words",
    [
        ({"source": "digits", "palette": 4}, "data.palette.*RGB.*leave it out, or .*data.colour rgb"),
        ({"source": "ring", "palette": 4}, "data.palette.*table.*leave it out$"),
        ({"source": "sprites", "palette": 1}, "expected a number 2 or more"),
        ({"source": "sprites", "tolerance": 1}, "data.palette 64"),
        ({"source": "sprites", "tolerance": 256, "palette": 4}, "0 to 255"),
        ({"source": "sprites", "tolerance": -1, "palette": 4}, "0 to 255"),
    ],
)
def test_palettes_that_cannot_be_are_one_sentence(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        open_data(DataConfig(**options))
    assert str(caught.value).count(". ") == 0


def test_grey_images_read_in_colour_have_a_palette():
    got = open_data(DataConfig(source="digits", palette=17, colour="rgb"))
    assert len(got.spec.palette) == 17
    assert all(r == g == b for r, g, b in got.spec.palette)


def test_a_palette_survives_json_and_its_pixels_survive_their_indices():
    got = open_data(DataConfig(source="sprites", palette=9, limit=50))
    assert from_json(DataSpec, json.loads(json.dumps(to_json(got.spec)))) == got.spec
    assert from_json(DataConfig, json.loads(json.dumps(to_json(got.settings)))) == got.settings
    symbols, x = Colours(got.spec), got.train.batch().x
    assert torch.equal(symbols.decode(symbols.encode(x)), x)


SHARED = os.environ.get("GENWERK_SHARED_DATA")


@pytest.mark.skipif(SHARED is None, reason="GENWERK_SHARED_DATA is not set")
def test_real_sprites_of_two_hundred_bytes_of_palette():
    got = open_data(DataConfig(source=str(Path(SHARED, "pokemon_sprites_40")), palette=64))
    assert len(got.spec.palette) == 64
    found = palette.histogram(open_data(DataConfig(source=str(Path(SHARED, "pokemon_sprites_40")))).train.x.numpy())
    cost = palette.report(found, palette.as_array(got.spec.palette))
    assert cost.psnr > 34.5
    assert cost.entropy < 1.6
