"""The ``genwerk`` command: parse, call, print events. Everything it does is a function of the library."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro
from tyro.conf import Positional

from genwerk.progress import report_figures, say, table, tell_skipped

Device = Literal["auto", "cpu", "cuda", "mps"]

SHORTHANDS = {"--data": "--data.source", "--rounds": "--train.rounds", "--seed": "--train.seed"}
"""Short names of the settings that are typed most."""


# --- commands: training -----------------------------------------------------------------------------------------------


def recipes(*, as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """List every recipe with what it is.

    Args:
        as_json: Print JSON.
    """
    from genwerk.recipes import REGISTRY

    if as_json:
        _print_json({name: entry.summary for name, entry in sorted(REGISTRY.items())})
        return
    table(("recipe", "what it is"), [(name, entry.summary) for name, entry in sorted(REGISTRY.items())])
    say("\n`genwerk show RECIPE` prints one in full; `genwerk train RECIPE --data FOLDER` trains it.")


def show(recipe: Positional[str], *, as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Print a recipe: what it is for, and every setting.

    Args:
        recipe: Name of a recipe, or a run folder.
        as_json: Print JSON alone.
    """
    from inspect import getdoc

    from genwerk import store
    from genwerk.recipes import find
    from genwerk.settings import to_json

    if Path(recipe).is_dir():
        stored = store.find(recipe)
        text, settings = f"{recipe}: a run of {stored.name} on {stored.spec}", to_json(stored.recipe)
    else:
        entry = find(recipe)
        text, settings = getdoc(entry.make) or "", to_json(entry.make(entry.spec))
    if not as_json:
        say(text + "\n")
    _print_json(settings)


def train(recipe: Positional[str]) -> None:
    """Train a recipe on your data into a run folder (`genwerk train RECIPE --help` lists its settings).

    Args:
        recipe: Name of a recipe; `genwerk recipes` lists them.
    """
    train_command([recipe])


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Where a run goes and what it runs on."""

    out: Path | None = None
    """Run folder to write (default: runs/RECIPE)."""
    resume: bool = False
    """Go on where the run folder stands (and start where there is none)."""
    device: Device = "auto"
    """Where to compute; auto is the first GPU, else the CPU."""
    devices: int = 1
    """Number of processes, one a GPU (or so many CPU processes)."""
    tensorboard: bool = False
    """Also write TensorBoard's log into the run folder."""


def train_command(arguments: Sequence[str]) -> None:
    """``genwerk train``: the settings on offer are those of the recipe fitted to the data that were named."""
    from inspect import getdoc

    from genwerk import runtime, store
    from genwerk.data import open_data
    from genwerk.progress import follow
    from genwerk.recipes import find
    from genwerk.run import Training
    from genwerk.settings import Recipe

    name = next((a for a in arguments if not a.startswith("-")), None)
    if name is None or not arguments or arguments[0].startswith("-"):
        if "--help" in arguments or "-h" in arguments:
            tyro.cli(train, args=["--help"], prog="genwerk train")
        raise ValueError("name a recipe first, as in `genwerk train vae --data photos/`; `genwerk recipes` lists them")
    entry = find(name)
    rest = [SHORTHANDS.get(head, head) + eq + tail for head, eq, tail in (a.partition("=") for a in arguments[1:])]

    fields = [
        ("settings", Annotated[Recipe, tyro.conf.arg(name="")]),
        ("options", Annotated[TrainOptions, tyro.conf.arg(name="")]),
    ]
    both = make_dataclass("Arguments", fields, frozen=True)
    about = f"{getdoc(entry.make)}\n\nShort names: " + ", ".join(f"{k} = {v}" for k, v in SHORTHANDS.items())

    def parse(default: Recipe) -> tuple[Recipe, TrainOptions]:
        parsed: Any = tyro.cli(
            both, default=both(default, TrainOptions()), args=rest, prog=f"genwerk train {name}", description=about
        )
        return parsed.settings, parsed.options

    settings, options = parse(entry.make(entry.spec))
    out = options.out or Path("runs") / name
    going_on = options.resume and (out / "config.json").exists()
    if going_on:
        settings, options = parse(store.read_config(out / "config.json")[1])
    runtime.relaunch(options.devices, ["train", *arguments])
    if not settings.data.source:
        raise ValueError(f"{name} has no data of its own; name some, as in `genwerk train {name} --data photos/`")
    splits = open_data(settings.data)
    if not going_on:
        settings, _ = parse(replace(entry.make(splits.spec), data=settings.data))
    try:
        training = Training(
            name, settings, splits, out, resume=options.resume, device=options.device, tensorboard=options.tensorboard
        )
        follow(training)
        training.runtime.barrier()  # all leave together: a connection closed too early aborts the last
    finally:
        runtime.finish()


# --- commands: using a run --------------------------------------------------------------------------------------------


def sample(
    run: Positional[Path],
    *,
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64,
    label: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Draw new examples from a trained model.

    Args:
        run: Run folder.
        n: Number of samples.
        label: Class to sample, by name or number (conditional models; default: all in turn).
        seed: Seed of the first sample; sample i has seed + i.
        out: File to write (.png a sheet, a folder one PNG each, .csv or .npz the values; default: RUN/out/samples).
        device: Where to compute.
    """
    from genwerk import verbs

    opened = _open(run, device)
    batch = verbs.sample(opened.model, n, label=opened.label(label), seed=seed)
    opened.write(batch, out, "samples", seed=seed, label=label)


def reconstruct(
    run: Positional[Path],
    *,
    input: str = "test",
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 16,
    noise: float = 0.0,
    label: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Encode examples and decode them again: originals above, reconstructions below.

    Args:
        run: Run folder.
        input: Your own images or table (a path), or test or train for the run's own data.
        n: Greatest number of examples.
        noise: Standard deviation of Gaussian noise added first, in the units of the data (for denoising models).
        label: Class of your examples (conditional models).
        seed: Seed of the noise.
        out: File to write (default: RUN/out/reconstructions).
        device: Where to compute.
    """
    from genwerk import verbs
    from genwerk.noise import SeededNoise
    from genwerk.spec import Batch

    opened = _open(run, device)
    batch = opened.examples(input, n, label)
    if noise > 0:
        noisy = batch.x + noise * SeededNoise(len(batch), seed, batch.x.device).normal(*opened.spec.shape)
        batch = Batch(noisy.clamp(0, 1) if opened.spec.kind == "image" else noisy, batch.condition)
    made = verbs.reconstruct(opened.model, batch)
    error = (made - batch.x).square().mean().item()
    opened.write(Batch(batch.x, batch.condition, made), out, "reconstructions", seed=seed, input=input)
    say(f"mean squared error {error:.5f} per value over {len(batch)} examples")


def interpolate(
    run: Positional[Path],
    a: Positional[str],
    b: Positional[str],
    *,
    steps: int = 9,
    path: Literal["line", "sphere"] = "line",
    label: str | None = None,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Walk from one example to another through the latent space.

    Args:
        run: Run folder.
        a: First example: an image file, or a row of the run's test data (a number).
        b: Last example, likewise.
        steps: Pictures on the way, both ends included.
        path: A straight line, or an arc that keeps the latent's length.
        label: Class of both (conditional models).
        out: File to write (default: RUN/out/interpolation).
        device: Where to compute.
    """
    from genwerk import verbs
    from genwerk.spec import Batch

    opened = _open(run, device)
    way = verbs.interpolate(opened.model, opened.one(a, label), opened.one(b, label), steps, path)
    opened.write(Batch(way.flatten(0, 1)), out, "interpolation", columns=steps, a=a, b=b)


def traverse(
    run: Positional[Path],
    *,
    dims: tuple[int, ...],
    input: str = "0",
    steps: int = 9,
    label: str | None = None,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Vary some latent dimensions of one example and hold the others still: two make a grid, else a row each.

    Args:
        run: Run folder.
        dims: Latent dimensions to vary, counted from 0.
        input: The example: an image file, or a row of the run's test data (a number).
        steps: Values a dimension takes, over the range that 98 % of the training data have.
        label: Class of the example (conditional models).
        out: File to write (default: RUN/out/traversal).
        device: Where to compute.
    """
    from genwerk import verbs
    from genwerk.spec import Batch

    opened = _open(run, device)
    span = verbs.latent_span(opened.model, opened.splits.train)
    plane = verbs.traverse(opened.model, opened.one(input, label), dims, steps=steps, span=span)
    opened.write(Batch(plane.flatten(0, 1)), out, "traversal", columns=plane.shape[1], dims=str(dims))


def encode(
    run: Positional[Path],
    *,
    input: str = "test",
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2000,
    label: str | None = None,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Write the latent of each example as CSV, and draw a map of them in two dimensions.

    Args:
        run: Run folder.
        input: Your own images or table (a path), or test or train for the run's own data.
        n: Greatest number of examples.
        label: Class of your examples (conditional models).
        out: CSV file to write (default: RUN/out/codes.csv); the map, in the plane of the first two principal
            components, goes beside it.
        device: Where to compute.
    """
    from genwerk import pictures, verbs

    opened = _open(run, device)
    batch = opened.examples(input, n, label)
    z = verbs.encode(opened.model, batch)
    target = out or opened.path / "out" / "codes.csv"
    say(f"wrote {pictures.write_table(target, z)}")
    flat = verbs.plane(z)
    groups = {"codes": flat}
    if batch.condition is not None and opened.spec.classes:
        groups = {name: flat[batch.condition == i] for i, name in enumerate(opened.spec.classes)}
    picture = pictures.scatter(target.with_suffix(".png"), groups, {"run": opened.path.name}, title=opened.path.name)
    say(f"wrote {picture}")


def complete(
    run: Positional[Path],
    *,
    known: str,
    input: str = "test",
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 8,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 5,
    seed: int = 0,
    out: Path | None = None,
    device: Device = "auto",
) -> None:
    """Fill in the missing part of examples, several times: each row is what is known and then its completions.

    Args:
        run: Run folder.
        known: What is given: top-half, bottom-half, left-half, right-half, a mask image (white is given), or names or
            numbers of a table's columns, joined by commas.
        input: Your own images or table (a path), or test or train for the run's own data.
        n: Greatest number of examples.
        k: Completions an example.
        seed: Seed of the first example.
        out: File to write (default: RUN/out/completions).
        device: Where to compute.
    """
    import torch

    from genwerk import verbs
    from genwerk.spec import Batch

    opened = _open(run, device)
    batch = opened.examples(input, n, None)
    mask = opened.mask(known)
    made = verbs.complete(opened.model, batch, mask, k, seed=seed)
    shown = made
    if opened.spec.kind == "image":
        veiled = torch.where(mask, batch.x, 0.5).unsqueeze(1)
        shown = torch.cat([veiled, made, batch.x.unsqueeze(1)], 1)
    opened.write(Batch(shown.flatten(0, 1)), out, "completions", columns=shown.shape[1], seed=seed, known=known)


def nearest(
    run: Positional[Path],
    *,
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 8,
    k: Annotated[int, tyro.conf.arg(aliases=["-k"])] = 5,
    seed: int = 0,
    out: Path | None = None,
    device: Device = "auto",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Show each sample beside the training examples nearest to it, and whether the model copies its data.

    Args:
        run: Run folder.
        n: Number of samples.
        k: Neighbours a sample.
        seed: Seed of the first sample.
        out: File to write (default: RUN/out/nearest).
        device: Where to compute.
        as_json: Print the distances as JSON.
    """
    import torch

    from genwerk import verbs
    from genwerk.spec import Batch

    opened = _open(run, device)
    made = verbs.sample(opened.model, n, seed=seed).x
    train, test = opened.splits.train, opened.splits.test
    found = verbs.nearest(made, train, k)
    usual = verbs.nearest(test.batch(slice(200)).x, train).distances.median().item()
    neighbours = train.batch(found.rows.flatten()).x.reshape(n, k, *opened.spec.shape)
    sheet = torch.cat([made.cpu().unsqueeze(1), neighbours.cpu()], 1).flatten(0, 1)
    figures = {
        "samples_to_train_median": found.distances[:, 0].median().item(),
        "test_to_train_median": usual,
        "copies": int((found.distances[:, 0] < 0.1 * usual).sum()),
    }
    opened.write(Batch(sheet), out, "nearest", columns=k + 1, seed=seed)
    if as_json:
        _print_json(figures)
        return
    say(
        f"median distance to the nearest training example: {figures['samples_to_train_median']:.4g} for samples, "
        f"{usual:.4g} for held-out examples; {figures['copies']} of {n} samples look like copies"
    )


def evaluate(
    run: Positional[Path],
    *,
    data: str | None = None,
    examples: int = 10_000,
    samples: int = 10_000,
    draws: int = 100,
    seed: int = 0,
    device: Device = "auto",
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Measure a trained model on held-out data, with every figure it can honestly give.

    Args:
        run: Run folder.
        data: Other data to measure on (default: the run's own).
        examples: Greatest number of held-out examples.
        samples: Number of samples for distances between distributions; 0 leaves these out.
        draws: Importance draws an example, for likelihood bounds.
        seed: Seed of samples and draws.
        device: Where to compute.
        as_json: Print JSON.
    """
    from genwerk.evaluation import evaluate as measure
    from genwerk.settings import Evaluate

    opened = _open(run, device, data)
    settings = Evaluate(examples=examples, samples=samples, draws=draws, seed=seed)
    report = measure(opened.model, opened.splits, settings)
    if as_json:
        _print_json(report.to_json())
    else:
        report_figures(report)


# --- commands: data and machine ---------------------------------------------------------------------------------------


def data(
    action: Positional[Literal["check"]],  # noqa: ARG001
    source: Positional[str],
    *,
    size: int | None = None,
    fit: Literal["crop", "pad", "stretch"] = "crop",
    colour: Literal["auto", "grey", "rgb"] = "auto",
    label: str = "label",
    seed: int = 0,
    out: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Say what was understood of some data, and name every file that cannot be used.

    Args:
        action: What to do (check).
        source: Built-in, path, or hf:NAME.
        size: Height and width that images are brought to, in pixels.
        fit: How an image of another shape is fitted.
        colour: Colour of images.
        label: Name of the column or array that holds the labels.
        seed: Seed of the held-out choice.
        out: Also write a picture of some examples here.
        as_json: Print JSON.
    """
    from genwerk.data import Data, open_data
    from genwerk.pictures import write_examples

    splits = open_data(Data(source=source, size=size, fit=fit, colour=colour, label=label, seed=seed))
    spec = splits.spec
    found = {
        "source": source,
        "data": str(spec),
        "shape": spec.shape,
        "train": len(splits.train),
        "test": len(splits.test),
        "classes": spec.classes,
        "notes": splits.notes,
        "skipped": [{"name": s.name, "reason": s.reason} for s in splits.skipped],
    }
    if as_json:
        _print_json(found)
    else:
        say(f"{source}: {spec}; {len(splits.train):,} to train on, {len(splits.test):,} held out")
        if spec.classes:
            names = ", ".join(spec.classes[:20]) + (", ..." if len(spec.classes) > 20 else "")
            say(f"classes: {names}")
        for note in splits.notes:
            say(note)
        tell_skipped(splits.skipped, every=True)
    if out is not None:
        count = 64 if spec.kind == "image" else 2000
        say(f"wrote {write_examples(out, splits.train.batch(slice(count)), spec, {'data': source})}")


def doctor(*, as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Say what will be used on this machine, and why.

    Args:
        as_json: Print JSON.
    """
    from genwerk.doctor import examine

    findings = examine()
    if as_json:
        _print_json([vars(f) for f in findings])
    else:
        table(("", "found", "so"), [(f.what, f.found, f.so) for f in findings])


def demo(*, out: Path = Path("demo"), seed: int = 0) -> None:
    """Train four small models on built-in data, use them, and name the pictures (a few minutes on two cores).

    Args:
        out: Folder for the runs and pictures.
        seed: Seed of everything.
    """
    from genwerk.demo import play
    from genwerk.progress import follow

    play(out, seed, say=say, follow=follow)


COMMANDS: dict[str, Callable[..., None]] = {
    "recipes": recipes,
    "show": show,
    "train": train,
    "sample": sample,
    "reconstruct": reconstruct,
    "interpolate": interpolate,
    "traverse": traverse,
    "encode": encode,
    "complete": complete,
    "nearest": nearest,
    "evaluate": evaluate,
    "data": data,
    "doctor": doctor,
    "demo": demo,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends with one sentence and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = lambda message, *_, **__: print(f"genwerk: {message}", file=sys.stderr)
    try:
        if given[:1] == ["--version"]:
            from genwerk import __version__

            say(f"genwerk {__version__}")
        elif given[:1] == ["train"] and len(given) > 1 and given[1] not in ("-h", "--help"):
            train_command(given[1:])
        else:
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                args=given or ["--help"],
                prog="genwerk",
                description="Every family of deep generative model: train, use and measure.",
            )
    except (ValueError, OSError) as error:
        _fail(error)
    except RuntimeError as error:
        if type(error).__name__ != "Diverged":
            raise
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(error: Exception) -> NoReturn:
    if os.environ.get("GENWERK_DEBUG"):
        raise error
    print(f"genwerk: {error}", file=sys.stderr)
    sys.exit(2)


# --- what commands share ----------------------------------------------------------------------------------------------


def _open(run: Path, device: Device, data: str | None = None) -> Any:
    from genwerk.inputs import OpenRun

    return OpenRun(run, device, data, say)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))
