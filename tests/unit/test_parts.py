"""Which rows are trained on, which choose the weights and which are measured: nothing but what they hold decides."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from genwerk.data import DataConfig, open_data
from genwerk.data.content import hash_rows
from genwerk.data.dataset import PARTS
from genwerk.data.parts import MOST, changed, choose

RNG = np.random.default_rng(5)


def held(splits):
    """The examples of each part as bytes."""
    return {name: [x.tobytes() for x in splits.part(name).x.numpy()] for name in PARTS}


def table(path, rows, **options):
    np.save(path, rows)
    return open_data(DataConfig(source=str(path), **options))


def picture(path: Path, x):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(x).save(path)


def pixels(n):
    return RNG.integers(0, 256, (n, 6, 6, 3), np.uint8)


# --- The choice -----------------------------------------------------------------------------------------------------


def test_whatever_is_added_removed_or_moved_no_row_leaves_its_part(tmp_path):
    rows = RNG.normal(size=(400, 3))
    first = held(table(tmp_path / "a.npy", rows[:300]))
    assert sorted(x for part in first.values() for x in part) == sorted(x.tobytes() for x in rows[:300])
    grown = held(table(tmp_path / "b.npy", rows))
    shrunk = held(table(tmp_path / "c.npy", rows[50:250]))
    turned = held(table(tmp_path / "d.npy", rows[299::-1]))
    for name in PARTS:
        assert set(first[name]) <= set(grown[name])
        assert set(shrunk[name]) <= set(first[name])
        assert turned[name] == first[name][::-1]
    assert 20 < len(first["test"]) < 45
    assert 15 < len(first["validation"]) < 42
    assert held(table(tmp_path / "a.npy", rows[:300], seed=1))["test"] != first["test"]
    assert held(table(tmp_path / "a.npy", rows[:300], limit=9))["test"] == first["test"]


def test_of_pictures_the_choice_is_by_content_whatever_their_names_and_size(tmp_path):
    x = pixels(60)
    for i, one in enumerate(x):
        picture(tmp_path / "a" / f"{i:03d}.png", one)
        picture(tmp_path / "b" / f"{(7 * i) % 60:03d}.png", one)
        picture(tmp_path / "c" / f"{i:03d}.png", one)
    for i, one in enumerate(pixels(9)):
        picture(tmp_path / "c" / f"before{i}.png", one)
    a, b, c = (held(open_data(DataConfig(source=str(tmp_path / k)))) for k in "abc")
    for name in PARTS:
        assert set(a[name]) == set(b[name]) <= set(c[name])
    small, large = (open_data(DataConfig(source=str(tmp_path / "a"), size=size)) for size in (4, 6))
    assert [len(small.part(name)) for name in PARTS] == [len(large.part(name)) for name in PARTS]


def test_columns_in_another_order_are_the_same_rows(tmp_path):
    x = RNG.normal(size=(50, 3)).round(3)
    for name, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        head = ",".join(np.array(["h", "w", "age"])[order])
        np.savetxt(tmp_path / f"{name}.csv", x[:, order], delimiter=",", header=head, comments="", fmt="%.3f")
    a, b = (open_data(DataConfig(source=str(tmp_path / f"{name}.csv"))) for name in "ab")
    assert torch.equal(a.test.x, b.test.x[:, [1, 2, 0]])
    assert a.fingerprints == b.fingerprints


@pytest.mark.parametrize("n", range(1, 7))
def test_few_examples_are_in_every_part_where_there_are_enough(tmp_path, n):
    splits = table(tmp_path / "x.npy", RNG.normal(size=(n, 2)))
    assert (splits.test is splits.train) == (n == 1)
    assert (splits.validation is splits.train) == (n < 3)
    assert sum(len(p) for p in {id(p): p for p in map(splits.part, PARTS)}.values()) == n
    said = " ".join(splits.notes)
    assert ("one example in all" in said) == (n == 1)
    assert ("No example is kept apart" in said) == (n == 2)


@pytest.mark.parametrize("holdout, validation", [(0.1, 0.1), (0.99, 0.99), (0.5, 0.0), (1e-9, 1e-9), (0.0, 0.5)])
@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_part_is_empty_only_where_it_must_be(n, holdout, validation):
    place = np.random.default_rng(n).random(n)
    tested, judged, _ = choose(place, holdout, validation)
    assert not (tested & judged).any()
    assert (~(tested | judged)).any()
    assert tested.any() == (holdout > 0 and n > 1)
    assert judged.any() == (validation > 0 and n > 1 + (holdout > 0))


def test_nothing_is_held_out_where_none_is_asked_for(tmp_path):
    splits = table(tmp_path / "x.npy", np.arange(50.0)[:, None], holdout=0)
    assert splits.train is splits.test is splits.validation
    assert len(splits.train) == 50
    splits = table(tmp_path / "x.npy", np.arange(50.0)[:, None], validation=0)
    assert splits.train is splits.validation is not splits.test


def test_no_more_are_kept_apart_than_a_choice_needs_and_a_test_part_is_never_cut(tmp_path):
    rows = RNG.normal(size=(60_000, 2)).astype(np.float32)
    splits = table(tmp_path / "x.npy", rows)
    assert abs(len(splits.validation) - MOST) < 5 * MOST**0.5
    assert abs(len(splits.test) - 6_000) < 5 * 6_000**0.5
    few = table(tmp_path / "y.npy", rows[:6_000])
    assert set(held(few)["test"]) <= set(held(splits)["test"])


# --- Copies ---------------------------------------------------------------------------------------------------------


def test_copies_of_rows_pictures_and_sounds_are_in_one_part(tmp_path):
    rows = RNG.normal(size=(100, 2))
    x = pixels(40)
    for i, one in enumerate(x):
        picture(tmp_path / "pictures" / f"{i}.png", one)
        picture(tmp_path / "pictures" / f"again{i}.{'bmp' if i % 2 else 'png'}", one)
        (tmp_path / "sounds").mkdir(exist_ok=True)
        for name in ("", "again"):
            soundfile.write(tmp_path / "sounds" / f"{name}{i}.wav", one.reshape(-1).astype(np.int16) * 99, 8000)
    np.savez(tmp_path / "x.npz", x=np.concatenate([x, x]), y=np.arange(80) % 3)
    for splits in (
        table(tmp_path / "x.npy", np.concatenate([rows, rows])),
        *(open_data(DataConfig(source=str(tmp_path / name))) for name in ("pictures", "sounds", "x.npz")),
    ):
        parts = [set(part) for part in held(splits).values()]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts))
    assert "40 of 80 images are copies" in " ".join(splits.notes)


def test_equal_rows_of_a_table_of_few_values_are_no_copies(tmp_path):
    rows = RNG.integers(0, 2, (600, 3)).astype(np.float32)
    splits = table(tmp_path / "x.npy", rows)
    assert all(len(set(part)) == 8 for part in held(splits).values())
    assert any("take 8 values" in n for n in splits.notes)
    grown = held(table(tmp_path / "y.npy", np.concatenate([rows, rows[:50]])))
    for name, part in held(splits).items():
        for value in set(part):
            assert part.count(value) <= grown[name].count(value)


def test_copies_between_the_parts_of_a_source_are_counted_and_named(tmp_path):
    x = pixels(12)
    for i, one in enumerate(x):
        picture(tmp_path / "pictures" / "train" / f"{i}.png", one)
        if i % 3 == 0:
            picture(tmp_path / "pictures" / "test" / f"t{i:02d}.bmp", one)
    for part, rows in (("train", x), ("test", pixels(3))):
        (tmp_path / "sounds" / part).mkdir(parents=True)
        for i, one in enumerate(rows):
            soundfile.write(tmp_path / "sounds" / part / f"{i}.wav", one.reshape(-1).astype(np.int16) * 99, 8000)
    (tmp_path / "sounds" / "test" / "3.wav").write_bytes((tmp_path / "sounds" / "train" / "7.wav").read_bytes())
    np.savez(tmp_path / "a.npz", x_train=x, x_test=x[:2])

    def said(name):
        return " ".join(open_data(DataConfig(source=str(tmp_path / name))).notes)

    assert "4 of 4 test examples (test/t00.bmp, test/t03.bmp, test/t06.bmp, ...) are copies" in said("pictures")
    assert "1 of 4 test examples (test/3.wav) is a copy of a training example," in said("sounds")
    assert "2 of 2 test examples (number 1, number 2) are copies" in said("a.npz")


# --- Hashes and fingerprints ----------------------------------------------------------------------------------------


def test_rows_have_equal_hashes_where_they_are_equal_alone():
    x = RNG.integers(0, 3, (5_000, 9)).astype(np.uint8)
    assert len(np.unique(hash_rows(x))) == len(np.unique(x, axis=0))
    assert (hash_rows(x) == hash_rows(torch.from_numpy(x))).all()
    assert (hash_rows(np.array([[0.0, 1.0]])) == hash_rows(np.array([[-0.0, 1.0]]))).all()
    swapped = x[:, ::-1]
    same = (x == swapped).all(1)
    assert ((hash_rows(x) == hash_rows(swapped)) == same).all()
    assert len(hash_rows(x[:0])) == 0
    wide = RNG.integers(0, 256, (3, 3 * 2**20), np.uint8)
    assert (hash_rows(wide)[1:] == hash_rows(wide[1:])).all()


def test_what_has_changed_is_said(tmp_path):
    rows = RNG.normal(size=(100, 2))
    before = table(tmp_path / "x.npy", rows).fingerprints
    assert changed(before, table(tmp_path / "x.npy", rows[::-1])) is None
    assert changed({}, table(tmp_path / "x.npy", rows[:50])) is None
    now = table(tmp_path / "x.npy", np.concatenate([rows, rows[:9] + 1]))
    n = len(table(tmp_path / "y.npy", rows).train)
    assert f"{n} training examples and not {len(now.train)}" in changed(before, now)
    one = {**before, "test": "1:alone:"}
    assert f"1 test example and not {len(now.test)}" in changed(one, now)
    count, content, labels = now.fingerprints["test"].split(":")
    other = {**now.fingerprints, "test": f"{count}:other:{labels}"}
    assert "other test examples" in changed(other, now)
    relabelled = {**now.fingerprints, "test": f"{count}:{content}:other"}
    assert "other labels or captions of the test examples" in changed(relabelled, now)
    assert changed(relabelled, now, labels=False) is None


# --- Groups, and a test part of its own -----------------------------------------------------------------------------


def test_groups_of_files_are_never_split(tmp_path):
    for speaker in range(12):
        for i, one in enumerate(pixels(5)):
            picture(tmp_path / "d" / f"{speaker:02d}_{i}.png", one)
    splits = open_data(DataConfig(source=str(tmp_path / "d"), group=r"^(\d+)_", holdout=0.2))
    of = {np.asarray(Image.open(f)).tobytes(): f.name[:2] for f in (tmp_path / "d").iterdir()}
    speakers = [{of[x.transpose(1, 2, 0).tobytes()] for x in splits.part(name).x.numpy()} for name in PARTS]
    assert all(speakers)
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 12
    assert any("the 12 groups they belong to" in n for n in splits.notes)
    for pattern, words in ((r"^\d+", "has no group"), ("(", "not a regular"), ("(x)$", "in none of the 60 names")):
        with pytest.raises(ValueError, match=words):
            open_data(DataConfig(source=str(tmp_path / "d"), group=pattern))
    with pytest.raises(ValueError, match="neither a column of that name nor files"):
        open_data(DataConfig(source="digits", group="speaker"))


def test_another_source_can_be_the_test_part(tmp_path):
    x = RNG.normal(size=(60, 2)).round(3)
    np.savetxt(tmp_path / "a.csv", x[:50], delimiter=",", header="h,w", comments="", fmt="%.3f")
    np.savetxt(tmp_path / "b.csv", x[45:, ::-1], delimiter=",", header="w,h", comments="", fmt="%.3f")
    splits = open_data(DataConfig(source=str(tmp_path / "a.csv"), test=str(tmp_path / "b.csv")))
    assert np.allclose(splits.test.x, x[45:])
    assert len(splits.train) + len(splits.validation) == 50
    assert any("5 of 15 test examples (number 1, number 2, number 3, ...) are copies" in n for n in splits.notes)
    (tmp_path / "c.csv").write_text("h,z\n1,2\n")
    with pytest.raises(ValueError, match="no column 'w'"):
        open_data(DataConfig(source=str(tmp_path / "a.csv"), test=str(tmp_path / "c.csv")))
    for name, n in (("train", 9), ("test", 4)):
        for i, one in enumerate(pixels(n)):
            picture(tmp_path / name / "cat" / f"{i}.png", one)
            picture(tmp_path / name / "dog" / f"{i}.png", pixels(1)[0].repeat(2, 0).repeat(2, 1))
    splits = open_data(DataConfig(source=str(tmp_path / "train"), size=8, test=str(tmp_path / "test")))
    assert splits.test.x.shape == (8, 3, 8, 8)
    assert splits.test.condition.bincount().tolist() == [4, 4]
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "cow")
    with pytest.raises(ValueError, match="class 'cow', which the training data lack"):
        open_data(DataConfig(source=str(tmp_path / "train"), size=8, test=str(tmp_path / "test")))


def test_a_run_in_its_data_folder_is_no_data(tmp_path):
    for i, one in enumerate(pixels(6)):
        picture(tmp_path / f"{i}.png", one)
        picture(tmp_path / "run" / "samples" / f"{i}.png", pixels(1)[0])
    (tmp_path / "run" / "config.json").write_text('{"library": "genwerk"}')
    splits = open_data(DataConfig(source=str(tmp_path), holdout=0))
    assert len(splits.train) == 6
    assert [s.name for s in splits.skipped] == ["run"]
    (tmp_path / "tables" / "run").mkdir(parents=True)
    for folder in ("tables", "tables/run"):
        for name in ("train", "test"):
            (tmp_path / folder / f"{name}.csv").write_text("a,b\n1,2\n")
    (tmp_path / "tables" / "run" / "config.json").write_text('{"library": "genwerk"}')
    assert len(open_data(DataConfig(source=str(tmp_path / "tables"))).train) == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_groups_of_a_table_are_never_split_and_not_modelled(tmp_path, kind):
    import pyarrow as pa
    import pyarrow.parquet as pq

    x, patients = RNG.normal(size=(200, 2)).round(4), [f"p{i % 20}" for i in range(200)]
    table_ = pa.table({"a": x[:, 0], "patient": patients, "b": x[:, 1]})
    if kind == "parquet":
        pq.write_table(table_, tmp_path / "t.parquet")
    else:
        lines = [f"{a},{p},{b}" for (a, b), p in zip(x.tolist(), patients, strict=True)]
        (tmp_path / "t.csv").write_text("\n".join(["a,patient,b", *lines]))
    splits = open_data(DataConfig(source=str(tmp_path / f"t.{kind}"), group="patient", holdout=0.2))
    assert splits.spec.columns == ("a", "b")
    of = {row.tobytes(): p for row, p in zip(x, patients, strict=True)}
    owners = [{of[row.tobytes()] for row in splits.part(name).x.numpy()} for name in PARTS]
    assert all(owners)
    assert sum(map(len, owners)) == 20
    assert sum(len(splits.part(name)) for name in PARTS) == 200
    with pytest.raises(ValueError, match="doctor"):
        open_data(DataConfig(source=str(tmp_path / f"t.{kind}"), group="doctor"))
