"""BLEU against its definition written as loops, and against values of NLTK and sacrebleu.

The latter are made by ``pip install nltk==3.10.4 sacrebleu==2.6.0`` and ``python tests/unit/test_metrics_bleu.py``.
"""

from __future__ import annotations

import random
from collections import Counter
from math import exp, log

import pytest
import torch
from torch import Tensor

from genwerk.metrics import corpus_bleu, self_bleu, sentence_bleu
from genwerk.metrics.ngrams import as_lists, count, largest


def made_up(n: int, seed: int) -> list[list[str]]:
    """Sentences of 1 to 12 words, few enough that n-grams repeat within and between sentences."""
    draw = random.Random(seed)
    return [draw.choices("abcdef", k=draw.randint(1, 12)) for _ in range(n)]


def grams(text: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def by_loops(sample: list[str], references: list[list[str]], order: int) -> float:
    total = 0.0
    for n in range(1, order + 1):
        own = grams(sample, n)
        hits = sum(min(times, max(grams(r, n)[gram] for r in references)) for gram, times in own.items())
        if n == 1 and not hits:
            return 0.0
        total += log((hits or 0.1) / max(1, sum(own.values())))
    closest = min((abs(len(r) - len(sample)), len(r)) for r in references)[1]
    return exp(total / order + min(0, 1 - closest / len(sample)))


def test_against_loops():
    samples, references = [*made_up(40, 0), ["z"], ["a"]], made_up(7, 1)
    found = sentence_bleu(samples, references)
    expected = [[by_loops(s, references, order) for order in (2, 3, 4, 5)] for s in samples]
    torch.testing.assert_close(found.scores, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    assert found.references == 7


def test_self_bleu_against_loops():
    """As references, for each sample, of the others alone; some stand twice and stay references of each other."""
    samples = [*made_up(30, 2), *made_up(3, 2), ["a"], ["z"] * 13]
    expected = [[by_loops(s, samples[:i] + samples[i + 1 :], k) for k in (2, 5)] for i, s in enumerate(samples)]
    found = self_bleu(samples, [2, 5])
    torch.testing.assert_close(found.scores, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    assert found.references == len(samples) - 1


NLTK = {2: 0.9317052687780645, 3: 0.8151314758304617, 4: 0.4723813989072157, 5: 0.2991692682435195}
NLTK_SELF = {2: 0.9213833384251561, 3: 0.7888903314274074, 4: 0.4811507151258299, 5: 0.2864067485097596}
SACREBLEU = 57.374764334986835


def test_against_nltk_and_sacrebleu():
    samples, references = made_up(50, 3), made_up(60, 4)
    assert sentence_bleu(samples, references).means == pytest.approx(NLTK, abs=1e-12, rel=0)
    assert self_bleu(references).means == pytest.approx(NLTK_SELF, abs=1e-12, rel=0)
    assert 100 * corpus_bleu(samples, references) == pytest.approx(SACREBLEU, abs=1e-10, rel=0)


def test_a_corpus_without_long_matches_is_smoothed_and_one_without_any_scores_nothing():
    """All words in common, but no pair: the other three orders count 1/2, 1/4 and 1/8 of a match."""
    assert corpus_bleu(["abcd"], ["dcba"]) == pytest.approx((1 * (1 / 2) / 3 * (1 / 4) / 2 * (1 / 8) / 1) ** 0.25)
    assert corpus_bleu(["abcd"], ["efgh"]) == 0
    assert corpus_bleu(["abc"], ["abc"]) == 0  # no n-gram of order 4 at all


def test_a_sentence_is_no_reference_of_itself():
    """Two sentences without a word in common: nothing resembles anything, unless a sentence meets itself."""
    apart = [list("abcde"), list("fghij")]
    assert self_bleu(apart).means == {2: 0, 3: 0, 4: 0, 5: 0}
    assert sentence_bleu(apart, apart).means == {2: 1, 3: 1, 4: 1, 5: 1}
    assert self_bleu([*apart, apart[0]]).scores[:, 0].tolist() == [1, 0, 1]  # said twice


def test_more_references_give_higher_scores_so_their_number_is_told():
    samples, references = made_up(50, 5), [text for seed in range(6) for text in made_up(100, seed + 10)]
    few, many = sentence_bleu(samples, references[:50]), sentence_bleu(samples, references)
    assert (few.references, many.references) == (50, 600)
    assert many.means[5] > few.means[5] + 0.1


def test_words_ids_and_padded_tensors_are_the_same_texts():
    samples, references = made_up(20, 6), made_up(20, 7)

    def padded(texts: list[list[str]]) -> Tensor:
        return torch.tensor([[ord(w) for w in text] + [-1] * (15 - len(text)) for text in texts])

    assert as_lists(padded(samples))[0] == [ord(w) for w in samples[0]]
    expected = sentence_bleu(samples, references).scores
    assert torch.equal(sentence_bleu(padded(samples), padded(references)).scores, expected)


def test_the_table_of_the_largest_counts():
    """a: 3, 1 and 3 times, so that without the first the third has as many; b: twice in the second alone."""
    counts = next(count(["aaa", "abb", "aaac"], 1))
    table = largest(counts, 2)
    assert table.largest.tolist() == [3, 2, 0]
    assert table.second.tolist() == [1, 0, 0]
    assert table.holder.tolist() == [0, 1, -1]
    assert largest(counts, 3).second.tolist() == [3, 0, 0]


@pytest.mark.parametrize(
    "call,said",
    [
        (lambda: self_bleu([["a"]]), "1 samples and 0 references"),
        (lambda: sentence_bleu([["a"]], []), "0 references"),
        (lambda: sentence_bleu([], [["a"]]), "0 samples"),
        (lambda: self_bleu([["a"], ["b"]], [0]), "orders of BLEU"),
        (lambda: self_bleu(torch.zeros(3, 4)), "expected integers"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


if __name__ == "__main__":
    from nltk.translate.bleu_score import SmoothingFunction
    from nltk.translate.bleu_score import sentence_bleu as theirs
    from sacrebleu.metrics import BLEU

    samples, references, orders = made_up(50, 3), made_up(60, 4), (2, 3, 4, 5)
    weights, method1 = [(1 / k,) * k for k in orders], SmoothingFunction().method1
    of = [theirs(references, s, weights, method1) for s in samples]
    own = [theirs(references[:i] + references[i + 1 :], s, weights, method1) for i, s in enumerate(references)]
    for scores in (of, own):
        print({k: sum(column) / len(scores) for k, column in zip(orders, zip(*scores, strict=True), strict=True)})
    streams = [[" ".join(r)] * len(samples) for r in references]
    print(BLEU(tokenize="none").corpus_score([" ".join(s) for s in samples], streams).score)
