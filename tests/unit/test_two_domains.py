"""CycleGAN, CUT and swapped faces: what each loss is of, who learns from it, and which way images can go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from genwerk import tasks
from genwerk.core.errors import BadInput
from genwerk.core.model import Config, build
from genwerk.core.spec import DataSpec
from genwerk.data.dataset import Dataset
from genwerk.families.cut import CUTConfig, patch_nce
from genwerk.families.cyclegan import CycleGANConfig, change_of_distances
from genwerk.families.swap_faces import SwapFacesConfig, warped
from genwerk.families.two_domains import side_by_side
from genwerk.nn.adversarial.patchgan import PatchGANConfig
from genwerk.nn.translation import ResNetGeneratorConfig
from genwerk.nn.translation.output import blended

SPEC = DataSpec(kind="image", shape=(3, 16, 16), classes=("horse", "zebra"))
NETWORK = ResNetGeneratorConfig(width=4, halvings=1, blocks=2, kernel=3)
PATCHES = PatchGANConfig(width=4, halvings=1)
CYCLE = CycleGANConfig(network=NETWORK, discriminator=PATCHES, pool=3)
CONTRAST = CUTConfig(network=NETWORK, discriminator=PATCHES, patches=8, features=6)
SWAP = SwapFacesConfig(network=NETWORK, discriminator=PATCHES, adversarial=0.5)
CONFIGS = {"cyclegan": CYCLE, "cut": CONTRAST, "swap-faces": SWAP}


def model(config: Config, spec: DataSpec = SPEC) -> Any:
    """With weights away from what they begin as, so that everything depends on everything."""
    torch.manual_seed(0)
    built = build(config, spec)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return built.eval()


def both(n: int = 3) -> torch.Tensor:
    """Images of both domains side by side, with shape (n, 2, 3, 16, 16)."""
    return torch.rand(n, 2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def learners(loss: torch.Tensor, made: Any) -> set[str]:
    """Names of the parts of ``made`` that a gradient of ``loss`` reaches."""
    names, parameters = zip(*made.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name.split(".")[0] for name, g in zip(names, gradients, strict=True) if g is not None and g.abs().sum() > 0}


def least_squares(scores: torch.Tensor, target: float) -> torch.Tensor:
    return 0.5 * (scores - target).square().mean()


# --- CycleGAN ---------------------------------------------------------------------------------------------------------


def test_cyclegan_descends_equation_3() -> None:
    made, x, fakes = model(CYCLE), both(), []
    to_a, to_b = made.generators
    (a, b), (d_a, d_b) = (2 * x - 1).unbind(1), made.discriminators
    fake_a, fake_b = to_a(b).tanh(), to_b(a).tanh()
    adversarial = least_squares(d_a(fake_a)[0], 1) + least_squares(d_b(fake_b)[0], 1)
    cycle = (to_a(fake_b).tanh() - a).abs().mean() + (to_b(fake_a).tanh() - b).abs().mean()
    identity = (to_a(a).tanh() - a).abs().mean() + (to_b(b).tanh() - b).abs().mean()
    loss, _ = made.generator_loss(x, fakes=fakes)
    torch.testing.assert_close(loss, 2 * adversarial + 10 * cycle + 5 * identity)
    torch.testing.assert_close(fakes[0], torch.stack([fake_a, fake_b], 1))
    expected = sum(least_squares(d(y)[0], 1) for d, y in ((d_a, a), (d_b, b)))
    expected += sum(least_squares(d(y)[0], 0) for d, y in ((d_a, fake_a), (d_b, fake_b)))
    loss, _ = made.discriminator_loss(x, fakes[0])
    torch.testing.assert_close(loss, expected)
    assert learners(loss, made) == {"discriminators"}


def test_cyclegan_descends_the_change_of_distances_where_it_has_a_weight() -> None:
    """By brute force: of every pair of images, in units of the deviation of distances in each domain."""
    plain, made, x = model(CYCLE), model(replace(CYCLE, distance=3.0)), both(4)
    (a, b), pairs = (2 * x - 1).unbind(1), [(i, j) for i in range(4) for j in range(i + 1, 4)]

    def scaled(images: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        found, of = (torch.stack([(y[i] - y[j]).abs().mean() for i, j in pairs]) for y in (images, real))
        return (found - of.mean()) / of.std()

    to_a, to_b = made.generators
    change = (scaled(a, a) - scaled(to_b(a).tanh(), b)).abs().mean()
    change = change + (scaled(b, b) - scaled(to_a(b).tanh(), a)).abs().mean()
    loss, metrics = made.generator_loss(x, fakes=[])
    torch.testing.assert_close(loss, plain.generator_loss(x, fakes=[])[0] + 3 * change, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(metrics["distance"], change, rtol=1e-5, atol=1e-5)
    assert made.couples == (*plain.couples, "the distances between images")
    with pytest.raises(BadInput, match="3 images or more"):
        made.generator_loss(x[:2], fakes=[])
    same = torch.full((3, 3, 8, 8), 0.5)  # of which no distance has a deviation
    assert change_of_distances(same, same, same) == 0


def test_the_pool_fills_and_then_exchanges_half() -> None:
    made = model(CYCLE)
    images = torch.arange(5.0).view(5, 1, 1, 1, 1).expand(5, 2, 3, 16, 16)
    assert torch.equal(made.from_pool(images[:2], torch.rand(2, 2, 2)), images[:2])
    assert made.pooled == 2
    u = torch.tensor([[[0.9, 0.0], [0.9, 0.0]], [[0.9, 0.0], [0.4, 0.99]], [[0.4, 0.5], [0.6, 0.5]]])
    shown = made.from_pool(images[2:], u)[:, :, 0, 0, 0]
    assert shown.tolist() == [[2, 2], [3, 2], [1, 4]]  # the third fills it; then the last of B, and the middle of A
    assert made.pool[:, :, 0, 0, 0].tolist() == [[0, 4, 2], [0, 1, 3]]
    assert torch.equal(model(replace(CYCLE, pool=0)).from_pool(images, torch.rand(5, 2, 2)), images)


# --- CUT --------------------------------------------------------------------------------------------------------------


def test_patch_nce_is_that_of_equation_3() -> None:
    """By brute force: minus the log of exp(q k+) over the sum of exp(q k) over places of one image."""
    q, k = (torch.nn.functional.normalize(torch.randn(2, 5, 4), dim=2) for _ in range(2))
    terms = []
    for image in range(2):
        for place in range(5):
            similar = [(q[image, place] @ k[image, other] / 0.07).exp() for other in range(5)]
            terms.append(-(similar[place] / sum(similar)).log())
    torch.testing.assert_close(patch_nce(q, k, 0.07), torch.stack(terms).mean(), rtol=1e-4, atol=1e-5)


def test_cut_descends_equation_5() -> None:
    made, x, fakes = model(CONTRAST), both(), []
    places = [torch.rand(3, pixels).argsort(1)[:, :8] for pixels in made.pixels]
    source, target = (2 * x - 1).unbind(1)

    def contrast(of: torch.Tensor) -> torch.Tensor:
        keys, queries = made.generator.features(of), made.generator.features(made.generator(of).tanh())
        return torch.stack(
            [
                patch_nce(head(queries[i], at), head(keys[i], at), 0.07)
                for i, head, at in zip(made.layers, made.heads, places, strict=True)
            ]
        ).mean()

    fake = made.generator(source).tanh()
    expected = 2 * least_squares(made.discriminator(fake)[0], 1) + contrast(source) + contrast(target)
    loss, _ = made.generator_loss(x, *places, fakes=fakes)
    torch.testing.assert_close(loss, expected)
    assert made.layers == [0, 2, 3]  # pixels, the halving, and the first of two residual blocks, which is the middle
    loss, _ = made.discriminator_loss(x[:, 1], fakes[0])
    torch.testing.assert_close(
        loss, least_squares(made.discriminator(target)[0], 1) + least_squares(made.discriminator(fake)[0], 0)
    )
    assert learners(loss, made) == {"discriminator"}


def test_the_published_layers() -> None:
    """Pixels, both halvings, the first and the fifth of nine residual blocks (appendix C.2)."""
    network = ResNetGeneratorConfig(width=2, halvings=2, blocks=9, kernel=3)
    assert model(replace(CONTRAST, network=network)).layers == [0, 2, 3, 4, 8]


def test_keys_are_not_moved_towards_queries() -> None:
    """A pixel's key is the source's own, so that only what is made of it can learn from its contrast."""
    made, x = model(replace(CONTRAST, nce_identity=0.0, adversarial=0.0)), both()
    fake, contrast = made.contrasted(2 * x[:, 0] - 1, [torch.rand(3, p).argsort(1)[:, :8] for p in made.pixels])
    assert fake.shape == (3, 3, 16, 16)
    assert learners(contrast, made) == {"generator", "heads"}


def test_cut_goes_one_way() -> None:
    made = model(CONTRAST)
    assert made.aims(torch.tensor([0, 1])).tolist() == [1, 1]
    with pytest.raises(BadInput, match="translates to zebra alone, and horse was asked for"):
        made.translate(torch.rand(1, 3, 16, 16), torch.tensor([0]))


# --- swapped faces ----------------------------------------------------------------------------------------------------


def test_faces_are_rebuilt_from_warped_ones_by_their_own_decoder() -> None:
    made, x, shift, rebuilt = model(SWAP), both(), 0.05 * torch.randn(3, 2, 5, 5, 2), []
    jitter = 0.5 * torch.randn(3, 2, 3, 3)
    total = torch.tensor(0.0)
    for k in range(2):
        face = 2 * x[:, k] - 1
        source = warped(face, shift[:, k])
        source = (source + (jitter[:, k] @ source.flatten(2)).view_as(source)).clamp(-1, 1)
        raw = made.generator_to(k)(source)
        image, mask = blended(raw, source, "mask")
        assert mask is not None
        total = total + (raw[:, :3].tanh() - face).abs().mean() / 2 + (image - face).abs().mean() / 2
        total = total + 0.01 * mask.mean() / 2 + 0.5 * least_squares(made.score(image, k), 1) / 2
    loss, _ = made.autoencoder_loss(x, shift, jitter, made=rebuilt)
    torch.testing.assert_close(loss, total)
    assert learners(made.discriminator_loss(x, rebuilt[0])[0], made) == {"discriminators"}
    assert set(model(replace(SWAP, adversarial=0.0)).players()) == {"autoencoder"}


def test_a_warp_moves_pixels_by_what_it_says() -> None:
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(warped(x, torch.zeros(2, 5, 5, 2)), x)
    across = torch.zeros(2, 5, 5, 2)
    across[..., 0] = 2 / 8  # two pixels to the right is where pixels come from
    torch.testing.assert_close(warped(x, across)[..., :6], x[..., 2:])


# --- all --------------------------------------------------------------------------------------------------------------


def test_examples_of_both_classes_stand_side_by_side() -> None:
    x = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 3, 16, 16)
    data = side_by_side(Dataset(x=x, spec=SPEC, condition=torch.tensor([0, 1, 0, 0, 1, 0, 0])))
    pairs = data.x[torch.arange(5)][:, :, 0, 0, 0]
    assert pairs.shape == (5, 2)
    assert sorted(pairs[:, 0].tolist()) == [0, 2, 3, 5, 6]
    assert sorted(pairs[:4, 1].tolist()) == [1, 1, 4, 4]
    assert data.batch(torch.tensor([0, 3])).x.shape == (2, 2, 3, 16, 16)
    with pytest.raises(BadInput, match="there is no training image of zebra"):
        side_by_side(Dataset(x=x, spec=SPEC, condition=torch.zeros(7, dtype=torch.long)))


@pytest.mark.parametrize("name", CONFIGS)
def test_tiles_make_what_the_whole_makes(name: str) -> None:
    made, aim = model(CONFIGS[name]), torch.tensor([1])
    source = torch.rand(3, 61, 85, generator=torch.Generator().manual_seed(1))
    whole = made.translate(source.unsqueeze(0), aim)[0]
    assert whole.std() > 0.01
    for (rows, columns), part in tasks.tiles(made, source, 20, condition=aim):
        torch.testing.assert_close(part, whole[:, rows, columns], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["cyclegan", "swap-faces"])
def test_each_example_goes_where_its_own_condition_says(name: str) -> None:
    made, x = model(CONFIGS[name]), both()[:, 0]
    mixed = made.translate(x, torch.tensor([0, 1, 0]))
    for k in range(2):
        alone = made.translate(x, torch.tensor([k]))
        torch.testing.assert_close(mixed[torch.tensor([0, 1, 0]) == k], alone[torch.tensor([0, 1, 0]) == k])
    assert not torch.allclose(made.translate(x, torch.tensor([0])), made.translate(x), atol=1e-4)
    assert made.aims(torch.tensor([0, 1])).tolist() == [1, 0]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("classes", [(), ("a", "b", "c")])
def test_data_of_other_than_two_domains_are_refused(name: str, classes: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match=f"two domains, and the data have {len(classes) or 'no'} classes"):
        build(CONFIGS[name], replace(SPEC, classes=classes))
