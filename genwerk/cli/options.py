"""Options that several commands share, each with its help, and what commands do with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from genwerk.progress import say

if TYPE_CHECKING:
    from genwerk.inputs import OpenRun
    from genwerk.stepper import Decoding

Device = Literal["auto", "cpu", "cuda", "mps"]

Run = Annotated[Positional[Path], arg(help="Run folder.")]
Input = Annotated[str, arg(help="Your own images or table (a path), or test or train for the run's own data.")]
Number = Annotated[int, arg(aliases=["-n"])]
Greatest = Annotated[int, arg(aliases=["-n"], help="Greatest number of examples.")]
Space = Annotated[
    Literal["z", "w", "w+"] | None,
    arg(
        help="Latent space: z (the prior's), w (styles) or w+ (a style for each layer); default: w where there is one."
    ),
]
Label = Annotated[str | None, arg(help="Class of the examples, by name or number (conditional models).")]
On = Annotated[Device, arg(help="Where to compute; auto is the first GPU, else the CPU.")]
Likeness = Annotated[
    Literal["pixels", "features"],
    arg(help="Compare examples by their pixels at several scales, or by the features that samples are measured in."),
]
Temperature = Annotated[
    float | None,
    arg(help="Models that emit symbols, and flows: below 1 what is likelier gains, 0 takes the likeliest."),
]
TopK = Annotated[int | None, arg(help="Draw each symbol from so many of the likeliest only.")]
TopP = Annotated[float | None, arg(help="Draw each symbol from the likeliest that together have this probability.")]
Json = Annotated[bool, arg(name="json", help="Print JSON.")]


def open_run(run: Path, device: Device, data: str | None = None) -> OpenRun:
    """The trained model in a run folder, with what a command may ask of it."""
    from genwerk.inputs import OpenRun

    return OpenRun(run, device, data, say)


def as_decoding(temperature: float | None, top_k: int | None, top_p: float | None) -> Decoding | None:
    """How symbols are drawn; None where nothing was asked."""
    from genwerk.stepper import Decoding

    asked = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    given = {name: value for name, value in asked.items() if value is not None}
    return Decoding(**given) if given else None  # type: ignore[arg-type]


def print_json(value: Any) -> None:
    """``value`` as JSON, and nothing else."""
    print(json.dumps(value, indent=1))
