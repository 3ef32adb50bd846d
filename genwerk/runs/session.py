"""What commands are run in: where and how exactly to compute, and the runs that they have opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from genwerk.core.marks import Common
from genwerk.core.printable import first_of

if TYPE_CHECKING:
    from torch import Tensor

    from genwerk.core.errors import Unsupported
    from genwerk.runs.opened import OpenRun

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where, how exactly and in how much memory to compute."""

    device: Annotated[Device, Common()] = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the networks; with bfloat16 a folder of Stable Diffusion takes half the memory."""
    memory: str | None = None
    """Memory that examples computed together may take, such as 2GB (default: a quarter of what is free)."""


HERE = Machine()
MOST = 10
"""Runs that a sentence names."""


class Session:
    """Opens runs; what holds for them (precision, a bound on memory) ends with it.

    ``note`` is called with each sentence that concerns the user at once, such as that a long search begins, and
    ``ready`` with each run that is open, before anything is computed. ``watch``, where there is one, gets the states
    that samples go through.
    """

    def __init__(
        self,
        machine: Machine,
        note: Callable[[str], None],
        ready: Callable[[OpenRun], None] = lambda _: None,
        watch: Callable[[Tensor], None] | None = None,
    ) -> None:
        self.machine, self.note, self.ready, self.watch = machine, note, ready, watch
        self.opened: list[OpenRun] = []
        self._held = ExitStack()

    def open(self, run: Path, data: str | None = None) -> OpenRun:
        """The trained model in a run folder, with its own data or those named in their place."""
        from genwerk.core import batching
        from genwerk.runs.opened import OpenRun
        from genwerk.training.runtime import Runtime

        machine = self.machine
        self._held.enter_context(batching.within(machine.memory))
        opened = OpenRun(run, machine.device, data, self.note, precision=machine.precision)
        if not opened.foreign:  # a foreign folder's weights themselves are of that precision
            self._held.enter_context(Runtime(opened.model.device, machine.precision).autocast())
        self.opened.append(opened)
        self.ready(opened)
        return opened

    def others(self, lacking: Unsupported) -> str:
        """The runs beside those that are open which have what is ``lacking``, as the end of a sentence; or nothing."""
        from genwerk.runs.opened import beside

        found = [str(run) for opened in self.opened for run in beside(opened, lacking)] if lacking.needed else []
        return f"; of the runs beside it: {first_of(found, MOST)}" if found else ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
