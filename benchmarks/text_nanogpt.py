"""How well a transformer over characters learns in the time that nanoGPT's way of training takes, both on a processor.

    OMP_NUM_THREADS=1 python benchmarks/text_nanogpt.py PATH/image_coco.txt PATH/test_coco.txt

The setting is that of nanoGPT's README for a processor: 4 layers, 4 heads, 128 units, blocks of 64 characters,
batches of 12, no dropout, AdamW with a learning rate of 1e-3 that falls along a cosine to 1e-4 after 100 steps of
warm-up. Its way is written out here: a decoder with learned positions and tied logits, which sees blocks from random
places of the text and averages the cross-entropy of all characters. `transformer-lm` is trained by Genwerk's trainer on
consecutive windows. The files, joined, are the text, of which the last tenth is held out.

Both learn in turn, some steps at a time, so that both meet the same machine; how many steps ours takes is measured
first, so that both take the same seconds of the processor. Held-out blocks are scored with the same context for both:
characters 2 to 64 of each, given those before them in the block. The loss at the end is in bits a character.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import cos, log, pi
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

import torch
from text_speed import Plain
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk.core.model import build
from genwerk.data import DataConfig, Splits, open_data
from genwerk.families.language_model import LanguageModel, LanguageModelConfig, TransformerConfig
from genwerk.recipes import find
from genwerk.training.trainer import Trainer

BLOCK, BATCH, WARMUP = 64, 12, 100
PEAK, FINAL = 1e-3, 1e-4
NETWORK = TransformerConfig(width=128, layers=4, heads=4, dropout=0.0)
AT_ONCE = 10
"""Steps that each takes before it is the other's turn."""


def opened(files: list[Path]) -> Splits:
    """The joined text in two parts, as windows of characters."""
    text = "\n".join(file.read_text() for file in files)
    cut = int(0.9 * len(text))
    with TemporaryDirectory() as folder:
        for name, part in (("train", text[:cut]), ("test", text[cut:])):
            (Path(folder) / f"{name}.txt").write_text(part)
        return open_data(DataConfig(source=folder, unit="file", length=BLOCK, validation=0.0))


def plainly(splits: Splits, steps: int, seed: int) -> tuple[Plain, Iterator[int]]:
    """nanoGPT's network, and its training, which yields the number of every step that is done."""
    torch.manual_seed(seed)
    vocabulary, texts = splits.spec.vocabulary, splits.train.texts
    assert vocabulary is not None
    assert texts is not None
    whole = replace(vocabulary, length=texts.raw.size).encode([texts.raw.tobytes().decode()])[0]
    ids = whole[: int((whole != vocabulary.end).sum())]
    net = Plain(vocabulary.size, BLOCK, NETWORK)
    for name, p in net.named_parameters():
        if p.dim() == 2:
            residual = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(p, std=0.02 / (2 * NETWORK.layers) ** 0.5 if residual else 0.02)
    matrices, others = ([p for p in net.parameters() if (p.dim() > 1) == two] for two in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.99))

    def train() -> Iterator[int]:
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps)
            starts = torch.randint(len(ids) - BLOCK, (BATCH,)).tolist()
            x = torch.stack([ids[i : i + BLOCK] for i in starts])
            y = torch.stack([ids[i + 1 : i + 1 + BLOCK] for i in starts])
            loss = net(x, y)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            yield step

    return net, train()


def rate(step: int, steps: int) -> float:
    """nanoGPT's learning rate."""
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return FINAL + (PEAK - FINAL) * (1 + cos(pi * (step - WARMUP) / max(1, steps - WARMUP))) / 2


def ours(splits: Splits, steps: int, seed: int) -> tuple[LanguageModel, Iterator[object]]:
    """`transformer-lm` with the same network, and its training, which yields after every step."""
    recipe = find("transformer-lm").make(splits.spec)
    torch.manual_seed(seed)
    model = build(LanguageModelConfig(network=NETWORK), splits.spec)
    assert isinstance(model, LanguageModel)
    settings = replace(
        recipe.train, rounds=steps, batch_size=BATCH, seed=seed, sample_every=0, save_every=0, evaluate_every=0
    )
    return model, iter(Trainer(model, splits.train, settings))


def bits(of: Callable[[Tensor], Tensor], splits: Splits) -> float:
    """Bits a character of the held-out blocks, of nats for characters 2 to 64 with shape (n, 63)."""
    x = splits.test.batch().x
    full = x[(x != 0).all(1)]
    with torch.no_grad():
        nats = torch.cat([of(part) for part in full.split(256)])
    return float(-nats.mean()) / log(2)


def of_plain(net: Plain) -> Callable[[Tensor], Tensor]:
    def nats(x: Tensor) -> Tensor:
        logits: Tensor = net.logits(x[:, :-1])
        return -F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), reduction="none").view(len(x), -1)

    return nats


def seconds(steps: Iterator[object], n: int) -> float:
    """Seconds of the processor that the next ``n`` of ``steps`` take."""
    start = process_time()
    for _ in range(n):
        next(steps, None)
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="text files, joined")
    parser.add_argument("--steps", type=int, default=2000, help="steps of nanoGPT's training (its README has 2,000)")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of both")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    splits = opened(asked.files)
    length = sum(part.texts.raw.size for part in (splits.train, splits.test) if part.texts is not None)
    print(f"{length:,} bytes of text, {splits.spec}, {len(splits.test):,} held-out blocks", flush=True)

    trial, plain_trial = ours(splits, 1000, 0)[1], plainly(splits, 1000, 0)[1]
    seconds(trial, AT_ONCE), seconds(plain_trial, AT_ONCE)
    pairs = [(seconds(trial, AT_ONCE), seconds(plain_trial, AT_ONCE)) for _ in range(7)]
    dearer = median(a for a, _ in pairs) / median(b for _, b in pairs)
    steps = round(asked.steps / dearer)
    print(f"a step of ours takes {dearer:.3f} times one of nanoGPT's: {steps:,} steps and {asked.steps:,}", flush=True)

    print("| seed | of | steps | CPU s | held-out bits a character |\n|---|---|---|---|---|")
    for seed in range(asked.seeds):
        model, learning = ours(splits, steps, seed)
        net, plain_learning = plainly(splits, asked.steps, seed)
        taken = [0.0, 0.0]
        turns = max(1, asked.steps // AT_ONCE)
        for turn in range(turns):
            for i, (each, total) in enumerate(((learning, steps), (plain_learning, asked.steps))):
                taken[i] += seconds(each, (turn + 1) * total // turns - turn * total // turns)
        for rest in (learning, plain_learning):  # what ends a training is no step
            next(rest, None)
        model.eval(), net.eval()
        found = bits(lambda x, m=model: m.network.log_prob(x)[:, 1:], splits), bits(of_plain(net), splits)
        for name, n, cost, value in zip(("transformer-lm", "nanoGPT"), (steps, asked.steps), taken, found, strict=True):
            print(f"| {seed} | {name} | {n:,} | {cost:.0f} | {value:.4f} |", flush=True)


if __name__ == "__main__":
    main()
