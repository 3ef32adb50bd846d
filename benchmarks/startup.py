"""What it costs to start: CPU seconds of whole processes, from `python -c pass` to a short command, in turn.

    python benchmarks/startup.py [--repeats 10]

CPU seconds, of one thread, because other programs on the cores lengthen the seconds of a clock far more. Compiled files
are kept between processes, as a user's are, and the first turn, which makes them, does not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from tempfile import TemporaryDirectory

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import genwerk": ["-c", "import genwerk"],
    "import torch": ["-c", "import torch"],
    "genwerk --help": ["-m", "genwerk", "--help"],
    "genwerk sample RUN -n 4": ["-m", "genwerk", "sample", "RUN", "-n", "4"],
    "genwerk recipes --data digits": ["-m", "genwerk", "recipes", "--data", "digits"],
}
TRAINING = ["-m", "genwerk", "train", "vae", "--data", "digits", "--rounds", "20", "--no-evaluate", "--out", "RUN"]
"""What makes the run that is sampled, a small one."""
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"OMP_NUM_THREADS": "1"}


def spent(arguments: list[str], folder: str) -> float:
    """CPU seconds, of the user and the system, of Python with ``arguments`` in ``folder``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=ENVIRONMENT, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="processes of each command, in turn")
    repeats = parser.parse_args().repeats
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before")
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with TemporaryDirectory() as folder:
        spent(TRAINING, folder)
        for _ in range(repeats + 1):
            for name, arguments in COMMANDS.items():
                seconds[name].append(spent(arguments, folder))
    for name, (_, *values) in seconds.items():
        print(f"{name:30} {statistics.median(values):.2f} CPU s (median of {repeats}, best {min(values):.2f})")


if __name__ == "__main__":
    main()
