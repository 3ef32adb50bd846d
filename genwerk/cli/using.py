"""Commands that use a run: sample, reconstruct, traverse, encode, complete, nearest, evaluate."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import tyro

from genwerk.cli.options import (
    HERE,
    UNASKED,
    AtLeast,
    First,
    Greatest,
    Input,
    Json,
    Label,
    Noisy,
    Number,
    On,
    Out,
    Prior,
    Prompt,
    Run,
    Size,
    Temperature,
    TopK,
    TopP,
    as_decoding,
    as_size,
    open_run,
    print_json,
    tell_prior,
)
from genwerk.cli.progress import report_figures, say


def sample(
    run: Run,
    *,
    n: Annotated[int | None, AtLeast(1), tyro.conf.arg(aliases=["-n"])] = None,
    label: str | None = None,
    prompt: Prompt = (),
    given: str | None = None,
    denoising: Noisy = UNASKED,
    size: Size = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    seconds: float | None = None,
    prior: Prior = "train",
    observation: Literal["draw", "mean"] | None = None,
    seed: int = 0,
    first: First = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Draw new examples from a trained model.

    Args:
        n: Number of samples (default: 64, of a folder of Stable Diffusion 1).
        label: Class to sample, by name or number (conditional models; default: as often as in the training data, or
            with --prior even each in turn).
        observation: Models with a distribution p(x | z) of an example given its latent (VAEs): show a draw of it, or
            its mean (default: a draw for tables, the mean for images and sounds).
        given: Models that are told numbers: those of every sample, joined by commas.
        seconds: Length of each sound (models that go on for as long as they are asked to; default: as in training).
        seed: Seed of all samples.
        out: File to write (.png or .jpg a sheet, .wav or .flac sounds one after the other, NAME/ a file each, .csv
            or .npz the values; default: RUN/out/samples).
    """
    from genwerk import tasks
    from genwerk.core.noise import Seeds

    opened = open_run(run, machine)
    n = n or (1 if opened.foreign else 64)
    shown = observation or getattr(opened.model, "observation", None)  # of what a VAE knows of an example
    if label is None:
        tell_prior(opened, prior)
    drawn = tasks.samples(
        opened.model,
        n,
        label=opened.label(label),
        text=opened.texts(prompt, first + n),
        given=opened.numbers(given),
        seed=Seeds(seed, first),
        decoding=as_decoding(temperature, top_k, top_p),
        sampling=denoising.sampling(opened),
        negative=denoising.away(opened),
        picture=as_size(size),
        seconds=seconds,
        prior=prior,
        observation=observation,
    )
    asked: dict[str, Any] = {"seed": seed, "first": first, "label": label, "prompt": "; ".join(prompt) or None}
    asked |= {"given": given, "size": size, "seconds": seconds, "temperature": temperature, "observation": shown}
    opened.write(drawn, out, "samples", n=n, **asked, top_k=top_k, top_p=top_p, **vars(denoising))
    if shown is not None:
        what = {"draw": "a draw from p(x | z)", "mean": "the mean of p(x | z), without its noise"}[shown]
        say(f"each sample is {what} (--observation draw or mean)")


def reconstruct(
    run: Run,
    *,
    input: Input = "test",
    n: Greatest = 16,
    noise: Annotated[float, AtLeast(0)] = 0.0,
    label: Label = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Encode examples and decode them again: originals above, reconstructions below.

    Args:
        noise: Standard deviation of Gaussian noise added first, in the units of the data (for denoising models).
        seed: Seed of the noise.
        out: File to write (default: RUN/out/reconstructions).
    """
    from genwerk import tasks
    from genwerk.core.noise import SeededNoise

    opened = open_run(run, machine)
    batch = opened.examples(input, n, label)
    if noise > 0:
        noisy = batch.x + noise * SeededNoise(len(batch), seed, batch.x.device).normal(*opened.spec.shape)
        batch = replace(batch, x=opened.spec.modality.clamp(noisy))
    made = tasks.reconstruct(opened.model, batch)
    error = (made - batch.x).square().mean().item()
    opened.write(replace(batch, target=made), out, "reconstructions", seed=seed, input=input)
    say(f"mean squared error {error:.5f} per value over {len(batch)} examples")


def traverse(
    run: Run,
    *,
    dims: tuple[int, ...],
    input: str = "0",
    steps: Annotated[int, AtLeast(2)] = 9,
    label: Label = None,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Vary some latent dimensions of one example and hold the others still: two make a grid, else a row each.

    Args:
        dims: Latent dimensions to vary, counted from 0.
        input: The example: an image file, or a row of the run's test data (a number).
        steps: Values a dimension takes, over the range that 98 % of the training data have.
        out: File to write (default: RUN/out/traversal).
    """
    from genwerk import tasks
    from genwerk.core.spec import Batch

    opened = open_run(run, machine)
    span = tasks.latent_span(opened.model, opened.splits.train)
    plane = tasks.traverse(opened.model, opened.one(input, label), dims, steps=steps, span=span)
    opened.write(Batch(plane.flatten(0, 1)), out, "traversal", columns=plane.shape[1], dims=str(dims))


def encode(
    run: Run,
    *,
    input: Input = "test",
    n: Greatest = 2000,
    label: Label = None,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Write the latent of each example as CSV, and draw a map of them in two dimensions.

    Args:
        out: CSV file to write (default: RUN/out/codes.csv); the map, in the plane of the first two principal
            components, goes beside it.
    """
    from genwerk import tasks
    from genwerk.modalities import pictures

    opened = open_run(run, machine)
    batch = opened.examples(input, n, label)
    z = tasks.encode(opened.model, batch)
    target = opened.beside(out, "codes", ".csv")
    say(f"wrote {pictures.write_table(target, [z])}")
    flat = tasks.plane(z)
    groups = {"codes": flat}
    if batch.condition is not None and opened.spec.classes:
        groups = {name: flat[batch.condition == i] for i, name in enumerate(opened.spec.classes)}
    picture = pictures.scatter(
        pictures.named(target, ".map.png"), groups, {"run": opened.path.name}, title=opened.path.name
    )
    say(f"wrote {picture}")


def complete(
    run: Run,
    *,
    known: str,
    input: Input = "test",
    n: Greatest = 8,
    k: Annotated[int, AtLeast(1), tyro.conf.arg(aliases=["-k"])] = 5,
    label: Label = None,
    prompt: Prompt = (),
    denoising: Noisy = UNASKED,
    resamples: int | None = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    particles: int | None = None,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Fill in the missing part of examples, several times: each row is what is known and then its completions.

    Args:
        known: What is given: top-half, bottom-half, left-half, right-half, a mask image (white is given); first-half or
            last-half of a sound, or its first seconds (0.25s); names or numbers of a table's columns, joined by commas.
        k: Completions an example.
        resamples: Models that take noise away: how often each step is taken, with noise put back in between, so that
            what is made agrees with what is known.
        particles: Sequences weighted against each other for each example, where known values come after a hole in the
            order in which the model goes (default: 32 for each completion).
        seed: Seed of the draws.
        out: File to write (default: RUN/out/completions).
    """
    import torch

    from genwerk import tasks
    from genwerk.core.spec import Batch

    opened = open_run(run, machine)
    batch = opened.worded(opened.examples(input, n, label), prompt)
    mask = opened.mask(known)
    found = tasks.complete(
        opened.model,
        batch,
        mask,
        k,
        seed=seed,
        decoding=as_decoding(temperature, top_k, top_p),
        particles=particles,
        sampling=denoising.sampling(opened, resamples=resamples),
        negative=denoising.away(opened),
    )
    shown = found.x
    if opened.spec.modality.has_pixels:
        veiled = torch.where(mask, batch.x, 0.5).unsqueeze(1)
        shown = torch.cat([veiled, found.x, batch.x.unsqueeze(1)], 1)
    opened.write(Batch(shown.flatten(0, 1)), out, "completions", columns=shown.shape[1], seed=seed, known=known)
    ess = None if found.ess is None else found.ess.tolist()
    ancestors = None if found.ancestors is None else found.ancestors.tolist()
    log_prob = None if found.log_prob is None else found.log_prob.tolist()
    if as_json:
        print_json({"log_prob": log_prob, "ess": ess, "particles": found.particles, "ancestors": ancestors})
        return
    for i, row in enumerate(log_prob or []):
        weighed = ""
        if ess and ancestors and found.particles > k:
            weighed = f"; {ess[i]:.1f} effective of {found.particles} particles, completions of {ancestors[i]} of them"
        say(f"{i}: log-likelihood {', '.join(f'{v:.1f}' for v in row)} nats{weighed}")


def nearest(
    run: Run,
    *,
    n: Number = 8,
    k: Annotated[int, AtLeast(1), tyro.conf.arg(aliases=["-k"])] = 5,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Show each sample beside the training examples nearest to it, and whether the model copies its data.

    A model that is told what to make is told what held-out examples are.

    Args:
        n: Number of samples.
        k: Neighbours a sample.
        seed: Seed of the samples.
        out: File to write (default: RUN/out/nearest).
    """
    import torch

    from genwerk import tasks
    from genwerk.core.spec import Batch
    from genwerk.evaluation.report import draw, evaluating

    opened = open_run(run, machine)
    tasks.require(opened.model, "nearest", "samples")
    train, test = opened.splits.train, opened.splits.test
    with evaluating(opened.model):
        made = draw(opened.model, n, test, seed)
    found = tasks.nearest(made, train, k)
    usual = tasks.nearest(test.batch(slice(200)).x, train).distances.median().item()
    neighbours = train.batch(found.rows.flatten()).x.reshape(n, k, *opened.spec.shape)
    sheet = torch.cat([made.cpu().unsqueeze(1), neighbours.cpu()], 1).flatten(0, 1)
    figures = {
        "samples_to_train_median": found.distances[:, 0].median().item(),
        "test_to_train_median": usual,
        "copies": int((found.distances[:, 0] < 0.1 * usual).sum()),
    }
    opened.write(Batch(sheet), out, "nearest", columns=k + 1, seed=seed)
    if as_json:
        print_json(figures)
        return
    say(
        f"median distance to the nearest training example: {figures['samples_to_train_median']:.4g} for samples, "
        f"{usual:.4g} for held-out examples; {figures['copies']} of {n} samples look like copies"
    )


def evaluate(
    run: Run,
    *,
    data: str | None = None,
    examples: int = 10_000,
    samples: int = 10_000,
    reference: Literal["test", "train"] = "test",
    draws: int = 100,
    seed: int = 0,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Measure a trained model on held-out data, with every figure it can honestly give.

    Args:
        data: Other data to measure on (default: the run's own).
        examples: Greatest number of held-out examples.
        samples: Number of samples for distances between distributions; 0 leaves these out.
        reference: Part of the data that samples are compared with; published FIDs are against the training part.
        draws: Importance draws an example, for likelihood bounds.
        seed: Seed of samples and draws.
    """
    from genwerk.evaluation.report import evaluate as measure
    from genwerk.training.settings import EvaluateConfig

    opened = open_run(run, machine, data)
    settings = EvaluateConfig(examples=examples, samples=samples, reference=reference, draws=draws, seed=seed)
    report = measure(opened.model, opened.splits, settings, told=opened.told)
    if as_json:
        print_json(report.to_json())
    else:
        report_figures(report)
