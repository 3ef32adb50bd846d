"""One round of a GAN here, against the usual plain script on the same layers: DCGAN and WGAN-GP, 28 pixels, batch 64.

    python benchmarks/gan_step.py [--rounds 10] [--repeats 12]

The plain script is that of the collections of PyTorch GANs: the generator steps first, through a discriminator that is
not frozen; the discriminator then sees the same fake examples detached; torch's default Adam; binary cross-entropy of
labels of ones and zeros; each network one nn.Sequential. Blocks of rounds alternate, so that a drifting machine treats
both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.gan import GAN, GANConfig
from genwerk.nn.adversarial import DCGANConfig
from genwerk.nn.adversarial.objectives import Wasserstein
from genwerk.recipes.gan import pair
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

BATCH, LATENT = 64, 100
SPEC = DataSpec(kind="image", shape=(1, 28, 28))
DCGAN = GANConfig(network=DCGANConfig(width=32))
WGAN_GP = replace(DCGAN, objective=Wasserstein(), critic_steps=5, gradient_penalty=10.0, norm="none")
GAMES = {"dcgan": DCGAN, "wgan-gp": WGAN_GP}


def data() -> Dataset:
    pixels = torch.randint(0, 256, (10_000, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Dataset(x=pixels, spec=SPEC)


def plain_pair(config: GANConfig) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator as a plain script writes them: the layers of ours, one after the other."""
    torch.manual_seed(0)
    game = GAN(config, SPEC)
    g, d = game.generator, game.discriminator
    ups = [m for norm, up in zip(g.norms, g.ups, strict=True) for m in (norm, nn.ReLU(), up)]
    downs = [m for layer in d.layers for m in (layer, nn.LeakyReLU(0.2))]
    return nn.Sequential(g.project, g.unflatten, *ups, nn.Tanh()), nn.Sequential(*downs, nn.Flatten(), d.head.linear)


def plain_dcgan() -> Callable[[], None]:
    """One round of a plain DCGAN script."""
    (g, d), pixels = plain_pair(DCGAN), data().x
    optim_g, optim_d = (torch.optim.Adam(m.parameters(), lr=2e-4, betas=(0.5, 0.999)) for m in (g, d))
    bce, valid, fake = nn.BCEWithLogitsLoss(), torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def step() -> None:
        real = pixels[torch.randint(0, len(pixels), (BATCH,))].float() / 127.5 - 1
        optim_g.zero_grad()
        made = g(torch.randn(BATCH, LATENT))
        bce(d(made), valid).backward()
        optim_g.step()
        optim_d.zero_grad()
        loss = (bce(d(real), valid) + bce(d(made.detach()), fake)) / 2
        loss.backward()
        optim_d.step()

    return step


def plain_wgan_gp() -> Callable[[], None]:
    """One round of a plain WGAN-GP script: five steps of the critic, one of the generator."""
    (g, d), pixels = plain_pair(WGAN_GP), data().x
    optim_g, optim_d = (torch.optim.Adam(m.parameters(), lr=1e-4, betas=(0.5, 0.9)) for m in (g, d))

    def step() -> None:
        for _ in range(5):
            real = pixels[torch.randint(0, len(pixels), (BATCH,))].float() / 127.5 - 1
            optim_d.zero_grad()
            made = g(torch.randn(BATCH, LATENT)).detach()
            eps = torch.rand(BATCH, 1, 1, 1)
            between = (eps * real + (1 - eps) * made).requires_grad_(True)
            scores = d(between)
            (gradient,) = torch.autograd.grad(
                scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True
            )
            penalty = ((gradient.view(BATCH, -1).norm(2, dim=1) - 1) ** 2).mean()
            (d(made).mean() - d(real).mean() + 10 * penalty).backward()
            optim_d.step()
        optim_g.zero_grad()
        (-d(g(torch.randn(BATCH, LATENT))).mean()).backward()
        optim_g.step()

    return step


PLAIN = {"dcgan": plain_dcgan, "wgan-gp": plain_wgan_gp}


def ours(config: GANConfig) -> Callable[[], None]:
    """One round of the trainer."""
    torch.manual_seed(0)
    settings = TrainConfig(
        rounds=10**9, batch_size=BATCH, optim=pair(OptimConfig(lr=2e-4)), sample_every=0, evaluate_every=0
    )
    events: Iterator[object] = iter(Trainer(GAN(config, SPEC), data(), replace(settings, save_every=0)))
    return lambda: next(events) and None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="rounds in a block")
    parser.add_argument("--repeats", type=int, default=12, help="pairs of blocks")
    arguments = parser.parse_args()
    for name, config in GAMES.items():
        loops = {"plain": PLAIN[name](), "ours": ours(config)}
        seconds: dict[str, list[float]] = {loop: [] for loop in loops}
        for repeat in range(arguments.repeats + 1):
            for loop, step in loops.items():
                start = time.perf_counter()
                for _ in range(arguments.rounds):
                    step()
                if repeat:
                    seconds[loop].append((time.perf_counter() - start) / arguments.rounds)
        ratios = sorted(p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True))
        quarter = len(ratios) // 4
        plain, here = (1e3 * statistics.median(seconds[loop]) for loop in ("plain", "ours"))
        print(
            f"{name}: plain {plain:.1f} ms, ours {here:.1f} ms a round; {statistics.median(ratios):.2f} times as fast "
            f"(quartiles {ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}), {torch.get_num_threads()} threads"
        )


if __name__ == "__main__":
    main()
