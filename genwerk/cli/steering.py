"""Commands that steer a generator by its latents: interpolate, project, mix, truncate, edit, entanglement."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import tyro

from genwerk.cli.options import (
    HERE,
    AtLeast,
    Label,
    On,
    Out,
    Run,
    Space,
    open_run,
)

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
        start, end = (opened.model.condition.parse([text]) for text in (a, b))
        way = tasks.interpolate_prompts(opened.model, start, end, steps, seed=seed)
        opened.write(Batch(way), out, "interpolation", columns=steps, a=a, b=b, seed=seed)
        return
    model, drawn = opened.model, opened.samples(a, b)
    place = space or steering.home(model)
    noise = {"has-latent-prior", "denoises"} <= abilities(model)  # its codes are noise, whose length must be kept
    arc = noise or (drawn and place == "z")
    chosen: Any = path if path != "auto" else "sphere" if arc else "line"
    if "has-latent-prior" in abilities(model) and (project or space or drawn):
        start, end = (opened.latent(source, label, place, search=project, seed=seed) for source in (a, b))
        c = steering.same(model, 1, opened.conditions(label)) if place == "z" else None
        way = steering.interpolate(model, start, end, steps, space=place, path=chosen, condition=c)
    else:
        way = tasks.interpolate(model, opened.one(a, label), opened.one(b, label), steps, chosen)
    opened.write(Batch(way.flatten(0, 1)), out, "interpolation", columns=steps, a=a, b=b, seed=seed)
