"""What cards and scripts of version 0.1 say is still understood."""

from __future__ import annotations

import pytest

import genwerk
from genwerk.cli.parsing import FORMER, of_today, parsed


def test_options_of_old_cards_are_read_by_their_names_of_today() -> None:
    old = ["train", "vae", "--data", "a.csv", "--evaluate.draws", "2", "--data.given=h", "--train.watch.worse", "5"]
    new = ["--evaluate.importance-samples", "2", "--data.covariates=h", "--train.watchdog.max-metric-ratio", "5"]
    assert of_today(old) == [*old[:4], *new]
    assert of_today(["--train.watch.every", "3"]) == ["--train.watchdog.every", "3"]


@pytest.mark.parametrize(
    "name", [name for name in FORMER.values() if name.startswith(("--train", "--evaluate", "--data"))]
)
def test_what_they_are_called_now_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(["train", "vae", "--help-all"])
    assert name.rpartition(".")[2] in capsys.readouterr().out


def test_public_names_of_settings_warn_and_work() -> None:
    with pytest.warns(DeprecationWarning, match="genwerk.Train is called TrainConfig now"):
        assert genwerk.Train is genwerk.TrainConfig
    with pytest.warns(DeprecationWarning, match="genwerk.Data is called DataConfig now"):
        from genwerk.data import Data
    assert Data is genwerk.DataConfig
