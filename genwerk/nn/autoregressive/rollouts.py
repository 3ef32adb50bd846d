"""Monte Carlo rollouts: what a network makes of every beginning of its own sequences, several times over.

Yu, Zhang, Wang & Yu, SeqGAN, 2017, arXiv:1609.05473, equation 4: the action value of a token is estimated by drawing
the rest of the sequence ``k`` times. The beginnings of all lengths stand at the same position at the same time: those
of length t join, t tokens on, the rollouts of shorter ones. So ``length`` steps make all of them, each token is read
once, and the k first tokens that follow one beginning come from one distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genwerk.core.options import AS_LEARNED
from genwerk.nn.autoregressive.network import AutoregressiveNetwork, Cache

IN_CACHE, AT_ONCE = 2**20, 2**28
"""Logits computed together on a processor, whose cache they should fit, and on other devices, for their memory."""


@torch.no_grad()
def rollouts(
    network: AutoregressiveNetwork,
    sequence: Tensor,
    u: Tensor,
    condition: Tensor | None = None,
    settled: Tensor | None = None,
) -> Tensor:
    """``k`` continuations of each beginning of each sequence, int64 with shape (n, length - 1, k, length).

    ``sequence`` holds symbols in order of emission, int64 with shape (n, length); the beginnings are its first 1, 2, ..
    length - 1 symbols, kept in the continuations. ``u`` is uniform with the shape of the result. Where ``settled``,
    boolean with the shape of ``sequence``, nothing else can follow what stands before: these beginnings are not drawn
    from, and their continuations are the sequence itself.
    """
    n, length = sequence.shape
    _, beginnings, k, _ = u.shape
    if u.shape != (n, length - 1, k, length):
        raise ValueError(f"u has shape {tuple(u.shape)}; expected ({n}, {length - 1}, k, {length})")
    most = max(1, (IN_CACHE if sequence.device.type == "cpu" else AT_ONCE) // network.levels)
    found = sequence[:, None, None].repeat(1, beginnings, k, 1)
    rows, draws = found.view(-1, length), u.reshape(-1, length)
    each = torch.arange(len(rows), device=sequence.device).view(n, beginnings, k)
    open_ = torch.ones_like(sequence, dtype=torch.bool) if settled is None else ~settled
    running: list[tuple[Cache, Tensor]] = []
    base = network.begin(n, condition)
    for t in range(length):
        for cache, row in running:
            symbol = AS_LEARNED.draw(network.logits(cache), draws[row, t])
            rows[row, t] = symbol
            network.push(cache, symbol)
        logits = network.logits(base)
        starting = open_[:, t].nonzero()[:, 0] if t else sequence.new_empty(0)
        for part in starting.split(max(1, most // k)) if len(starting) else ():
            row = each[part, t - 1]
            symbol = AS_LEARNED.draw(logits[part], draws[row, t])
            rows[row, t] = symbol
            cache = base.fork(part.repeat_interleave(k))
            network.push(cache, symbol.flatten())
            running.append((cache, row.flatten()))
            if len(running) > 1 and len(running[-2][1]) + row.numel() <= most:
                (cache, row), (newer, more) = running[-2:]
                running[-2:] = [(cache.join(newer), torch.cat([row, more]))]
        network.push(base, sequence[:, t])
    return found
