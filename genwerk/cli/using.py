"""Commands that use a run: reconstruct."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from genwerk.cli.options import (
    HERE,
    AtLeast,
    Greatest,
    Input,
    Label,
    On,
    Out,
    Run,
    open_run,
)
from genwerk.cli.progress import say


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
