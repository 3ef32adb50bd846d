"""CPU time, peak memory and values of the metrics beside torchmetrics and prdc: the same features, one run.

    pip install prdc torchmetrics
    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--n 10000] [--dims 64 1280] [--only error]

Every call has a process of its own, so that its peak memory is its own too: what the process holds at its end above
what it held when the features stood ready. Features are normal, those called generated narrower by a tenth.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

torch.set_num_threads(1)


def frechet(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import frechet_distance

    return [frechet_distance(real, fake)]


def frechet_torchmetrics(real: Tensor, fake: Tensor) -> list[float]:
    from torchmetrics.image.fid import _compute_fid

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.double().mean(0), x.double().T.cov()

    return [float(_compute_fid(*moments(real), *moments(fake)))]


def kid(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import kernel_distance

    return [kernel_distance(real, fake).mean]


def kid_torchmetrics(real: Tensor, fake: Tensor) -> list[float]:
    from torchmetrics.image.kid import poly_mmd

    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(100):
        a, b = (x[torch.randperm(len(x), generator=generator)[:1000]].double() for x in (real, fake))
        found.append(float(poly_mmd(a, b)))
    return [sum(found) / len(found)]


def prdc(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import prdc

    return list(vars(prdc(real, fake)).values())


def prdc_peer(real: Tensor, fake: Tensor) -> list[float]:
    from prdc import compute_prdc

    found = compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]


def likelihood_divergence(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import feature_likelihood_divergence

    half = len(real) // 2
    return [feature_likelihood_divergence(real[:half], real[half:], fake)]


def memorisation(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import memorisation

    half = len(real) // 2
    return list(vars(memorisation(real[:half], real[half:], fake)).values())


def vendi(_: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics import vendi_score

    return [vendi_score(fake)]


def frechet_error(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics.frechet import frechet_error

    return [frechet_error(fake, real)]


def prdc_errors(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics.prdc import prdc_with_errors

    return list(vars(prdc_with_errors(real, fake)[1]).values())


def likelihood_divergence_error(real: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics.likelihood_divergence import Divergence

    half = min(3000, len(real) // 2)
    n = half // 2
    return [Divergence(real[:half], real[-half:], n).error(fake[:n])]


def vendi_error(_: Tensor, fake: Tensor) -> list[float]:
    from genwerk.metrics.vendi import vendi_error

    return [vendi_error(fake)]


CALLS: dict[str, Callable[[Tensor, Tensor], list[float]]] = {
    "Fréchet distance": frechet,
    "Fréchet distance, torchmetrics": frechet_torchmetrics,
    "kernel distance": kid,
    "kernel distance, torchmetrics": kid_torchmetrics,
    "PRDC": prdc,
    "PRDC, prdc": prdc_peer,
    "feature likelihood divergence": likelihood_divergence,
    "memorisation": memorisation,
    "Vendi score": vendi,
    "error of the Fréchet distance": frechet_error,
    "PRDC with errors": prdc_errors,
    "error of the feature likelihood divergence, as evaluated": likelihood_divergence_error,
    "error of the Vendi score": vendi_error,
}


def features(n: int, d: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), 0.9 * torch.randn(n, d, generator=generator)


def measured(name: str, n: int, d: int, answer: Connection) -> None:
    """Call ``name`` once on few rows, so that imports do not count, then on all."""
    CALLS[name](*features(50, d))
    real, fake = features(n, d)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    values = CALLS[name](real, fake)
    seconds = time.process_time() - start
    answer.send((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, values))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--only", default="", help="calls whose names hold this")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 1280])
    asked = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    for d in asked.dims:
        for name in (each for each in CALLS if asked.only in each):
            receive, send = fresh.Pipe(duplex=False)
            process = fresh.Process(target=measured, args=(name, asked.n, d, send))
            process.start()
            send.close()
            try:
                seconds, mebibytes, values = receive.recv()
            except EOFError:
                print(json.dumps({"d": d, "what": name, "failed": True}))
                continue
            finally:
                process.join()
            row = {"d": d, "what": name, "cpu_s": round(seconds, 2), "peak_mib": round(mebibytes), "values": values}
            print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
