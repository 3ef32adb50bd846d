"""CPU time of BLEU-2..5 and self-BLEU-2..5 of all lines of a file, beside NLTK on a sample of them: one run.

    pip install nltk
    OMP_NUM_THREADS=1 python benchmarks/text_metrics.py PATH/image_coco.txt PATH/test_coco.txt [--sample 100]

The lines of the first file, split at spaces, stand for the samples, those of the second for the references. NLTK scores
the first ``--sample`` of them against the same references.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)


def main() -> None:
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import sentence_bleu as of_nltk

    from genwerk.metrics import self_bleu, sentence_bleu

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--sample", type=int, default=100)
    settings = parser.parse_args()
    samples, references = ([line.split() for line in path.open()] for path in (settings.samples, settings.references))
    start = time.process_time()
    ours = [sentence_bleu(samples, references), self_bleu(samples)]
    spent = time.process_time() - start
    for name, bleu in zip(("BLEU", "self-BLEU"), ours, strict=True):
        means = "  ".join(f"{name}-{order} {mean:.4f}" for order, mean in bleu.means.items())
        print(f"{len(samples)} sentences, {bleu.references} references: {means}")
    print(f"both: {spent:.2f} CPU s")
    weights, method1 = [(1 / k,) * k for k in ours[0].orders], SmoothingFunction().method1
    start = time.process_time()
    theirs = [
        [of_nltk(references, s, weights, method1) for s in samples[: settings.sample]],
        [
            of_nltk(samples[:i] + samples[i + 1 :], s, weights, method1)
            for i, s in enumerate(samples[: settings.sample])
        ],
    ]
    spent = time.process_time() - start
    apart = max(
        float((bleu.scores[: settings.sample] - torch.tensor(scores, dtype=torch.float64)).abs().max())
        for bleu, scores in zip(ours, theirs, strict=True)
    )
    print(f"NLTK, {settings.sample} sentences: {spent:.1f} CPU s; largest difference {apart:.1e}")


if __name__ == "__main__":
    main()
