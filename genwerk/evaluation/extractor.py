"""The features in which samples are compared, by name: columns, a classifier of the data, or a known network.

The classifier is trained once on the training part and kept in the user's cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from genwerk import __version__
from genwerk.core.errors import BadInput
from genwerk.core.files import write_atomically
from genwerk.core.outcome import outcome
from genwerk.core.spec import DataSpec
from genwerk.data import cache
from genwerk.data.dataset import Dataset, Splits
from genwerk.metrics.efficientnet import efficientnet
from genwerk.metrics.efficientnet import weights as efficientnet_weights
from genwerk.metrics.features import (
    Classifier,
    ClassifierConfig,
    Extractor,
    is_labelled,
    oriented,
    weights_hash,
)
from genwerk.metrics.inception import inception
from genwerk.training.protocol import Features
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

T = TypeVar("T")

INCEPTION = "GENWERK_INCEPTION"
"""Environment variable that names a file of Inception weights, where there is one."""
CLASSIFIER = ClassifierConfig()
CLASSIFIER_TRAINING = TrainConfig(
    rounds=1000, batch_size=128, optim={"model": OptimConfig(lr=4e-3, schedule="cosine", warmup=50)}, sample_every=0
)
"""How the classifier is trained whose features serve where no Inception weights are given."""
EPOCHS, FEWEST_ROUNDS = 100, 200
"""It goes over small data no more often than this, unless it were trained for fewer rounds than that."""


def extractor_for(splits: Splits, features: Features = "auto", *, device: torch.device | str = "cpu") -> Extractor:
    """The extractor of these ``features``, in which samples of these data are compared.

    auto: what the modality says (of tables their standardised columns, of sounds without labels statistics of their
    spectrogram); of images Inception where GENWERK_INCEPTION names a file of its weights, else the classifier, as of
    labelled sounds. classifier: the penultimate layer of a classifier of the labels (of images without labels, of
    orientations), trained once on the training part and kept in the user's cache folder. photo: EfficientNet-Lite0. A
    BadInput says what is missing.
    """
    return outcome(preparing(splits, features, device))


def preparing(
    splits: Splits, features: Features = "auto", device: torch.device | str = "cpu"
) -> Generator[tuple[int, int], None, Extractor]:
    """:func:`extractor_for`: how many rounds of how many a classifier has been trained for, where one is."""
    place = torch.device(device)
    match settled(splits.spec, features):
        case "inception":
            return inception(Path(os.environ[INCEPTION]), place)
        case "photo":
            return efficientnet(place)
        case "classifier":
            return (yield from _trained(splits, place))
    name, network, numbers = splits.spec.modality.features(splits.train.parts())
    return Extractor(name, network, None, weights_hash(numbers))


def settled(spec: DataSpec, features: Features) -> Features:
    """What ``features`` are for data of ``spec``; auto where only these data's modality knows, a BadInput where they
    cannot be had."""
    modality, weights = spec.modality, os.environ.get(INCEPTION)
    if features == "auto" and modality.learned_features:
        return "inception" if weights and modality.has_pixels else "classifier"
    if features in ("photo", "inception") and not modality.has_pixels:
        raise BadInput(f"‹features› is {features}, whose features are of images, and these data are {spec}; take auto")
    if features == "classifier" and not modality.learned_features:
        raise BadInput(f"‹features› is classifier, and for {spec} there is none; take auto")
    if features == "inception" and not weights:
        raise BadInput(f"‹features› is inception, and {INCEPTION} names no file of its weights; set it, or take photo")
    if features == "photo":
        efficientnet_weights()
    return features


def classifier_for(splits: Splits, *, device: torch.device | str = "cpu") -> Classifier:
    """The classifier of the data's own labels in whose features samples are compared; its output are logits."""
    if not splits.spec.modality.learned_features or not is_labelled(splits.train):
        raise ValueError(f"a classifier needs labelled images or sounds, and these data are {splits.spec}")
    return outcome(classifying(splits.train, labelled=True)).to(device)


Rounds = Generator[tuple[int, int], None, Classifier]
"""A classifier's training: how many rounds of how many have been played."""


def _trained(splits: Splits, device: torch.device) -> Generator[tuple[int, int], None, Extractor]:
    """A classifier's features: of the labels, or of orientations where there are none."""
    train, test = splits.train, splits.test
    labelled = is_labelled(train) and is_labelled(test)
    if not labelled:
        drawn = CLASSIFIER_TRAINING.rounds * CLASSIFIER_TRAINING.batch_size
        train, test = oriented(train.subset(drawn, 0)), oriented(test)
    network = yield from classifying(train, labelled)
    weights = weights_hash(network.state_dict().values())
    name = f"classifier of {len(train.spec.classes)} {'classes' if labelled else 'orientations'}"
    network.to(device)
    assert test.condition is not None
    chance = torch.bincount(test.condition.cpu()).max().item() / len(test)
    right, classes = accuracy(network, test), train.spec.classes if labelled else ()
    head = network.logits
    return Extractor(name, network.features, right, weights, device, head=head, classes=classes, chance=chance)


def classifying(train: Dataset, labelled: bool) -> Rounds:
    """The classifier of ``train``, without gradients: from the cache, or trained now."""
    settings = training_for(len(train))
    path = cache.folder().parent / "features" / cache.key(__version__, CLASSIFIER, settings, labelled)
    path = path.with_name(f"{path.name}-{train.fingerprint()}.safetensors")
    network = yield from training_classifier(train, settings, path=path)
    return network.requires_grad_(False)


def training_for(n: int) -> TrainConfig:
    """How the classifier of ``n`` examples is trained."""
    rounds = max(FEWEST_ROUNDS, EPOCHS * n // CLASSIFIER_TRAINING.batch_size)
    return replace(CLASSIFIER_TRAINING, rounds=min(CLASSIFIER_TRAINING.rounds, rounds))


@torch.enable_grad()
def training_classifier(train: Dataset, settings: TrainConfig, *, path: Path | None = None) -> Rounds:
    """A classifier of ``train``, kept at ``path``: read from there, or trained round by round and written there.

    Training is in one thread of the CPU whatever the machine has, and so the same to the bit however many it has: every
    run on the same data is judged by the same features. The state of torch's generators is left alone.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = Classifier(CLASSIFIER, train.spec)
        if path is not None:
            try:
                network.load_state_dict(load_file(path))
                return network.eval()
            except (OSError, SafetensorError, RuntimeError):
                pass
    trainer = Trainer(network, train.to("cpu"), settings)
    events = iter(trainer)
    while (event := alone(lambda: next(events, None))) is not None:
        yield event.round, trainer.rounds
    trainer.finished()
    if path is not None:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save(network.state_dict()))
    return network


def alone(compute: Callable[[], T]) -> T:
    """``compute()`` in one thread; threads and the state of torch's generators are as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            return compute()
    finally:
        torch.set_num_threads(threads)


def accuracy(network: Classifier, data: Dataset) -> float:
    """Fraction of ``data`` that ``network`` classifies rightly."""
    right = 0
    with torch.no_grad():
        for start in range(0, len(data), 500):
            batch = data.batch(slice(start, start + 500))
            assert batch.condition is not None
            right += int((network(batch.x.to(network.device)).argmax(1).cpu() == batch.condition.cpu()).sum())
    return right / len(data)
