"""Two folders beside each other: pairs by name, domains, the layout trainA and trainB, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chi2_contingency

from genwerk.core.degradation import Pairs, SourceImage
from genwerk.core.errors import BadInput
from genwerk.core.model import build
from genwerk.core.spec import DataSpec
from genwerk.data import DataConfig, Dataset, Splits, cache, open_data
from genwerk.data.parts import changed, like
from genwerk.data.shares import _p, unlike
from genwerk.families.palette import PaletteConfig
from genwerk.families.pix2pix import Pix2PixConfig
from genwerk.recipes import find
from genwerk.training.settings import from_json, to_json

Make = Callable[[int], Image.Image]


def grey(side: int = 4, height: int | None = None) -> Make:
    return lambda i: Image.new("L", (side, height or side), 5 * i)


def inverted(side: int = 4) -> Make:
    return lambda i: Image.new("L", (side, side), 255 - 5 * i)


def colour(side: int = 4) -> Make:
    return lambda i: Image.new("RGB", (side, side), (5 * i, 0, 100))


def folder(path: Path, make: Make, names: Sequence[str] = (), n: int = 20) -> Path:
    for i, name in enumerate(names or [f"{i:02}.png" for i in range(n)]):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        make(i).save(path / name)
    return path


def opened(a: Path, b: Path, **more: object) -> Splits:
    return open_data(DataConfig(source=str(a), to=str(b), **more))  # type: ignore[arg-type]


def parts(splits: Splits) -> list[Dataset]:
    return [splits.train, splits.validation, splits.test]


def test_files_that_are_called_alike_are_pairs_in_every_part(tmp_path: Path) -> None:
    a = folder(tmp_path / "sketches", inverted(), [f"in/{i:02}.bmp" for i in range(20)])
    b = folder(tmp_path / "photos", colour(), [f"{i:02}.png" for i in range(20)])
    splits = opened(a, b)
    assert (splits.spec.shape, splits.spec.source, splits.spec.classes) == ((3, 4, 4), (1, 4, 4), ())
    assert sum(map(len, parts(splits))) == 20
    for part in parts(splits):
        assert part.source is not None
        assert torch.equal(part.x[:, :1], 255 - part.source)
    assert "20 pairs (grey to colour)" in splits.notes[0]
    assert splits.train.known()["file"][0].endswith(".png")
    assert "a source image each" in str(splits.spec)


def test_parts_of_their_own_are_paired(tmp_path: Path) -> None:
    names = [f"{part}/{i}.png" for part in ("train", "test") for i in range(6)]
    splits = opened(folder(tmp_path / "a", inverted(), names), folder(tmp_path / "b", grey(), names), validation=0)
    assert [len(splits.train), len(splits.test)] == [6, 6]
    assert torch.equal(splits.test.x, 255 - splits.test.source)  # type: ignore[operator]
    assert splits.test.x[0, 0, 0, 0] == 30


def test_sources_may_be_smaller_by_a_whole_number(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "small", colour(4)), folder(tmp_path / "large", colour(12))
    assert opened(a, b).spec.source == (3, 4, 4)
    splits = opened(a, b, size=6)
    assert (splits.spec.shape, splits.spec.source) == ((3, 6, 6), (3, 2, 2))
    assert "Every image is 3 times as high and wide as its source." in splits.notes
    with pytest.raises(BadInput, match=r"8x8 pixels are no whole number of times that; choose .*, such as 6"):
        opened(a, b, size=8)


def test_sides_of_other_sizes_are_brought_to_one(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", grey(5)), folder(tmp_path / "b", colour(8))
    splits = opened(a, b)
    assert (splits.spec.shape, splits.spec.source) == ((3, 8, 8), (1, 8, 8))
    wide = opened(folder(tmp_path / "wide", grey(10, 5)), b, size=4)
    assert wide.spec.source == (1, 4, 4)
    assert any("Of 20 pairs source and image differ in shape" in note for note in wide.notes)


def test_alpha_is_laid_over_the_background_on_both_sides(tmp_path: Path) -> None:
    def clear(i: int) -> Image.Image:
        return Image.new("RGBA", (4, 4), (5 * i, 0, 0, 0))

    splits = opened(folder(tmp_path / "a", clear), folder(tmp_path / "b", grey()), background="black")
    assert splits.spec.source[0] in (1, 3)
    assert not splits.train.source.any()  # type: ignore[union-attr]


def test_masks_of_two_values_have_the_levels_of_the_images(tmp_path: Path) -> None:
    def mask(i: int) -> Image.Image:
        return Image.fromarray(np.array([[0, 255], [255 * (i % 2), 0]], np.uint8))

    masks, photos = folder(tmp_path / "masks", mask), folder(tmp_path / "photos", grey(2))
    for splits in (opened(masks, photos), opened(photos, masks)):
        assert splits.spec.levels == 256
        assert {int(splits.train.x.max()), int(splits.train.source.max())} >= {255}  # type: ignore[union-attr]
    assert opened(masks, folder(tmp_path / "more", mask)).spec.levels == 2


def test_a_file_that_cannot_be_read_takes_its_counterpart_along(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", inverted()), folder(tmp_path / "b", grey())
    (a / "03.png").write_bytes(b"no image")
    splits = opened(a, b)
    assert sum(map(len, parts(splits))) == 19
    assert [s.name for s in splits.skipped] == ["a/03.png"]
    assert all(torch.equal(part.x, 255 - part.source) for part in parts(splits))  # type: ignore[operator]


def test_pairs_of_a_common_source_are_in_one_part(tmp_path: Path) -> None:
    same = folder(tmp_path / "a", lambda i: Image.new("L", (4, 4), i // 4))
    splits = opened(same, folder(tmp_path / "b", grey()))
    train, judged, tested = ({*part.source[:, 0, 0, 0].tolist()} for part in parts(splits))  # type: ignore[index]
    assert sorted([*train, *judged, *tested]) == [0, 1, 2, 3, 4]


def test_large_pairs_stay_in_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    a, b = folder(tmp_path / "a", inverted(8)), folder(tmp_path / "b", grey(8))
    (a / "05.png").write_bytes(b"no image")
    small = opened(a, b)
    monkeypatch.setattr(cache, "LARGE", 256)
    for _ in range(2):
        large = opened(a, b)
        assert large.fingerprints == small.fingerprints
        assert type(large.train.x).__name__ == type(large.train.source).__name__ == "Rows"
        assert torch.equal(large.train.source[:], small.train.source)  # type: ignore[index,arg-type]
        assert torch.equal(large.train.x[:], small.train.x)


@pytest.mark.parametrize("names", [["x.png", "y.png", "z.png"], ["other/00.jpg", "other/01.jpg", "none/02.jpg"]])
def test_others_are_two_domains(tmp_path: Path, names: list[str]) -> None:
    splits = opened(
        folder(tmp_path / "horses", colour(), n=12), folder(tmp_path / "zebras", grey(), names * 1), holdout=0.2
    )
    assert (splits.spec.classes, splits.spec.source) == (("horses", "zebras"), ())
    known = [pair for part in parts(splits) for pair in zip(*(part.known()[k] for k in ("file", "label")), strict=True)]
    assert {label for file, label in known if file.startswith("horses/")} == {"horses"}
    assert sum(label == "zebras" for _, label in known) == 3
    assert "Two domains, which are the classes: horses (12 images) and zebras (3 images)." in splits.notes


@pytest.mark.parametrize("kind", ["folders", "zip", "arrays"])
def test_a_translation_goes_to_the_second_source_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    if kind == "arrays":
        a, b = array(tmp_path / "night.npy"), array(tmp_path / "day.npy")
    else:
        a, b = folder(tmp_path / "night", grey()), folder(tmp_path / "day", inverted())
        b = Path(shutil.make_archive(str(b), "zip", b)) if kind == "zip" else b
    splits = opened(a, b, pairing="none")
    for part in parts(splits):
        assert part.spec.classes == ("night", "day")
        known = part.known()
        assert [file.partition("/")[0] for file in known["file"]] == known["label"]
        assert part.condition is not None
        assert [part.spec.classes[i] for i in part.condition.tolist()] == known["label"]


def test_who_says_so_takes_pairs_as_domains(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "one/day", grey()), folder(tmp_path / "two/day", inverted())
    assert opened(a, b, pairing="none").spec.classes == ("one/day", "two/day")
    assert opened(a, b).spec.classes == ()


def test_a_zip_beside_a_folder(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", inverted())
    shutil.make_archive(str(tmp_path / "b"), "zip", folder(tmp_path / "b", grey()))
    assert opened(a, tmp_path / "b.zip").train.fingerprint() == opened(a, tmp_path / "b").train.fingerprint()
    assert opened(a, tmp_path / "b.zip", pairing="none").spec.classes == ("a", "b")


def test_the_layout_of_unpaired_sets(tmp_path: Path) -> None:
    names = [f"{part}{side}/{i}.jpg" for part in ("train", "test") for side in "AB" for i in range(3)]
    splits = open_data(DataConfig(source=str(folder(tmp_path / "data", grey(), names)), validation=0))
    assert splits.spec.classes == ("A", "B")
    assert [len(splits.train), len(splits.test)] == [6, 6]
    known = splits.train.known()
    assert [file[:6] for file in known["file"]] == [f"train{label}" for label in known["label"]]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {},
            r"1 of 20 files in .*a have no counterpart \(07.png\) and 2 of 21 files in .*b .*\(new/1.png, new/2.png\)",
        ),
        ({"labels": "x.csv"}, "‹?data.labels›? is for one source"),
        ({"test": "c"}, "‹?data.test›? is for one source"),
    ],
)
def test_what_is_unpaired_is_named(tmp_path: Path, more: dict[str, str], why: str) -> None:
    a, b = folder(tmp_path / "a", grey()), folder(tmp_path / "b", inverted())
    (b / "07.png").unlink()
    folder(b, grey(), ["new/1.png", "new/2.png"])
    with pytest.raises(BadInput, match=why):
        opened(a, b, **more)
    if not more:
        splits = opened(a, b, pairing="name")
        assert sum(map(len, parts(splits))) == 19
        assert [s.name for s in splits.skipped] == ["a/07.png", "b/new/1.png", "b/new/2.png"]


def test_sources_that_cannot_stand_beside_each_other(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", grey())
    np.save(tmp_path / "x.npy", np.zeros((20, 4, 4), np.uint8))
    np.save(tmp_path / "table.npy", np.zeros((20, 4), np.uint8))
    (tmp_path / "empty").mkdir()
    for to, why in (
        (tmp_path / "gone", "there are no data .*gone"),
        (tmp_path / "table.npy", r"table.npy holds no images"),
        (tmp_path / "empty", "holds no image, sound or text"),
        (a, "are both"),
    ):
        with pytest.raises(BadInput, match=why):
            opened(a, to)
    with pytest.raises(BadInput, match=r"no training file of .* is called as one of"):
        opened(a, folder(tmp_path / "b", grey(), ["x.png"]), pairing="name")
    with pytest.raises(BadInput, match="names images beside those of another folder, and these data are in memory"):
        open_data(DataConfig(to=str(a)), np.zeros((20, 4, 4), np.uint8))


def array(path: Path, n: int = 20, side: int = 4, **more: np.ndarray) -> Path:
    """Images whose pixels are all 5 times their row, as .npz with labels where there are any, else as .npy."""
    x = np.broadcast_to(5 * np.arange(n, dtype=np.uint8)[:, None, None], (n, side, side))
    np.savez(path, x=x, **more) if more else np.save(path, x)
    return path


def test_arrays_and_classes_are_domains(tmp_path: Path) -> None:
    labelled = array(tmp_path / "night.npz", 30, y=np.arange(30) % 2)
    pets = folder(tmp_path / "pets", colour(), [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(20)])
    splits = opened(array(tmp_path / "day.npy"), labelled)
    assert (splits.spec.classes, splits.spec.shape) == (("day", "night"), (1, 4, 4))
    assert sum(map(len, parts(splits))) == 50
    for part in parts(splits):
        for name, pixel in zip(part.known()["file"], part.x[:, 0, 0, 0].tolist(), strict=True):
            assert int(name.partition("/")[2]) * 5 == pixel  # each is called by its side and its row there
    mixed = opened(labelled, pets)
    assert (mixed.spec.classes, mixed.spec.shape) == (("night", "pets"), (3, 4, 4))
    greys = mixed.train.x[mixed.train.condition == 0]
    assert torch.equal(greys[:, 0], greys[:, 2])
    with pytest.raises(BadInput, match=r"day have 4 x 4 pixels and those of large 8 x 8; .*data.size"):
        opened(tmp_path / "day.npy", array(tmp_path / "large.npy", side=8))
    assert opened(tmp_path / "day.npy", tmp_path / "large.npy", size=8).spec.shape == (1, 8, 8)


def test_who_says_so_pairs_rows(tmp_path: Path) -> None:
    a, b = array(tmp_path / "small.npy"), array(tmp_path / "large.npy", side=8)
    splits = opened(a, b, pairing="name")
    assert (splits.spec.shape, splits.spec.source, splits.spec.classes) == ((1, 8, 8), (1, 4, 4), ())
    for part in parts(splits):
        assert part.source is not None
        assert torch.equal(part.x[:, :, :4, :4], part.source)
    for to, why in (
        (array(tmp_path / "more.npy", 21), r"train parts of small and more have 20 and 21 images"),
        (array(tmp_path / "odd.npy", side=6), r"images of odd \(6 x 6\) are not the same whole number of times"),
        (array(tmp_path / "part.npz", y=np.where(np.arange(20) % 2, 1.0, np.nan)), "they lack a label|20 and 10"),
    ):
        with pytest.raises(BadInput, match=why):
            opened(a, to, pairing="name")


def test_palettes_are_read_as_rgb_beside_another_source(tmp_path: Path) -> None:
    night = folder(tmp_path / "night", colour(16))
    splits = opened(Path("sprites"), night, limit=50)
    assert (splits.spec.classes, splits.spec.shape, splits.spec.palette) == (("sprites", "night"), (3, 16, 16), ())
    one = open_data(DataConfig(source="sprites", colour="rgb", limit=50))
    assert one.spec.palette == ()
    build(find("superres").make(one.spec).model, one.spec)
    with pytest.raises(BadInput, match=r"a palette of 16 colours; read them as RGB by ‹?data.colour›? rgb"):
        build(find("superres").make(one.spec).model, open_data(DataConfig(source="sprites", limit=50)).spec)


def test_other_sources_are_other_data(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", inverted()), folder(tmp_path / "b", grey())
    before = opened(a, b)
    assert changed(before.fingerprints, opened(a, b)) is None
    spec = from_json(DataSpec, to_json(before.spec), "spec")
    assert spec == before.spec
    assert like(before.settings, spec).to == ""
    folder(tmp_path / "a", lambda i: Image.new("L", (4, 4), i))
    assert "other test examples" in (changed(before.fingerprints, opened(a, b)) or "")


# --- shares -----------------------------------------------------------------------------------------------------------


def test_shares_are_unlike_where_they_are_apart_and_it_is_no_accident() -> None:
    assert unlike("a" * 80 + "b" * 20, "a" * 20 + "b" * 80) == ("a", 0.8, 0.2)
    assert unlike("a" * 800 + "b" * 200, "a" * 720 + "b" * 280) is None  # a total variation distance of 0.08
    assert unlike("a" * 8 + "b" * 2, "a" * 2 + "b" * 8) is None  # chi-squared of 7.2: 0.7 % by accident
    assert unlike("abcdefghij" * 3, "klmnopqrst" * 3) is None  # of each too few
    assert unlike("a" * 100, "b" * 100) == ("a", 1.0, 0.0)
    assert unlike("a" * 10, "a" * 10) is None
    assert unlike("", "a") is None


def test_the_test_of_shares_is_that_of_scipy() -> None:
    for table in ([[80, 20], [20, 80]], [[7, 9, 30], [12, 9, 11]], [[50, 50, 1, 4], [49, 51, 2, 4]]):
        assert _p(table) == pytest.approx(chi2_contingency(table, correction=False).pvalue)


def test_domains_that_show_other_things_are_told(tmp_path: Path) -> None:
    def many(side: str, cats: int) -> Path:
        names = [f"{'cat' if i < cats else 'dog'}/{side}{i}.png" for i in range(50)]
        return folder(tmp_path / side, grey(), names)

    def told(splits: Splits) -> list[str]:
        return [note for note in splits.notes if "differ in more than their kind: " in note]

    (note,) = told(opened(many("day", 40), many("night", 10)))
    assert "'cat' is 80% of day and 20% of night" in note
    assert not told(opened(tmp_path / "day", many("dusk", 38)))


def test_parts_that_show_other_things_are_told(tmp_path: Path) -> None:
    names = [
        f"{part}/{'cat' if (i < 40) == (part == 'train') else 'dog'}/{i}.png"
        for part in ("train", "test")
        for i in range(50)
    ]
    splits = open_data(DataConfig(source=str(folder(tmp_path / "pets", colour(), names)), validation=0))
    (note,) = (note for note in splits.notes if "differ in their classes" in note)
    assert "'cat' is 80% of the training part and 20% of the test part;" in note


# --- what models make of them -----------------------------------------------------------------------------------------

PAIRED = DataSpec(kind="image", shape=(3, 8, 8), source=(1, 4, 4))


def test_pairs_are_a_degradation_that_the_data_know() -> None:
    condition = SourceImage.of_data(PAIRED, Pairs())
    assert (condition.shape, condition.degradation.scale, condition.derived) == ((1, 4, 4), 2, False)
    source = torch.rand(2, 1, 4, 4)
    shown = condition.degradation.shown(source, 3)
    assert shown.shape == (2, 3, 8, 8)
    assert torch.equal(shown[:, 0], shown[:, 2])
    assert condition.degradation.taken(torch.rand(1, 3, 5, 7)).shape == (1, 1, 5, 7)
    data = Dataset(
        x=torch.zeros(3, 3, 8, 8, dtype=torch.uint8),
        spec=PAIRED,
        source=torch.full((3, 1, 4, 4), 51, dtype=torch.uint8),
    )
    batch = data.under(condition).batch(slice(2))
    assert torch.equal(batch.condition, torch.full((2, 1, 4, 4), 0.2))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="these data carry none; take data of two folders"):
        Dataset(x=data.x, spec=data.spec).under(condition)
    with pytest.raises(BadInput, match=r"give pairs as ‹?data›? SOURCES ‹?to›? IMAGES"):
        SourceImage.of_data(DataSpec(kind="image", shape=(3, 8, 8)), Pairs())


@pytest.mark.parametrize("name", ["superres", "denoise", "colourise", "inpaint", "pix2pix", "palette"])
def test_recipes_take_the_pairs_that_there_are(name: str) -> None:
    for spec, pairs in ((PAIRED, True), (DataSpec(kind="image", shape=(3, 8, 8)), False)):
        model = find(name).make(spec).model
        assert isinstance(model, (Pix2PixConfig, PaletteConfig))
        assert isinstance(model.degradation, Pairs) is pairs
    model = find(name).make(PAIRED).model
    assert from_json(type(model), to_json(model), "model") == model
