"""Conditions far from all that a model has seen are doubted in a sentence; others, and those of old runs, are not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from genwerk.core.condition import Covariates, Label, Text
from genwerk.core.spec import DataSpec
from genwerk.core.tokens import MERGES, CLIPVocabulary, learn
from genwerk.data.dataset import Dataset
from genwerk.training.settings import from_json, to_json

SPEC = DataSpec(kind="table", shape=(1,), covariates=("height", "weight"))
DATA = Dataset(
    x=torch.zeros(3, 1), spec=SPEC, condition=torch.tensor([[1.5, 50], [2.0, 90], [1.7, 60]], dtype=torch.float64)
).counted()


def test_the_range_of_covariates_is_kept_with_a_run_and_is_no_part_of_what_data_are():
    assert DATA.spec.covariate_ranges == ((1.5, 2.0), (50.0, 90.0))
    assert DATA.spec == SPEC
    restored = from_json(DataSpec, json.loads(json.dumps(to_json(DATA.spec))), "spec")
    assert restored.covariate_ranges == DATA.spec.covariate_ranges


@pytest.mark.parametrize(
    ("typed", "doubted"),
    [
        ("1.8,70", None),
        ("2.5,130", None),  # a whole range beyond
        ("2.51,130", "height is 2.51"),
        ("0.99,70", "height is 0.99"),
        ("1.8,700", "weight is 700, and in training it was from 50 to 90"),
    ],
)
def test_numbers_are_doubted_that_lie_farther_out_than_the_range_is_wide(typed: str, doubted: str | None):
    condition = Covariates.from_spec(DATA.spec)
    assert condition is not None
    found = condition.doubts(["1.8,70", typed])
    assert len(found) == (doubted is not None)
    assert (doubted or "") in "".join(found)
    assert Covariates(SPEC.covariates).doubts([typed]) == []  # a run that did not look


def test_classes_are_doubted_that_have_no_example():
    spec = replace(SPEC, covariates=(), classes=("cat", "dog", "eel"), class_counts=(5, 0, 1))
    condition = Label.from_spec(spec)
    assert condition is not None
    assert condition.doubts(["cat", "eel"]) == []
    (said,) = condition.doubts(["dog", "cat", "dog"])
    assert "'dog'" in said
    assert Label(spec.classes).doubts(["dog"]) == []


def test_words_are_doubted_that_captions_have_once_at_most():
    vocabulary = learn(["a red ring", "a blue ring, 7", "a red star"])
    condition = Text(vocabulary)
    assert condition.doubts(["a RED ring!", "ring 7"]) == []
    (said,) = condition.doubts(["a star, a purple ring", "purple"])
    assert "the words 'star', 'purple'" in said
    assert Text(CLIPVocabulary(merges=("a b",) * MERGES)).doubts(["purple"]) == []


def test_texts_come_back_from_their_ids():
    vocabulary = learn(["a red ring", "ein Ölfaß"])
    assert vocabulary.decode(vocabulary.encode(["A  red ring", "猫 ölfaß", ""])) == ["a red ring", "猫 ölfaß", ""]
    short = CLIPVocabulary(length=4)
    assert short.decode(short.encode(["abcdef"])) == ["ab"]
