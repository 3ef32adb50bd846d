"""Commands that steer a generator by its latents: interpolate, project, mix, truncate, edit, entanglement."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import tyro

from genwerk.cli.options import (
    HERE,
    AtLeast,
    Greatest,
    Input,
    Json,
    Label,
    Likeness,
    On,
    Out,
    Run,
    Space,
    open_run,
    print_json,
)
from genwerk.cli.progress import say, table

Level = Literal["coarse", "middle", "fine"]


def interpolate(
    run: Run,
    a: tyro.conf.Positional[str],
    b: tyro.conf.Positional[str],
    *,
    steps: Annotated[int, AtLeast(2)] = 9,
    path: Literal["auto", "line", "sphere"] = "auto",
    space: Space = None,
    project: bool = False,
    texts: bool = False,
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Walk from one example to another through the latent space, or from one text to another.

    Args:
        a: First example: an image file, or a number, which is a row of the run's test data (or, where the model
            has no encoder, the number of a sample of the seed); or a text.
        b: Last example, likewise.
        steps: Pictures on the way, both ends included.
        path: A straight line, or an arc that keeps the latent's length; auto is an arc between samples in z and between
            the noises of a diffusion model, else a line.
        project: Search for the latents of image files, which a model without an encoder needs.
        texts: A and B are texts, and the pictures are of one noise (models that make pictures from words).
        seed: Seed of the samples that numbers name, of that search, or of that noise.
        out: File to write (default: RUN/out/interpolation).
    """
    from genwerk import tasks
    from genwerk.core.abilities import abilities
    from genwerk.core.spec import Batch
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    if texts:
        way = tasks.between(opened.model, opened.condition(a), opened.condition(b), steps, seed=seed)
        opened.write(Batch(way), out, "interpolation", columns=steps, a=a, b=b, seed=seed)
        return
    model, drawn = opened.model, opened.samples(a, b)
    place = space or steering.home(model)
    noise = {"has-latent-prior", "denoises"} <= abilities(model)  # its codes are noise, whose length must be kept
    arc = noise or (drawn and place == "z")
    chosen: Any = path if path != "auto" else "sphere" if arc else "line"
    if "has-latent-prior" in abilities(model) and (project or space or drawn):
        start, end = (opened.latent(source, label, place, search=project, seed=seed) for source in (a, b))
        c = steering.told(model, 1, opened.label(label)) if place == "z" else None
        way = steering.interpolate(model, start, end, steps, space=place, path=chosen, condition=c)
    else:
        way = tasks.interpolate(model, opened.one(a, label), opened.one(b, label), steps, chosen)
    opened.write(Batch(way.flatten(0, 1)), out, "interpolation", columns=steps, a=a, b=b, seed=seed)


def project(
    run: Run,
    *,
    input: Input = "test",
    n: Greatest = 8,
    space: Space = None,
    steps: Annotated[int, AtLeast(1)] = 1000,
    noise_maps: bool = False,
    similarity: Likeness = "pixels",
    resize: bool = False,
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Search for the latents that decode to your examples: originals above, what was found below, latents as CSV.

    Args:
        steps: Steps of the search.
        noise_maps: Search for the noise maps too (in w and w+).
        resize: Fit an image of another size as the training data were.
        seed: Seed of the search.
        out: File to write (default: RUN/out/projection); the latents go beside it.
    """
    from genwerk.core.spec import Batch
    from genwerk.modalities import pictures
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    batch = opened.examples(input, n, label, exact=not resize)
    search = steering.Search(space=space or steering.home(opened.model), steps=steps, noise_maps=noise_maps)
    found = steering.project(opened.model, batch, search, similarity=opened.similarity(similarity), seed=seed)
    origin: dict[str, Any] = {"seed": seed, "input": input, "space": found.space, "steps": steps}
    opened.write(Batch(batch.x, batch.condition, found.reconstruction), out, "projection", **origin)
    say(f"wrote {pictures.write_table(opened.beside(out, 'projection', '.latents.csv'), [found.latent])}")
    if as_json:
        print_json({"distance": found.distance.tolist(), "similarity": similarity, "space": found.space})
        return
    say(f"mean distance {found.distance.mean().item():.5g} in {similarity} over {len(batch)} examples")


def mix(
    run: Run,
    *,
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    layers: tuple[Level, ...] = (),
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Mix the styles of samples: every row's sample with the coarse, middle or fine styles of every column's.

    Args:
        rows: Numbers of the samples down the side, which keep their other styles: 0 is the first of `genwerk sample`.
        columns: Numbers of the samples along the top, which give the styles.
        layers: Which styles, a table each below the other: coarse act up to 8 pixels, middle up to 32, fine on all that
            is larger (thirds of the layers in models of small images); default: all that the model has.
        seed: Seed of the samples.
        out: File to write (default: RUN/out/mixing).
    """
    import torch

    from genwerk.core.spec import Batch
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    sizes = steering.styled(opened.model, "mixing styles").style_sizes
    levels = layers or tuple(level for level in get_args(Level) if steering.layers_of(level, sizes))
    sheets = [
        steering.mix(opened.model, rows, columns, level, opened.label(label), seed=seed).sheet() for level in levels
    ]
    sheet = torch.cat([sheets[0], *(s[1:] for s in sheets[1:])])
    origin: dict[str, Any] = {"seed": seed, "sources": f"{rows} x {columns}", "layers": levels}
    opened.write(Batch(sheet.flatten(0, 1)), out, "mixing", columns=sheet.shape[1], **origin)


def truncate(
    run: Run,
    *,
    psi: tuple[float, ...] = (0.0, 0.25, 0.5, 0.7, 1.0),
    rows: tuple[int, ...] = (0, 1, 2, 3),
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Bring samples nearer to the mean style: a row for each sample, a column for each psi.

    Args:
        psi: Fractions of the way from the mean style (0) to the sample's own (1).
        rows: Numbers of the samples: 0 is the first of `genwerk sample`.
        seed: Seed of the samples.
        out: File to write (default: RUN/out/truncation).
    """
    from genwerk.core.spec import Batch
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    made = steering.truncate(opened.model, rows, psi, opened.label(label), seed=seed)
    opened.write(Batch(made.flatten(0, 1)), out, "truncation", columns=len(psi), psi=psi, rows=rows, seed=seed)


def edit(
    run: Run,
    *,
    attribute: str,
    input: str = "0",
    amounts: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0),
    by: Literal["means", "svm"] | None = None,
    space: Space = None,
    n: Annotated[int, AtLeast(1), tyro.conf.arg(aliases=["-n"])] = 4000,
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Move an example towards a class of the data, and away from it, along a direction of the latent space.

    Args:
        attribute: The class, by name or number.
        input: The example: an image file, or a number, which is a row of the run's test data (or, where the model
            has no encoder, the number of a sample of the seed; an image is then projected first).
        amounts: How far: 1 leads from the typical example of other classes to the typical one of this.
        by: How the direction is found: the difference of two means (default for models that encode), or the normal of a
            support vector machine, which disregards what merely goes along with the class (default for others).
        n: Examples of the data, or samples judged by a classifier of the data, from which the direction is found.
        seed: Seed of these, of the sample that a number names, and of a search for an image's latent.
        out: File to write (default: RUN/out/edit).
    """
    from genwerk.core.abilities import abilities
    from genwerk.core.spec import Batch
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    model, wanted = opened.model, opened.label(attribute)
    assert wanted is not None
    place: Any = space or steering.home(model)
    if "encodes" in abilities(model) and place == "z":
        some = opened.splits.train.subset(n, seed).batch()
        known = steering.labelled_codes(model, Batch(some.x.to(model.device), some.condition), wanted)
    else:
        known = steering.labelled_draws(model, opened.classifier, wanted, n=n, space=place, seed=seed)
    direction = steering.attribute_direction(known, by or ("means" if "encodes" in abilities(model) else "svm"))
    latent = opened.latent(input, label, place, search=True, seed=seed)
    c = steering.told(model, 1, opened.label(label)) if place == "z" else None
    made = steering.edit(model, latent, direction, amounts, space=place, condition=c)
    origin: dict[str, Any] = {"attribute": attribute, "input": input, "amounts": amounts, "seed": seed}
    opened.write(Batch(made.flatten(0, 1)), out, "edit", columns=len(amounts), **origin)


def entanglement(
    run: Run,
    *,
    pairs: Annotated[int, AtLeast(1)] = 1000,
    samples: Annotated[int, AtLeast(1)] = 4000,
    similarity: Likeness = "features",
    seed: int = 0,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Measure how entangled the latent spaces are: perceptual path length and linear separability, in z and in w.

    Args:
        pairs: Paths whose length is measured.
        samples: Samples in which a classifier of the data's classes is to be told from the latent.
        seed: Seed of the latents.
    """
    from genwerk.tasks import steering

    opened = open_run(run, machine)
    classify = opened.classifier if opened.spec.modality.learned_features and opened.spec.classes else None
    found = steering.entanglement(
        opened.model,
        similarity=opened.similarity(similarity),
        classify=classify,
        pairs=pairs,
        samples=samples,
        seed=seed,
    )
    if as_json:
        rows = [
            {
                "space": e.space,
                "path_length": e.full.mean,
                "path_length_error": e.full.standard_error,
                "path_length_at_ends": e.ends.mean,
                "path_length_at_ends_error": e.ends.standard_error,
                "separability": None if e.separability is None else e.separability.score,
            }
            for e in found
        ]
        print_json({"similarity": similarity, "pairs": pairs, "samples": samples, "seed": seed, "spaces": rows})
        return
    lengths = [[f"{p.mean:.4g} ± {p.standard_error:.2g}" for p in (e.full, e.ends)] for e in found]
    scores = ["-" if e.separability is None else f"{e.separability.score:.4g}" for e in found]
    table(
        ("space", "path length", "at the ends", "separability"),
        [(e.space, *both, score) for e, both, score in zip(found, lengths, scores, strict=True)],
    )
    told = f"over {samples} samples" if found[0].separability else "is of images with classes"
    say(f"path length in {similarity}, over {pairs} paths; separability {told}; less is better")
