"""Extractors: columns, the small classifier, orientations."""

import hashlib

import pytest
import torch
from torch import Tensor

from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset, Splits
from genwerk.data.settings import DataConfig
from genwerk.evaluation.extractor import extractor_for
from genwerk.metrics.features import (
    Classifier,
    ClassifierConfig,
    Extractor,
    is_labelled,
    oriented,
    weights_hash,
)


def images(n: int, *shape: int, classes: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    spec = DataSpec(kind="image", shape=shape, classes=tuple(map(str, range(classes))))
    condition = torch.randint(classes, (n,), generator=generator) if classes else None
    return Dataset(x=torch.randint(256, (n, *shape), generator=generator).byte(), spec=spec, condition=condition)


def test_extractor_cuts_batches_and_describes_itself():
    seen: list[int] = []

    def network(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x.flatten(1).double()

    extractor = Extractor("pixels", network, 0.991, "3f2a00000000", batch=4)
    x = torch.rand(10, 1, 2, 2)
    features = extractor(x)
    assert sum(seen) == 10
    assert max(seen) <= 4
    assert features.dtype == torch.float32
    assert torch.equal(features, x.flatten(1))
    assert extractor.describe() == "pixels (accuracy 99.1%, weights 3f2a00000000)"
    assert "accuracy" not in Extractor("pixels", network, None, "0").describe()


def test_weights_hash_is_sha256_of_the_bytes():
    w = torch.arange(4.0)
    assert weights_hash([w, w.clone()]) == hashlib.sha256(w.numpy().tobytes() * 2).hexdigest()[:12]
    assert weights_hash([w]) != weights_hash([w + 1])


def test_columns_are_standardised_by_the_training_part():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 50.0, 0.0]) + 7
    data = Dataset(x=x, spec=DataSpec(kind="table", shape=(3,)))
    extractor = extractor_for(Splits(train=data, validation=data, test=data, settings=DataConfig()))
    features = extractor(x)
    assert torch.allclose(features.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(features.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)
    assert extractor(x[:1] + 50)[0, 1] == pytest.approx(features[0, 1].item() + 50 / x[:, 1].std(correction=0).item())
    assert extractor.name == "3 standardised columns"


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (1, 28, 28), (3, 20, 31), (3, 64, 64), (3, 100, 150)])
def test_classifier_takes_any_shape(shape):
    data = images(6, *shape, classes=3)
    network = Classifier(ClassifierConfig(features=24), data.spec)
    batch = data.batch()
    assert network.features(batch.x).shape == (6, 24)
    assert network(batch.x).shape == (6, 3)
    loss, metrics = network.loss(batch)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert 0 <= metrics["error"] <= 1


def test_classifier_loss_is_that_of_guessing_when_logits_are_equal():
    data = images(8, 1, 8, 8, classes=4)
    network = Classifier(ClassifierConfig(), data.spec)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
    loss, _ = network.loss(Batch(data.batch().x, data.condition))
    assert loss.item() == pytest.approx(torch.tensor(4.0).log().item())


def test_quarter_turns_are_undone_by_their_label():
    data = images(40, 2, 5, 5)
    turned = oriented(data)
    assert turned.condition is not None
    assert set(turned.condition.tolist()) == {0, 1, 2, 3}
    back = torch.stack([torch.rot90(x, -int(k), (1, 2)) for x, k in zip(turned.x, turned.condition, strict=True)])
    assert torch.equal(back, data.x)
    assert turned.spec.classes == ("0", "90", "180", "270")
    assert is_labelled(turned)
    assert not is_labelled(data)


def test_flips_of_other_images_are_undone_by_their_label():
    data = images(40, 1, 4, 7)
    turned = oriented(data)
    assert turned.condition is not None
    undo = {0: [], 1: [2], 2: [1], 3: [1, 2]}
    back = torch.stack([x.flip(undo[int(k)]) for x, k in zip(turned.x, turned.condition, strict=True)])
    assert torch.equal(back, data.x)


def test_one_class_is_nothing_to_tell_apart():
    assert not is_labelled(images(5, 1, 4, 4, classes=1))
    assert is_labelled(images(5, 1, 4, 4, classes=2))
