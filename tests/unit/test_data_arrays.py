"""idx, .npy and .npz files, whole and damaged."""

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import sparse

from genwerk.core import memory
from genwerk.data import DataConfig, cache, open_data
from genwerk.data import columns as table_columns
from genwerk.data.dataset import PARTS, Rows
from genwerk.data.idx import read_idx

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([3, 1, 3, 0, 1, 3], np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def complaint(source):
    """What is said of a source that cannot be opened; None where it can."""
    try:
        open_data(source)
    except ValueError as error:
        return str(error)
    return None


def pixels(splits):
    """All examples, in an order that does not depend on the choice of the test part."""
    x = torch.cat([splits.train.x, splits.test.x]).numpy()
    return x[np.lexsort(x.reshape(len(x), -1).T)]


def sorted_rows(x):
    return x[np.lexsort(x.reshape(len(x), -1).T)]


# --- idx ------------------------------------------------------------------------------------------------------------


def write_mnist(folder, suffix=""):
    pack = gzip.compress if suffix else bytes
    for part, n in (("train", 6), ("t10k", 4)):
        (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(IMAGES[:n])))
        (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS[:n])))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_four_files_of_mnist(tmp_path, suffix):
    write_mnist(tmp_path, suffix)
    splits = open_data(DataConfig(source=str(tmp_path), validation=0))
    assert (splits.train.x[:, 0].numpy() == IMAGES).all()
    assert (splits.test.x[:, 0].numpy() == IMAGES[:4]).all()
    assert splits.spec.classes == ("0", "1", "3")
    assert splits.train.condition.tolist() == [2, 1, 2, 0, 1, 2]
    one = open_data(DataConfig(source=str(tmp_path / f"t10k-images-idx3-ubyte{suffix}")))
    assert (len(one.train), len(one.test)) == (2, 1)
    assert one.train.condition is not None


def test_images_without_labels(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert splits.spec.classes == ()
    assert any("no labels" in n for n in splits.notes)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_cut_at_every_byte_is_one_sentence(tmp_path, pack):
    content = pack(idx(IMAGES))
    file = tmp_path / "images.idx3"
    for end in range(len(content)):
        file.write_bytes(content[:end])
        with pytest.raises(ValueError, match=r"images\.idx3"):
            read_idx(file)
    file.write_bytes(content)
    assert (read_idx(file) == IMAGES).all()


def test_idx_that_would_fill_the_memory_is_refused_from_its_header(tmp_path, monkeypatch):
    (tmp_path / "a.idx.gz").write_bytes(gzip.compress(idx(IMAGES)))
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * IMAGES.size - 1)
    with pytest.raises(ValueError, match=r"a\.idx\.gz takes .* GB of memory"):
        read_idx(tmp_path / "a.idx.gz")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "content",
    [
        idx(IMAGES) + b"\0",
        b"\0\0\x0d\x03" + idx(IMAGES)[4:],  # floats
        b"\1" + idx(IMAGES)[1:],
        b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31) + bytes(1000),  # 10^28 bytes
        b"\0\0\x08\x03" + struct.pack(">3I", 0, 28, 28),
    ],
)
def test_idx_whose_header_lies_is_one_sentence(tmp_path, content, pack):
    (tmp_path / "images.idx3").write_bytes(pack(content))
    with pytest.raises(ValueError, match=r"images\.idx3"):
        open_data(DataConfig(source=str(tmp_path / "images.idx3")))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_are_idx_or_a_value_error(tmp_path, tail, zipped):
    content = b"\0\0\x08" + tail
    (tmp_path / "a.idx").write_bytes(gzip.compress(content) if zipped else content)
    assert "a.idx" in (complaint(DataConfig(source=str(tmp_path / "a.idx"))) or "a.idx")


def test_labels_that_do_not_fit_are_refused(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:5]))
    with pytest.raises(ValueError, match="one label for each of the 6"):
        open_data(DataConfig(source=str(tmp_path)))


# --- npy ------------------------------------------------------------------------------------------------------------


def saved(path, array):
    np.save(path, array)
    return str(path)


@pytest.mark.parametrize(
    "array, expected",
    [
        (IMAGES, IMAGES[:, None]),
        (IMAGES[..., None], IMAGES[:, None]),
        (IMAGES[:, None], IMAGES[:, None]),
        (IMAGES.astype(np.int64), IMAGES[:, None]),
        (IMAGES.astype(np.float64), IMAGES[:, None]),
        ((IMAGES / 255).astype(np.float32), IMAGES[:, None]),
        (np.stack([IMAGES] * 3, -1), IMAGES[:, None]),
        (np.stack([IMAGES, IMAGES[::-1], IMAGES], -1), np.stack([IMAGES, IMAGES[::-1], IMAGES], 1)),
        (np.stack([IMAGES, IMAGES[::-1], IMAGES], 1), np.stack([IMAGES, IMAGES[::-1], IMAGES], 1)),
        (np.stack([IMAGES, IMAGES, IMAGES * 0, IMAGES * 0], -1), np.full((6, 3, 5, 4), 255)),
    ],
)
def test_images_of_every_layout_and_range(tmp_path, array, expected):
    splits = open_data(DataConfig(source=saved(tmp_path / "x.npy", array), holdout=0))
    assert splits.spec.shape == expected.shape[1:]
    assert splits.spec.levels == 256
    assert splits.train.x.dtype == torch.uint8
    assert (splits.train.x.numpy() == expected).all()


@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64, np.uint16, np.float32, np.float64])
def test_two_values_are_two_levels_unless_they_are_resized(tmp_path, dtype, white):
    if white > np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else dtype is bool and white > 1:
        return
    bits = IMAGES > 100
    source = saved(tmp_path / "x.npy", (bits * white).astype(dtype))
    splits = open_data(DataConfig(source=source, holdout=0, validation=0))
    assert splits.spec.levels == 2
    assert (splits.train.x[:, 0].numpy() == bits).all()
    assert set(splits.train.batch().x.unique().tolist()) == {0.0, 1.0}
    resized = open_data(DataConfig(source=source, size=16))
    assert resized.spec.levels == 256
    assert resized.train.x.max() == 255
    grey = saved(tmp_path / "rgb.npy", np.stack([(bits * white).astype(dtype)] * 3, -1))
    assert open_data(DataConfig(source=grey)).spec.levels == 2
    assert open_data(DataConfig(source=grey, colour="rgb")).train.x.max() == 255


def test_pictures_that_are_dark_are_said_to_be(tmp_path):
    notes = open_data(DataConfig(source=saved(tmp_path / "x.npy", IMAGES // 16))).notes
    assert any("15 of 255, so the images are dark; if 15 is white, divide them by it" in note for note in notes)
    assert not any("dark" in note for note in open_data(DataConfig(source=saved(tmp_path / "y.npy", IMAGES))).notes)


def test_arrays_are_fitted_as_files_are(tmp_path):
    splits = open_data(DataConfig(source=saved(tmp_path / "x.npy", IMAGES), size=4, colour="rgb", holdout=0))
    cropped = np.stack(
        [np.asarray(Image.fromarray(i).resize((4, 4), Image.Resampling.BICUBIC, (0, 0.5, 4, 4.5))) for i in IMAGES]
    )
    assert splits.spec.shape == (3, 4, 4)
    assert (splits.train.x.numpy() == np.stack([cropped] * 3, 1)).all()


def test_two_dimensions_are_a_table(tmp_path):
    table = RNG.normal(size=(10, 3))
    splits = open_data(DataConfig(source=saved(tmp_path / "x.npy", table), holdout=0))
    assert splits.spec.kind == "table"
    assert splits.spec.columns == ("column 1", "column 2", "column 3")
    assert (splits.train.x.numpy() == table).all()


@pytest.mark.parametrize(
    "array, words",
    [
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "row 2, column 'column 2'.*nan"),
        (np.array([[1.0], [-np.inf], [1e300]]), "row 2.*-inf"),
        (np.array([[1.0], [1e300]]), "row 2"),
        (IMAGES.astype(np.int64) + 100, "from"),
        (IMAGES.astype(np.uint16) * 16, "from 0 to 3968.*divide them by 3968"),
        (np.where(IMAGES > 200, -9999, IMAGES.astype(int)), "from -9999"),
        (IMAGES / 64 - 2, "expected floats in"),
        (np.zeros((4, 5, 5, 7)), "1, 3 or 4 channels"),
        (np.zeros((2, 2, 2, 2, 2)), "shape"),
        (np.zeros((0, 3)), "at least one"),
        (np.float32(3), "shape"),
        (np.array(["a", "b"]), "expected numbers"),
        (np.array([1j, 2]), "expected numbers"),
        (np.array([{}, None], dtype=object), "not a whole"),
    ],
)
def test_arrays_that_cannot_be_used_are_one_sentence(tmp_path, array, words):
    with pytest.raises(ValueError, match=words):
        open_data(DataConfig(source=saved(tmp_path / "x.npy", array)))


@pytest.mark.parametrize("shape, copies", [((40, 6, 6), 0), ((40, 6, 6, 3), 1), ((40, 7), 1)])
def test_a_large_npy_stays_mapped_and_is_copied_in_its_order_where_it_must_be(tmp_path, monkeypatch, shape, copies):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    x = RNG.integers(0, 256, shape).astype(np.uint8 if len(shape) > 2 else np.float32)
    source = DataConfig(source=saved(tmp_path / "x.npy", x), limit=20)
    small = open_data(source)
    monkeypatch.setattr(cache, "LARGE", 100)
    for _ in range(2):  # written, then found
        large = open_data(source)
        assert len(list((tmp_path / "cache").rglob("x.npy"))) == copies
        assert large.spec == small.spec
        assert large.fingerprints == small.fingerprints
        for name in PARTS:
            assert isinstance(large.part(name).x, Rows)
            assert torch.equal(large.part(name).batch().x, small.part(name).batch().x)
            assert large.part(name).fingerprint() == small.part(name).fingerprint()


# --- Repeated rows --------------------------------------------------------------------------------------------------


def repeats(x):
    """Rows that are in a set of those before them."""
    seen, count = set(), 0
    for row in x.tolist():
        count += tuple(row) in seen
        seen.add(tuple(row))
    return count


@pytest.mark.parametrize("hashing", ["its own", "poor", "none"])
def test_repeated_rows_are_exact_whatever_the_hashes_do(monkeypatch, hashing):
    rng = np.random.default_rng(3)
    if hashing != "its own":
        kinds = 1 if hashing == "none" else 5
        monkeypatch.setattr(table_columns, "hash_rows", lambda x: (np.floor(np.abs(x[:, 0])) % kinds).astype(np.uint64))
    for high, columns in ((2, 1), (3, 6), (2, 12), (1000, 2)):
        x = rng.integers(-high, high, (300, columns)).astype(np.float64)
        x[x == 0] *= np.where(rng.random((x == 0).sum()) < 0.5, -1, 1)  # zeros of both signs are equal
        assert table_columns.repeated_rows(x) == repeats(x)
    assert table_columns.repeated_rows(rng.normal(size=(9000, 2))) == 0


def test_a_table_too_large_for_memory_takes_no_jitter(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "LARGE", 100)
    with pytest.raises(ValueError, match="too large for memory"):
        open_data(DataConfig(source=saved(tmp_path / "x.npy", np.ones((40, 7))), jitter=True))


def test_only_the_first_rows_of_a_very_long_table_are_looked_at(monkeypatch):
    monkeypatch.setattr(table_columns, "CHECKED", 4)
    x = np.array([[1], [2], [2], [4], [5], [5], [5]], np.float64)
    assert table_columns.table_notes(x, ["a"])[0].startswith("1 of the first 4 rows (25.0%)")


# --- npz ------------------------------------------------------------------------------------------------------------


def packed(path, **arrays):
    np.savez_compressed(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    "names",
    [("x", "y"), ("X", "labels"), ("images", "label"), ("data", "target"), ("arr_0", "arr_1"), ("samples", "class")],
)
def test_names_of_examples_and_labels(tmp_path, names):
    splits = open_data(DataConfig(source=packed(tmp_path / "a.npz", **dict(zip(names, (IMAGES, LABELS), strict=True)))))
    assert splits.spec.classes == ("0", "1", "3")
    for x, c in zip(splits.train.x, splits.train.condition, strict=True):
        row = int((x[0].numpy() == IMAGES).all((1, 2)).argmax())
        assert splits.spec.classes[c] == str(LABELS[row])


@pytest.mark.parametrize("form", ["{}_train", "train_{}"])
def test_train_and_test_parts(tmp_path, form):
    arrays = {form.format("x"): IMAGES, form.format("y"): LABELS}
    arrays |= {k.replace("train", "test"): v[:2] for k, v in arrays.items()}
    splits = open_data(DataConfig(source=packed(tmp_path / "a.npz", **arrays), validation=0))
    assert (splits.train.x[:, 0].numpy() == IMAGES).all()
    assert (splits.test.x[:, 0].numpy() == IMAGES[:2]).all()
    assert splits.test.condition.tolist() == [2, 1]


@pytest.mark.parametrize(
    "arrays, options, words",
    [
        ({"a": IMAGES, "b": LABELS}, {}, "the arrays a, b; call the examples x .* and the labels y"),
        ({"x": IMAGES, "y": LABELS[:3]}, {}, "one for each of 6"),
        ({"x": IMAGES}, {"label": "kind"}, "no array 'kind'"),
        ({"x_train": IMAGES, "x_test": IMAGES[:, :3]}, {}, "shapes"),
        ({"x": np.array([None])}, {}, "Python objects"),
        ({"x": np.array([[1, 2], [3, np.nan]])}, {}, "row 2, column 'column 2'.*nan"),
        ({"x_train": np.ones((3, 2)), "x_test": np.array([[0, np.inf]])}, {}, "row 1, column 'column 2'.*inf"),
        ({}, {}, "none"),
    ],
)
def test_npz_that_makes_no_sense_is_one_sentence(tmp_path, arrays, options, words):
    with pytest.raises(ValueError, match=words):
        open_data(DataConfig(source=packed(tmp_path / "a.npz", **arrays), **options))


def test_labels_that_are_missing_or_measured_or_bytes(tmp_path):
    y = np.array([0.0, 1.0, np.nan, 1.0, 0.0, 1.0])
    for x in (IMAGES, RNG.normal(size=(6, 2))):
        splits = open_data(DataConfig(source=packed(tmp_path / "a.npz", x=x, y=y), holdout=0))
        assert (splits.spec.classes, len(splits.train)) == (("0", "1"), 5)
        assert "1 of 6 rows has no label and is left out: 3." in splits.notes
    splits = open_data(DataConfig(source=packed(tmp_path / "b.npz", x=IMAGES, y=np.array([b"cat", b"dog"] * 3))))
    assert splits.spec.classes == ("cat", "dog")
    splits = open_data(DataConfig(source=packed(tmp_path / "c.npz", x=IMAGES, y=RNG.normal(size=6), mask=IMAGES > 0)))
    assert splits.spec.classes == ()
    assert "The array 'y' holds measured numbers, not classes, so it is not used." in splits.notes
    assert any(note.startswith("Not used: 'mask'") for note in splits.notes)


def test_whole_numbers_that_float64_rounds_are_counted(tmp_path):
    x = 2**60 + np.arange(40).reshape(20, 2)
    notes = open_data(DataConfig(source=saved(tmp_path / "x.npy", x))).notes
    assert any("'column 2' has 20 different values, of which float64 tells 1 apart" in note for note in notes)


@pytest.mark.parametrize("kind", ["csr_matrix", "coo_matrix"])
def test_a_sparse_matrix_is_one_sentence(tmp_path, kind):
    sparse.save_npz(tmp_path / "a.npz", getattr(sparse, kind)(np.eye(4)))
    with pytest.raises(ValueError, match=r"sparse matrix.*toarray"):
        open_data(DataConfig(source=str(tmp_path / "a.npz")))


def test_arrays_under_each_others_name_are_read(tmp_path):
    packed(tmp_path / "a.npz", x=IMAGES)
    saved(tmp_path / "b.npy", IMAGES)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    for name in ("a.npy", "b.npz"):
        assert open_data(DataConfig(source=str(tmp_path / name))).spec.shape == (1, 5, 4)


def test_an_npz_that_is_larger_than_memory_is_refused_unread(tmp_path, monkeypatch):
    source = packed(tmp_path / "a.npz", x=np.zeros((2000, 32, 32), np.uint8))
    monkeypatch.setattr(memory, "free_memory", lambda: 4_000_000)
    with pytest.raises(ValueError, match=r"0.0 GB of memory once decoded.*\.npy, which is mapped"):
        open_data(DataConfig(source=source))


def test_an_npz_that_claims_more_than_it_holds_takes_no_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**15,), "fortran_order": False, "descr": "|u1"})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(ValueError, match="claims"):
        open_data(DataConfig(source=str(tmp_path / "a.npz")))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_array_file_raises_nothing_but_value_error(tmp_path, data):
    name = data.draw(st.sampled_from(["a.npy", "a.npz"]))
    (saved if name == "a.npy" else lambda p, a: packed(p, x=a))(tmp_path / name, IMAGES)
    content = bytearray((tmp_path / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert name in (complaint(DataConfig(source=str(tmp_path / name))) or name)
