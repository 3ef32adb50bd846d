"""Figures of sampled texts, on models whose samples are known: real texts, one text again and again, random tokens."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import product
from math import isnan, log
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genwerk.core.abilities import Samples
from genwerk.core.errors import BadInput, Unsupported
from genwerk.core.model import Config, Model
from genwerk.core.noise import Seed, Seeds
from genwerk.core.options import Options, Symbolwise
from genwerk.core.spec import DataSpec
from genwerk.data import open_data, oracle
from genwerk.data.dataset import Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation import texts
from genwerk.evaluation.evaluate import Evaluation, evaluate, measured
from genwerk.evaluation.report import Report
from genwerk.evaluation.texts import TextReference
from genwerk.families.language_model import LanguageModel, LanguageModelConfig, LSTMConfig
from genwerk.metrics import self_bleu, sentence_bleu
from genwerk.runs.sweep import as_csv
from genwerk.training.protocol import EvaluateConfig

SETTINGS = EvaluateConfig(samples=100, lm_rounds=30, minutes=None)


class Writer(Model, Samples):
    """Writes the rows of ``x``, the first sample the first."""

    options = Symbolwise()

    def __init__(self, spec: DataSpec, x: Tensor) -> None:
        super().__init__(Config(), spec)
        self.x = x

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: Seed | None = None
    ) -> Tensor:
        first = Seeds.of(seed or 0).first
        return self.x[first : first + n]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    """480 sentences, no two alike."""
    words = (("a", "the", "one"), ("cat", "dog", "bird", "cow"), ("sat", "ran", "ate", "slept"), ("here", "there"))
    more = ("now", "then", "often", "once", "twice")
    file = tmp_path_factory.mktemp("texts") / "my.txt"
    file.write_text("\n".join(" ".join(each) + "." for each in product(*words, more)))
    return open_data(DataConfig(source=str(file), tokens="words", holdout=0.3))


@pytest.fixture(scope="module")
def beside(splits: Splits) -> TextReference:
    return TextReference(splits, SETTINGS)


def of(x: Tensor, splits: Splits, beside: TextReference) -> Report:
    return measured(Evaluation(Writer(splits.spec, x), splits, SETTINGS, reference=beside))


def test_training_texts_get_the_floor_and_are_seen_to_be_copies(splits: Splits, beside: TextReference) -> None:
    report = of(beside.floor(100), splits, beside)
    for figure in report.figures:
        if figure.name != "copied" and figure.name != "LM score":
            assert figure.value == pytest.approx(figure.floor, abs=1e-9), figure.name
    assert (report["copied"].value, report["copied"].floor) == (1.0, 0.0)
    assert report["BLEU-2"].verdict == "level with real texts"
    assert report["self-BLEU-5"].verdict == "as varied as real texts"
    assert report["reverse LM score"].verdict == "teach as much as real texts"


def test_the_figures_are_those_of_the_metrics(splits: Splits, beside: TextReference) -> None:
    """Of words as they are written, without the spaces between them."""
    x = splits.validation.batch(slice(20)).x
    words = [[*line.removesuffix(".").split(), "."] for line in splits.spec.modality.lines(x)]
    assert splits.spec.modality.words(x) == words
    held_out = [[*line.removesuffix(".").split(), "."] for line in splits.spec.modality.lines(splits.test.batch().x)]
    settings = EvaluateConfig(samples=20, lm_rounds=0)
    report = evaluate(Writer(splits.spec, x), splits, settings)
    assert report["BLEU-3"].value == pytest.approx(sentence_bleu(words, held_out).means[3])
    assert report["self-BLEU-3"].value == pytest.approx(self_bleu(words).means[3])
    assert f"each has all {len(splits.test)} held-out texts as references" in report["BLEU-3"].note
    assert "each has the 19 others as references, not itself" in report["self-BLEU-3"].note
    assert not {"lm_score", "reverse_lm_score"} & {figure.key for figure in report.figures}


def test_one_text_again_and_again_is_likely_and_teaches_nothing(splits: Splits, beside: TextReference) -> None:
    report = of(beside.floor(100)[:1].expand(100, -1), splits, beside)
    assert [report[f"self-BLEU-{k}"].value for k in (2, 3, 4, 5)] == pytest.approx([1.0] * 4)
    assert report["self-BLEU-5"].verdict == "less varied than real texts"
    assert report["duplicates"].value == 0.99
    assert report["distinct-1"].value == 6 / 600
    assert report["repeats"].value == 0
    assert report["reverse LM score"].verdict == "teach less than real texts"


def test_random_tokens_are_noise(splits: Splits, beside: TextReference) -> None:
    generator = torch.Generator().manual_seed(1)
    report = of(splits.spec.modality.at_random(beside.floor(100), generator), splits, beside)
    assert report["BLEU-2"].value == pytest.approx(report["BLEU-2"].noise, abs=0.1)
    assert report["BLEU-2"].verdict == "below real texts"
    assert report["self-BLEU-5"].verdict == "more varied than real texts"
    assert report["LM score"].verdict == "less likely than real texts"
    assert report["copied"].value == 0


def test_empty_texts_are_texts_too(splits: Splits, beside: TextReference) -> None:
    report = of(torch.zeros(100, *splits.spec.shape, dtype=torch.int64), splits, beside)
    assert report["BLEU-2"].value == 0
    assert report["duplicates"].value == 0.99
    assert isnan(report["distinct-2"].value)
    assert report["LM score"].value > 0  # nats of an end that comes at once
    assert report.to_json()["figures"]["distinct_2"]["value"] is None


def test_a_small_language_model_is_near_the_entropy_of_what_it_learned(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """480 sentences, all as likely, of independent words: log 480 nats in seven tokens, the end counted."""
    monkeypatch.setattr(texts, "EPOCHS", 100)
    beside = TextReference(splits, EvaluateConfig(samples=0, lm_rounds=200))
    for _ in beside.preparing(len(splits.train)):
        pass
    assert beside.of_real_texts(len(splits.train)).held_out.a_token == pytest.approx(log(480) / 7, rel=0.1)


def test_where_nothing_is_held_out_what_needs_it_is_left_out(splits: Splits) -> None:
    whole = open_data(DataConfig(source=splits.settings.source, tokens="words", holdout=0))
    report = evaluate(Writer(whole.spec, whole.train.batch(slice(50)).x), whole, EvaluateConfig(samples=50))
    assert report["BLEU-2"].floor is None
    assert report["BLEU-2"].value == 1  # a reference is the text itself
    assert report["copied"].floor is None
    assert not {"lm_score", "reverse_lm_score"} & {figure.key for figure in report.figures}


def test_a_reference_is_of_its_settings(splits: Splits, beside: TextReference) -> None:
    other = EvaluateConfig(samples=100, lm_rounds=31)
    with pytest.raises(ValueError, match="the reference was found with lm_rounds 30"):
        Evaluation(Writer(splits.spec, beside.floor(10)), splits, other, reference=beside)


# --- temperatures -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def swept(splits: Splits) -> Report:
    torch.manual_seed(0)
    model = LanguageModel(LanguageModelConfig(network=LSTMConfig(embedding=8, width=16)), splits.spec).eval()
    return evaluate(model, splits, EvaluateConfig(samples=60, lm_rounds=0, temperatures=(0.0, 1.0, 2.0)))


def test_a_sweep_has_the_figures_of_every_temperature(swept: Report) -> None:
    cold, own, hot = swept.sweep
    assert [at.temperature for at in swept.sweep] == [0.0, 1.0, 2.0]
    assert own.figures == tuple(figure for figure in swept.figures if figure.key in {f.key for f in own.figures})
    assert cold.figure("self_bleu_5").value == pytest.approx(1)  # type: ignore[union-attr]
    assert cold.figure("duplicates").value == pytest.approx(59 / 60)  # type: ignore[union-attr]
    assert cold.figure("distinct_2").value < hot.figure("distinct_2").value  # type: ignore[union-attr]


def test_a_sweep_is_kept_in_json_in_csv_and_in_words(swept: Report) -> None:
    assert Report.from_json(json.loads(json.dumps(swept.to_json(), allow_nan=False))) == swept
    rows = list(csv.DictReader(as_csv(swept).splitlines()))
    found = {(float(row["temperature"]), row["key"]): float(row["value"]) for row in rows}
    assert found == {(at.temperature, f.key): f.value for at in swept.sweep for f in at.figures}
    assert swept.sweep_table()[0] == ["figure", "T = 0", "T = 1", "T = 2", "floor"]
    assert "| figure | T = 0 | T = 1 | T = 2 | floor |" in swept.markdown()


def test_a_report_of_before_has_no_sweep(swept: Report) -> None:
    before = {name: value for name, value in swept.to_json().items() if name != "sweep"}
    assert Report.from_json(before).sweep == ()


def test_temperatures_are_for_models_of_texts(splits: Splits) -> None:
    ring = open_data(DataConfig(source="ring"))

    class Points(Writer):
        pass

    model = Points(ring.spec, ring.train.batch(slice(100)).x)
    with pytest.raises(Unsupported, match="temperatures are for models of texts"):
        Evaluation(model, ring, EvaluateConfig(temperatures=(1.0,)))
    with pytest.raises(BadInput, match="temperatures are those of samples, and samples is 0"):
        Evaluation(Writer(splits.spec, splits.test.batch().x), splits, EvaluateConfig(temperatures=(1.0,), samples=0))
    with pytest.raises(ValueError, match="expected a number 0 or more"):
        EvaluateConfig(temperatures=(-1.0,))


# --- the oracle -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], oracle.Oracle]:
    """An oracle of 30 tokens and texts of 6, 400 of them in each part."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(oracle, "SIZES", dict.fromkeys(("train", "validation", "test"), 400))
    monkeypatch.setattr(oracle, "_oracle", lambda seed: oracle.oracle(30, 6, width=8, seed=seed))
    return oracle._oracle


def test_nll_oracle_of_its_own_texts_is_the_floor_and_of_random_tokens_the_ceiling(small) -> None:
    splits = open_data(DataConfig(source="oracle", seed=3))
    assert splits.spec.shape == (6,)
    assert [len(splits.part(name)) for name in ("train", "validation", "test")] == [400] * 3
    settings = EvaluateConfig(samples=400, lm_rounds=0)
    own = (small(3).sample(400, seed=77) + 2).long()
    figure = evaluate(Writer(splits.spec, own), splits, settings)["NLL_oracle"]
    assert figure.value == pytest.approx(small(3).nll(own - 2).mean().item(), rel=1e-5)
    assert figure.floor == pytest.approx(small(3).nll(splits.test.batch().x - 2).mean().item(), rel=1e-5)
    assert figure.verdict == "as likely as real texts"
    random = torch.randint(2, 32, (400, 6), generator=torch.Generator().manual_seed(5))
    found = evaluate(Writer(splits.spec, random), splits, settings)["NLL_oracle"]
    assert found.value == pytest.approx(found.noise, rel=0.05)
    assert found.verdict == "less likely than real texts"


def test_texts_that_the_oracle_never_writes_are_counted_and_left_out(small) -> None:
    splits = open_data(DataConfig(source="oracle"))
    x = (small(0).sample(50, seed=9) + 2).long()
    x[:5, 3:] = 0  # an end
    figure = evaluate(Writer(splits.spec, x), splits, EvaluateConfig(samples=50, lm_rounds=0))["NLL_oracle"]
    assert figure.value == pytest.approx(small(0).nll(x[5:] - 2).mean().item(), rel=1e-5)
    assert "5 that it never writes are left out" in figure.note
    never = evaluate(Writer(splits.spec, torch.zeros_like(x)), splits, EvaluateConfig(samples=50, lm_rounds=0))
    assert isnan(never["NLL_oracle"].value)
    assert never["NLL_oracle"].verdict == ""


def test_texts_of_the_oracle_are_written_and_read_again(small) -> None:
    splits = open_data(DataConfig(source="oracle"))
    x = splits.train.batch(slice(5)).x
    lines = splits.spec.modality.lines(x)
    assert lines[0].split() == [str(token - 2) for token in x[0].tolist()]
    assert torch.equal(splits.spec.vocabulary.encode(lines), x)  # type: ignore[union-attr]
