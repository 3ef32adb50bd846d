"""Are generated words understood? A classifier of a labelled folder of sounds judges real recordings and a model's.

    python benchmarks/spoken_digits.py --data FOLDER --label-pattern '^([0-9])_' [--test-pattern '_[0-4][.]wav$']
    python benchmarks/spoken_digits.py ... --run RUN --each 50

The classifier sees the log power of a short-time Fourier transform (windows of 32 ms, a step of 8 ms, summed in 40
bands evenly spaced in mel) through three convolutions, and is trained on the training recordings alone, which are
shifted in time by up to a tenth of an example. Its accuracy on held-out recordings says how far its
verdict on generated ones can be trusted; a generator that speaks as clearly as people do reaches that and no more. With
``--run`` its data are brought to that model's rate and length. Standard errors are binomial.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Mapping
from math import ceil, log2, sqrt
from pathlib import Path

import torch
from torch import Tensor, nn

from genwerk import Config, DataConfig, Model, OptimConfig, Splits, TrainConfig, Trainer, Turn, Turns, load, open_data
from genwerk.core.model import Loss, Player, TrainingStream
from genwerk.core.spec import Batch, DataSpec
from genwerk.tasks import sample

WINDOW, STEP, BANDS = 0.032, 0.008, 40
SHIFT = 0.1
"""Greatest shift in training, as a fraction of an example's length."""
FLOOR = 1e-6
"""Power of a band that counts as silence."""


class Spectrogram(nn.Module):
    """Log power in mel bands, standardised over each sound, so that loudness is not heard; (n, 1, bands, frames)."""

    window: Tensor
    bands: Tensor

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.size, self.step = 2 ** ceil(log2(WINDOW * rate)), max(1, round(STEP * rate))
        self.register_buffer("window", torch.hann_window(self.size))
        self.register_buffer("bands", mel_bands(self.size, rate))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(
            x[:, 0], self.size, self.step, window=self.window, pad_mode="constant", return_complex=True
        )
        power = torch.einsum("bf,nft->nbt", self.bands, spectrum.abs().square())
        log_power = (power + FLOOR).log()
        mean, std = log_power.mean((1, 2), keepdim=True), log_power.std((1, 2), keepdim=True)
        return ((log_power - mean) / (std + 0.1)).unsqueeze(1)


def mel_bands(size: int, rate: int) -> Tensor:
    """Triangles evenly spaced in mel = 2595 log10(1 + f / 700), with shape (bands, size / 2 + 1)."""
    mel = 2595 * torch.log10(1 + torch.tensor(rate / 2) / 700)
    edges = 700 * (10 ** (torch.linspace(0, 1, BANDS + 2) * mel / 2595) - 1)
    frequency = torch.linspace(0, rate / 2, size // 2 + 1)
    width = (edges[2:] - edges[:-2]).clamp(min=2 * rate / size) / 2  # no triangle narrower than the transform resolves
    return (1 - (frequency - edges[1:-1, None]).abs() / width[:, None]).clamp(min=0)


class Listener(Model):
    """A classifier of sounds."""

    def __init__(self, spec: DataSpec, width: int = 24) -> None:
        super().__init__(Config(), spec)
        layers: list[nn.Module] = [Spectrogram(spec.sample_rate)]
        for before, after in ((1, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.AdaptiveMaxPool2d((2, 4)), nn.Flatten(), nn.Dropout(0.3)]
        self.body = nn.Sequential(*layers, nn.Linear(8 * 4 * width, len(spec.classes)))

    def forward(self, x: Tensor) -> Tensor:
        """Class logits with shape (n, classes)."""
        logits: Tensor = self.body(x)
        return logits

    def turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        yield Turn("model", self.shifted, stream.next_batch(), stream.uniform())

    def shifted(self, batch: Batch, shift: Tensor) -> Loss:
        """Cross-entropy, in nats, of sounds that are shifted by as much as numbers uniform on [0, 1) say."""
        by = ((2 * shift - 1) * SHIFT * batch.x.shape[2]).long()
        place = torch.arange(batch.x.shape[2]) - by[:, None]
        inside = (place >= 0) & (place < batch.x.shape[2])
        moved = batch.x[:, 0].gather(1, place.clamp(0, batch.x.shape[2] - 1)) * inside
        assert batch.condition is not None
        loss = nn.functional.cross_entropy(self(moved.unsqueeze(1)), batch.condition)
        return loss, {"cross-entropy": loss}


def trained(splits: Splits, rounds: int, seed: int) -> Listener:
    torch.manual_seed(seed)
    optim = {"model": OptimConfig(name="adamw", lr=3e-3, weight_decay=0.01, schedule="cosine", warmup=50)}
    settings = TrainConfig(rounds=rounds, batch_size=64, optim=optim, seed=seed, sample_every=0)
    listener = Listener(splits.spec)
    Trainer(listener, splits.train, settings).fit()
    return listener.eval()


def judged(listener: Listener, x: Tensor, label: Tensor) -> Tensor:
    """Confusion table with shape (classes, classes): rows what was meant, columns what was heard."""
    classes = len(listener.spec.classes)
    with torch.no_grad():
        heard = torch.cat([listener(part).argmax(1) for part in x.split(256)])
    return torch.bincount(label.cpu() * classes + heard, minlength=classes**2).view(classes, classes)


def tell(title: str, table: Tensor, classes: tuple[str, ...]) -> None:
    n, right = int(table.sum()), int(table.trace())
    p = right / n
    print(f"{title}: {right:,} of {n:,} right, {p:.2%} ± {sqrt(p * (1 - p) / n):.2%}")
    width = max(5, *(len(c) + 1 for c in classes))
    print("".join(f"{c:>{width}}" for c in ("", *classes)), " right (row: meant, column: heard)", sep="")
    for name, row, own in zip(classes, table.tolist(), table.diag().tolist(), strict=True):
        print("".join(f"{c:>{width}}" for c in (name, *row)), f"{own / sum(row):7.1%}" if sum(row) else "", sep="")


def split_by_name(folder: Path, pattern: str, into: Path) -> Path:
    """A folder of links with the parts train and test, the latter of the recordings in whose names ``pattern`` is."""
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        part = into / ("test" if re.search(pattern, file.name) else "train") / file.relative_to(folder)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.symlink_to(file.resolve())
    return into


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--label-pattern", help="regular expression whose first group, in a file's name, is its label")
    parser.add_argument("--test-pattern", help="names of the test recordings (default: 10 %% at random)")
    parser.add_argument("--run", type=Path, help="run folder of a class-conditional model of sounds")
    parser.add_argument("--each", type=int, default=20, help="recordings generated of each class")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = None if options.run is None else load(options.run, device="cpu")
    rate = None if model is None else model.spec.sample_rate
    seconds = None if model is None else model.spec.shape[-1] / model.spec.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        source = (
            split_by_name(options.data, options.test_pattern, Path(folder)) if options.test_pattern else options.data
        )
        settings = DataConfig(
            source=str(source), label_pattern=options.label_pattern, rate=rate, seconds=seconds, seed=options.seed
        )
        splits = open_data(settings)
    classes = splits.spec.classes
    if not classes or (model is not None and model.spec.classes != classes):
        raise SystemExit(f"the recordings have the classes {classes}; they and the model's must be the same")
    print(f"{splits.spec}; {len(splits.train):,} to train on, {len(splits.test):,} held out", *splits.notes, sep="\n")
    start = time.perf_counter()
    listener = trained(splits, options.rounds, options.seed)
    print(f"trained {options.rounds:,} rounds in {time.perf_counter() - start:.0f} s, {options.threads} threads")
    for name, part in (("training recordings", splits.train), ("held-out recordings", splits.test)):
        batch = part.batch()
        assert batch.condition is not None
        tell(name, judged(listener, batch.x, batch.condition), classes)
    if model is not None:
        start = time.perf_counter()
        made = [
            sample(model, options.each, condition=torch.tensor([i]), seed=options.seed + i * options.each)
            for i in range(len(classes))
        ]
        print(f"generated {options.each * len(classes):,} recordings in {time.perf_counter() - start:.0f} s")
        label = torch.arange(len(classes)).repeat_interleave(options.each)
        tell("generated recordings", judged(listener, torch.cat([m.x for m in made]), label), classes)


if __name__ == "__main__":
    main()
