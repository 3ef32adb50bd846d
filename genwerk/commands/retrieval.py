"""Commands for models that know which text goes with which example: zero-shot, search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from genwerk.commands.command import Command, Positional
from genwerk.commands.options import Count, Greatest, Input, Run
from genwerk.commands.results import Examples, Figures, Note
from genwerk.runs.session import Session


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Command):
    """Find the text that describes each example best, without having learned any class."""

    needs = frozenset({"aligns-text"})
    figures = True

    folder: Run
    prompts: tuple[str, ...] = ()
    """The texts to choose from (default: all captions that occur in the examples, of which one's own is then right)."""
    input: Input = "test"
    n: Greatest = 2000

    def run(self, session: Session) -> Iterator[Figures]:
        from genwerk.tasks import retrieval

        opened = session.open(self.folder)
        batch = opened.examples(self.input, self.n, None)
        captions = None if self.prompts else opened.captions(self.input, self.n)
        texts = list(self.prompts or sorted(set(captions or ())))
        found = [texts[i] for i in retrieval.zero_shot(opened.model, batch.x, texts).tolist()]
        counts = {text: found.count(text) for text in texts}
        lines = [f"{count:6,}  {text}" for text, count in sorted(counts.items(), key=lambda pair: -pair[1])[:20]]
        right = None
        if captions is not None:
            right = sum(text == own for text, own in zip(found, captions, strict=True)) / len(found)
            of, chance = f"their own caption of {len(texts)}", f"chance {1 / len(texts):.2%}"
            lines.append(f"{right:.1%} of {len(found):,} examples got {of}; {chance}")
        yield Figures({"counts": counts, "accuracy": right, "found": found}, [Note(line) for line in lines])


@dataclass(frozen=True, kw_only=True)
class Search(Command):
    """Find the examples that a text describes best, the best first."""

    needs = frozenset({"aligns-text"})
    output = "search"

    folder: Run
    text: Annotated[str, Positional()]
    """What is sought."""
    input: Input = "test"
    n: Greatest = 10_000
    k: Count = 16
    """Number of examples to show."""

    def run(self, session: Session) -> Iterator[Examples]:
        from genwerk.tasks import retrieval

        opened = session.open(self.folder)
        batch = opened.examples(self.input, self.n, None)
        rows = retrieval.search(opened.model, batch.x, self.text, self.k)
        yield Examples.of(opened, batch.select(rows), text=self.text)
