"""Figures of translations to domains, of translators whose figures are known: a right one, a copy, and one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import sleep
from typing import Any

import pytest
import torch
from shades import Shades
from test_translation_domains import HAIR, TWO, model
from torch import Tensor

from genwerk.core.condition import Label
from genwerk.core.model import Model, build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig
from genwerk.data.dataset import Dataset, Splits
from genwerk.evaluation import domains, translation
from genwerk.evaluation.evaluate import evaluate
from genwerk.evaluation.report import Figure, Report
from genwerk.families.cut import CUTConfig
from genwerk.families.pix2pix import Pix2Pix, Pix2PixConfig
from genwerk.metrics import frechet_distance, kernel_distance
from genwerk.metrics.features import Extractor
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.training.protocol import EvaluateConfig

PIXELS = Extractor("pixels", lambda x: x[:, :, ::2, ::2].flatten(1), None, "0")
PATTERNS = Extractor("patterns", lambda x: (x - x.mean((1, 2, 3), keepdim=True)).flatten(1), None, "0")
SETTINGS = EvaluateConfig(examples=400, samples=400, minutes=None)


def examples(spec: DataSpec, n: int = 400) -> Dataset:
    """Patterns about a mean of 0.3 (of the first value) up to 0.7, and no others."""
    k = len(spec.classes or spec.attributes[0][1])
    value, generator = torch.arange(n) % k, torch.Generator().manual_seed(1)
    pattern = torch.rand(n, 3, 8, 8, generator=generator) / 5
    pattern -= pattern.mean((2, 3), keepdim=True)
    x = (pattern + torch.linspace(0.3, 0.7, k)[value, None, None, None]).mul(255).round().to(torch.uint8)
    if spec.classes:
        return Dataset(x=x, spec=spec, condition=value)
    return Dataset(x=x, spec=spec, attributes=torch.stack([value, torch.zeros(n, dtype=torch.int64)], 1))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers are right of every example, and sources are recognised by what is not their mean."""

    def classifying(train: Dataset, labelled: bool) -> Iterator[tuple[int, int]]:
        k = len(train.spec.classes)
        yield 0, 1
        return lambda x: -(x.mean((1, 2, 3))[:, None] - torch.linspace(0.3, 0.7, k)).abs()  # type: ignore[return-value]

    monkeypatch.setattr(domains, "classifying", classifying)
    monkeypatch.setattr(domains, "recognising", lambda *_: PATTERNS)


def report(made: Model, data: Dataset, **changes: Any) -> Report:
    splits = Splits(train=data, validation=data, test=data, settings=DataConfig())
    return evaluate(made, splits, replace(SETTINGS, **changes), extractor=PIXELS)


class Copy(Shades):
    """Returns its source."""

    def moved(self, x: Tensor, own: Tensor, condition: Tensor | None) -> Tensor:
        return x


class One(Shades):
    """Makes one image of every source."""

    def moved(self, x: Tensor, own: Tensor, condition: Tensor | None) -> Tensor:
        return super().moved(torch.zeros_like(x), torch.zeros_like(own), condition)


def as_a(kind: type[Shades], spec: DataSpec) -> Shades:
    made = model(spec)
    made.__class__ = kind
    return made


@pytest.mark.parametrize("spec", [TWO, HAIR])
def test_a_right_translator_arrives_and_keeps_what_its_source_is(spec: DataSpec) -> None:
    found = report(model(spec), examples(spec))
    agreement = found["domain_agreement"]
    assert (agreement.value, agreement.floor, agreement.reference) == (1, 1, 0)
    assert agreement.verdict == "nearly all arrive"
    assert found["identity_kept"].value == 1
    assert found["identity_kept"].noise == pytest.approx(1 / 101)
    assert found["cycle_error"].value < 2 / 255
    assert found["unchanged_pixels"].value < 0.01
    distance = found["translation_kernel_distance"]
    assert distance.verdict == "better than its source"
    assert distance.floor is not None
    assert distance.reference is not None
    assert abs(distance.value - distance.floor) < 0.1 * distance.reference


def test_a_translator_that_returns_its_source_is_caught() -> None:
    found = report(as_a(Copy, TWO), examples(TWO))
    assert found["domain_agreement"].value == 0
    assert found["domain_agreement"].verdict == "no nearer than its source"
    assert found["unchanged_pixels"].value == 1
    assert found["unchanged_pixels"].verdict == "returns its source"
    assert found["translation_kernel_distance"].verdict == "like its source"
    assert found["cycle_error"].value == 0
    assert found["identity_kept"].value == 1


def test_a_translator_that_makes_one_image_of_all_is_caught() -> None:
    found = report(as_a(One, TWO), examples(TWO))
    assert found["domain_agreement"].value == 1
    assert found["identity_kept"].value < 0.1
    assert found["identity_kept"].verdict == "hardly any kept"


def test_the_kernel_distance_is_that_of_each_domain_by_its_share() -> None:
    data, made = examples(TWO), model(TWO)
    found = report(made, data)["translation_kernel_distance"]
    batch = data.under(made.condition).batch()
    assert batch.condition is not None
    order = data.order(SETTINGS.seed)
    x, c = batch.x[order], batch.condition[order]
    by_hand = [
        kernel_distance(PIXELS(made.translate(x[c != k], c[c != k] * 0 + k)), PIXELS(batch.x[batch.condition == k]))
        for k in (0, 1)
    ]
    assert found.value == pytest.approx(sum(d.mean for d in by_hand) / 2, rel=1e-4)
    assert found.spread == pytest.approx(sum(d.standard_error**2 for d in by_hand) ** 0.5 / 2, rel=1e-4)


def test_one_way_has_no_cycle_and_no_way_no_figures() -> None:
    data, made = examples(TWO), model(TWO)
    made.aims = lambda condition, *, seed=None: torch.ones_like(condition)  # type: ignore[method-assign]
    found = report(made, data)
    assert "200 held-out" in found["unchanged_pixels"].note
    with pytest.raises(KeyError):
        found["cycle_error"]
    made.aims = lambda condition, *, seed=None: condition  # type: ignore[method-assign]
    nowhere = report(made, data)
    assert nowhere.figures == ()
    assert "no held-out example can go to another domain" in nowhere.notes[0]


def test_a_family_that_goes_one_way_alone_is_measured_on_all_sources() -> None:
    config = CUTConfig(
        network=ResNetGeneratorConfig(width=4, halvings=1, blocks=1, kernel=3),
        discriminator=PatchGANConfig(width=4, halvings=1),
        features=6,
    )
    figures = {figure.key for figure in report(build(config, TWO).eval(), examples(TWO)).figures}
    assert {"domain_agreement", "identity_kept", "unchanged_pixels"} <= figures
    assert "cycle_error" not in figures


def test_figures_are_the_same_however_many_parts_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report(model(HAIR), examples(HAIR))
    monkeypatch.setattr(
        domains,
        "batches",
        lambda part, n, device, most: (part(slice(i, min(i + 70, n))) for i in range(0, n, 70)),
    )
    for one, other in zip(whole.figures, report(model(HAIR), examples(HAIR)).figures, strict=True):
        assert one.key == other.key
        assert one.value == pytest.approx(other.value, abs=1e-6)


def test_work_is_bounded() -> None:
    found = report(model(TWO), examples(TWO), samples=50)
    assert found["domain_agreement"].note.startswith("50 held-out, to a classifier of 2 domains")
    plain = report(model(TWO), examples(TWO), samples=0)
    assert {figure.key for figure in plain.figures} == {"unchanged_pixels", "cycle_error"}
    assert plain.extractor is None
    assert isinstance(Report.from_json(found.to_json())["identity_kept"], Figure)


def test_a_distance_in_features_stands_beside_the_error_of_pairs() -> None:
    spec = replace(TWO, classes=())
    made = Pix2Pix(Pix2PixConfig(adversarial=0.0), spec).eval()
    data = replace(examples(TWO), spec=spec, condition=None).under(made.condition)
    figures = list[Figure]()
    features = Extractor("means", lambda x: x.mean((2, 3)), None, "0")
    for _ in translation.translation_figures(made, data, figures, features):
        pass
    batch = data.batch()
    assert batch.condition is not None
    expected = frechet_distance(features(made.translate(batch.condition)), features(batch.x))
    assert [figure.key for figure in figures] == [
        "translation_psnr",
        "translation_ssim",
        "translation_frechet_distance",
    ]
    assert figures[2].value == pytest.approx(expected, rel=1e-6)
    assert figures[2].verdict == "like its source"  # which an untrained residual model returns


def test_a_slow_translator_is_measured_on_fewer() -> None:
    """A tenth of a second an example, and 2 seconds."""

    class Slow(Shades):
        def moved(self, x: Tensor, own: Tensor, condition: Tensor | None) -> Tensor:
            sleep(0.1 * len(x))
            return super().moved(x, own, condition)

    found = report(as_a(Slow, TWO), examples(TWO), minutes=2 / 60)
    n, rest = found["domain_agreement"].note.split(" ", 1)
    assert 1 <= int(n) < 30
    assert "(of 400, which would take 0." in rest


def test_labels_are_one_attribute() -> None:
    data = examples(TWO)
    splits = Splits(train=data, validation=data, test=data, settings=DataConfig())
    found = domains.DomainFigures(model(TWO), splits, data.under(Label(TWO.classes)), SETTINGS)
    assert found.names == (("dark", "light"),)
    assert found.own.shape == (400, 1)
    assert len(found.rows) == 400
