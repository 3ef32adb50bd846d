"""Sound files of every kind, good and bad, in folders and zips; and sounds written for a person to hear."""

from __future__ import annotations

import io
import json
import math
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from genwerk.core.spec import Batch, DataSpec
from genwerk.data import DataConfig, Splits, open_data, sounds
from genwerk.data.dataset import PARTS
from genwerk.modalities.writers import waves, with_pauses, write_sound

RATE = 8000
RNG = np.random.default_rng(0)


def tone(samples: int, hertz: float = 440, rate: int = RATE, amplitude: float = 0.5) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * math.pi * hertz / rate * np.arange(samples))


def save(path: Path, x: NDArray, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, rate, subtype=subtype)
    return path


def numbered(folder: Path, n: int, samples: int = 100) -> None:
    """Files of 16 bits whose samples all have the number of the file."""
    for i in range(1, n + 1):
        save(folder / f"{i}.wav", np.full(samples, i, np.int16))


def opened(path: Path, **options: object) -> Splits:
    """All of ``path`` as training examples, in the order of their names."""
    return open_data(DataConfig(source=str(path), **{"holdout": 0.0, **options}))


def samples(splits: Splits) -> NDArray:
    return splits.train.batch().x[:, 0].double().numpy()


def said(splits: Splits, words: str) -> bool:
    return any(words in note for note in splits.notes)


# --- One recording --------------------------------------------------------------------------------------------------


def test_sixteen_bits_come_back_to_the_bit(tmp_path):
    x = RNG.integers(-32767, 32768, 300).astype(np.int16)
    splits = opened(save(tmp_path / "a.wav", x))
    assert splits.spec == DataSpec(kind="audio", shape=(1, 300), sample_rate=RATE)
    assert splits.train.x.dtype == torch.int16
    assert (splits.train.x[0, 0].numpy() == x).all()
    assert splits.train.batch().x.dtype == torch.float32
    write_sound(tmp_path / "again.wav", splits.train.batch().x[0], RATE, {})
    assert (soundfile.read(tmp_path / "again.wav", dtype="int16")[0] == x).all()


def test_full_scale_is_one(tmp_path):
    x = np.array([32767, -32768, 0, 16384], np.int16)
    assert samples(opened(save(tmp_path / "a.wav", x)))[0] == pytest.approx([1, -1, 0, 0.5], abs=1e-4)


@pytest.mark.parametrize(
    "name, subtype, error",
    [
        ("a.wav", "PCM_U8", 1 / 128),
        ("a.wav", "PCM_16", 6e-5),
        ("a.wav", "PCM_24", 4e-5),
        ("a.wav", "FLOAT", 4e-5),
        ("a.wav", "DOUBLE", 4e-5),
        ("a.flac", "PCM_16", 6e-5),
        ("a.FLAC", "PCM_24", 4e-5),
        ("a.ogg", "VORBIS", 0.02),
        ("a.opus", "OPUS", 0.1),
        ("a.mp3", "MPEG_LAYER_III", 0.1),
        ("a.aiff", "PCM_16", 6e-5),
    ],
)
def test_every_kind_of_sample_is_the_same_sound(tmp_path, name, subtype, error):
    x = tone(4000)
    path = tmp_path / name
    soundfile.write(path, x, RATE, subtype=subtype, format="OGG" if name == "a.opus" else None)
    splits = opened(path)
    assert splits.spec.sample_rate == RATE
    assert np.abs(samples(splits)[0] - x)[100:-100].max() < error


def test_channels_are_averaged(tmp_path):
    left, right = tone(500, 300), tone(500, 700)
    splits = opened(save(tmp_path / "a.wav", np.stack([left, right], 1), subtype="FLOAT"))
    assert np.abs(samples(splits)[0] - (left + right) / 2).max() < 4e-5
    assert said(splits, "1 recording is mixed")


@pytest.mark.parametrize("rate", [4000, 6000, 11_025, 22_050])
def test_a_resampled_tone_is_the_tone_at_the_other_rate(tmp_path, rate):
    splits = opened(save(tmp_path / "a.wav", tone(4000, 440), subtype="FLOAT"), rate=rate)
    got = samples(splits)[0]
    assert len(got) == math.ceil(4000 * rate / RATE)
    middle = slice(len(got) // 4, -len(got) // 4)
    assert np.abs(got - tone(len(got), 440, rate))[middle].max() < 2e-3
    assert said(splits, f"1 recording is resampled to {rate:,}")


def test_what_a_lower_rate_cannot_hold_is_filtered_out(tmp_path):
    got = samples(opened(save(tmp_path / "a.wav", tone(4000, 3600), subtype="FLOAT"), rate=4000))[0]
    assert np.abs(got)[200:-200].max() < 5e-3  # decimation alone would leave a tone of 400 Hz at full strength


# --- Length and rate of many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, expected", [(1, 1), (99, 1), (100, 1), (149, 1), (150, 2), (200, 2), (249, 2), (250, 3)])
def test_the_last_piece_is_kept_when_half_full_and_never_dropped_alone(n, expected):
    out = sounds.cut(np.arange(1, n + 1, dtype=np.int16), 100)
    assert sounds.pieces(n, 100) == expected
    assert out.shape == (expected, 1, 100)
    kept = min(n, 100 * expected)
    assert (out.reshape(-1)[:kept] == np.arange(1, kept + 1)).all()
    assert not out.reshape(-1)[kept:].any()


def test_short_recordings_are_filled_up_and_long_ones_cut(tmp_path):
    for name, n in (("a", 30), ("b", 100), ("c", 160), ("d", 230)):
        save(tmp_path / f"{name}.wav", np.full(n, ord(name), np.int16))
    splits = opened(tmp_path, seconds=100 / RATE)
    expected = [("a", 30), ("b", 100), ("c", 100), ("c", 60), ("d", 100), ("d", 100)]
    assert [(int(row.max()), int((row != 0).sum())) for row in splits.train.x] == [(ord(c), n) for c, n in expected]
    assert said(splits, "1 recording is shorter")
    assert said(splits, "2 recordings are longer and cut into consecutive pieces: 6 examples in all. With")
    assert said(splits, "The last piece of 1 recording is dropped, for it is less than half full")
    assert said(splits, "The last piece of 1 recording is filled up with silence, for it is at least half full")
    splits = opened(tmp_path, seconds=100 / RATE, first_piece=True)
    assert [int((row != 0).sum()) for row in splits.train.x] == [30, 100, 100, 100]
    assert said(splits, "2 recordings are longer, of which the first piece is used")


def test_an_example_is_as_long_as_nine_in_ten_recordings(tmp_path):
    for i in range(1, 11):
        save(tmp_path / f"{i}.wav", tone(100 * i + 1))
    assert opened(tmp_path).spec.shape == (1, 901)


def test_an_example_is_two_seconds_at_most_unless_asked_for(tmp_path):
    save(tmp_path / "a.wav", tone(500, rate=100), rate=100)
    assert opened(tmp_path).spec.shape == (1, 200)
    assert len(opened(tmp_path).train) == 3
    assert opened(tmp_path, seconds=5.0).spec.shape == (1, 500)


def test_the_rate_is_the_one_that_most_have(tmp_path):
    for i, rate in enumerate((8000, 8000, 16_000, 44_100)):
        save(tmp_path / f"{i}.wav", tone(rate // 10, rate=rate), rate=rate)
    splits = opened(tmp_path)
    assert (splits.spec.sample_rate, splits.spec.shape) == (8000, (1, 800))
    assert said(splits, "2 recordings are resampled to 8,000")
    middle = samples(splits)[:, 100:-100]
    assert np.abs(middle - middle[0]).max() < 5e-3


def test_clipped_recordings_are_kept_and_counted(tmp_path):
    save(tmp_path / "loud.wav", tone(1000, amplitude=1.5).clip(-1, 1))
    save(tmp_path / "peak.wav", tone(1000, amplitude=0.99))
    save(tmp_path / "over.wav", tone(1000, amplitude=3), subtype="FLOAT")
    splits = opened(tmp_path)
    assert len(splits.train) == 3
    assert np.abs(samples(splits)).max() == 1
    assert said(splits, "1 recording is clipped")
    assert said(splits, "the first is loud.wav")


def test_recordings_above_full_scale_are_scaled_down_to_it(tmp_path):
    quiet, loud = tone(1000, amplitude=0.3), tone(1000, amplitude=3)
    save(tmp_path / "a.wav", quiet, subtype="FLOAT")
    save(tmp_path / "b.wav", np.stack([loud, loud], 1), subtype="DOUBLE")
    splits = opened(tmp_path)
    assert np.abs(samples(splits) - np.stack([quiet, loud / np.abs(loud).max()])).max() < 6e-5
    assert said(
        splits, "1 recording is louder than full scale and scaled down to it (the first is b.wav, with a peak of"
    )


@pytest.mark.parametrize("full, whole", [(2**15, True), (2**15, False), (2**23, False), (2**31, False)])
def test_floats_on_the_scale_of_integers_are_read_by_it(tmp_path, full, whole):
    x = tone(1000) * full
    save(tmp_path / "a.wav", x.round() if whole else x, subtype="FLOAT")
    save(tmp_path / "b.wav", np.round(x / full * 60), subtype="FLOAT")  # a quiet one: 30 of 32,768
    splits = opened(tmp_path)
    assert np.abs(samples(splits)[0] - tone(1000)).max() < 6e-5
    assert np.abs(samples(splits)[1]).max() == pytest.approx(30 / 32768, rel=0.01)
    assert said(splits, "2 recordings are of floats on the scale of integers")


def test_channels_that_cancel_are_not_averaged(tmp_path):
    x = tone(500, 300)
    save(tmp_path / "a.wav", np.stack([0.98 * x, -x], 1))
    save(tmp_path / "b.wav", np.stack([x, 0 * x], 1))
    splits = opened(tmp_path)
    assert np.abs(samples(splits) - np.stack([-x, x / 2])).max() < 1e-4
    assert said(splits, "1 recording is of channels that cancel each other when mixed")


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
def test_a_header_that_promises_more_than_there_is_is_noticed(tmp_path, name):
    content = save(tmp_path / name, tone(1000)).read_bytes()
    (tmp_path / name).write_bytes(content[:-1000])
    splits = opened(tmp_path)
    assert len(samples(splits)[0]) == 500
    assert said(
        splits,
        f"1 recording is cut short: the header promises more than the file holds, which is used as it is "
        f"(the first is {name})",
    )


def test_a_wav_written_before_its_length_was_known_is_whole(tmp_path):
    content = bytearray(save(tmp_path / "a.wav", tone(1000)).read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)
    splits = opened(tmp_path)
    assert np.abs(samples(splits)[0] - tone(1000)).max() < 1e-4
    assert not said(splits, "cut short")


@pytest.mark.parametrize("channels, rate", [(1, RATE), (2, 3000), (3, 44_100)])
def test_a_long_recording_is_read_a_block_at_a_time_and_the_same(tmp_path, monkeypatch, channels, rate):
    path = save(tmp_path / "a.wav", RNG.uniform(-1, 1, (5000, channels)))
    whole = opened(path, rate=rate, seconds=5.0).train.x
    monkeypatch.setattr(sounds, "BLOCK", 700)
    parts = opened(path, rate=rate, seconds=5.0).train.x
    assert (whole.int() - parts.int()).abs().max() <= 1


# --- Labels and parts -----------------------------------------------------------------------------------------------


def test_class_folders_with_a_test_part(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for k, name in enumerate(("cat", "dog")):
            for i in range(count):
                save(tmp_path / part / name / f"{i}.flac", np.full(50, 100 * (k + 1) + i, np.int16))
    splits = open_data(DataConfig(source=str(tmp_path), validation=0))
    assert splits.spec.classes == ("cat", "dog")
    assert (len(splits.train), len(splits.test)) == (6, 4)
    for part in (splits.train, splits.test):
        assert torch.equal(part.condition, (part.x[:, 0, 0] >= 200).long())


def test_metadata_gives_captions_and_labels_to_every_piece(tmp_path):
    numbered(tmp_path, 3)
    (tmp_path / "metadata.csv").write_text("file_name,text,label\n1.wav,one,odd\n2.wav,two,even\n")
    splits = opened(tmp_path, seconds=50 / RATE)
    assert list(splits.train.captions) == ["one", "one", "two", "two"]
    assert splits.train.condition.tolist() == [1, 1, 0, 0]
    assert [s.name for s in splits.skipped] == ["3.wav"]


def test_labels_from_file_names(tmp_path):
    for name in ("7_ann_0", "3_bob_1", "10_ann_2"):
        save(tmp_path / "recordings" / f"{name}.wav", np.full(10, int(name.split("_")[0]), np.int16))
    save(tmp_path / "recordings" / "seven.wav", tone(10))
    splits = opened(tmp_path, label_pattern=r"^(\d+)_")
    assert splits.spec.classes == ("3", "7", "10")
    assert [int(splits.spec.classes[c]) for c in splits.train.condition] == splits.train.x[:, 0, 0].tolist()
    assert [s.name for s in splits.skipped] == ["recordings/seven.wav"]
    assert opened(tmp_path, label_pattern=r"_(ann|bob)_").spec.classes == ("ann", "bob")


def test_images_can_be_labelled_by_name_too(tmp_path):
    for k in range(4):
        Image.new("L", (4, 4), 50 * k).save(tmp_path / f"cat{k % 2}.{k}.png")
    splits = opened(tmp_path, label_pattern=r"(\d)\.")
    assert splits.train.condition.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "pattern, words",
    [(r"^(\d", "not a regular expression"), (r"^\d", "has no group"), (r"^(x)", "none of the 2 files.*'1.wav'")],
)
def test_a_pattern_that_gives_no_labels_is_one_sentence(tmp_path, pattern, words):
    numbered(tmp_path, 2)
    with pytest.raises(ValueError, match=words) as caught:
        opened(tmp_path, label_pattern=pattern)
    assert "data.label_pattern" in str(caught.value)


def test_recordings_are_held_out_whole(tmp_path):
    numbered(tmp_path, 30, samples=300)
    (tmp_path / "copy.wav").write_bytes((tmp_path / "1.wav").read_bytes())
    splits = open_data(DataConfig(source=str(tmp_path), seconds=100 / RATE, holdout=0.2))
    held = [[int(v) for v in splits.part(name).x[:, 0, 0]] for name in PARTS]
    assert sorted(v for part in held for v in part) == sorted(3 * [1, *range(1, 31)])
    assert all(held)
    assert sum(len(set(part)) for part in held) == 30
    few = open_data(DataConfig(source=str(tmp_path), seconds=100 / RATE, holdout=0.2, limit=6))
    assert few.test.fingerprint() == splits.test.fingerprint()
    assert len(few.train) == 6


# --- Bad files ------------------------------------------------------------------------------------------------------


def lying_flac(path: Path, claimed: int) -> None:
    """A whole FLAC file whose header claims ``claimed`` samples."""
    save(path, tone(1000))
    content = bytearray(path.read_bytes())
    field = int.from_bytes(content[18:26], "big")  # 20 bits of rate, 3 of channels, 5 of depth, 36 of samples
    content[18:26] = ((field >> 36 << 36) | claimed).to_bytes(8, "big")
    path.write_bytes(content)


def test_damaged_recordings_are_skipped_counted_and_named(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.flac", tone(1000, 200 + 50 * i))
    whole = (tmp_path / "0.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("hello")
    save(tmp_path / "none.wav", np.zeros(0, np.int16))
    save(tmp_path / "silent.wav", np.zeros(1000, np.int16))
    save(tmp_path / "nan.wav", np.array([0.1, np.nan, 0.2]), subtype="FLOAT")
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    lying_flac(tmp_path / "lie.flac", 2000)
    splits = opened(tmp_path)
    assert len(splits.train) == 5
    reasons = {s.name: s.reason for s in splits.skipped}
    words = {
        "cut.flac": "cannot be decoded (flac",
        "empty.wav": "empty",
        "gone.wav": "no such file",
        "lie.flac": "cannot be decoded",
        "nan.wav": "finite",
        "none.wav": "no samples",
        "silent.wav": "silent",
        "text.wav": "Format not recognised",
    }
    assert sorted(reasons) == sorted(words)
    assert all(reasons[name] and word in reasons[name] for name, word in words.items()), reasons


def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path):
    save(tmp_path / "good.wav", tone(100))
    lying_flac(tmp_path / "bomb.flac", 2**36 - 1)
    content = bytearray(save(tmp_path / "fast.wav", tone(100)).read_bytes())
    content[24:28] = struct.pack("<I", 2**31 - 1)
    (tmp_path / "fast.wav").write_bytes(content)
    start = time.process_time()
    splits = opened(tmp_path)
    assert time.process_time() - start < 1
    assert [s.name for s in splits.skipped] == ["bomb.flac", "fast.wav"]
    assert "68,719,476,735 samples" in splits.skipped[0].reason
    assert "2,147,483,647 samples a second" in splits.skipped[1].reason


def test_a_rate_that_would_swell_a_recording_beyond_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sounds, "MAX_SAMPLES", 1000)
    save(tmp_path / "a.wav", tone(500))
    save(tmp_path / "b.wav", tone(50))
    assert [s.name for s in opened(tmp_path, rate=32_000).skipped] == ["a.wav"]
    (tmp_path / "b.wav").unlink()
    with pytest.raises(ValueError, match=r"a\.wav.*32,000"):
        opened(tmp_path, rate=32_000)


@pytest.mark.parametrize("content", [b"", b"nothing", b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_a_folder_where_nothing_can_be_read_is_one_sentence(tmp_path, content):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"none of the 1 recordings.*bad\.wav.*save it again"):
        opened(tmp_path)


def test_silence_alone_is_one_sentence(tmp_path):
    save(tmp_path / "a.wav", np.zeros(100, np.int16))
    with pytest.raises(ValueError, match="silent"):
        opened(tmp_path)


def test_only_test_recordings_is_one_sentence(tmp_path):
    save(tmp_path / "train" / "a.wav", np.zeros(100, np.int16))
    save(tmp_path / "test" / "b.wav", tone(100))
    with pytest.raises(ValueError, match="no training recording"):
        opened(tmp_path)


def test_a_folder_without_sounds_says_what_is_expected(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"no image, sound or text \(1 files with \.m4a\).*\.wav"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": 10**9}, {"seconds": 0}, {"seconds": float("nan")}, {"seconds": 1e9}]
)
def test_rates_and_lengths_that_cannot_be_are_refused(tmp_path, options):
    numbered(tmp_path, 2)
    with pytest.raises(ValueError, match=r"data\.(rate|seconds)"):
        opened(tmp_path, **options)


def test_an_example_of_no_samples_is_refused(tmp_path):
    numbered(tmp_path, 2)
    with pytest.raises(ValueError, match="0 samples at 8,000 a second"):
        opened(tmp_path, seconds=1e-6)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_raises_nothing_but_value_error(tmp_path, data):
    form = data.draw(st.sampled_from(["WAV", "FLAC", "OGG", "MP3", "AIFF"]))
    file = io.BytesIO()
    soundfile.write(file, tone(400), RATE, format=form)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "it.wav").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    complaint = ""
    try:
        splits = opened(tmp_path, rate=4000, seconds=0.01)
    except ValueError as error:
        complaint = str(error)
    assert "it.wav" in complaint if complaint else splits.spec.shape == (1, 40)


# --- Beside other files, in zips, and large -------------------------------------------------------------------------


@pytest.mark.parametrize("images, kind", [(1, "audio"), (5, "image")])
def test_of_images_and_sounds_the_more_numerous_are_taken(tmp_path, images, kind):
    numbered(tmp_path / "x", 3)
    for i in range(images):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    splits = opened(tmp_path)
    assert splits.spec.kind == kind
    assert said(splits, f"the {images} images beside" if kind == "audio" else "the 3 sounds beside")


def test_a_zip_is_read_like_the_folder_in_it(tmp_path):
    for name in ("a", "b"):
        numbered(tmp_path / "all" / name, 3)
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
        for file in sorted((tmp_path / "all").rglob("*.wav")):
            archive.write(file, file.relative_to(tmp_path))
    a, b = opened(tmp_path / "it.zip"), opened(tmp_path / "all")
    assert a.spec == b.spec
    assert a.spec.classes == ("a", "b")
    assert a.train.fingerprint() == b.train.fingerprint()


def test_large_data_are_mapped_and_the_same_as_small(tmp_path, monkeypatch):
    numbered(tmp_path / "in", 12)
    (tmp_path / "in" / "bad.wav").write_bytes(b"no")
    source = DataConfig(source=str(tmp_path / "in"), seconds=40 / RATE, holdout=0.25, limit=5)
    small = open_data(source)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sounds.cache, "LARGE", 100)
    first = open_data(source)
    assert said(first, "mapped")
    monkeypatch.setattr(sounds, "decode", None)  # the second time nothing is decoded
    for large in (first, open_data(source)):
        assert large.skipped == small.skipped
        assert large.train.fingerprint() == small.train.fingerprint()
        assert large.test.fingerprint() == small.test.fingerprint()


# --- Written --------------------------------------------------------------------------------------------------------

SPEC = DataSpec(kind="audio", shape=(1, 50), sample_rate=100)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ""])
def test_examples_are_written_one_after_the_other_with_silence_between(tmp_path, suffix):
    x = torch.from_numpy(RNG.uniform(-1, 1, (3, 1, 50))).float()
    path = SPEC.modality.write(tmp_path / f"out{suffix}", Batch(x), {"seed": 3})
    assert path.suffix == (suffix or ".wav")
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.subtype) == (100, "PCM_16")
        assert json.loads(file.comment) == {"seed": 3}
        got = file.read(dtype="int16") / 32767
    assert len(got) == 3 * 50 + 2 * 20
    for i, one in enumerate(x[:, 0]):
        assert np.abs(got[70 * i : 70 * i + 50] - one.numpy()).max() < 2e-5
        assert not got[70 * i + 50 : 70 * i + 70].any()
    picture = SPEC.modality.draw(tmp_path / "out.waves.png", Batch(x), {"seed": 3})
    assert json.loads(Image.open(picture).text["genwerk"]) == {"seed": 3}


def test_a_target_follows_its_example(tmp_path):
    x = torch.full((2, 1, 50), 0.25)
    path = SPEC.modality.write(tmp_path / "out", Batch(x, target=2 * x), {})
    got = soundfile.read(path)[0]
    assert got[[0, 70, 140, 210]] == pytest.approx([0.25, 0.5, 0.25, 0.5], abs=1e-4)


def test_in_turn_keeps_channels_apart():
    x = torch.arange(1, 9).view(2, 2, 2)
    assert with_pauses(x, 1).tolist() == [[1, 2, 0, 5, 6], [3, 4, 0, 7, 8]]


def test_a_wave_is_drawn_where_it_is():
    x = torch.zeros(2, 1, 480)
    x[0, 0, :240], x[1, 0, 240:] = 1, -1
    pale, ink = 0.94, 0.2
    up, down = waves(x)[:, 0]
    assert up[0, :119].allclose(torch.tensor(ink))
    assert up[1:, :119].allclose(torch.tensor(pale))
    assert up[28, 121:].allclose(torch.tensor(ink))
    assert down[56, 121:].allclose(torch.tensor(ink))
    assert down[:56, 121:].allclose(torch.tensor(pale))
    assert waves(x[:, :, :7]).shape == (2, 1, 57, 240)
