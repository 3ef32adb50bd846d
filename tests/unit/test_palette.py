"""Image-to-image diffusion: its objective, what it keeps, and large images by windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genwerk import tasks
from genwerk.core.batching import within
from genwerk.core.degradation import Degradation, Downscale, GaussianNoise, Greyscale, Holes
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, build
from genwerk.core.noise import SeededNoise
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.diffusion.parameterisation import noised
from genwerk.diffusion.sampling import Diffusion
from genwerk.diffusion.windows import Windows, starts, tent
from genwerk.families.ddpm import DDPMConfig
from genwerk.families.edm import EDMConfig
from genwerk.families.palette import Palette, PaletteConfig
from genwerk.nn.diffusion import DenseDenoiserConfig, UNetConfig

COLOUR = DataSpec(kind="image", shape=(3, 8, 8))
NETWORK = UNetConfig(widths=(8, 8), blocks=1, attention=(False, True), patch=2)
FEW = Diffusion(steps=3)


def model(degradation: Degradation, diffusion: Config | None = None) -> Palette:
    """With weights away from what they begin as, so that everything depends on everything."""
    torch.manual_seed(0)
    inner = DDPMConfig(network=NETWORK, sampling=FEW) if diffusion is None else diffusion
    built = build(PaletteConfig(degradation=degradation, diffusion=inner), COLOUR)
    assert isinstance(built, Palette)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return built.eval()


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [(8, 8), (9, 13), (21, 8), (5, 30)])
def test_windows_blend_to_the_least_squares_fit(sides: tuple[int, int]) -> None:
    """Of weighted squares at each pixel, solved by gradients; of windows that agree it is what they were cut from."""
    windows, x = Windows(sides, (8, 8)), torch.rand(2, 3, *sides, dtype=torch.float64)
    cut = windows.cut(x, range(2 * len(windows)))
    assert cut.shape[2:] == windows.window == (min(8, sides[0]), min(8, sides[1]))
    torch.testing.assert_close(windows.blend(cut.split(3), x), x)
    apart = cut + torch.rand_like(cut)
    fit = windows.blend([apart], x).requires_grad_()
    error = (windows.weight * (windows.cut(fit, range(2 * len(windows))) - apart).square()).sum()
    (gradient,) = torch.autograd.grad(error, fit)
    assert gradient.abs().max() < 1e-6


def test_windows_overlap_by_half_and_end_with_the_image() -> None:
    assert starts(8, 8) == [0]
    assert starts(20, 8) == [0, 4, 8, 12]
    assert starts(21, 8) == [0, 4, 8, 12, 13]
    assert tent(4).tolist() == [0.25, 0.75, 0.75, 0.25]


# --- the model --------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_noise_given_the_source() -> None:
    """Equation 2 by hand: |eps - f(source, x_t, t)|^2."""
    made = model(Downscale())
    x, eps, u = torch.rand(4, 3, 8, 8), torch.randn(4, 3, 8, 8), torch.tensor([0.1, 0.4, 0.6, 0.95])
    source = made.condition.made(x)
    t = (u * 1000).long()
    alpha, sigma = made.diffusion.process.alpha_sigma(t, 4)
    larger = torch.nn.functional.interpolate(source, scale_factor=2, mode="bicubic").clamp(0, 1)
    told = made.diffusion.network(torch.cat([noised(2 * x - 1, eps, alpha, sigma), 2 * larger - 1], 1), t)
    torch.testing.assert_close(made.objective(x, source, eps, u)[0], (told - eps).square().mean())


@pytest.mark.parametrize("inner", [DDPMConfig(network=NETWORK), EDMConfig(network=NETWORK)])
def test_the_network_sees_in_sampling_what_it_saw_in_training(inner: Config) -> None:
    """The same noisy image, source and time at one level, whatever the family scales x by."""
    made, seen = model(GaussianNoise(), inner), list[tuple[Tensor, ...]]()
    made.diffusion.network.register_forward_hook(lambda _, given, __: seen.append(given[:2]))
    x, eps, process = torch.rand(1, 3, 8, 8), torch.randn(1, 3, 8, 8), made.diffusion.process
    source = made.condition.made(x)
    made.objective(x, source, eps, torch.tensor([0.4004]))
    level = process.level(400)
    if isinstance(inner, EDMConfig):
        level = process.at_log_snr(1.2 - 1.2 * torch.special.ndtri(torch.tensor(0.4004)).item())
    with torch.no_grad():
        made.predictor(source)(noised(2 * x - 1, eps, level.alpha, level.sigma), level)
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen[0][0][:, 3:], 2 * source - 1)


def test_differences_have_the_spread_of_images_and_give_the_image_back() -> None:
    """SRDiff's residual: what the diffusion model learns has a standard deviation of a quarter in [0, 1]."""
    config = PaletteConfig(degradation=Downscale(), diffusion=DDPMConfig(network=NETWORK, sampling=FEW), residual=True)
    made = build(config, COLOUR)
    x = (torch.rand(40, 3, 8, 8) * 255).byte()
    made.measured(Dataset(x=x, spec=COLOUR).under(made.condition))
    images = x / 255
    source = made.condition.made(images)
    drawn = made.drawn(images, source)
    torch.testing.assert_close(drawn.std(), torch.tensor(0.25), rtol=0.01, atol=0)
    torch.testing.assert_close(made.image(drawn, source), images)
    eps, u = torch.randn(40, 3, 8, 8), torch.rand(40)
    expected = made.diffusion.objective(Batch(drawn), eps, u, made.seen(source))[0]
    assert torch.equal(made.objective(images, source, eps, u)[0], expected)


def test_known_pixels_stay_where_differences_are_drawn() -> None:
    config = PaletteConfig(degradation=Holes(), diffusion=DDPMConfig(network=NETWORK, sampling=FEW), residual=True)
    made, x = build(config, COLOUR), torch.rand(5, 3, 8, 8)
    source = made.condition.made(x)
    known = (source[:, -1:] > 0.5).expand_as(x)
    assert torch.equal(made.translate(source, seed=1)[known], x[known])


def test_known_pixels_stay() -> None:
    made = model(Holes())
    x = torch.rand(5, 3, 8, 8)
    source = made.condition.made(x)
    known = (source[:, -1:] > 0.5).expand_as(x)
    found = made.translate(source, seed=1)
    assert torch.equal(found[known], x[known])
    assert (found - x)[~known].abs().min() > 0


@pytest.mark.parametrize("degradation", [Downscale(), Greyscale(), Holes()], ids=lambda d: d.kind)
def test_large_images_do_not_depend_on_memory_and_are_given_whole(degradation: Degradation) -> None:
    """The parts that memory allows change nothing; the command's tiles are the whole."""
    made = model(degradation)
    x = torch.rand(1, 3, 22, 34, generator=torch.Generator().manual_seed(0))
    source = degradation(x, SeededNoise(1, 0))
    with within("100GB"):
        whole = made.translate(source, seed=4)
    assert whole.shape == x.shape
    with within("100KB"):
        torch.testing.assert_close(made.translate(source, seed=4), whole, rtol=1e-4, atol=1e-4)
    ((place, part),) = tasks.tiles(made, source[0], 16, seed=4)
    assert torch.equal(part, whole[0])
    assert place == (slice(0, 22), slice(0, 34))


def test_sides_that_the_network_cannot_take_are_reflected_and_cropped() -> None:
    made = model(GaussianNoise())
    assert made.translate(torch.rand(2, 3, 7, 11), seed=0).shape == (2, 3, 7, 11)
    assert model(Downscale(factor=4)).translate(torch.rand(1, 3, 3, 5), seed=0).shape == (1, 3, 12, 20)


def test_what_cannot_be_told_a_source_is_refused() -> None:
    with pytest.raises(BadInput, match="sees nothing beside x"):
        model(Holes(), DDPMConfig(network=DenseDenoiserConfig()))
    with pytest.raises(BadInput, match="the source alone"):
        build(PaletteConfig(diffusion=DDPMConfig(conditional=True)), replace(COLOUR, classes=("a", "b")))
    with pytest.raises(BadInput, match="the source alone"):
        build(PaletteConfig(diffusion=PaletteConfig()), COLOUR)
