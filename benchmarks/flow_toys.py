"""Flows on densities of known entropy, beside zuko's and normflows' of equal size: divergence from the truth and time.

    pip install zuko normflows
    OMP_NUM_THREADS=1 python benchmarks/flow_toys.py [--toys parabola] [--flows maf] [--seeds 0] [--rounds 1500]

Every flow is this library's recipe, with its depth, widths, batch, optimiser and rounds given to the others as well;
all see the same batches of the same 20,000 points, brought to unit variance. They are trained in one plain loop, in
turns of 50 steps each, so that neighbours on the machine slow all of them alike; times are of the processor. The
divergence KL(truth || flow) is the mean of log p(x) - log q(x) over 50,000 fresh points, with its standard error.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import cos, pi, sqrt

import normflows as nf
import torch
import zuko
from torch import Tensor, nn

from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.data.toys import TOYS
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.flow import FlowModel
from genwerk.families.realnvp import RealNVPConfig
from genwerk.nn.flows.monotone import AffineConfig, SplineConfig
from genwerk.recipes import REGISTRY
from genwerk.training.settings import OptimConfig, Recipe

SPEC = DataSpec(kind="table", shape=(2,))
TURN = 50
"""Steps before the next flow has its turn."""


@dataclass
class Contender:
    """A flow with its optimiser."""

    name: str
    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    optim: OptimConfig
    rounds: int
    seconds: float = 0.0
    steps: int = 0
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(
            self.module.parameters(), lr=self.optim.lr, betas=self.optim.betas, fused=True
        )

    def train(self, batches: Sequence[Tensor]) -> None:
        """A step on each batch, in the recipe's manner."""
        start = time.process_time()
        for x in batches:
            t = self.steps
            self.optimizer.param_groups[0]["lr"] = (
                self.optim.lr * min(1, (t + 1) / self.optim.warmup) * 0.5 * (1 + cos(pi * t / self.rounds))
            )
            self.optimizer.zero_grad()
            loss = -self.log_prob(x).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), self.optim.clip_norm or float("inf"))
            self.optimizer.step()
            self.steps += 1
        self.seconds += time.process_time() - start

    @property
    def weights(self) -> int:
        return sum(p.numel() for p in self.module.parameters())


def ours(recipe: Recipe, x: Tensor) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """This library's flow, its surface and first normalisation fitted to ``x``."""
    model = build(recipe.model, SPEC)
    assert isinstance(model, FlowModel)
    prepare = model.stages(1)[0].data
    assert prepare is not None
    prepare(Dataset(x=x, spec=SPEC))
    return model, model.log_prob


def zukos(recipe: Recipe) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
    """zuko's flow of the recipe's size; None where it has none (spline couplings)."""
    config = recipe.model
    network = config if isinstance(config, MAFConfig) else config.architecture
    hidden = {"activation": nn.SiLU if network.activation == "silu" else nn.ReLU, "hidden_features": network.widths}
    match config:
        case MAFConfig(monotone=AffineConfig()):
            flow = zuko.flows.MAF(2, transforms=config.layers, **hidden)
        case MAFConfig(monotone=SplineConfig()):
            flow = zuko.flows.NSF(2, bins=config.monotone.bins, transforms=config.layers, **hidden)
        case RealNVPConfig(monotone=AffineConfig()):
            flow = zuko.flows.RealNVP(2, transforms=network.couplings, **hidden)
        case _:
            return None
    return flow, lambda x: flow().log_prob(x)


def normflowses(recipe: Recipe) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """normflows' flow of the recipe's size."""
    config, parts = recipe.model, []
    network = config if isinstance(config, MAFConfig) else config.architecture
    activation = nn.functional.silu if network.activation == "silu" else nn.functional.relu
    layers = config.layers if isinstance(config, MAFConfig) else network.couplings
    width = network.widths[0]
    for i in range(layers):
        match config:
            case MAFConfig(monotone=AffineConfig()):
                plain = {"num_blocks": 1, "use_residual_blocks": False, "activation": activation}
                parts += [nf.flows.MaskedAffineAutoregressive(2, width, **plain), nf.flows.Permute(2, mode="swap")]
            case MAFConfig():
                module = nn.SiLU if network.activation == "silu" else nn.ReLU
                spline = {
                    "num_bins": config.monotone.bins,
                    "tail_bound": config.monotone.tail_bound,
                    "activation": module,
                }
                flow = nf.flows.AutoregressiveRationalQuadraticSpline(2, 1, width, **spline)
                parts += [flow, nf.flows.Permute(2, mode="swap")]
            case RealNVPConfig(monotone=AffineConfig()):
                inner = nf.nets.MLP([1, *network.widths, 2], init_zeros=True)
                parts += [nf.flows.AffineCouplingBlock(inner), nf.flows.Permute(2, mode="swap")]
            case _:
                spline = {
                    "num_bins": config.monotone.bins,
                    "tail_bound": config.monotone.tail_bound,
                    "reverse_mask": bool(i % 2),
                }
                parts += [
                    nf.flows.CoupledRationalQuadraticSpline(2, 1, width, **spline),
                    nf.flows.LULinearPermute(2),
                ]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), parts)
    return flow, flow.log_prob


def contenders(name: str, x: Tensor, seed: int, rounds: int, alone: bool = False) -> Iterator[Contender]:
    """The recipe ``name`` as the three libraries have it, or this one ``alone``."""
    recipe = REGISTRY[name].make(SPEC)
    optim = recipe.train.optim["model"]
    made = {"genwerk": lambda: ours(recipe, x)}
    if not alone:
        made |= {"zuko": lambda: zukos(recipe), "normflows": lambda: normflowses(recipe)}
    for library, make in made.items():
        torch.manual_seed(seed)
        if (flow := make()) is not None:
            yield Contender(library, flow[0], flow[1], optim, rounds)


def run(toy: str, name: str, seed: int, rounds: int | None, alone: bool) -> dict[str, tuple[int, float, float, float]]:
    """Weights, divergence in nats, its standard error and processor seconds of each library's flow."""
    truth, recipe = TOYS[toy], REGISTRY[name].make(SPEC)
    x = truth.sample(20_000, seed)
    rounds = rounds or recipe.train.rounds
    mean, std = x.mean(0), x.std(0)
    y = (x - mean) / std
    all_of_them = list(contenders(name, y, seed, rounds, alone))
    generator = torch.Generator().manual_seed(seed)
    size = recipe.train.batch_size
    for _ in range(0, rounds, TURN):
        batches = [y[torch.randint(len(y), (size,), generator=generator)] for _ in range(TURN)]
        for flow in all_of_them:
            flow.train(batches)
    fresh = truth.sample(50_000, 1_000 + seed)
    found = {}
    for flow in all_of_them:
        flow.module.eval()
        with torch.no_grad():
            log_q = torch.cat([flow.log_prob(part) for part in ((fresh - mean) / std).split(10_000)]).double()
        gap = truth.log_prob(fresh) - (log_q - std.log().sum())
        found[flow.name] = (flow.weights, gap.mean().item(), gap.std().item() / sqrt(len(gap)), flow.seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toys", nargs="*", default=["parabola", "gaussians8"])
    parser.add_argument("--flows", nargs="*", default=["maf", "realnvp", "spline-flow", "spline-maf"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, help="rounds of all (default: the recipe's)")
    parser.add_argument("--alone", action="store_true", help="only this library")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| target | recipe | seed | library | weights | KL, nats | ± | processor s | step against ours |")
    print("|---|---|---|---|---|---|---|---|---|")
    for toy in arguments.toys:
        for name in arguments.flows:
            for seed in arguments.seeds:
                found = run(toy, name, seed, arguments.rounds, arguments.alone)
                for library, (weights, gap, error, seconds) in found.items():
                    ratio = seconds / found["genwerk"][3]
                    row = [toy, name, seed, library, f"{weights:,}", f"{gap:.4f}", f"{error:.4f}"]
                    row += [f"{seconds:.0f}", f"{ratio:.2f}"]
                    print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
