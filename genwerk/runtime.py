"""Where training runs: one process or several under torchrun, on CPU or GPU; all that knows of torch.distributed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Runtime:
    """This process's device and its place among the others."""

    device: torch.device
    precision: Literal["float32", "bfloat16"] = "float32"
    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """Where networks run in the chosen precision."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def seed(self, seed: int) -> None:
        """Seed what modules such as drop-out draw from.

        Not torch.manual_seed, which where CUDA has not been started notes down a traceback at every call.
        """
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def average(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Replace each tensor by its mean over processes, of which this one counts ``weight`` (all sum to 1)."""
        if self.world == 1 or not tensors:
            return
        for dtype in dict.fromkeys(t.dtype for t in tensors):  # a set has another order in every process
            group = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in group]).mul_(weight)
            dist.all_reduce(flat)
            for t, mean in zip(group, flat.split([t.numel() for t in group]), strict=True):
                t.copy_(mean.view_as(t))

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any process."""
        if self.world == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(shared)
        return bool(shared)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


def pick_device(wanted: Device = "auto") -> torch.device:
    """The device that ``wanted`` names; auto is the first GPU, else the CPU."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device is visible to PyTorch; use --device cpu, or see `genwerk doctor`")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ValueError("no Apple GPU is visible to PyTorch; use --device cpu, or see `genwerk doctor`")
    return torch.device(wanted, int(os.environ.get("LOCAL_RANK", "0"))) if wanted == "cuda" else torch.device(wanted)


def start(device: Device = "auto", precision: Literal["float32", "bfloat16"] = "float32") -> Runtime:
    """This process's runtime; under torchrun it joins the others first."""
    place = pick_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if "WORLD_SIZE" not in os.environ or not dist.is_available():
        return Runtime(place, precision)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    return Runtime(place, precision, dist.get_rank(), dist.get_world_size())


def finish() -> None:
    """Leave the group of processes, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def relaunch(processes: int, arguments: Sequence[str]) -> None:
    """Replace this process by ``processes`` of the same command under torchrun; does nothing inside them."""
    if processes < 1:
        raise ValueError(f"--devices is {processes}; it must be 1 or more")
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return
    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise ValueError(f"--devices is {processes}, but PyTorch sees {torch.cuda.device_count()} GPUs")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    os.execv(sys.executable, [sys.executable, *torchrun, "-m", "genwerk", *arguments])
