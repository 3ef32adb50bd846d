"""How much memory there is, so that what a source would take is known from its headers before any of it is taken."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SHARE = 0.5
"""Fraction of the free memory that decoded data may take: parts and batches are copies of some of it."""
UNKNOWN = 8 * 2**30
"""Free memory in bytes that is assumed where the system does not tell."""


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, of its control groups and of its own limit."""
    return max(0, min([_of_the_machine(), *_of_the_groups(), *_of_the_process()]))


def afford(size: int, name: str, cure: str) -> None:
    """A ValueError where the ``size`` bytes that ``name`` holds once decoded are too many; ``cure`` is what to do."""
    if size > SHARE * (free := free_memory()):
        raise ValueError(
            f"{name} takes {_giga(size)} of memory once decoded, and {_giga(free)} are free, of which data may take "
            f"{SHARE:.0%}; {cure}"
        )


def peak_memory() -> int | None:
    """Bytes of memory that this process has taken at most so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _giga(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _of_the_machine() -> int:
    if found := re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo"))):
        return int(found[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems not these names
        return UNKNOWN


def _of_the_groups() -> Iterator[int]:
    """What each control group of this process, and each group around it, may still take (Linux, both versions)."""
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, inner = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        limit, usage = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        )
        root = Path("/sys/fs/cgroup", controllers)
        folder = root / inner.lstrip("/")
        for group in (folder, *folder.parents):
            most, taken = _text(group / limit).strip(), _text(group / usage).strip()
            if most.isdecimal() and taken.isdecimal():
                files = re.findall(r"^(?:in)?active_file (\d+)$", _text(group / "memory.stat"), re.MULTILINE)
                yield int(most) - int(taken) + sum(map(int, files))  # pages of files are given back when needed
            if group == root:
                break


def _of_the_process() -> Iterator[int]:
    """What ``ulimit -v`` leaves."""
    if sys.platform != "win32":
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = _text(Path("/proc/self/statm")).split()
        if most != resource.RLIM_INFINITY and pages:
            yield most - int(pages[0]) * resource.getpagesize()


def _text(path: Path) -> str:
    """What a file of the system says; nothing where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
