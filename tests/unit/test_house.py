"""The house stays as it is drawn: imports point down, what is forbidden is absent, imports are quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import genwerk

ROOT = Path(genwerk.__file__).parent
FLOORS = [
    ["__main__"],
    ["cli", "studio"],
    ["commands", "gallery"],
    ["testing"],
    ["comparison"],
    ["runs"],
    ["evaluation"],
    ["tasks"],
    ["evolve"],
    ["recipes", "interop"],
    ["families"],
    ["metrics"],
    ["training"],
    ["data"],
    ["modalities"],
    ["diffusion"],
    ["nn"],
    ["core"],
    [""],
]
"""From the roof down; a module may import from its own floor or a lower one (the package itself, "", is the ground)."""

FILES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    return "" if relative.parts == ("__init__",) else relative.parts[0]


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


def imported(tree: ast.Module) -> set[str]:
    """Rooms of genwerk that a module imports when it runs, inside functions too; type checking does not count."""
    skipped = {
        id(n)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for n in ast.walk(block)
    }
    rooms: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "genwerk":
            parts = node.module.split(".")[1:]
            names = [alias.name for alias in node.names]
            rooms |= (
                {parts[0]}
                if parts
                else {n if (ROOT / n).exists() or (ROOT / f"{n}.py").exists() else "" for n in names}
            )
        elif isinstance(node, ast.Import):
            rooms |= {[*a.name.split("."), ""][1] for a in node.names if a.name.split(".")[0] == "genwerk"}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = floor(room(path))
    if room(path) == "":
        return
    above = {r for r in imported(ast.parse(path.read_text())) if floor(r) < here}
    assert not above, f"{room(path)} imports from above: {sorted(above)}"


FORBIDDEN = {
    "backward": {"training/descent.py"},
    "print": {"cli/progress.py", "cli/rendering.py"},
    "pickle": set(),
    "torchvision": set(),
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_stands_in_the_wrong_room(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in FORBIDDEN and path.relative_to(ROOT).as_posix() not in FORBIDDEN[called]:
                pytest.fail(f"{path.name}:{node.lineno} calls {called}")
            if called == "step" and "optim" in ast.unparse(node.func):
                assert path.relative_to(ROOT).as_posix() == "training/descent.py"
            if ast.unparse(node.func) == "torch.load":  # one file of an installed package, of a known sha256
                assert path.relative_to(ROOT).as_posix() == "metrics/efficientnet.py"
                assert "weights_only=True" in [ast.unparse(keyword) for keyword in node.keywords]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert not {n.split(".")[0] for n in names} & {"pickle", "torchvision", "dill", "joblib"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nobody_asks_for_a_kind_of_data_by_name(path: Path) -> None:
    """A modality says what is to be known of it: `spec.modality.has_pixels`, not `spec.kind == "image"`."""
    if path.relative_to(ROOT).as_posix() == "core/modality.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        asked = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        asked += [node.subject] if isinstance(node, ast.Match) else []
        assert not any(ast.unparse(each).endswith("spec.kind") for each in asked), f"line {node.lineno}"


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not {"torch", "numpy", "PIL", "matplotlib", "sklearn"} & loaded("import genwerk")


@pytest.mark.parametrize(
    "given,found", [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"), ({"GOMP_SPINCOUNT": "9"}, "None")]
)
def test_threads_wait_asleep_unless_the_user_says_how(given: dict[str, str], found: str) -> None:
    plain = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")}
    code = "import genwerk, os; print(os.environ.get('OMP_WAIT_POLICY'))"
    assert subprocess.check_output([sys.executable, "-c", code], env=plain | given, text=True).strip() == found


@pytest.mark.parametrize("asked", [["--help"], ["sample", "--help"], ["evaluate", "--help"], ["commands"]])
def test_help_loads_no_torch(asked: list[str]) -> None:
    code = f"from genwerk.cli import main\ntry: main({asked})\nexcept SystemExit: pass"
    assert "torch" not in loaded(code)


def test_the_library_loads_no_optional_or_heavy_package() -> None:
    code = "from genwerk import *"
    assert not {"torchvision", "matplotlib", "sklearn", "pyarrow", "datasets"} & loaded(code)


def test_a_broken_torchvision_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom genwerk import *\nimport genwerk.cli"
    assert "torchvision" not in loaded(code)


def test_public_names_are_all_there() -> None:
    for name in genwerk.__all__:
        assert getattr(genwerk, name) is not None
    assert callable(genwerk.recipe)
    assert callable(genwerk.evaluate)


def test_no_module_has_the_name_of_a_public_function() -> None:
    modules = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert not modules & set(genwerk.__all__)
