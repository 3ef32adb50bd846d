"""A training step of `ddpm-mnist`, and of its U-Net alone, beside diffusers' UNet2DModel in a plain loop.

Three of theirs: one of about as many parameters as ours, as a user would build it for 28x28 pixels; one with our widths
on the unfolded image; and exactly our structure on the image folded by the user (pixel unshuffle). All take the same
images, AdamW, float32, and are timed in turn, round by round, by processor time; the median ratio is printed.

    OMP_NUM_THREADS=1 python benchmarks/ddpm_speed.py --rounds 7
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from genwerk import recipes
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.training.trainer import Trainer

SPEC = DataSpec(kind="image", shape=(1, 28, 28), classes=tuple("0123456789"))
BATCH = 64


def ours() -> tuple[Iterator[object], nn.Module]:
    recipe = recipes.recipe("ddpm-mnist", SPEC)
    train = replace(recipe.train, batch_size=BATCH, sample_every=0, evaluate_every=0, save_every=0)
    torch.manual_seed(0)
    model = build(recipe.model, SPEC)
    x = torch.randint(0, 256, (2048, 1, 28, 28), dtype=torch.uint8)
    data = Dataset(x=x, spec=SPEC, condition=torch.arange(2048) % 10)
    return iter(Trainer(model, data, train)), model


def theirs(widths: tuple[int, ...], patch: int, blocks: int = 1) -> tuple[Callable[[], None], nn.Module]:
    """The training loop of diffusers' own example, without logging, saving and averages."""
    torch.manual_seed(0)
    net = UNet2DModel(
        sample_size=28 // patch,
        in_channels=patch**2,
        out_channels=patch**2,
        layers_per_block=blocks,
        block_out_channels=widths,
        norm_num_groups=8,
        down_block_types=("DownBlock2D",) * (len(widths) - 1) + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (len(widths) - 1),
        attention_head_dim=widths[-1],
        num_class_embeds=11,
    )
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    images, labels = torch.rand(2048, 1, 28, 28) * 2 - 1, torch.arange(2048) % 10

    def step() -> None:
        rows = torch.randint(2048, (BATCH,))
        x: Tensor = F.pixel_unshuffle(images[rows], patch)
        noise, t = torch.randn_like(x), torch.randint(0, 1000, (BATCH,))
        noisy = scheduler.add_noise(x, noise, t)
        loss = F.mse_loss(net(noisy, t, labels[rows]).sample, scheduler.get_velocity(x, noise, t))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()

    return step, net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    game, model = ours()
    steps: dict[str, Callable[[], object]] = {"genwerk, trainer and all": lambda: next(game)}
    sizes = {"genwerk, trainer and all": sum(p.numel() for p in model.parameters())}
    for name, settings in {
        "as many parameters, 28x28": ((32, 64, 128), 1),
        "the same widths, 28x28": ((64, 128), 1),
        "the same structure, folded by hand": ((64, 128), 2),
    }.items():
        steps[name], net = theirs(*settings)
        sizes[name] = sum(p.numel() for p in net.parameters())
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            start = time.process_time()
            step()
            seconds[name].append(time.process_time() - start)
    base = seconds["genwerk, trainer and all"]
    for name, times in seconds.items():
        ratio = statistics.median(t / b for t, b in zip(times, base, strict=True))
        rate = BATCH / statistics.median(times)
        print(f"{name:36} {sizes[name]:>10,} parameters  {rate:6.1f} images/s  {ratio:5.2f} times our time")


if __name__ == "__main__":
    main()
