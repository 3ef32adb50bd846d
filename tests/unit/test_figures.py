"""The lecture's pictures are drawn, and show what they claim to."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import pytest
import torch
from PIL import Image

from genwerk.data import DataConfig, open_data, phases
from genwerk.evaluation import extractor
from genwerk.gallery.figures import FIGURES, Figures, draw
from genwerk.gallery.figures.began_gamma import GAMMAS, pairwise
from genwerk.gallery.figures.blur import gradient_energy, spectrum
from genwerk.gallery.figures.disjoint import CONFIGS as LINES
from genwerk.gallery.figures.disjoint import jensen_shannon, read, wasserstein
from genwerk.gallery.figures.elbo import CONFIG, Parts, train
from genwerk.gallery.figures.gan_1d import MIDDLES, STEP, Snapshot, best_discriminator, density, examples
from genwerk.gallery.figures.gap import cross_fade, gapped
from genwerk.gallery.figures.one_pixel import flaws, preference


def drawn(name: str, out: Path, *, quick: bool) -> tuple[list[Path], Figures]:
    torch.set_num_threads(1)
    steps = list(draw(name, out, 0, quick=quick))
    assert isinstance(steps[0], str)
    assert isinstance(steps[-1], dict)
    return [s for s in steps if isinstance(s, Path)], steps[-1]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(extractor, "CLASSIFIER_TRAINING", replace(extractor.CLASSIFIER_TRAINING, rounds=50))
    paths, figures = drawn(name, tmp_path / "pictures", quick=True)
    assert sorted(paths) == sorted((tmp_path / "pictures").iterdir())
    for path in paths:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20
            if path.suffix == ".png":
                assert image.info["seed"] == "0"
            else:
                assert getattr(image, "n_frames", 1) > 3
    assert all(torch.tensor(value).isfinite() for value in figures.values())


def test_an_unknown_figure_is_named() -> None:
    with pytest.raises(ValueError, match="no figure 'cat'; there are gan-1d"):
        next(draw("cat", Path()))


# --- what they claim ------------------------------------------------------------------------------------------------


def test_the_density_is_that_of_the_examples() -> None:
    assert density(MIDDLES).sum().item() * STEP == pytest.approx(1.0, abs=1e-4)
    x = examples(200_000, 0).x
    for edge in (-2.0, -1.0, 0.0, 1.0, 2.0):
        mass = density(MIDDLES[edge > MIDDLES]).sum().item() * STEP
        assert (x < edge).float().mean().item() == pytest.approx(mass, abs=0.005)


def test_total_variation_and_the_best_discriminator_at_their_extremes() -> None:
    p = density(MIDDLES)
    way = (torch.zeros(1), torch.zeros(1))
    same = Snapshot(0, p, torch.full_like(p, 0.5), way)
    assert same.variation == pytest.approx(0.0)
    assert same.error == pytest.approx(0.0, abs=1e-6)
    apart = Snapshot(0, torch.where(MIDDLES > 3.5, 1 / (0.5), 0.0), torch.full_like(p, 0.5), way)
    assert apart.variation == pytest.approx(1.0, abs=0.01)
    assert apart.error == pytest.approx(0.5, abs=0.01)
    assert best_discriminator(torch.tensor(3.0), torch.tensor(1.0)).item() == pytest.approx(0.75)


def test_distances_of_parallel_lines() -> None:
    theta = torch.tensor([-1.0, -0.1, 0.0, 0.1, 1.0])
    torch.testing.assert_close(jensen_shannon(theta), log(2) * torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(wasserstein(theta), torch.tensor([1.0, 0.1, 0.0, 0.1, 1.0]))


@pytest.mark.parametrize("theta", [-0.5, 0.5])
def test_a_perfect_discriminator_gives_no_direction_and_a_critic_does(theta: float) -> None:
    torch.set_num_threads(1)
    assert abs(read(LINES["minimax GAN"], theta, 0, 20).gradient) < 0.01
    assert read(LINES["WGAN-GP"], theta, 0, 20).gradient * theta > 0.35  # the slope of |theta| is 1, its sign theta's


def test_the_sharpness_of_stripes_of_their_blur_and_of_noise() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(8).expand(1, 1, 16, 16)
    assert gradient_energy(stripes) == pytest.approx(0.5)  # every difference across is 1, every one down 0
    assert gradient_energy((stripes + stripes.roll(1, 3)) / 2) == 0
    noise = 0.1 * torch.randn(500, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert gradient_energy(noise) == pytest.approx(2 * 0.01, rel=0.01)


def test_the_spectrum_of_a_wave_and_of_noise() -> None:
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(16) / 16).expand(1, 1, 16, 16)
    power = spectrum(wave)
    assert power.argmax() == 3 - 1
    assert power.sum() == pytest.approx(power[2].item())
    noise = torch.randn(2000, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spectrum(noise), torch.full((8,), 1 / 256, dtype=torch.float64), rtol=0.03, atol=0)


def test_pairwise_distance_of_known_points() -> None:
    assert pairwise(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])) == pytest.approx(10 / 3)


@pytest.mark.slow
def test_the_gan_learns_the_line(tmp_path: Path) -> None:
    _, figures = drawn("gan-1d", tmp_path, quick=False)
    assert figures["total variation at the start"] > 0.8
    assert figures["total variation at the end"] < 0.15
    assert figures["mean |D - D*| at the end"] < 0.1


@pytest.mark.slow
def test_the_critic_measures_and_the_discriminator_does_not(tmp_path: Path) -> None:
    _, figures = drawn("critic-meter", tmp_path, quick=False)
    assert figures["WGAN-GP: rank correlation"] > 0.7
    assert figures["plain GAN: rank correlation"] < figures["WGAN-GP: rank correlation"] - 0.3
    assert figures["WGAN-GP: last Fréchet distance"] < 0.25 * figures["WGAN-GP: first Fréchet distance"]


@pytest.mark.slow
def test_diversity_rises_with_gamma(tmp_path: Path) -> None:
    _, figures = drawn("began-gamma", tmp_path, quick=False)
    diversity = [figures[f"gamma {gamma}: diversity"] for gamma in GAMMAS]
    assert diversity == sorted(diversity)
    assert diversity[0] < 0.5 * figures["diversity of data"]


@pytest.mark.slow
def test_styles_are_less_entangled_than_the_prior(tmp_path: Path) -> None:
    _, figures = drawn("entanglement", tmp_path, quick=False)
    assert figures["path length in w"] < 0.85 * figures["path length in z"]
    assert figures["separability in w"] < figures["separability in z"]


@pytest.mark.slow
def test_means_blur_draws_are_noisy_and_a_gan_is_sharp(tmp_path: Path) -> None:
    _, figures = drawn("blur", tmp_path, quick=False)
    sharpness = {name: figures[f"{name}: sharpness"] for name in ("VAE, means", "VAE, draws", "GAN")}
    assert sharpness["VAE, means"] < 0.5 < sharpness["VAE, draws"]
    assert 0.8 < sharpness["GAN"] < 1.3
    assert figures["VAE, means: power at the highest frequency"] < 0.3


def test_bound_and_divergence_sum_to_the_likelihood_which_stays_while_q_alone_learns() -> None:
    splits = open_data(DataConfig(source="parabola"))
    x = splits.test.batch(slice(20)).x
    torch.manual_seed(0)
    model = Parts(CONFIG, splits.spec)
    list(train(model, splits.train, ("encoder", "decoder"), 60, 0, x))
    model.encoder.load_state_dict(Parts(CONFIG, splits.spec).encoder.state_dict())
    readings = list(train(model, splits.train, ("encoder",), 40, 1, x))
    for reading in readings:
        assert reading.log_likelihood == pytest.approx(reading.elbo + reading.kl, abs=1e-5)
        assert reading.log_likelihood == pytest.approx(readings[0].log_likelihood, abs=1e-9)
    assert readings[-1].elbo > readings[0].elbo
    step = 16 / 4000
    assert (readings[-1].posterior.sum(1) * step).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_the_moons_have_a_gap_and_a_cross_fade_is_no_moon() -> None:
    lit = phases.fraction(gapped(0).batch(slice(40)).x).fraction
    assert bool((((lit > 0.43) & (lit < 0.57)) | (lit > 0.93)).all())
    fade = cross_fade()
    assert fade[[0, -1]].tolist() == pytest.approx([0, 0], abs=1e-3)
    assert fade[4] > 0.15


def test_both_flaws_are_as_far_from_the_digit() -> None:
    found = flaws(open_data(DataConfig(source="digits")).test.batch().x, 0)
    errors = [(flaw - found.original).square().sum((1, 2, 3)) for flaw in (found.lengthened, found.stray)]
    assert len(found.original) > 100
    assert errors[0].tolist() == errors[1].tolist() == [0.75**2] * len(found.original)
    assert preference(torch.tensor([1.0, 0.0, 0.0, -1.0])) == 0.5
