"""What a palette costs: colours, PSNR and bits a pixel of images brought to ever fewer colours.

    python benchmarks/palette.py --data FOLDER [--data FOLDER ...] [--colours 16 32 64 167] [--tolerances 1 8 16]

Of each source all images count, training and held-out part. A row is one palette: all exact colours; the colours left
when those within a tolerance a channel count as one; or as many clusters in CIE Lab. Beside the palette of member
colours that Genwerk takes, `means` is the PSNR that the rounded cluster means would have, which invent colours.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.cluster import KMeans

from genwerk import DataConfig, open_data
from genwerk.data.palette import Bytes, Histogram, cluster, histogram, lab, merge, report


def means(found: Histogram, n: int, seed: int) -> Bytes:
    """The rounded mean in RGB of each cluster of :func:`cluster`."""
    members = KMeans(n, n_init=4, random_state=seed).fit(lab(found.colours), sample_weight=found.counts * 1.0).labels_
    sums = np.stack([np.bincount(members, channel * found.counts, n) for channel in found.colours.T], axis=1)
    rounded: Bytes = (sums / np.bincount(members, found.counts, n)[:, None]).round().astype(np.uint8)
    return np.unique(rounded, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="RGB images; may be given several times")
    parser.add_argument("--colours", type=int, nargs="*", default=[16, 32, 64, 167])
    parser.add_argument("--tolerances", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| data | palette | colours | PSNR (dB) | means (dB) | log2 N | entropy | lost | changed | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for source in arguments.data:
        splits = open_data(DataConfig(source=source, holdout=0, colour="rgb"))
        parts = {id(part): part.x.numpy() for part in (splits.train, splits.test)}
        start = time.perf_counter()
        found = histogram(np.concatenate(list(parts.values())))
        rows = [("exact", found.colours, "", time.perf_counter() - start)]
        for tolerance in arguments.tolerances:
            start = time.perf_counter()
            rows.append((f"within {tolerance}", merge(found, tolerance).colours, "", time.perf_counter() - start))
        for n in arguments.colours:
            if n < len(found):
                start = time.perf_counter()
                palette = cluster(found, n, arguments.seed).colours
                spent = time.perf_counter() - start
                rows.append(
                    (f"clustered to {n}", palette, f"{report(found, means(found, n, arguments.seed)).psnr:.1f}", spent)
                )
        for how, palette, other, spent in rows:
            cost = report(found, palette)
            print(
                f"| {source.rstrip('/').split('/')[-1]} | {how} | {cost.colours:,} | {cost.psnr:.1f} | {other} | "
                f"{cost.index_bits:.2f} | {cost.entropy:.2f} | {cost.lost:.2f} | {cost.changed:.1%} | {spent:.1f} |"
            )


if __name__ == "__main__":
    main()
