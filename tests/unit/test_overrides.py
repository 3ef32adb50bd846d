"""Settings by keyword or dotted name: which they mean, what they may be, and what is said where they mean none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import genwerk
from genwerk.core.errors import BadInput
from genwerk.data import DataConfig, open_data
from genwerk.nn.adversarial.dcgan import DCGANConfig
from genwerk.training.overrides import meant, overridden, places, rounds_of
from genwerk.training.settings import Recipe

VAE, GAN = genwerk.recipe("vae"), genwerk.recipe("gan")


@pytest.mark.parametrize(
    "name, key",
    [
        ("latent", "model.latent"),
        ("batch_size", "train.batch_size"),
        ("size", "data.size"),
        ("samples", "evaluate.samples"),  # nearer than train.watchdog.samples
        ("watchdog.samples", "train.watchdog.samples"),
        ("train.watchdog.samples", "train.watchdog.samples"),
        ("train.optim.lr", "train.optim.lr"),
    ],
)
def test_a_name_means_one_setting(name: str, key: str) -> None:
    assert {place.key for place in meant(GAN, name)} == {key}


def test_a_learning_rate_is_that_of_every_player_unless_one_is_named() -> None:
    assert {o.lr for o in overridden(GAN, {"lr": 0.5}).train.optim.values()} == {0.5}
    one = overridden(GAN, {"train.optim.generator.lr": 0.5}).train.optim
    assert one["generator"].lr == 0.5 != one["discriminator"].lr


def test_values_of_numpy_and_whole_numbers_are_taken_for_what_the_setting_holds() -> None:
    found = overridden(VAE, {"lr": np.float64(0.5), "beta": 2, "latent": np.int64(3)})
    assert found == replace(
        VAE,
        model=replace(VAE.model, beta=2.0, latent=3),
        train=replace(VAE.train, optim={"model": replace(VAE.train.optim["model"], lr=0.5)}),
    )
    assert type(found.model.beta) is float
    assert type(found.model.latent) is int


def test_a_part_is_named_by_its_kind_and_its_settings_follow() -> None:
    found = overridden(GAN, {"model.network.width": 4, "network": "dcgan"}).model.network
    assert found == DCGANConfig(width=4)
    assert overridden(GAN, {"network": DCGANConfig(width=4)}).model.network == found


def test_every_setting_can_be_named_in_full() -> None:
    for place in places(GAN):
        if len(place.path) > 1:
            assert place in meant(GAN, place.name)
            value: Any = GAN
            for part in place.path:
                value = value[part] if isinstance(value, dict) else getattr(value, part)
            assert overridden(GAN, {place.name: value}) == GAN


BAD: dict[str, tuple[Recipe, dict[str, object]]] = {
    "no setting 'latnt'; did you mean model.latent": (VAE, {"latnt": 3}),
    "no setting 'qqqqqq'; print": (VAE, {"qqqqqq": 3}),
    r"'seed' may be data.seed, evaluate.seed or train.seed; .*\*\*{\"data.seed\": ...}": (VAE, {"seed": 1}),
    "train.rounds is 'many'; expected a whole number": (VAE, {"rounds": "many"}),
    "model.network: 'foo' is none of mlp, conv": (VAE, {"network": "foo"}),
    "lr is -1.0; expected a number from 0 to 100000": (VAE, {"lr": -1}),
    "data.fit is 'no'; expected one of crop": (VAE, {"fit": "no"}),
}


@pytest.mark.parametrize("message", BAD)
def test_what_means_nothing_is_refused_in_words_of_python(message: str) -> None:
    recipe, values = BAD[message]
    with pytest.raises(BadInput, match=message) as caught:
        overridden(recipe, values)
    assert "--" not in str(caught.value)


def test_epochs_are_counted_in_batches() -> None:
    splits = open_data(DataConfig(source="digits", limit=100, validation=0))
    sixteen = overridden(VAE, {"batch_size": 16})
    assert rounds_of(sixteen, 2, splits) == 13
    assert rounds_of(overridden(VAE, {"batch_size": 0}), 3, splits) == 3
    with pytest.raises(BadInput, match="epochs is 'x'"):
        rounds_of(sixteen, "x", splits)
