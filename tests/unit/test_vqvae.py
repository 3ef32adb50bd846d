"""VQ-VAE: the nearest entry, both ways for a codebook to learn, its revival, and codes as data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from genwerk.core.abilities import abilities
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.vqvae import VQVAE, VQVAEConfig
from genwerk.nn.grid import grid_decoder, grid_encoder
from genwerk.nn.quantise import Quantiser, gathered, nearest, perplexity, rows, straight_through
from genwerk.recipes import find
from genwerk.training.settings import TrainConfig
from genwerk.training.trainer import Trainer

DIGIT = DataSpec(kind="image", shape=(1, 8, 8), levels=17, classes=tuple("0123456789"))
SMALL = VQVAEConfig(entries=16, dims=4, width=8, halve=1, blocks=1)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def digits(n: int = 32) -> Dataset:
    return Dataset(x=torch.randint(0, 17, (n, 1, 8, 8), dtype=torch.uint8), spec=DIGIT)


def quantiser(entries: int = 5, dims: int = 3, decay: float = 0.0, revive: float = 0.0, **kwargs: Any) -> Quantiser:
    return Quantiser(entries, dims, kwargs.get("learned", "average"), decay, revive).double()


# --- quantisation -----------------------------------------------------------------------------------------------------


def test_the_nearest_entry_is_that_of_brute_force() -> None:
    z, codebook = torch.randn(200, 3, dtype=torch.float64), torch.randn(17, 3, dtype=torch.float64)
    expected = [min(range(17), key=lambda k: float(((v - codebook[k]) ** 2).sum())) for v in z]
    assert nearest(z, codebook).tolist() == expected


def test_autocast_does_not_blur_the_choice() -> None:
    codebook = 100 + torch.linspace(0, 0.5, 8)[:, None]  # one number in bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest(codebook, codebook), torch.arange(8))


def test_maps_are_quantised_place_by_place() -> None:
    q, z = quantiser(), torch.randn(2, 3, 4, 5, dtype=torch.float64)
    index = q.index(z)
    e = q(index)
    assert index.shape == (2, 4, 5)
    assert e.shape == z.shape
    assert index[1, 2, 3] == nearest(z[1, :, 2, 3][None], q.codebook)[0]
    assert torch.equal(e[1, :, 2, 3], q.codebook[index[1, 2, 3]])


def test_the_gradient_passes_as_through_the_identity() -> None:
    q, z = quantiser(), torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(z)
    out = straight_through(z, q(q.index(z)))
    torch.testing.assert_close(out, q(q.index(z)))
    (gradient,) = torch.autograd.grad((out * weight).sum(), z)
    torch.testing.assert_close(gradient, weight)


def test_perplexity_counts_evenly_used_entries() -> None:
    assert perplexity(torch.tensor([0.25, 0.25, 0.0, 0.25, 0.25])) == pytest.approx(4)
    assert perplexity(torch.tensor([0.0, 7.0, 0.0])) == pytest.approx(1)
    p = torch.tensor([0.5, 0.25, 0.25])
    assert perplexity(p) == pytest.approx(2**1.5)


# --- the codebook -----------------------------------------------------------------------------------------------------


def test_without_memory_an_update_is_a_step_of_k_means() -> None:
    q, z = quantiser(), torch.randn(4, 3, 3, 3, dtype=torch.float64)
    v, before = rows(z), q.codebook.clone()
    label = torch.cdist(v, before).argmin(1)
    q.update(q.statistics(z, q.index(z)))
    for k in range(5):
        members = v[label == k]
        torch.testing.assert_close(q.codebook[k], members.mean(0) if len(members) else before[k])


def test_averages_follow_appendix_a1() -> None:
    """N and m by hand over two rounds; their ratio does not change when both are divided by the number of vectors."""
    q = quantiser(2, 1, decay=0.9)
    q.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    n, m = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for values, label in (([1.0, 2.0, 9.0], [0, 0, 1]), ([3.0, 11.0, 12.0], [0, 1, 1])):
        z = torch.tensor(values, dtype=torch.float64).view(3, 1, 1, 1)
        assert q.index(z).flatten().tolist() == label
        q.update(q.statistics(z, q.index(z)))
        for k in (0, 1):
            mine = [v for v, i in zip(values, label, strict=True) if i == k]
            n[k], m[k] = 0.9 * n[k] + 0.1 * len(mine), 0.9 * m[k] + 0.1 * sum(mine)
        torch.testing.assert_close(q.codebook[:, 0], m / n)
    torch.testing.assert_close(q.usage, n / 3)


def test_statistics_of_parts_add_up() -> None:
    q, z, lot = quantiser(), torch.randn(6, 3, 2, 2, dtype=torch.float64), torch.randint(0, 24, (6, 2, 2))
    index = q.index(z)
    whole = q.statistics(z, index, lot)
    first, second = (q.statistics(z[r], index[r], lot[r]) for r in (slice(0, 2), slice(2, 6)))
    for name, value in whole.items():
        torch.testing.assert_close(first[name] / 3 + second[name] * 2 / 3, value)


def test_dead_entries_begin_at_vectors_that_were_drawn_for_them() -> None:
    q = quantiser(4, 2, decay=0.5, revive=0.5)
    q.usage.copy_(torch.tensor([0.6, 0.3, 0.1, 0.0]))  # dead below 1/8: the last two
    q.sums.copy_(q.codebook * q.usage[:, None])
    z = q.codebook[torch.tensor([0, 0, 1])].view(3, 2, 1, 1) + 1e-3
    lot = torch.tensor([0, 2, 2]).view(3, 1, 1)  # nothing was dealt to the last entry
    before = q.codebook.clone()
    q.update(q.statistics(z, torch.tensor([0, 0, 1]).view(3, 1, 1), lot))
    torch.testing.assert_close(q.codebook[2], rows(z)[1:].mean(0))
    torch.testing.assert_close(q.codebook[3], before[3])
    assert q.usage[2] == 2 / 8
    torch.testing.assert_close(q.sums[2] / q.usage[2], q.codebook[2])
    torch.testing.assert_close(q.codebook[:2], before[:2], atol=2e-3, rtol=0)


def test_gathered_is_a_histogram_with_sums() -> None:
    index, z = torch.tensor([3, 0, 3, 9]), torch.arange(8.0).view(4, 2)
    share, total = gathered(index, z, 4)  # nothing below 4 is 9
    assert share.tolist() == [0.25, 0, 0, 0.5]
    torch.testing.assert_close(total * 4, torch.stack([z[1], z[0] * 0, z[0] * 0, z[0] + z[2]]))


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learned", ["average", "gradient"])
def test_the_objective_is_equation_3(learned: Any) -> None:
    """Its terms, and whom each of them teaches: encoder and decoder, codebook, and encoder alone."""
    config = VQVAEConfig(**{**vars(SMALL), "learned": learned, "beta": 0.7})
    model = VQVAE(config, DIGIT).double()
    model.variance.fill_(0.5)
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    loss, metrics = model.objective(x)
    z = model.encoder(x - model.mean)
    e = model.quantiser(model.quantiser.index(z))
    squared = F.mse_loss(model.decoder(e.detach()) + model.mean, x)
    apart = F.mse_loss(z, e)
    expected = squared / 0.5 + (0.7 + (learned == "gradient")) * apart
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["mse"], squared)
    if learned == "gradient":
        (found,) = torch.autograd.grad(loss, model.quantiser.codebook)
        wanted = torch.zeros_like(found)
        for v, i in zip(rows(z), model.quantiser.index(z).flatten(), strict=True):
            wanted[i] += 2 * (model.quantiser.codebook[i] - v) / z.numel()
        torch.testing.assert_close(found, wanted)
    else:
        assert "quantiser.codebook" not in dict(model.named_parameters())


def test_commitment_pulls_the_encoder_and_nothing_else() -> None:
    """With beta, the gradient of the encoder's output gains 2 beta (z - e) / numel."""
    gradients = []
    for beta in (0.0, 0.7):
        torch.manual_seed(1)
        model = VQVAE(VQVAEConfig(**{**vars(SMALL), "beta": beta}), DIGIT).double()
        x, seen = torch.rand(4, 1, 8, 8, dtype=torch.float64), []
        model.encoder.register_forward_hook(lambda _, __, z, seen=seen: seen.append(z))
        loss, _ = model.objective(x)
        gradients.append(torch.autograd.grad(loss, seen[0])[0])
        z = seen[0]
    e = model.quantiser(model.quantiser.index(z))
    torch.testing.assert_close(gradients[1] - gradients[0], 2 * 0.7 * (z - e) / z.numel())


@pytest.mark.parametrize("entries", [2, 16, 256])
def test_codes_survive_eight_bits(entries: int) -> None:
    model = VQVAE(VQVAEConfig(**{**vars(SMALL), "entries": entries}), DIGIT).eval()
    spec = model.code_spec()
    assert spec == DataSpec(kind="image", shape=(1, 4, 4), levels=entries, nominal=True)
    every = torch.arange(entries).repeat(16)[: 16 * (entries // 16 or 1)].view(-1, 1, 4, 4)
    stored = Dataset(x=every.to(torch.uint8), spec=spec)
    z = stored.batch().x
    torch.testing.assert_close(model.decode(z), (model.decoder(model.quantiser(every[:, 0])) + model.mean).clamp(0, 1))
    x = torch.rand(6, 1, 8, 8)
    code = model.encode(x)
    assert code.shape == (6, *model.latent_shape)
    again = Dataset(x=(code * (entries - 1)).round().to(torch.uint8), spec=spec).batch().x
    assert torch.equal(again, code)
    assert torch.equal(model.quantiser.index(model.encoder(x - model.mean))[:, None], (code * (entries - 1)).round())


@pytest.mark.parametrize(
    "shape,halve,grid", [((1, 8, 8), 1, (4, 4)), ((3, 20, 17), 2, (5, 5)), ((1, 7, 28), 3, (1, 4))]
)
def test_grids_for_every_size_of_image(shape: Any, halve: int, grid: tuple[int, int]) -> None:
    z = grid_encoder(shape, 6, 8, halve, 1)(torch.rand(2, *shape))
    assert z.shape == (2, 6, *grid)
    assert grid_decoder(shape, 6, 8, halve, 1)(z).shape == (2, *shape)
    assert VQVAE(VQVAEConfig(width=8, halve=halve), DataSpec(kind="image", shape=shape)).latent_shape == (1, *grid)


def test_mean_and_variance_are_those_of_the_data() -> None:
    model, data = VQVAE(SMALL, DIGIT), digits()
    Trainer(model, data, TrainConfig(rounds=1, batch_size=8, optim={})).fit()
    x = data.batch().x
    torch.testing.assert_close(model.mean, x.mean(0))
    torch.testing.assert_close(model.variance, (x - x.mean(0)).square().mean())


@pytest.mark.parametrize("revive,used", [(0.05, 6), (0.0, 1)])
def test_dead_entries_come_to_use(revive: float, used: int) -> None:
    """A codebook far away from what it is to hold: entry 0 takes everything, unless the others are revived."""
    model = VQVAE(VQVAEConfig(**{**vars(SMALL), "revive": revive, "decay": 0.8}), DIGIT)
    model.quantiser.codebook[1:] += 1_000
    data = digits()
    Trainer(model, data, TrainConfig(rounds=30, batch_size=32, optim={})).fit()
    found = model.diagnose(data.batch().x)
    assert found["entries in use"] >= used
    assert (found["entries in use"] == 1) == (revive == 0)
    assert found["perplexity of codes"] <= found["entries in use"] + 1e-3


@pytest.mark.parametrize(
    "spec", [DIGIT, DataSpec(kind="image", shape=(3, 20, 17)), DataSpec(kind="image", shape=(1, 28, 28))], ids=str
)
def test_the_recipe_fits_itself_to_the_data(spec: DataSpec) -> None:
    config = find("vqvae").make(spec).model
    assert isinstance(config, VQVAEConfig)
    model = VQVAE(config, spec).eval()
    assert abilities(model) == {"encodes", "decodes", "diagnoses"}
    x: Tensor = torch.rand(2, *spec.shape)
    assert model.decode(model.encode(x)).shape == x.shape


def test_settings_that_cannot_work_say_so() -> None:
    for kwargs, sentence in (
        ({"entries": 257}, "2 to 256"),
        ({"entries": 1}, "2 to 256"),
        ({"halve": 0}, "halve 0"),
        ({"decay": 1.0}, "fractions"),
    ):
        with pytest.raises(ValueError, match=sentence):
            VQVAEConfig(**kwargs)  # type: ignore[arg-type]
    for spec in (DataSpec(kind="table", shape=(5,)), VQVAE(SMALL, DIGIT).code_spec()):
        with pytest.raises(ValueError, match="images of intensities"):
            VQVAE(SMALL, spec)
