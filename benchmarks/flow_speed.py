"""A training step of a RealNVP, ours against zuko's and normflows', at equal size in one run.

    OMP_NUM_THREADS=1 python benchmarks/flow_speed.py [--steps 30] [--turns 7]

Forward, backward and a step of fused Adam, which our trainer takes, on one batch of noise and one thread. The libraries
take turns, so that whatever slows the machine slows them alike. All have as many affine couplings, whose networks have
the same hidden layers (ReLU) and give a scale and a shift. Times are of the processor; medians over the turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import normflows
import torch
import zuko
from torch import Tensor, nn

from genwerk.core.spec import DataSpec
from genwerk.families.realnvp import DenseCouplings, RealNVP, RealNVPConfig

SIZES = [(2, 8, (64, 64), 256), (43, 8, (128, 128), 256)]
"""Columns, couplings, hidden layers, batch."""


def ours(d: int, couplings: int, widths: tuple[int, ...]) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    config = RealNVPConfig(architecture=DenseCouplings(couplings=couplings, widths=widths), normalise=False)
    model = RealNVP(config, DataSpec(kind="table", shape=(d,)))
    return model, model.log_prob


def zukos(d: int, couplings: int, widths: tuple[int, ...]) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """zuko calls it NICE, and its couplings scale and shift."""
    model = zuko.flows.NICE(d, transforms=couplings, hidden_features=widths)
    return model, lambda x: model().log_prob(x)


def normflows_(d: int, couplings: int, widths: tuple[int, ...]) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    layers: list[nn.Module] = []
    for _ in range(couplings):
        first = (d + 1) // 2
        network = normflows.nets.MLP([first, *widths, 2 * (d - first)], init_zeros=True)
        layers += [normflows.flows.AffineCouplingBlock(network), normflows.flows.Permute(d, mode="swap")]
    model = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(d, trainable=False), layers)
    return model, model.log_prob


LIBRARIES = {"genwerk": ours, "zuko": zukos, "normflows": normflows_}


def stepper(model: nn.Module, log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """One step of training on ``x``."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        (-log_prob(x).mean()).backward()
        optimiser.step()

    return step


def milliseconds(step: Callable[[], None], steps: int) -> float:
    start = time.process_time()
    for _ in range(steps):
        step()
    return 1e3 * (time.process_time() - start) / steps


def measure(d: int, couplings: int, widths: tuple[int, ...], batch: int, steps: int, turns: int) -> str:
    """A row of the table."""
    torch.manual_seed(0)
    x = torch.randn(batch, d)
    made = {name: make(d, couplings, widths) for name, make in LIBRARIES.items()}
    moves = {name: stepper(model, log_prob, x) for name, (model, log_prob) in made.items()}
    times: dict[str, list[float]] = {name: [] for name in moves}
    for move in moves.values():
        milliseconds(move, 3)
    for _ in range(turns):
        for name, move in moves.items():
            times[name].append(milliseconds(move, steps))
    ms = {name: median(t) for name, t in times.items()}
    weights = [f"{sum(p.numel() for p in model.parameters()):,}" for model, _ in made.values()]
    return (
        f"| {d} | {couplings} x {widths} | {batch} | {' / '.join(weights)} | "
        + " | ".join(f"{t:.2f}" for t in ms.values())
        + f" | {ms['zuko'] / ms['genwerk']:.2f} | {ms['normflows'] / ms['genwerk']:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=7, help="turns of each library")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, zuko {zuko.__version__}, one thread")
    print(
        "| d | couplings | batch | weights | genwerk, ms | zuko, ms | normflows, ms | zuko, ratio | normflows, ratio |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for d, couplings, widths, batch in SIZES:
        print(measure(d, couplings, widths, batch, arguments.steps, arguments.turns))


if __name__ == "__main__":
    main()
