"""Tests run side by side, a process a core. With more threads than that, each process waits for the others' turns."""

from __future__ import annotations

import os
import shutil
import tempfile

import matplotlib
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """One cache folder for all processes, empty at first: tests train no classifier twice, and read none of the user's.

    The fonts that matplotlib has found are the user's, for looking for them takes longer than most tests.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:  # which has the environment of the process that started it
        return
    os.environ["MPLCONFIGDIR"] = matplotlib.get_cachedir()
    os.environ["XDG_CACHE_HOME"] = folder = tempfile.mkdtemp(prefix="genwerk-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
