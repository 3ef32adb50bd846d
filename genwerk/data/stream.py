"""The training stream: an endless shuffled order that is arithmetic, so that a position in it is one number."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from genwerk.core.noise import BatchNoise, mix
from genwerk.core.spec import Batch
from genwerk.data.dataset import Dataset


class Stream:
    """Batches of ``data`` in the order f(seed, epoch, i), with the noise that goes with them.

    A batch is this rank's rows of the next ``batch_size`` examples (0: all of them, as they stand); it may
    straddle two epochs, so none is ever short. ``examples`` is the whole state: set it to go on from there. Noise is
    drawn for the examples of all ranks and each rank keeps its own, so that any number of processes sees the same
    training.
    """

    def __init__(
        self, data: Dataset, batch_size: int, seed: int, *, device: torch.device, rank: int = 0, world: int = 1
    ) -> None:
        self.data, self.seed, self.device = data, seed, device
        self.batch_size = batch_size or len(data)
        if self.batch_size < world:
            raise ValueError(f"a batch of {self.batch_size} cannot be shared among {world} processes")
        self.examples = 0
        self.rows = slice(self.batch_size * rank // world, self.batch_size * (rank + 1) // world)
        self._generator = torch.Generator(device)
        self._noise = BatchNoise(self.batch_size, self._generator, self.rows)
        self._orders: dict[int, Tensor] = {}
        self._reader = None if data.device == device else ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[Batch]] | None = None

    def begin(self, *where: int) -> None:
        """Seed the noise of the round that ``where`` identifies."""
        self._generator.manual_seed(mix(self.seed, *where))

    def next_batch(self) -> Batch:
        start, self.examples = self.examples, self.examples + self.batch_size
        if self._reader is None:
            return self._read(start)
        batch = self._ahead[1].result() if self._ahead and self._ahead[0] == start else self._read(start)
        self._ahead = self.examples, self._reader.submit(self._read, self.examples)
        return batch

    def normal(self, *shape: int) -> Tensor:
        return self._noise.normal(*shape)

    def uniform(self, *shape: int) -> Tensor:
        return self._noise.uniform(*shape)

    def _read(self, position: int) -> Batch:
        whole = self.batch_size == len(self.data)
        batch = self.data.batch(
            self.rows if whole else self.order(position + self.rows.start, position + self.rows.stop)
        )
        if self._reader is None:
            return batch
        return batch.to(self.device, non_blocking=True)

    def order(self, start: int, stop: int) -> Tensor:
        """Rows at positions ``start`` up to ``stop`` of the endless order."""
        n = len(self.data)
        parts = []
        while start < stop:
            epoch, i = divmod(start, n)
            take = min(stop - start, n - i)
            parts.append(self._epoch(epoch)[i : i + take])
            start += take
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            self._orders[epoch] = torch.randperm(len(self.data), generator=generator).to(self.data.device)
        return self._orders[epoch]
