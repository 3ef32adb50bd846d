"""StyleGAN's layers and networks against slow definitions, and what its algorithm promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import TypeVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from genwerk.core.noise import BatchNoise, Seeds
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.stylegan import StyleGAN, StyleGANConfig
from genwerk.nn.adversarial.penalties import path_lengths
from genwerk.nn.adversarial.style import (
    AdaIN,
    EqualisedConv,
    EqualisedLinear,
    StyleLayer,
    blur,
    minibatch_deviation,
    unit_moment,
)
from genwerk.nn.adversarial.stylegan import (
    Growth,
    MappingConfig,
    StyleDiscriminator,
    SynthesisConfig,
    SynthesisNetwork,
    double,
    halve,
    mix_styles,
    nearest,
    sizes,
)
from genwerk.training.events import RoundDone, StageDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

DIGITS = DataSpec(kind="image", shape=(1, 16, 16), classes=("a", "b", "c"))
Network = TypeVar("Network", bound=torch.nn.Module)
TINY = StyleGANConfig(
    latent=4,
    mapping=MappingConfig(width=5, layers=2),
    synthesis=SynthesisConfig(width=3, max_width=4),
    r1=1.0,
)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def stylegan(**changes: object) -> StyleGAN:
    """A tiny model, none of whose weights is zero."""
    model = StyleGAN(replace(TINY, **changes), DIGITS)  # type: ignore[arg-type]
    return stirred(model)


def stirred(module: Network) -> Network:
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return module


# --- layers -----------------------------------------------------------------------------------------------------------


def test_equalised_layers_are_plain_layers_with_scaled_weights() -> None:
    layer = stirred(EqualisedLinear(8, 3, gain=1.5, rate=0.01))
    x = torch.randn(2, 8)
    expected = 0.01 * (1.5 / 8**0.5 * layer.weight @ x.T).T + 0.01 * layer.bias
    torch.testing.assert_close(layer(x), expected)
    assert 60 < EqualisedLinear(100, 100, rate=0.01).weight.std() < 140
    conv = stirred(EqualisedConv(4, 3))
    image = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(conv(image), conv2d(image, conv.weight * 2**0.5 / 6, conv.bias, padding=1))


@pytest.mark.parametrize("resize", ["up", "down"])
def test_a_resizing_convolution_is_the_convolution_of_the_resized_image(resize: str) -> None:
    conv = stirred(EqualisedConv(3, 2, resize=resize))  # type: ignore[arg-type]
    x, kernel = torch.randn(2, 3, 6, 4), conv.weight * conv.scale
    if resize == "up":
        expected = conv2d(interpolate(x, scale_factor=2, mode="nearest"), kernel, conv.bias, padding=1)
    else:
        expected = avg_pool2d(conv2d(x, kernel, conv.bias, padding=1), 2)
    torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-12)


def slow_blur(x: Tensor) -> Tensor:
    """Every pixel's weighted mean of its neighbours, pixel by pixel."""
    weight, y = (1, 2, 1), torch.zeros_like(x)
    height, width = x.shape[2:]
    for i, j, a, b in product(range(height), range(width), range(3), range(3)):
        if 0 <= i + a - 1 < height and 0 <= j + b - 1 < width:
            y[:, :, i, j] += weight[a] * weight[b] / 16 * x[:, :, i + a - 1, j + b - 1]
    return y


def test_the_blur_and_its_derivatives() -> None:
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    torch.testing.assert_close(blur(x), slow_blur(x))
    assert torch.autograd.gradcheck(blur, (x,))
    assert torch.autograd.gradgradcheck(blur, (x,))
    assert torch.autograd.gradcheck(lambda x: torch.autograd.grad(blur(x).pow(3).sum(), x, create_graph=True), (x,))


def test_adain_gives_every_channel_the_mean_and_deviation_of_its_style() -> None:
    layer = stirred(AdaIN(3, 5))
    x, w = 4 + 7 * torch.randn(2, 3, 6, 6), torch.randn(2, 5)
    s, b = layer.affine(w).chunk(2, dim=1)
    y = layer(x, w)
    torch.testing.assert_close(y.mean((2, 3)), b)
    torch.testing.assert_close(y.std((2, 3), correction=0), (s + 1).abs())


def test_noise_has_no_say_at_first() -> None:
    layer = StyleLayer(3, 2, 5)
    x, w = torch.randn(2, 3, 4, 4), torch.randn(2, 5)
    assert torch.equal(layer(x, w, torch.zeros(1, 1, 4, 4)), layer(x, w, torch.randn(2, 1, 4, 4)))


@pytest.mark.parametrize("n,groups", [(1, [1]), (3, [3]), (5, [3, 2]), (8, [4, 4]), (10, [4, 3, 3])])
def test_the_minibatch_statistic_by_brute_force(n: int, groups: list[int]) -> None:
    x, start = torch.randn(n, 2, 3, 3), 0
    found = minibatch_deviation(x, 4)
    assert found.shape == (n, 1, 3, 3)
    for size in groups:
        members = [x[i] for i in range(start, start + size)]
        deviations = []
        for c, i, j in product(range(2), range(3), range(3)):
            values = [float(m[c, i, j]) for m in members]
            mean = sum(values) / size
            deviations.append((sum((v - mean) ** 2 for v in values) / size + 1e-8) ** 0.5)
        expected = torch.tensor(sum(deviations) / len(deviations))
        torch.testing.assert_close(found[start : start + size], expected.expand(size, 1, 3, 3))
        start += size


# --- networks ---------------------------------------------------------------------------------------------------------


def slow_synthesis(network: SynthesisNetwork, w: Tensor, noise: list[Tensor]) -> Tensor:
    """The generator of figure 1b, one step after the other."""
    x = network.constant.repeat(len(w), 1, 1, 1)
    for i, layer in enumerate(network.layers):
        if layer.conv is not None:
            if i % 2 == 0:
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            fan_in = 9 * x.shape[1]
            x = conv2d(x, layer.conv.weight * (2 / fan_in) ** 0.5, padding=1)
            x = slow_blur(x) if i % 2 == 0 else x
        x = x + noise[i] * layer.noise + layer.bias
        x = torch.maximum(x, 0.2 * x)
        x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, correction=0) + 1e-8).sqrt()
        affine = layer.style.affine
        style = w[:, i] @ affine.weight.T / w.shape[2] ** 0.5 + affine.bias
        scale, shift = style[:, : x.shape[1], None, None], style[:, x.shape[1] :, None, None]
        x = x * (scale + 1) + shift
    colour = network.colour[-1]
    return torch.einsum("nchw,oc->nohw", x, colour.weight[:, :, 0, 0] / x.shape[1] ** 0.5) + colour.bias.view(-1, 1, 1)


def test_the_synthesis_equals_the_textbook_definition() -> None:
    network = stirred(SynthesisNetwork(2, sizes(16, 24), [5, 4, 3], style=6, first=2))
    w, noise = torch.randn(3, 6, 6), network.maps(torch.randn(3, network.noise_size))
    torch.testing.assert_close(network(w, noise), slow_synthesis(network, w, noise), rtol=0, atol=1e-10)


def test_the_mapping_equals_the_textbook_definition() -> None:
    network = stylegan(conditioning="project").generator.mapping
    z, c = torch.randn(2, 4), torch.tensor([0, 2])
    assert network.embedding is not None
    w = torch.cat([z, network.embedding.weight[c]], dim=1)
    w = w / (w.square().mean(1, keepdim=True) + 1e-8).sqrt()
    torch.testing.assert_close(unit_moment(w).square().mean(1), torch.ones(2))
    for layer in network.layers:
        w = 0.01 * (w @ layer.weight.T * (2 / w.shape[1]) ** 0.5 + layer.bias)  # type: ignore[operator,union-attr]
        w = torch.maximum(w, 0.2 * w)
    torch.testing.assert_close(network(z, c), w)


def test_second_derivatives_of_both_networks() -> None:
    """R1 needs them of the discriminator, path lengths of the generator."""
    model = stylegan()
    small = stirred(SynthesisNetwork(1, sizes(8, 8), [2, 2], style=2, first=1))
    w = torch.randn(1, 4, 2, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda w: small(w).square().mean((2, 3)), (w,))
    x = torch.randn(3, 1, 16, 16, requires_grad=True)

    def penalty(x: Tensor, weight: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(model.discriminator(x).score.sum(), x, create_graph=True)
        return gradient.square().sum()

    for weight in (model.discriminator.down[0].weight, model.discriminator.same[1].weight):
        (found,) = torch.autograd.grad(penalty(x, weight), weight)
        index, eps = (1, 0, 1, 2), 1e-5
        ends = []
        for step in (eps, -2 * eps):
            with torch.no_grad():
                weight[index] += step
            ends.append(penalty(x, weight).detach())
        torch.testing.assert_close(found[index], (ends[0] - ends[1]) / (2 * eps), rtol=1e-5, atol=1e-7)
        with torch.no_grad():
            weight[index] += eps


def test_the_path_length_is_the_norm_of_the_jacobian_by_brute_force() -> None:
    model = stylegan()
    w, y = torch.randn(1, 6, 5, requires_grad=True), torch.randn(1, 1, 16, 16)
    made = model.generator.synthesis(w)
    jacobian = torch.autograd.functional.jacobian(model.generator.synthesis, w).reshape(256, 6, 5)
    product_ = torch.einsum("p,pld->ld", y.flatten() / 16, jacobian)
    expected = product_.square().sum(1).mean().sqrt()
    torch.testing.assert_close(path_lengths(made, w, y)[0], expected)


@pytest.mark.parametrize(
    "height,width,coarsest", [(28, 28, (7, 7)), (32, 32, (4, 4)), (64, 64, (4, 4)), (48, 64, (6, 8)), (8, 8, (4, 4))]
)
def test_sizes_halve_down_to_four_to_seven_pixels(height: int, width: int, coarsest: tuple[int, int]) -> None:
    found = sizes(height, width)
    assert found[0] == coarsest
    assert found[-1] == (height, width)
    model = StyleGAN(TINY, DataSpec(kind="image", shape=(2, height, width)))
    assert model.sample(2, seed=0).shape == (2, 2, height, width)
    assert model.judge(torch.rand(2, 2, height, width)).shape == (2,)


@pytest.mark.parametrize(
    "height,width,good", [(50, 50, (48, 48)), (63, 70, (64, 64)), (3, 9, (4, 9)), (30, 45, (32, 48))]
)
def test_other_sizes_are_refused_with_the_nearest(height: int, width: int, good: tuple[int, int]) -> None:
    assert nearest(height, width) == good
    with pytest.raises(ValueError, match=rf"{height}x{width} pixels.*{good[0]}x{good[1]}.*data\.size"):
        StyleGAN(TINY, DataSpec(kind="image", shape=(1, height, width)))


# --- styles -----------------------------------------------------------------------------------------------------------


def test_mixing_takes_coarse_styles_from_one_and_fine_ones_from_the_other() -> None:
    model = stylegan(style_mixing=0.5)
    z, crossover, noise = model.generator_inputs(BatchNoise(200, torch.Generator().manual_seed(0)), model.top)
    assert set(crossover.tolist()) == set(range(1, 7))  # 6: unmixed
    assert 70 < int((crossover == 6).sum()) < 130
    _, w = model.generate_with_styles(z, crossover, noise, None, Growth(model.top, None))
    w1, w2 = model.generator.mapping(z[:, 0]), model.generator.mapping(z[:, 1])
    for i, cut in enumerate(crossover.tolist()):
        torch.testing.assert_close(w[i, :cut], w1[i].expand(cut, -1))
        torch.testing.assert_close(w[i, cut:], w2[i].expand(6 - cut, -1))
    coarse, fine = torch.zeros(1, 3, 2), torch.ones(1, 3, 2)
    assert mix_styles(coarse, fine, torch.tensor([2]))[0, :, 0].tolist() == [0, 0, 1]


def trained(rounds: int = 3, **changes: object) -> tuple[StyleGAN, list[str]]:
    model, data = stylegan(**changes), Dataset(x=torch.rand(24, 1, 16, 16), spec=DIGITS)
    optim = OptimConfig(lr=1e-3, betas=(0.0, 0.99))
    settings = TrainConfig(
        rounds=rounds, batch_size=6, optim={"generator": optim, "discriminator": optim}, sample_every=0
    )
    trainer = Trainer(model, data, settings)
    stages = [event.stage for event in trainer if isinstance(event, StageDone)]
    return model.eval().requires_grad_(False), stages


def test_truncation_to_nothing_is_the_mean_image() -> None:
    model, _ = trained()
    mean = model.synthesise(model.generator.spread(model.mean_style()[None]))
    z = model.prior(3, seed=1)
    whole = model.decode(z)
    model.config = replace(model.config, truncation=0.0)
    torch.testing.assert_close(model.decode(z), mean.expand(3, -1, -1, -1))
    assert not torch.allclose(whole, mean.expand(3, -1, -1, -1))
    torch.testing.assert_close(model.decode(z), model.synthesise(model.map(z)))


def test_the_mean_style_is_the_mean_of_w_of_the_first_rounds() -> None:
    model = stylegan()
    means = torch.randn(3, 5)
    for mean in means:
        model._track({"mean style": mean})
    torch.testing.assert_close(model.mean_style(), means.mean(0))
    for _ in range(300):
        model._track({"mean style": means[0]})
    before = model.mean_style().clone()
    model._track({"mean style": means[1]})
    torch.testing.assert_close(model.mean_style(), 0.995 * before + 0.005 * means[1])


def test_truncation_without_a_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="tracked no mean"):
        stylegan().mean_style()
    with pytest.raises(ValueError, match="tracked no mean"):
        stylegan(truncation=0.7).sample(2, seed=0)
    with pytest.raises(ValueError, match="mean_decay"):
        stylegan(truncation=0.7, mean_decay=1.0)


def test_fresh_noise_changes_the_image_and_fixed_noise_does_not() -> None:
    model = stylegan()
    w = model.map(model.prior(2, seed=0))
    maps = model.draw_noise(2, seed=1)
    assert [m.shape for m in maps] == [(2, 1, s, s) for s in model.style_sizes]
    assert torch.equal(model.synthesise(w), model.synthesise(w))
    assert not torch.allclose(model.synthesise(w), model.synthesise(w, maps))
    torch.testing.assert_close(model.draw_noise(1, seed=Seeds(1, 1))[3][0], maps[3][1])  # example 1 of seed 1


def test_every_sample_has_noise_of_its_own() -> None:
    model = stylegan()
    z = model.prior(3, seed=1)
    sampled = model.sample(3, seed=1)
    assert torch.equal(sampled, model.sample(3, seed=1))
    torch.testing.assert_close(sampled, model.synthesise(model.map(z), model.draw_noise(3, seed=1)))
    assert not torch.allclose(sampled, model.decode(z))


# --- growing ----------------------------------------------------------------------------------------------------------


def test_fading_ends_at_its_neighbours() -> None:
    model = stylegan(progressive=True)
    w, x = torch.randn(2, 6, 5), torch.rand(2, 1, 16, 16)
    assert (model.first, model.top) == (1, 2)
    synthesis, discriminator = model.generator.synthesis, model.discriminator
    none, full = (Growth(2, torch.tensor(alpha)) for alpha in (0.0, 1.0))
    torch.testing.assert_close(synthesis(w, None, none), double(synthesis(w, None, Growth(1, None))))
    torch.testing.assert_close(synthesis(w, None, full), synthesis(w))
    torch.testing.assert_close(discriminator(x, None, none).score, discriminator(halve(x), None, Growth(1, None)).score)
    torch.testing.assert_close(discriminator(x, None, full).score, discriminator(x).score)
    torch.testing.assert_close(model.shrunk(x, none), double(halve(x)))
    torch.testing.assert_close(model.shrunk(x, full), x)


def test_growing_follows_one_schedule_of_the_learning_rate() -> None:
    optim = OptimConfig(lr=0.1, schedule="linear")
    model = stylegan(progressive=True)
    settings = TrainConfig(rounds=30, batch_size=4, optim={"generator": optim}, sample_every=0, evaluate_every=0)
    play = Trainer(model, Dataset(x=torch.zeros(8, 1, 16, 16, dtype=torch.uint8), spec=model.spec), settings)
    seen = []
    for event in play:
        if isinstance(event, RoundDone):
            assert play.players["generator"].optimizer is not None
            seen.append(play.players["generator"].optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.1 * (1 - i / 30) for i in range(30)])


def test_training_grows_the_image() -> None:
    model = stylegan(progressive=True)
    assert model.sample(2, seed=0).shape == (2, 1, 16, 16)
    assert torch.equal(model.sample(2, seed=0), double(halve(model.sample(2, seed=0))))  # of 8 pixels, doubled
    lengths = [(stage.name, stage.rounds) for stage in model.stages(30)]
    assert lengths == [("8x8", 4), ("16x16", 26)]
    model, stages = trained(rounds=30, progressive=True)
    assert stages == ["8x8", "16x16"]
    assert float(model.grown) == 2
    assert not torch.allclose(model.sample(2, seed=0), double(halve(model.sample(2, seed=0))))


# --- the rest of the algorithm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"path_length": 2.0, "path_every": 2}, {"augment": "ada"}, {"augment": "diffaugment"}, {"style_mixing": 0.0}],
)
def test_options_train(changes: dict[str, object]) -> None:
    model, _ = trained(rounds=3, **changes)
    assert all(p.isfinite().all() for p in model.parameters())
    assert bool(model.path_mean > 0) == ("path_length" in changes)


def test_a_label_moves_score_and_image() -> None:
    model = stylegan(conditioning="project")
    z, x = model.prior(1, seed=0), torch.rand(1, 1, 16, 16)
    a, b = torch.tensor([0]), torch.tensor([1])
    assert not torch.allclose(model.decode(z, a), model.decode(z, b))
    network: StyleDiscriminator = model.discriminator
    h = network(2 * x - 1, a).features[-1]
    assert network.embedding is not None
    expected = (h @ (network.embedding.weight[1] - network.embedding.weight[0])) / h.shape[1] ** 0.5
    torch.testing.assert_close(model.judge(x, b) - model.judge(x, a), expected.detach())


@pytest.mark.parametrize(
    "changes,sentence",
    [
        ({"conditioning": "concatenate"}, "take model.conditioning project"),
        ({"style_mixing": 1.5}, "chance"),
        ({"r1_every": 0}, "1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TINY, **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1 or more"):
        SynthesisConfig(max_width=0)
    with pytest.raises(ValueError, match="1 or more"):
        MappingConfig(layers=0)


def test_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="makes images"):
        StyleGAN(TINY, DataSpec(kind="table", shape=(4,)))


def test_compiling_reaches_the_parts_that_training_calls() -> None:
    data = Dataset(x=torch.zeros(8, 1, 16, 16, dtype=torch.uint8), spec=DIGITS)
    optim = {"generator": OptimConfig(), "discriminator": OptimConfig()}
    model = Trainer(stylegan(), data, TrainConfig(rounds=1, batch_size=4, optim=optim, compile=True)).model
    for network in (model.generator.mapping, model.generator.synthesis, model.discriminator):
        assert network._compiled_call_impl is not None


def test_a_path_length_goes_through_networks_as_they_are_written_though_they_are_compiled() -> None:
    model = stylegan(path_length=1.0)
    ingredients = model.generator_inputs(BatchNoise(2, torch.Generator().manual_seed(0)), model.top)
    y = torch.randn(2, 1, 16, 16)

    def gradients() -> tuple[Tensor, ...]:
        loss, _ = model.generator_loss(*ingredients, None, None, y, model.growth())
        return torch.autograd.grad(loss, list(model.generator.synthesis.parameters()), materialize_grads=True)

    expected = gradients()
    for network in (model.generator.mapping, model.generator.synthesis, model.discriminator):
        network.compile(backend="aot_eager")
    for found, value in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(found, value)


def test_path_lengths_are_of_single_precision_within_bfloat16() -> None:
    torch.set_default_dtype(torch.float32)
    model = stylegan(path_length=1.0)
    ingredients = model.generator_inputs(BatchNoise(2, torch.Generator().manual_seed(0)), model.top)
    y = torch.randn(2, 1, 16, 16)
    exact = model.generator_loss(*ingredients, None, None, y, model.growth())[1]["path length"]
    with torch.autocast("cpu", torch.bfloat16):
        found = model.generator_loss(*ingredients, None, None, y, model.growth())[1]["path length"]
    assert torch.equal(found, exact)
