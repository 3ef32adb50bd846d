"""What the trainer costs: one step of the VAE 784-400-20 at batch 128, against a bare PyTorch loop of the same model.

    python benchmarks/overhead.py [--steps 100] [--repeats 30]

Both loops descend the same loss of the same model with the same fused Adam on random 28x28 pixels kept as uint8; blocks
of steps alternate (bare, trainer, bare, ...), so that a drifting machine treats them alike.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.vae import VAE, VAEConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

BATCH = 128
SPEC = DataSpec(kind="image", shape=(1, 28, 28))


def data() -> Dataset:
    pixels = torch.randint(0, 256, (10_000, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(x=pixels, spec=SPEC)


def bare_loop() -> Callable[[], None]:
    """One step of a plain training script."""
    torch.manual_seed(0)
    model, pixels = VAE(VAEConfig(), SPEC), data().x
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        rows = torch.randint(0, len(pixels), (BATCH,))
        x = pixels[rows].float() / 255
        u, eps = torch.rand(BATCH, *SPEC.shape), torch.randn(BATCH, 1, 20)
        optimizer.zero_grad()
        loss, _ = model.objective(Batch(x), u, eps)
        loss.backward()
        optimizer.step()

    return step


def trainer_loop() -> Callable[[], None]:
    """One round of the trainer."""
    torch.manual_seed(0)
    settings = TrainConfig(
        rounds=10**9, batch_size=BATCH, optim={"model": OptimConfig(lr=1e-3)}, sample_every=0, save_every=0
    )
    events: Iterator[object] = iter(Trainer(VAE(VAEConfig(), SPEC), data(), settings))
    return lambda: next(events) and None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="steps in a block")
    parser.add_argument("--repeats", type=int, default=30, help="pairs of blocks")
    arguments = parser.parse_args()
    loops = {"bare": bare_loop(), "trainer": trainer_loop()}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(arguments.repeats + 2):
        for name, step in loops.items():
            start = time.perf_counter()
            for _ in range(arguments.steps):
                step()
            if repeat >= 2:
                seconds[name].append((time.perf_counter() - start) / arguments.steps)
    ratios = sorted(t / b for b, t in zip(seconds["bare"], seconds["trainer"], strict=True))
    quarter = len(ratios) // 4
    for name, values in seconds.items():
        print(f"{name:8} {1e3 * statistics.median(values):.3f} ms a step (median of {len(values)})")
    print(f"ratio    {statistics.median(ratios):.3f} (quartiles {ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f})")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")


if __name__ == "__main__":
    main()
