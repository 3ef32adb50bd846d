"""What an evaluation says of the classes of samples, of their variety, and of how near they come to training data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

import pytest
import torch
from torch import Tensor

from genwerk.core.abilities import Samples
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.options import Options
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation import generalisation
from genwerk.evaluation.evaluate import Evaluation, evaluate, measured
from genwerk.evaluation.reference import Reference
from genwerk.evaluation.report import Report
from genwerk.metrics.features import Extractor
from genwerk.training.protocol import EvaluateConfig

CLASSES = ("a", "b", "c")
SETTINGS = EvaluateConfig(examples=200, samples=300, minutes=None)
MEMORISATION = ["nearest_training_distance_ratio", "nearer_than_any_test", "authpct", "c_t"]


class Stored(Model, Samples):
    """Gives the rows of ``x`` as samples."""

    def __init__(self, x: Tensor, spec: DataSpec) -> None:
        super().__init__(Config(), spec)
        self.x = x

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        first = Seeds.of(seed).first
        return self.x[first : first + n]


def rows(counts: Sequence[int], seed: int) -> Dataset:
    """So many rows of each class about the corner of a cube that is its own."""
    condition = torch.arange(3).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    x = torch.eye(3)[condition] + 0.05 * torch.randn(len(condition), 3, generator=generator)
    order = torch.randperm(len(x), generator=generator)
    spec = DataSpec(kind="table", shape=(3,), classes=CLASSES)
    return Dataset(x=x[order], condition=condition[order], spec=spec)


@pytest.fixture(scope="module")
def splits() -> Splits:
    train, validation, test = rows((300, 200, 100), 0), rows((5, 5, 5), 1), rows((100, 60, 40), 2)
    return Splits(train=train, validation=validation, test=test, settings=DataConfig(), fingerprints={"train": "1"})


class Counting:
    """The columns themselves as features, and as logits of the classes; counts the rows that it has seen."""

    def __init__(self) -> None:
        self.seen = 0
        self.extractor = Extractor("columns", self, 1.0, "0" * 12, head=lambda x: x, classes=CLASSES, chance=0.5)

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return x


def report_of(x: Tensor, splits: Splits, settings: EvaluateConfig = SETTINGS) -> Report:
    return evaluate(Stored(x, splits.spec), splits, settings, extractor=Counting().extractor)


def test_shares_of_classes_are_those_counted(splits: Splits) -> None:
    report = report_of(rows((300, 0, 0), 3).x, splits)
    assert report.labels == {"a": (1.0, 0.5), "b": (0.0, 0.3), "c": (0.0, 0.2)}
    figure = report["label_divergence"]
    assert figure.value == pytest.approx(0.5)
    assert figure.spread == 0, "all samples are of one class"
    held, order = Counter(splits.train.condition.tolist()), splits.train.order()[:300]
    of_floor = Counter(splits.train.condition[order].tolist())
    assert figure.floor == pytest.approx(sum(abs(of_floor[c] / 300 - p) for c, p in enumerate((0.5, 0.3, 0.2))) / 2)
    assert sum(held.values()) == 600
    mixed = report_of(rows((75, 75, 150), 4).x, splits)["label_divergence"]
    assert mixed.value == pytest.approx((0.25 + 0.05 + 0.3) / 2)
    # by the derivative: half of the sign, -1 for a and b and 1 for c, of which there are as many
    assert mixed.spread == pytest.approx(0.5 / 299**0.5)


def test_a_classifier_of_other_labels_has_no_shares(splits: Splits) -> None:
    extractor = replace(Counting().extractor, classes=())
    report = evaluate(Stored(rows((100, 100, 100), 3).x, splits.spec), splits, SETTINGS, extractor=extractor)
    assert report.labels == {}
    assert "label_divergence" not in {figure.key for figure in report.figures}


def test_the_vendi_score_counts_kinds(splits: Splits) -> None:
    x = torch.eye(3).repeat(100, 1)
    figure = report_of(x, splits)["Vendi score"]
    assert figure.value == pytest.approx(3)
    uneven = exp(-sum(p * log(p) for p in (0.5, 1 / 3, 1 / 6)))
    assert figure.floor == pytest.approx(uneven, abs=0.1)
    dark = report_of(torch.zeros(300, 3), splits)
    assert "No Vendi score: the features of some examples are all zeros, and so like nothing." in dark.notes


def test_copies_are_told_from_new_samples(splits: Splits) -> None:
    copies = report_of(splits.train.x[:300], splits)
    assert [copies[key].value for key in MEMORISATION[:3]] == [0, 1, 0]
    assert copies["C_T"].value < -8
    assert copies["feature_likelihood_divergence"].value > 30
    fresh = report_of(rows((150, 100, 50), 5).x, splits)
    ratio, authentic, copying = (fresh[key] for key in ("nearest_training_distance_ratio", "authpct", "c_t"))
    assert abs(ratio.value - 1) < 4 * ratio.spread < 0.5
    assert abs(authentic.value - authentic.floor) < 4 * (authentic.spread + 4)
    assert abs(copying.value) < 3
    assert fresh["nearer than any test"].value < 0.05
    divergence = fresh["feature_likelihood_divergence"]
    assert abs(divergence.value) < 20 < divergence.noise
    assert divergence.floor == 0
    for key in MEMORISATION:
        assert fresh[key].verdict == "", "no such figure proves anything"
        assert fresh[key].noise is None
    assert "300 samples, 200 held-out; the nearest of 600 training examples" in ratio.note


def test_every_figure_of_samples_has_a_spread(splits: Splits) -> None:
    report = report_of(rows((150, 100, 50), 5).x, splits)
    assert {figure.key for figure in report.figures} == {
        "frechet_distance",
        "kernel_distance",
        "precision",
        "recall",
        "density",
        "coverage",
        "feature_likelihood_divergence",
        "vendi_score",
        "label_divergence",
        *MEMORISATION,
    }
    assert all(figure.spread is not None and figure.spread > 0 for figure in report.figures if figure.value != 0)


def test_where_nothing_is_held_out_nothing_is_said_of_copies(splits: Splits) -> None:
    report = report_of(splits.train.x[:300], replace(splits, test=splits.train))
    assert not {figure.key for figure in report.figures} & {*MEMORISATION, "feature_likelihood_divergence"}
    assert generalisation.UNSEPARATED in report.notes


def test_what_equals_the_training_data_gives_no_ratio(splits: Splits) -> None:
    twice = replace(splits, test=splits.train.select(torch.arange(200)))
    report = report_of(rows((150, 100, 50), 5).x, twice)
    assert "nearest_training_distance_ratio" not in {figure.key for figure in report.figures}
    said = "No nearest training distance ratio: half of the held-out examples equal a training example."
    assert said in report.notes


def test_contestants_share_what_they_are_compared_with(splits: Splits) -> None:
    models = [Stored(rows(counts, 5).x, splits.spec) for counts in ((150, 100, 50), (100, 100, 100))]
    counting = Counting()
    shared, alone = Reference(splits, SETTINGS, counting.extractor), list[Report]()
    found = [measured(Evaluation(model, splits, SETTINGS, reference=shared)) for model in models]
    once = counting.seen
    for model in models:
        alone.append(evaluate(model, splits, SETTINGS, extractor=counting.extractor))
    assert found == alone
    real = 200 + 600 + 300  # held out, training, noise, of which a few are seen again to tell the pace
    assert 2 * 300 + real <= once < 2 * 300 + real + 600
    assert counting.seen - once >= 2 * 300 + 2 * real
    assert found[0].extractor == counting.extractor.describe()


@pytest.mark.parametrize(
    "change,said",
    [
        ({"seed": 1}, "found with seed 0; this evaluation has 1"),
        ({"examples": 50}, "found with examples 200; this evaluation has 50"),
    ],
)
def test_a_reference_of_something_else_is_refused(splits: Splits, change: dict[str, int], said: str) -> None:
    reference, model = Reference(splits, SETTINGS, Counting().extractor), Stored(splits.train.x, splits.spec)
    with pytest.raises(BadInput, match=said):
        Evaluation(model, splits, replace(SETTINGS, **change), reference=reference)
    with pytest.raises(BadInput, match="reference is of other data"):
        Evaluation(model, replace(splits, fingerprints={"train": "2"}), SETTINGS, reference=reference)


def test_labels_go_through_json_and_old_reports_have_none(splits: Splits) -> None:
    report = report_of(rows((150, 100, 50), 5).x, splits)
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["labels"]["a"] == [0.5, 0.5]
    assert Report.from_json(stored) == report
    del stored["labels"]
    assert Report.from_json(stored) == replace(report, labels={})
