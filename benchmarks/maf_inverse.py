"""The way back through a masked autoregressive flow of 784 values: block by block with early stopping, against zuko.

Both have 5 networks of one hidden layer of 1024 with the same weights and the same function of each value, so that they
undo the same transform. zuko makes d passes through each network, which all cost the same, so `--passes` of them are
timed and multiplied unless `--whole` is given; both alternate. "There and back" is the greatest error of a value, for
zuko on 2 examples. Weights: those zuko begins with, the last layers `--scale` times as large; with `--data FOLDER`, of
MNIST, also those after `--rounds` of training on its pixels in logit space (alpha 1e-6, standardised by pixel).

    python benchmarks/maf_inverse.py [--data FOLDER] [--sizes 64 100]
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import torch
import zuko
from torch import Tensor, nn

from genwerk.data import DataConfig, open_data
from genwerk.nn.flows.autoregressive import Autoregressive
from genwerk.nn.flows.base import Normal
from genwerk.nn.flows.made import MADE, MaskedLinear
from genwerk.nn.flows.monotone import Affine
from genwerk.nn.flows.preprocessing import LogitTransform, Pixels
from genwerk.nn.flows.transform import Chain, Transform
from genwerk.nn.units import Standardise

D, WIDTH, LAYERS = 784, 1024, 5
LEAST_SLOPE = 6.907755
"""-log of the least slope of zuko's affine function."""


class Theirs(Affine):
    """zuko's way to bound a scale."""

    def _bounded(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        raw, t = parameters.unbind(1)
        return raw / (1 + raw.abs() / LEAST_SLOPE), t


def twins(scale: float) -> tuple[list[nn.Module], Chain]:
    """zuko's layers, and ours with hidden units of the same degrees."""
    flow = zuko.flows.MAF(D, 0, transforms=LAYERS, hidden_features=(WIDTH,))
    theirs, ours = list(flow.transform.transforms), []
    for layer in theirs:
        hidden = (layer.hyper[0].mask.sum(1) - 1).sort()[0].tolist()
        made = MADE(D, 2, (WIDTH,), "relu")
        made.degrees[1] = hidden
        made.layers[0] = MaskedLinear(range(D), hidden)
        made.last = MaskedLinear(hidden, [*range(D), *range(D)], strict=True)
        ours.append(Autoregressive(made, Theirs(), layer.order.argsort().tolist()))
        layer.hyper[2].weight.data.mul_(scale)
    chain = Chain(ours)
    copy(theirs, chain, back=False)
    return theirs, chain


@torch.no_grad()
def copy(theirs: list[nn.Module], ours: Chain, *, back: bool) -> None:
    """Our weights from zuko's, or (``back``) zuko's from ours: units sorted by degree, inputs and outputs by order."""
    for layer, own in zip(theirs, ours.parts, strict=True):
        assert isinstance(own, Autoregressive)
        units = (layer.hyper[0].mask.sum(1) - 1).sort(stable=True)[1]
        outputs = torch.cat([2 * own.order + 1, 2 * own.order])  # theirs: shift and scale of one value side by side
        first, last, made = layer.hyper[0], layer.hyper[2], own.network
        for a, b, rows, columns in (
            (first, made.layers[0], units, own.order),
            (last, made.last, outputs, units),
        ):
            if back:
                a.weight[rows[:, None], columns], a.bias[rows] = b.weight, b.bias
            else:
                b.weight.copy_(a.weight[rows[:, None], columns])
                b.bias.copy_(a.bias[rows])


def backwards(theirs: list[nn.Module], z: Tensor, passes: int) -> Tensor:
    """zuko's inverse with ``passes`` through each network."""
    for layer in reversed(theirs):
        z = zuko.transforms.AutoregressiveTransform(partial(layer.meta, None), passes).inv(z)
    return z


def trained(ours: Chain, x: Tensor, rounds: int) -> None:
    """Adam on the likelihood of ``x``, in batches of 100."""
    base, optimiser = Normal(D), torch.optim.Adam(ours.parameters(), lr=1e-4)
    for _ in range(rounds):
        z, log_det = ours(x[torch.randint(len(x), (100,))])
        optimiser.zero_grad()
        loss = -(base.log_prob(z) + log_det).mean()
        loss.backward()
        optimiser.step()
    print(f"\ntrained {rounds} rounds: {loss.item():.0f} nats of standardised logits\n")


@torch.no_grad()
def measure(name: str, theirs: list[nn.Module], ours: Transform, x: Tensor, options: argparse.Namespace) -> str:
    """A row of the table for the examples ``x``."""
    z = ours(x)[0]
    passes = D if options.whole else options.passes
    quick, slow = [], []
    for _ in range(options.repeats):
        start = time.perf_counter()
        back = ours.inverse(z)[0]
        quick.append(time.perf_counter() - start)
        start = time.perf_counter()
        backwards(theirs, z, passes)
        slow.append((time.perf_counter() - start) * D / passes)
    ratios = [b / a for a, b in zip(quick, slow, strict=True)]
    error, other = (back - x).abs().max().item(), (backwards(theirs, z[:2], D) - x[:2]).abs().max().item()
    return (
        f"| {name} | {len(x)} | {statistics.median(quick):.3f} | {statistics.median(slow):.1f} | "
        f"{statistics.median(ratios):.0f} ({min(ratios):.0f} to {max(ratios):.0f}) | {error:.0e} | {other:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with the files of MNIST")
    parser.add_argument("--sizes", nargs="*", type=int, default=[64, 100], help="examples together")
    parser.add_argument("--scale", type=float, default=3.0, help="of the last layers, where weights are random")
    parser.add_argument("--rounds", type=int, default=500, help="of training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--passes", type=int, default=20, help="passes of zuko's that are timed")
    parser.add_argument("--whole", action="store_true", help="time all of zuko's passes")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    theirs, ours = twins(options.scale)
    print("| weights | examples | ours, s | zuko, s | ratio | ours, there and back | zuko, there and back |")
    print("|---|---|---|---|---|---|---|")
    for n in options.sizes:
        print(measure("random", theirs, ours, torch.randn(n, D), options), flush=True)
    if options.data:
        splits = open_data(DataConfig(source=options.data))
        surface, standardise = Pixels(splits.spec, LogitTransform(logit_alpha=1e-6)), Standardise((D,))
        pixels = splits.train.batch(slice(20_000)).x
        y = surface(pixels, torch.rand(pixels.shape))[0].flatten(1)
        standardise.fit(y)
        theirs, ours = twins(scale=0.1)
        trained(ours, standardise(y), options.rounds)
        copy(theirs, ours, back=True)
        for n in options.sizes:
            print(measure("trained", theirs, ours, standardise(y)[:n], options), flush=True)


if __name__ == "__main__":
    main()
