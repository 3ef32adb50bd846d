"""What each kind of data knows of itself: wording, storage, units of networks, masks and made-up examples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from genwerk.core.abilities import Samples
from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import Batch, DataSpec
from genwerk.core.tokens import CLIPVocabulary
from genwerk.core.vocabularies import BytePairs, Characters, Words
from genwerk.data import Dataset
from genwerk.modalities import writers
from genwerk.nn.units import Centred
from genwerk.recipes import find
from genwerk.testing.case import made_up
from genwerk.training.trainer import Trainer

SPECS = {
    "image": DataSpec(kind="image", shape=(3, 4, 6), levels=32),
    "audio": DataSpec(kind="audio", shape=(1, 40), sample_rate=80),
    "table": DataSpec(kind="table", shape=(3,), columns=("a", "b", "c")),
    "latent": DataSpec(kind="latent", shape=(2, 4, 3)),
    "text": DataSpec(kind="text", shape=(7,), vocabulary=CLIPVocabulary(length=7)),
}
NUMERIC = [kind for kind in SPECS if kind != "text"]


def stored(kind: str, n: int = 20) -> Tensor:
    return SPECS[kind].modality.made_up(n, torch.Generator().manual_seed(0))


def nothing(path: Path) -> Tensor:
    raise AssertionError(f"{path} was read")


@pytest.mark.parametrize(
    "kind,said",
    [
        ("image", "images of 4x6x3"),
        ("audio", "sounds of 40 samples, 80 Hz"),
        ("table", "a table of 3 columns"),
        ("latent", "latents of 4x3x2"),
        ("text", "texts of at most 7 tokens, a vocabulary of 514"),
    ],
)
def test_it_is_called_by_its_size(kind: str, said: str) -> None:
    assert str(SPECS[kind]) == said


def test_one_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="no kind of data 'smell'; there are audio, image, latent, table, text"):
        str(DataSpec(kind="smell", shape=(3,)))


@pytest.mark.parametrize("kind", SPECS)
def test_what_is_stored_comes_back_in_its_units_and_range(kind: str) -> None:
    modality, x = SPECS[kind].modality, Dataset(x=stored(kind), spec=SPECS[kind]).batch().x
    assert x.dtype == modality.dtype
    assert torch.equal(modality.clamp(x), x)
    again = modality.to_stored(x)
    assert torch.equal(modality.from_stored(again), x) or kind == "audio"  # made up between the stored samples
    torch.testing.assert_close(modality.from_stored(again), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("kind", NUMERIC)
def test_units_of_networks_are_undone_and_know_their_volume(kind: str, centred: bool) -> None:
    data = Dataset(x=stored(kind), spec=SPECS[kind])
    units = Centred(SPECS[kind]) if centred else SPECS[kind].modality.units(centred=False)
    assert units.fitted(data) is data
    x = data.batch().x
    torch.testing.assert_close(units.inverse(units(x)), x, atol=1e-6, rtol=1e-6)
    jacobian = torch.autograd.functional.jacobian(lambda row: units(row.view_as(x[:1])).flatten(), x[0].flatten())
    volume = torch.linalg.slogdet(jacobian.double())[1]
    torch.testing.assert_close(torch.as_tensor(units.log_det()).double(), volume, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("kind", NUMERIC)
def test_raw_outputs_are_brought_into_the_range_of_the_units(kind: str) -> None:
    for centred in (True, False):
        units = SPECS[kind].modality.units(centred=centred)
        raw = torch.linspace(-9, 9, 50).view(-1, *[1] * len(SPECS[kind].shape)).expand(-1, *SPECS[kind].shape)
        y = units.squash(raw)
        assert torch.equal(units.clamp(y), y)
        x = SPECS[kind].modality.clamp(units.inverse(y))
        torch.testing.assert_close(x, units.inverse(y))


@pytest.mark.parametrize(
    "kind,known,count",
    [
        ("image", "top-half", 3 * 2 * 6),
        ("image", "left-half", 3 * 4 * 3),
        ("audio", "first-half", 20),
        ("audio", "0.25s", 20),
        ("audio", "last-half", 20),
        ("table", "a,2", 2),
        ("latent", "0", 8),
        ("text", "0,1", 2),
    ],
)
def test_what_is_known_is_named_in_words(kind: str, known: str, count: int) -> None:
    mask = SPECS[kind].modality.mask(known, nothing)
    assert mask.dtype == torch.bool
    assert mask.shape == (1, *SPECS[kind].shape)
    assert int(mask.sum()) == count


@pytest.mark.parametrize("kind", SPECS)
def test_other_words_are_refused(kind: str) -> None:
    with pytest.raises(BadInput, match="there is no"):
        SPECS[kind].modality.mask("sideways", nothing)


def test_a_mask_picture_is_light_where_pixels_are_known(tmp_path: Path) -> None:
    (tmp_path / "mask.png").touch()
    half = torch.zeros(3, 4, 6)
    half[:, :, 3:] = 1
    assert torch.equal(SPECS["image"].modality.mask(str(tmp_path / "mask.png"), lambda path: half)[0], half > 0.5)


def test_bits_are_counted_where_there_are_levels() -> None:
    bits, how = SPECS["image"].modality.bits_per_dim(-72 * torch.log(torch.tensor(2.0)).item())
    assert bits == pytest.approx(1)
    assert "the stored pixels" in how
    assert SPECS["table"].modality.bits_per_dim(-3.0) == (None, "nats of the density in the units of the data")


def test_only_some_can_be_measured() -> None:
    assert {kind for kind, spec in SPECS.items() if spec.modality.measured} == {"image", "audio", "table"}


def test_rows_of_a_table_are_written_as_the_table_has_them() -> None:
    spec = DataSpec(
        kind="table",
        shape=(3,),
        columns=("age", "height", "rooms"),
        classes=("no", "yes"),
        header=("age", "answer", "height", "rooms"),
        integers=("age", "rooms"),
        jittered=("rooms",),
    )
    x = torch.tensor([[29.6, 1.75, 2.9], [31.4, 1.6, 0.1]], dtype=torch.float64)
    header, rows = spec.modality.records([Batch(x, torch.tensor([1, 0]))])
    assert (list(header), list(rows)) == ([*spec.header], [(30, "yes", 1.75, 2), (31, "no", 1.6, 0)])
    header, rows = spec.modality.records([Batch(x)])
    assert (list(header), next(rows)) == (["age", "height", "rooms"], (30, 1.75, 2))
    told = replace(spec, classes=(), covariates=("answer",))
    covariates = torch.tensor([[2.0], [0.5]], dtype=torch.float64)
    assert [*told.modality.records([Batch(x, covariates)])[1]] == [(30, 2, 1.75, 2), (31, 0.5, 1.6, 0)]


def test_transparent_images_show_a_checkerboard_and_are_written_with_their_alpha(tmp_path: Path) -> None:
    spec = DataSpec(kind="image", shape=(4, 16, 16))
    x = torch.zeros(1, 4, 16, 16)
    x[:, 0], x[:, 3, :, 8:] = 1.0, 1.0
    shown = writers.opaque(x)
    assert shown[0, :, 0, 0].tolist() == [1, 1, 1]
    assert shown[0, :, 0, 2].tolist() == pytest.approx([0.85] * 3)
    assert shown[0, :, 0, 8].tolist() == [1, 0, 0]
    with Image.open(spec.modality.write_one(tmp_path / "one", x[0], {})) as image:
        corners = image.getpixel((0, 0)), image.getpixel((8, 0))
        assert (image.mode, *corners) == ("RGBA", (255, 0, 0, 0), (255, 0, 0, 255))
    mask = spec.modality.mask(str(tmp_path / "one.png"), lambda _: torch.cat([x[0, :3] * 0, x[0, 3:]]))
    assert not mask.any()  # black is unknown, however opaque


@pytest.mark.parametrize("name", ["autoencoder", "cvae", "dcgan", "realnvp", "pixelcnn-pp", "vqvae", "stylegan"])
def test_families_of_images_take_four_channels(name: str) -> None:
    spec = DataSpec(kind="image", shape=(4, 8, 8), classes=("a", "b"))
    recipe = find(name).make(spec)
    model: Any = build(recipe.model, spec)
    settings = replace(recipe.train, rounds=1, batch_size=4, sample_every=0, evaluate_every=0)
    Trainer(model, made_up(spec, 8), settings).fit()
    batch = made_up(spec, 2).under(model.condition).batch()
    if isinstance(model, Samples):
        assert model.eval().sample(2, model.condition.of(batch)).shape == (2, 4, 8, 8)
    else:
        assert model.eval().decode(model.encode(batch.x)).shape == (2, 4, 8, 8)


def test_texts_are_compared_by_their_words_whatever_their_tokens_are() -> None:
    text = "It's 明月, is it?"
    words = ["It's", "明", "月", ",", "is", "it", "?"]
    for kind in (Characters, Words, BytePairs):
        vocabulary = kind.learned([text, text], most=300, length=30, unicode="NFC")
        spec = DataSpec(kind="text", shape=(30,), vocabulary=vocabulary)
        assert spec.modality.words(vocabulary.encode([text])) == [words]


def test_random_texts_are_as_long_and_of_known_tokens() -> None:
    vocabulary = Characters(symbols=tuple("abcd"), length=8)
    x = vocabulary.encode(["ab", "abcabc", "", "abcdabcd"])
    found = DataSpec(kind="text", shape=(8,), vocabulary=vocabulary).modality.at_random(x, torch.Generator())
    assert torch.equal(found == 0, x == 0)
    assert set(found[found > 0].tolist()) <= {2, 3, 4, 5}


def test_only_texts_have_words() -> None:
    with pytest.raises(BadInput, match="images are not compared word by word"):
        DataSpec(kind="image", shape=(1, 2, 2)).modality.words(torch.zeros(1, 1, 2, 2))
