"""The report of a comparison: a page, and the same as CSV, JSON and Markdown."""

from __future__ import annotations

import json
from pathlib import Path

from genwerk.comparison.markdown import markdown
from genwerk.comparison.page import page
from genwerk.comparison.result import Comparison, to_plain
from genwerk.comparison.tables import as_csv, sweep_csv
from genwerk.core.files import write_atomically


def write_report(comparison: Comparison, folder: Path) -> list[Path]:
    """Write report.html, report.csv, report.json and report.md into ``folder``, where the pictures are, and sweep.csv
    where runs were measured at several temperatures; their paths.

    The same comparison gives the same bytes. An Unwritable says why it cannot be.
    """
    written = {
        "html": page(comparison, folder),
        "csv": as_csv(comparison),
        "json": json.dumps(to_plain(comparison), indent=1, ensure_ascii=False) + "\n",
        "md": markdown(comparison),
    }
    named = {f"report.{end}": text for end, text in written.items()}
    if any(run.report.sweep for run in comparison.measured):
        named["sweep.csv"] = sweep_csv(comparison)
    paths = []
    for name, text in named.items():
        paths.append(folder / name)
        write_atomically(paths[-1], text.encode("utf-8", "backslashreplace"))
    return paths
