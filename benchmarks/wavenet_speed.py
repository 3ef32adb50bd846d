"""WaveNet sampled step by step, against a pass over its field for every sample: 30 layers, field 3,070, one thread.

    OMP_NUM_THREADS=1 python benchmarks/wavenet_speed.py [--steps 2000] [--naive 5]

The step is all that a user's sample takes: logits, the draw, writing the symbol (`emit`). The pass is
granted what a careful user would do: skips and output are computed for the last sample alone. Times are of the
processor, so that neighbours on the machine count less; the wall's stand beside them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from genwerk.families.wavenet import WaveNetConfig
from genwerk.nn.autoregressive.network import emit
from genwerk.nn.autoregressive.wavenet import WaveNetNetwork

PUBLISHED = WaveNetConfig(stacks=3, layers=10, residual=32, gate=32, skip=128, head=128)


def seconds(move: Callable[[], object], times: int) -> tuple[float, float]:
    """Seconds of the processor and of the wall for one ``move``."""
    process, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        move()
    return (time.process_time() - process) / times, (time.perf_counter() - wall) / times


@torch.no_grad()
def measure(network: WaveNetNetwork, n: int, steps: int, naive: int) -> str:
    """A row of the table for ``n`` sounds side by side."""
    past = torch.randint(network.levels, (n, 2 * network.field))
    state, u = network.prefill(past[:, :-1]), torch.rand(n)
    one_by_one = network.logits(state)
    at_once = network.predict(network.table(past.t()), start=past.shape[1] - 1)[0]
    apart = float((one_by_one - at_once).abs().max())
    network.push(state, past[:, -1])
    seconds(lambda: emit(network, state, u), 50)
    step, wall = seconds(lambda: emit(network, state, u), steps)
    window = past[:, : network.field]
    again = seconds(lambda: network.predict(network.table(window.t()), start=network.field - 1), naive)[0]
    return (
        f"| {n} | {1e3 * step:.3f} | {n / step:,.0f} | {n / wall:,.0f} | {1e3 * again:.1f} | {again / step:.0f} "
        f"| {apart:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="steps to time")
    parser.add_argument("--naive", type=int, default=5, help="passes over the field to time")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    c = PUBLISHED
    network = WaveNetNetwork(
        16_000,
        dilations=c.dilations,
        kernel=c.kernel,
        residual=c.residual,
        gate=c.gate,
        skip=c.skip,
        head=c.head,
    ).eval()
    print(f"{len(c.dilations)} layers, field {network.field}, torch {torch.__version__}, one thread")
    print("| sounds | ms a step | samples/s | samples/s, wall | ms a pass | times faster | logits apart |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for n in (1, 16):
        print(measure(network, n, arguments.steps, arguments.naive))


if __name__ == "__main__":
    main()
