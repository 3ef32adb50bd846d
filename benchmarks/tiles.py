"""Memory, seconds and seams of `genwerk translate` on large images, tile by tile.

    python benchmarks/tiles.py [--recipes superres denoise] [--sides 1024 2048 4096] [--tile 256]

Each run is trained for a round on built-in images, then the command is a process of its own: its greatest resident
memory is what the system counted. Seams: the greatest difference, of pixels in [0, 1], between an image translated
tile by tile and as a whole, with weights moved at random so that everything depends on everything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

import genwerk
from genwerk import tasks
from genwerk.core.abilities import Translates
from genwerk.core.model import evaluating
from genwerk.core.noise import SeededNoise

QUIET = {"sample_every": 0, "evaluate_every": 0, "save_every": 0}


def picture(side: int) -> Image.Image:
    """Smooth colours with a little noise, as a photograph has."""
    generator = torch.Generator().manual_seed(side)
    small = torch.randint(0, 256, (side // 16, side // 16, 3), dtype=torch.uint8, generator=generator)
    return Image.fromarray(small.numpy()).resize((side, side), Image.Resampling.BICUBIC)


def measured(command: list[str]) -> tuple[float, float, float]:
    """Greatest resident memory in GB (10^9 bytes), seconds of the clock and of the processor of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return usage.ru_maxrss * 1024 / 1e9, time.perf_counter() - start, usage.ru_utime + usage.ru_stime


@torch.no_grad()
def seam(folder: Path, side: int, tile: int) -> float:
    """The greatest difference between what is made tile by tile and at once."""
    model = genwerk.load(folder)
    assert isinstance(model, Translates)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    source = model.taken(SeededNoise(1, 0).uniform(3, side, side))
    with evaluating(model):
        whole = model.by_parts(source, seed=0)(source)[0]
    assert whole.std() > 0.01, "an image of one colour shows no seam"
    made = torch.empty_like(whole)
    for (rows, columns), part in tasks.tiles(model, source[0], tile, seed=0):
        made[:, rows, columns] = part
    return (made - whole).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["superres", "denoise"])
    parser.add_argument("--data", default="scenes", help="built-in images, or those of a folder")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096], help="of the source, in pixels")
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--whole", type=int, default=512, help="side of the image that is also translated at once")
    options = parser.parse_args()
    print("| recipe | source, pixels | peak memory, GB | seconds | CPU s | tiles against whole |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as home:
        for recipe in options.recipes:
            run = Path(home) / recipe
            genwerk.train(recipe, options.data, out=run, rounds=1, evaluate=False, progress=False, **QUIET)
            print(f"| {recipe} | {options.whole} | | | | {seam(run, options.whole, options.tile):.1e} |", flush=True)
            for side in options.sides:
                picture(side).save(Path(home) / "large.png")
                command = ["translate", str(run), f"{home}/large.png", "--out", f"{home}/made.png"]
                memory, wall, cpu = measured(
                    [sys.executable, "-m", "genwerk", *command, "--tile", str(options.tile), "--overwrite"]
                )
                print(f"| {recipe} | {side} | {memory:.2f} | {wall:.0f} | {cpu:.0f} | |", flush=True)


if __name__ == "__main__":
    main()
