"""What the studio costs: its first page, a redraw of a point of a latent space, and twenty people at once.

Everything is measured twice in one run: on the machine as it is, and beside two busy programs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

TICK = os.sysconf("SC_CLK_TCK")


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def workers(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


@contextmanager
def busy(n: int) -> Iterator[None]:
    """While inside, ``n`` programs that do nothing but compute."""
    processes = [multiprocessing.Process(target=spin, daemon=True) for _ in range(n)]
    for each in processes:
        each.start()
    try:
        yield
    finally:
        for each in processes:
            each.kill()


def spin() -> None:
    while True:
        sum(range(100_000))


@contextmanager
def studio(root: Path) -> Iterator[tuple[int, httpx.Client, float]]:
    """A studio on ``root``: its process, a client, and the processor seconds of the server up to the first page."""
    command = [sys.executable, "-m", "genwerk", "studio", "--root", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = re.search(r"http://\S+", process.stdout.readline())
    assert address is not None
    client = httpx.Client(base_url=address[0], headers={"X-Genwerk": "1"}, timeout=120)
    while True:
        try:
            client.get("/").raise_for_status()
            break
        except httpx.TransportError:
            time.sleep(0.02)
    try:
        yield process.pid, client, spent(process.pid)
    finally:
        client.close()
        process.terminate()
        process.wait()


def measured(root: Path, clients: int, redraws: int) -> dict[str, float]:
    with studio(root) as (pid, client, first):
        z = client.post("/api/latent", json={"run": "vae", "samples": [0]}).json()["z"]
        before, computing = spent(pid), sum(map(spent, workers(pid)))
        took = []
        for i in range(10 * redraws):
            z[0][0] = i / redraws
            start = time.perf_counter()
            client.post("/api/latent", json={"run": "vae", "z": z}).raise_for_status()
            took.append(time.perf_counter() - start)
        server = (spent(pid) - before) / len(took)
        worker = (sum(map(spent, workers(pid))) - computing) / len(took)

        def person(number: int) -> int:
            with httpx.Client(base_url=client.base_url, headers={"X-Genwerk": "1"}, timeout=120) as own:
                answers = [
                    own.post("/api/latent", json={"run": "vae", "z": [[number + i, *z[0][1:]]]}) for i in range(redraws)
                ]
                return sum(each.status_code == 200 for each in answers)

        start = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answered = sum(pool.map(person, range(clients)))
        together = time.perf_counter() - start
    return {
        "first page, CPU s of the server": first,
        "redraw, CPU ms of the server": 1000 * server,
        "redraw, CPU ms of the worker": 1000 * worker,
        "redraw, ms (median)": 1000 * median(took),
        f"{clients} people, redraws/s": answered / together,
        "lost": clients * redraws - answered,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--redraws", type=int, default=20)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        import genwerk

        genwerk.train("vae", "digits", out=Path(folder) / "vae", rounds=50, evaluate=False)
        quiet = measured(Path(folder), options.clients, options.redraws)
        with busy(2):
            loaded = measured(Path(folder), options.clients, options.redraws)
    print("| | as it is | beside two busy programs |\n|---|---|---|")
    for name, value in quiet.items():
        print(f"| {name} | {value:.3g} | {loaded[name]:.3g} |")


if __name__ == "__main__":
    main()
