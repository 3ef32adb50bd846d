"""The first ten minutes: four small models on built-in data, trained, used and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from genwerk import recipes, tasks
from genwerk.core.layout import Layout
from genwerk.core.model import Model
from genwerk.core.spec import Batch
from genwerk.data import DataConfig, open_data, phases
from genwerk.modalities.writers import scatter
from genwerk.runs.training import Training

RUNS = {
    ("mixture", "ring"): 100,
    ("vae", "digits"): 5000,
    ("autoencoder-mixture", "digits"): 5000,
    ("vae", "phases"): 1200,
}
"""Rounds by recipe and built-in data of each run."""


def play(out: Path, seed: int) -> Iterator[str | Training]:
    """Train :data:`RUNS` into ``out`` (runs that are there already are used as they are) and write their pictures.

    Yields lines to be said, and each training, which must have been played when the next is asked for.
    """
    made: list[Path] = []
    for (name, source), rounds in RUNS.items():
        path = out / f"{name}-{source}"
        splits = open_data(DataConfig(source=source))
        recipe = recipes.find(name).make(splits.spec)
        recipe = replace(recipe, train=replace(recipe.train, seed=seed, rounds=rounds))
        yield f"\n== {name} on {source} =="
        training = Training(name, recipe, splits, path, resume=True)
        yield training
        made += show(training.run.model, training, out / "pictures", seed)
    yield "\nPictures to look at:"
    for picture in made:
        yield f"  {picture}"
    yield "Runs to use (try `genwerk sample RUN -n 16`, `genwerk traverse RUN --dims 0 1`):"
    for name, source in RUNS:
        yield f"  {out / f'{name}-{source}'}"


def show(model: Model, training: Training, out: Path, seed: int) -> list[Path]:
    """What this model makes, and for those that encode, what lies between two examples."""
    splits = training.splits
    spec, origin = splits.spec, {"recipe": training.name, "run": training.path.name, "seed": seed}
    stem = f"{training.name}-{splits.settings.source}"
    if spec.modality.has_columns:
        groups = {"data": splits.test.x[:1000], "samples": tasks.sample(model, 1000, seed=seed).x}
        return [scatter(out / f"{stem}-samples.png", groups, origin, names=spec.columns)]
    write = spec.modality.write
    pictures = [write(out / f"{stem}-samples", tasks.sample(model, 64, seed=seed), origin)]
    if splits.settings.source == "phases":
        ends = [Batch(phases.draw(torch.tensor([fraction]))) for fraction in (0.5, 1.0)]
        way = tasks.interpolate(model, ends[0], ends[1], 9)
        pictures.append(write(out / f"{stem}-half-to-full", Batch(way.flatten(0, 1)), origin, Layout(9)))
    else:
        test = splits.test.batch(slice(8))
        way = tasks.interpolate(model, Batch(test.x[:4]), Batch(test.x[4:]), 9)
        pictures.append(write(out / f"{stem}-between", Batch(way.flatten(0, 1)), origin, Layout(9)))
    return pictures
