"""Likelihood families on two small tables with every setting as it is: the NLL of rows that neither trained nor chose.

    .venv/bin/python benchmarks/small_tables.py
    .venv/bin/python benchmarks/small_tables.py --recipes maf --tables cancer --seeds 0

`cancer` is scikit-learn's breast-cancer table (569 rows of 30 columns, on very different scales); `people` is drawn:
880 rows of age, height, weight and a log-normal income, whose tail a model must not fall over. One row a training: the
round that was chosen and the last one, the test NLL (nats a row) of both with the standard error of the mean, and the
processor's time for all of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

import genwerk
from genwerk.data import open_data
from genwerk.data.settings import DataConfig
from genwerk.runs import store
from genwerk.tasks import Likelihood, log_likelihood

RECIPES = (
    "mixture",
    "maf",
    "maf-mixture",
    "spline-maf",
    "realnvp",
    "spline-flow",
    "nice",
    "iaf",
    "vae",
    "iwae",
    "vae-iaf",
)


def people(n: int = 880) -> np.ndarray:
    """Age, height, weight and income of ``n`` made-up people."""
    draw = np.random.default_rng(3)
    age, height = draw.integers(18, 90, n), draw.normal(171, 9, n).round(1)
    weight = (height - 100 + draw.normal(0, 9, n)).round(1)
    return np.c_[age, height, weight, np.exp(draw.normal(10.2, 0.6, n)).round()]


TABLES = {"cancer": lambda: load_breast_cancer().data, "people": people}


def shown(found: Likelihood) -> str:
    return f"{'' if found.exact else '<= '}{-found.nats:.2f} ± {found.standard_error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    print("table | recipe | seed | chosen round | of | test NLL, chosen | median | test NLL, last | CPU s")
    with tempfile.TemporaryDirectory() as folder:
        for table in asked.tables:
            path = Path(folder) / f"{table}.csv"
            np.savetxt(path, TABLES[table](), delimiter=",", fmt="%.6g")
            test = open_data(DataConfig(source=str(path))).test
            for name in asked.recipes:
                for seed in asked.seeds:
                    out, start = Path(folder) / f"{table}-{name}-{seed}", time.process_time()
                    genwerk.train(name, str(path), out=out, seed=seed, device="cpu")
                    spent = time.process_time() - start
                    chosen, last = (
                        log_likelihood(genwerk.load(out / which, device="cpu"), test) for which in ("best", "last")
                    )
                    rounds = [str(store.find(out / which).round) for which in ("best", "last")]
                    median = f"{-chosen.each.median().item():.2f}"
                    row = [table, name, str(seed), *rounds, shown(chosen), median, shown(last), f"{spent:.0f}"]
                    print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
