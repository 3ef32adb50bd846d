"""Commands for models that make an example in steps: image-to-image, watch."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from genwerk.cli.options import (
    HERE,
    UNASKED,
    AtLeast,
    First,
    Greatest,
    Input,
    Label,
    Noisy,
    Number,
    On,
    Out,
    Prompt,
    Run,
    given,
    open_run,
)


def image_to_image(
    run: Run,
    *,
    input: Input = "test",
    strength: float = 0.6,
    n: Greatest = 8,
    label: Label = None,
    prompt: Prompt = (),
    denoising: Noisy = UNASKED,
    seed: int = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Noise examples part of the way and bring them back as a label or text says: originals above, results below.

    Args:
        strength: How far they are noised, from 0 (they stay as they are) to 1 (nothing of them is left).
        seed: Seed of the noise.
        out: File to write (default: RUN/out/image-to-image).
    """
    from genwerk import tasks

    opened = open_run(run, machine)
    batch = opened.examples(input, n, label, prompt)
    made = tasks.sdedit(opened.model, batch, strength, given(vars(denoising)), seed=seed)
    shown, typed = replace(batch, target=made), "; ".join(prompt) or None
    opened.write(shown, out, "image-to-image", seed=seed, strength=strength, prompt=typed, label=label)


def watch(
    run: Run,
    *,
    n: Number = 4,
    frames: Annotated[int, AtLeast(2)] = 8,
    label: Label = None,
    prompt: Prompt = (),
    seed: int = 0,
    first: First = 0,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Draw examples and show how they come about, a row each: what the model takes them to be, step by step.

    Args:
        frames: Pictures of each, spread evenly over the steps; the last is the sample.
        seed: Seed of all samples.
        out: File to write (default: RUN/out/watch).
    """
    from genwerk import tasks
    from genwerk.core.noise import Seeds
    from genwerk.core.spec import Batch

    opened = open_run(run, machine)
    condition, seeds = opened.conditions(label, prompt, borrow=first + n), Seeds(seed, first)
    shown = tasks.trajectory(opened.model, n, frames, condition=condition, seed=seeds)
    opened.write(Batch(shown.flatten(0, 1)), out, "watch", columns=shown.shape[1], seed=seed, first=first)
