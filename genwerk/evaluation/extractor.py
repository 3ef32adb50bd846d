"""The features in which samples are compared, by name: a table's columns, Inception, or a classifier of the data.

The classifier is trained once on the training part and kept in the user's cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from genwerk import __version__
from genwerk.core.files import write_atomically
from genwerk.data import cache
from genwerk.data.dataset import Dataset, Splits
from genwerk.metrics.features import (
    Classifier,
    ClassifierConfig,
    Extractor,
    is_labelled,
    oriented,
    weights_hash,
)
from genwerk.metrics.inception import inception
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

INCEPTION = "GENWERK_INCEPTION"
"""Environment variable that names a file of Inception weights, where there is one."""
CLASSIFIER = ClassifierConfig()
CLASSIFIER_TRAINING = TrainConfig(
    rounds=1000, batch_size=128, optim={"model": OptimConfig(lr=4e-3, schedule="cosine", warmup=50)}, sample_every=0
)
"""How the classifier is trained whose features serve where no Inception weights are given."""


def extractor_for(splits: Splits, *, device: torch.device | str = "cpu") -> Extractor:
    """The extractor in which samples of these data are compared.

    What the modality says (of tables: their standardised columns). Images: Inception where GENWERK_INCEPTION names a
    file of its weights, else the penultimate layer of a classifier of the labels (of orientations where there are
    none), trained once on the training part and kept in the user's cache folder.
    """
    place = torch.device(device)
    if splits.spec.modality.learned_features:
        path = os.environ.get(INCEPTION)
        return inception(Path(path), place) if path else _trained(splits, place)
    name, network, numbers = splits.spec.modality.features(splits.train.batch().x)
    return Extractor(name, network, None, weights_hash(numbers))


def classifier_for(splits: Splits, *, device: torch.device | str = "cpu") -> Classifier:
    """The classifier of the data's own labels in whose features samples are compared; its output are logits."""
    if not splits.spec.modality.learned_features or not is_labelled(splits.train):
        raise ValueError(f"a classifier needs labelled images, and these data are {splits.spec}")
    return _classifier(splits.train, labelled=True).to(device)


def _trained(splits: Splits, device: torch.device) -> Extractor:
    """A classifier's features: of the labels, or of orientations where there are none."""
    train, test = splits.train, splits.test
    labelled = is_labelled(train) and is_labelled(test)
    if not labelled:
        drawn = CLASSIFIER_TRAINING.rounds * CLASSIFIER_TRAINING.batch_size
        train, test = oriented(train.subset(drawn, 0)), oriented(test)
    network = _classifier(train, labelled)
    weights = weights_hash(network.state_dict().values())
    name = f"classifier of {len(train.spec.classes)} {'classes' if labelled else 'orientations'}"
    network.to(device)
    return Extractor(name, network.features, accuracy(network, test), weights, device)


def _classifier(train: Dataset, labelled: bool) -> Classifier:
    """The classifier of ``train``, without gradients: from the cache, or trained now."""
    path = cache.folder().parent / "features" / cache.key(__version__, CLASSIFIER, CLASSIFIER_TRAINING, labelled)
    path = path.with_name(f"{path.name}-{train.fingerprint()}.safetensors")
    network = train_classifier(train, CLASSIFIER_TRAINING, path=path)
    return network.requires_grad_(False)


def train_classifier(train: Dataset, settings: TrainConfig, *, path: Path | None = None) -> Classifier:
    """A classifier of ``train``, kept at ``path``: read from there, or trained and written there.

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
        with one_thread():
            Trainer(network, train.to("cpu"), settings).fit()
    if path is not None:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, save(network.state_dict()))
    return network


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computing in one thread, and in as many as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
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
