"""Weights in safetensors files of other libraries: found, checked against a module, and read without a second copy.

A file is mapped into memory, and a module takes its tensors as they lie there: what is not used is never read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genwerk.core.errors import BadFile
from genwerk.core.files import read_json
from genwerk.core.tensors import write_tensors

DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"
"""What each library calls a weight file, without its ending."""
VARIANTS = ("", ".fp16")
"""What may stand before the ending, preferred first."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
NAMED = 10
"""Greatest number of tensors that a message names."""

Spelling = Callable[[str], str | None]
"""A tensor's name in a file as the module's own, or None for what the module has no use for."""


def plain(name: str) -> str | None:
    """The name as it is."""
    return name


def read(
    module: nn.Module, folder: Path, spelling: Spelling = plain, *, dtype: torch.dtype | None = torch.float32
) -> None:
    """Give the parameters of ``module`` the weights in ``folder``, as ``dtype``, or as they are stored if it is None.

    Buffers are ours and stay. Names and shapes must match exactly; a ValueError says what does not.
    """
    expected = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    paths = files(folder)
    found = {own: (path, name, shape) for path in paths for own, name, shape in _contents(path, spelling)}
    if expected.keys() != found.keys():
        raise ValueError(_difference(folder, expected.keys(), found.keys()))
    for own, (path, name, shape) in found.items():
        if shape != expected[own]:
            raise ValueError(
                f"{path} has the tensor {name} with shape {shape}, and its config.json asks for {expected[own]}; "
                "the two do not belong together"
            )
    for path in paths:
        with safe_open(path, "pt") as file:
            own_tensors = {own: file.get_tensor(name) for own, (p, name, _) in found.items() if p == path}
        module.load_state_dict({k: v.to(dtype or v.dtype) for k, v in own_tensors.items()}, strict=False, assign=True)


def files(folder: Path) -> list[Path]:
    """The safetensors files of a network: one, or the shards that an index lists. In full precision, where there are.

    ValueError where there are none, or only pickles.
    """
    for name in (f"{stem}{variant}" for variant in VARIANTS for stem in (DIFFUSERS, TRANSFORMERS)):
        if (whole := folder / f"{name}.safetensors").is_file():
            return [whole]
    if indices := sorted(folder.glob("*.safetensors.index*.json"), key=lambda path: len(path.name)):
        return _shards(indices[0])
    if pickles := sorted(path.name for path in folder.glob("*") if path.suffix in PICKLES):
        raise ValueError(refusal(folder / pickles[0]))
    raise ValueError(f"{folder} holds no weights; expected {DIFFUSERS}.safetensors or {TRANSFORMERS}.safetensors")


def refusal(path: Path) -> str:
    """Why a pickle is not opened, and what to do."""
    return (
        f"{path} is a pickle, which can run code and which Genwerk never opens; convert it to safetensors first, with "
        "diffusers: StableDiffusionPipeline.from_pretrained (or from_single_file), then save_pretrained(FOLDER)"
    )


def _shards(index: Path) -> list[Path]:
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(name, str) for name in listed.values()):
        raise BadFile(f"{index} lists no files; expected a weight_map from the tensors' names to those of files")
    names = sorted(set(listed.values()))
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise BadFile(f"{index} lists the file {name!r}, which is not in its folder; complete the download")
    return [index.parent / name for name in names]


def shapes(folder: Path) -> list[tuple[int, ...]]:
    """The shapes of all tensors in the safetensors files in ``folder`` and in those in it."""
    paths = [*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")]
    return [shape for path in paths for _, _, shape in _contents(path, plain)]


def _contents(path: Path, spelling: Spelling) -> Iterable[tuple[str, str, tuple[int, ...]]]:
    """Own name, name in the file and shape of the tensors that are of use, from the header alone."""
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                if (own := spelling(name)) is not None:
                    yield own, name, tuple(file.get_slice(name).get_shape())
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, or not all of one ({error})") from None


def _difference(folder: Path, expected: Iterable[str], found: Iterable[str]) -> str:
    """One sentence on what a file lacks and what it has too many."""
    missing, surplus = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    says = [
        f"{verb} {len(names)} tensors that {whose} ({_named(names)})"
        for verb, whose, names in (
            ("lacks", "its config.json asks for", missing),
            ("has", "nothing asks for", surplus),
        )
        if names
    ]
    return f"{folder} {' and '.join(says)}; its weights and its config.json do not belong together"


def _named(names: list[str]) -> str:
    more = ["..."] if len(names) > NAMED else []
    return ", ".join([*islice(names, NAMED), *more])


class Unfilled(TorchFunctionMode):
    """While it is entered, new parameters that would be drawn at random stay unwritten: weights are read into them.

    What is not written takes no memory, and no time.
    """

    DRAWING = frozenset({"normal_", "uniform_", "kaiming_uniform_", "kaiming_normal_", "trunc_normal_", "orthogonal_"})

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in self.DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(
    folder: Path, stem: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write ``config`` as config.json and ``tensors`` beside it, as float16 if ``half``, into a new ``folder``."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", config)
    kept = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    if half:
        kept = {name: tensor.half() for name, tensor in kept.items()}
    contiguous = {name: tensor.contiguous() for name, tensor in kept.items()}
    write_tensors(folder / f"{stem}.safetensors", contiguous, {"format": "pt"})


def new_folder(folder: Path) -> Path:
    """``folder``, of which a ValueError says so if something is in it."""
    if folder.exists() and (not folder.is_dir() or any(os.scandir(folder))):
        raise ValueError(f"{folder} exists already; name a folder that is new or empty")
    return folder


# --- JSON -------------------------------------------------------------------------------------------------------------


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
