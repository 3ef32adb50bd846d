"""A training step of pix2pix and of CycleGAN here, against one in the style of the public code on the same networks.

    python benchmarks/pix2pix_step.py [--games pix2pix cyclegan] [--side 256] [--width 64] [--repeats 9]

The other step is written after pytorch-CycleGAN-and-pix2pix (Zhu, Park & Wang): networks that are one nn.Sequential
within another, with ReLUs in place; requires_grad set off and on around each player's part; torch's Adam as it comes;
scores compared with tensors of ones and zeros; a pool of 50 images that is a list. Images are made up and in memory on
both sides, a batch is one image (of each domain), and there is no dropout. Blocks of steps alternate, so that a
drifting machine treats both alike.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from math import log2

import torch
from torch import Tensor, nn

from genwerk.core.degradation import Greyscale
from genwerk.core.model import Config, build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.cyclegan import CycleGANConfig
from genwerk.families.pix2pix import Pix2PixConfig
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import ResNetGeneratorConfig, UNetGeneratorConfig
from genwerk.recipes.gan import pair
from genwerk.recipes.pix2pix import ADAM
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

IMAGES = 20
Step = Callable[[], None]


# --- networks as nested sequences -------------------------------------------------------------------------------------


class Skip(nn.Module):
    """A level of the U-Net: x beside what lies within it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def unet(channels: int, out: int, width: int, halvings: int) -> nn.Module:
    """The U-Net of pix2pix, from the innermost level outwards."""
    widths = [width * min(2**i, 8) for i in range(halvings)]

    def down(before: int, after: int) -> nn.Module:
        return nn.Conv2d(before, after, 4, 2, 1, bias=False)

    def up(before: int, after: int, bias: bool = False) -> nn.Module:
        return nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)

    inner: list[nn.Module] = [
        nn.Conv2d(widths[-2], widths[-1], 4, 2, 1),
        nn.ReLU(True),
        up(widths[-1], widths[-2]),
        nn.BatchNorm2d(widths[-2]),
    ]
    block: nn.Module = Skip(nn.LeakyReLU(0.2, True), *inner)
    for i in range(halvings - 2, 0, -1):
        before, after = widths[i - 1], widths[i]
        block = Skip(
            nn.LeakyReLU(0.2, True),
            down(before, after),
            nn.BatchNorm2d(after),
            block,
            nn.ReLU(True),
            up(2 * after, before),
            nn.BatchNorm2d(before),
        )
    first = nn.Conv2d(channels, width, 4, 2, 1)
    return nn.Sequential(first, block, nn.ReLU(True), up(2 * width, out, True), nn.Tanh())


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


def resnet(channels: int, width: int, blocks: int) -> nn.Module:
    """The generator of CycleGAN."""
    layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), nn.InstanceNorm2d(width)]
    layers.append(nn.ReLU(True))
    for w in (width, 2 * width):
        layers += [nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU(True)]
    layers += [Residual(4 * width) for _ in range(blocks)]
    for w in (4 * width, 2 * width):
        layers.append(nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1))
        layers += [nn.InstanceNorm2d(w // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())


def patchgan(channels: int, width: int, norm: Callable[[int], nn.Module]) -> nn.Module:
    """The discriminator of patches of 70 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for i, stride in enumerate((2, 2, 1)):
        before, after = width * 2**i, width * 2 ** (i + 1)
        layers += [nn.Conv2d(before, after, 4, stride, 1), norm(after), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


# --- steps in the style of the public code ----------------------------------------------------------------------------


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(chain.from_iterable(m.parameters() for m in modules), lr=2e-4, betas=(0.5, 0.999))


def requires_grad(modules: Iterable[nn.Module], yes: bool) -> None:
    for parameter in chain.from_iterable(m.parameters() for m in modules):
        parameter.requires_grad = yes


def against(criterion: nn.Module, score: Tensor, real: bool) -> Tensor:
    loss: Tensor = criterion(score, torch.tensor(float(real)).expand_as(score))
    return loss


def pix2pix_plain(side: int, width: int) -> Step:
    g, d = unet(1, 3, width, int(log2(side))), patchgan(4, width, nn.BatchNorm2d)
    optim_g, optim_d, bce, l1 = adam(g), adam(d), nn.BCEWithLogitsLoss(), nn.L1Loss()
    images = pixels(side)

    def step() -> None:
        b = images[torch.randint(0, IMAGES, (1,))].float() / 127.5 - 1
        a = b.mean(1, keepdim=True)
        fake = g(a)
        requires_grad([d], True)
        optim_d.zero_grad()
        on_fake = against(bce, d(torch.cat([a, fake], 1).detach()), False)
        on_real = against(bce, d(torch.cat([a, b], 1)), True)
        ((on_fake + on_real) * 0.5).backward()
        optim_d.step()
        requires_grad([d], False)
        optim_g.zero_grad()
        (against(bce, d(torch.cat([a, fake], 1)), True) + 100 * l1(fake, b)).backward()
        optim_g.step()

    return step


class Pool:
    """The last generated images, of which one is shown in place of a new one every other time."""

    def __init__(self, size: int = 50) -> None:
        self.size, self.images = size, list[Tensor]()

    def query(self, images: Tensor) -> Tensor:
        shown = []
        for image in images.detach():
            if len(self.images) < self.size:
                self.images.append(image.clone())
                shown.append(image)
            elif random.random() > 0.5:
                i = random.randrange(self.size)
                shown.append(self.images[i].clone())
                self.images[i] = image.clone()
            else:
                shown.append(image)
        return torch.stack(shown)


def cyclegan_plain(side: int, width: int) -> Step:
    blocks = 9 if side >= 256 else 6
    to_b, to_a = resnet(3, width, blocks), resnet(3, width, blocks)
    d_b, d_a = patchgan(3, width, nn.InstanceNorm2d), patchgan(3, width, nn.InstanceNorm2d)
    optim_g, optim_d, mse, l1 = adam(to_a, to_b), adam(d_a, d_b), nn.MSELoss(), nn.L1Loss()
    images, pools = pixels(side), (Pool(), Pool())

    def step() -> None:
        a, b = (images[torch.randint(0, IMAGES, (1,))].float() / 127.5 - 1 for _ in range(2))
        fake_b = to_b(a)
        back_a = to_a(fake_b)
        fake_a = to_a(b)
        back_b = to_b(fake_a)
        requires_grad([d_a, d_b], False)
        optim_g.zero_grad()
        identity = l1(to_b(b), b) + l1(to_a(a), a)
        fooled = against(mse, d_b(fake_b), True) + against(mse, d_a(fake_a), True)
        (fooled + 10 * (l1(back_a, a) + l1(back_b, b)) + 5 * identity).backward()
        optim_g.step()
        requires_grad([d_a, d_b], True)
        optim_d.zero_grad()
        for d, real, fake, pool in ((d_b, b, fake_b, pools[0]), (d_a, a, fake_a, pools[1])):
            on_real, on_fake = against(mse, d(real), True), against(mse, d(pool.query(fake)), False)
            ((on_real + on_fake) * 0.5).backward()
        optim_d.step()

    return step


# --- ours -------------------------------------------------------------------------------------------------------------


def pixels(side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (IMAGES, 3, side, side), dtype=torch.uint8, generator=generator)


def pix2pix_ours(side: int, width: int) -> Step:
    network = UNetGeneratorConfig(width=width, halvings=int(log2(side)))
    discriminator = PatchGANConfig(width=width, norm="batch")
    return ours(
        Pix2PixConfig(degradation=Greyscale(), network=network, residual=False, discriminator=discriminator), side, 1
    )


def cyclegan_ours(side: int, width: int) -> Step:
    network = ResNetGeneratorConfig(width=width, blocks=9 if side >= 256 else 6, up="transposed")
    return ours(CycleGANConfig(network=network, discriminator=PatchGANConfig(width=width)), side, 2)


def ours(config: Config, side: int, classes: int) -> Step:
    """One round of the trainer."""
    spec = DataSpec(kind="image", shape=(3, side, side), classes=("a", "b") if classes == 2 else ())
    labels = torch.arange(IMAGES) % 2 if classes == 2 else None
    torch.manual_seed(0)
    settings = TrainConfig(rounds=10**9, batch_size=1, optim=pair(ADAM), sample_every=0, evaluate_every=0)
    data = Dataset(x=pixels(side), spec=spec, condition=labels)
    events: Iterator[object] = iter(Trainer(build(config, spec), data, replace(settings, save_every=0)))
    return lambda: next(events) and None


GAMES = {"pix2pix": (pix2pix_plain, pix2pix_ours), "cyclegan": (cyclegan_plain, cyclegan_ours)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1, help="steps in a block")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of blocks")
    arguments = parser.parse_args()
    for name in arguments.games:
        plain, here = (make(arguments.side, arguments.width) for make in GAMES[name])
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for repeat in range(arguments.repeats + 1):
            for loop, step in (("plain", plain), ("ours", here)):
                start = time.process_time()
                for _ in range(arguments.steps):
                    step()
                if repeat:
                    seconds[loop].append((time.process_time() - start) / arguments.steps)
        ratios = sorted(p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True))
        quarter = len(ratios) // 4
        theirs, own = (statistics.median(seconds[loop]) for loop in ("plain", "ours"))
        print(
            f"{name}, {arguments.side} pixels, width {arguments.width}: in the style of the public code {theirs:.3f}, "
            f"ours {own:.3f} CPU s a step; {statistics.median(ratios):.2f} times as fast (quartiles "
            f"{ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f}), {torch.get_num_threads()} threads",
            flush=True,
        )


if __name__ == "__main__":
    main()
