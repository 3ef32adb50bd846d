"""The batches of a stage: its stream of examples, near the processor, and what sees less than a whole batch."""

from __future__ import annotations

import warnings

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from genwerk.core.errors import BadInput
from genwerk.core.model import Model
from genwerk.data.dataset import Dataset
from genwerk.data.stream import Stream
from genwerk.training.runtime import Runtime


def open_stream(
    model: Model, data: Dataset, batch_size: int, seed: int, *, runtime: Runtime, micro_batch: int | None, drawn: int
) -> Stream:
    """This process's stream of ``data`` to train ``model``, of which ``drawn`` examples have been seen."""
    stream = Stream(
        _near(data, runtime.device),
        batch_size,
        seed,
        device=runtime.device,
        rank=runtime.rank,
        world=runtime.world,
    )
    stream.examples = drawn
    _say_what_couples(model, stream, micro_batch, runtime.world)
    return stream


def _say_what_couples(model: Model, stream: Stream, size: int | None, world: int) -> None:
    """Where batches are cut to ``size`` or shared out, say which parts of the model see less than the whole batch."""
    normalised = any(isinstance(m, _BatchNorm) for m in model.modules())
    if normalised and stream.batch_size % world:
        raise BadInput(
            f"batch normalisation needs as many examples on each of {world} processes, and a batch has "
            f"{stream.batch_size}; choose a multiple of {world} with ‹train.batch_size›"
        )
    cut = size is not None and size < stream.rows.stop - stream.rows.start
    parts = dict.fromkeys(part for m in model.modules() if isinstance(m, Model) for part in m.couples)
    parts |= {"batch normalisation": None} if normalised and cut else {}
    if parts and (cut or world > 1):
        of = f"micro-batch ({size} examples)" if cut else f"process (1 of {world})"
        warnings.warn(f"{' and '.join(parts)} will see one {of} at a time, not the whole batch", stacklevel=2)


def _near(data: Dataset, device: torch.device) -> Dataset:
    """``data`` on ``device``, if that takes at most a quarter of its memory."""
    if device.type != "cuda":
        return data if data.device.type == device.type else data.to(device)
    free, _ = torch.cuda.mem_get_info(device)
    size = data.x.nbytes + (0 if data.source is None else data.source.nbytes)
    return data.to(device) if size < free / 4 else data
