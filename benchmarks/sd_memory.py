"""Peak memory of one step of Stable Diffusion 1.5's U-Net at full size, on the CPU in bfloat16, with random weights.

The network is what `genwerk.load` makes of the pipeline's config.json, with weights drawn in place; the step is one
call under guidance, a batch of two latents of 64x64 for a picture of 512x512 pixels. Memory is the process's greatest
resident set, of which what Python and torch take without a network is stated too. Linux only.

    python benchmarks/sd_memory.py [--precision float32] [--side 64]
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.interop.components import STABLE_DIFFUSION, denoiser_config
from genwerk.interop.weights import Unfilled

UNET = {"cross_attention_dim": 768, "sample_size": 64}
"""What Stable Diffusion 1.5's config.json says other than UNet2DConditionModel's defaults."""


def peak() -> float:
    """Greatest resident memory of this process so far, in GB (10^9 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    options.add_argument("--side", type=int, default=64, help="height and width of the latents")
    asked = options.parse_args()
    before = peak()
    precision = getattr(torch, asked.precision)
    torch.set_default_dtype(precision)
    spec = DataSpec(kind="latent", shape=(4, asked.side, asked.side))
    with Unfilled():
        network = build(denoiser_config(UNET, STABLE_DIFFUSION), spec).network.eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.02, generator=generator)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    loaded = peak()
    torch.set_default_dtype(torch.float32)
    x, context = torch.randn(2, 4, asked.side, asked.side), torch.randn(2, 77, 768)
    begun = time.perf_counter()
    with torch.inference_mode():
        y = network(x, torch.full((2,), 981), context)
    seconds = time.perf_counter() - begun
    print(f"{parameters:,} parameters, {asked.precision}, output {tuple(y.shape)}, finite: {bool(y.isfinite().all())}")
    print(f"peak {peak():.2f} GB; with weights alone {loaded:.2f}, before {before:.2f}")
    print(f"{seconds:.1f} s a step on {torch.get_num_threads()} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
