"""CPU seconds of SeqGAN's reward of one generator step at published sizes, beside loops over beginnings and rollouts.

    OMP_NUM_THREADS=1 python benchmarks/seqgan_reward.py [--texts 64] [--rollouts 16]

The loops read each beginning again for each of its rollouts, draw with ``torch.multinomial``, and have the
discriminator look at the texts of one beginning and one rollout at a time, the finished texts once a rollout.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import FIRST, Characters
from genwerk.families.seqgan import SeqGAN, SeqGANConfig

TOKENS, LENGTH = 5000, 20


@torch.no_grad()
def by_loops(model: SeqGAN, y: Tensor, rollouts: int) -> Tensor:
    """Worths with shape (n, length) of texts that have no end."""
    worth = torch.zeros(y.shape)
    for _ in range(rollouts):
        for beginning in range(1, LENGTH):
            cache, made = model.network.begin(len(y)), y.clone()
            for t in range(LENGTH):
                logits = model.network.logits(cache)
                if t >= beginning:
                    made[:, t] = torch.multinomial(logits.softmax(1), 1)[:, 0]
                model.network.push(cache, made[:, t])
            worth[:, beginning - 1] += model.discriminator(made).sigmoid() / rollouts
        worth[:, -1] += model.discriminator(y).sigmoid() / rollouts
    return worth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--rollouts", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    symbols = tuple(map(chr, range(0x4E00, 0x4E00 + TOKENS - FIRST)))
    spec = DataSpec(kind="text", shape=(LENGTH,), vocabulary=Characters(symbols=symbols, length=LENGTH))
    model = build(SeqGANConfig(), spec).eval()
    assert isinstance(model, SeqGAN)
    y = torch.randint(FIRST, TOKENS, (options.texts, LENGTH))
    u = torch.rand(options.texts, LENGTH - 1, options.rollouts, LENGTH)
    start = time.process_time()
    ours = model.action_values(y, u)
    spent = time.process_time() - start
    start = time.process_time()
    theirs = by_loops(model, y, options.rollouts)
    looped = time.process_time() - start
    print(
        f"{options.texts} texts, {options.rollouts} rollouts: {spent:.1f} CPU s together, {looped:.1f} in loops", end=""
    )
    print(f", {looped / spent:.1f} times; mean worths {ours.mean():.4f} and {theirs.mean():.4f}")


if __name__ == "__main__":
    main()
