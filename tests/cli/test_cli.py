"""The command as a user types it: what it writes, and one sentence with exit code 2 for every mistake."""

from __future__ import annotations

import json
import pickle
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwerk.cli import main
from genwerk.core.errors import BadInput
from genwerk.data import DataConfig, Splits
from genwerk.runs import opened as opened_module
from genwerk.runs.opened import OpenRun

Genwerk = Callable[..., str]
QUICK = [
    "--rounds",
    "40",
    "--evaluate.samples",
    "200",
    "--evaluate.importance-samples",
    "5",
    "--train.save-every",
    "20",
]


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "vae"
    main(["train", "vae", "--data", "digits", "--out", str(run), *QUICK])
    return run


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "mixture"
    main(["train", "mixture", "--data", "ring", "--out", str(run), "--rounds", "10", "--no-evaluate"])
    return run


def test_a_run_is_a_folder_that_says_all(vae: Path) -> None:
    assert {p.name for p in vae.iterdir()} >= {
        "config.json",
        "checkpoints",
        "events.jsonl",
        "samples",
        "card.md",
        "report.json",
    }
    config = json.loads((vae / "config.json").read_text())
    assert (config["library"], config["format"], config["name"]) == ("genwerk", 2, "vae")
    assert config["recipe"]["train"]["rounds"] == 40
    events = [json.loads(line) for line in (vae / "events.jsonl").read_text().splitlines()]
    assert {"samples", "evaluated", "saved"} <= {e["event"] for e in events}
    assert "genwerk train vae --data digits" in (vae / "card.md").read_text()


def test_what_a_run_folder_names_is_loaded_from_the_hub_where_one_says_so(
    vae: Path, tmp_path: Path, refused: Genwerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OpenRun(vae, "cpu", None, print)
    opened.settings = replace(opened.settings, source="hf:somebody/something")
    asked: list[str] = []

    def open_data(settings: DataConfig, data: object = None) -> Splits:
        asked.append(settings.source)
        raise BadInput("no such data")

    monkeypatch.setattr(opened_module, "open_data", open_data)
    with pytest.raises(BadInput, match=r"hf:somebody/something.*set GENWERK_HUB=1"):
        _ = opened.splits
    assert not asked
    monkeypatch.setenv("GENWERK_HUB", "1")
    with pytest.raises(ValueError, match="no such data"):
        _ = opened.splits
    assert asked == ["hf:somebody/something"]
    monkeypatch.delenv("GENWERK_HUB")
    copy = tmp_path / "copy"
    shutil.copytree(vae, copy)
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"source": "digits"', '"source": "hf:somebody/something"'))
    assert "GENWERK_HUB=1" in refused("train", "vae", "--out", copy, "--resume")


def test_a_mask_of_noughts_and_ones_is_black_and_white(vae: Path, tmp_path: Path) -> None:
    mask = np.indices((8, 8)).sum(0) % 2
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "mask.png")
    known = OpenRun(vae, "cpu", None, print).mask(str(tmp_path / "mask.png"))
    assert (known[0, 0].numpy() == (mask > 0)).all()


def test_pictures_carry_their_origin(vae: Path, genwerk: Genwerk) -> None:
    said = genwerk("sample", vae, "-n", 9, "--seed", 7)
    assert "each sample is the mean" in said
    picture = Image.open(said.split("wrote ")[1].split()[0])
    origin = {"recipe": "vae", "run": "vae", "round": 40, "seed": 7, "first": 0, "observation": "mean"}
    assert json.loads(picture.text["genwerk"]) == origin
    assert "recipe: vae" in picture.text["parameters"]


def test_a_sample_is_made_again_by_its_number(vae: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    genwerk("sample", vae, "-n", 3, "--seed", 5, "--out", tmp_path / "three.npz")
    genwerk("sample", vae, "-n", 1, "--seed", 5, "--first", 2, "--out", tmp_path / "one.npz")
    three, one = (np.load(tmp_path / f"{n}.npz")["x"] for n in ("three", "one"))
    np.testing.assert_allclose(three[2], one[0], atol=1e-5)


def test_every_verb_writes_what_it_says(vae: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(tmp_path / "mine.png")
    for arguments in (
        ["reconstruct", vae],
        ["reconstruct", vae, "--input", tmp_path / "mine.png", "--noise", 0.2],
        ["interpolate", vae, 0, tmp_path / "mine.png", "--steps", 5, "--path", "sphere"],
        ["traverse", vae, "--dims", 0, 3],
        ["encode", vae, "-n", 50],
        ["nearest", vae],
        ["sample", vae, "-n", 3, "--out", tmp_path / "folder"],
        ["sample", vae, "-n", 3, "--out", tmp_path / "values.csv"],
    ):
        wrote = [line.split(maxsplit=1)[1] for line in genwerk(*arguments).splitlines() if line.startswith("wrote")]
        assert wrote
        assert Path(wrote[0].split(" into ")[-1]).exists()
    assert len(list((tmp_path / "folder").glob("*.png"))) == 3


def test_evaluate_reports_the_same_as_the_end_of_training(vae: Path, genwerk: Genwerk) -> None:
    again = json.loads(genwerk("evaluate", vae, "--samples", 200, "--importance-samples", 5, "--json"))
    assert again == json.loads((vae / "report.json").read_text())


def test_a_table_is_completed(mixture: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x,y\n1.414,5\n-1.414,7\n")
    genwerk(
        "complete", mixture, "--known", "x", "--input", tmp_path / "mine.csv", "-k", 4, "--out", tmp_path / "done.csv"
    )
    done = np.loadtxt(tmp_path / "done.csv", delimiter=",", skiprows=1)
    assert done.shape == (8, 2)
    np.testing.assert_allclose(done[:, 0], np.repeat([1.414, -1.414], 4), atol=1e-3)
    assert np.abs(done[:, 1]).max() < 0.5


def test_resuming_a_killed_run_ends_with_the_same_bits(vae: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    steady = [*QUICK[2:], "--train.optim.model.schedule", "constant"]  # a falling rate depends on the rounds asked for
    command = [sys.executable, "-m", "genwerk", "train", "vae", "--data", "digits", "--out", str(out), *steady]
    process = subprocess.Popen([*command, "--rounds", "4000"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(out.glob("checkpoints/[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = max(int(p.name) for p in out.glob("checkpoints/[0-9]*"))
    total = str(reached + 30)
    main(["train", "vae", "--data", "digits", "--out", str(out), *steady, "--resume", "--rounds", total])
    straight = tmp_path / "straight"
    main(["train", "vae", "--data", "digits", "--out", str(straight), *steady, "--rounds", total])
    ends = [(p / "checkpoints" / f"{int(total):08d}" / "model.safetensors").read_bytes() for p in (out, straight)]
    assert ends[0] == ends[1]
    rounds = [json.loads(line)["round"] for line in (out / "events.jsonl").read_text().splitlines()]
    assert rounds == sorted(rounds)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_recipe_brings_the_nearest(refused: Genwerk) -> None:
    assert "did you mean vae" in refused("train", "vea", "--data", "digits")
    assert "`genwerk recipes`" in refused("show", "zzzzzz")


def test_an_unknown_option_brings_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["train", "vae", "--data", "digits", "--model.latnt", "3"])
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "--model.latent" in said.err + said.out


def test_bad_data_are_named(refused: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no image" in refused("train", "vae", "--data", tmp_path / "empty")
    assert "did you mean digits" in refused("train", "vae", "--data", "digit")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,nan\n")
    assert "nan" in refused("train", "mixture", "--data", tmp_path / "bad.csv").lower()


def test_bad_images_are_skipped_counted_and_named(genwerk: Genwerk, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(np.full((16 + i, 20, 3), 10 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "torn.png").write_bytes((folder / "3.png").read_bytes()[:60])
    (folder / "text.jpg").write_text("not a picture")
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (folder / "bomb.png").write_bytes(bomb)
    said = genwerk("data", "check", folder)
    assert "3 could not be used" in said
    for name in ("torn.png", "text.jpg", "bomb.png"):
        assert name in said
    found = json.loads(genwerk("data", "check", folder, "--json"))
    assert found["train"] + found["validation"] + found["test"] == 12


def test_labels_that_are_missing_are_one_sentence(refused: Genwerk) -> None:
    assert "labels" in refused("train", "cvae", "--data", "phases", "--rounds", 2)


def test_a_run_is_not_overwritten(vae: Path, refused: Genwerk, tmp_path: Path) -> None:
    assert "--resume" in refused("train", "vae", "--data", "digits", "--out", vae)
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "something else" in refused("train", "vae", "--data", "digits", "--out", tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_resume_of_nothing_says_that_it_begins(genwerk: Genwerk, tmp_path: Path) -> None:
    said = genwerk(
        "train", "mixture", "--data", "ring", "--data.limit", 50, "--rounds", 1, "--out", tmp_path / "r", "--resume"
    )
    assert "holds no run to go on from, so a new one begins" in said


def test_other_data_cannot_be_resumed_on(vae: Path, refused: Genwerk) -> None:
    assert "same data" in refused("train", "vae", "--data", "phases", "--out", vae, "--resume")


def test_what_a_model_cannot_do_is_said(mixture: Path, vae: Path, refused: Genwerk) -> None:
    assert "recipes with it: " in refused("interpolate", mixture, 0, 1)
    told = refused("complete", vae, "--known", "top-half")
    assert "recipes with it: " in told
    assert "mixture, " in told
    assert "leave out --label" in refused("sample", vae, "--label", 3)


def test_a_folder_of_ones_own_is_not_written_into_unasked(vae: Path, tmp_path: Path, refused: Genwerk) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.png").touch()
    said = refused("sample", vae, "-n", 2, "--out", tmp_path / "photos")
    assert "a folder that is not empty" in said
    assert f"--out {tmp_path / 'photos'}/" in said
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["mine.png"]


def test_values_out_of_range_are_said(vae: Path, refused: Genwerk) -> None:
    assert "1 or more" in refused("sample", vae, "-n", 0)
    assert "0 to 15" in refused("traverse", vae, "--dims", 99)
    assert "2 or more" in refused("interpolate", vae, 0, 1, "--steps", 1)
    assert "rows 0 to 174" in refused("interpolate", vae, 0, 500)
    assert "no class 'x'" in refused("sample", vae, "--label", "x")


def test_what_is_no_run_is_said(refused: Genwerk, tmp_path: Path) -> None:
    assert "is not a folder" in refused("sample", tmp_path / "nowhere")
    assert "is not a run folder" in refused("sample", tmp_path)
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"a": 1}))
    assert "never opens" in refused("sample", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert "not written by Genwerk" in refused("sample", tmp_path)


def test_lists_and_doctor(genwerk: Genwerk) -> None:
    found = json.loads(genwerk("recipes", "--all", "--json"))["recipes"]
    assert {"vae", "mixture", "autoencoder", "vae-mnist"} <= {each["recipe"] for each in found}
    assert "$type" in genwerk("show", "vae-mnist")
    assert {f["what"] for f in json.loads(genwerk("doctor", "--json"))["findings"]} >= {"torch", "GPU", "cache"}


# --- runs -------------------------------------------------------------------------------------------------------------


def test_the_card_trains_the_same_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of setting: numbers, flags either way, several values, none, a nested model, a name with a quote."""
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt("my table's.csv", rows, delimiter=",", header="a,b,c", comments="")
    flow = [
        "--data",
        "my table's.csv",
        "--data.limit",
        "30",
        "--data.jitter",
        "--data.covariates",
        "b",
        "--model.architecture.widths",
    ]
    flow += [
        "7",
        "5",
        "--model.no-normalise",
        "--train.optim.model.lr",
        "0.01",
        "--train.optim.model.clip-norm",
        "None",
    ]
    flow += ["--train.ema", "model", "50", "--train.no-ema-warmup", "--evaluate.examples", "7"]
    latent = [
        "--data",
        "digits",
        "--data.limit",
        "40",
        "--model.autoencoder.network.widths",
        "9",
        "--model.prior-rounds",
        "2",
    ]
    latent += ["--evaluate.samples", "0", "--train.optim.autoencoder.lr", "0.01"]
    for name, options in (("realnvp", flow), ("vae-flow", latent)):
        first, second = Path(name), Path(f"{name} again")
        main(["train", name, "--rounds", "3", *options, "--out", str(first)])
        (command,) = (line for line in (first / "card.md").read_text().splitlines() if line.startswith("genwerk train"))
        main([*shlex.split(command)[1:], "--out", str(second)])
        assert (first / "config.json").read_bytes() == (second / "config.json").read_bytes()
        ends = [max((run / "checkpoints").iterdir()) / "model.safetensors" for run in (first, second)]
        assert ends[0].read_bytes() == ends[1].read_bytes()


def test_a_finished_run_goes_on_to_more_rounds(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    out, quick = (
        tmp_path / "run",
        ["--evaluate.examples", 20, "--evaluate.importance-samples", 2, "--evaluate.samples", 0],
    )
    genwerk("train", "vae", "--data", "digits", "--rounds", 3, "--train.log-every", 0, "--out", out, *quick)
    assert "asked" not in refused("train", "vae", "--resume", "--out", out, "--train.batch-size", 4)
    said = genwerk("train", "vae", "--resume", "--out", out, "--rounds", 5)
    assert "From round 3 on, train.rounds: 3 -> 5." in said
    assert "Falling learning rates go on as if the new length had been planned" in said
    assert (out / "checkpoints" / "00000005").is_dir()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--rounds", -5, "--train.rounds is -5; expected a number 1 or"),
        ("--train.log-every", -1, "--train.log-every is -1"),
        ("--train.optim.model.lr", "nan", "--train.optim.model.lr is nan"),
        ("--train.optim.model.warmup", -1, "warmup is -1"),
        ("--train.ema", "model -1", "ema.model is -1"),
        ("--evaluate.importance-samples", -1, "--evaluate.importance-samples is -1"),
        ("--train.watchdog.max-metric-ratio", "inf", "--train.watchdog.max-metric-ratio is inf"),
        ("--train.micro-batch", 0, "--train.micro-batch is 0"),
        ("--data.seconds", "-1", "data.seconds is -1"),
    ],
)
def test_numbers_that_cannot_be_are_named(stopped: Genwerk, option: str, value: object, expected: str) -> None:
    assert expected in " ".join(stopped("train", "vae", "--data", "digits", option, *str(value).split()).split())
