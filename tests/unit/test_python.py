"""Genwerk as people write it in Python: training on arrays, what a run does, what notebooks show, what is refused."""

from __future__ import annotations

import os
import re
import signal
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genwerk
from genwerk.core.component import Component
from genwerk.core.errors import BadFile, BadInput, Unsupported
from genwerk.families.vae import VAEConfig
from genwerk.nn.coder import Coder
from genwerk.runs.run import Run
from genwerk.training.events import RoundDone, StageDone

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (90, 8, 8), dtype=np.uint8)
LABELS = ["cat", "dog", "owl"] * 30
ROWS = RANDOM.random((90, 3))
SMALL: dict[str, Any] = {"rounds": 4, "samples": 0, "batch_size": 16, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("python") / "run"
    return genwerk.train("cvae", (IMAGES, LABELS), out=folder, latent=3, **SMALL)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("python") / "table"
    return genwerk.train("cmaf", (ROWS, ROWS.sum(1)), out=folder, **SMALL)


def test_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Coder, "kinds", dict(Coder.kinds))
    space: dict[str, Any] = {"__name__": "__main__"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), space)
    assert space["z"].shape == (5, 8)
    assert space["losses"]
    assert space["model"].config.network.width == 64


# --- train ------------------------------------------------------------------------------------------------------------


def test_a_run_remembers_what_it_was_trained_with(run: Run) -> None:
    assert (run.recipe.model.latent, run.recipe.data.source, run.recipe.evaluate.samples) == (3, "memory", 0)
    assert run.report is not None
    assert run.data.spec.classes == ("cat", "dog", "owl")
    card = (run.path / "card.md").read_text()
    assert "on data in memory" in card
    assert "genwerk.train(genwerk.open_run(RUN).recipe, data)" in card


def test_a_run_of_data_in_memory_goes_on_with_the_same_data_alone(run: Run, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(run.path, tmp_path / "run")
    with pytest.raises(BadInput, match="in Python, pass them again as data"):
        genwerk.train("cvae", out=folder, resume=True, rounds=6)
    again = genwerk.train("cvae", (IMAGES, LABELS), out=folder, resume=True, rounds=6, progress=False)
    assert again.recipe == replace(run.recipe, train=replace(run.recipe.train, rounds=6))
    with pytest.warns(UserWarning, match="keeps the length with which it began; for another, name rounds"):
        genwerk.train("cvae", (IMAGES, LABELS), out=folder, resume=True, minutes=1, evaluate=False, progress=False)


def test_events_are_passed_on_and_the_length_is_that_of_epochs(tmp_path: Path) -> None:
    events: list[object] = []
    settings = SMALL | {"rounds": None}
    run = genwerk.train("vae", IMAGES, out=tmp_path / "run", epochs=2, on_event=events.append, **settings)
    rounds = -(-2 * len(run.data.train) // 16)
    assert sum(isinstance(event, RoundDone) for event in events) == rounds
    assert isinstance(events[-1], StageDone)


def test_settings_of_a_model_are_trained_as_its_recipe_is(tmp_path: Path) -> None:
    run = genwerk.train(VAEConfig(latent=2), IMAGES, out=tmp_path / "run", **SMALL)
    assert run.recipe.train.optim == genwerk.recipe("vae").train.optim
    assert run.model.config == VAEConfig(latent=2)


def test_an_interrupt_saves_and_is_raised(tmp_path: Path) -> None:
    def interrupt(event: object) -> None:
        if isinstance(event, RoundDone) and event.round == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"saved at round \d+ in .*; resume=True goes on"):
        genwerk.train("vae", IMAGES, out=tmp_path / "run", on_event=interrupt, **SMALL | {"rounds": 900})
    with pytest.warns(UserWarning, match=r"is not over: .* \(resume=True goes on\)"):
        again = genwerk.open_run(tmp_path / "run")
    assert again.sample(2).x.shape == (2, 1, 8, 8)


def test_progress_is_shown_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genwerk.train("vae", IMAGES, out=tmp_path / "quiet", **SMALL | {"progress": "auto"})
    assert capsys.readouterr().out == ""
    genwerk.train("vae", IMAGES / 255, out=tmp_path / "loud", **SMALL | {"progress": True})
    said = capsys.readouterr().out
    assert "floats in [0, 1]" in said
    assert "training vae on cpu" in said
    assert "--" not in said


BAD: dict[str, Callable[[Path], object]] = {
    "data is of the type int; expected an array": lambda out: genwerk.train("vae", 3, out=out),  # type: ignore[arg-type]
    "no data of its own; pass some as data": lambda out: genwerk.train("gan", out=out),
    "train.rounds is 'many'; expected a whole number": lambda out: genwerk.train(
        "vae",
        IMAGES,
        rounds="many",  # type: ignore[arg-type]
        out=out,
    ),
    "no setting 'latnt'; did you mean model.latent": lambda out: genwerk.train("vae", IMAGES, latnt=3, out=out),
    "the recipe is 3; expected a name": lambda out: genwerk.train(3, IMAGES, out=out),  # type: ignore[arg-type]
    "there is no recipe called 'va'": lambda out: genwerk.train("va", IMAGES, out=out),
    "the device is 'tpu'; expected auto": lambda out: genwerk.train(
        "vae",
        IMAGES,
        device="tpu",  # type: ignore[arg-type]
        out=out,
    ),
    "rounds and epochs are both lengths": lambda out: genwerk.train("vae", IMAGES, rounds=3, epochs=3, out=out),
    "minutes is 'x'; expected a number": lambda out: genwerk.train(
        "vae",
        IMAGES,
        minutes="x",  # type: ignore[arg-type]
        out=out,
    ),
    "to is an array; expected a path or a name of built-in data": lambda out: genwerk.train(
        "restyle", IMAGES, to=IMAGES, out=out
    ),
    "not text; `genwerk recipes` lists": lambda out: genwerk.train("vae", ["a rose"] * 40, out=out),
    "a conditional model needs labels": lambda out: genwerk.train("cvae", IMAGES, out=out),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_trained_is_a_sentence_and_leaves_nothing(message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        BAD[message](tmp_path / "run")
    assert not re.search(r"--\w|[‹›]", str(caught.value))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_written_into_unasked(run: Run) -> None:
    with pytest.raises(BadInput, match="continue it with resume=True, or choose another folder with out=FOLDER"):
        genwerk.train("cvae", (IMAGES, LABELS), out=run.path, **SMALL)


# --- what a run does --------------------------------------------------------------------------------------------------


def test_samples_are_a_tensor_an_array_and_files(run: Run, tmp_path: Path) -> None:
    owls = run.sample(5, label="owl", seed=1)
    assert owls.labels == ["owl"] * 5
    assert np.asarray(owls).shape == owls.x.shape == (5, 1, 8, 8)
    assert torch.equal(torch.as_tensor(owls), owls.x)
    assert torch.equal(owls[1], owls.x[1])
    torch.testing.assert_close(owls[2:].x, run.sample(3, label="owl", seed=1, first=2).x)
    assert torch.equal(torch.stack(list(owls)), owls.x)
    assert owls.save(tmp_path / "owls.png").exists()
    assert np.array_equal(np.load(owls.save(tmp_path / "owls.npy")), np.asarray(owls))
    assert len(list(owls.save(f"{tmp_path}/owls/").iterdir())) == 5
    with pytest.raises(BadInput, match=r"cannot be saved as owls.foo; expected a name that ends in .png"):
        owls.save("owls.foo")


@pytest.mark.parametrize("name", ["owls.png", "owls.csv", "owls.npy", "owls/"])
def test_what_is_saved_replaces_nothing_unasked(run: Run, tmp_path: Path, name: str) -> None:
    one, two = run.sample(3, seed=1), run.sample(3, seed=2)
    where = one.save(f"{tmp_path}/{name}")
    before = {path: path.read_bytes() for path in [where, *where.glob("*")] if path.is_file()}
    with pytest.raises(BadInput, match=r"already; name another, or replace it with overwrite=True"):
        two.save(f"{tmp_path}/{name}")
    assert before == {path: path.read_bytes() for path in before}
    two.save(f"{tmp_path}/{name}", overwrite=True)
    assert all(path.read_bytes() != content for path, content in before.items())


def test_verbs_take_examples_in_every_form(run: Run, tmp_path: Path) -> None:
    first = run.data.test.batch(slice(3))
    z = run.encode("test", 3)
    torch.testing.assert_close(run.encode(first), z)
    torch.testing.assert_close(run.encode(0), z[:1])
    made = run.reconstruct(first)
    assert made.originals is not None
    torch.testing.assert_close(made.originals, first.x)
    torch.testing.assert_close(made.figures["squared_error"], (made.x - first.x).square().mean((1, 2, 3)))
    torch.testing.assert_close(run.decode(z, condition=first.condition).x, made.x)
    file = tmp_path / "one.png"
    Image.fromarray((first.x[0, 0] * 255).round().byte().numpy()).save(file)
    assert first.condition is not None
    torch.testing.assert_close(run.encode(file, condition=first.condition[:1]), z[:1], atol=1e-4, rtol=1e-4)
    assert len(run.interpolate(0, 1, steps=4)) == 4
    assert len(run.traverse((0, 1), steps=3)) == 9
    assert run.log_likelihood(first, importance_samples=2).each.shape == (3,)
    near = run.nearest(run.data.train.batch(slice(2)).x)
    assert near.figures["row"].tolist() == [0, 1]
    assert near.figures["distance"].tolist() == [0.0, 0.0]


def test_a_generator_without_an_encoder_interpolates_between_its_samples(tmp_path: Path) -> None:
    run = genwerk.train("gan", ROWS[:, :2], out=tmp_path / "run", **SMALL)
    way = run.interpolate(3, 5, steps=3, seed=2)
    torch.testing.assert_close(way.x[[0, 2]], run.sample(6, seed=2).x[[3, 5]])


def test_a_table_has_its_columns(table: Run) -> None:
    drawn = table.sample(3, covariates=1.5)
    found = drawn.table()
    assert list(found) == ["column 1", "column 2", "column 3", "y"]
    assert found["y"] == [1.5] * 3
    assert (drawn._repr_html_() or "").count("<tr>") == 4


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda run: run.sample(3, prompt="a cat"), "takes no prompt; leave out prompt"),
        (lambda run: run.sample(3, label="cow"), "no class 'cow'; the classes are cat, dog, owl"),
        (lambda run: run.sample(3, temperature=0.5), "no temperature; they have observation"),
        (lambda run: run.sample("x"), "asked for 'x' samples"),
        (lambda run: run.complete("top-half"), "complete needs a model with a way to fill in what is missing"),
        (lambda run: run.classify(), "classify needs a model with an exact likelihood"),
        (lambda run: run.image_to_image(), "image to image needs"),
        (lambda run: run.encode(99), "the test part has rows 0 to"),
        (lambda run: run.encode(IMAGES[:3]), "conditioned on the class"),
        (lambda run: run.encode(3.5), "of the type float"),
    ],
)
def test_what_the_model_cannot_do_is_a_sentence(run: Run, ask: Callable[[Run], object], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        ask(run)
    assert "--" not in str(caught.value)


def test_a_folder_is_a_run_again(run: Run) -> None:
    again = genwerk.open_run(run.path)
    assert torch.equal(again.sample(3, seed=4).x, run.sample(3, seed=4).x)
    assert again.recipe == run.recipe
    assert again.report == run.report
    with pytest.raises(BadInput, match="pass them again"):
        again.data  # noqa: B018
    own = genwerk.open_run(run.path, data=(IMAGES, LABELS))
    assert torch.equal(own.data.test.x, run.data.test.x)
    other = genwerk.open_run(run.path, data=(IMAGES[:20], LABELS[:20]))
    assert len(other.data.test) == 20


def test_examples_are_scored_where_the_runs_data_are_gone(run: Run, tmp_path: Path) -> None:
    opened, file = genwerk.open_run(run.path), tmp_path / "images.npy"
    np.save(file, IMAGES[:12])
    x, pets = torch.from_numpy(IMAGES[:12, None] / 255).float(), LABELS[:12]
    known = run.log_likelihood(x, condition=pets, importance_samples=2).each
    assert known.shape == (12,)
    for given in (x, file, str(file)):
        found = opened.log_likelihood(given, condition=pets, importance_samples=2).each
        torch.testing.assert_close(found, known, rtol=1e-4, atol=1e-3)


def test_a_model_is_saved_without_its_training(run: Run, tmp_path: Path) -> None:
    saved = genwerk.save(run.model, tmp_path / "models" / "mine")
    assert torch.equal(genwerk.sample(genwerk.load(saved), 3, "cat", seed=1).x, run.sample(3, label="cat", seed=1).x)
    with pytest.raises(BadInput, match="holds something already"):
        genwerk.save(run.model, saved)
    (saved / "config.json").unlink()
    with pytest.raises(BadFile):
        genwerk.load(saved)


# --- notebooks --------------------------------------------------------------------------------------------------------


def test_images_are_shown_as_a_sheet(run: Run) -> None:
    shown = run.sample(4)._repr_png_()
    assert shown is not None
    sheet = Image.open(BytesIO(shown))
    assert min(sheet.size) > 2 * 56
    assert run.sample(4)._repr_html_() is None
    assert repr(run.sample(4)) == "4 examples: images of 8x8x1, 3 classes"


def test_sounds_are_shown_with_players(tmp_path: Path) -> None:
    sounds = RANDOM.uniform(-1, 1, (40, 64)).astype(np.float32)
    run = genwerk.train("vae", sounds, out=tmp_path / "run", rate=8000, **SMALL)
    shown = run.sample(3)._repr_html_() or ""
    assert shown.count("<audio") == 3
    assert shown.count("<img") == 1
    (first, *_) = re.findall(r'src="data:audio/[^;]+;base64,([^"]+)"', shown)
    assert b64decode(first)[:4] == b"RIFF"


def test_a_run_its_report_and_a_recipe_are_readable(run: Run) -> None:
    page = run._repr_html_()
    assert "VAE" in page
    assert "<table>" in page
    assert "<img" in page
    assert run.report is not None
    assert run.report._repr_html_() in page
    shown = repr(run.recipe)
    assert shown.startswith("Recipe(\n    model=VAEConfig(")
    assert max(map(len, shown.splitlines())) <= 120


def test_a_part_may_be_defined_again_as_cells_are_run_again() -> None:
    class Parts(Component):
        """A part."""

    def define() -> type:
        @dataclass(frozen=True, kw_only=True)
        class Mine(Parts, kind="mine"):
            """A kind."""

        return Mine

    first, second = define(), define()
    assert Parts.kinds["mine"] is second is not first
    with pytest.raises(TypeError, match="called 'mine' already"):
        type("Other", (Parts,), {"__module__": "elsewhere"}, kind="mine")


def test_unsupported_is_a_bad_input() -> None:
    assert genwerk.Unsupported is Unsupported
    assert issubclass(genwerk.Unsupported, genwerk.BadInput)


def test_what_a_run_folder_names_is_loaded_from_the_hub_only_where_one_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    genwerk.train("vae", "digits", out=folder, evaluate=False, **SMALL)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"digits"', '"hf:somebody/pictures"'))
    with pytest.raises(BadInput, match=r"hf:somebody/pictures.*only where you say so"):
        genwerk.train("vae", out=folder, resume=True, **SMALL)


def test_minutes_change_no_run_that_goes_on_in_whatever_form_its_recipe_is(tmp_path: Path) -> None:
    recipe = replace(genwerk.recipe("vae"), data=genwerk.DataConfig(source="digits"))
    quick: dict[str, Any] = {"out": tmp_path / "run", "evaluate": False, "progress": False}
    genwerk.train(recipe, rounds=3, **quick)
    with pytest.warns(match="keeps the length with which it began"):
        found = genwerk.train(recipe, minutes=5.0, resume=True, **(quick | {"train.rounds": 4}))
    assert found.recipe.train.rounds == 4
