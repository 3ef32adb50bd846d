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
    On,
    Out,
    Prior,
    Prompt,
    Run,
    Size,
    Temperature,
    TopK,
    TopP,
    given,
    open_run,
    print_json,
    tell_prior,
)
from genwerk.cli.progress import say


def sample(
    run: Run,
    *,
    n: Annotated[int | None, AtLeast(1), tyro.conf.arg(aliases=["-n"])] = None,
    label: str | None = None,
    prompt: Prompt = (),
    covariates: str | None = None,
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
        covariates: Models with covariates: those of every sample, joined by commas.
        seconds: Length of each sound (models that go on for as long as they are asked to; default: as in training).
        seed: Seed of all samples.
        out: File to write (.png or .jpg a sheet, .wav or .flac sounds one after the other, NAME/ a file each, .csv
            or .npz the values; default: RUN/out/samples).
    """
    from genwerk import tasks
    from genwerk.core.noise import Seeds
    from genwerk.core.options import Observation

    opened = open_run(run, machine)
    n = n or (1 if opened.foreign else 64)
    asked = given(vars(denoising), size=size, seconds=seconds, temperature=temperature, top_k=top_k, top_p=top_p)
    options = opened.model.options.chosen(asked | given(observation=observation))
    if label is None:
        tell_prior(opened, prior)
    drawn = tasks.samples(
        opened.model,
        n,
        condition=opened.conditions(label, prompt, covariates, borrow=first + n),
        seed=Seeds(seed, first),
        options=options,
        prior=prior,
    )
    typed: dict[str, Any] = {"seed": seed, "first": first, "label": label, "covariates": covariates}
    typed["prompt"] = "; ".join(prompt) or None
    opened.write(drawn, out, "samples", n=n, **typed, **vars(options))
    if isinstance(options, Observation):
        what = {"draw": "a draw from p(x | z)", "mean": "the mean of p(x | z), without its noise"}
        say(f"each sample is {what[options.observation]} (--observation draw or mean)")


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
    batch = opened.examples(input, n, label, prompt)
    mask = opened.mask(known)
    asked = given(vars(denoising), resamples=resamples, temperature=temperature, top_k=top_k, top_p=top_p)
    found = tasks.complete(opened.model, batch, mask, k, asked | given(particles=particles), seed=seed)
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
