"""How often texts say again what they, other texts or the training texts have said."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from torch import Tensor

from genwerk.metrics.ngrams import Texts, as_lists, count


def distinct(texts: Texts, n: int = 2) -> float:
    """Distinct-n: the fraction of all n-grams of ``texts`` that are different; nan where no text has n tokens.

    Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", 2016, arXiv:1510.03055, who
    divide by the number of tokens instead. It falls with the number of texts: compare it for equally many.
    """
    *_, counts = count(as_lists(texts), n)
    total = int(counts.times.sum())
    return counts.size / total if total else float("nan")


def repeats(texts: Texts, n: int = 4) -> float:
    """Seq-rep-n: the fraction of a text's n-grams that it has had before, averaged over the texts of n tokens or more.

    Welleck et al., "Neural Text Generation with Unlikelihood Training", 2020, arXiv:1908.04319, eq. 10; nan where no
    text is so long.
    """
    known = as_lists(texts)
    *_, counts = count(known, n)
    different, total = counts.text.bincount(minlength=len(known)), counts.text.bincount(counts.times, len(known))
    long = total > 0
    return float((1 - different[long] / total[long].double()).mean())


def duplicates(texts: Texts) -> float:
    """The fraction of texts that are, word for word, another of these texts that stands before."""
    known = [tuple(text) for text in as_lists(texts)]
    return (len(known) - len(set(known))) / len(known)


def copied(samples: Texts, training: Texts | Iterable[Sequence[Hashable]]) -> float:
    """The fraction of samples that are, word for word, one of the ``training`` texts, which may come one at a time."""
    found = [tuple(text) for text in as_lists(samples)]
    wanted, known = set(found), as_lists(training) if isinstance(training, Tensor) else training
    again = {text for text in map(tuple, known) if text in wanted}
    return sum(text in again for text in found) / len(found)
