"""What a name or a path means, and what is held out."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from genwerk.data import BUILT_INS, DataConfig, open_data
from genwerk.data.dataset import PARTS
from genwerk.training.settings import DIGITS


def test_digits_are_those_of_scikit_learn():
    splits = open_data(DataConfig(source="digits"))
    assert splits.spec == DIGITS
    assert [len(splits.part(name)) for name in PARTS] == [1488, 134, 175]
    bunch = load_digits()
    known = {(x.astype(np.uint8).tobytes(), int(y)) for x, y in zip(bunch.data, bunch.target, strict=True)}
    for part in map(splits.part, PARTS):
        assert part.x.dtype == torch.uint8
        assert all((x.numpy().tobytes(), int(y)) in known for x, y in zip(part.x, part.condition, strict=True))
    assert splits.train.batch().x.max() == 1


def test_digits_fall_back_to_scikit_learn_itself(monkeypatch):
    direct = open_data(DataConfig(source="digits"))
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert open_data(DataConfig(source="digits")).train.fingerprint() == direct.train.fingerprint()


def test_resized_digits_have_256_levels():
    splits = open_data(DataConfig(source="digits", size=16))
    assert splits.spec.shape == (1, 16, 16)
    assert splits.spec.levels == 256
    assert splits.train.x.max() == 255


def test_nothing_heavy_is_imported_until_it_is_used():
    code = (
        "import sys, genwerk.data as d; d.open_data(d.DataConfig(source='digits')); "
        "assert not {'sklearn', 'pyarrow', 'datasets', 'PIL.Image'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "source, words", [("dgits", "did you mean digits"), ("", "data"), ("no/such/path", "no such path")]
)
def test_an_unknown_source_offers_what_there_is(source, words):
    with pytest.raises(ValueError, match=words) as caught:
        open_data(DataConfig(source=source))
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize("source", ["a\0b", "x" * 5000, "~nobody-of-this-name/x"])
def test_a_path_that_cannot_be_is_unknown(source):
    with pytest.raises(ValueError, match="no data"):
        open_data(DataConfig(source=source))


@pytest.mark.parametrize(
    "bad", [{"size": 0}, {"holdout": 1.0}, {"holdout": -0.1}, {"holdout": float("nan")}, {"limit": 0}]
)
def test_settings_that_cannot_be_followed_are_refused(bad):
    with pytest.raises(ValueError, match=r"must be|expected"):
        open_data(DataConfig(source="digits", **bad))


def test_folders_and_files_of_no_known_kind_say_what_was_seen(tmp_path):
    with pytest.raises(ValueError, match=r"holds no image.*nothing"):
        open_data(DataConfig(source=str(tmp_path)))
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 files with \.mp4"):
        open_data(DataConfig(source=str(tmp_path)))
    with pytest.raises(ValueError, match="no known kind"):
        open_data(DataConfig(source=str(tmp_path / "a.mp4")))
    for name in ("a.npy", "b.npz"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.npy, b\.npz; name the one"):
        open_data(DataConfig(source=str(tmp_path)))


def test_a_folder_of_one_file_is_that_file(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert splits.spec.kind == "table"
    assert splits.path == tmp_path
    assert any("x.npy" in n for n in splits.notes)


# --- Built-ins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_INS)
def test_built_ins_are_the_same_every_time(name):
    a, b = (open_data(DataConfig(source=name, seed=5, limit=50)) for _ in range(2))
    assert a.train.fingerprint() == b.train.fingerprint()
    assert a.test.fingerprint() == b.test.fingerprint()
    assert len(a.train) == 50
    assert a.notes


# --- Real data, where they are at hand ------------------------------------------------------------------------------

SHARED = os.environ.get("GENWERK_SHARED_DATA")


@pytest.mark.skipif(SHARED is None, reason="GENWERK_SHARED_DATA is not set")
@pytest.mark.parametrize(
    "folder, shape, classes, captions, sizes",
    [
        ("mnist", (1, 28, 28), 10, False, (60_000, 10_000)),
        ("fashion_mnist", (1, 28, 28), 10, False, (60_000, 10_000)),
        ("cifar10_jpeg", (3, 32, 32), 10, False, (10_000, 2_000)),
        ("cifar10_lossless_4k", (3, 32, 32), 10, False, (3_000, 1_000)),
        ("anime_faces", (3, 64, 64), 0, True, (9_472, 1_052)),
        ("pokemon_sprites_40", (3, 40, 40), 0, False, (713, 79)),
    ],
)
def test_shared_data_are_read_whole(folder, shape, classes, captions, sizes):
    splits = open_data(DataConfig(source=str(Path(SHARED, folder))))
    assert splits.skipped == ()
    assert splits.spec.shape == shape
    assert len(splits.spec.classes) == classes
    assert splits.spec.captions is captions
    assert (len(splits.train), len(splits.test)) == sizes
