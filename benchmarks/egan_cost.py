"""What evolution costs: a generation of E-GAN with three children, against a round of three GANs, one an objective.

    python benchmarks/egan_cost.py [--rounds 40] [--repeats 15]

Both sides have the same networks, none of them normalised, the same batch and optimisers, and no penalty; each takes
one step of every generator. The three GANs also take one step of each of their three discriminators; the children share
one, whose step is paid for by their evaluation. Blocks of rounds alternate (E-GAN, first GAN, second, third, E-GAN,
...), so that a drifting machine treats all alike, and the ratio is of each block of E-GAN to the three beside it.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from genwerk.core.model import Model
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.egan import EGAN, EGANConfig
from genwerk.families.gan import GAN, GANConfig
from genwerk.nn.adversarial import AdversarialNetwork, DCGANConfig, MLPConfig
from genwerk.nn.adversarial.objectives import Objective
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

OBJECTIVES = ("minimax", "non-saturating", "least-squares")


class Setting(NamedTuple):
    """One pair of networks, and the data they are shown."""

    name: str
    network: AdversarialNetwork
    latent: int
    batch: int
    spec: DataSpec


SETTINGS = [
    Setting("MLP 3x128, batch 256", MLPConfig(width=128), 2, 256, DataSpec(kind="table", shape=(2,))),
    Setting(
        "DCGAN 28 px, width 32, batch 64", DCGANConfig(width=32), 100, 64, DataSpec(kind="image", shape=(1, 28, 28))
    ),
]


def rounds_of(model: Model, setting: Setting) -> Callable[[], object]:
    """A function that plays one round."""
    x = torch.randn(2_000, *setting.spec.shape)
    data = Dataset(x=x if setting.spec.kind == "table" else x.sigmoid().mul(255).to(torch.uint8), spec=setting.spec)
    optim = OptimConfig(lr=2e-4, betas=(0.5, 0.9))
    both = {"generator": optim, "discriminator": optim}
    train = TrainConfig(
        rounds=10**9, batch_size=setting.batch, optim=both, sample_every=0, evaluate_every=0, save_every=0
    )
    events: Iterator[object] = iter(Trainer(model, data, train))
    return lambda: next(events)


def timed(play: Callable[[], object], rounds: int) -> float:
    """Processor seconds a round, of which other programs take none."""
    start = time.process_time()
    for _ in range(rounds):
        play()
    return (time.process_time() - start) / rounds


def compare(setting: Setting, rounds: int, repeats: int) -> None:
    torch.manual_seed(0)
    settings = EGANConfig(network=setting.network, latent=setting.latent, mutations=OBJECTIVES)
    evolved, plain = rounds_of(EGAN(settings, setting.spec), setting), []
    for name in OBJECTIVES:
        config = GANConfig(network=setting.network, latent=setting.latent, norm="none", objective=Objective.of(name)())
        gan = GAN(config, setting.spec)
        gan.generator, _ = setting.network.build(setting.spec.shape, setting.latent, generator_norm="none")
        plain.append(rounds_of(gan, setting))
    pairs = [(timed(evolved, rounds), sum(timed(gan, rounds) for gan in plain)) for _ in range(repeats + 2)][2:]
    ratios = sorted(e / p for e, p in pairs)
    quarter = len(ratios) // 4
    print(setting.name)
    for name, values in zip(("E-GAN", "three GANs"), zip(*pairs, strict=True), strict=True):
        print(f"  {name:11} {1e3 * statistics.median(values):.2f} ms a round (median of {len(values)})")
    print(
        f"  ratio       {statistics.median(ratios):.3f} (quartiles {ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="rounds in a block")
    parser.add_argument("--repeats", type=int, default=15, help="blocks of each side")
    arguments = parser.parse_args()
    for setting in SETTINGS:
        rounds = arguments.rounds if isinstance(setting.network, MLPConfig) else max(1, arguments.rounds // 10)
        compare(setting, rounds, arguments.repeats)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")


if __name__ == "__main__":
    main()
