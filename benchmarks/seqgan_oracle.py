"""SeqGAN's synthetic experiment: NLL_oracle of maximum likelihood and of SeqGAN, between its floor and its ceiling.

    OMP_NUM_THREADS=1 python benchmarks/seqgan_oracle.py [--params PATH/target_params.npz] [--out FOLDER]
    OMP_NUM_THREADS=1 python benchmarks/seqgan_oracle.py --bounds 6 [--params PATH/target_params.npz]

The oracle is one of the library, or that of SeqGAN's authors (target_params.npz: the arrays of
save/target_params_py3.pkl in their order), whose weights have no licence: they are read for measuring alone and are no
part of Genwerk. A seed is a data set of the oracle, the generator's first weights, the order and the draws.

These generators are measured: that of maximum likelihood after all epochs, from which the others start, and at its best
held-out NLL; SeqGAN, at the end of its game, and what the same rounds make of the generator where every token has the
same worth, so that there is no discriminator; maximum likelihood for as many seconds of the processor more as the game
takes; and the first at lower temperatures. NLL_oracle falls for whatever makes samples less varied, so the held-out NLL
stands beside it.

The options are the cuts. The published schedule is ``--epochs 120 --schedule constant --init 0.1
--discriminator-rounds 50 --rounds 200 --rollouts 16 --d-steps 5 --d-batches 156 --d-epochs 3
--d-rate 1e-4 --widths 1 2 3 4 5 6 7 8 9 10 15 20 --filters 100 200 200 200 200 100 100 100 100 100 160 160``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genwerk.core.model import Player, Stage, TrainingStream, Turns
from genwerk.core.options import Symbolwise
from genwerk.core.spec import DataSpec
from genwerk.core.vocabularies import FIRST, Characters
from genwerk.data.dataset import Dataset
from genwerk.data.oracle import Oracle, oracle
from genwerk.families.language_model import LanguageModel, LanguageModelConfig
from genwerk.families.seqgan import SeqGAN, SeqGANConfig
from genwerk.nn.adversarial.text_cnn import TextCNNConfig
from genwerk.nn.autoregressive.lstm import LSTMConfig
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, generate
from genwerk.training.events import RoundDone
from genwerk.training.runtime import Runtime
from genwerk.training.settings import OptimConfig, TrainConfig, WatchdogConfig
from genwerk.training.trainer import Trainer

TOKENS, LENGTH, BATCH = 5000, 20, 64
HELD_OUT = 1000
"""Sentences of the oracle on which generators are judged, and not trained."""
GENERATOR = LSTMConfig(embedding=32, width=32)
SPEC = DataSpec(
    kind="text",
    shape=(LENGTH,),
    vocabulary=Characters(symbols=tuple(map(chr, range(0x4E00, 0x4E00 + TOKENS - FIRST))), length=LENGTH),
)
"""As many ids as the oracle has tokens."""
Weights = dict[str, Tensor]
Row = tuple[float, ...]
Generator = TypeVar("Generator", bound=LanguageModel)


def published(path: Path, length: int = LENGTH) -> Oracle:
    """The authors' oracle: gates in the order input, forget, output, candidate; the start is token 0."""
    with np.load(path, allow_pickle=False) as file:
        table, *gates, head, bias = (torch.from_numpy(file[name]) for name in sorted(file.files))
    config = LSTMConfig(embedding=table.shape[1], width=len(head))
    network = config.build(length, len(table), end=None, classes=0)

    w, u, b = (
        torch.cat([gates[3 * gate + part].t() for gate in (0, 1, 3, 2)]) for part in (0, 1, 2)
    )  # torch: i, f, g, o
    values = {
        "table.weight": table,
        "start": table[0],
        "lstm.weight_ih_l0": w,
        "lstm.weight_hh_l0": u,
        "lstm.bias_ih_l0": b,
        "lstm.bias_hh_l0": torch.zeros_like(b),
        "head.weight": head.T,
        "head.bias": bias,
    }
    network.load_state_dict(values)
    return Oracle(network)


# --- floor and ceiling ------------------------------------------------------------------------------------------------


def bounds(name: str, of: Oracle, n: int) -> str:
    """Floor and ceiling with their standard errors, and CPU seconds to sample."""
    start = time.process_time()
    own = of.sample(n, seed=1)
    seconds = time.process_time() - start
    uniform = torch.randint(of.network.levels, own.shape, generator=torch.Generator().manual_seed(2))
    floor, ceiling = of.nll(own), of.nll(uniform)
    errors = [float(nll.std() / n**0.5) for nll in (floor, ceiling)]
    return f"| {name} | {floor.mean():.3f} ± {errors[0]:.3f} | {ceiling.mean():.3f} ± {errors[1]:.3f} | {seconds:.1f} |"


# --- generators -------------------------------------------------------------------------------------------------------


class Game(SeqGAN):
    """SeqGAN without its first stage, which another model has played."""

    def stages(self, rounds: int) -> Sequence[Stage]:
        return super().stages(rounds)[1:]


class NoDiscriminator(SeqGAN):
    """The game where all tokens have one worth: maximum likelihood of the generator's own sentences."""

    def stages(self, rounds: int) -> Sequence[Stage]:
        return super().stages(rounds)[2:]

    def worth(self, y: Tensor, u: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.full(y.shape, 0.5)

    def discriminator_turns(self, stream: TrainingStream, players: Mapping[str, Player]) -> Turns:
        yield from ()


def endless(model: Generator, weights: Weights | None = None) -> Generator:
    """``model`` for sentences that fill their places: no token is an end."""
    model.network.end = None
    if weights is not None:
        model.network.load_state_dict(weights)
    return model


def copied(model: LanguageModel) -> Weights:
    return {name: value.clone() for name, value in model.network.state_dict().items()}


@dataclass(frozen=True)
class Experiment:
    """An oracle, sentences of it, and the cuts."""

    of: Oracle
    train: Tensor
    held_out: Tensor
    seed: int
    cuts: argparse.Namespace

    def played(
        self, model: LanguageModel, rounds: int, optim: dict[str, OptimConfig], seed: int
    ) -> Iterator[tuple[RoundDone, float]]:
        """The rounds of a training, and seconds of the processor so far, without those between rounds."""
        settings = TrainConfig(
            rounds=rounds,
            batch_size=BATCH,
            optim=optim,
            sample_every=0,
            save_every=0,
            watchdog=WatchdogConfig(action="off"),
            precision=self.cuts.precision,
            seed=seed,
        )
        spent, start = 0.0, time.process_time()
        data = Dataset(x=self.train.int(), spec=SPEC)
        for event in Trainer(model, data, settings, runtime=Runtime(torch.device("cpu"), settings.precision)):
            spent += time.process_time() - start
            if isinstance(event, RoundDone):
                yield event, spent
            start = time.process_time()

    def likelihood(self) -> tuple[Weights, Weights, float]:
        """The generator at its best held-out NLL, and after all epochs, and how long these took."""
        torch.manual_seed(self.seed)
        network = replace(GENERATOR, init=self.cuts.init)
        model = endless(LanguageModel(LanguageModelConfig(network=network), SPEC))
        epoch = len(self.train) // BATCH
        best, least, seconds = copied(model), float("inf"), 0.0
        optim = {"model": OptimConfig(lr=1e-2, schedule=self.cuts.schedule)}
        for event, spent in self.played(model, self.cuts.epochs * epoch, optim, self.seed):
            seconds = spent
            if event.round % epoch == 0 and (now := self.held_out_nll(model.network)) < least:
                best, least = copied(model), now
        return best, copied(model), seconds

    def further(self, weights: Weights, seconds: float) -> Weights:
        """``weights`` after so many more seconds of maximum likelihood."""
        model = endless(LanguageModel(LanguageModelConfig(network=GENERATOR), SPEC), weights)
        for _, spent in self.played(model, 10**6, {"model": OptimConfig(lr=self.cuts.further_rate)}, self.seed):
            if spent > seconds:
                break
        return copied(model)

    def game(self, of: type[SeqGAN], weights: Weights, seed: int) -> tuple[Weights, float]:
        """``weights`` after the stages of ``of``, and how long these took."""
        cuts = self.cuts
        torch.manual_seed(seed)
        config = SeqGANConfig(
            network=GENERATOR,
            discriminator=TextCNNConfig(widths=tuple(cuts.widths), filters=tuple(cuts.filters)),
            discriminator_rounds=cuts.discriminator_rounds,
            rollouts=cuts.rollouts,
            baseline=cuts.baseline,
            g_steps=cuts.g_steps,
            d_steps=cuts.d_steps,
            d_batches=cuts.d_batches,
            d_epochs=cuts.d_epochs,
        )
        model, seconds = endless(of(config, SPEC), weights), 0.0
        optim = {"generator": OptimConfig(lr=cuts.rate), "discriminator": OptimConfig(lr=cuts.d_rate)}
        for event, spent in self.played(model, cuts.rounds, optim, seed):
            seconds = spent
            if cuts.every and event.round % cuts.every == 0:
                found = " and ".join(f"{value:.3f}" for value in self.figures(model.network))
                print(f"{event.stage} {event.round}, {spent:.0f} s: {found}", file=sys.stderr, flush=True)
        return copied(model), seconds

    # --- figures ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def held_out_nll(self, network: AutoregressiveNetwork, temperature: float = 1.0) -> float:
        """Nats a token of held-out sentences under the generator, whose logits are divided by ``temperature``."""
        nats = []
        for part in self.held_out.split(128):
            log_p = (network(part) / temperature).log_softmax(1)
            nats.append(-log_p.gather(1, part[:, None])[:, 0].mean(1))
        return float(torch.cat(nats).mean())

    @torch.no_grad()
    def figures(self, network: AutoregressiveNetwork, temperature: float = 1.0) -> tuple[float, float]:
        """NLL_oracle of sentences of the generator, and :meth:`held_out_nll`."""
        u = torch.rand(self.cuts.measured, LENGTH, generator=torch.Generator().manual_seed(self.seed))
        options, nats = Symbolwise(temperature=temperature), []
        for part in u.split(512):
            made = torch.stack(list(generate(network, network.begin(len(part)), part, options)), 1)
            nats.append(self.of.nll(made))
        return float(torch.cat(nats).mean()), self.held_out_nll(network, temperature)

    def measured(self) -> Iterator[tuple[str, float, float, float]]:
        """Name, NLL_oracle, held-out NLL and seconds of training of each generator."""
        kept = None if self.cuts.out is None else self.cuts.out / f"likelihood-{self.seed}.safetensors"
        if kept is not None and kept.exists():
            stored = load_file(kept)
            best, last = (
                {name[5:]: value for name, value in stored.items() if name[:5] == of} for of in ("best.", "last.")
            )
            learned = float(stored["seconds"])
        else:
            best, last, learned = self.likelihood()
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                both = {f"best.{name}": value for name, value in best.items()}
                both |= {f"last.{name}": value for name, value in last.items()}
                save_file(both | {"seconds": torch.tensor(learned)}, kept)
        network = endless(LanguageModel(LanguageModelConfig(network=GENERATOR), SPEC)).network

        def row(
            name: str, weights: Weights, seconds: float, temperature: float = 1.0
        ) -> tuple[str, float, float, float]:
            network.load_state_dict(weights)
            return name, *self.figures(network, temperature), seconds

        yield row(LAST, last, learned)
        yield row(BEST, best, learned)
        seconds = 0.0
        for game in range(self.cuts.games):
            for name, of in ((GAME, Game), (ALONE, NoDiscriminator)):
                played, spent = self.game(of, last, self.seed + 1000 * game)
                yield row(name, played, learned + spent)
                seconds = max(seconds, spent)
        yield row(FURTHER, self.further(last, seconds), learned + seconds)
        for temperature in self.cuts.temperatures:
            yield row(f"{LAST}, temperature {temperature}", last, learned, temperature)


LAST, BEST = "maximum likelihood", "maximum likelihood, best held out"
GAME, ALONE, FURTHER = "SeqGAN", "SeqGAN's rounds without discriminator", "maximum likelihood, further"
"""What the generators are called."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--params", type=Path, help="the authors' oracle; without it one of the library")
    option("--oracle", type=int, default=0, help="seed of the library's oracle")
    option(
        "--bounds", type=int, default=0, metavar="N", help="only the floor and the ceiling, of so many of the library"
    )
    option("--seeds", type=int, nargs="+", default=[0, 1, 2])
    option("--games", type=int, default=1, help="from each generator of maximum likelihood, with seeds of their own")
    option("--n", type=int, default=10_000, help="sentences that are learned from")
    option("--measured", type=int, default=4_000, help="sentences of each generator that are measured")
    option("--temperatures", type=float, nargs="*", default=[0.95, 0.9, 0.8], help="of the first generator")
    option("--out", type=Path, help="folder in which what maximum likelihood has learned is kept and looked for")
    option("--epochs", type=int, default=80, help="of maximum likelihood")
    option(
        "--init", type=float, default=0.0, help="standard deviation of a generator's first weights; the authors' is 0.1"
    )
    option("--precision", default="float32", choices=["float32", "bfloat16"], help="of training")
    option("--schedule", default="cosine", help="of the learning rate of maximum likelihood, from 0.01 on")
    option("--further-rate", type=float, default=1e-3, help="learning rate of the further maximum likelihood")
    option("--discriminator-rounds", type=int, default=10)
    option("--rounds", type=int, default=20, help="of the game")
    option("--rollouts", type=int, default=1)
    option("--baseline", default="none", choices=["none", "batch"])
    option("--rate", type=float, default=1e-2, help="learning rate of the generator in the game")
    option("--g-steps", type=int, default=1)
    option("--d-steps", type=int, default=1)
    option("--d-batches", type=int, default=16)
    option("--d-epochs", type=int, default=1)
    option("--d-rate", type=float, default=2e-3, help="learning rate of the discriminator")
    option("--widths", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    option("--filters", type=int, nargs="+", default=[64] * 5)
    option("--every", type=int, default=0, help="rounds of the game after which figures are told on the way; 0 never")
    cuts = parser.parse_args()
    torch.set_num_threads(1)
    of = published(cuts.params) if cuts.params else oracle(seed=cuts.oracle)
    if cuts.bounds:
        print("| oracle | its own samples | uniform tokens | CPU s to sample |\n|---|---|---|---|")
        if cuts.params:
            print(bounds("SeqGAN's authors'", of, cuts.n), flush=True)
        for seed in range(cuts.bounds):
            print(bounds(f"seed {seed}", oracle(seed=seed), cuts.n), flush=True)
        return
    print("| seed | generator | NLL_oracle | held-out NLL | CPU s |\n|---|---|---|---|---|", flush=True)
    found: dict[str, list[Row]] = {}
    for seed in cuts.seeds:
        sentences = of.sample(cuts.n + HELD_OUT, seed=seed + 1)
        start = None
        for name, *row in Experiment(of, sentences[: cuts.n], sentences[cuts.n :], seed, cuts).measured():
            print(f"| {seed} | {name} | {row[0]:.3f} | {row[1]:.3f} | {row[2]:.0f} |", flush=True)
            start = start or row
            found.setdefault(name, []).append((row[0], row[1], row[0] - start[0]))
    print("\n| generator | NLL_oracle | held-out NLL | from maximum likelihood |\n|---|---|---|---|")
    for name, rows in found.items():
        print(f"| {name} | " + " | ".join(map(spread, zip(*rows, strict=True))) + " |")


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
