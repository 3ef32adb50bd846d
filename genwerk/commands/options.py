"""Options that several commands share, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from genwerk.commands.command import AtLeast, Help, OfAbility, OfCondition, OfModel, Opens, Positional, Short
from genwerk.commands.results import Note
from genwerk.core.marks import File

if TYPE_CHECKING:
    from genwerk.runs.opened import OpenRun

Run = Annotated[Path, Positional(), Opens(), Help("Run folder.")]
Input = Annotated[
    str, File(), Help("Your own images, table or texts (a path), a sentence, or test or train for the run's own data.")
]
ModelOptions = Annotated[Mapping[str, Any], OfModel(), Help("What may be asked of the run's model when it samples.")]
Number = Annotated[int, AtLeast(1), Short("n")]
Greatest = Annotated[int, AtLeast(1), Short("n"), Help("Greatest number of examples.")]
Count = Annotated[int, AtLeast(1), Short("k")]
Label = Annotated[
    str | None, OfCondition("label"), Help("Class of the examples, by name or number (conditional models).")
]
Prompt = Annotated[
    tuple[str, ...],
    OfCondition("prompt"),
    Help("Models with a text as condition: what to generate; of several, each sample takes the next in turn."),
]
Conditions = Annotated[
    tuple[str, ...],
    Help("Conditions of whatever kind the model takes; of several, each sample takes the next in turn."),
]
First = Annotated[
    int, AtLeast(0), Help("Number of the first sample: sample i of a seed is the same in any batch, on any device.")
]
Space = Annotated[
    Literal["z", "w", "w+"] | None,
    OfAbility("styles"),
    Help("Latent space: z (the prior's), w (styles) or w+ (a style for each layer); default: w where there is one."),
]
Prior = Annotated[
    Literal["train", "even"],
    OfCondition("label"),
    Help("Probability of the classes where none is named: as often as in the training data, or all the same."),
]
Likeness = Annotated[
    Literal["pixels", "features"],
    Help("Compare examples by their pixels at several scales, or by the features that samples are measured in."),
]
Show = Annotated[int, Help("Greatest number of rows to print; 0 prints all.")]


def uncounted(opened: OpenRun, prior: str) -> list[Note]:
    """What to say where the classes would be as often as in training, and nobody counted them."""
    if prior != "train" or not opened.model.condition.classes or opened.spec.counted:
        return []
    lacking = "this run does not know how often each class was in its training data"
    return [Note(f"{lacking}; all are taken to be equally likely")]


def unshown(n: int, show: int) -> list[Note]:
    """How many of ``n`` rows are not shown."""
    return [Note(f"and {n - show:,} more; ‹show› 0 prints all, ‹json› gives them as data")] if 0 < show < n else []
