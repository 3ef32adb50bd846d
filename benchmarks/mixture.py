"""The mixture against scikit-learn's GaussianMixture: the same start, the same number of EM iterations, one run.

    python benchmarks/mixture.py [--threads 2] [--repeats 9]

Both start from the same weights, means and covariances on float64 data and are stopped after the same number of
iterations. Each library works in a process of its own, because the thread pools of both in one process hinder each
other; fits alternate, so that a drifting machine treats them alike. Each is timed through its own public way in
(`Trainer(...).fit()` and `GaussianMixture.fit`), and the mean log-likelihoods at the end are compared. Scikit-learn's
time holds one further E step, which it takes after the last iteration.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from typing import Any

import numpy as np

COMPONENTS = 10
KINDS = ("full", "tied", "diagonal", "spherical")
Array = np.ndarray[Any, np.dtype[np.float64]]


def digits() -> Array:
    """The 1,797 digits of scikit-learn, 64 pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data / 16)


def codes(n: int = 60_000, d: int = 16, seed: int = 0) -> Array:
    """What the codes of an autoencoder might be: ten overlapping Gaussians of random covariances."""
    rng = np.random.default_rng(seed)
    means, mixing = 2 * rng.standard_normal((COMPONENTS, d)), rng.standard_normal((COMPONENTS, d, d)) / 4
    which = rng.integers(COMPONENTS, size=n)
    return means[which] + np.einsum("nij,nj->ni", mixing[which], rng.standard_normal((n, d)))


def start(x: Array, kind: str) -> tuple[Array, Array, Array]:
    """Equal weights, ten examples as means, and the mean variance of the columns."""
    d = x.shape[1]
    means = x[np.random.default_rng(0).permutation(len(x))[:COMPONENTS]]
    shape = {"full": (COMPONENTS, 1, 1), "tied": (1, 1), "diagonal": (COMPONENTS, d), "spherical": (COMPONENTS,)}[kind]
    unit = np.eye(d) if kind in ("full", "tied") else 1.0
    return np.full(COMPONENTS, 1 / COMPONENTS), means, x.var(0).mean() * np.ones(shape) * unit


def ours(x: Array, kind: Any, iterations: int) -> tuple[float, float]:
    """Seconds of a fit, and the mean log-likelihood it reached."""
    import torch

    from genwerk.core.model import Stage
    from genwerk.core.spec import DataSpec
    from genwerk.data.dataset import Dataset
    from genwerk.families.mixture import Mixture, MixtureConfig
    from genwerk.training.settings import TrainConfig
    from genwerk.training.trainer import Trainer

    class Continued(Mixture):
        """A mixture whose training goes on from where it has been placed."""

        def stages(self, rounds: int) -> Sequence[Stage]:
            return [Stage("em", rounds, self.turns, batch_size=0)]

    data = Dataset(x=torch.from_numpy(x), spec=DataSpec(kind="table", shape=x.shape[1:]))
    model = Continued(MixtureConfig(components=(COMPONENTS,), covariance=kind, tolerance=0.0), data.spec)
    model.place(*map(torch.from_numpy, start(x, kind)))
    settings = TrainConfig(rounds=iterations, sample_every=0, evaluate_every=0, save_every=0)
    begin = time.perf_counter()
    Trainer(model, data, settings).fit()
    seconds = time.perf_counter() - begin
    assert int(model.round) == iterations
    return seconds, model.log_prob(data.x).mean().item()


def theirs(x: Array, kind: str, iterations: int) -> tuple[float, float]:
    """The same by scikit-learn."""
    from sklearn.mixture import GaussianMixture

    warnings.filterwarnings("ignore", message="Best performing initialization did not converge")
    weights, means, covariances = start(x, kind)
    model = GaussianMixture(
        COMPONENTS,
        covariance_type="diag" if kind == "diagonal" else kind,
        tol=0,
        max_iter=iterations,
        weights_init=weights,
        means_init=means,
        precisions_init=np.linalg.inv(covariances) if kind in ("full", "tied") else 1 / covariances,
    )
    begin = time.perf_counter()
    model.fit(x)
    seconds = time.perf_counter() - begin
    assert model.n_iter_ == iterations
    return seconds, float(model.score(x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of each library")
    parser.add_argument("--repeats", type=int, default=9, help="fits of each, after one that is not counted")
    arguments = parser.parse_args()
    for variable in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
    ):  # the processes started inherit them
        os.environ[variable] = str(arguments.threads)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {arguments.threads} threads each, "
        f"torch {version('torch')}, scikit-learn {version('scikit-learn')}, seed 0, medians of {arguments.repeats}\n"
    )
    print("| data | covariance | iterations | ours, ms each | theirs, ms each | ratio | log-likelihood | difference |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    libraries: list[Callable[..., tuple[float, float]]] = [ours, theirs]
    workers = [ProcessPoolExecutor(1, mp_context=get_context("spawn")) for _ in libraries]
    for name, x, iterations in (("digits", digits(), 50), ("codes", codes(), 20)):
        for kind in KINDS:
            pairs = list(zip(workers, libraries, strict=True))
            fits = [
                [worker.submit(fit, x, kind, iterations).result() for worker, fit in pairs]
                for _ in range(arguments.repeats + 1)
            ]
            (a, b) = (1e3 * statistics.median(f[i][0] for f in fits[1:]) / iterations for i in (0, 1))
            (_, mine), (_, other) = fits[-1]
            size = f"{name} {len(x)} x {x.shape[1]}"
            print(f"| {size} | {kind} | {iterations} | {a:.2f} | {b:.2f} | {b / a:.2f} ", end="")
            print(f"| {mine:.6f} | {mine - other:.0e} |", flush=True)
    for worker in workers:
        worker.shutdown()


if __name__ == "__main__":
    main()
