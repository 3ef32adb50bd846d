"""A table of quality and diversity out of the temperature sweeps of several runs, in Markdown.

    genwerk evaluate runs/lstm-lm --temperatures 0.7,1,1.3      # writes runs/lstm-lm/sweep.csv, and so on
    python benchmarks/text_sweep.py runs/lstm-lm runs/transformer-lm runs/seqgan

A line a run and temperature, and one of what real training texts get in place of samples (the floor).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

SHOWN = ("bleu_2", "bleu_5", "self_bleu_2", "self_bleu_5", "lm_score", "reverse_lm_score", "copied")
"""Keys of the figures in the table; a sweep may lack some."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", help="run folders that have been evaluated at several temperatures"
    )
    asked = parser.parse_args()
    lines, names, floor = list[tuple[str, str, dict[str, str]]](), dict[str, str](), dict[str, str]()
    for run in asked.runs:
        with (run / "sweep.csv").open(newline="") as opened:
            rows = [row for row in csv.DictReader(opened) if row["key"] in SHOWN]
        names |= {row["key"]: row["figure"] for row in rows}
        floor |= {row["key"]: row["floor"] for row in rows}
        for temperature in dict.fromkeys(row["temperature"] for row in rows):
            found = {row["key"]: row["value"] for row in rows if row["temperature"] == temperature}
            lines.append((run.name, temperature, found))
    lines.append(("real texts", "", floor))
    shown = [key for key in SHOWN if key in names]
    print(f"| of | temperature | {' | '.join(names[key] for key in shown)} |")
    print("|" + "---|" * (2 + len(shown)))
    for name, temperature, values in lines:
        cells = [f"{float(values[key]):.3f}" if values.get(key) else "" for key in shown]
        print(f"| {name} | {temperature} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
