"""The first stage of latent diffusion: who learns from what, its losses written out, and the weight of the game."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from genwerk.core.model import Loss
from genwerk.core.noise import SeededNoise, Seeds
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.autoencoder_kl import AutoencoderKL, AutoencoderKLConfig, Scale, distance, gradient_ratio
from genwerk.families.two_stage import DescribesCodes
from genwerk.nn.adversarial.patchgan import PatchDiscriminator, PatchGANConfig, patches
from genwerk.recipes import find
from genwerk.training.events import RoundDone
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

IMAGE = DataSpec(kind="image", shape=(3, 8, 12))
TINY = AutoencoderKLConfig(
    widths=(4, 6),
    groups=2,
    latent=3,
    start=0.0,
    perceptual_weight=0.3,
    kl=0.01,
    discriminator=PatchGANConfig(width=4, halvings=1),
)
ALONE = replace(TINY, adversarial=0.0)


def setting(config: AutoencoderKLConfig = TINY, n: int = 5) -> tuple[AutoencoderKL, Tensor, Tensor]:
    """A model in double precision whose scale is not 1, a batch, and the noise of a round."""
    torch.manual_seed(0)
    model = AutoencoderKL(config, IMAGE).double()
    torch.nn.init.constant_(model.scale.log_scale, -0.7)
    x = torch.rand(n, *IMAGE.shape, dtype=torch.double)
    return model, x, torch.randn(n, *model.latent_shape, dtype=torch.double)


def made_up(n: int = 12) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    return Dataset(x=torch.randint(0, 256, (n, *IMAGE.shape), dtype=torch.uint8, generator=generator), spec=IMAGE)


def by_hand(model: AutoencoderKL, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-log p(x | z), the mean score and the KL divergence, image by image and with torch.distributions."""
    config = model.config
    mean, log_var = model.network.encode(2 * x - 1)
    q = torch.distributions.Normal(mean, (log_var / 2).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros_like(mean), 1.0)).sum() / len(x)
    rebuilt = model.network.decode(mean + q.scale * eps)
    s = model.scale.log_scale.exp()
    nll, score = torch.zeros((), dtype=x.dtype), torch.zeros((), dtype=x.dtype)
    for image, again in zip(2 * x - 1, rebuilt, strict=True):
        error = (image - again).abs() if config.error == "absolute" else (image - again) ** 2
        if model.discriminator is not None:
            (_, of_image), (scores, of_again) = (model.discriminator(v[None]) for v in (image, again))
            for a, b in zip(of_image, of_again, strict=True):
                cosine = torch.nn.functional.cosine_similarity(a, b)  # |a/|a| - b/|b||^2 = 2 - 2 cos
                error = error + config.perceptual_weight * (2 - 2 * cosine).mean() / len(of_image)
            score = score + scores.mean() / len(x)
        nll = nll + (error / s + s.log()).sum() / len(x)
    return nll, score, kl


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ["absolute", "squared"])
def test_alone_it_descends_the_likelihood_and_the_divergence(error: str) -> None:
    model, x, eps = setting(replace(ALONE, error=error))
    nll, _, kl = by_hand(model, x, eps)
    loss, figures = model.reconstruction_loss(x, eps)
    torch.testing.assert_close(loss, nll + 0.01 * kl)
    torch.testing.assert_close(figures["kl"], kl)


@pytest.mark.parametrize("error", ["absolute", "squared"])
def test_in_the_game_the_perceptual_distance_and_the_score_are_added(error: str) -> None:
    model, x, eps = setting(replace(TINY, error=error))
    nll, score, kl = by_hand(model, x, eps)
    loss, _ = model.autoencoder_loss(x, eps, torch.tensor(7.0))
    torch.testing.assert_close(loss, nll + 0.01 * kl - 7 * score, rtol=1e-6, atol=1e-6)


def test_the_discriminator_descends_the_hinge_of_every_patch() -> None:
    model, x, eps = setting()
    assert model.discriminator is not None
    mean, log_var = model.posterior(x)
    rebuilt = model.network.decode(mean + (log_var / 2).exp() * eps)
    real, made = (model.discriminator(y)[0].flatten() for y in (2 * x - 1, rebuilt))
    by_patch = [max(0.0, 1 - r) + max(0.0, 1 + m) for r, m in zip(real.tolist(), made.tolist(), strict=True)]
    assert model.discriminator_loss(x, eps)[0].item() == pytest.approx(sum(by_patch) / len(by_patch))


def test_the_learned_scale_is_the_one_that_makes_the_errors_likeliest() -> None:
    """Of a Laplace distribution it is the mean absolute error, where the gradient is zero; and the loss its entropy."""
    error = torch.rand(50, 2, 3, dtype=torch.double)
    scale = Scale().double()
    torch.nn.init.constant_(scale.log_scale, float(error.mean().log()))
    loss = scale(error)
    (gradient,) = torch.autograd.grad(loss, scale.log_scale)
    assert abs(gradient) < 1e-12
    laplace = torch.distributions.Laplace(torch.zeros((), dtype=torch.double), error.mean())
    torch.testing.assert_close(loss, -laplace.log_prob(error).sum() / 50 - 6 * torch.tensor(2.0).double().log())


def test_distance_in_features_is_of_directions() -> None:
    a, b = (torch.randn(3, 5, 2, 2, dtype=torch.double) for _ in range(2))
    torch.testing.assert_close(distance([a, a], [3 * a, 0.1 * a]), torch.zeros(3, dtype=torch.double))
    torch.testing.assert_close(distance([a, a], [-a, a]), torch.full((3,), 2.0, dtype=torch.double))
    torch.testing.assert_close(distance([a], [b])[1:2], distance([a[1:2]], [b[1:2]]))


# --- the weight of the game -------------------------------------------------------------------------------------------


def test_pulls_are_the_gradients_at_the_last_layer() -> None:
    """Against gradients found by central differences in a few of its weights."""
    model, x, eps = setting()
    with torch.no_grad():
        figures = model.last_layer_gradients(x, eps)[1]
    weight = model.network.decoder.conv_out.weight
    for place in [(0, 0, 1, 1), (1, 3, 0, 2), (2, 2, 2, 0)]:
        terms = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
                nll, score, _ = by_hand(model, x, eps)
                weight[place] -= step
            terms.append((nll, -score))
        for name, after, before in zip(("likelihood's gradient", "game's gradient"), *terms, strict=True):
            torch.testing.assert_close(figures[name][place], (after - before) / 2e-5, rtol=1e-5, atol=1e-7)


def test_the_ratio_is_of_norms_and_bounded() -> None:
    likelihood, game = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[0.0, 0.3], [0.4, 0.0]])
    assert float(gradient_ratio(likelihood, game)) == pytest.approx(5 / 0.5001)
    assert gradient_ratio(1e9 * likelihood, game) == 1e4
    assert gradient_ratio(likelihood, 0 * game) == 1e4


def test_a_round_is_weighed_by_its_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 0.5 |gradient of the likelihood| / |gradient of the score|, however the batch is cut."""
    asked: list[tuple[Tensor, Tensor]] = []
    gradients = AutoencoderKL.last_layer_gradients

    def noted(model: AutoencoderKL, x: Tensor, eps: Tensor) -> Loss:
        asked.append((x, eps))
        return gradients(model, x, eps)

    monkeypatch.setattr(AutoencoderKL, "last_layer_gradients", noted)
    for micro in (None, 3):
        model = setting()[0].float()
        begun = deepcopy(model).double()
        train = TrainConfig(rounds=1, batch_size=8, micro_batch=micro, sample_every=0, save_every=0)
        (event,) = (e for e in Trainer(model, made_up(), train) if isinstance(e, RoundDone))
        x, eps = (torch.cat(parts).double() for parts in zip(*asked, strict=True))
        assert len(x) == 8
        nll, score, _ = by_hand(begun, x, eps)
        last = begun.network.decoder.conv_out.weight
        of_nll, of_score = (torch.autograd.grad(t, last, retain_graph=True)[0] for t in (nll, score))
        expected = 0.5 * of_nll.norm() / (of_score.norm() + 1e-4)
        torch.testing.assert_close(event.metrics["weight of the game"].double(), expected, rtol=1e-4, atol=0)
        asked.clear()


# --- turns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mover", ["model", "discriminator"])
def test_only_the_player_whose_turn_it_is_moves(mover: str) -> None:
    """With the other learning rate at zero, a round changes the mover's weights and none of the other's.

    But for a lone bias of a score: as long as no score is beyond 1, the hinge's pulls on it cancel.
    """
    torch.manual_seed(0)
    model = AutoencoderKL(TINY, IMAGE)
    before = {name: [p.clone() for p in module.parameters()] for name, module in model.players().items()}
    optim = {name: OptimConfig(lr=1e-2 if name == mover else 0.0) for name in before}
    Trainer(model, made_up(), TrainConfig(rounds=1, batch_size=8, optim=optim, sample_every=0, save_every=0)).fit()
    for name, module in model.players().items():
        pairs = list(zip(module.parameters(), before[name], strict=True))
        if name == mover:
            assert not any(torch.equal(p, old) for p, old in pairs if p.numel() > 1)
        else:
            assert all(torch.equal(p, old) for p, old in pairs)


def test_gradients_go_to_whom_the_turn_belongs() -> None:
    model, x, eps = setting()
    mine = {name: list(module.parameters()) for name, module in model.players().items()}
    assert sum(len(p) for p in mine.values()) == len(list(model.parameters())), "a weight that nobody has"
    for name, loss in (
        ("model", lambda: model.autoencoder_loss(x, eps, torch.tensor(1.0))),
        ("discriminator", lambda: model.discriminator_loss(x, eps)),
    ):
        for other in set(mine) - {name}:
            for p in mine[other]:
                p.requires_grad_(False)
        gradients = torch.autograd.grad(loss()[0], mine[name])
        assert all(g.abs().sum() > 0 for g in gradients if g.numel() > 1), name
        model.requires_grad_(True)


def test_the_game_begins_after_its_share_of_the_rounds() -> None:
    torch.manual_seed(0)
    train = TrainConfig(rounds=5, batch_size=4, sample_every=0, save_every=0)
    trainer = Trainer(AutoencoderKL(replace(TINY, start=0.6), IMAGE), made_up(), train)
    playing = ["game" in e.metrics for e in trainer if isinstance(e, RoundDone)]
    assert playing == [False, False, False, True, True]
    assert trainer.players["discriminator"].steps == 2


def test_without_a_game_there_is_no_discriminator() -> None:
    model, *_ = setting(ALONE)
    assert list(model.players()) == ["model"]
    assert not any(name.startswith("discriminator") for name in model.state_dict())
    assert {id(p) for p in model.players()["model"].parameters()} == {id(p) for p in model.parameters()}


# --- abilities --------------------------------------------------------------------------------------------------------


def test_codes_are_unscaled_means_and_images_stay_in_range() -> None:
    model, x, _ = setting()
    mean, log_var = model.posterior(x)
    expected = model.network.encode(2 * x - 1)
    torch.testing.assert_close((mean, log_var), expected)
    assert torch.equal(model.encode(x), mean)
    assert mean.shape == (5, *model.latent_shape) == (5, 3, 4, 6)
    image = model.decode(100 * mean)
    torch.testing.assert_close(image, (model.network.decode(100 * mean) / 2 + 0.5).clamp(0, 1))
    assert (image.amin(), image.amax()) == (0, 1)


def test_draws_of_the_posterior_have_its_moments_and_belong_to_their_seed() -> None:
    model, x, _ = setting()
    mean, log_var = model.posterior(x[:1])
    many = model.sample_posterior(x[:1].expand(4000, -1, -1, -1), SeededNoise(4000, 0))
    assert ((many.mean(0) - mean[0]).abs() < 0.08 * (log_var[0] / 2).exp()).all()
    torch.testing.assert_close(many.var(0), log_var[0].exp(), rtol=0.12, atol=0)
    alone = model.sample_posterior(x[2:3], SeededNoise(1, Seeds(3, 2)))
    torch.testing.assert_close(model.sample_posterior(x, SeededNoise(5, 3))[2:3], alone)


def test_codes_describe_themselves() -> None:
    model, *_ = setting()
    assert isinstance(model, DescribesCodes)
    assert model.code_spec() == DataSpec(kind="latent", shape=(3, 4, 6))


def test_diagnosis() -> None:
    model, x, _ = setting()
    found, z = model.diagnose(x), model.encode(x).detach()
    torch.testing.assert_close(found["standard deviation of codes"], z.std())
    torch.testing.assert_close(found["standard deviation of channel 2"], z[:, 1].std())
    torch.testing.assert_close(found["KL of codes"], by_hand(model, x, torch.zeros_like(z))[2].detach())


def test_mistakes_are_refused_with_what_to_type() -> None:
    with pytest.raises(ValueError, match=r"27x27 pixels .* take data\.size 28, or fewer model\.widths"):
        AutoencoderKL(replace(TINY, widths=(4, 4, 4)), DataSpec(kind="image", shape=(1, 27, 27)))
    with pytest.raises(ValueError, match="images of intensities"):
        AutoencoderKL(TINY, DataSpec(kind="table", shape=(5,)))
    with pytest.raises(ValueError, match="images of intensities"):
        AutoencoderKL(TINY, replace(IMAGE, nominal=True))
    with pytest.raises(ValueError, match="no patch to judge after 2 halvings; they take sides of 12 or more"):
        AutoencoderKL(replace(TINY, discriminator=PatchGANConfig(width=4, halvings=2)), IMAGE)
    with pytest.raises(ValueError, match="0 or more"):
        replace(TINY, perceptual_weight=-1.0)
    with pytest.raises(ValueError, match="fraction of the rounds"):
        replace(TINY, start=1.0)
    with pytest.raises(ValueError, match="one width or more"):
        replace(TINY, widths=())


@pytest.mark.parametrize(
    "shape,grid",
    [((1, 8, 8), (4, 4)), ((1, 28, 28), (7, 7)), ((3, 32, 32), (8, 8)), ((3, 64, 48), (16, 12)), ((3, 14, 18), (7, 9))],
)
def test_the_recipe_fits_itself_to_the_image(shape: tuple[int, int, int], grid: tuple[int, int]) -> None:
    spec = DataSpec(kind="image", shape=shape)
    model = AutoencoderKL(find("autoencoder-kl").make(spec).model, spec)
    assert model.latent_shape[1:] == grid
    assert model.discriminator is not None
    assert model.discriminator(torch.zeros(1, *shape))[0].numel() > 0


# --- the patches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("halvings,size", [(1, 16), (2, 34), (3, 70)])
def test_a_score_is_of_its_patch_alone(halvings: int, size: int) -> None:
    """By the gradient of one score in the middle of a large image."""
    torch.manual_seed(0)
    judge = PatchDiscriminator((3, 160, 160), 2, halvings, norm="none").double()
    x = torch.rand(1, 3, 160, 160, dtype=torch.double, requires_grad=True)
    score, features = judge(x)
    side = patches(160, halvings)
    assert score.shape == (1, side, side)
    assert len(features) == halvings + 1
    (gradient,) = torch.autograd.grad(score[0, side // 2, side // 2], x)
    seen = gradient[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == size
    assert int(seen.sum()) == size * size


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_a_verdict_does_not_depend_on_the_batch(norm: str) -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator((1, 12, 15), 4, 2, norm)  # type: ignore[arg-type]
    x = torch.rand(4, 1, 12, 15)
    torch.testing.assert_close(judge(x)[0][2:3], judge(x[2:3])[0])
