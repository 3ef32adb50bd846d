from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from genwerk.core.condition import Text
from genwerk.core.tokens import CLIPVocabulary, _bytes, learn
from genwerk.data import DataConfig, open_data

CAPTIONS = ["a small red ring on the left side", "a large blue disc at the top", "it's a naïve star, 42 times!"] * 3
WORDS = learn(CAPTIONS)


def test_the_reference_example() -> None:
    """Two merges, ids worked out by hand: bytes in the published order, words ended, start and end last."""
    vocabulary = CLIPVocabulary(merges=("c a", "ca t</w>"))
    assert vocabulary.size == 516
    assert vocabulary.encode(["A  CAT!"])[0, :6].tolist() == [514, 320, 513, 256, 515, 515]
    assert CLIPVocabulary(merges=("c a",), pad="zero").encode(["a"])[0, :5].tolist() == [513, 320, 514, 0, 0]


def oracle(folder: Path, vocabulary: CLIPVocabulary) -> object:
    transformers = pytest.importorskip("transformers")
    symbols = [*_bytes(), *(b + "</w>" for b in _bytes()), *("".join(m.split(" ")) for m in vocabulary.merges)]
    ids = {s: i for i, s in enumerate([*symbols, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(vocabulary.merges) + "\n")
    return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=vocabulary.length)


def test_ids_are_those_of_transformers(tmp_path: Path) -> None:
    theirs = oracle(tmp_path, WORDS)
    options = {"padding": "max_length", "truncation": True, "max_length": WORDS.length}

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=120))
    def same(text: str) -> None:
        assume("<|" not in text)  # theirs takes a marker that is typed for the marker itself, ours for a text
        assert WORDS.encode([text])[0].tolist() == theirs(text, **options)["input_ids"]  # type: ignore[operator]

    same()
    for text in [*CAPTIONS, "", " x ", "don't 'stop' !!", "a\u0301 café\tand\nmore 1234 C3PO ½ ß", "long " * 100]:
        assert WORDS.encode([text])[0].tolist() == theirs(text, **options)["input_ids"]  # type: ignore[operator]


def test_what_is_learned_is_short_and_depends_on_the_texts_alone() -> None:
    assert learn(CAPTIONS) == WORDS
    assert learn(list(reversed(CAPTIONS))) == WORDS
    assert len(learn(CAPTIONS, merges=5).merges) == 5
    ring = WORDS.encode(["ring"])[0]
    assert ring.tolist()[:3] == [WORDS.start, ring[1], WORDS.end], "a word that occurs often is one token"


def test_a_long_prompt_is_refused_and_what_is_too_much_is_listed() -> None:
    vocabulary = CLIPVocabulary(length=8)
    assert vocabulary.prompt("ab cd ef").shape == (1, 8)
    with pytest.raises(ValueError, match=r"has 8 tokens and there is room for 6.*: 'gh'$"):
        vocabulary.prompt("ab cd ef gh")
    assert vocabulary.cuts(["ab cd ef", "ab cd ef gh"]) == [False, True]
    assert torch.equal(vocabulary.encode(["ab cd ef gh"]), vocabulary.encode(["ab cd ef"]))


def test_captions_of_a_folder_become_tokens(tmp_path: Path) -> None:
    from PIL import Image

    rows = ["file_name,text"]
    for i in range(20):
        Image.new("RGB", (8, 8), (10 * i, 0, 0)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,shade {i} of red")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    splits = open_data(DataConfig(source=str(tmp_path)))
    vocabulary = splits.spec.vocabulary
    assert vocabulary is not None
    assert splits.test.spec == splits.spec
    for part in (splits.train, splits.test, splits.train.select(torch.tensor([3, 1]))):
        assert part.captions is not None
        batch = part.under(Text(vocabulary)).batch(slice(2))
        assert batch.condition is not None
        assert torch.equal(batch.condition, vocabulary.encode(part.captions[:2]))
        assert batch[1:2].condition is not None
        assert torch.equal(batch[1:2].condition, batch.condition[1:])
    assert any("learned from the training part" in note for note in splits.notes)
