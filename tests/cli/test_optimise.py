"""`genwerk optimise` as a person types it: own problems, a kill in the middle, and every mistake in one sentence."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Genwerk = Callable[..., str]
SMALL = ("--algorithm", "nsga2", "--settings", "pop_size", 8)

MINE = """
lower, upper, variables = 0, 1, 3

def objectives(x):
    with open({log!r}, "a") as log:
        log.write(",".join(map(repr, x.tolist())) + "\\n")
    return x[0], 1 + x[1:].sum() - x[0] ** 0.5
"""

SIMULATOR = """
import csv, sys
rows = list(csv.DictReader(sys.stdin))
print("f0,f1,g0")
for row in rows:
    x = [float(row[f"x{i}"]) for i in range(2)]
    print(x[0], 1 + x[1] - x[0] ** 0.5, x[0] + x[1] - 1.5, sep=",")
"""


@pytest.fixture(autouse=True)
def few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longer than these optimisations, so one test alone has them drawn."""
    if request.node.name != "test_a_problem_by_name":
        for name in ("picture", "animation"):
            monkeypatch.setattr(f"genwerk.evolve.drawing.{name}", lambda of, path: path)


PLUGIN = """
from dataclasses import dataclass
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.problems import get_problem
from genwerk.evolve.algorithms import AlgorithmConfig
from genwerk.evolve.problems import problem

@dataclass(frozen=True, kw_only=True)
class PlainConfig(AlgorithmConfig, kind="plain"):
    pop_size: int = 10
    def make(self, problem):
        return NSGA2(pop_size=self.pop_size)

@problem("small-zdt1")
def small(n_var=4):
    return get_problem("zdt1", n_var=n_var)
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's file that logs the solutions it is called with, in calls.csv beside it."""
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(log=str(tmp_path / "calls.csv")))
    return path


def calls(mine: Path) -> list[str]:
    return (mine.parent / "calls.csv").read_text().split()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_without_a_problem_everything_is_listed(genwerk: Genwerk) -> None:
    said = genwerk("optimise")
    for name in ("nsga2", "zdt1", "immoea-f3-interior", "mine.py"):
        assert name in said
    listed = json.loads(genwerk("optimise", "--json"))
    assert all(listed["algorithms"].values())
    assert all(listed["problems"].values())
    assert "zdt1" in listed["problems"]


def test_a_problem_by_name(genwerk: Genwerk, tmp_path: Path) -> None:
    out = tmp_path / "zdt1"
    said = genwerk("optimise", "zdt1", "--variables", 6, *SMALL, "--evaluations", 60, "--runs", 2, "--out", out)
    assert "IGD" in said
    for name in ("front.csv", "curve.csv", "figures.json", "front.png", "front.gif"):
        assert f"wrote {out / name}" in said
        assert (out / name).stat().st_size
    found = json.loads((out / "figures.json").read_text())
    assert (found["variables"], found["runs"], found["evaluations"]) == (6, 2, 60)
    assert found["reference_point"] == [[1.1, 1.1]]
    archived = rows(out / "archive.csv")
    assert [sum(row["run"] == run for row in archived) for run in "01"] == [60, 60]  # 60 is no multiple of 8
    front = rows(out / "front.csv")
    for run, (n,) in enumerate(found["solutions"]):
        own = np.array([[float(row["f0"]), float(row["f1"])] for row in front if row["run"] == str(run)])
        assert len(own) == n
        assert not any((own <= f).all(1)[i] and (own < f).any(1)[i] for f in own for i in range(n))
    words = ("optimise", "zdt1", "--variables", 6, *SMALL, "--evaluations", 60, "--runs", 2, "--json")
    again = json.loads(genwerk(*words, "--out", out))
    assert again["measured"] == found["measured"]
    assert len(rows(out / "archive.csv")) == 120
    assert [*map(float, found["measured"]["igd"]["values"])] == found["measured"]["igd"]["values"]


def test_more_evaluations_extend_it_to_what_it_would_have_been(genwerk: Genwerk, mine: Path, tmp_path: Path) -> None:
    short = genwerk("optimise", mine, *SMALL, "--evaluations", 20, "--out", tmp_path / "a")
    assert "the hypervolume is measured from" in short
    genwerk("optimise", mine, *SMALL, "--evaluations", 40, "--out", tmp_path / "a")
    genwerk("optimise", mine, *SMALL, "--evaluations", 40, "--out", tmp_path / "b")
    assert (tmp_path / "a" / "front.csv").read_text() == (tmp_path / "b" / "front.csv").read_text()
    assert (tmp_path / "a" / "archive.csv").read_text() == (tmp_path / "b" / "archive.csv").read_text()
    assert len(calls(mine)) == 1 + 40 + 1 + 40  # the middle of the bounds tells the number of objectives


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_evaluated_twice_after_an_end_at_any_moment(
    genwerk: Genwerk, mine: Path, tmp_path: Path, end: int
) -> None:
    words = ["optimise", mine, *SMALL, "--evaluations", 80, "--runs", 2, "--out", tmp_path / "out"]
    mine.write_text(mine.read_text().replace("    return", "    import time; time.sleep(0.01)\n    return"))
    command = [sys.executable, "-m", "genwerk", *map(str, words)]
    going = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (mine.parent / "calls.csv").exists() or len(calls(mine)) < 60:
        assert going.poll() is None, going.communicate()
        time.sleep(0.02)
    going.send_signal(end)
    said, complained = going.communicate()
    assert "Traceback" not in complained
    if end == signal.SIGINT:
        assert going.returncode == 130
        assert f"the same command goes on: genwerk optimise {mine}" in said
        assert rows(tmp_path / "out" / "front.csv")
    archive = tmp_path / "out" / "archive.csv"
    written = archive.read_text().count("\n") - 1
    with archive.open("a") as file:
        file.write("0,7,0.25,0.1")  # as a kill in the middle of a line leaves it
    genwerk(*words)
    assert len(rows(archive)) == 160
    lost = len(calls(mine)) - 1 - 160  # the one that was going on
    assert lost in (0, 1)
    assert written >= 58
    assert len({*calls(mine)}) == 161


def test_a_command_reads_and_prints_csv_and_its_constraints_hold(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "simulate.py").write_text(SIMULATOR)
    command = f"{sys.executable} {tmp_path / 'simulate.py'}"
    small = (*SMALL, "--evaluations", 24)
    genwerk("optimise", "--command", command, "--lower", 0, 0, "--upper", 1, 1, *small, "--out", tmp_path / "a")
    front = rows(tmp_path / "a" / "front.csv")
    assert all(float(row["x0"]) + float(row["x1"]) <= 1.5 for row in front)
    (tmp_path / "mine.toml").write_text(f'command = "{sys.executable} simulate.py"\nlower = 0\nupper = [1, 1]\n')
    genwerk("optimise", tmp_path / "mine.toml", *small, "--jobs", 2, "--batch", 3, "--out", tmp_path / "b")
    assert rows(tmp_path / "b" / "front.csv") == front


def test_evaluations_in_processes_give_the_same(genwerk: Genwerk, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("ONE = 1\n")
    mine.write_text("from beside import ONE\n" + mine.read_text().replace("1 + x", "ONE + x"))
    for jobs in (1, 2):
        genwerk("optimise", mine, *SMALL, "--evaluations", 24, "--jobs", jobs, "--out", tmp_path / f"jobs-{jobs}")
    one, two = ((tmp_path / f"jobs-{jobs}" / "archive.csv").read_text() for jobs in (1, 2))
    assert one == two


def test_what_fails_is_penalised_counted_and_told(genwerk: Genwerk, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "lower, upper, variables = 0, 1, 2\n"
        "def objectives(x):\n"
        "    if x[0] > 0.9:\n        raise ValueError('too far\\nout')\n"
        "    return x[0], float('nan') if x[1] > 0.9 else 2 - x[0] + x[1]\n"
    )
    for penalty, out in ((None, tmp_path / "a"), (1e4, tmp_path / "b")):
        said = genwerk("optimise", mine, *SMALL, "--evaluations", 64, "--penalty", penalty, "--out", out)
        failed = [row for row in rows(out / "archive.csv") if row["outcome"] != "ok"]
        assert f"{len(failed)} of 64 evaluations failed and were penalised: " in said
        assert {row["outcome"] for row in failed} == {"ValueError: too far out (mine.py, line 4)", "f1 is nan"}
        for row in failed:
            assert float(row["f0"]) == (penalty or float(row["f0"])) >= 0.9
        front = rows(out / "front.csv")
        assert all(float(row["x0"]) <= 0.9 and float(row["x1"]) <= 0.9 for row in front)


def test_a_front_of_a_single_point_is_told(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "lower, upper = [0], [1]\ndef objectives(x): return max(x[0], 0.5), max(x[0], 0.5)\n"
    )
    said = genwerk("optimise", tmp_path / "mine.py", *SMALL, "--evaluations", 64, "--out", tmp_path / "a")
    assert "the front is a single point in run 0" in said


def test_a_noisy_objective_is_told_without_its_noise(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nlower, upper = [0, 0], [1, 1]\nrng = np.random.default_rng(0)\nvectorised = True\n"
        "def exact(x): return np.stack([x[:, 0], 1 - x[:, 0] + x[:, 1]], 1)\n"
        "def objectives(x): return exact(x) + 0.1 * rng.standard_normal((len(x), 2))\n"
    )
    genwerk("optimise", tmp_path / "mine.py", *SMALL, "--evaluations", 64, "--out", tmp_path / "a")
    for row in rows(tmp_path / "a" / "front.csv"):
        assert float(row["exact_f0"]) == float(row["x0"]) != float(row["f0"])
    measured = json.loads((tmp_path / "a" / "figures.json").read_text())["measured"]
    assert measured["hv without noise"]["median"] < measured["hv"]["median"]  # what seems good is lucky, too


def test_the_page_runs_as_it_stands(genwerk: Genwerk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "optimisation.md").read_text()
    block = r"^```python\n(.*?)^```"
    files = dict(re.findall(rf"`(\w+\.py)`[^\n]*:\n\n(?:<!--[^\n]*\n)?{block}", page, re.DOTALL | re.MULTILINE))
    assert files.keys() == {"beam.py", "noisy.py"}
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        Path(name).write_text(text)
    for name in files:
        genwerk("optimise", name, "--settings", "pop_size", 12, "--evaluations", 40)
    found = json.loads(Path("optimised/noisy-gmoea-0/figures.json").read_text())
    assert {"igd", "igd without noise"} <= found["measured"].keys()
    space: dict[str, Any] = {}
    for code in re.findall(block, page.partition("## Python")[2], re.DOTALL | re.MULTILINE):
        exec(compile(code, "docs/optimisation.md", "exec"), space)
    assert space["result"].F.shape[1] == 2
    assert len(rows(Path("results/archive.csv"))) == 400


def test_an_algorithm_and_a_problem_of_ones_own(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    words = ("optimise", "small-zdt1", "--algorithm", "plain", "--evaluations", 40, "--out", tmp_path / "out")
    genwerk("--plugin", tmp_path / "plug.py", *words)
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (found["variables"], found["settings"]["pop_size"]) == (4, 10)
    assert f"--plugin {tmp_path / 'plug.py'}" in found["command"]


# --- mistakes ---------------------------------------------------------------------------------------------------------

HEAD = "import numpy as np\nfrom pymoo.core.problem import Problem\nfrom pymoo.core.variable import Integer, Real\n"


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "declares no problem: name one, as in mine.py:name, or define objectives(x), lower and upper"),
        ("lower =", "cannot be loaded: SyntaxError"),
        ("1 / 0", "mine.py cannot be loaded: ZeroDivisionError: division by zero (mine.py, line 4)"),
        ("def objectives(x): return x, x", "lower of mine.py is missing"),
        ("lower, upper = [0], [1, 1]\ndef objectives(x): return 1, 2", "bound 1 and 2 variables; expected 2 of each"),
        ("lower, upper = 0, 1\nvariables = 2.5\ndef objectives(x): return 1, 2", "number of variables is 2.5"),
        ("lower, upper = [0, 1], [1, 1]\ndef objectives(x): return 1, 2", "bounds x1 by 1 on both sides"),
        ("lower, upper = [0, 2], [1, 1]\ndef objectives(x): return 1, 2", "bounds x1 by 2 below and 1 above"),
        ("lower, upper = [0], [np.inf]\ndef objectives(x): return 1, 2", "bounds x0 by 0 and inf; expected finite"),
        ("lower, upper = ['a'], [1]\ndef objectives(x): return 1, 2", "expected numbers"),
        ("lower, upper = [0], [1]\ndef objectives(x): return x[3], 1", "tried with 4 solutions: IndexError"),
        ("lower, upper = [0], [1]\ndef objectives(x): return x[0]", "has a single objective"),
        ("lower, upper = [0], [1]\ndef objectives(x): return [1, 2, 3][: 2 + int(x[0] > 0.7)]", "3 objectives for one"),
        (
            "lower, upper = [0], [1]\nvectorised = True\ndef objectives(x): return 1, 2",
            "is vectorised and gives",
        ),
        ("lower, upper = [0], [1]\ndef objectives(x): return [[x[0], 1]]", "with shape (1, 2) for a solution with"),
        ("lower, upper = [0], [1]\ndef objectives(x): x[0], 1", "see whether a return is missing"),
        (
            "import sys\nlower, upper = [0], [1]\ndef objectives(x): sys.exit(0)",
            "fails, tried with 4 solutions: SystemExit",
        ),
        ("import sys\nsys.exit(3)", "mine.py cannot be loaded: SystemExit: 3"),
        ("problem = Problem(n_var=2, n_obj=2, xl=0, xu=1, vtype=int)\n", "declares int variables"),
        (
            "problem = Problem(vars={'a': Integer(bounds=(0, 3)), 'b': Real(bounds=(0, 1))}, n_obj=2)",
            "declares integer variables, and these algorithms propose vectors of real numbers",
        ),
        ("problem = Problem(n_var=2, n_obj=2)", "has no bounds"),
        ("a = Problem(n_var=2, n_obj=2, xl=0, xu=1)\nb = Problem(n_var=2, n_obj=2, xl=0, xu=1)", "several problems"),
        (
            "class P(Problem):\n    def __init__(self): super().__init__(n_var=2, n_obj=2, xl=0, xu=1)\n"
            "    def _evaluate(self, x, out, *a, **k): out['F'] = np.ones((len(x), 3))",
            "F can not be set, expected shape",
        ),
    ],
)
def test_a_file_that_declares_no_problem_is_told_in_a_sentence(
    refused: Genwerk, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "mine.py").write_text(HEAD + content)
    out = tmp_path / "new" / "out"
    assert said in refused("optimise", tmp_path / "mine.py", *SMALL, "--evaluations", 64, "--out", out)
    assert not out.parent.exists()


def test_where_all_evaluations_fail_this_alone_is_told(genwerk: Genwerk, tmp_path: Path) -> None:
    command = f"""{sys.executable} -c "import sys; n = len(sys.stdin.readlines()) - 1; print('f0,f1'); """
    command += """[print('nan,1') for _ in range(n)]\""""
    of = (*SMALL, "--evaluations", 8, "--out", tmp_path / "out")
    said = genwerk("optimise", "--command", command, "--lower", 0, "--upper", 1, *of)
    assert "all 8 evaluations failed: f0 is nan (8)" in said
    assert "feasible" not in said


def test_a_hypervolume_beyond_all_numbers_is_told(genwerk: Genwerk, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "lower, upper = [0], [1]\ndef objectives(x): return 1e305 * x[0], 1e305 * (1 - x[0])"
    )
    said = genwerk("optimise", tmp_path / "mine.py", *SMALL, "--evaluations", 16, "--out", tmp_path / "out")
    assert "the hypervolume is beyond the range of numbers" in said


def test_a_command_that_cannot_be_used_is_told_in_a_sentence(refused: Genwerk, tmp_path: Path) -> None:
    of = ("--lower", 0, "--upper", 1, "--variables", 2, *SMALL, "--out", tmp_path / "out")
    code = {
        "import sys; sys.exit('no licence')": "ends with exit code 1: no licence",
        "print('hello')": "prints the header 'hello'; expected f0,f1,...",
        "pass": "prints the header ''",
        "print('f0,f1')": "prints 0 lines for 1 solutions",
        "print('f0'); print(1)": "has a single objective",
    }
    for text, said in code.items():
        assert said in refused("optimise", "--command", f'{sys.executable} -c "{text}"', *of)
    assert "cannot be started: there is no such file" in refused("optimise", "--command", "there-is-no-such", *of)
    assert "--lower is missing" in refused("optimise", "--command", "true", *SMALL, "--out", tmp_path / "out")
    (tmp_path / "mine.toml").write_text("lower = 0\nuper = 1\n")
    assert "declares uper; did you mean upper?" in refused("optimise", tmp_path / "mine.toml", *SMALL)
    assert not (tmp_path / "out").exists()


def test_other_mistakes_are_told_in_a_sentence(refused: Genwerk, genwerk: Genwerk, mine: Path, tmp_path: Path) -> None:
    out, of = ("--out", tmp_path / "out"), ("optimise", "zdt1", "--algorithm", "nsga2", "--out", tmp_path / "out")
    assert "no problem called 'zdt9'; did you mean zdt" in refused("optimise", "zdt9", *SMALL, *out)
    assert "no algorithm called 'nsga3'; did you mean nsga2" in refused("optimise", "zdt1", "--algorithm", "nsga3")
    assert "does not exist" in refused("optimise", tmp_path / "other.py", *SMALL, *out)
    assert "defines no objektives; did you mean objectives" in refused("optimise", f"{mine}:objektives", *SMALL, *out)
    assert "--variables does not go with" in refused("optimise", mine, "--variables", 3, *SMALL, *out)
    assert "no setting 'popsize'; did you mean pop_size" in refused(*of, "--settings", "popsize", 8)
    assert "expected a whole number" in refused(*of, "--settings", "pop_size", "many")
    assert "--reference has 3 values; zdt1 has 2" in refused("optimise", "zdt1", *SMALL, "--reference", 1, 1, 1, *out)
    assert "both named" in refused("optimise", "zdt1", "--command", "true", *SMALL, *out)
    assert "nsga2 solves one task, and cihs has 2; expected one of" in refused("optimise", "cihs", *SMALL, *out)
    assert "--matrices takes a .npz or .mat file" in refused("optimise", "cims", "--algorithm", "emtgs", *out)
    assert "--objectives is 3, and zdt1 always has 2" in refused("optimise", "zdt1", "--objectives", 3, *SMALL, *out)
    assert "--variables is 3, and bnh always has 2" in refused("optimise", "bnh", "--variables", 3, *SMALL, *out)
    assert "--matrices does not go with zdt1" in refused("optimise", "zdt1", "--matrices", "m.npz", *SMALL, *out)
    assert "moead does not solve" in refused("optimise", "bnh", "--algorithm", "moead", *out)
    assert "the runner dask is not installed" in refused(
        "optimise", mine, *SMALL, "--jobs", 2, "--runner", "dask", *out
    )
    assert not (tmp_path / "out").exists()
    assert "is a folder of something else" in refused("optimise", "zdt1", *SMALL, "--out", tmp_path)
    genwerk("optimise", mine, *SMALL, "--evaluations", 16, *out)
    assert "--seed was 0 and is 1; only evaluations can be changed" in refused(
        "optimise", mine, *SMALL, "--seed", 1, *out
    )
    mine.write_text(mine.read_text() + "\n")
    assert "mine.py has changed since" in refused("optimise", mine, *SMALL, *out)


def test_an_archive_of_other_solutions_is_refused(genwerk: Genwerk, refused: Genwerk, tmp_path: Path) -> None:
    words = ("optimise", "zdt1", *SMALL, "--evaluations", 16, "--out", tmp_path / "out")
    genwerk(*words)
    archive = tmp_path / "out" / "archive.csv"
    lines = archive.read_text().splitlines(keepends=True)
    archive.write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    assert "other solutions than this algorithm proposes now (run 0)" in refused(*words)


def test_a_folder_has_one_writer(refused: Genwerk, tmp_path: Path) -> None:
    hold = "import sys; from pathlib import Path; from genwerk.core.locks import only_writer\n"
    hold += "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        said = refused("optimise", "zdt1", *SMALL, "--evaluations", 16, "--out", tmp_path / "out")
        assert f"is being written by another process (pid {other.pid})" in said
        other.communicate()


def test_without_pymoo_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pymoo'] = None; from genwerk.cli import main; main(['optimise', 'zdt1'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "genwerk: optimisation needs pymoo; type: pip install 'genwerk[evolve]'\n"
