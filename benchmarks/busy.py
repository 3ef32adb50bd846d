"""How OpenMP's threads wait, on cores that other programs use too: steps/s of an MLP 784-400-400-784 at batch 128.

    python benchmarks/busy.py [--busy 2] [--threads 2] [--seconds 3] [--repeats 5]

Each way is a process of its own, for OpenMP reads its settings once; the ways alternate, so that a drifting machine
treats them alike. `--busy 0` asks what the library's setting costs where nobody else computes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

WAYS = {
    "spinning, as torch comes": {},
    "OMP_WAIT_POLICY=PASSIVE, as Genwerk sets it": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=0": {"GOMP_SPINCOUNT": "0"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
STEPS = """
import sys, time, torch
from torch import nn
model = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 784))
optimizer, x, steps = torch.optim.Adam(model.parameters(), fused=True), torch.rand(128, 784), 0
while steps < 3 or time.perf_counter() - start < float(sys.argv[1]):
    optimizer.zero_grad()
    (model(x) - x).square().mean().backward()
    optimizer.step()
    steps += 1
    if steps == 3:
        start = time.perf_counter()
print((steps - 3) / (time.perf_counter() - start))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="programs that compute beside")
    parser.add_argument("--threads", type=int, default=2, help="threads of OpenMP")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each way, in turn")
    given = parser.parse_args()
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before, {given.busy} busy programs added")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    try:
        for _ in range(given.repeats):
            for way, setting in WAYS.items():
                environment = plain | {"OMP_NUM_THREADS": str(given.threads)} | setting
                command = [sys.executable, "-c", STEPS, str(given.seconds)]
                found[way].append(float(subprocess.check_output(command, env=environment)))
    finally:
        for other in others:
            other.kill()
    first = next(iter(found.values()))
    for way, rates in found.items():
        ratio = statistics.median(r / f for r, f in zip(rates, first, strict=True))
        span = f"{statistics.median(rates):.1f} steps/s ({min(rates):.1f} to {max(rates):.1f})"
        print(f"{way:44} {span}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
