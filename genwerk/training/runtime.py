"""Where training runs: one process or several, on CPU or GPU; all that knows of torch.distributed."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genwerk.core.errors import BadInput
from genwerk.training import launcher

Device = Literal["auto", "cpu", "cuda", "mps"]

_store: Any = None
"""Where the processes that :func:`start` has joined meet; None where there are none."""


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
            _sum(flat)
            for t, mean in zip(group, flat.split([t.numel() for t in group]), strict=True):
                t.copy_(mean.view_as(t))

    def share(self, n: int) -> range:
        """Which of ``n`` rows are this process's; in the order of the processes they are all of them."""
        each, left = divmod(n, self.world)
        start = self.rank * each + min(self.rank, left)
        return range(start, start + each + (self.rank < left))

    def gather(self, rows: Tensor) -> tuple[Tensor, slice]:
        """The rows of all processes, one's after the other's, and where among them this one's are."""
        if self.world == 1:
            return rows, slice(0, len(rows))
        counts = torch.zeros(self.world, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(rows)
        _sum(counts)
        start = int(counts[: self.rank].sum())
        own = slice(start, start + len(rows))
        whole = torch.zeros(int(counts.sum()), *rows.shape[1:], dtype=rows.dtype, device=self.device)
        whole[own] = rows.to(self.device)
        _sum(whole)
        return whole.to(rows.device), own

    def share_batch_norm(self, model: nn.Module) -> None:
        """Let layers of batch normalisation take their statistics, while they learn, from the rows of all processes.

        These must hold equally many. torch.nn.SyncBatchNorm does the same on GPUs alone.
        """
        for layer in model.modules():
            if self.world > 1 and isinstance(layer, _BatchNorm):
                layer.forward = partial(_shared_batch_norm, layer, self.world)  # type: ignore[method-assign]

    def random_state(self) -> list[Tensor]:
        """What :meth:`seed` has set and draws have moved on."""
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def restore(self, state: Sequence[Tensor]) -> None:
        """Put back what :meth:`random_state` gave."""
        torch.set_rng_state(state[0])
        for cuda in state[1:]:
            torch.cuda.set_rng_state(cuda, self.device)

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any process."""
        if self.world == 1:
            return flag
        shared = torch.tensor(float(flag), device=self.device)
        _sum(shared)
        return bool(shared)

    def agree(self, value: float) -> float:
        """The ``value`` of the first process."""
        if self.world == 1:
            return value
        shared = torch.tensor(value if self.main else 0.0, dtype=torch.float64, device=self.device)
        _sum(shared)
        return float(shared)

    def barrier(self) -> None:
        """Wait for all processes."""
        self.any(False)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """What is inside the first process does before the others, which then find what it has left on the disk."""
        if not self.main:
            self.barrier()
        yield
        if self.main:
            self.barrier()

    def part(self) -> None:
        """Leave the others once all have come to this; each goes on alone."""
        if self.world > 1:
            finish()

    def wait(self) -> None:
        """Wait until the device has done all that it was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


ALONE = Runtime(torch.device("cpu"))
"""One process, which shares its work with no other."""


def _sum(shared: Tensor) -> None:
    """Replace ``shared`` by its sum over processes; a :class:`launcher.Parted` says that one of them has gone."""
    try:
        dist.all_reduce(shared)
    except RuntimeError as error:
        if "connection" not in str(error).lower():
            raise
        raise launcher.Parted(f"another process has ended; {launcher.GO_ON}") from error


class _Summed(torch.autograd.Function):
    """A tensor summed over processes; so is the gradient by it, for each process's loss depends on the sum."""

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        shared = own.clone()
        _sum(shared)
        return shared

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return summed(gradients[0].contiguous())


def summed(own: Tensor) -> Tensor:
    """The sum of a tensor over processes, through which gradients flow."""
    shared: Tensor = _Summed.apply(own)  # type: ignore[no-untyped-call]
    return shared


def _shared_batch_norm(layer: _BatchNorm, world: int, x: Tensor) -> Tensor:
    """What ``layer`` makes of this process's equal part ``x`` of a batch."""
    if not layer.training:
        return type(layer).forward(layer, x)
    layer._check_input_dim(x)
    dims, ones = [0, *range(2, x.dim())], (1, -1, *(1,) * (x.dim() - 2))
    values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    mean = summed(values.mean(dims)) / world
    centred = values - mean.view(ones)
    variance = summed(centred.square().mean(dims)) / world
    if layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
        newest = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        n = world * values.numel() / len(mean)
        with torch.no_grad():
            layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), newest)
            layer.running_var.lerp_((variance * n / (n - 1)).to(layer.running_var.dtype), newest)
    y = centred * (variance + layer.eps).rsqrt().view(ones)
    if layer.affine:
        y = torch.addcmul(layer.bias.view(ones), y, layer.weight.view(ones))
    return y.to(x.dtype)


STARVED = 0.7
"""Share of the time below which a thread that computes must be waiting for other programs' use of the processors."""


class ProcessorTime:
    """How much of the time this thread had a processor; near 1 where it computes and no other program needs one."""

    def __init__(self) -> None:
        self._wall, self._own = time.monotonic(), time.thread_time()

    def share(self) -> float:
        """From 0 to 1, since it was last asked."""
        wall, own = self._wall, self._own
        self._wall, self._own = time.monotonic(), time.thread_time()
        return min(1.0, (self._own - own) / max(self._wall - wall, 1e-9))


def pick_device(wanted: Device = "auto") -> torch.device:
    """The device that ``wanted`` names; auto is the first GPU, else the CPU."""
    if wanted not in get_args(Device):
        raise BadInput(f"the device is {wanted!r}; expected {', '.join(get_args(Device))}")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadInput("no CUDA device is visible to PyTorch; use ‹device=cpu›, or see `genwerk doctor`")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise BadInput("no Apple GPU is visible to PyTorch; use ‹device=cpu›, or see `genwerk doctor`")
    return torch.device(wanted, int(os.environ.get("LOCAL_RANK", "0"))) if wanted == "cuda" else torch.device(wanted)


def start(
    device: Device = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    patience: timedelta | None = None,
) -> Runtime:
    """This process's runtime; under torchrun, or one of several that a command started, it joins the others first.

    ``patience`` is how long these wait for one that works alone; None is as long as torch.distributed does.
    """
    place = pick_device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if "WORLD_SIZE" not in os.environ or not dist.is_available():
        return Runtime(place, precision)
    if not dist.is_initialized():
        # Its functions have the group of all as a default argument. Imported later, as optimisers do, they keep it for
        # good, and its threads are at work while Python ends, which aborts now and then.
        importlib.import_module("torch.distributed.nn.functional")
        global _store
        group, rank, world = launcher.group(), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        if group is None:
            _store, rank, world = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
        else:
            _store = dist.FileStore(str(group / "store"), world)  # type: ignore[attr-defined]
        backend = "nccl" if place.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=_store, rank=rank, world_size=world, timeout=patience)
    return Runtime(place, precision, dist.get_rank(), dist.get_world_size())


def finish(*, together: bool = True) -> None:
    """Leave the group of processes, if there is one; together waits for the others, as long as all is well.

    A process that closes its connections while another still reads from them resets these, and what arrived is lost
    with them: the other's last collective fails, and with its threads at work Python aborts at exit. So all say in the
    store, which is no such connection, that they have read all; and the first, which may hold the store, goes last.
    """
    global _store
    if not dist.is_available() or not dist.is_initialized():
        return
    if together and _store is not None:
        rank, world = dist.get_rank(), dist.get_world_size()
        _meet(_store, "read", world, waits=True)
        if rank:
            dist.destroy_process_group()
        _meet(_store, "gone", world, waits=rank == 0)
    if dist.is_initialized():
        dist.destroy_process_group()
    _store = None


def _meet(store: Any, what: str, world: int, *, waits: bool) -> None:
    """Note in the store that this process has done ``what``, and wait until all have."""
    count = store.add(f"genwerk/{what}", 1)
    done = f"genwerk/{what}/{(count - 1) // world}"  # a process may join and leave more than once
    if count % world == 0:
        store.set(done, b"1")
    elif waits:
        store.wait([done])


def relaunch(processes: int, arguments: Sequence[str], device: Device = "auto") -> None:
    """Leave the command to ``processes`` processes of it on ``device`` and end as they do; does nothing but
    :func:`join` in them."""
    if processes < 1:
        raise BadInput(f"‹devices› is {processes}; it must be 1 or more")
    if launcher.started():
        launcher.join()
    if launcher.group() is not None:
        return
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        place = pick_device(device)
        if place.type == "cuda" and processes > (gpus := torch.cuda.device_count()):
            raise BadInput(f"‹devices› is {processes}, and PyTorch sees fewer GPUs: {gpus}")
        sys.exit(launcher.launch(processes, [sys.executable, "-m", "genwerk", *arguments]))
