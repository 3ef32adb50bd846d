"""Kinds of parts: an open registry, their form in JSON, and the options that choose them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from genwerk.cli.components import chosen
from genwerk.core.component import Component
from genwerk.core.errors import BadInput
from genwerk.core.spec import DataSpec
from genwerk.families.gan import GAN, GANConfig
from genwerk.nn.adversarial import DCGANConfig, MLPConfig
from genwerk.nn.adversarial.objectives import LeastSquares, NonSaturating, Objective
from genwerk.recipes import recipe
from genwerk.runs.card import again
from genwerk.training.settings import Recipe, from_json, to_json

TABLE = DataSpec(kind="table", shape=(2,))
SMALL = DataSpec(kind="image", shape=(1, 8, 8))


@dataclass(frozen=True, kw_only=True)
class Shifted(Objective, kind="shifted"):
    """A stranger's objective."""

    by: float = 0.0
    """What is added."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean() + self.by

    def generator(self, fake: Tensor) -> Tensor:
        return self.by - fake.mean()


def test_a_stranger_s_kind_is_one_among_the_others() -> None:
    config = GANConfig(network=MLPConfig(width=4), objective=Shifted(by=2.0))
    assert to_json(config)["objective"] == {"$type": "shifted", "by": 2.0}
    assert from_json(GANConfig, to_json(config)) == config
    assert GAN(config, TABLE).generator_loss(torch.zeros(3, 100), None, None)[0].isfinite()
    settings = chosen(Recipe(model=GANConfig()), ["--model.objective", "shifted", "--model.objective.by", "2"])
    assert isinstance(settings.model, GANConfig)
    assert settings.model.objective == Shifted()


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TypeError, match="MLPConfig is called 'mlp' already"):
        type("Other", (type(MLPConfig()).__mro__[1],), {}, kind="mlp")
    assert "mlp" not in Objective.kinds
    assert Component.kinds == {}


@pytest.mark.parametrize("tag", [None, "mlp-mixer", ["mlp"]])
def test_an_unknown_kind_in_a_file_is_named(tag: object) -> None:
    settings = to_json(GANConfig())
    settings["network"]["$type"] = tag
    with pytest.raises(BadInput, match=r"settings\.network is of the kind .*; expected one of dcgan, mlp, resnet"):
        from_json(GANConfig, settings)


def test_an_option_names_a_kind_and_the_rest_are_that_kind_s() -> None:
    table = Recipe(model=GANConfig(network=MLPConfig(width=8)))
    for arguments in (["--model.network=dcgan"], ["--model.network", "dcgan", "--model.network.kernel", "5"]):
        assert chosen(table, arguments) == Recipe(model=GANConfig(network=DCGANConfig()))
    assert chosen(table, ["--model.network.width", "3"]) == table
    with pytest.raises(BadInput, match=r"kernel is a setting of dcgan, and --model\.network is mlp, which has width, "):
        chosen(table, ["--model.network.kernel", "5"])
    assert chosen(table, ["--model.network.kernel", "5"], fitted=False) == Recipe(model=GANConfig())


def test_the_command_of_a_card_names_kinds_that_differ() -> None:
    base = recipe("gan", SMALL)
    assert isinstance(base.model, GANConfig)
    model = replace(base.model, network=DCGANConfig(kernel=5), objective=LeastSquares(lsgan_targets=(-1.0, 1.0, 0.0)))
    command = again("gan", replace(base, model=model, data=replace(base.data, source="digits")), SMALL)
    assert command is not None
    assert "--model.network dcgan --model.network.kernel 5" in command
    assert "--model.objective least-squares --model.objective.lsgan-targets -1.0 1.0 0.0" in command
    assert isinstance(base.model.objective, NonSaturating)
