"""Vocabularies of texts: what is read is written again, and what is lacking is said."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwerk.core.errors import BadInput
from genwerk.core.vocabularies import LACKING, UNKNOWN, BytePairs, Characters, TextVocabulary, Words

ENGLISH = ["the cat sat, the cat didn't.", "a  dog: the dog sat!", "the cat and a dog sat"]
CHINESE = ["白日依山尽、黄河入海流。", "欲穷千里目、更上一层楼。"]
KINDS = (Characters, Words, BytePairs)


def learned(kind: type[TextVocabulary], texts: list[str], most: int = 400, length: int = 40) -> TextVocabulary:
    return kind.learned(texts, most=most, length=length, unicode="NFC")


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE], ids=["english", "chinese"])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_it_was_learned_from_come_back_to_the_letter(kind: type[TextVocabulary], texts: list[str]) -> None:
    vocabulary = learned(kind, texts, length=90)
    ids = vocabulary.encode(texts)
    assert ids.shape == (len(texts), 90)
    assert ids.max() < vocabulary.size
    assert vocabulary.decode(ids) == texts
    assert not any(vocabulary.lacked(text) for text in texts)
    assert learned(kind, texts, length=90) == vocabulary


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_byte_pairs_lack_nothing_and_the_others_say_what_they_lack(text: str) -> None:
    text = learned(Characters, [""]).normal(text)
    pairs = learned(BytePairs, [*ENGLISH, *CHINESE])
    assert pairs.written(next(pairs.read([text])).tolist()) == text
    for kind in (Characters, Words):
        vocabulary = learned(kind, ENGLISH)
        found = next(vocabulary.read([text])).tolist()
        assert found.count(UNKNOWN) == len(vocabulary.lacked(text))
        assert (vocabulary.written(found) == text) == (LACKING not in vocabulary.written(found) or not found)


def test_words_have_their_space_and_chinese_needs_none() -> None:
    words = learned(Words, ENGLISH)
    assert [words.written([i]) for i in next(words.read(["the cat didn't."])).tolist()] == [
        "the",
        " cat",
        " didn't",
        ".",
    ]
    assert len(next(learned(Words, CHINESE).read(["白日依山"]))) == 4


def test_the_most_frequent_are_kept_and_the_rest_is_unknown() -> None:
    words = learned(Words, ENGLISH, most=5)
    assert words.size == 5
    assert words.written(next(words.read(["a cat sat"])).tolist()) == f"{LACKING} cat sat"
    assert words.written(next(words.read(["a cat horse"])).tolist()) == f"{LACKING} cat {LACKING}"


def test_normal_forms_unite_what_looks_alike() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    for form, same in (("NFC", True), ("none", False)):
        found = Characters.learned([composed], most=50, length=9, unicode=form)  # type: ignore[arg-type]
        assert bool(torch.equal(found.encode([composed]), found.encode([apart]))) is same


def test_a_prompt_has_holes_and_leaves_room() -> None:
    words = learned(Words, ENGLISH, length=9)
    ids, known = words.template("the {2} sat")
    assert known[0].tolist() == [True, False, False, True, False, False, False, False, False]
    assert words.written([int(ids[0, 3])]) == " sat"
    signs = learned(Characters, CHINESE, length=9)
    assert signs.template("白{1}依")[1][0, :4].tolist() == [True, False, True, False]
    with pytest.raises(BadInput, match="the prompt has ' horse', ' ran', which the training texts lack"):
        words.template("the horse ran")
    with pytest.raises(BadInput, match="has 9 words and the model's texts have at most 8: nothing could follow"):
        words.template("the cat sat, the cat sat, the")
    with pytest.raises(BadInput, match="nothing could follow"):
        words.template("the {700} cat")


def test_a_prompt_is_read_as_it_stands_in_texts() -> None:
    words, pairs = learned(Words, ENGLISH, length=9), learned(BytePairs, 5 * ENGLISH, length=40)

    def read(vocabulary: TextVocabulary, prompt: str) -> str:
        ids, known = vocabulary.template(prompt)
        return vocabulary.written(ids[known].tolist())

    assert read(words, "the cat ") == "the cat"  # what follows brings its space
    assert read(pairs, "the cat ") == "the cat"
    assert read(words, "cat sat") == " cat sat"  # no text begins so, and inside of them that is how it stands
    assert read(words, " the") == " the"
    assert read(learned(Words, ["once a cat"]), " once a") == "once a"
    assert read(words, "the {1} sat ") == "the sat"
    with pytest.raises(BadInput, match=r"the prompt has 'The' \(they have 'the'\), ' CAT' \(they have ' cat'\)"):
        words.template("The CAT")
    with pytest.raises(BadInput, match="the prompt has 'horse', which the training texts lack"):
        words.template("horse")
