"""A family in a stranger's file: listed, trained, resumed, sampled, stored and loaded, with no edit elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forkserver import COMMAND
from forkserver import run as genwerk

from genwerk.core import plugins
from genwerk.core.errors import BadInput

STRANGER = Path(__file__).with_name("stranger.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stranger's file and a run of its family."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copy(STRANGER, folder / "mine.py")
    done = genwerk(folder, "train", "lean-gaussian", "--plugin", "mine.py", "--rounds", "20", "--evaluate.samples", "0")
    assert done.returncode == 0, done.stderr
    return folder


def test_it_is_listed_and_described(folder: Path) -> None:
    listed = genwerk(folder, "recipes", "--json", "--plugin=mine.py")
    about = {each["recipe"]: each["summary"] for each in json.loads(listed.stdout)["recipes"]}
    assert about["lean-gaussian"].startswith("A normal distribution")
    assert "--plugin" in genwerk(folder, "sample", "--help-all").stdout


def test_it_is_resumed_and_sampled(folder: Path) -> None:
    run = folder / "runs" / "lean-gaussian"
    assert json.loads((run / "config.json").read_text())["plugins"] == ["mine.py"]
    words = ("train", "lean-gaussian", "--plugin", "mine.py", "--rounds", "30", "--evaluate.samples", "0", "--resume")
    assert genwerk(folder, *words).returncode == 0
    assert sorted(p.name for p in (run / "checkpoints").iterdir())[-1] == "00000030"
    done = genwerk(folder, "sample", str(run), "-n", "5", "--out", "s.csv", "--plugin", "mine.py")
    assert done.returncode == 0, done.stderr
    assert len((folder / "s.csv").read_text().splitlines()) == 6


def test_a_run_never_loads_the_file_that_it_needs(folder: Path) -> None:
    """The file stands beside the run, and was loaded from there."""
    done = genwerk(folder, "sample", "runs/lean-gaussian", "-n", "5")
    assert done.returncode == 2
    assert done.stderr == (
        "genwerk: runs/lean-gaussian/config.json needs the plug-in mine.py, which is not loaded; name its file, as in "
        "--plugin mine.py\n"
    )


def test_the_contract_is_asked_of_it(folder: Path) -> None:
    done = genwerk(folder, "check-family", "lean-gaussian", "--plugin", "mine.py", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["resume is bit exact at a random round"] == found["scores"] == "kept"
    assert found["encodes and decodes"] == "none: does not claim encodes and decodes"
    unseeded = STRANGER.read_text().replace("SeededNoise(n, seed, self.device)", "SeededNoise(n, None, self.device)")
    (folder / "unseeded.py").write_text(unseeded)
    done = genwerk(folder, "check-family", "lean-gaussian", "--plugin", "unseeded.py")
    assert done.returncode == 2
    assert "lean-gaussian breaks" in done.stderr
    assert "a sample belongs to its seed and not to its batch" in done.stderr
    assert "Remedy: One noise generator per example" in " ".join(done.stdout.split())


def test_in_python_it_is_imported(folder: Path) -> None:
    code = "import mine, genwerk; print(type(genwerk.load('runs/lean-gaussian', device='cpu')).__name__)"
    assert genwerk(folder, code=code).stdout == "LeanGaussian\n"
    code = "import genwerk; genwerk.load('runs/lean-gaussian', device='cpu')"
    assert (
        "MissingPlugin: runs/lean-gaussian/config.json needs the plug-in mine.py" in genwerk(folder, code=code).stderr
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "lean-gaussian", "--model.width", "-1"), "width is -1.0; it must be above 0"),
        (("train", "lean-gaussian", "--data", "digits"), "genwerk: lean-gaussian describes tables, not image\n"),
    ],
)
def test_its_own_value_errors_are_the_users(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = genwerk(folder, *words, "--plugin", "mine.py", "--out", "other")
    assert done.returncode == 2
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_its_own_faults_are_its_own(folder: Path) -> None:
    broken = (folder / "mine.py").read_text().replace("-self.log_prob(batch.x).mean()", "-self.log_prop(batch.x)")
    (folder / "broken.py").write_text(broken)
    done = genwerk(folder, "train", "lean-gaussian", "--plugin", "broken.py", "--out", "other")
    assert done.returncode == 1
    assert done.stderr.endswith("genwerk: this is a fault of the plug-in broken.py; see the lines above\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no plug-in"),
        ("import nothing_such\n", r"cannot be loaded: ModuleNotFoundError: .*\(bad.py, line 1\)"),
        (STRANGER.read_text().replace("LeanGaussianConfig", "VAEConfig"), "VAEConfig is a class of genwerk"),
        (STRANGER.read_text().replace("def lean_gaussian", "def vae"), "'vae' is a recipe of genwerk"),
    ],
)
def test_a_file_that_is_no_plugin_is_refused_in_a_sentence(tmp_path: Path, text: str | None, said: str) -> None:
    import genwerk.recipes  # noqa: F401  (what its names could clash with)

    if text is not None:
        (tmp_path / "bad.py").write_text(text)
    with pytest.raises(BadInput, match=said):
        plugins.load(tmp_path / "bad.py")


def test_installed_packages_are_found_by_their_entry_point(folder: Path) -> None:
    package = folder / "lean_families"
    package.mkdir()
    shutil.copy(STRANGER, package / "__init__.py")
    told = folder / "lean_families-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: lean-families\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[genwerk.families]\nlean = lean_families\n")

    def listing() -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(plugins.__file__).parents[2]), str(folder)])}
        command = [sys.executable, "-c", COMMAND, "recipes", "--json"]
        return subprocess.run(command, capture_output=True, text=True, env=env)

    try:
        assert "lean-gaussian" in listing().stdout
        shutil.rmtree(package)
        assert "the plug-in lean_families is left out" in listing().stderr
    finally:
        shutil.rmtree(told)
