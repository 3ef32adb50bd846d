"""Evaluation of models whose every figure is known."""

import json
from collections import Counter
from dataclasses import replace
from math import exp
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genwerk.core.abilities import BoundsLikelihood, Decodes, Encodes, HasLikelihood, Samples
from genwerk.core.condition import Label, choose
from genwerk.core.model import Config, Model, build
from genwerk.core.noise import Seeds
from genwerk.core.options import Options
from genwerk.core.outcome import outcome
from genwerk.core.spec import DataSpec
from genwerk.data import open_data
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.data.toys import TOYS
from genwerk.evaluation import extractor
from genwerk.evaluation.evaluate import evaluate
from genwerk.evaluation.extractor import accuracy, extractor_for, training_classifier
from genwerk.evaluation.plain import diagnosis_figures
from genwerk.evaluation.quick import judge, quick
from genwerk.evaluation.report import Figure, Report
from genwerk.families.autoregressive_flow import MAFConfig
from genwerk.families.vae import VAEConfig
from genwerk.metrics.features import Extractor, weights_hash
from genwerk.metrics.robust import clipped_mean, trimmed_mean
from genwerk.nn.coder import MLPCoder
from genwerk.nn.losses import GaussianConfig
from genwerk.recipes import find
from genwerk.training.choice import Judged
from genwerk.training.protocol import EvaluateConfig

SETTINGS = EvaluateConfig(examples=1000, samples=2000)
PIXELS = Extractor("pixels", lambda x: x.flatten(1), None, "0" * 12)


class Truth(Model, HasLikelihood, Samples):
    """The toy distribution itself."""

    def __init__(self, name: str, spec: DataSpec) -> None:
        super().__init__(Config(), spec)
        self.toy = TOYS[name]

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.toy.log_prob(x)

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        first = Seeds.of(seed or 0).first
        return self.toy.sample(10_000, 1_000_000)[first : first + n]


class Dimmer(Model, Encodes, Decodes):
    """Rebuilds an image with every value off by ``offset``."""

    def __init__(self, offset: float, spec: DataSpec) -> None:
        super().__init__(Config(), spec)
        self.offset, self.latent_shape = offset, spec.shape

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        assert not self.training
        return x

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z + self.offset


class Replayer(Model, Samples):
    """Returns stored examples, of the class asked for where there is one."""

    def __init__(self, data: Dataset, *, conditional: bool = False) -> None:
        super().__init__(Config(), data.spec)
        self.data, self.condition = data, choose(conditional, data.spec, Label)
        self.asked: list[int] = []

    def sample(
        self, n: int, condition: Tensor | None = None, options: Options = None, *, seed: int | None = None
    ) -> Tensor:
        if condition is not None:
            self.asked += condition.tolist()
        start = Seeds.of(seed or 0).first
        return self.data.batch(slice(start, start + n)).x


class Bounded(Model, BoundsLikelihood, Encodes, Decodes):
    """Bounds every image's log-likelihood by -10 nats."""

    latent_shape = (1,)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1).mean(1, keepdim=True)

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return z[..., None, None].expand(-1, *self.spec.shape)

    def log_prob_bound(
        self, x: Tensor, importance_samples: int = 1, condition: Tensor | None = None, *, seed: int | None = None
    ) -> Tensor:
        return torch.full((len(x),), -10.0)


@pytest.fixture(scope="module")
def digits() -> Splits:
    return open_data(DataConfig(source="digits"))


@pytest.fixture(scope="module")
def ring() -> Splits:
    return open_data(DataConfig(source="gaussians8"))


@pytest.fixture
def brief(monkeypatch, tmp_path):
    """A short training of the classifier, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(extractor.INCEPTION, raising=False)
    monkeypatch.setattr(extractor, "CLASSIFIER_TRAINING", replace(extractor.CLASSIFIER_TRAINING, rounds=100))
    return tmp_path


def test_the_truth_scores_as_the_truth(ring):
    report = evaluate(Truth("gaussians8", ring.spec), ring, replace(SETTINGS, samples=1000))
    divergence = report["KL to truth"]
    assert abs(divergence.value) < 4 * divergence.spread < 0.15
    assert report["NLL"].value == pytest.approx(TOYS["gaussians8"].entropy + divergence.value)
    assert report["modes"].value == 8
    assert report["high quality"].value == pytest.approx(1 - exp(-4.5), abs=0.01)
    assert report["mode KL"].value < 0.01
    frechet, kernel = report["Fréchet distance"], report["kernel distance"]
    assert frechet.value < 10 * frechet.floor + 1e-3
    assert frechet.value < frechet.noise / 10
    assert abs(kernel.value) < 4 * kernel.spread + abs(kernel.floor) < kernel.noise
    assert report["density"].value == pytest.approx(1, abs=0.1)
    assert report["coverage"].value > 0.9
    assert "1,000 samples, 1,000 held-out" in frechet.note
    assert report.extractor.startswith("2 standardised columns (weights ")


def test_reconstructions_of_known_error(digits):
    report = evaluate(Dimmer(0.1, digits.spec), digits, SETTINGS, extractor=PIXELS)
    assert report["reconstruction MSE"].value == pytest.approx(0.01, rel=1e-5)
    assert report["PSNR"].value == pytest.approx(20, abs=1e-4)
    assert report["Fréchet distance of reconstructions"].value == pytest.approx(64 * 0.01, rel=1e-4)
    spread = digits.test.batch().x.std(0, correction=0).square().mean().sqrt().item()
    for name in ("encode-decode error", "decode-encode error"):
        assert report[name].value == pytest.approx(0.1 / spread, rel=1e-5)
    rebuilt = {"reconstruction MSE", "PSNR", "Fréchet distance of reconstructions"}
    assert {f.name for f in report.figures} == {*rebuilt, "encode-decode error", "decode-encode error"}


def test_training_examples_as_samples_reach_about_the_floor(digits):
    report = evaluate(Replayer(digits.train), digits, SETTINGS, extractor=PIXELS)
    frechet = report["Fréchet distance"]
    assert frechet.value == pytest.approx(frechet.floor, rel=1e-6)  # all are drawn for both
    assert frechet.value < frechet.noise / 5
    assert report["kernel distance"].value < report["kernel distance"].noise / 5
    assert report["precision"].value > 0.8
    assert "1,488 samples, 175 held-out" in frechet.note


def test_only_inceptions_features_give_a_fid(digits):
    names = {f.name for f in evaluate(Replayer(digits.train), digits, SETTINGS, extractor=PIXELS).figures}
    assert not names & {"FID", "KID"}
    named = evaluate(Replayer(digits.train), digits, SETTINGS, extractor=replace(PIXELS, inception=True))
    assert {"FID", "KID"} <= {f.name for f in named.figures}


def test_samples_can_be_compared_with_the_training_part_as_published_fids_are(digits):
    against = replace(SETTINGS, reference="train", examples=5000)
    report = evaluate(Replayer(digits.train), digits, against, extractor=PIXELS)
    frechet = report["Fréchet distance"]
    assert frechet.value == pytest.approx(0, abs=1e-6)  # the samples are the training examples
    assert "1,488 samples, 1,488 training examples" in frechet.note
    held = evaluate(Replayer(digits.train), digits, SETTINGS, extractor=PIXELS)["Fréchet distance"]
    assert frechet.floor == pytest.approx(held.floor, rel=1e-6)  # between the same two parts


def test_inceptions_last_layer_gives_the_inception_score(digits):
    last = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    inception = replace(PIXELS, inception=True, head=lambda features: features @ last)
    report = evaluate(Replayer(digits.train), digits, SETTINGS, extractor=inception)
    logits = report["inception score"]
    assert 1 < logits.value < 5
    assert logits.spread > 0
    assert "10 splits" in logits.note


def test_bounds_are_marked_as_bounds(digits):
    report = evaluate(Bounded(Config(), digits.spec), digits, replace(SETTINGS, importance_samples=7), extractor=PIXELS)
    assert report["≤ NLL"].value == 10
    assert "bound, K = 7" in report["≤ NLL"].note
    assert report["≤ bits/dim"].value == pytest.approx(10 / (64 * torch.tensor(2.0).log().item()))


def test_conditional_samples_follow_the_labels(digits):
    model = Replayer(digits.train, conditional=True)
    evaluate(model, digits, SETTINGS, extractor=PIXELS)
    asked, held = Counter(model.asked[-len(digits.train) :]), Counter(digits.train.condition.tolist())
    assert all(abs(asked[c] - held[c]) < 6 * held[c] ** 0.5 for c in range(10))
    unlabelled = replace(digits.train, condition=None)
    with pytest.raises(ValueError, match="conditioned on the class"):
        quick(model, unlabelled)


def test_samples_may_be_left_out(digits):
    report = evaluate(Replayer(digits.train), digits, replace(SETTINGS, samples=0))
    assert report.figures == ()


def test_too_few_examples_for_distances_is_said(digits):
    few = replace(digits, test=digits.test.select(torch.arange(5)))
    report = evaluate(Replayer(digits.train), few, SETTINGS)
    assert report.figures == ()
    assert "Distances need 10" in report.notes[0]
    assert report.notes[0] in report.markdown()


FRECHET = "frechet_in_32_components"


def test_quick_figures_and_which_decides(digits, ring):
    truth = Truth("gaussians8", ring.spec)
    assert list(quick(truth, ring.test)) == ["clipped_nll", "nll"]
    assert judge(truth, ring.test, ring.train).by == "clipped_nll"
    figures = quick(Bounded(Config(), digits.spec), digits.test)
    assert list(figures)[:3] == ["clipped_nll_bound", "nll_bound", "bits_per_dim"]
    assert figures["clipped_nll_bound"] == figures["nll_bound"] == 10
    dimmer = judge(Dimmer(0.2, digits.spec), digits.test, digits.train)
    assert dimmer.figures["reconstruction_mse"] == pytest.approx(0.04)
    assert (dimmer.by, dimmer.steady) == ("clipped_reconstruction_mse", True)
    same, other = (judge(Replayer(d), digits.test, digits.train) for d in (digits.test, digits.train))
    assert same.figures == {"energy_distance": pytest.approx(0, abs=1e-6), FRECHET: pytest.approx(0, abs=1e-6)}
    assert (same.by, same.steady) == ("energy_distance", False)
    assert other.figures[FRECHET] > 0.01
    assert other.figures["energy_distance"] > 1e-3
    assert judge(Replayer(digits.train), digits.test.subset(9), digits.train) == Judged({}, None)
    assert judge(truth, ring.test.select(torch.arange(0)), ring.train) == Judged({}, None)


class Sharpened(Dimmer):
    """Has an opponent."""

    def players(self) -> dict[str, nn.Module]:
        return {"model": self, "discriminator": nn.Identity()}


def test_squared_error_does_not_choose_where_a_game_sharpens(digits):
    judged = judge(Sharpened(0.2, digits.spec), digits.test, digits.train)
    assert judged.by is None
    assert judged.figures["reconstruction_mse"] == pytest.approx(0.04)


def test_a_quarter_of_the_modes_is_told_from_all_of_them(ring):
    """Means and covariances are those of all eight modes, so a Fréchet distance sees nothing."""
    x = ring.train.batch().x
    axes = ring.train.select((x.abs().amin(1) < 0.3).nonzero().squeeze(1))
    half, whole = (quick(Replayer(d), ring.test, train=ring.train) for d in (axes, ring.train))
    assert half["energy_distance"] > 5 * whole["energy_distance"]


def test_no_column_decides_by_its_unit_and_no_row_by_itself():
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    unit, spec = torch.tensor([1.0, 1e-4, 5e4]), DataSpec(kind="table", shape=(3,))
    for model in (Replayer, lambda data: Dimmer(0.1 * data.batch().x.std(0, correction=0), data.spec)):
        seen = []
        for by in (torch.ones(3), unit):
            train, held = (Dataset(x=part * by, spec=spec) for part in (x[:300], x[300:]))
            seen.append(judge(model(train), held, train))
        assert seen[0].figures[seen[0].by] == pytest.approx(seen[1].figures[seen[1].by], rel=1e-3)
    nll = torch.cat([torch.linspace(20, 26, 87), torch.tensor([1e9])])
    assert clipped_mean(nll) == pytest.approx(23 + 12 / 88, abs=0.1)
    assert clipped_mean(nll[:87]) == pytest.approx(23)
    assert clipped_mean(nll[-1:]) == 1e9
    assert trimmed_mean(nll) == pytest.approx(23, abs=0.2)
    assert [trimmed_mean(nll[-n:]) for n in (1, 2)] == [1e9, pytest.approx(5e8)]
    assert trimmed_mean(torch.tensor([5.0, 1.0, 1e9])) == 5


class Ruled(Model, HasLikelihood):
    """Gives every row of a table the log-likelihood in its first column."""

    def log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x[:, 0]


def rows(*values: float) -> Splits:
    data = Dataset(x=torch.tensor(values)[:, None], spec=DataSpec(kind="table", shape=(1,)))
    return Splits(train=data, validation=data, test=data, settings=DataConfig())


def test_a_row_that_makes_the_mean_is_named_and_the_usual_told():
    splits = rows(*[-20.0 - i % 7 for i in range(87)], -1e7)
    report = evaluate(Ruled(Config(), splits.spec), splits, SETTINGS, notes=("Chosen.",))
    assert [f.name for f in report.figures] == ["NLL", "median NLL", "trimmed NLL"]
    assert report["NLL"].value > 1e5
    assert report["median NLL"].value == 23
    assert report["trimmed NLL"].value == pytest.approx(23, abs=0.2)
    assert report.notes[0] == "Chosen."
    assert "row 87 of 88 (from 0) has 1e+07 nats, 100.00% of" in report.notes[1]
    usual = evaluate(Ruled(Config(), splits.spec), rows(*[-20.0 - i % 7 for i in range(88)]), SETTINGS)
    assert [f.name for f in usual.figures] == ["NLL"]
    assert usual.notes == ()


@pytest.mark.filterwarnings("error")
def test_one_held_out_example_has_no_spread():
    splits = rows(-14.0)
    report = evaluate(Ruled(Config(), splits.spec), splits, SETTINGS)
    assert report["NLL"].spread is None
    data = Dataset(x=torch.randn(20, 3), spec=DataSpec(kind="table", shape=(3,)))
    few = Splits(train=data, validation=data, test=data.select(torch.arange(1)), settings=DataConfig())
    for config in (
        MAFConfig(layers=1, widths=(4,)),
        VAEConfig(network=MLPCoder(widths=(4,)), latent=2, likelihood=GaussianConfig()),
    ):
        report = evaluate(build(config, data.spec), few, SETTINGS)
        assert "nan" not in report.markdown()
        assert not {"latent variance", "active units"} & {f.name for f in report.figures}


def test_the_model_keeps_its_mode(digits):
    model = Dimmer(0.1, digits.spec)
    for training in (True, False):
        quick(model.train(training), digits.test)
        assert model.training is training


def test_subset_is_random_and_repeatable(digits):
    ordered = digits.train.select(digits.train.condition.argsort())
    some = ordered.subset(300, seed=1)
    assert len(set(some.condition.tolist())) == 10
    assert torch.equal(some.x, ordered.subset(300, seed=1).x)
    assert ordered.subset(5000, seed=1) is ordered


def test_report_as_json_and_text():
    figures = (
        Figure(name="NLL", value=91.2345, spread=0.1234, unit="nats", note="exact", verdict="better than a Gaussian"),
        Figure(name="PSNR", value=float("inf"), unit="dB"),
    )
    report = Report(figures=figures, extractor="pixels (weights 0)", notes=("A note.",))
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["figures"]["nll"]["value"] == 91.2345
    assert stored["figures"]["psnr"]["value"] is None
    assert (stored["figures"]["nll"]["verdict"], stored["figures"]["psnr"]["verdict"]) == (
        "better than a Gaussian",
        None,
    )
    assert stored["complete"]
    head, rows = report.table()
    assert head == ["figure", "value", "verdict"]
    assert rows == [["NLL", "91.23 ± 0.12 nats", "better than a Gaussian"], ["PSNR", "inf dB", "n/a"]]
    assert "| NLL | 91.23 ± 0.12 nats | better than a Gaussian |" in report.markdown()
    assert report.lines()[:2] == ["NLL: exact.", "Distances are in the features of: pixels (weights 0)."]
    assert report["nll"] is report["NLL"]
    with pytest.raises(KeyError):
        report["FID"]


KEYS = {
    "NLL": "nll",
    "≤ NLL": "nll_bound",
    "NLL given label": "nll_given_label",
    "median ≤ NLL given label": "median_nll_bound_given_label",
    "≤ bits/dim": "bits_per_dim_bound",
    "≤ KL to truth": "kl_to_truth_bound",
    "Fréchet distance of reconstructions": "frechet_distance_of_reconstructions",
    "FID": "fid",
    "round-trip error": "round_trip_error",
    "KL of codes": "kl_of_codes",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_figure_has_one_key_in_ascii(name):
    assert Figure(name=name, value=0.0).key == KEYS[name]


def test_classifier_learns_and_is_the_same_for_any_number_of_threads(digits, brief):
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    hashes = set()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            network = outcome(training_classifier(digits.train, extractor.CLASSIFIER_TRAINING))
            hashes.add(weights_hash(network.state_dict().values()))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(threads)
    assert len(hashes) == 1
    assert torch.equal(before, torch.get_rng_state())
    assert accuracy(network, digits.test) > 0.93
    assert not network.training


def test_extractor_is_kept_in_the_cache(digits, brief, monkeypatch):
    first = extractor_for(digits)
    assert first.name == "classifier of 10 classes"
    (kept,) = (brief / "genwerk" / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])
    assert extractor_for(digits).hash == first.hash, "a damaged file is made again"
    monkeypatch.setattr(extractor, "Trainer", None)
    again = extractor_for(digits)
    assert (again.hash, again.accuracy) == (first.hash, first.accuracy)
    assert torch.equal(again(digits.test.batch().x), first(digits.test.batch().x))
    features = first(digits.test.batch().x)
    assert features.shape == (len(digits.test), 64)
    assert first.classes == digits.spec.classes
    right = first.logits(features).argmax(1) == digits.test.condition
    assert right.double().mean().item() == first.accuracy


def test_extractor_without_a_cache_folder(digits, brief, monkeypatch):
    (brief / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(brief / "file"))
    assert extractor_for(digits).accuracy > 0.9


def test_extractor_of_unlabelled_images_tells_orientations(digits, brief):
    bare = replace(digits.spec, classes=())
    splits = replace(
        digits,
        train=replace(digits.train, condition=None, spec=bare),
        test=replace(digits.test, condition=None, spec=bare),
    )
    extractor = extractor_for(splits)
    assert extractor.name == "classifier of 4 orientations"
    assert extractor.classes == (), "the data have no labels"
    assert extractor.accuracy > 0.8


def test_inception_is_taken_when_named(digits, brief, monkeypatch):
    monkeypatch.setenv(extractor.INCEPTION, str(brief / "none.safetensors"))
    with pytest.raises(ValueError, match="there is no Inception weights file"):
        extractor_for(digits)


def test_no_features_for_text():
    data = Dataset(x=torch.zeros(5, 3), spec=DataSpec(kind="text", shape=(3,)))
    with pytest.raises(ValueError, match="no features for text"):
        extractor_for(Splits(train=data, validation=data, test=data, settings=DataConfig()))


@pytest.mark.slow
def test_classifier_of_mnist(monkeypatch, tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("MNIST is not at hand")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(extractor.INCEPTION, raising=False)
    assert extractor_for(open_data(DataConfig(source=str(folder)))).accuracy > 0.988


def test_examples_that_the_model_was_trained_on_are_not_called_held_out() -> None:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    train = Dataset(x=x, spec=DataSpec(kind="table", shape=(2,)))
    for n, said in ((1, "1 training example"), (4, "4 training examples")):
        part = train.select(torch.arange(n))
        splits = Splits(train=part, validation=part, test=part, settings=DataConfig())
        model = build(find("mixture").make(part.spec).model, part.spec)
        report = evaluate(model, splits, EvaluateConfig(samples=0))
        assert said in report["nll"].note
        assert not any("held-out" in figure.note for figure in report.figures)


def test_of_dimensions_that_all_are_low_only_their_number_is_told() -> None:
    class Low(Model):
        def diagnose(self, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
            return {"KL of codes": torch.full((20,), 0.001)}

    spec = DataSpec(kind="table", shape=(2,))
    (figure,) = diagnosis_figures(Low(Config(), spec), Dataset(x=torch.zeros(4, 2), spec=spec))  # type: ignore[arg-type]
    assert figure.note == "by dimension: 20 below 0.01"


def test_a_rounding_error_is_no_spread() -> None:
    figures = [
        Figure(name=name, value=v, spread=s) for name, v, s in (("a", 0.98, 6e-17), ("b", 0.0, 0.0), ("c", 2.0, 0.1))
    ]
    _, rows = Report(figures=tuple(figures)).table()
    assert [row[1] for row in rows] == ["0.98", "0", "2 ± 0.1"]
