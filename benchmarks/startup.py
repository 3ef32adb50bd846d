"""Start-up times as whole processes: `import genwerk` and `genwerk --help`, with `python -c pass` for comparison.

python benchmarks/startup.py [--repeats 10]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import genwerk": ["-c", "import genwerk"],
    "genwerk --help": ["-m", "genwerk", "--help"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="runs of each command, in turn")
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        print(f"{name:16} {statistics.median(values[1:]):.2f} s (median of {repeats}, {min(values):.2f} at best)")


if __name__ == "__main__":
    main()
