"""The five tables of the literature, against the published preprocessing written again, a value at a time."""

import gzip
import sys
from collections import Counter
from math import sqrt

import numpy as np
import pytest

from genwerk.data import DataConfig, open_data, uci

h5py = pytest.importorskip("h5py")

RNG = np.random.default_rng(0)


def opened(source):
    """Training rows, held-out rows and the notes."""
    splits = open_data(DataConfig(source=source))
    return splits.train.x.numpy(), splits.test.x.numpy(), " ".join(splits.notes), splits.spec.columns


def parts(name, path):
    """Training, validation and test rows, each as it is held out by one of the two sources of a set."""
    train, test, notes, _ = opened(f"{name}:{path}")
    again, validation, choosing, _ = opened(f"{name}-val:{path}")
    assert (train == again).all()
    assert "Held out are the test rows" in notes
    assert "Held out are the validation rows" in choosing
    return train, validation, test


def cut(rows):
    """The last tenth to test on, then the last tenth of what is left to validate on; tenths are rounded down."""
    test = len(rows) // 10
    validation = (len(rows) - test) // 10
    return rows[: len(rows) - test - validation], rows[len(rows) - test - validation : len(rows) - test], rows[-test:]


def standardised(split, by, less):
    """Every value less its column's mean over the rows ``by``, over the root of the mean square of n - ``less``."""
    columns = list(zip(*by, strict=True))
    means = [sum(c) / len(c) for c in columns]
    stds = [sqrt(sum((v - m) ** 2 for v in c) / (len(c) - less)) for c, m in zip(columns, means, strict=True)]
    return [[[(v - m) / s for v, m, s in zip(r, means, stds, strict=True)] for r in part] for part in split]


def agree(got, expected):
    for g, e in zip(got, expected, strict=True):
        assert g.shape == np.shape(e)
        assert np.allclose(g, e, rtol=1e-5, atol=1e-5)


def least_repeats(column):
    """How often the least value of a column occurs, as Counter and sorted find it."""
    return sorted(Counter(column).items())[0][1]


# --- POWER ------------------------------------------------------------------------------------------------------------


def shuffled_and_noisy(rows):
    """Six of POWER's eight columns, in the order and with the noise of one generator of seed 42."""
    rng = np.random.RandomState(42)
    rows = np.array(rows)
    rng.shuffle(rows)
    n = len(rows)
    voltage, active, metering = rng.rand(n, 1), rng.rand(n, 1), rng.rand(n, 3)
    return [
        [
            rows[i, 0] + active[i, 0] / 1000,
            rows[i, 2] + voltage[i, 0] / 100,
            *(rows[i, 4 + j] + metering[i, j] for j in range(3)),
            rows[i, 7],
        ]
        for i in range(n)
    ]


def test_power_is_shuffled_jittered_and_standardised(tmp_path):
    rows = RNG.normal(size=(57, 8)) * 10
    np.save(tmp_path / "data.npy", rows)
    split = cut(shuffled_and_noisy(rows))
    agree(parts("power", tmp_path), standardised(split, split[0] + split[1], 0))
    notes = opened(f"power:{tmp_path / 'data.npy'}")[2]
    assert "published preprocessing" in notes
    assert "47 training, 5 validation and 5 test rows of 6 columns" in notes
    assert "the paper has 1,659,917 training, 184,435 validation and 204,928 test rows" in notes


def test_power_from_the_text_of_the_repository(tmp_path):
    header = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;" + "Sub_metering;" * 3
    lines, rows = [header[:-1]], []
    for i in range(40):
        numbers = [round(v, 3) for v in RNG.normal(5, 1, 7)]
        if i % 9 == 4:
            lines.append(f"16/12/2006;{i % 24:02}:{i:02}:00;?;?;?;?;?;?;")
        else:
            lines.append(f"16/12/2006;{i % 24:02}:{i:02}:00;" + ";".join(map(str, numbers)))
            rows.append([*numbers, 60 * (i % 24) + i])
    (tmp_path / "household_power_consumption.txt").write_text("\n".join(lines) + "\n")
    for row, noise in zip(rows, np.random.default_rng(42).random(len(rows)), strict=True):
        row[7] += noise
    split = cut(shuffled_and_noisy(rows))
    agree(parts("power", tmp_path), standardised(split, split[0] + split[1], 0))


# --- GAS --------------------------------------------------------------------------------------------------------------


def gas_rows(n):
    """Time, two gases, and sixteen sensors of which many see the same."""
    seen = RNG.normal(size=(n, 5))
    sensors = [seen[:, i % 5] * (-1) ** (i == 7) + 0.1 * (i > 12) * RNG.normal(size=n) for i in range(16)]
    return np.column_stack([np.arange(n), RNG.normal(size=(n, 2)), *sensors])


def correlation(a, b):
    a, b = a - sum(a) / len(a), b - sum(b) / len(b)
    return sum(a * b) / sqrt(sum(a * a) * sum(b * b))


def uncorrelated(rows):
    """The columns that are left when every correlation is taken anew after each that is dropped."""
    kept = list(range(len(rows[0])))
    while True:
        counts = [sum(correlation(rows[:, i], rows[:, j]) > 0.98 for j in kept) for i in kept]
        if max(counts) <= 1:
            return kept
        kept.remove(kept[next(i for i, count in enumerate(counts) if count > 1)])


def test_gas_drops_the_first_of_what_correlates_and_uses_all_rows_to_standardise(tmp_path):
    rows = gas_rows(60)
    np.save(tmp_path / "gas.npy", rows)
    kept = uncorrelated(rows[:, 3:])
    assert 5 < len(kept) < 12
    chosen = rows[:, 3:][:, kept].tolist()
    agree(parts("gas", tmp_path), standardised(cut(chosen), chosen, 1))
    assert opened(f"gas:{tmp_path}")[3] == tuple(f"sensor {i + 1}" for i in kept)
    np.save(tmp_path / "gas.npy", rows[:, 3:])
    agree(parts("gas", tmp_path), standardised(cut(chosen), chosen, 1))


def test_gas_from_the_text_of_the_repository_is_a_quarter_of_it(tmp_path):
    rows = gas_rows(241)
    head = "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)"
    np.savetxt(tmp_path / "ethylene_CO.txt", rows, header=head, comments="", fmt="%.17g")
    train, validation, test = parts("gas", tmp_path)
    assert [len(part) for part in (train, validation, test)] == [49, 5, 6]
    drawn = rows[np.random.default_rng(42).permutation(241)[:60]][:, 3:]
    chosen = drawn[:, uncorrelated(drawn)].tolist()
    agree((train, validation, test), standardised(cut(chosen), chosen, 1))


@pytest.mark.parametrize("place", ["", "ethylene_CO.pickle"])
def test_a_pickle_is_refused_with_what_to_give_instead(tmp_path, place):
    (tmp_path / "ethylene_CO.pickle").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(ValueError, match=r"is a pickle.*ethylene_CO\.txt") as caught:
        opened(f"gas:{tmp_path / place}")
    assert str(caught.value).count(". ") == 0


# --- HEPMASS ----------------------------------------------------------------------------------------------------------


def hepmass_rows(n, width):
    """Label and features: the third takes two values, the fifth has a value often that is not its least."""
    rows = RNG.normal(size=(n, width))
    rows[:, 0] = RNG.random(n) < 0.6
    rows[:, 3] = RNG.random(n) < 0.5
    rows[::2, 5] = 0
    return rows


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_hepmass_keeps_signal_and_columns_whose_least_value_is_rare(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(uci, "CHUNK", 17)
    train, test = hepmass_rows(90, 28), hepmass_rows(50, 29)
    for name, rows in (("train", train), ("test", test)):
        names = "# label," + ",".join(f"f{i}" for i in range(rows.shape[1] - 1))
        lines = [names, *(",".join(f"{v:.18e}" for v in row) for row in rows)]
        content = ("\n".join(lines) + "\n").encode()
        (tmp_path / f"1000_{name}.csv{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    signal = [row[1:] for row in train.tolist() if row[0] == 1]
    kept = [j for j, column in enumerate(zip(*signal, strict=True)) if least_repeats(column) <= 5]
    assert 2 not in kept
    assert 4 in kept
    signal = [[row[j] for j in kept] for row in signal]
    tested = [[row[1 + j] for j in kept] for row in test.tolist() if row[0] == 1]
    tenth = len(signal) // 10
    split = (signal[:-tenth], signal[-tenth:], tested)
    agree(parts("hepmass", tmp_path), standardised(split, signal, 1))
    agree(parts("hepmass", tmp_path / f"1000_test.csv{suffix}"), standardised(split, signal, 1))
    assert opened(f"hepmass:{tmp_path}")[3] == tuple(f"f{j}" for j in kept)


def test_hepmass_reads_no_more_rows_than_are_asked_for(tmp_path):
    rows = [[1, *RNG.normal(size=27)] for _ in range(20)]
    lines = [",".join(["# label", *"f" * 27]), *(",".join(map(str, row)) for row in rows), "not a row"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    got, names = uci._signal(tmp_path / "a.csv", 20)
    assert (got == np.array(rows)[:, 1:]).all()
    assert len(names) == 27


# --- MINIBOONE --------------------------------------------------------------------------------------------------------


def test_miniboone_keeps_signal_without_outliers(tmp_path):
    rows = RNG.normal(size=(90, 50))
    rows[[3, 20]] = -999
    rows[:, 7] = np.abs(rows[:, 7]).round()
    rows[::2, 9] = rows[:, 9].max()
    with (tmp_path / "MiniBooNE_PID.txt").open("w") as file:
        file.write("    70    20\n")
        np.savetxt(file, rows, fmt="%.17g")
    signal = [row for row in rows[:70].tolist() if row[0] >= -100]
    kept = [j for j, column in enumerate(zip(*signal, strict=True)) if least_repeats(column) <= 5]
    assert kept == [j for j in range(50) if j != 7]
    split = cut([[row[j] for j in kept] for row in signal])
    agree(parts("miniboone", tmp_path), standardised(split, split[0] + split[1], 0))


def test_miniboone_as_the_authors_saved_it_and_their_folder_of_folders(tmp_path):
    rows = RNG.normal(2, 3, size=(36, 43))
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone" / "data.npy", rows)
    split = cut(rows.tolist())
    agree(parts("miniboone", tmp_path), standardised(split, split[0] + split[1], 0))


def test_the_published_numbers_are_said_to_be_so(tmp_path):
    np.save(tmp_path / "data.npy", RNG.normal(size=(29_556 + 3_284 + 3_648, 43)))
    notes = opened(f"miniboone:{tmp_path}")[2]
    assert "29,556 training, 3,284 validation and 3,648 test rows of 43 columns, the published numbers." in notes


# --- BSDS300 ----------------------------------------------------------------------------------------------------------


def write_bsds(path, columns=63, names=("train", "validation", "test")):
    rows = {name: RNG.normal(size=(n, columns)).astype(np.float32) for name, n in zip(names, (20, 5, 7), strict=True)}
    with h5py.File(path, "w") as file:
        for name, x in rows.items():
            file[name] = x
    return list(rows.values())


def test_bsds300_is_left_as_it_is(tmp_path):
    rows = write_bsds(tmp_path / "BSDS300.hdf5")
    for got, expected in zip(parts("bsds300", tmp_path), rows, strict=True):
        assert (got == expected).all()


# --- Files that cannot be used ----------------------------------------------------------------------------------------


def complaint(source):
    with pytest.raises(ValueError, match=r"\w") as caught:
        opened(source)
    text = str(caught.value)
    assert "\n" not in text
    assert not text.endswith(".")
    return text


@pytest.mark.parametrize(
    "name, file, content, words",
    [
        ("power", "data.npy", np.ones((20, 7)), "shape (20, 7); expected numbers in 8 columns"),
        ("power", "data.npy", np.ones(20), "8 columns"),
        ("power", "data.npy", np.array([{}], dtype=object), "not a whole .npy"),
        ("power", "data.npy", RNG.normal(size=(10, 8)), "10 rows to prepare; expected 11 or more"),
        ("power", "data.npy", np.full((20, 8), np.nan), "holds nan"),
        ("power", "household_power_consumption.txt", "a,b\n1,2\n", "1 columns"),
        ("power", "household_power_consumption.txt", "a;b;c;d;e;f;g;h;i\n", "holds no rows"),
        ("power", "household_power_consumption.txt", "a;b;c;d;e;f;g;h;i\n1;2:3:4;x;1;1;1;1;1;1\n", "cannot be read"),
        ("gas", "ethylene_CO.txt", "head\n1 2 3\n", "has 3 columns; expected 19"),
        ("gas", "ethylene_CO.txt", "head\n" + ("1 " * 19 + "\n") * 80, "'sensor 1' of"),
        ("gas", "gas.npy", RNG.normal(size=(20, 8)), "expected numbers in 16 or 19 columns"),
        ("hepmass", "1000_train.csv", "# label,f0\n1,2\n", "lacks a file"),
        ("miniboone", "MiniBooNE_PID.txt", "1 2 3\n", "3 cells above 0 columns"),
        ("miniboone", "data.npy", np.ones((20, 50)), "43 columns"),
        ("miniboone", "data.npy", np.ones((20, 43)), "'column 1' of"),
        ("bsds300", "BSDS300.hdf5", "no HDF5", "not a whole HDF5 file"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, name, file, content, words):
    if isinstance(content, str):
        (tmp_path / file).write_text(content)
    else:
        np.save(tmp_path / file, content)
    said = complaint(f"{name}:{tmp_path}")
    assert words in said
    assert str(tmp_path) in said


@pytest.mark.parametrize("name", ["1000_train.csv", "1000_train.csv.gz"])
@pytest.mark.parametrize("content", ["a,b\n1,2\n", ",".join("f" * 28) + "\n1,2\n", ",".join("f" * 28) + "\n"])
def test_hepmass_that_is_none_is_one_sentence(tmp_path, name, content):
    data = gzip.compress(content.encode()) if name.endswith("gz") else content.encode()
    for part in ("train", "test"):
        (tmp_path / name.replace("train", part)).write_bytes(data)
    assert "1000_train" in complaint(f"hepmass:{tmp_path}")
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert "1000_train" in complaint(f"hepmass:{tmp_path}")


def test_bsds300_of_another_shape_or_without_its_parts_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "BSDS300.hdf5"
    write_bsds(path, columns=64)
    assert "expected numbers in 63 columns" in complaint(f"bsds300:{path}")
    write_bsds(path, names=("train", "val", "test"))
    assert "expected train, validation and test" in complaint(f"bsds300:{path}")
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install 'genwerk[hdf5]'" in complaint(f"bsds300:{path}")


@pytest.mark.parametrize("name", list(uci.SETS))
def test_a_missing_path_names_the_files(tmp_path, name):
    for source in (name, f"{name}:", f"{name}-val:", f"{name}:{tmp_path}/none", f"{name}:{tmp_path}", f"{name}:a\0b"):
        assert uci.SETS[name].files[0] in complaint(source)
