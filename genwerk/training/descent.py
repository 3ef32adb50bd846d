"""One turn: the gradient of its loss over micro-batches and processes, and the step of its player's optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from genwerk.core.model import Loss, Metrics, Rows, Turn
from genwerk.data.stream import Stream
from genwerk.training.players import PlayerState
from genwerk.training.runtime import Runtime

UNREAD = 64
"""Losses on a GPU that are looked at together."""


class Diverged(RuntimeError):
    """A loss or a weight stopped being a finite number."""


def micro_batches(rows: Sequence[Rows], size: int | None) -> Iterator[tuple[Sequence[Rows], float]]:
    """``rows`` cut into micro-batches of at most ``size``, each with its share of the examples (the shares sum to 1).

    A ValueError says where there are more rows of one than of another.
    """
    lengths = [len(r) for r in rows if r is not None]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"the rows of a turn number {', '.join(map(str, lengths))}; expected one an example in each "
            "(what is not cut with the batch is passed by keyword)"
        )
    n = lengths[0] if lengths else 0
    if not size or n <= size:
        yield rows, 1.0
        return
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        yield [None if r is None else r[part] for r in rows], (part.stop - start) / n


class Descent:
    """Takes the turns of ``players``; :meth:`begin` says of each stage how large its batches are."""

    def __init__(self, players: Mapping[str, PlayerState], runtime: Runtime, micro_batch: int | None) -> None:
        self.players, self.runtime, self.micro_batch = players, runtime, micro_batch
        self.batch_size, self.share = 0, 1.0
        self.moved: dict[str, bool] = {}
        """Who has moved in this round, and whether that player tells real from fake."""
        self._unread: list[tuple[str, int, Tensor]] = []

    def begin(self, stream: Stream) -> None:
        """Go on with the batches of ``stream``, of which this process has a share."""
        self.batch_size, rows = stream.batch_size, stream.rows
        self.share = (rows.stop - rows.start) / stream.batch_size

    def take(
        self, turn: Turn, stage: str, round: int, rate: Callable[[PlayerState], float], *, measured: bool
    ) -> Metrics:
        """One turn of ``round``: its figures, after the step of its player at learning rate ``rate``.

        The gradient's norm before clipping is among them where it is ``measured``.
        """
        player = None if turn.player is None else self.players[turn.player]
        if len(self.players) > 1:
            for other in self.players.values():
                other.freeze(player not in (None, other))
        if player is not None:
            for p in player.parameters:
                p.grad = None
        total, means = (self._descend if turn.features is None else self._descend_whole)(turn, player is not None)
        of = "" if turn.player in (None, "model") else f"{turn.player} "
        means = {f"{of}loss": total, **means}
        self._pool(player, means)
        self._note(turn.player or stage, round, total)
        if player is not None:
            self.moved[player.name] = "accuracy" in means
            norm = self._step(player, rate, measured)
            if norm is not None:
                means[f"{of}gradient norm"] = norm
        return means

    def _descend(self, turn: Turn, learning: bool) -> Loss:
        """Gradients of a loss that is a mean over examples, added up over micro-batches."""
        total, means = torch.zeros((), device=self.runtime.device), Metrics()
        for rows, share in micro_batches(turn.rows, self.micro_batch):
            with torch.set_grad_enabled(learning), self.runtime.autocast():
                loss, metrics = turn.loss(*rows, **turn.whole)
            if learning:
                (loss if share == 1 else loss * share).backward()
            total = total + loss.detach() * share
            for name, value in metrics.items():
                part = value.detach() * share
                means[name] = means[name] + part if name in means else part
        return total, means

    def _descend_whole(self, turn: Turn, learning: bool) -> Loss:
        """Gradients of a loss of the whole batch's features, whichever micro-batch or process they come from.

        Gao, Zhang, Han & Callan, Scaling deep contrastive learning batch size under memory limited setup, 2021,
        arXiv:2101.06983, section 3: features without a graph, the loss and its gradient by them, features once more.
        """
        assert turn.features is not None
        pieces = [rows for rows, _ in micro_batches(turn.rows, self.micro_batch)]
        whole = len(pieces) == 1 and self.runtime.world == 1
        states, found = [], []
        for data in pieces:
            states.append(self.runtime.random_state())
            with torch.set_grad_enabled(learning and whole), self.runtime.autocast():
                found.append(turn.features(*data, **turn.whole))
        columns = [self.runtime.gather(torch.cat(column)) for column in zip(*found, strict=True)]
        first = columns[0][1].start
        features = [
            rows if whole else rows.requires_grad_(learning and rows.is_floating_point()) for rows, _ in columns
        ]
        with torch.set_grad_enabled(learning), self.runtime.autocast():
            loss, metrics = turn.loss(*features)
        if learning:
            loss.backward()
        if learning and not whole:
            for data, state, before in zip(pieces, states, found, strict=True):
                self.runtime.restore(state)
                with self.runtime.autocast():
                    again = turn.features(*data, **turn.whole)
                rows = slice(first, first := first + len(before[0]))
                used = [(now, of.grad[rows]) for now, of in zip(again, features, strict=True) if of.grad is not None]
                torch.autograd.backward([now for now, _ in used], [grad / self.share for _, grad in used])
        return loss.detach(), {name: value.detach() for name, value in metrics.items()}

    def _pool(self, player: PlayerState | None, metrics: Metrics) -> None:
        """Average gradients and figures over processes, by the examples each has seen."""
        if self.runtime.world == 1:
            return
        gradients = [] if player is None else [p.grad for p in player.parameters if p.grad is not None]
        self.runtime.average([*gradients, *metrics.values()], self.share)

    def _step(self, player: PlayerState, rate: Callable[[PlayerState], float], measured: bool) -> Tensor | None:
        """The gradient's norm before clipping, where somebody asks for it."""
        if player.optimizer is None:
            return None
        norm = None
        if measured:
            norm = nn.utils.get_total_norm([p.grad for p in player.parameters if p.grad is not None])
        if player.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(player.parameters, player.optim.clip_norm)
        for group in player.optimizer.param_groups:
            group["lr"] = rate(player)
        player.optimizer.step()
        player.steps += 1
        if player.average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(player.average, player.parameters, player.average_weight(self.batch_size))
        return norm

    def _note(self, who: str, round: int, loss: Tensor) -> None:
        """Look at the loss before the step where that is free (CPU); on a GPU, look at many together."""
        self._unread.append((who, round, loss))
        if self.runtime.device.type == "cpu" or len(self._unread) >= UNREAD:
            self.read_losses()

    def read_losses(self) -> None:
        """Raise Diverged if a loss so far was not finite."""
        unread, self._unread = self._unread, []
        if len(unread) == 1 and math.isfinite(unread[0][2].item()):
            return
        if unread:
            finite = torch.stack([loss.float() for *_, loss in unread]).isfinite().tolist()
            for (who, round, loss), good in zip(unread, finite, strict=True):
                if not good:
                    raise Diverged(f"the loss of {who!r} became {loss.item()} in round {round}")

    def forget_losses(self) -> None:
        """Look no more at the losses so far, for the rounds that they are of are undone."""
        self._unread.clear()
