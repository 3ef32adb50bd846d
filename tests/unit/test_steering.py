"""Steering models whose latents, styles and directions are known beforehand."""

from __future__ import annotations

from math import log

import pytest
import torch
from steered import IMAGE, Bumpy, Linear, Told, ToldStyles, TwoStyles, TwoStylesConfig
from torch import Tensor, nn

from genwerk import tasks
from genwerk.core.noise import Seeds
from genwerk.core.spec import Batch
from genwerk.families.vae import VAE, VAEConfig
from genwerk.metrics.ppl import pixels, trimmed_mean
from genwerk.nn.coder import MLPCoder
from genwerk.tasks import steering
from genwerk.tasks.steering.projection import Projection, Search, autocorrelation, project


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


QUICK = Search(steps=300, candidates=50)


# --- projection -------------------------------------------------------------------------------------------------------


def test_a_linear_generator_gives_its_latents_back() -> None:
    model = Linear()
    z = model.prior(4, seed=7)
    found = project(model, Batch(model.decode(z).detach()), QUICK)
    torch.testing.assert_close(found.latent, z, atol=1e-3, rtol=0.0)
    torch.testing.assert_close(found.reconstruction, model.decode(z).detach(), atol=1e-3, rtol=0.0)
    assert found.space == "z"
    assert found.noise is None
    assert found.distance.shape == (4,)
    assert found.distance.max() < 1e-6


def test_an_example_outside_the_range_is_brought_to_its_nearest() -> None:
    """The least-squares solution of A z = x, and the distance that is left."""
    model, x = Linear(), normal(3, 5)
    z = torch.linalg.lstsq(model.a.detach(), x.T).solution.T
    found = project(model, Batch(x), Search(steps=600, candidates=50))
    torch.testing.assert_close(found.latent, z, atol=1e-3, rtol=0.0)
    torch.testing.assert_close(found.distance, (model.decode(z) - x).square().mean(1).detach())


def test_a_projection_depends_on_its_example_alone() -> None:
    model, x = Bumpy(), 2 * normal(5, 5)
    together = project(model, Batch(x), QUICK)
    for other in (project(model, Batch(x[3:4]), QUICK), project(model, Batch(x.flip(0)), QUICK, size=2)):
        row = 0 if len(other.latent) == 1 else 1
        torch.testing.assert_close(other.latent[row], together.latent[3], atol=1e-4, rtol=0.0)
        torch.testing.assert_close(other.distance[row], together.distance[3], atol=1e-5, rtol=1e-3)
    styled = TwoStyles()
    images = styled.sample(3, seed=1)
    search = Search(space="w", steps=60, draws=100, noise_maps=True)
    many, one = project(styled, Batch(images), search), project(styled, Batch(images[2:]), search)
    torch.testing.assert_close(one.latent[0], many.latent[2], atol=1e-4, rtol=0.0)
    torch.testing.assert_close(one.noise[1][0], many.noise[1][2], atol=1e-2, rtol=0.0)


def test_more_starts_come_out_of_more_valleys() -> None:
    model = Bumpy()
    x = model.decode(model.prior(6, seed=3)).detach()
    one, many = (project(model, Batch(x), Search(steps=200, candidates=k, starts=k)).distance for k in (1, 50))
    assert (many <= one + 1e-6).all()
    assert many.max() < 1e-6 < one.max()


def test_a_style_is_found_again() -> None:
    model = TwoStyles()
    z = model.prior(3, seed=5)
    found = project(model, Batch(model.decode(z).detach()), Search(space="w", steps=400, draws=500))
    torch.testing.assert_close(found.latent, model.map(z).detach(), atol=1e-3, rtol=0.0)


def test_one_style_is_the_mean_of_two_and_a_style_a_layer_finds_both() -> None:
    model, w = TwoStyles(), torch.tensor([[[0.2, 0.4], [0.6, 0.5]]])
    target = Batch(model.synthesise(w).detach())
    one = project(model, target, Search(space="w", steps=400, draws=500), similarity=squared)
    torch.testing.assert_close(one.latent, torch.tensor([[[0.4, 0.45], [0.4, 0.45]]]), atol=1e-3, rtol=0.0)
    both = project(model, target, Search(space="w+", steps=400, draws=500))
    torch.testing.assert_close(both.latent, w, atol=1e-3, rtol=0.0)


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().flatten(1).mean(1)


def test_noise_maps_take_up_what_styles_cannot_show() -> None:
    model = TwoStyles()
    noise = model.draw_noise(1, seed=9)
    target = Batch(model.synthesise(torch.full((1, 2, 2), 0.5), noise).detach())
    plain = project(model, target, Search(space="w", steps=300, draws=500))
    search = Search(space="w", steps=300, draws=500, noise_maps=True, noise_weight=0.0)
    found = project(model, target, search, similarity=squared)
    assert found.distance.item() < 0.1 * squared(plain.reconstruction, target.x).item()
    assert found.noise is not None
    for maps in found.noise:
        torch.testing.assert_close(maps.mean(), torch.tensor(0.0), atol=1e-5, rtol=0.0)
        torch.testing.assert_close(maps.square().mean(), torch.tensor(1.0))
    torch.testing.assert_close(model.synthesise(found.latent, found.noise), found.reconstruction)


def test_autocorrelation_against_loops() -> None:
    noise = normal(2, 1, 8, 8)
    total = []
    for n in noise[:, 0]:
        right = sum(n[i, j] * n[i, (j - 1) % 8] for i in range(8) for j in range(8)) / 64
        down = sum(n[i, j] * n[(i - 1) % 8, j] for i in range(8) for j in range(8)) / 64
        total.append(right**2 + down**2)
    torch.testing.assert_close(autocorrelation(noise), torch.stack(total))


def test_autocorrelation_looks_at_every_size() -> None:
    """A map of ones: 1 in each direction at 16 pixels, and at 8, where averages are doubled, 4; squared and summed."""
    torch.testing.assert_close(autocorrelation(torch.ones(1, 1, 16, 16)), torch.tensor([1.0 + 1 + 16 + 16]))


def test_the_learning_rate_rises_and_falls_as_published() -> None:
    game = Projection(Search(), IMAGE, lambda w, noise: w, pixels, torch.zeros(1, 2))
    rates = [game.rate(t) for t in (0.0, 0.025, 0.05, 0.75, 0.875, 1.0)]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.5, 0.0])


def test_projecting_leaves_all_as_it_was() -> None:
    model = TwoStyles().train()
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4)).eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    target = Batch(model.sample(2, seed=0))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    project(
        model,
        target,
        Search(space="w", steps=5, draws=10),
        similarity=lambda a, b: (network(a) - network(b)).square().sum(1),
    )
    assert torch.equal(torch.rand(2), expected)
    assert model.training
    assert not network.training
    assert model.scale.requires_grad
    assert model.scale.grad is None
    assert model.scale.item() == 0.25
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_the_class_is_told_to_a_model_that_takes_one() -> None:
    model, z = Told(), Linear().prior(3, seed=1)
    c = torch.tensor([1, 0, 1])
    found = project(model, Batch(model.decode(z, c).detach(), c), QUICK)
    torch.testing.assert_close(found.latent, z, atol=1e-3, rtol=0.0)
    with pytest.raises(ValueError, match="conditioned on the class"):
        project(model, Batch(torch.zeros(1, 5)))


def test_the_search_starts_from_the_mean_style_of_the_class() -> None:
    """The first step has a learning rate of zero."""
    model, c = ToldStyles(), torch.tensor([3, 0, 3, 1])
    search = Search(space="w", steps=1, starts=1, draws=4000)
    found = project(model, Batch(torch.rand(4, 1, 8, 8), c), search)
    expected = (0.5 + 0.1 * c)[:, None, None].expand(4, 2, 2)
    torch.testing.assert_close(found.latent, expected, atol=0.02, rtol=0.0)
    assert torch.equal(found.latent[0], found.latent[2])


def test_the_best_candidate_is_a_start() -> None:
    model = TwoStyles()
    for space in ("z", "w", "w+"):
        truth = steering.latents(model, [17], "z" if space == "z" else "w")
        search = Search(space=space, steps=1, candidates=30, draws=100, starts=2)
        found = project(model, Batch(model.sample(1, seed=Seeds(0, 17))), search)
        torch.testing.assert_close(found.latent, truth)
        assert found.distance.item() < 1e-12


# --- interpolation, mixing, truncation --------------------------------------------------------------------------------


def test_samples_are_the_ends_of_the_way() -> None:
    model = Linear()
    a, b = (steering.latents(model, [number]) for number in (4, 9))
    arc = steering.interpolate(model, a, b, 3)
    torch.testing.assert_close(arc[0, [0, 2]], model.sample(10, seed=0)[[4, 9]])
    torch.testing.assert_close(arc[:, 1], model.decode(tasks.slerp(a, b, 0.5)).detach())
    line = steering.interpolate(model, a, b, 3, path="line")
    torch.testing.assert_close(line[:, 1], line[:, [0, 2]].mean(1))


def test_styles_are_joined_by_lines() -> None:
    model = TwoStyles()
    a, b = (steering.latents(model, [number], "w", seed=3) for number in (4, 9))
    way = steering.interpolate(model, a, b, 5, space="w")
    start, end = (model.sample(1, seed=Seeds(3, number)) for number in (4, 9))
    torch.testing.assert_close(way[:, 1], 0.75 * start + 0.25 * end)
    with pytest.raises(ValueError, match="the path is a line"):
        steering.interpolate(model, a, b, space="w", path="sphere")


def test_layers_are_those_of_the_paper_and_thirds_below() -> None:
    sizes = [4 * 2 ** (i // 2) for i in range(18)]
    levels = {level: steering.layers_of(level, sizes) for level in ("coarse", "middle", "fine")}
    assert levels == {"coarse": [0, 1, 2, 3], "middle": [4, 5, 6, 7], "fine": list(range(8, 18))}
    small = {level: steering.layers_of(level, sizes[:6]) for level in levels}
    assert small == {"coarse": [0, 1], "middle": [2, 3], "fine": [4, 5]}


def test_mixing_takes_each_half_from_its_source() -> None:
    model = TwoStyles()
    rows, columns = model.sample(5, seed=6).split([2, 3])
    for layers, taken in (("coarse", slice(0, 4)), ([1], slice(4, 8)), ([0, 1], slice(0, 8))):
        mixed = steering.mix(model, [0, 1], [2, 3, 4], layers, seed=6)
        expected = rows.unsqueeze(1).repeat(1, 3, 1, 1, 1)
        expected[..., taken] = columns[..., taken]
        assert torch.equal(mixed.table, expected)
        assert torch.equal(mixed.rows, rows)
        assert torch.equal(mixed.columns, columns)
    sheet = mixed.sheet()
    assert sheet.shape == (3, 4, 1, 8, 8)
    assert (sheet[0, 0] == 1).all()
    assert torch.equal(sheet[0, 1:], columns)
    assert torch.equal(sheet[1:, 0], rows)


def test_truncation_brings_samples_to_the_mean_along_a_line() -> None:
    model = TwoStyles()
    made = steering.truncate(model, [3, 8], [0.0, 0.5, 1.0, 2.0])
    x = model.sample(9, seed=0)[[3, 8]]
    assert made.shape == (2, 4, 1, 8, 8)
    for i, psi in enumerate((0.0, 0.5, 1.0, 2.0)):
        torch.testing.assert_close(made[:, i], 0.5 + psi * (x - 0.5))


# --- directions -------------------------------------------------------------------------------------------------------


def cloud(n: int = 4000) -> steering.Labelled:
    """Latents whose first dimension decides the attribute, and whose second goes along with the first."""
    z = normal(n, 3)
    z[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]
    return steering.Labelled(z, z[:, 0] > 0)


def test_means_follow_what_goes_along_and_a_plane_does_not() -> None:
    known = cloud()
    apart = 2 * (2 / torch.pi) ** 0.5  # twice the mean of a half-normal
    by_means = steering.attribute_direction(known, "means")
    torch.testing.assert_close(by_means, torch.tensor([apart, 0.8 * apart, 0.0]), atol=0.06, rtol=0.0)
    by_plane = steering.attribute_direction(known, "svm")
    torch.testing.assert_close(by_plane, torch.tensor([apart, 0.0, 0.0]), atol=0.06, rtol=0.0)
    assert by_means[0].item() == pytest.approx(by_plane[0].item(), abs=0.03)


def test_samples_are_labelled_by_a_classifier() -> None:
    model = TwoStyles()

    def brighter_below(x: Tensor) -> Tensor:
        below, above = x[:, 0, 4:].mean((1, 2)), x[:, 0, :4].mean((1, 2))
        return torch.stack([above, below], 1)

    for space in ("z", "w"):
        known = steering.labelled_draws(model, brighter_below, 1, n=600, space=space, seed=2)
        assert known.latents.shape == (600, 2)
        assert torch.equal(known.present, known.latents[:, 1] > known.latents[:, 0])
        direction = steering.attribute_direction(known, "svm")
        torch.testing.assert_close(direction[1] / direction.norm(), torch.tensor(0.5**0.5), atol=0.03, rtol=0.0)
        latent = steering.latents(model, [0], space)
        made = steering.edit(model, latent, direction, [-3.0, 0.0, 3.0], space=space)
        assert brighter_below(made[0]).argmax(1).tolist()[::2] == [0, 1]
        torch.testing.assert_close(made[:, 1], model.sample(1, seed=0))


def test_codes_are_labelled_by_the_data() -> None:
    torch.manual_seed(0)
    model = VAE(VAEConfig(latent=3, network=MLPCoder(widths=(8,))), IMAGE).eval()
    batch = Batch(torch.rand(20, 1, 8, 8), torch.arange(20) % 10)
    known = steering.labelled_codes(model, batch, batch.condition, 4)
    assert torch.equal(known.latents, tasks.encode(model, batch))
    assert known.present.nonzero().flatten().tolist() == [4, 14]
    direction = steering.attribute_direction(known)
    rest = [i for i in range(20) if i % 10 != 4]
    torch.testing.assert_close(direction, known.latents[[4, 14]].mean(0) - known.latents[rest].mean(0))
    with pytest.raises(ValueError, match="no labels"):
        steering.labelled_codes(model, batch, None, 4)


# --- entanglement -----------------------------------------------------------------------------------------------------


def test_lines_through_a_linear_generator_have_the_length_of_their_ends() -> None:
    """The length is |w_b - w_a|^2 / 2 (half the pixels each), w = z / 4 + const: exponential with mean 4 / 16 / 2.

    Between its 1st and 99th percentile an exponential of mean 1 has the mean
    ((1 - ln 0.99) 0.99 - (1 - ln 0.01) 0.01) / 0.98.
    """
    found = steering.path_length(TwoStyles(), "w", pairs=8000)
    trimmed = ((1 - log(0.99)) * 0.99 - (1 - log(0.01)) * 0.01) / 0.98
    assert abs(found.mean - 0.125 * trimmed) < 3 * found.standard_error < 0.01
    assert found.pairs == pytest.approx(0.98 * 8000, abs=3)


def test_ends_of_arcs_move_by_their_angle() -> None:
    model = Linear()
    model.a.data = torch.eye(5, 3)
    starts, stops = model.prior(1000, seed=1).split(500)
    found = steering.path_length(model, "z", lambda a, b: (a - b).square().sum(1), pairs=500, ends=True, seed=1)
    angle = torch.cosine_similarity(starts, stops).acos()
    # d/dt of (sin((1 - t) angle) a + sin(t angle) b) / sin(angle) at t = 0
    speed = (angle / angle.sin()).unsqueeze(1) * (stops - angle.cos().unsqueeze(1) * starts)
    assert found.mean == pytest.approx(trimmed_mean(speed.square().sum(1)).mean, rel=0.01)


def test_both_spaces_are_measured_where_there_are_styles() -> None:
    def left(x: Tensor) -> Tensor:
        margin = x[:, 0, 0, 0] - 0.5
        return torch.stack([-20 * margin, 20 * margin], 1)

    found = steering.entanglement(TwoStyles(), classify=left, pairs=50, samples=400)
    assert [e.space for e in found] == ["z", "w"]
    assert all(e.separability is not None and e.separability.score == 1.0 for e in found)
    assert [e.space for e in steering.entanglement(Linear(), pairs=20)] == ["z"]


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_are_one_sentence() -> None:
    linear, styled = Linear(), TwoStyles()
    with pytest.raises(ValueError, match="1x4x4 and this model makes 1x8x8"):
        project(styled, Batch(torch.zeros(1, 1, 4, 4)))
    with pytest.raises(
        tasks.Unsupported,
        match=r"needs a model with styles, which Linear lacks; no recipe has it on these data \(a table",
    ):
        project(linear, Batch(torch.zeros(1, 5)), Search(space="w", steps=1))
    with pytest.raises(ValueError, match="number of the first example is -1"):
        steering.latents(linear, [3, -1])
    with pytest.raises(tasks.Unsupported, match="mixing styles needs"):
        steering.mix(linear, [0], [1])
    with pytest.raises(tasks.Unsupported, match="truncation needs"):
        steering.truncate(linear, [0], [0.5])
    with pytest.raises(ValueError, match="tracked no mean style"):
        steering.truncate(TwoStyles(TwoStylesConfig(tracked=False)), [0], [0.5])
    with pytest.raises(ValueError, match="one psi or more"):
        steering.truncate(styled, [0], [])
    with pytest.raises(ValueError, match="one amount or more"):
        steering.edit(linear, normal(1, 3), normal(3), [])
    with pytest.raises(ValueError, match="none of them middle"):
        steering.mix(styled, [0], [1], "middle")
    with pytest.raises(ValueError, match="layers 0 to 1"):
        steering.mix(styled, [0], [1], [2])
    with pytest.raises(ValueError, match="takes none"):
        steering.mix(styled, [0], [1], condition=torch.tensor([1]))
    with pytest.raises(ValueError, match="choose the space w"):
        Search(noise_maps=True)
    with pytest.raises(ValueError, match="as many candidates as starts"):
        Search(candidates=2, starts=3)
    with pytest.raises(ValueError, match="0 of 9 examples"):
        steering.attribute_direction(steering.Labelled(normal(9, 2), torch.zeros(9, dtype=torch.bool)))
    with pytest.raises(tasks.Unsupported, match="project them first"):
        tasks.interpolate(linear, Batch(torch.zeros(1, 5)), Batch(torch.zeros(1, 5)))
