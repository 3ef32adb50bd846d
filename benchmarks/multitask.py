"""What transfer between tasks is worth: EMT-GS by its donor against each task alone and MO-MFEA, on CEC 2017's pairs.

Each pair as published and shifted (the optimum of both tasks moved by one seeded vector); 10 runs in one batch, 100
solutions a task, raw IGD from about 10,000 points of the front.

    python benchmarks/multitask.py run --generations 1000   # adds what is missing to results/multitask.json
    python benchmarks/multitask.py table
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ranksums

from genwerk.evolve.algorithms import algorithm
from genwerk.evolve.measures import igd
from genwerk.evolve.multitask.algorithm import MultitaskConfig
from genwerk.evolve.multitask.donors import GAN, Constant, Raw
from genwerk.evolve.problems import find, front

RESULTS = Path(__file__).parent / "results" / "multitask.json"
PAIRS = ["cihs", "cims-substitute", "cils", "pihs", "pims-substitute", "pils", "nihs", "nims-substitute", "nils"]
PROBLEMS = [*PAIRS, *(f"{name}-shifted" for name in PAIRS)]
PUBLISHED: dict[str, Any] = {"adaptive": False, "transfer_rate": 0.5, "mutations": 0}
VARIANTS = {
    "ide": algorithm("ide"),
    "emtgs": algorithm("emtgs"),
    "emtgs, rate 0.5": algorithm("emtgs", adaptive=False),
    "mo-mfea": algorithm("mo-mfea"),
    "published none": algorithm("ide", mutations=0),
    "published raw": algorithm("emtgs", donor=Raw(), **PUBLISHED),
    "published constant": algorithm("emtgs", donor=Constant(), **PUBLISHED),
    "published gan-individual": algorithm("emtgs", donor=GAN(reading="individual"), **PUBLISHED),
    "published gan-transposed": algorithm("emtgs", donor=GAN(reading="transposed"), **PUBLISHED),
}
"""``published`` has half of all pairs cross tasks and no mutation."""


def measure(problem_name: str, config: MultitaskConfig, generations: int, runs: int) -> dict[str, Any]:
    """IGD of every task and run, the CPU seconds of all runs together, and where transfer rates ended."""
    problem, start = find(problem_name), time.process_time()
    coordinator = config.coordinate(problem, range(runs))
    coordinator.run(generations * config.pop_size * len(problem.tasks))
    seconds = time.process_time() - start
    distances = [
        [igd(f, front(task)) for f in pool.found.f]  # type: ignore[arg-type]
        for task, pool in zip(problem.tasks, coordinator.pools, strict=True)
    ]
    rates = [list(coordinator.shares(run).values()) for run in range(runs)]
    return {"igd": distances, "cpu_seconds": seconds, "transfer": np.median(rates, axis=0).tolist()}


def read() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def run(generations: int, runs: int, variants: list[str], problems: list[str]) -> None:
    for name in problems:
        for variant in variants:
            if variant in read().get(str(generations), {}).get(name, {}):
                continue
            found, results = measure(name, VARIANTS[variant], generations, runs), read()
            results.setdefault(str(generations), {}).setdefault(name, {})[variant] = found
            beside = RESULTS.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(results, indent=1))
            beside.replace(RESULTS)
            print(name, variant, *(f"{np.median(each):.3g}" for each in found["igd"]), f"{found['cpu_seconds']:.0f} s")


def verdict(one: list[float], other: list[float]) -> str:
    """Whether ``one`` is better than ``other``: + or -; = where medians are within 10 % or Wilcoxon's rank-sum test has
    p >= 0.05."""
    a, b = np.median(one), np.median(other)
    if abs(a - b) <= 0.1 * max(a, b) or ranksums(one, other).pvalue >= 0.05:
        return "="
    return "+" if a < b else "-"


def table(generations: int) -> None:
    """Medians and quartiles of each task, and how often a variant beats its like without transfer."""
    results = read()[str(generations)]
    variants = [each for each in VARIANTS if any(each in found for found in results.values())]
    print("| problem | task |", " | ".join(variants), "|")
    print("|---" * (len(variants) + 2) + "|")
    for name in filter(results.get, PROBLEMS):
        for task in range(2):
            cells = []
            for found in map(results[name].get, variants):
                quartiles = np.percentile(found["igd"][task], [50, 25, 75]) if found else []
                cells.append("{:.3g} ({:.3g} to {:.3g})".format(*quartiles) if found else "")
            print(f"| {name} | {task + 1} |", " | ".join(cells), "|")
    for variant in variants:
        alone = "published none" if variant.startswith("published") else "ide"
        for kind, names in (("as published", PAIRS), ("shifted", PROBLEMS[len(PAIRS) :])):
            marks = [
                verdict(results[name][variant]["igd"][task], results[name][alone]["igd"][task])
                for name in names
                if {variant, alone} <= results.get(name, {}).keys()
                for task in range(2)
            ]
            print(f"{variant} against {alone}, {kind}:", ", ".join(f"{marks.count(each)} {each}" for each in "+=-"))
        seconds = [found[variant]["cpu_seconds"] for found in results.values() if variant in found]
        print(f"{variant}: median of {np.median(seconds):.1f} CPU s for all runs of a pair")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--problems", nargs="*", default=PROBLEMS)
    options = parser.parse_args()
    if options.command == "run":
        run(options.generations, options.runs, options.variants, options.problems)
    else:
        table(options.generations)
