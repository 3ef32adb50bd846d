"""What this machine offers and what Genwerk will therefore do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
import torch.distributed

from genwerk import __version__
from genwerk.data import cache
from genwerk.metrics.efficientnet import PACKAGE
from genwerk.training.runtime import STARVED, ProcessorTime

EXTRAS = {
    "parquet": ("pyarrow", ".parquet files"),
    "hub": ("datasets", "hf:NAME data"),
    "hdf5": ("h5py", "bsds300:PATH data"),
    "tensorboard": ("tensorboard", "--tensorboard"),
    "evolve": ("pymoo", "genwerk optimise"),
    "studio": ("starlette", "genwerk studio"),
    "photo": (PACKAGE, "--features photo"),
}
TRIAL = 0.3
"""Seconds of computing by which the load of the machine is judged."""
THREADS = "as many threads give the same bits again; their number is stored with a run and restored on resume"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    found: str
    so: str


def examine() -> list[Finding]:
    """Everything that decides how a run will go, in the order in which it matters."""
    return [
        Finding("genwerk", f"{__version__} on Python {platform.python_version()}", sys.executable),
        Finding("torch", torch.__version__, _torch()),
        _device(),
        Finding("CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads", THREADS),
        Finding("load", *_load()),
        Finding("bfloat16", *_bfloat16()),
        Finding("processes", *_processes()),
        Finding("cache", *_cache()),
        Finding("torchvision", *_torchvision()),
        *(_extra(name, package, purpose) for name, (package, purpose) in EXTRAS.items()),
        _inception(),
    ]


def _torch() -> str:
    tested = "2.13"
    return (
        "the tested version" if torch.__version__.startswith(tested) else f"works from 2.10; {tested} is the tested one"
    )


def _device() -> Finding:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        so = (
            f"used by default; {len(names)} processes with --devices {len(names)}"
            if len(names) > 1
            else "used by default"
        )
        return Finding("GPU", f"{', '.join(names)} ({memory:.0f} GiB)", so)
    if torch.backends.mps.is_available():
        return Finding("GPU", "Apple GPU", "used with --device mps; the CPU is the default, for exact repetition")
    if torch.version.cuda:
        return Finding("GPU", "none visible to a CUDA build of torch", "the CPU is used; check the NVIDIA driver")
    return Finding("GPU", "none (this torch is a CPU build)", "the CPU is used; every recipe runs on it")


def _load() -> tuple[str, str]:
    x, trial, start = torch.rand(256, 256), ProcessorTime(), time.monotonic()
    while time.monotonic() - start < TRIAL:
        x @ x
    share = trial.share()
    found = f"computing had a processor for {share:.0%} of {TRIAL:g} s"
    if share >= STARVED:
        return found, "no other program is in the way"
    return found, "other programs use the processors, and training is slower for it; end them, or set OMP_NUM_THREADS=1"


def _bfloat16() -> tuple[str, str]:
    if torch.cuda.is_available():
        good = torch.cuda.is_bf16_supported()
    else:
        good = bool(torch.backends.cpu.get_cpu_capability() in ("AVX512", "AVX512_BF16", "AMX"))
    return ("fast", "--train.precision bfloat16 may pay") if good else ("slow", "stay with float32, the default")


def _processes() -> tuple[str, str]:
    if not torch.distributed.is_available():
        return "torch.distributed is missing", "one process only"
    backends = [b for b, ok in (("nccl", torch.distributed.is_nccl_available()),) if ok]
    backends += ["gloo"] if torch.distributed.is_gloo_available() else []
    return ", ".join(backends), "--devices N trains and evaluates with N processes"


def _cache() -> tuple[str, str]:
    folder = cache.folder()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free / 2**30
    writable = os.access(there, os.W_OK)
    return (
        f"{folder}, {free:.1f} GiB free",
        "used" if writable else "not writable: set XDG_CACHE_HOME to a folder that is",
    )


def _torchvision() -> tuple[str, str]:
    try:
        return version("torchvision"), "never imported, so a broken one does no harm"
    except PackageNotFoundError:
        return "not installed", "not needed"


def _extra(name: str, package: str, purpose: str) -> Finding:
    try:
        return Finding(f"extra {name}", f"{package} {version(package)}", f"{purpose} can be used")
    except PackageNotFoundError:
        return Finding(f"extra {name}", "not installed", f"for {purpose}: pip install 'genwerk[{name}]'")


def _inception() -> Finding:
    given = os.environ.get("GENWERK_INCEPTION")
    if not given:
        return Finding("Inception weights", "none", "distances use a classifier trained on your data, and say so")
    if not Path(given).is_file():
        return Finding("Inception weights", f"{given} does not exist", "unset GENWERK_INCEPTION or mend its path")
    return Finding("Inception weights", given, "FID is measured with them")
