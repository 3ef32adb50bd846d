"""Commands about data, other libraries' files, this machine and lectures: data, export, doctor, demo, figure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from genwerk.cli.options import Json, Run, print_json
from genwerk.cli.progress import say, table, tell_skipped


def data(
    action: Positional[Literal["check"]],  # noqa: ARG001
    source: Positional[str],
    *,
    size: int | None = None,
    fit: Literal["crop", "pad", "stretch"] = "crop",
    colour: Literal["auto", "grey", "rgb"] = "auto",
    palette: int | None = None,
    tolerance: int = 0,
    given: str = "",
    jitter: bool = False,
    rate: int | None = None,
    seconds: float | None = None,
    label: str = "label",
    label_pattern: str | None = None,
    holdout: float = 0.1,
    validation: float = 0.1,
    test: str = "",
    group: str = "",
    seed: int = 0,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Say what was understood of some data, and name every file that cannot be used.

    Args:
        action: What to do (check).
        source: Built-in, path, or hf:NAME.
        size: Height and width that images are brought to, in pixels.
        fit: How an image of another shape is fitted.
        colour: Colour of images.
        palette: Greatest number of colours that RGB images are brought to.
        tolerance: Largest difference a channel by which colours count as one when a palette is made.
        given: Columns of a table that a model is told and does not make, by name or number, joined by commas.
        jitter: Whether noise is added to a table's columns of few values.
        rate: Samples a second that sounds are brought to (default: the rate that most have).
        seconds: Length of an example of sound (default: what nine in ten recordings do not exceed, at most 2).
        label: Name of the column or array that holds the labels.
        label_pattern: Regular expression whose first group, found in a file's name, is its label.
        holdout: Fraction of the examples held out for testing, where there is no test part.
        validation: Fraction of the others that is kept apart to choose weights by.
        test: Another source that is the test part.
        group: Column, or pattern in files' names, of what must not be split among the parts.
        seed: Seed of the choice of parts.
        out: Also write a picture of some examples here (and a .wav of sounds).
    """
    from genwerk.data import DataConfig, open_data

    splits = open_data(
        DataConfig(
            source=source,
            size=size,
            fit=fit,
            colour=colour,
            palette=palette,
            tolerance=tolerance,
            given=given,
            jitter=jitter,
            rate=rate,
            seconds=seconds,
            label=label,
            label_pattern=label_pattern,
            holdout=holdout,
            validation=validation,
            test=test,
            group=group,
            seed=seed,
        )
    )
    spec = splits.spec
    found = {
        "source": source,
        "data": str(spec),
        "shape": spec.shape,
        "train": len(splits.train),
        "validation": len(splits.validation),
        "test": len(splits.test),
        "classes": spec.classes,
        "given": spec.given,
        "notes": splits.notes,
        "skipped": [{"name": s.name, "reason": s.reason} for s in splits.skipped],
    }
    if as_json:
        print_json(found)
    else:
        judged, tested = (0 if part is splits.train else len(part) for part in (splits.validation, splits.test))
        parts = f"{len(splits.train):,} to train on, {judged:,} to choose weights by, {tested:,} held out"
        say(f"{source}: {spec}; {parts}")
        if spec.classes:
            names = ", ".join(spec.classes[:20]) + (", ..." if len(spec.classes) > 20 else "")
            say(f"classes: {names}")
        for note in splits.notes:
            say(note)
        tell_skipped(splits.skipped, every=True)
    if out is not None:
        count = 64 if spec.modality.one_per_file else 2000
        say(f"wrote {spec.modality.write(out, splits.train.batch(slice(count)), {'data': source})}")


def doctor(*, as_json: Json = False) -> None:
    """Say what will be used on this machine, and why."""
    from genwerk.commands.doctor import examine

    findings = examine()
    if as_json:
        print_json([vars(f) for f in findings])
    else:
        table(("", "found", "so"), [(f.what, f.found, f.so) for f in findings])


def demo(*, out: Path = Path("demo"), seed: int = 0) -> None:
    """Train four small models on built-in data, use them, and name the pictures (a few minutes on two cores).

    Args:
        out: Folder for the runs and pictures.
        seed: Seed of everything.
    """
    from genwerk.cli.progress import follow
    from genwerk.gallery.demo import play

    play(out, seed, say=say, follow=follow)


def figure(name: Positional[str] = "", *, out: Path = Path("pictures"), seed: int = 0, as_json: Json = False) -> None:
    """Draw one of the lecture's pictures from models trained while you wait (without a name: list them).

    Args:
        name: Which figure.
        out: Folder for the pictures.
        seed: Seed of everything.
    """
    from genwerk.gallery.figures import FIGURES, draw

    if not name:
        table(("figure", "what it shows"), list(FIGURES.items()))
        return
    for step in draw(name, out, seed):
        if isinstance(step, Path):
            say(f"wrote {step}")
        elif isinstance(step, str):
            say(step)
        elif as_json:
            print_json(step)
        else:
            table(("figure", "value"), [(key, f"{value:.4g}") for key, value in step.items()])


def export(
    run: Run,
    *,
    to: Literal["diffusers"],
    out: Path | None = None,
    half: bool = False,
) -> None:
    """Write a trained model for another library.

    Args:
        to: The library; diffusers (and transformers) for latent diffusion, its autoencoder, a U-Net or CLIP.
        out: New folder to write (default: RUN/diffusers).
        half: Weights of 16 bits, half as large.
    """
    import genwerk
    from genwerk import interop

    say(f"wrote {interop.save(genwerk.load(run, device='cpu'), out or run / to, half=half)}")
