"""VAE-GAN: who learns from what, against the table and against Algorithm 1 written out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import log, pi

import pytest
import torch
from torch import Tensor

from genwerk.core.model import Loss
from genwerk.core.spec import Batch, DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.vaegan import ROUTES, VAEGAN, VAEGANConfig
from genwerk.nn.adversarial import DCGANConfig, MLPConfig
from genwerk.training.settings import OptimConfig, TrainConfig
from genwerk.training.trainer import Trainer

IMAGE = DataSpec(kind="image", shape=(1, 16, 16), classes=("a", "b"))
TABLE = DataSpec(kind="table", shape=(5,))
MLP = VAEGANConfig(network=MLPConfig(width=16, layers=2), latent=3, norm="layer", gamma=0.2, beta=0.7)
CONV = VAEGANConfig(network=DCGANConfig(width=4), latent=3, norm="layer", gamma=0.2)
PLAYERS = ("encoder", "decoder", "discriminator")


def setting(config: VAEGANConfig, spec: DataSpec, n: int = 6) -> tuple[VAEGAN, Batch, Tensor, Tensor]:
    """A model in double precision, a batch, and the noise of a round."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(1)
    x = torch.rand(n, *spec.shape, generator=generator, dtype=torch.double)
    eps = torch.randn(n, 1, config.latent, generator=generator, dtype=torch.double)
    z_p = torch.randn(n, config.latent, generator=generator, dtype=torch.double)
    return VAEGAN(config, spec).double(), Batch(x, torch.arange(n) % 2), eps, z_p


def losses(model: VAEGAN, batch: Batch, eps: Tensor, z_p: Tensor) -> dict[str, Loss]:
    return {
        "encoder": model.encoder_loss(batch, eps),
        "decoder": model.decoder_loss(batch, eps, z_p),
        "discriminator": model.discriminator_loss(batch, eps, z_p),
    }


def gradients(term: Tensor, model: VAEGAN, player: str) -> list[Tensor | None]:
    parameters = list(model.players()[player].parameters())
    return list(torch.autograd.grad(term, parameters, allow_unused=True, retain_graph=True))


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("term", ROUTES)
@pytest.mark.parametrize("config,spec", [(MLP, TABLE), (CONV, IMAGE)], ids=["mlp", "conv"])
def test_terms_reach_whom_the_table_names(config: VAEGANConfig, spec: DataSpec, term: str, player: str) -> None:
    """What a player descends is made of its terms alone, each of which gives it a gradient."""
    model, batch, eps, z_p = setting(config, spec)
    loss, metrics = losses(model, batch, eps, z_p)[player]
    if player not in ROUTES[term]:
        assert term not in metrics
        rest = sum(weights(config)[player, t] * metrics[t] for t in ROUTES if player in ROUTES[t])
        torch.testing.assert_close(loss, rest, rtol=1e-12, atol=0)  # and nothing else is hidden in the loss
    else:
        found = gradients(metrics[term], model, player)
        assert sum(g.abs().sum() for g in found if g is not None) > 0


def weights(config: VAEGANConfig) -> dict[tuple[str, str], float]:
    return {
        ("encoder", "prior"): config.beta,
        ("encoder", "similarity"): 1.0,
        ("decoder", "similarity"): config.gamma,
        ("decoder", "gan"): 1.0,
        ("discriminator", "gan"): 1.0,
    }


@pytest.mark.parametrize("config,spec", [(MLP, TABLE), (CONV, IMAGE)], ids=["mlp", "conv"])
def test_gradients_are_those_of_algorithm_1(config: VAEGANConfig, spec: DataSpec) -> None:
    """Against the formulas written out with torch.distributions and probabilities in place of scores."""
    model, batch, eps, z_p = setting(config, spec)
    x = 2 * batch.x - 1 if spec.modality.has_pixels else batch.x
    squash = torch.tanh if spec.modality.has_pixels else (lambda y: y)
    mean, log_var = model.encoder(x).chunk(2, 1)
    posterior = torch.distributions.Normal(mean, (log_var / 2).exp())
    standard = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    z = mean + (log_var / 2).exp() * eps[:, 0]
    rebuilt, made = squash(model.generator(z)), squash(model.generator(z_p))
    on_real, on_rebuilt, on_made = (model.discriminator(v) for v in (x, rebuilt, made))
    l_prior = torch.distributions.kl_divergence(posterior, standard).sum(1).mean()
    likelihood = torch.distributions.Normal(on_rebuilt.features[-2].flatten(1), 1.0)
    constant = 0.5 * log(2 * pi) * likelihood.mean.shape[1]
    l_llike = (-likelihood.log_prob(on_real.features[-2].flatten(1)).sum(1) - constant).mean()
    d_x, d_rebuilt, d_made = (v.score.sigmoid() for v in (on_real, on_rebuilt, on_made))
    l_gan = -(d_x.log() + (1 - d_rebuilt).log() + (1 - d_made).log()).mean()
    fooling = -(d_rebuilt.log() + d_made.log()).mean()
    expected = {
        "encoder": config.beta * l_prior + l_llike,
        "decoder": config.gamma * l_llike + fooling,
        "discriminator": l_gan,
    }
    for player, (loss, _) in losses(model, batch, eps, z_p).items():
        torch.testing.assert_close(loss, expected[player], rtol=1e-6, atol=1e-7)
        pairs = zip(gradients(loss, model, player), gradients(expected[player], model, player), strict=True)
        for found, wanted in pairs:
            torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("mover", PLAYERS)
def test_only_the_player_whose_turn_it_is_moves(mover: str) -> None:
    """With the other learning rates at zero, a round changes the mover's weights and nobody else's."""
    torch.manual_seed(0)
    model = VAEGAN(CONV, IMAGE)
    data = Dataset(x=torch.randint(0, 256, (16, 1, 16, 16), dtype=torch.uint8), spec=IMAGE)
    before = {name: [p.clone() for p in module.parameters()] for name, module in model.players().items()}
    optim = {name: OptimConfig(lr=1e-2 if name == mover else 0.0) for name in PLAYERS}
    Trainer(model, data, TrainConfig(rounds=1, batch_size=8, optim=optim, sample_every=0, save_every=0)).fit()
    for name, module in model.players().items():
        moved = [not torch.equal(p, old) for p, old in zip(module.parameters(), before[name], strict=True)]
        assert all(moved) if name == mover else not any(moved), name


def test_likeness_is_summed_over_the_features_of_the_chosen_layer() -> None:
    for layer in (-3, -2, -1, 0, 1):
        torch.manual_seed(0)
        model = VAEGAN(replace(MLP, network=MLPConfig(width=16, layers=3), layer=layer), TABLE).double()
        x, y = torch.randn(2, 4, 5, dtype=torch.double)
        a, b = model.discriminator(x), model.discriminator(y)
        by_hand = sum(0.5 * ((a.features[layer][i] - b.features[layer][i]) ** 2).sum() for i in range(4)) / 4
        torch.testing.assert_close(model.similarity(a, b), by_hand)


def test_batch_normalisation_brings_data_and_reconstructions_to_one_scale() -> None:
    """With statistics of their own, x and a fainter x~ would be normalised into one and the same."""
    model, batch, *_ = setting(replace(CONV, norm="batch", layer=-1), IMAGE)
    x = 2 * batch.x - 1
    real, fainter = model._together(None, x, x / 2)
    both = model.discriminator(torch.cat([x, x / 2]))
    torch.testing.assert_close(torch.cat([real.score, fainter.score]), both.score)
    together = model.similarity(real, fainter)
    apart = model.similarity(model.discriminator(x), model.discriminator(x / 2))
    assert together > 4 * apart


@pytest.mark.parametrize("conditioning", ["concatenate", "project"])
def test_the_label_reaches_all_three(conditioning: str) -> None:
    model, batch, eps, z_p = setting(replace(CONV, conditioning=conditioning), IMAGE)
    model.eval()
    other = Batch(batch.x, 1 - batch.condition)
    for a, b in zip(losses(model, batch, eps, z_p).values(), losses(model, other, eps, z_p).values(), strict=True):
        assert a[0] != b[0]
    assert not torch.equal(model.encode(batch.x, batch.condition), model.encode(batch.x, other.condition))
    with pytest.raises(ValueError, match="pass condition"):
        model.encode(batch.x)


def test_encode_gives_the_mean_in_the_data_s_units() -> None:
    model, batch, _, _ = setting(CONV, IMAGE)
    model.eval()
    torch.testing.assert_close(model.encode(batch.x), model.encoder(2 * batch.x - 1)[:, :3])
    assert model.latent_shape == (3,)


def test_mistakes_are_refused_with_what_to_type() -> None:
    with pytest.raises(ValueError, match=r"take model\.layer from -2 to 1"):
        VAEGAN(replace(MLP, layer=2), TABLE)
    with pytest.raises(ValueError, match=r"take model\.prior normal"):
        replace(MLP, prior="uniform")
    with pytest.raises(ValueError, match="network mlp"):
        VAEGAN(CONV, TABLE)
