"""Commands for models that know which text goes with which example: zero-shot, search."""

from __future__ import annotations

from typing import Annotated

import tyro

from genwerk.cli.options import HERE, AtLeast, Greatest, Input, Json, On, Out, Run, open_run, print_json
from genwerk.cli.progress import say


def zero_shot(
    run: Run,
    *,
    prompts: tuple[str, ...] = (),
    input: Input = "test",
    n: Greatest = 2000,
    machine: On = HERE,
    as_json: Json = False,
) -> None:
    """Find the text that describes each example best, without having learned any class.

    Args:
        prompts: The texts to choose from (default: all captions that occur in the examples, of which one's own is then
            right).
    """
    from genwerk.tasks import retrieval

    opened = open_run(run, machine)
    batch = opened.examples(input, n, None)
    captions = None if prompts else opened.captions(input, n)
    texts = list(prompts or sorted(set(captions or ())))
    found = retrieval.zero_shot(opened.model, batch.x, texts).tolist()
    counts = {text: found.count(i) for i, text in enumerate(texts)}
    right = None if captions is None else sum(texts[i] == c for i, c in zip(found, captions, strict=True)) / len(found)
    if as_json:
        print_json({"counts": counts, "accuracy": right, "found": [texts[i] for i in found]})
        return
    for text, count in sorted(counts.items(), key=lambda pair: -pair[1])[:20]:
        say(f"{count:6,}  {text}")
    if right is not None:
        say(
            f"{right:.1%} of {len(found):,} examples got their own caption of {len(texts)}; chance {1 / len(texts):.2%}"
        )


def search(
    run: Run,
    text: tyro.conf.Positional[str],
    *,
    input: Input = "test",
    n: Greatest = 10_000,
    k: Annotated[int, AtLeast(1), tyro.conf.arg(aliases=["-k"])] = 16,
    out: Out = None,
    machine: On = HERE,
) -> None:
    """Find the examples that a text describes best, the best first.

    Args:
        text: What is sought.
        k: Number of examples to show.
        out: File to write (default: RUN/out/search).
    """
    from genwerk.tasks import retrieval

    opened = open_run(run, machine)
    batch = opened.examples(input, n, None)
    rows = retrieval.search(opened.model, batch.x, text, k)
    opened.write(batch.select(rows), out, "search", text=text)
