"""Tests run side by side, a process a core. With more threads than that, each process waits for the others' turns."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
