"""Commands for models that know which text goes with which example: zero-shot, search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from genwerk.commands.command import USE, Command, Positional
from genwerk.commands.options import Count, Greatest, Input, Run, Show, unshown
from genwerk.commands.results import Examples, Figures, Note, Table, cell, records
from genwerk.core.errors import BadInput
from genwerk.core.layout import Layout
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Command):
    """Find the text that describes each example best, without having learned any class."""

    group = USE
    needs = frozenset({"aligns-text"})

    folder: Run
    prompts: tuple[str, ...] = ()
    """The texts to choose from (default: all captions that occur in the examples, of which one's own is then right)."""
    input: Input = "test"
    n: Greatest = 2000
    show: Show = 20

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.tasks import retrieval

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, None)
        captions = None if self.prompts else known.get("caption")
        if not self.prompts and captions is None:
            raise BadInput(f"the examples of {self.input} have no captions; give texts to choose from with ‹prompts›")
        texts = list(self.prompts or sorted(set(captions or ())))
        found = [texts[i] for i in retrieval.zero_shot(opened.model, batch.x, texts).tolist()]
        counts = {text: found.count(text) for text in texts}
        lines = [f"{count:6,}  {text}" for text, count in sorted(counts.items(), key=lambda pair: -pair[1])[:20]]
        right = None
        if captions is not None:
            right = sum(text == own for text, own in zip(found, captions, strict=True)) / len(found)
            of, chance = f"their own caption of {len(texts)}", f"chance {1 / len(texts):.2%}"
            lines.append(f"{right:.1%} of {len(found):,} examples got {of}; {chance}")
        rows = records(known, found=found)
        table = Table([*known, "found"], [list(map(cell, row.values())) for row in rows[: self.show or None]])
        shown: list[Note | Table] = [table, *unshown(len(rows), self.show), *map(Note, lines)]
        yield Figures({"counts": counts, "accuracy": right, "examples": rows}, shown)


@dataclass(frozen=True, kw_only=True)
class Search(Command):
    """Find the examples that a text describes best, the best first."""

    group = USE
    needs = frozenset({"aligns-text"})
    output = "search"

    folder: Run
    text: Annotated[str, Positional()]
    """What is sought."""
    input: Input = "test"
    n: Greatest = 10_000
    k: Count = 16
    """Number of examples to show."""

    def run(self, session: Session) -> Iterator[Examples | Figures]:
        from genwerk.tasks import retrieval

        opened = session.open(self.folder)
        batch, known = opened.examples(self.input, self.n, None)
        rows, cosines = retrieval.search(opened.model, batch.x, self.text, self.k)
        found = {name: [values[i] for i in rows.tolist()] for name, values in known.items()}
        layout = Layout(captions=[cell(first) for first in next(iter(found.values()))])
        yield Examples.of(opened, batch.select(rows), layout, found, text=self.text)
        best = records(found, similarity=cosines.tolist())
        yield Figures(
            {"text": self.text, "examples": best},
            [Table([*found, "similarity"], [list(map(cell, row.values())) for row in best])],
        )
