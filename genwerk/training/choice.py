"""Which weights of a training are the ones to use: those with the best held-out figure of its last stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genwerk.core.printable import count
from genwerk.training.settings import from_json

JUDGES = 1000
"""Greatest number of held-out examples by which a model is judged while it is trained."""


@dataclass(frozen=True)
class Judged:
    """What held-out examples say of a model."""

    figures: Mapping[str, float]
    """Figures by name, of which smaller is better."""
    by: str | None
    """Name of the one that chooses the weights; None where none of them says how good the model is."""
    steady: bool = True
    """Whether that figure rises only where the model gets worse: not where it is of samples, and a matter of luck."""


@dataclass
class Choice:
    """The best round of a stage by its held-out figure; the whole of it fits in a checkpoint's JSON."""

    by: str = ""
    """Name of the figure."""
    steady: bool = True
    """As in :class:`Judged`."""
    best: float = math.inf
    """The figure at its best."""
    round: int = -1
    """Round after which it was measured, over all stages; -1 while there is none."""
    latest: float = math.inf
    """The figure of the newest evaluation."""
    judged: int = 0
    """Round of the newest evaluation."""
    evaluations: int = 0
    """Evaluations in this stage."""
    since: int = 0
    """Evaluations since the best."""
    examples: int = 0
    """Held-out examples in an evaluation."""
    of: str = ""
    """Fingerprint of these examples; figures of others do not compare. Empty while there are none."""

    def take(self, judged: Judged, round: int, examples: int) -> bool:
        """Take note of an evaluation after ``round``; True where it is the best so far."""
        self.judged = round
        if judged.by is None:
            return False
        self.by, self.steady, self.examples = judged.by, judged.steady, examples
        self.latest, self.evaluations = judged.figures[judged.by], self.evaluations + 1
        if self.latest < self.best:
            self.best, self.round, self.since = self.latest, round, 0
            return True
        self.since += self.round >= 0
        return False

    def state(self) -> dict[str, Any]:
        """All that is known, as JSON; what is not finite is left out and read as infinite."""
        return {k: v for k, v in vars(self).items() if not isinstance(v, float) or math.isfinite(v)}

    @property
    def past(self) -> bool:
        """Whether training went on past its best."""
        return self.steady and self.since > 0

    def sentences(self, rounds: int) -> list[str]:
        """What was chosen out of ``rounds``, in sentences."""
        if self.round < 0:
            return []
        by, n = self.by.replace("_", " "), self.evaluations
        found = [
            f"The weights are those of round {self.round:,} of {rounds:,}, the best of "
            f"{count(n, 'evaluation')} by the {by} of {self.examples:,} validation examples."
        ]
        if self.past:
            found.append(
                f"Training went past its best: the {by} was {self.best:.4g} at round {self.round:,} and "
                f"{self.latest:.4g} at round {self.judged:,}."
            )
        return found


def stored_choice(figures: Mapping[str, Any], where: str) -> Choice:
    """What the state of a trainer says of the best round of its stage; nothing in one of version 0.1."""
    held = figures.get("choice")
    return Choice() if held is None else from_json(Choice, held, f"{where}: choice")
