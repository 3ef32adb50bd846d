"""Endless streams of symbols in blocks, which can be interrupted and resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from genwerk.core.errors import reason
from genwerk.core.files import write_atomically
from genwerk.core.options import AS_LEARNED, Symbolwise
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Cache, generate
from genwerk.nn.autoregressive.tokeniser import Tokeniser


class Stream(Iterator[Tensor]):
    """Data that go on from ``cache``, sequence i with the random numbers of ``generators[i]``.

    Between two blocks the :attr:`state` can be saved, to resume from. After an exception within a block only a state
    saved before can be resumed.
    """

    def __init__(
        self,
        network: AutoregressiveNetwork,
        symbols: Tokeniser,
        cache: Cache,
        generators: Sequence[torch.Generator],
        label: Tensor | None = None,
        *,
        block: int,
        options: Symbolwise = AS_LEARNED,
    ) -> None:
        if block < 1:
            raise ValueError(f"the block is {block} samples; it must be 1 or more")
        self.network, self.symbols, self.cache, self.label = network, symbols, cache, label
        self.generators, self.block, self.options = generators, block, options

    def __next__(self) -> Tensor:
        return self.read(self.block)

    @torch.no_grad()
    def read(self, samples: int) -> Tensor:
        """The next ``samples`` symbols of each sequence, in the units of the data."""
        u = uniform(self.generators, samples).to(next(iter(self.cache.tensors.values())).device)
        symbols = torch.empty(u.shape, dtype=torch.int64, device=u.device)
        for t, symbol in enumerate(generate(self.network, self.cache, u, self.options)):
            symbols[:, t] = symbol
        return self.symbols.decode(symbols)

    @property
    def state(self) -> StreamState:
        """A copy of the present state."""
        tensors = {f"memory.{i}": t.clone() for i, t in enumerate(self.cache.tensors.values())}
        tensors["position"] = torch.tensor(self.cache.position)
        tensors["random"] = torch.stack([g.get_state() for g in self.generators])
        return StreamState(tensors if self.label is None else tensors | {"label": self.label.clone()})


@dataclass(frozen=True)
class StreamState:
    """The state of a stream as plain tensors: the network's cache, the generators' states, the labels."""

    tensors: Mapping[str, Tensor]

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        write_atomically(Path(path), save({name: t.cpu().contiguous() for name, t in self.tensors.items()}))

    @classmethod
    def load(cls, path: str | Path) -> StreamState:
        """Read what :meth:`save` wrote."""
        try:
            return cls(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} holds no state of a stream ({reason(error)}); make one with stream.state.save"
            ) from None

    @property
    def label(self) -> Tensor | None:
        """The label of each sequence, where they have one."""
        return self.tensors.get("label")

    def resume(self, network: AutoregressiveNetwork, label: Tensor | None) -> tuple[Cache, list[torch.Generator]]:
        """The cache and the generators to go on with."""
        random = self.tensors["random"].cpu()
        cache = network.begin(len(random), label)
        names = sorted(name for name in self.tensors if name.startswith("memory."))
        kept, begun = [self.tensors[name] for name in names], list(cache.tensors.values())
        if [t.shape for t in kept] != [t.shape for t in begun]:
            raise ValueError("this state belongs to a stream of another network; go on with the model that made it")
        for own, t in zip(begun, kept, strict=True):
            own.copy_(t)
        cache.position = int(self.tensors["position"])
        generators = [torch.Generator() for _ in random]
        for generator, row in zip(generators, random, strict=True):
            generator.set_state(row.clone())  # it reads from the beginning of the storage
        return cache, generators


def uniform(generators: Sequence[torch.Generator], samples: int) -> Tensor:
    """The next uniform numbers of each generator, with shape (n, samples)."""
    return torch.stack([torch.rand(samples, generator=g) for g in generators])
