"""Cached against naive sampling of images: each activation computed once, against one whole pass for every symbol.

Naive passes all cost the same, so a few are timed and multiplied; blocks of both kinds alternate. The naive sampler of
PixelCNN++, whose output is a mixture for a whole pixel, needs one pass for its three symbols.

    python benchmarks/stepping.py [--sizes 16 64] [--models pixelcnn-mnist ...]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.families.autoregressive import AutoregressiveModel
from genwerk.nn.autoregressive.network import generate
from genwerk.recipes import recipe

MNIST = DataSpec(kind="image", shape=(1, 28, 28), classes=tuple("0123456789"))
CIFAR10 = DataSpec(kind="image", shape=(3, 32, 32))
MODELS = {
    "pixelcnn-mnist": MNIST,
    "gated-pixelcnn-mnist": MNIST,
    "pixelrnn-mnist": MNIST,
    "row-lstm": MNIST,
    "pixelcnn-pp": CIFAR10,
}


@torch.no_grad()
def measure(name: str, spec: DataSpec, n: int, repeats: int, passes: int) -> str:
    """A row of the table: seconds of both, their ratio, and the greatest difference between their logits."""
    torch.manual_seed(0)
    model = build(recipe(name, spec).model, spec).eval()
    assert isinstance(model, AutoregressiveModel)
    network, u = model.network, torch.rand(n, model.network.length)
    cached, naive = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        made = torch.stack(list(generate(network, network.begin(n), u)), 1)
        cached.append(time.perf_counter() - start)
        symbols = network.arrange(made)
        needed = network.length // (3 if name == "pixelcnn-pp" else 1)
        start = time.perf_counter()
        for _ in range(passes):
            network.log_prob(symbols)
        naive.append((time.perf_counter() - start) / passes * needed)
    logits = network(symbols)
    state, worst = network.begin(n), 0.0
    whole = torch.stack([network.sequence(level) for level in logits.unbind(1)], -1).log_softmax(-1)
    for t, symbol in enumerate(made.unbind(1)):
        worst = max(worst, (network.logits(state).log_softmax(-1) - whole[:, t]).abs().max().item())
        network.push(state, symbol)
    ratios = [b / a for a, b in zip(cached, naive, strict=True)]
    size = sum(p.numel() for p in network.parameters())
    return (
        f"| `{name}` | {size:,} | {n} | {statistics.median(cached):.2f} | {statistics.median(naive):.0f} | "
        f"{statistics.median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f}) | {worst:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--sizes", nargs="*", type=int, default=[16, 64], help="images sampled together")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--passes", type=int, default=3, help="naive passes that are timed")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| model | weights | images | cached, s | naive, s | ratio | log-probabilities differ by |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        for n in options.sizes:
            print(measure(name, MODELS[name], n, options.repeats, options.passes), flush=True)


if __name__ == "__main__":
    main()
