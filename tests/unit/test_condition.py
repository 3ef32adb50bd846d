"""Kinds of condition: what each takes, draws, leaves out and lies between."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genwerk.core.condition import Condition, Covariates, Label, NoCondition, Text, choose
from genwerk.core.noise import Seeds
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.tokens import learn
from genwerk.data.dataset import Dataset
from genwerk.families.diffusion import Context

PLAIN = DataSpec(kind="table", shape=(2,))
LABELLED = replace(PLAIN, classes=("cat", "dog", "eel"), class_counts=(970, 30, 1000))
WORDS = replace(PLAIN, captions=True, vocabulary=learn(["a red ring", "a red star"]))
BESIDE = replace(PLAIN, covariates=("height", "weight"))
LABEL, TEXT, COVARIATES = (Label.from_spec(LABELLED), Text.from_spec(WORDS), Covariates.from_spec(BESIDE))
assert LABEL is not None
assert TEXT is not None
assert COVARIATES is not None


GOLDEN = [2, 0, 2, 0, 2, 0, 2, 0, 0, 2, 1, 0]
"""Classes of samples 3 to 14 of seed 5."""


class Thing:
    """What sentences name."""


def test_each_is_what_the_data_carry_and_the_absence_of_one_is_said() -> None:
    for spec, kind in ((LABELLED, Label), (BESIDE, Covariates)):
        assert isinstance(choose(True, spec), kind)
        assert choose(False, spec) == NoCondition()
    assert isinstance(choose(True, replace(WORDS, classes=("a",)), Text), Text)
    assert isinstance(choose(True, replace(WORDS, classes=("a",))), Label), "a text is no vector"
    with pytest.raises(ValueError, match="a conditional model needs captions and the data carry none"):
        choose(True, LABELLED, Text)


def test_values_are_checked_in_the_kinds_own_words() -> None:
    wrong: list[tuple[Condition, list[torch.Tensor | None], str]] = [
        (
            LABEL,
            [None, torch.tensor([3]), torch.tensor([-1])],
            r"the class: .*pass condition, a class index from 0 to 2",
        ),
        (TEXT, [None, torch.zeros(2, 3)], r"a text: .*pass condition, 77 token ids each"),
        (COVARIATES, [None, torch.zeros(2), torch.full((1, 2), torch.nan)], r"2 covariates \(height, weight\): .*pass"),
        (Context(4), [None, torch.zeros(2, 4), torch.zeros(2, 5, 3)], r"context: pass condition, vectors with shape"),
    ]
    for kind, values, said in wrong:
        for each in values:
            with pytest.raises(ValueError, match="this Thing is conditioned on " + said):
                kind.check(each, Thing())
    assert NoCondition().check(torch.tensor([1]), Thing()) is None
    with pytest.raises(ValueError, match="this Thing was trained without a condition and takes none"):
        NoCondition().draw(2, Seeds(0), Thing(), torch.tensor([1]))


def test_what_a_person_types_is_read() -> None:
    assert LABEL.parse(["dog", "0", "eel"]).tolist() == [1, 0, 2]
    assert Label(("7", "9")).parse(["9"]).tolist() == [1], "a class may have a number for a name"
    for name, kind in (("bat", LABEL), ("3", LABEL), ("0", Label(("7", "9")))):
        with pytest.raises(ValueError, match=f"there is no class '{name}'; the classes are "):
            kind.parse([name])
    assert COVARIATES.parse(["1.8, 75", "2,-1"]).tolist() == [[1.8, 75], [2, -1]]
    for typed in ("1.8", "1.8,inf", "tall,75", ""):
        with pytest.raises(ValueError, match=r"expected 2 covariates \(height, weight\), finite and joined by commas"):
            COVARIATES.parse([typed])
    assert torch.equal(TEXT.parse(["a red ring", "a star"]), TEXT.vocabulary.encode(["a red ring", "a star"]))
    with pytest.raises(ValueError, match="'x' means nothing to it"):
        NoCondition().parse(["x"])


def test_samples_have_their_own_by_seed_and_number() -> None:
    """The classes are those that version 0.1 drew."""
    drawn = LABEL.draw(12, Seeds(5, 3), Thing())
    assert drawn is not None
    assert drawn.tolist() == GOLDEN
    alone = LABEL.draw(1, Seeds(5, 7), Thing())
    assert alone is not None
    assert alone.tolist() == GOLDEN[4:5]
    even = LABEL.draw(5, Seeds(5, 1), Thing(), prior="even")
    assert even is not None
    assert even.tolist() == [1, 2, 0, 1, 2]
    turns = COVARIATES.draw(3, Seeds(0, 1), Thing(), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert turns is not None
    assert turns.tolist() == [[3, 4], [1, 2], [3, 4]]
    u = torch.tensor([0.0, 0.484, 0.486, 0.499, 0.501, 0.999])
    assert LABEL.drawn(u).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_share_is_left_out_for_the_null_condition() -> None:
    u = torch.tensor([0.1, 0.2, 0.3])
    assert LABEL.dropped(torch.tensor([0, 1, 2]), u, 0.2).tolist() == [3, 1, 2]
    words = TEXT.parse(["a red ring"]).expand(3, -1)
    left = TEXT.dropped(words, u, 0.25)
    assert torch.equal(left[:2], TEXT.vocabulary.encode(["", ""]))
    assert torch.equal(left[2], words[2])
    encoded = Context(1, TEXT, lambda ids: ids.unsqueeze(2).float())
    assert torch.equal(encoded.encoded(encoded.null(words)), encoded.encoded(TEXT.vocabulary.encode([""] * 3)))
    for kind in (COVARIATES, Context(1), NoCondition()):
        with pytest.raises(ValueError, match="guided only away from something"):
            kind.null(torch.zeros(1, 1))


def test_numbers_have_others_between_them_and_classes_have_not() -> None:
    a, b = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 5.0]])
    assert COVARIATES.blend(a, b, 0.25).tolist() == [[0.5, 2.0]]
    assert LABEL.blend(torch.tensor([0]), torch.tensor([2]), 0.9).tolist() == [0]
    assert LABEL.features(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert COVARIATES.features(b) is b


def test_a_batch_has_what_the_model_takes() -> None:
    data = Dataset(x=torch.zeros(2, 2), spec=WORDS, condition=torch.tensor([1, 0]), captions=["a red ring", "a star"])
    data = data.read(TEXT.vocabulary)
    for kind, wanted in ((LABEL, data.condition), (TEXT, TEXT.parse(["a red ring", "a star"]))):
        batch = data.under(kind).batch()
        assert batch.condition is not None
        assert batch.condition.dtype == torch.int64
        assert torch.equal(batch.condition, wanted)
        assert kind.of(batch) is batch.condition
    batch = data.under(NoCondition()).batch()
    assert NoCondition().of(batch) is None
    assert torch.equal(NoCondition().labels(batch), data.condition), "labels pass an unconditional model by"
    assert TEXT.labels(Batch(data.x, data.text)) is None
