"""Commands about other libraries' files, this machine, lectures and the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from genwerk.commands.command import COMMANDS, MACHINE, Command, Positional, summary
from genwerk.commands.results import Figures, Note, Result, Table, Written
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Write a trained model for another library."""

    group = MACHINE
    folder: Annotated[Path, Positional()]
    """Run folder."""
    to: Literal["diffusers"]
    """The library; diffusers (and transformers) for latent diffusion, its autoencoder, a U-Net or CLIP."""
    out: Path | None = None
    """New folder to write (default: RUN/diffusers)."""
    half: bool = False
    """Weights of 16 bits, half as large."""

    def run(self, session: Session) -> Iterator[Written]:
        from genwerk import interop
        from genwerk.runs.run import load

        model = load(self.folder, device="cpu")
        yield Written(interop.save(model, self.out or self.folder / self.to, half=self.half))


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Say what will be used on this machine, and why."""

    group = MACHINE

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.runs.doctor import examine

        findings = examine()
        shown = Table(("", "found", "so"), [(f.what, f.found, f.so) for f in findings])
        yield Figures({"findings": [vars(f) for f in findings]}, [shown])


@dataclass(frozen=True, kw_only=True)
class Figure(Command):
    """Draw one of the lecture's pictures from models trained while you wait (without a name: list them)."""

    group = MACHINE

    name: Annotated[str, Positional()] = ""
    """Which figure."""
    out: Path = Path("pictures")
    """Folder for the pictures."""
    seed: int = 0
    """Seed of everything."""

    def run(self, session: Session) -> Iterator[Result]:
        from genwerk.gallery.figures import FIGURES, draw

        if not self.name:
            yield Figures(FIGURES, [Table(("figure", "what it shows"), list(FIGURES.items()))])
            return
        for step in draw(self.name, self.out, self.seed):
            if isinstance(step, Path):
                yield Written(step)
            elif isinstance(step, str):
                yield Note(step)
            else:
                rows = [(key, f"{value:.4g}") for key, value in step.items()]
                yield Figures(step, [Table(("figure", "value"), rows)])


@dataclass(frozen=True, kw_only=True)
class Commands(Command):
    """List every command with the abilities that it needs of a model."""

    group = MACHINE

    def run(self, session: Session) -> Iterator[Figures]:
        found = {name: {"needs": sorted(c.needs), "what": summary(c)} for name, c in COMMANDS.items()}
        rows = [(name, ", ".join(sorted(c.needs)), summary(c)) for name, c in COMMANDS.items()]
        yield Figures(found, [Table(("command", "needs", "what it does"), rows)])
