"""Algorithms of multi-objective optimisation at equal evaluations: IGD by problem and algorithm.

    python benchmarks/evolve.py run --algorithms gmoea nsga2 --problems immoea-f1 zdt1 --runs 10
    python benchmarks/evolve.py table

Runs have the seeds 0 to runs - 1, a population of 100 and 5,000 evaluations; D = 30. IGD is that of the nondominated
solutions of the last population, raw, against 10^4 points of the front. Results go to results/evolve.json, where those
of other problems and algorithms stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import mannwhitneyu

from genwerk.evolve.algorithms import algorithm
from genwerk.evolve.measures import igd
from genwerk.evolve.problems import find, front
from genwerk.evolve.together import Together

RESULTS = Path(__file__).parent / "results" / "evolve.json"
F = [f"immoea-f{i}" for i in range(1, 11)]
PROBLEMS = ["zdt1", "zdt2", "zdt3", *F, *[f"{name}-interior" for name in F]]
ALGORITHMS = ["nsga2", "spea2", "gde3", "moead", "im-moea", "rm-meda", "gmoea-published", "gmoea"]


Results = dict[str, dict[str, dict[str, object]]]
"""By problem and algorithm: IGD of each run, CPU seconds a run, shares of the operators."""


def load(path: Path) -> Results:
    return json.loads(path.read_text()) if path.exists() else {}


def run(problem: str, name: str, runs: int, evaluations: int) -> dict[str, object]:
    """IGD of each run, CPU seconds a run, and the mean share of each operator over the last generation."""
    start = time.process_time()
    finished = Together(algorithm(name), made := find(problem), range(runs), evaluations).run()
    seconds = (time.process_time() - start) / runs
    points = front(made)
    found = {"igd": [float(f"{igd(each.opt.get('F'), points):.4g}") for each in finished], "seconds": round(seconds, 2)}
    shares = [each.mating.shares for each in finished if hasattr(each.mating, "shares")] if name != "moead" else []
    if shares and len(shares[0]) > 1:
        found["shares"] = {key: round(float(np.mean([each[key] for each in shares])), 3) for key in shares[0]}
    return found


def table(results: Results) -> str:
    """Median and quartiles of each, the least median in bold where all are measured."""
    known = [name for name in ALGORITHMS if any(name in found for found in results.values())]
    lines = [f"| | {' | '.join(known)} |", "|---" * (len(known) + 1) + "|"]
    for problem in [each for each in PROBLEMS if each in results]:
        found = results[problem]
        least = min(np.median(each["igd"]) for each in found.values())
        cells = []
        for name in known:
            low, median, high = np.quantile(found[name]["igd"], [0.25, 0.5, 0.75]) if name in found else [np.nan] * 3
            text = f"{median:.3g} ({low:.3g} to {high:.3g})" if name in found else "-"
            cells.append(f"**{text}**" if median == least and len(found) == len(known) else text)
        lines.append(f"| {problem.removeprefix('immoea-')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def better(results: Results, name: str, other: str) -> list[str]:
    """Where ``name`` has the lower median, with a star where the two-sided Wilcoxon rank-sum test gives p < 0.05."""
    said = []
    for problem, found in results.items():
        if name in found and other in found:
            mine, theirs = found[name]["igd"], found[other]["igd"]
            if np.median(mine) < np.median(theirs):
                said.append(problem.removeprefix("immoea-") + ("*" if mannwhitneyu(mine, theirs).pvalue < 0.05 else ""))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS)
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "run":
        for problem in asked.problems:
            for name in asked.algorithms:
                found = run(problem, name, asked.runs, asked.evaluations)
                results = load(asked.results)
                results.setdefault(problem, {})[name] = found
                asked.results.write_text(json.dumps(results, indent=1) + "\n")
                sys.stderr.write(f"{problem} {name} {np.median(found['igd']):.4g} {found['seconds']} s\n")
        return
    results = load(asked.results)
    sys.stdout.write(table(results) + "\n\n")
    for other in ("nsga2", "im-moea"):
        sys.stdout.write(f"gmoea has the lower median than {other} on: {', '.join(better(results, 'gmoea', other))}\n")


if __name__ == "__main__":
    main()
