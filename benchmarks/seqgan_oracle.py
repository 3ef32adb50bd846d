"""The floor and the ceiling of NLL_oracle: of oracles of the library, or of the one that SeqGAN was published with.

    OMP_NUM_THREADS=1 python benchmarks/seqgan_oracle.py [--seeds 6] [--params PATH/target_params.npz] [--n 10000]

The weights of SeqGAN's authors (target_params.npz: the arrays of save/target_params_py3.pkl in their order) have no
licence. They are read for measuring alone and are no part of Genwerk.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from genwerk.data.oracle import Oracle, oracle
from genwerk.nn.autoregressive.lstm import LSTMConfig


def published(path: Path, length: int = 20) -> Oracle:
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


def row(name: str, of: Oracle, n: int) -> str:
    """Floor and ceiling with their standard errors, and CPU seconds to sample."""
    start = time.process_time()
    own = of.sample(n, seed=1)
    seconds = time.process_time() - start
    uniform = torch.randint(of.network.levels, own.shape, generator=torch.Generator().manual_seed(2))
    floor, ceiling = of.nll(own), of.nll(uniform)
    errors = [float(nll.std() / n**0.5) for nll in (floor, ceiling)]
    return f"| {name} | {floor.mean():.3f} ± {errors[0]:.3f} | {ceiling.mean():.3f} ± {errors[1]:.3f} | {seconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--params", type=Path)
    parser.add_argument("--n", type=int, default=10_000, help="sequences")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| oracle | its own samples | uniform tokens | CPU s to sample |\n|---|---|---|---|")
    if options.params:
        print(row("SeqGAN's authors'", published(options.params), options.n), flush=True)
    for seed in range(options.seeds):
        print(row(f"seed {seed}", oracle(seed=seed), options.n), flush=True)


if __name__ == "__main__":
    main()
