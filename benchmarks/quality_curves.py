"""Quality against diversity of sampled captions, by temperature, from results/captions-quality.json.

python benchmarks/quality_curves.py --out docs/pictures/text-sweep.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

RESULTS = Path(__file__).parent / "results" / "captions-quality.json"
NAMES = ["lstm-lm", "transformer-lm", "seqgan"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("text-sweep.png"))
    asked = parser.parse_args()
    rows = json.loads(RESULTS.read_text())["rows"]
    figure, axes = plt.subplots(figsize=(5.2, 3.6))
    for name, marker in zip(NAMES, "os^", strict=True):
        found = [row for row in rows if row["id"].startswith(f"{name}-temperature")]
        x = [row["figures"]["self-bleu-5"]["value"] for row in found]
        y = [row["figures"]["bleu-5"]["value"] for row in found]
        axes.plot(x, y, marker=marker, label=name, linewidth=1)
        if name == "lstm-lm":
            for row, a, b in zip(found, x, y, strict=True):
                axes.annotate(row["of"].split(" ")[-1], (a, b), xytext=(6, -10), textcoords="offset points", fontsize=8)
    (real,) = [row["figures"] for row in rows if row["id"] == "real-captions"]
    axes.plot(real["self-bleu-5"]["value"], real["bleu-5"]["value"], "k*", markersize=11, label="real captions")
    axes.set(xlabel="self-BLEU-5 (right: less diverse)", ylabel="BLEU-5 (up: more like real captions)")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(asked.out, dpi=110)


if __name__ == "__main__":
    main()
