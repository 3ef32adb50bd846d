"""Going on: with another run's weights on other data, with other settings, and after a start that failed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genwerk as gw
from genwerk.cli import main
from genwerk.core.errors import BadInput
from genwerk.data import Splits, open_data
from genwerk.runs import store
from genwerk.runs.training import Training
from genwerk.training.settings import Recipe

Genwerk = Callable[..., str]
QUICK = ["--evaluate.samples", "0", "--evaluate.examples", "20", "--train.sample-every", "0"]
STILL = ["--train.optim.model.lr", "0"]
"""Optimiser steps that change no weight."""


def table(path: Path, columns: str, mean: float = 0.0) -> Path:
    """A table of 60 rows of the ``columns`` a, b, c, which have means of 0, 1, 2 beside ``mean``."""
    x = np.random.default_rng(0).normal([ord(c) - ord("a") + mean for c in columns.split(",")], 1.0, (60, 3))
    np.savetxt(path, x, delimiter=",", header=columns, comments="")
    return path


def pictures(folder: Path, *classes: str) -> Path:
    """Ten random pictures of 8 x 8 pixels of each class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    return store.load_model(store.find(run)).state_dict()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAE of a table, with other settings than its recipe's."""
    folder = tmp_path_factory.mktemp("first")
    options = ["--rounds", "3", "--model.latent", "3", "--train.keep", "3", "--out", str(folder / "run")]
    main(["train", "vae", "--data", str(table(folder / "t.csv", "a,b,c")), *options, *QUICK])
    return folder / "run"


def test_a_training_starts_from_another_runs_weights(first: Path, genwerk: Genwerk, tmp_path: Path) -> None:
    """Known beforehand: with steps that change nothing the weights, and the units they work in, are the run's own."""
    other = table(tmp_path / "other.csv", "c,b,a", mean=50)
    said = genwerk("train", "--from", first, "--data", other, "--rounds", 2, *STILL, "--out", tmp_path / "new", *QUICK)
    assert f"It starts from the weights of round 3 of {first}, a run of vae." in said.replace("\n", " ")
    old, new = weights(first), weights(tmp_path / "new")
    assert all(torch.equal(old[name], new[name]) for name in old)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["spec"]["columns"] == ["a", "b", "c"]
    assert config["recipe"]["model"]["latent"] == 3
    (start,) = config["origin"]["from_runs"]
    file = store.find(first).folder / "model.safetensors"
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert start == {"run": str(first), "recipe": "vae", "round": 3, "sha256": sha}

    genwerk("train", "--from", tmp_path / "new" / "last", "--rounds", 1, "--out", tmp_path / "third", *QUICK)
    card = (tmp_path / "third" / "card.md").read_text()
    assert f"It started from the weights of round 2 of {tmp_path / 'new' / 'last'}, a run of vae" in card
    assert f"{tmp_path / 'new' / 'last'} started from the weights of round 3 of {first}" in card
    (command,) = (line for line in card.splitlines() if line.startswith("genwerk train"))
    genwerk(*shlex.split(command)[1:], "--out", tmp_path / "again")
    third, again = weights(tmp_path / "third"), weights(tmp_path / "again")
    assert all(torch.equal(third[name], again[name]) for name in third)


def test_python_starts_from_a_run_too(first: Path, tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(40, 3))
    run = gw.train(data=rows, from_run=first, rounds=1, lr=0.0, out=tmp_path / "new", evaluate=False)
    old, new = weights(first), run.model.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    with pytest.raises(BadInput, match="name a recipe, such as 'vae', or a run to start from, as from_run"):
        gw.train(data=rows)


def test_a_started_run_is_resumed_like_any_other(
    first: Path, genwerk: Genwerk, refused: Genwerk, tmp_path: Path
) -> None:
    other = table(tmp_path / "other.csv", "c,b,a")
    begun = ["train", "vae", "--from", first, "--data", other, "--model.latent", 3, "--out", tmp_path / "new", *QUICK]
    genwerk(*begun, "--rounds", 1)
    said = genwerk(*begun, "--rounds", 2, "--resume")
    assert "It starts from" not in said
    genwerk("train", "vae", "--rounds", 3, "--out", tmp_path / "new", "--resume")
    assert len(json.loads((tmp_path / "new" / "config.json").read_text())["origin"]["from_runs"]) == 1
    told = refused("train", "vae", "--from", tmp_path / "new", "--out", first, "--resume", "--rounds", 9)
    assert "began with weights of its own; leave out --from" in told


def test_what_does_not_fit_is_said(first: Path, refused: Genwerk, genwerk: Genwerk, tmp_path: Path) -> None:
    data, out = table(tmp_path / "t.csv", "a,b,c"), ["--rounds", 1, "--out", tmp_path / "new", *QUICK]
    said = refused("train", "vae", "--from", first, "--data", data, *out)
    assert "the weights of" in said
    assert "--model.latent is " in said
    assert "and was 3" in said
    said = refused("train", "mixture", "--from", first, "--data", data, "--rounds", 1, "--out", tmp_path / "new")
    assert "is a run of vae, whose weights fit no other family" in said
    assert "has no column 'c'" in refused("train", "--from", first, "--data", table(tmp_path / "x.csv", "a,b,d"), *out)
    assert "the weights of" in refused("train", "--from", first, "--data", "digits", *out)
    assert "is not a folder" in refused("train", "--from", tmp_path / "nowhere", "--data", data, *out)
    assert not (tmp_path / "new").exists()

    labelled = pictures(tmp_path / "labelled", "cat", "dog", "emu")
    genwerk("train", "cvae", "--data", labelled, "--rounds", 1, "--out", tmp_path / "cats", *QUICK)
    more = pictures(tmp_path / "more", "ant", "cat")
    said = refused("train", "--from", tmp_path / "cats", "--data", more, *out)
    assert "have the class 'ant', which" in said
    assert "its classes are cat, dog, emu" in said
    genwerk("train", "--from", tmp_path / "cats", "--data", pictures(tmp_path / "few", "dog", "emu"), *out)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["spec"]["classes"] == ["cat", "dog", "emu"]


# --- other settings on a resume ---------------------------------------------------------------------------------------


OTHER = {"adam": "sgd", "constant": "cosine", "all": "matrices", "float32": "bfloat16", "crop": "pad", "auto": "grey"}
SPARE: dict[str, Any] = {"micro_batch": 2, "evaluate_every": 1, "ema": {"model": 50.0}, "label_pattern": "(a)"}


def other(name: str, value: Any) -> Any:
    """A value that is like ``value``, and another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.01
    if isinstance(value, tuple):
        return tuple(other(name, each) for each in value)
    return SPARE[name] if name in SPARE else OTHER.get(value, "c") if isinstance(value, str) else 2


def fields(recipe: Recipe) -> list[tuple[str, Recipe]]:
    """``recipe`` with each setting of training, of its optimiser and of its data changed by itself."""
    found = []
    for part in ("train", "data"):
        settings: Any = getattr(recipe, part)
        for f in dataclasses.fields(settings):
            value, name = getattr(settings, f.name), f"{part}.{f.name}"
            if f.name in ("optim", "watchdog", "source", "compile"):
                continue
            changed = other(f.name, value)
            found.append((name, replace(recipe, **{part: replace(settings, **{f.name: changed})})))
    optim = recipe.train.optim["model"]
    for f in dataclasses.fields(optim):
        changed = replace(optim, **{f.name: other(f.name, getattr(optim, f.name))})
        found.append(
            (f"train.optim.model.{f.name}", replace(recipe, train=replace(recipe.train, optim={"model": changed})))
        )
    for f in dataclasses.fields(recipe.model):
        value = getattr(recipe.model, f.name)
        if isinstance(value, (int, float)):
            found.append(
                (f"model.{f.name}", replace(recipe, model=replace(recipe.model, **{f.name: other(f.name, value)})))
            )
    return found


def going_on(run: Path, recipe: Recipe, splits: Splits) -> tuple[str | None, dict[str, str]]:
    """Why a resume with ``recipe`` is refused, or what it records."""
    try:
        with Training("vae", recipe, splits, run, resume=True) as training:
            return None, training.changes
    except BadInput as error:
        return error.sentence, {}


def test_every_other_setting_is_recorded_as_of_its_round_or_refused(first: Path) -> None:
    """Nothing may pass unsaid, nothing may be taken for damage, and nothing that was written may change."""
    stored = store.find(first / "last")
    splits = open_data(stored.recipe.data)
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    longer = replace(stored.recipe, train=replace(stored.recipe.train, rounds=5))
    refusals, recorded = set[str](), set[str]()
    for name, recipe in fields(longer):
        settings = replace(splits, settings=recipe.data) if name.startswith("data.") else splits
        said, known = going_on(first, recipe, settings)
        if said is None:
            assert any(key.startswith(name) for key in known), (name, known)
            recorded.add(name)
        else:
            assert f"was trained with {name}" in said or name == "model.conditional", (name, said)
            refusals.add(name)
    assert refusals >= {
        "train.seed",
        "train.ema",
        "train.optim.model.name",
        "data.holdout",
        "data.seed",
        "model.latent",
    }
    assert recorded >= {"train.rounds", "train.batch_size", "train.optim.model.lr", "train.patience", "data.limit"}
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


# --- starts that fail -------------------------------------------------------------------------------------------------

BROKEN = """
from dataclasses import dataclass
from genwerk.families.vae import VAE, VAEConfig
from genwerk.recipes import recipe
from genwerk.training.settings import Recipe, register

@dataclass(frozen=True, kw_only=True)
class BrokenConfig(VAEConfig): ...

class Broken(VAE, config=BrokenConfig):
    def objective(self, *_, **__):
        raise RuntimeError("not written yet")

@register()
def broken(spec):
    return Recipe(model=BrokenConfig())
"""


def constant(folder: Path) -> list[object]:
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 2] = 7
    np.savetxt(folder / "c.csv", x, delimiter=",", header="a,b,c", comments="")
    return ["train", "maf", "--data", folder / "c.csv"]


def torn(folder: Path) -> list[object]:
    (folder / "torn.csv").write_text("a,b\n1,2\n3,nan\n")
    return ["train", "vae", "--data", folder / "torn.csv"]


def plugged(folder: Path) -> list[object]:
    (folder / "broken.py").write_text(BROKEN)
    return ["train", "broken", "--plugin", folder / "broken.py", "--data", "digits"]


def interrupted(folder: Path) -> list[object]:
    """As by Ctrl-C while the first round is played: it is raised where a second press raises it."""
    plugged(folder)
    text = BROKEN.replace('RuntimeError("not written yet")', "KeyboardInterrupt").replace("roken", "rokenoff")
    (folder / "off.py").write_text(text)
    return ["train", "brokenoff", "--plugin", folder / "off.py", "--data", "digits"]


FAILING: dict[str, tuple[Callable[[Path], list[object]], int]] = {
    "a column that never changes": (constant, 2),
    "bad data": (torn, 2),
    "a recipe that the data do not suit": (lambda _: ["train", "cvae", "--data", "ring"], 2),
    "more weights than memory": (lambda _: ["train", "vae", "--data", "digits", "--model.latent", 4_000_000_000], 2),
    "a fault in the first loss": (plugged, 1),
    "an interrupt in the first round": (interrupted, 130),
    "a negative length": (lambda _: ["train", "vae", "--data", "digits", "--rounds", -5], 2),
}


@pytest.mark.parametrize("why", FAILING)
def test_a_start_that_fails_leaves_nothing_in_the_way(why: str, tmp_path: Path) -> None:
    make, code = FAILING[why]
    with pytest.raises(SystemExit) as end:
        main([*map(str, make(tmp_path)), "--out", str(tmp_path / "runs" / "run"), *QUICK])
    assert end.value.code == code
    assert not (tmp_path / "runs").exists()


def test_a_start_on_a_full_disk_or_killed_early_is_begun_anew(
    genwerk: Genwerk, refused: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without a checkpoint is none: what it had written is written anew."""
    begin = ["train", "vae", "--data", table(tmp_path / "t.csv", "a,b,c"), "--out", tmp_path / "run", *QUICK]
    with monkeypatch.context() as full:
        full.setattr("genwerk.runs.store.write_tensors", lambda *_: (_ for _ in ()).throw(OSError(28, "")))
        said = refused(*begin, "--rounds", 5)
        assert "the checkpoint of round 5 cannot be written" in said
    assert (tmp_path / "run" / "config.json").exists()
    (tmp_path / "run" / ".lock").touch()
    genwerk(*begin, "--rounds", 2)
    rounds = [json.loads(line)["round"] for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert max(rounds) == 2
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["train"]["rounds"] == 2


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_refusal_names_the_recipes_and_the_runs_that_can(first: Path, refused: Genwerk, tmp_path: Path) -> None:
    for name, data in {"rings": "ring", "rows": str(first.parent / "t.csv")}.items():
        main(["train", "mixture", "--data", data, "--data.limit", "40", "--out", str(first.parent / name), *QUICK])
    said = refused("complete", first, "--known", "a")
    assert said.endswith(f"recipes with it: ddpm, edm, mixture; of the runs beside it: {first.parent / 'rows'}\n")
    assert "no recipe has it on these data (a table of 3 columns)\n" in refused(
        "mix", first, "--rows", 0, "--columns", 1
    )
    assert f"{first} is a run of vae, which takes no label" in refused("sample", first, "--label", "a")
    assert "vae has no counterpart" in refused("export", first, "--to", "diffusers", "--out", tmp_path / "x")
    assert "recipes with one: autoencoder-kl, clip, " in refused("export", first, "--to", "diffusers")


@pytest.mark.parametrize(
    "name", ["n" * 300, "file/x", "a\0b", "loop", "/proc/nope/x"], ids=lambda name: ascii(name[:7])
)
def test_names_that_cannot_be_are_told_in_words(
    first: Path, refused: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("loop").symlink_to("loop")
    for words in (
        ["train", "vae", "--data", "digits", "--rounds", 1, "--out", name],
        ["train", "vae", "--data", name],
        ["train", "--from", name],
        ["train", "vae", "--plugin", name],
        ["sample", name],
        ["show", name],
        ["data", "check", name],
        ["sample", first, "--out", f"{name}/x.csv"],
        ["reconstruct", first, "--input", name],
    ):
        said = refused(*words)
        assert "[Errno" not in said
        assert "os error" not in said
