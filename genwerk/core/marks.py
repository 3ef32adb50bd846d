"""What may stand beside the type of a setting, for whoever shows it: ``rounds: Annotated[int, Common()]``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Common:
    """It is one of the few of its dataclass that people change most, and a short list shows these alone."""


@dataclass(frozen=True)
class File:
    """It may name a file or folder of the user's own, which a page takes as an upload."""


@dataclass(frozen=True)
class Program:
    """It may name code that is run, a file of Python or a command, or says how that is run. A page takes names of what
    there is alone."""


@dataclass(frozen=True)
class Needs:
    """It concerns only commands that need ``ability`` of a model."""

    ability: str
