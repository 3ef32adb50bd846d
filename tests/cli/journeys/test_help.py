"""Help as it is read, and what is said of a word that was mistyped."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from genwerk.cli import main
from genwerk.cli.helping import MOST
from genwerk.cli.parsing import parsed
from genwerk.commands import COMMANDS
from genwerk.commands.command import MACHINE, MEASURE, STEER, TRAINING, USE
from genwerk.commands.training import Train
from genwerk.core.model import build
from genwerk.data import DataConfig, open_data
from genwerk.recipes import REGISTRY
from genwerk.runs import store
from genwerk.training.events import RoundDone
from genwerk.training.overlay import updated
from genwerk.training.overrides import rounds_of
from genwerk.training.protocol import EvaluateConfig
from genwerk.training.settings import DIGITS, Recipe, to_json
from genwerk.training.trainer import Trainer

Genwerk = Callable[..., str]


@pytest.fixture
def helped(capsys: pytest.CaptureFixture[str]) -> Genwerk:
    """Ask for help; returns what was printed, no line of it wider than a terminal."""

    def call(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([*arguments])
        assert not end.value.code
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= 80
        return said

    return call


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("help") / "pixels"
    main(["train", "pixelcnn", "--data", "digits", "--out", str(path), "--rounds", "1", "--evaluate.samples", "0"])
    return path


# --- help -------------------------------------------------------------------------------------------------------------


def test_commands_are_grouped_and_listed_without_being_asked(helped: Genwerk) -> None:
    said = helped()
    assert said == helped("--help")
    assert {f"{group}:" for group in (TRAINING, USE, STEER, MEASURE, MACHINE)} <= {*said.splitlines()}
    assert said.index("\n  train ") < said.index(USE) < said.index("\n  sample ")
    assert all(re.search(rf"^  {name} +\w", said, re.MULTILINE) for name in COMMANDS)


def test_the_help_of_a_recipe_shows_what_matters_and_each_default_once(helped: Genwerk) -> None:
    brief, full = (
        " ".join(helped("train", "vae", "--help").split()),
        " ".join(helped("train", "vae", "--help-all").split()),
    )
    for flag in ("--data", "--out", "--rounds", "--minutes", "--lr", "--batch-size", "--resume"):
        assert f" {flag} " in brief
    assert "--model.latent N Number of dimensions of the code. [16]" in brief
    assert "--train.watchdog" not in brief
    assert len(brief) < len(full) / 3
    assert "--train.watchdog.action {rollback,stop,warn,off}" in full
    assert "--train.ema-warmup, --train.no-ema-warmup" in full
    assert full.count("(default: runs/RECIPE)") == 1
    assert "default: None" not in full


def test_values_are_fitted_to_the_data_that_are_named(
    helped: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text("height,weight\n" + "".join(f"{i % 7}.5,{i}\n" for i in range(60)))
    assert "The values in brackets suit images of 8x8x1, 10 classes; with --data they are" in helped(
        "train", "vae", "--help"
    )
    said = helped("train", "vae", "--data", "people.csv", "--help-all", "--model.beta", "2")
    assert "The values in brackets are fitted to people.csv: a table" in " ".join(said.split())
    assert "--model.likelihood {bernoulli,gaussian,logistic}\n" in said
    assert re.search(r"given a code\.\s+\[gaussian\]", said)
    assert re.search(r"--model\.latent N .*\[2\]", said)
    assert re.search(r"1 - alpha\. \[2\]", said)


def options_of(said: str) -> list[str]:
    """The options that a help shows, each with its name at the left."""
    return re.findall(r"^  (?:-|RUN|FILE|[A-Z]+ )\S*", said.partition("options]")[2], re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_short_help_shows_ten_options_at_most(command: str, helped: Genwerk) -> None:
    said = helped(command, "--help")
    hidden = re.search(r"shows (\d+) more", " ".join(said.split()))
    assert len(options_of(said)) <= MOST
    assert len(options_of(helped(command, "--help-all"))) == len(options_of(said)) + int(hidden[1] if hidden else 0)


@pytest.mark.parametrize("recipe", ["vae", "stylegan", "mixture", "transformer-lm", "palette", "latent-diffusion"])
def test_the_short_help_of_a_recipe_has_settings_of_its_model(recipe: str, helped: Genwerk) -> None:
    said = helped("train", recipe, "--help")
    assert len(options_of(said)) == MOST
    assert 1 <= len([each for each in options_of(said) if "--model." in each]) <= 3


def test_the_short_help_of_samples_has_the_options_of_the_model(run: Path, helped: Genwerk) -> None:
    said = helped("sample", str(run), "--help")
    assert len(options_of(said)) <= MOST
    assert {"  RUN", "  -n", "  --temperature", "  --top-k", "  --top-p"} <= {*options_of(said)}


@pytest.mark.parametrize("asked", [["--help"], ["train", "vae", "--help"], ["sample", "--help"], ["compare", "--help"]])
def test_help_fits_100_columns(asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(asked)
    assert 80 < max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_learning_rates_that_differ_are_shown_by_player(helped: Genwerk) -> None:
    said = " ".join(helped("train", "wgan", "--help").split())
    assert re.search(r"of every player .*\[5e-05\]", said)


def test_an_option_of_completions_is_no_option_of_samples(run: Path, helped: Genwerk, refused: Genwerk) -> None:
    assert "--particles" not in helped("sample", str(run), "--help")
    assert "--particles" in helped("complete", str(run), "--help")
    assert "--particles is an option of complete" in refused("sample", run, "--particles", 8)


def test_a_measurement_takes_the_settings_that_end_a_training(run: Path, helped: Genwerk, refused: Genwerk) -> None:
    said = helped("evaluate", "--help-all")
    for name in (field.name.replace("_", "-") for field in fields(EvaluateConfig)):
        assert f"  --{name}, --evaluate.{name} " in said
    assert "--evaluate.examples is 0; expected a number 1 or more" in refused("evaluate", run, "--examples", 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_takes(command: str, helped: Genwerk) -> None:
    said = helped(command, "--help-all")
    assert said.startswith(f"usage: genwerk {command}")
    assert "--data.source" not in said or " --data," in said
    assert "MISSING" not in said


# --- mistakes ---------------------------------------------------------------------------------------------------------

VAE = ["train", "vae", "--data", "digits"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["trian", "vae"], "there is no command 'trian'; did you mean train?"),
        (["vae", "--data", "digits"], "vae is a recipe and no command; type genwerk train vae --data PATH"),
        (["--data", "digits"], "a command comes first, as in genwerk train vae --data ..."),
        (["train"], "name a recipe first, as in `genwerk train vae --data photos/`"),
        (["train", "--data", "digits"], "name a recipe first"),
        (["train", "--resume", "--out", "{run}"], "goes on first: `genwerk train pixelcnn --resume --out {run}`"),
        (["train", "vea"], "there is no recipe called 'vea'; did you mean vae"),
        (["show", "vea"], "there is no recipe called 'vea'; did you mean vae"),
        (["train", "vae", "--model.conditional", "true"], "--model.conditional takes no value; leave out 'true'"),
        (["train", "vae", "--model.conditional", "no"], "takes no value; type --model.no-conditional"),
        (["train", "vae", "digits"], "has no place for 'digits'; settings go by name, as in --data digits"),
        (["train", "vae", "--dat", "digits"], "there is no --dat; did you mean --data?"),
        ([*VAE, "--epoch", "3"], "there is no --epoch; did you mean --epochs?"),
        ([*VAE, "--latent", "3"], "there is no --latent; did you mean --model.latent?"),
        ([*VAE, "--latnet", "3"], "there is no --latnet; did you mean --model.latent?"),
        ([*VAE, "--samples", "3"], "did you mean --train.watchdog.samples or --evaluate.samples?"),
        ([*VAE, "--steps", "3"], "--steps is an option of interpolate, traverse, project, and train has none"),
        ([*VAE, "--model.network", "cnov"], "--model.network is 'cnov'; expected mlp or conv; did you mean conv?"),
        ([*VAE, "--device", "cdua"], "--device is 'cdua'; expected auto, cpu, cuda or mps; did you mean cuda?"),
        ([*VAE, "--rounds", "many"], "--rounds is 'many'; expected a whole number"),
        ([*VAE, "--rounds"], "--rounds lacks a value; type it after the name, as in --rounds 5000"),
        ([*VAE, "--rounds", "5", "--train.rounds", "6"], "--train.rounds is given twice (5 and 6); give it once"),
        ([*VAE, "--rounds", "5", "--epochs", "2"], "--epochs and --rounds are both lengths of training; name one"),
        ([*VAE, "--train.optim.model.warmup=-1"], "--train.optim.model.warmup is -1; expected a number 0 or more"),
        ([*VAE, "--lr=-1"], "--lr is -1.0; expected a number from 0 to 100000"),
        (["train", "vae", "--config", "mine.json"], "there is no file mine.json; `genwerk show RECIPE --json >"),
        (["train", "vae", "--config", "mine.yaml"], "mine.yaml is neither .json nor .toml"),
        (["data", "chek", "digits"], "ACTION is 'chek'; expected check\n"),
        ([*VAE, "--batch", "1"], "there is no --batch; did you mean --batch-size"),
        (["train", "restyle", "--model.distance=-1"], "--model.distance is -1; expected 0 or more"),
        (["card", "{run}"], "there is no command 'card'; the card of a run is the file RUN/card.md"),
        (["train", "pixelcnn", "--data", "ring"], "take the recipe maf or mixture"),
        (["data", "check", "digits", "--siz", "8"], "there is no --siz; did you mean --size?"),
        (["sample"], "`genwerk sample` lacks RUN; type genwerk sample RUN"),
        (["sample", "--label"], "--label lacks a value"),
        (["complete", "{run}"], "nothing is said to be known; name what is with --known"),
        (["sample", "{run}", "--steps", "4"], "this model's samples have no --steps; they have --temperature"),
        (["sample", "{run}", "--temprature", "1"], "there is no --temprature; did you mean --temperature?"),
        (["sample", "{run}", "--label", "a", "--label", "b"], "--label is given twice (a and b); give it once"),
        (["sample", "{run}", "-n", "few"], "-n is 'few'; expected a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_says_what_was_meant(
    typed: list[str], said: str, run: Path, refused: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said.replace("{run}", str(run)) in refused(*(word.format(run=run) for word in typed))
    assert not [*tmp_path.iterdir()]


# --- short names and files of settings --------------------------------------------------------------------------------


def asked(*words: object) -> Train:
    command = parsed([str(word) for word in words]).command
    assert isinstance(command, Train)
    return command


def settled(name: str, *words: object) -> Recipe:
    entry = REGISTRY[name]
    return asked("train", name, *words).settled(entry.make(entry.spec), fitted=True)


def test_one_learning_rate_is_that_of_every_player_but_one_set_by_name() -> None:
    found = settled("gan", "--lr", "1e-2", "--train.optim.discriminator.lr", 3e-4, "--batch-size", 5).train
    assert {player: optim.lr for player, optim in found.optim.items()} == {"generator": 1e-2, "discriminator": 3e-4}
    assert found.batch_size == 5


def test_epochs_are_stored_as_rounds(tmp_path: Path) -> None:
    out = tmp_path / "run"
    main(
        [
            "train",
            "nice",
            "--data",
            "ring",
            "--out",
            str(out),
            "--epochs",
            "0.5",
            "--batch-size",
            "100",
            "--evaluate.samples",
            "0",
        ]
    )
    assert store.find(out).recipe.train.rounds == round(len(open_data(DataConfig(source="ring")).train) * 0.5 / 100)


@pytest.mark.parametrize("name", ["vae", "wgan-gp", "egan", "began", "vaegan", "stylegan", "vqvae", "latent-diffusion"])
def test_a_round_draws_as_many_batches_as_its_model_says(name: str) -> None:
    splits = open_data(DataConfig(source="digits", limit=32))
    recipe = updated(REGISTRY[name].make(splits.spec), {"train": {"rounds": 1, "batch_size": 2, "evaluate_every": 0}})
    model = build(recipe.model, splits.spec)
    first = next(event for event in Trainer(model, splits.train, recipe.train) if isinstance(event, RoundDone))
    assert first.examples == 2 * model.batches
    assert rounds_of(recipe, 3, splits) == ceil(3 * len(splits.train) / first.examples)


@pytest.mark.parametrize("name", REGISTRY)
def test_what_show_prints_trains_the_same(name: str, tmp_path: Path, genwerk: Genwerk) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(genwerk("show", name, "--json"))
    assert settled(name, "--config", file) == REGISTRY[name].make(REGISTRY[name].spec)


def test_a_file_that_names_its_recipe_is_enough(run: Path, tmp_path: Path, genwerk: Genwerk, refused: Genwerk) -> None:
    shown, some = tmp_path / "shown.json", tmp_path / "some.toml"
    shown.write_text(genwerk("show", "maf", "--json"))
    some.write_text("[train]\nrounds = 7\n")
    for file, name in ((shown, "maf"), (run / "config.json", "pixelcnn")):
        command = asked("train", "--config", file, "--rounds", 3)
        assert command.recipe == name
        assert command.settled(command.start(), fitted=False).train.rounds == 3
    assert asked("train", "--config", run / "config.json").settled(REGISTRY["pixelcnn"].make(DIGITS), True).data.source
    assert "name a recipe first, as in `genwerk train vae --data photos/`" in refused("train", "--config", some)
    assert f"{some} names none" in refused("train", "--config", some)


def test_a_file_names_some_settings_and_what_is_typed_beside_it_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[train]\nrounds = 7\nbatch_size = 9\n[train.optim.model]\nlr = 0.5\n[model]\nnetwork = "conv"\n')
    plain, found = settled("vae"), settled("vae", "--config", file, "--batch-size", 3)
    assert (found.train.rounds, found.train.batch_size, found.train.optim["model"].lr) == (7, 3, 0.5)
    assert to_json(found.model)["network"]["$type"] == "conv"
    assert found.evaluate == plain.evaluate
    assert settled("vae", "--config", file, "--model.network.widths", 4, 8).model.network.widths == (4, 8)  # type: ignore[attr-defined]
    assert settled("vae", "--config", file, "--lr", 0.1).train.optim["model"].lr == 0.1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"train": {"batchsize": 3}}, "recipe.train has the unknown field 'batchsize'; did you mean batch_size?"),
        ({"trian": {}}, "recipe has the unknown field 'trian'; did you mean train?"),
        ({"train": {"rounds": "7"}}, "recipe.train.rounds is '7'; expected a whole number"),
        ({"model": {"network": "cnov"}}, "is of the kind 'cnov'; expected one of mlp, conv; did you mean conv?"),
        ({"model": {"$type": "GlowConfig"}}, "has settings of GlowConfig, and this recipe is of VAEConfig"),
        ([1], "holds no settings by name"),
    ],
)
def test_a_file_that_cannot_be_is_refused(written: object, said: str, tmp_path: Path, refused: Genwerk) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(written))
    assert said in refused(*VAE, "--config", file)
    file.write_text("{")
    assert "mine.json is not JSON" in refused(*VAE, "--config", file)


# --- a shell ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell") / "genwerk"
    command = [sys.executable, "-m", "genwerk", "completion", "bash"]
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tr", {"train", "traverse", "truncate"}),
        ("train va", {"vae", "vae-flow", "vae-iaf", "vae-mixture", "vae-mnist", "vaegan"}),
        ("train vae --ep", {"--epochs"}),
        ("train vae --model.net", {"--model.network"}),
        ("train vae --device ", {"auto", "cpu", "cuda", "mps"}),
        ("train vae --train.watchdog.action s", {"stop"}),
        ("sample ", {"digits", "runs/faces"}),
        ("sample runs/faces --sampler dd", {"ddpm", "ddim"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_what_is_typed(typed: str, offered: set[str], script: Path, tmp_path: Path) -> None:
    for run in ("digits", "runs/faces"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.json").touch()
    words = ["genwerk", *typed.split(" ")]
    asked = f"source {script}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _genwerk"
    done = subprocess.run(
        ["bash", "-c", f'{asked}; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert offered <= {*done.stdout.split()}
    assert all(word.startswith(words[-1]) for word in done.stdout.split())


def test_scripts_of_other_shells_name_commands_and_recipes(genwerk: Genwerk) -> None:
    assert "bashcompinit" in genwerk("completion", "zsh")
    said = genwerk("completion", "fish")
    assert "complete -c genwerk -n __fish_use_subcommand -f -a train" in said
    assert "-n '__fish_seen_subcommand_from train' -l epochs" in said


def test_sampling_does_not_wait_for_a_compiler(run: Path, tmp_path: Path) -> None:
    code = "import sys; from genwerk.cli import main; main(sys.argv[1:]); print('torch._dynamo' in sys.modules)"
    command = [sys.executable, "-c", code, "sample", str(run), "-n", "2", "--out", str(tmp_path / "two.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("False\n")
