"""Autoencoders: networks for every size of image, corruption, losses, and scales of tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genwerk.core.abilities import abilities
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.autoencoder import Autoencoder, AutoencoderConfig, corrupt
from genwerk.nn.coder import ConvCoder, MLPCoder
from genwerk.nn.conv import ConvDecoder, ConvEncoder, halvings
from genwerk.nn.mlp import ACTIVATIONS, MLPDecoder, MLPEncoder
from genwerk.nn.units import Standardise
from genwerk.recipes import find
from genwerk.recipes.autoencoder import conv_widths
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

DIGIT = DataSpec(kind="image", shape=(1, 8, 8), levels=17)
TABLE = DataSpec(kind="table", shape=(5,))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class Ones:
    """A draw of one fixed batch whose noise is known."""

    def __init__(self, data: Dataset, noise: Tensor) -> None:
        self.data, self.noise = data, noise

    def next_batch(self) -> Any:
        return self.data.batch()

    def normal(self, *shape: int) -> Tensor:
        return self.noise.expand(len(self.data), *shape)

    uniform = normal


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 33), st.integers(1, 33), st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_convolutions_suit_every_size(channels: int, height: int, width: int, widths: list[int]) -> None:
    shape = (channels, height, width)
    encoder, decoder = (net(shape, 3, widths, "relu").eval() for net in (ConvEncoder, ConvDecoder))
    x = torch.rand(2, *shape)
    assert decoder(encoder(x)).shape == x.shape
    assert halvings(height, width, 6)[-1] == (1, 1)


def test_every_pixel_reaches_the_code_and_every_pixel_is_made() -> None:
    for shape in ((1, 7, 10), (1, 28, 28)):
        encoder, decoder = (net(shape, 2, (3, 4), "elu").eval() for net in (ConvEncoder, ConvDecoder))
        x = torch.rand(1, *shape, requires_grad=True)
        assert (torch.autograd.grad(encoder(x).sum(), x)[0] != 0).all()
        change = decoder(torch.ones(1, 2)) - decoder(-torch.ones(1, 2))
        assert (change != 0).all()


@pytest.mark.parametrize("encoder,decoder", [(MLPEncoder, MLPDecoder), (ConvEncoder, ConvDecoder)])
def test_networks_use_the_label_and_ask_for_it(encoder: Any, decoder: Any) -> None:
    x, z = torch.rand(2, 1, 6, 6), torch.randn(2, 3)
    for net, given_ in ((encoder((1, 6, 6), 3, (4,), "tanh", 10), x), (decoder((1, 6, 6), 3, (4,), "tanh", 10), z)):
        net.eval()
        one, other = net(given_, torch.tensor([1, 1])), net(given_, torch.tensor([1, 7]))
        torch.testing.assert_close(one[0], other[0])
        assert not torch.allclose(one[1], other[1])
        with pytest.raises(ValueError, match="class indices 0 to 9"):
            net(given_)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_is_layers_with_the_activation_between(activation: Any) -> None:
    net = MLPEncoder((4,), 2, (3,), activation).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    first, second = net.body[0], net.body[2]
    expected = ACTIVATIONS[activation]()(x @ first.weight.T + first.bias) @ second.weight.T + second.bias
    torch.testing.assert_close(net(x), expected)


def test_masking_sets_the_fraction_to_zero_and_leaves_the_rest() -> None:
    x = torch.rand(50, 400) + 1
    masked = corrupt(x, torch.rand(50, 400), "masking", 0.3)
    assert abs((masked == 0).float().mean().item() - 0.3) < 0.02
    assert torch.equal(masked[masked != 0], x[masked != 0])
    assert torch.equal(corrupt(x, torch.rand(50, 400), "masking", 0.0), x)


def test_gaussian_corruption_has_the_standard_deviation() -> None:
    x = torch.rand(50, 400)
    difference = corrupt(x, torch.randn(50, 400), "gaussian", 0.2) - x
    assert abs(difference.std().item() - 0.2) < 0.005
    assert corrupt(x, torch.randn(50, 400), "none", 0.2) is x


def test_denoising_loss_is_against_the_clean_input() -> None:
    model = Autoencoder(AutoencoderConfig(corruption="masking", amount=0.5), DIGIT)
    x = torch.rand(4, 1, 8, 8)
    noise = torch.rand(4, 1, 8, 8)
    loss, metrics = model.objective(x, noise)
    squared = (model.decode(model.encode(x * (noise >= 0.5))) - x) ** 2
    torch.testing.assert_close(loss, squared.sum((1, 2, 3)).mean())
    torch.testing.assert_close(metrics["mse"], squared.mean())


def test_cross_entropy_is_summed_over_pixels() -> None:
    model = Autoencoder(AutoencoderConfig(loss="cross-entropy"), DIGIT)
    x = torch.rand(4, 1, 8, 8)
    p = model.decode(model.encode(x))
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean()
    torch.testing.assert_close(model.objective(x, None)[0], expected)


@pytest.mark.parametrize("corruption,noise", [("masking", 0.9), ("gaussian", 0.0)])
def test_turns_draw_the_noise_that_the_corruption_needs(corruption: Any, noise: float) -> None:
    model = Autoencoder(AutoencoderConfig(corruption=corruption), DIGIT)
    data = Dataset(x=torch.randint(0, 17, (3, 1, 8, 8), dtype=torch.uint8), spec=DIGIT)
    turn = next(model.turns(Ones(data, torch.tensor(noise)), {}))
    torch.testing.assert_close(turn.loss(*turn.rows)[0], model.objective(data.batch().x, None)[0])


@pytest.mark.parametrize("corruption", ["masking", "gaussian"])
def test_tables_are_corrupted_in_standard_units(corruption: Any) -> None:
    """By as much whatever the unit of a column, so that a table in millimetres is learned as one in kilometres."""
    x, noise = torch.randn(200, 5) + 3, torch.rand(200, 5)
    model = Autoencoder(AutoencoderConfig(corruption=corruption), TABLE)
    found = []
    for unit in (1e-3, 1.0, 1e3):
        model.standardise.fit(unit * x)
        y = corrupt(model.standardise(unit * x), noise, corruption, 0.3)
        expected = (model.decoder(model.encoder(y)) - model.standardise(unit * x)).square().sum(1).mean()
        found.append(model.objective(unit * x, noise)[0])
        torch.testing.assert_close(found[-1], expected)
    torch.testing.assert_close(torch.stack(found), found[1].expand(3), rtol=1e-4, atol=0)


def test_tables_are_standardised_whatever_their_units() -> None:
    x = torch.randn(2_000, 5) * torch.tensor([1e-3, 1.0, 50.0, 1e4, 0.0]) + torch.tensor([0.0, 1.0, -9.0, 1e5, 7.0])
    scale = Standardise((5,))
    scale.fit(x)
    y = scale(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(scale.inverse(y), x.double(), rtol=1e-5, atol=1e-2)
    jacobian = torch.autograd.functional.jacobian(scale, x[0])
    torch.testing.assert_close(torch.as_tensor(scale.log_det()), jacobian.diagonal().log().sum())
    model = Autoencoder(AutoencoderConfig(network=MLPCoder(widths=(32,)), latent=4), TABLE)
    Trainer(model, Dataset(x=x, spec=TABLE), TrainConfig(rounds=400, batch_size=100)).fit()
    error = (model.decode(model.encode(x)) - x).std(0)
    assert (error[:4] < 0.3 * x.std(0)[:4]).all()
    assert error[4] < 0.1


@pytest.mark.parametrize("name", ["autoencoder", "autoencoder-codes", "denoising-autoencoder"])
@pytest.mark.parametrize(
    "spec",
    [DIGIT, TABLE, DataSpec(kind="image", shape=(3, 20, 17)), DataSpec(kind="audio", shape=(1, 100))],
    ids=str,
)
def test_recipes_fit_themselves_to_the_data(name: str, spec: DataSpec) -> None:
    recipe = find(name).make(spec)
    assert isinstance(recipe.model, AutoencoderConfig)
    model = Autoencoder(recipe.model, spec).eval()
    assert abilities(model) == {"encodes", "decodes"}
    z = torch.randn(2, *model.latent_shape)
    assert model.decode(z).shape == (2, *spec.shape)
    assert model.encode(model.decode(z)).shape == z.shape


def test_convolutions_go_down_to_four_pixels_or_fewer() -> None:
    for size, layers in ((4, 1), (16, 2), (28, 3), (32, 3), (33, 4), (64, 4), (256, 6)):
        widths = conv_widths(DataSpec(kind="image", shape=(3, size, size)))
        assert len(widths) == layers
        assert halvings(size, size, layers)[-1] <= (4, 4)


def test_settings_that_cannot_work_say_so() -> None:
    with pytest.raises(ValueError, match="squared"):
        Autoencoder(AutoencoderConfig(loss="cross-entropy"), TABLE)
    with pytest.raises(ValueError, match="network mlp"):
        Autoencoder(AutoencoderConfig(network=ConvCoder()), TABLE)
    with pytest.raises(ValueError, match="at least one width"):
        Autoencoder(AutoencoderConfig(network=ConvCoder(widths=())), DIGIT)
    with pytest.raises(ValueError, match="not text"):
        Autoencoder(AutoencoderConfig(), DataSpec(kind="text", shape=(9,)))
    with pytest.raises(ValueError, match="fraction"):
        AutoencoderConfig(corruption="masking", amount=1.0)
    with pytest.raises(ValueError, match="latent is 0"):
        AutoencoderConfig(latent=0)
