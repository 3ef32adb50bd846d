"""Any folder of diffusers or transformers that we can open, and any model of ours that they can."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from genwerk.core.files import read_json
from genwerk.core.model import Model, build, build_within
from genwerk.core.spec import DataSpec
from genwerk.data.settings import DataConfig
from genwerk.families.latent_diffusion import LatentDiffusion
from genwerk.interop.components import COMPONENTS, Component, class_of, write_model
from genwerk.interop.pipeline import INDEX, PIPELINES, write_pipeline
from genwerk.interop.weights import Unfilled, new_folder, shapes
from genwerk.training.settings import Recipe

KINDS = COMPONENTS | PIPELINES


def recognised(path: Path) -> bool:
    """Whether ``path`` is a folder of diffusers or transformers, of a class that we open or not."""
    return _class(path) is not None


def describe(path: Path) -> tuple[str, Recipe, DataSpec]:
    """Name of the class, recipe and spec of a folder, from its JSON files alone; ValueError if it cannot be opened."""
    name, kind = _kind(path)
    config, spec = kind.describe(path)
    square = spec.modality.has_pixels and spec.shape[1] == spec.shape[2]
    data = DataConfig(size=spec.shape[1] if square else None, colour="rgb" if spec.shape[0] == 3 else "grey")
    return name, Recipe(model=config, data=data), spec


def load(path: Path, *, device: torch.device | str = "cpu", precision: torch.dtype | None = torch.float32) -> Model:
    """The model of a folder, in evaluation mode, its weights in ``precision``, or as they are stored if that is None.

    On the CPU, weights that are stored in that precision stay mapped from their files, which must not be changed.
    """
    _, recipe, spec = describe(path)
    with torch.device("meta"):
        build_within(recipe.model, spec, shapes(path), f"the configuration in {path}")
    with Unfilled():
        model = build(recipe.model, spec)
    _kind(path)[1].fill(model, path, precision)
    return model.to(device).eval()


def save(model: Model, folder: Path, *, half: bool = False) -> Path:
    """Write ``model`` for diffusers or transformers into ``folder``, which appears whole or not at all.

    A LatentDiffusion becomes a StableDiffusionPipeline, others a folder of their own; weights are float32, or float16
    if ``half``. ValueError where there is no counterpart, or the folder is not new or empty.
    """
    new_folder(folder)
    beside = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    try:
        if isinstance(model, LatentDiffusion):
            write_pipeline(model, beside, half)
        else:
            write_model(model, beside, half)
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _kind(path: Path) -> tuple[str, Component]:
    name = _class(path)
    if name not in KINDS:
        raise ValueError(f"{path} holds a {name or 'folder of another kind'}; Genwerk opens {', '.join(KINDS)}")
    return name, KINDS[name]


def _class(path: Path) -> str | None:
    for name in (INDEX, "config.json"):
        if (path / name).is_file():
            return class_of(read_json(path / name))
    return None
