"""Sampling options of a stranger's model, in its own file: sampled, refused and parsed, with no edit elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from genwerk import tasks
from genwerk.cli import main
from genwerk.core.abilities import Traces
from genwerk.core.errors import BadSetting, Unsupported
from genwerk.core.model import Config, Model, build
from genwerk.core.noise import Seed, SeededNoise
from genwerk.core.options import Options, SamplingOptions, Tempered
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.settings import DataConfig
from genwerk.runs import store
from genwerk.training.settings import Recipe, TrainConfig
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="table", shape=(2,), columns=("a", "b"))


@dataclass(frozen=True, kw_only=True)
class Walking(SamplingOptions):
    """How a walk is taken."""

    strides: int = 3
    """Number of strides."""
    gait: Literal["steady", "staggering"] = "steady"
    """Whether strides are alike."""
    wind: float = 0.5
    """What is added to each stride."""

    def __post_init__(self) -> None:
        if self.strides < 1:
            raise BadSetting("strides", f"is {self.strides}; a walk has 1 or more")


@dataclass(frozen=True, kw_only=True)
class WalkerConfig(Config):
    """Settings of a walker."""

    strides: int = 3
    """Strides that it takes unless asked otherwise."""


class Walker(Model, Traces, config=WalkerConfig):
    """Rows that have walked from the origin."""

    options: Walking
    start: Tensor

    def __init__(self, config: WalkerConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.options = Walking(strides=config.strides)
        self.register_buffer("start", torch.zeros(2, dtype=torch.float64))

    def trace(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Iterator[Tensor]:
        walk, noise = self.options.chosen(options), SeededNoise(n, seed, self.device)
        x = self.start.expand(n, 2)
        for _ in range(walk.strides):
            x = x + walk.wind + (noise.normal(2).double() if walk.gait == "staggering" else 0.0)
            yield x


@pytest.fixture
def walker() -> Walker:
    model = build(WalkerConfig(strides=4), SPEC)
    assert isinstance(model, Walker)
    return model


@pytest.fixture
def run(walker: Walker, tmp_path: Path) -> Path:
    path, recipe = tmp_path / "walker", Recipe(model=walker.config, data=DataConfig(source="moons"))
    described = store.describe("walker", recipe, SPEC)
    trainer = Trainer(walker, Dataset(x=torch.zeros(4, 2).double(), spec=SPEC), TrainConfig(optim={}))
    store.Checkpoints(path, described).save(walker, trainer.state())
    (path / "config.json").write_text(json.dumps(described))
    return path


# --- the library ------------------------------------------------------------------------------------------------------


def test_its_own_defaults_are_taken_and_some_or_all_of_them_replaced(walker: Walker) -> None:
    assert (tasks.sample(walker, 3, seed=0).x == 4 * 0.5).all()
    assert (tasks.sample(walker, 3, None, {"wind": 2.0}, seed=0).x == 4 * 2).all()
    assert (tasks.sample(walker, 3, seed=0, options=Walking(wind=2.0)).x == 3 * 2).all()
    frames = tasks.trajectory(walker, 2, None, {"strides": 5, "gait": "staggering"}, seed=1)
    assert frames.shape == (2, 5, 2)
    assert torch.equal(frames[:, -1], tasks.sample(walker, 2, seed=1, options={"strides": 5, "gait": "staggering"}).x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.5}, "this model's samples have no temperature; they have strides, gait, wind"),
        (Tempered(temperature=0.5), "this model's samples have no options Tempered; they have strides, gait, wind"),
    ],
)
def test_what_it_does_not_have_is_refused_by_name(walker: Walker, options: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        tasks.sample(walker, 3, options=options)
    with pytest.raises(Unsupported, match=words):
        walker.sample(3, None, options)


def test_what_makes_no_sense_is_refused_in_its_own_words(walker: Walker) -> None:
    with pytest.raises(BadSetting, match="strides is 0; a walk has 1 or more"):
        tasks.sample(walker, 3, options={"strides": 0})
    with pytest.raises(BadSetting, match="wind is nan; expected a finite number"):
        tasks.sample(walker, 3, options={"wind": nan})
    with pytest.raises(Unsupported, match="complete needs a model with a way to fill in what is missing, which Walker"):
        tasks.complete(walker, tasks.sample(walker, 1), torch.ones(2, dtype=torch.bool))


# --- the command line -------------------------------------------------------------------------------------------------


def test_help_lists_its_options_and_no_others(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("sample", "watch"):
        with pytest.raises(SystemExit):
            main([command, str(run), "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert "--strides N Number of strides. [4]" in said
        assert "--gait {steady,staggering}" in said
        assert "--temperature" not in said
        assert "--sampler" not in said
        assert "--label" not in said  # it takes no condition
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"`genwerk {command} RUN --help` lists them" in " ".join(capsys.readouterr().out.split())


def test_they_are_parsed_and_passed_on(run: Path, tmp_path: Path) -> None:
    main(["sample", "-n", "3", "--wind", "2", str(run), "--strides=5", "--out", str(tmp_path / "x.npz")])
    assert (np.load(tmp_path / "x.npz")["x"] == 5 * 2).all()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--temperature", "0.5"], "this model's samples have no --temperature; they have --strides, --gait, --wind"),
        (["--strides", "0"], "--strides is 0; a walk has 1 or more"),
        (["--wind", "inf"], "--wind is inf; expected a finite number"),
    ],
)
def test_mistakes_are_one_sentence_with_flags(
    run: Path, asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["sample", str(run), *asked])
    assert (end.value.code, capsys.readouterr().err.splitlines()[-1]) == (2, f"genwerk: {said}")
