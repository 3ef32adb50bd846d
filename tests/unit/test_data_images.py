"""Image files of every kind, good and bad, in folders and zips."""

import io
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from genwerk.data import DataConfig, images, open_data
from genwerk.data.dataset import PARTS
from genwerk.data.images import common_size
from genwerk.data.picture import GDAL_NODATA, Picture, decode, fitted, probe


def picture(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return Picture("it", lambda: io.BytesIO(file.getvalue()))


def gradient(height=20, width=20, channels=3):
    """Pixels that differ in every place and channel."""
    y, x = np.mgrid[:height, :width]
    planes = [(7 * x + 3 * y + 50 * c) % 256 for c in range(channels)]
    return np.stack(planes, 2).astype(np.uint8) if channels > 1 else planes[0].astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def png_bomb(side=20_000):
    """A valid one-bit PNG of side x side black pixels in about 50 kB."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


# --- One picture ----------------------------------------------------------------------------------------------------


def test_grey_and_colour_come_back_exactly():
    grey, colour = gradient(channels=1), gradient()
    assert (decode(picture(Image.fromarray(grey)), (1, 20, 20), "crop") == grey).all()
    assert (decode(picture(Image.fromarray(colour)), (3, 20, 20), "crop") == colour.transpose(2, 0, 1)).all()


def test_sixteen_bits_are_rounded_to_eight():
    deep = (gradient(channels=1).astype(np.uint16) * 257)[:, :20] + 100
    item = picture(Image.fromarray(deep))
    assert probe(item).grey
    assert (decode(item, (1, 20, 20), "crop")[0] == np.round(deep / 257)).all()


def deep(folder, *values, form="png", **options):
    """A picture of 16 bits for each of ``values``, a row of grey values."""
    folder.mkdir(exist_ok=True)
    for i, row in enumerate(values):
        Image.fromarray(np.array([row] * 2, np.uint16)).save(folder / f"{i}.{form}", **options)
    return open_data(DataConfig(source=str(folder), holdout=0))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_pictures_of_fewer_bits_in_files_of_sixteen_keep_their_contrast(tmp_path, bits):
    most = 2**bits - 1
    splits = deep(tmp_path / "in", [0, most // 2, most // 3], [most, most // 4, 0])
    got = sorted(row[0, 0].tolist() for row in splits.train.x)
    assert got == [[0, 127, 85], [255, 64 if bits > 8 else 63, 0]]
    assert any(f"do not exceed {most:,}" in note for note in splits.notes) == (bits < 16)


def test_pixels_without_a_measurement_do_not_set_the_scale(tmp_path):
    splits = deep(tmp_path / "in", [65_535, 4095, 2048])
    assert splits.train.x[0, 0, 0].tolist() == [0, 255, 128]
    assert any("value 65,535 count as not measured" in note for note in splits.notes)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[GDAL_NODATA], tags.tagtype[GDAL_NODATA] = "30000", 2
    splits = deep(tmp_path / "tiff", [30_000, 1023, 512], form="tiff", tiffinfo=tags)
    assert splits.train.x[0, 0, 0].tolist() == [0, 255, 128]
    assert any("value 30,000" in note for note in splits.notes)


def test_values_outside_sixteen_bits_are_named(tmp_path):
    Image.fromarray(np.array([[-9999, 5]], np.int32)).save(tmp_path / "a.tiff")
    Image.fromarray(np.array([[70_000, 5]], np.int32)).save(tmp_path / "b.tiff")
    save(tmp_path / "c.png", gradient(2, 1, 1))
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert {s.name: s.reason for s in splits.skipped} == dict.fromkeys(
        ("a.tiff", "b.tiff"), "its grey values lie outside 16 bits"
    )


def test_sixteen_bits_of_colour_and_further_frames_are_said(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = np.arange(2 * 2 * 3, dtype=">u2").reshape(2, -1) * 256
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    frames = [Image.new("RGB", (2, 2), (k, 9, 30)) for k in (0, 90)]
    for name in ("a.gif", "b.png", "c.webp", "d.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    splits = open_data(DataConfig(source=str(tmp_path), holdout=0))
    assert any("1 colour images have 16 bits a channel" in note for note in splits.notes)
    assert any("4 images have several frames" in note for note in splits.notes)
    assert splits.train.x[:, 0, 0, 0].max() < 10


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16"])
def test_masks_have_two_levels_whatever_holds_them(tmp_path, monkeypatch, values, mode):
    mask = np.indices((6, 6)).sum(0) % 3 > 0
    for i in range(3):
        pixels = np.where(np.roll(mask, i, 1), max(values), 0)
        if mode == "1":
            Image.fromarray(pixels > 0).save(tmp_path / f"{i}.png")
        elif mode == "RGB":
            save(tmp_path / f"{i}.png", np.stack([pixels] * 3, 2).astype(np.uint8))
        else:
            save(tmp_path / f"{i}.png", pixels.astype(np.uint16 if mode == "I;16" else np.uint8))
    splits = open_data(DataConfig(source=str(tmp_path), holdout=0))
    assert splits.spec.levels == 2
    assert (splits.spec.shape, splits.train.batch().x.unique().tolist()) == ((1, 6, 6), [0, 1])
    assert splits.train.batch().x.mean() == pytest.approx(2 / 3)
    assert any("two levels" in note for note in splits.notes)
    if values == (0, 255):
        assert open_data(DataConfig(source=str(tmp_path), size=4)).spec.levels == 256  # resampling mixes the two


def test_black_pictures_and_pictures_of_few_greys_have_256_levels(tmp_path):
    save(tmp_path / "0.png", np.zeros((4, 4), np.uint8))
    assert open_data(DataConfig(source=str(tmp_path))).spec.levels == 256
    save(tmp_path / "1.png", np.full((4, 4), 7, np.uint8))
    assert open_data(DataConfig(source=str(tmp_path))).spec.levels == 256


@pytest.mark.parametrize("colour", ["auto", "rgb"])
def test_pure_colours_are_no_mask(tmp_path, colour):
    save(tmp_path / "0.png", np.full((4, 4, 3), [255, 0, 0] if colour == "auto" else 255, np.uint8))
    save(tmp_path / "1.png", np.zeros((4, 4, 3), np.uint8))
    splits = open_data(DataConfig(source=str(tmp_path), colour=colour, holdout=0))
    assert (splits.spec.shape[0], splits.spec.levels, splits.train.batch().x.max()) == (3, 256, 1)


@pytest.mark.parametrize("name", ["a.jfif", "a.JPE", "a.avif", "a.jp2", "a.bmp", "a.tif"])
def test_pictures_of_every_kind_are_read(tmp_path, name):
    form = {"jfif": "JPEG", "JPE": "JPEG"}.get(name[2:])
    Image.fromarray(gradient(16, 16, 1)).save(tmp_path / name, form)
    splits = open_data(DataConfig(source=str(tmp_path / name)))
    assert (splits.train.x[0, 0].float() - torch.from_numpy(gradient(16, 16, 1))).abs().mean() < 8


def test_transparency_is_laid_over_white():
    colour = np.dstack([gradient(), np.full((20, 20), 128, np.uint8)])
    colour[0, 0, 3], colour[0, 1, 3] = 0, 255
    got = decode(picture(Image.fromarray(colour)), (3, 20, 20), "crop").transpose(1, 2, 0).astype(float)
    alpha = colour[..., 3:] / 255
    assert np.abs(got - (alpha * colour[..., :3] + (1 - alpha) * 255)).max() <= 1
    assert (got[0, 0] == 255).all()
    assert (got[0, 1] == colour[0, 1, :3]).all()


def test_a_palette_with_a_transparent_colour_and_grey_with_alpha():
    indexed = Image.new("P", (4, 4), 1)
    indexed.putpalette([0, 0, 0, 200, 10, 20])
    indexed.putpixel((0, 0), 0)
    got = decode(picture(indexed, transparency=0), (3, 4, 4), "crop")
    assert got[:, 0, 0].tolist() == [255, 255, 255]
    assert got[:, 1, 1].tolist() == [200, 10, 20]
    assert decode(picture(Image.new("LA", (4, 4), (0, 0))), (1, 4, 4), "crop").min() == 255


def test_cmyk_becomes_rgb():
    red = picture(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert decode(red, (3, 8, 8), "crop")[:, 4, 4].tolist() == [255, 0, 0]
    jpeg = decode(picture(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), (3, 8, 8), "crop")[:, 4, 4]
    assert np.abs(jpeg.astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_applied(form):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255  # white top left is to appear top right
    item = picture(Image.fromarray(pixels), form, exif=exif, quality=95)
    assert (probe(item).height, probe(item).width) == (32, 16)
    upright = decode(item, (1, 32, 16), "crop")[0]
    assert upright[:14, 10:].min() > 200
    assert upright[18:].max() < 50
    assert upright[:, :6].max() < 50


def test_a_large_jpeg_is_fitted_without_shifting_it():
    pixels = np.zeros((800, 1200, 3), np.uint8)
    pixels[:, 600:] = 255
    got = decode(picture(Image.fromarray(pixels), "JPEG", quality=95), (1, 32, 32), "crop")[0]
    assert got[:, :15].max() < 10
    assert got[:, 17:].min() > 245


def test_only_the_first_frame_of_a_gif_is_read():
    frames = [Image.new("P", (8, 8), k) for k in (0, 1)]
    for frame in frames:
        frame.putpalette([10, 20, 30, 200, 200, 200])
    got = decode(picture(frames[0], "GIF", save_all=True, append_images=frames[1:]), (3, 8, 8), "crop")
    assert got[:, 0, 0].tolist() == [10, 20, 30]


def test_floating_point_pixels_are_refused_with_a_reason():
    with pytest.raises(ValueError, match="floating-point"):
        decode(picture(Image.new("F", (4, 4)), "TIFF"), (1, 4, 4), "crop")


# --- Fitting --------------------------------------------------------------------------------------------------------


def test_crop_keeps_the_middle_and_pad_the_whole():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    image = Image.fromarray(wide)
    assert np.asarray(fitted(image, 10, 10, "crop")).min() == 255
    padded = np.asarray(fitted(image, 30, 30, "pad"))
    assert (padded[10:20] == wide).all()
    assert not padded[:9].any()
    stretched = np.asarray(fitted(image, 30, 30, "stretch"))
    assert (stretched == stretched[:1]).all()


def test_padding_takes_the_colour_of_the_border():
    padded = np.asarray(fitted(Image.new("RGB", (4, 12), (9, 80, 200)), 12, 12, "pad"))
    assert (padded == [9, 80, 200]).all()


@given(st.tuples(*[st.integers(1, 40)] * 4), st.sampled_from(["crop", "pad", "stretch"]))
def test_any_size_is_fitted_to_any_other_without_new_colours(sides, fit):
    height, width, to_height, to_width = sides
    flat = fitted(Image.new("RGB", (width, height), (30, 60, 90)), to_height, to_width, fit)
    assert flat.size == (to_width, to_height)
    assert (np.asarray(flat) == [30, 60, 90]).all()


def test_resampling_is_antialiased():
    fine = np.indices((64, 64)).sum(0) % 2 * 255
    coarse = np.asarray(fitted(Image.fromarray(fine.astype(np.uint8)), 8, 8, "crop")).astype(int)
    assert np.abs(coarse - 127).max() <= 2


@pytest.mark.parametrize(
    "sizes, asked, expected",
    [
        ([(30, 40)] * 3, None, (30, 40)),
        ([(30, 40)] * 3, 16, (16, 16)),
        ([(30, 40), (35, 50)], None, (24, 24)),
        ([(7, 9), (8, 8)], None, (7, 7)),
        ([(3000, 4000), (4000, 3000)], None, (256, 256)),
        ([(1, 1)] + [(64, 70), (80, 64)] * 10, None, (64, 64)),
    ],
)
def test_common_size(sizes, asked, expected):
    *size, note = common_size(sizes, DataConfig(size=asked))
    assert tuple(size) == expected
    assert f"{expected[1]} x {expected[0]}" in note


# --- Folders --------------------------------------------------------------------------------------------------------


def test_names_of_every_kind_are_found_and_hidden_files_are_not(tmp_path):
    names = ["a b.PNG", "grün/лес.Jpeg", "x.webp", "deep/er/y.bmp", "z.tif", "w.gif"]
    for i, name in enumerate(names):
        save(tmp_path / name, np.full((8, 8, 3), 40 * i, np.uint8))
    save(tmp_path / ".hidden.png", gradient(8, 8))
    save(tmp_path / ".git/c.png", gradient(8, 8))
    (tmp_path / "notes.txt").write_text("no picture")
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert sum(len(splits.part(name)) for name in PARTS) == len(names)
    assert splits.skipped == ()
    assert splits.spec.shape == (1, 8, 8)
    assert splits.spec.classes == ()
    assert any("not taken for classes" in n for n in splits.notes)


def test_class_folders_with_a_test_part(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for k, name in enumerate(("cat", "dog")):
            for i in range(count):
                save(tmp_path / part / name / f"{i}.png", np.full((4, 4), 100 * k + i, np.uint8))
    splits = open_data(DataConfig(source=str(tmp_path), validation=0))
    assert splits.spec.classes == ("cat", "dog")
    assert (len(splits.train), len(splits.test)) == (6, 4)
    for part in (splits.train, splits.test):
        assert torch.equal(part.condition, (part.x[:, 0, 0, 0] >= 100).long())


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "tram"):
        save(tmp_path / name / "0.png", gradient(4, 4))
    assert open_data(DataConfig(source=str(tmp_path))).spec.classes == ("train", "tram")


def test_metadata_gives_captions_and_labels(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png", np.full((4, 4), i, np.uint8))
    table = 'file_name,text,kind\n0.png,"a, b",odd\n1.png,één,even\n2.png,c,odd\nlost.png,d,odd\n'
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    splits = open_data(DataConfig(source=str(tmp_path), label="kind", holdout=0))
    captions = {int(x.max()): text for x, text in zip(splits.train.x, splits.train.captions, strict=True)}
    assert captions == {0: "a, b", 1: "één", 2: "c"}
    assert splits.spec.captions
    assert splits.spec.classes == ("even", "odd")
    assert {s.name for s in splits.skipped} == {"3.png", "lost.png"}
    (tmp_path / "metadata.csv").write_text(table.replace('"a, b"', "a").replace(",", ";").replace("kind", "class"))
    assert open_data(DataConfig(source=str(tmp_path), holdout=0)).spec.classes == ("even", "odd")


@pytest.mark.parametrize(
    "table", ["", "file,text\n0.png,a\n", "file_name,text\n0.png,a,b\n", "file_name\nother.png\n", '"x']
)
def test_metadata_that_makes_no_sense_is_one_sentence(tmp_path, table):
    save(tmp_path / "0.png", gradient(4, 4))
    (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(ValueError, match=r"metadata\.csv"):
        open_data(DataConfig(source=str(tmp_path)))


def test_damaged_images_are_skipped_counted_and_named(tmp_path):
    for i in range(5):
        save(tmp_path / f"{i}.png", gradient() + np.uint8(i))
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    splits = open_data(DataConfig(source=str(tmp_path), holdout=0))
    assert len(splits.train) == 5
    assert [s.name for s in splits.skipped] == ["cut.png", "empty.png", "gone.png", "script.png", "text.jpg"]
    assert all(s.reason for s in splits.skipped)


def test_a_bomb_is_refused_by_name_and_quickly(tmp_path):
    save(tmp_path / "good.png", gradient())
    (tmp_path / "bomb.png").write_bytes(png_bomb())
    (tmp_path / "large.png").write_bytes(png_bomb(9_000))  # 81 million pixels: below Pillow's own limit, above ours
    start = time.process_time()
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert time.process_time() - start < 1
    assert [s.name for s in splits.skipped] == ["bomb.png", "large.png"]
    assert all("64,000,000" in s.reason for s in splits.skipped)


def test_a_folder_where_nothing_can_be_read_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.png.*save it again"):
        open_data(DataConfig(source=str(tmp_path)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_raises_nothing_but_value_error(tmp_path, data):
    form = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000"]))
    file = io.BytesIO()
    Image.fromarray(gradient(12, 12)).save(file, form)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "it.png").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    complaint = ""
    try:
        splits = open_data(DataConfig(source=str(tmp_path), size=8))
    except ValueError as error:
        complaint = str(error)
    assert "it.png" in complaint if complaint else splits.train.x.shape[2:] == (8, 8)


# --- Colour ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour, shape", [("auto", (3, 8, 8)), ("grey", (1, 8, 8)), ("rgb", (3, 8, 8))])
def test_one_coloured_image_makes_all_coloured(tmp_path, colour, shape):
    save(tmp_path / "grey.png", gradient(8, 8, 1))
    save(tmp_path / "rgb.png", gradient(8, 8))
    assert open_data(DataConfig(source=str(tmp_path), colour=colour)).spec.shape == shape


def test_grey_images_stored_in_colour_are_grey(tmp_path):
    grey = gradient(8, 8, 1)
    save(tmp_path / "0.png", np.stack([grey] * 3, 2))
    splits = open_data(DataConfig(source=str(tmp_path)))
    assert splits.spec.shape == (1, 8, 8)
    assert (splits.train.x[0, 0].numpy() == grey).all()
    assert any("all grey" in n for n in splits.notes)


# --- Zip ------------------------------------------------------------------------------------------------------------


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return DataConfig(source=str(path))


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_zip_is_read_like_the_folder_in_it(tmp_path):
    members = {f"all/{k}/{i}.png": png(gradient(4 + i, 5)) for k in ("a", "b") for i in range(3)}
    members |= {"__MACOSX/all/._0.png": b"junk", "all/readme.txt": b"hello"}
    for name, content in members.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    (tmp_path / "out/__MACOSX/all/._0.png").unlink()
    a = open_data(zipped(tmp_path / "it.zip", members))
    b = open_data(DataConfig(source=str(tmp_path / "out" / "all")))
    assert a.spec == b.spec
    assert a.spec.classes == ("a", "b")
    assert a.train.fingerprint() == b.train.fingerprint()


def test_zip_members_lead_nowhere_and_cannot_swell(tmp_path):
    members = {"../../escape.png": png(gradient(4, 4)), "/abs.png": png(gradient(4, 4)), "bomb.png": bytes(10**7)}
    (tmp_path / "deep").mkdir()
    splits = open_data(zipped(tmp_path / "deep/it.zip", members))
    assert len(splits.train) == 2
    assert [s.name for s in splits.skipped] == ["bomb.png"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "it.zip"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", png_bomb(64)])
def test_what_is_no_zip_is_one_sentence(tmp_path, content):
    (tmp_path / "it.zip").write_bytes(content)
    with pytest.raises(ValueError, match="not a whole zip"):
        open_data(DataConfig(source=str(tmp_path / "it.zip")))


def test_a_zip_without_images_and_one_with_a_damaged_member(tmp_path):
    with pytest.raises(ValueError, match="no image"):
        open_data(zipped(tmp_path / "empty.zip", {"a.bin": b"hello"}))
    good = {f"{i}.png": png(gradient(6, 6)) for i in range(3)}
    source = zipped(tmp_path / "it.zip", good)
    content = bytearray((tmp_path / "it.zip").read_bytes())
    content[60] ^= 255  # inside the first member
    (tmp_path / "it.zip").write_bytes(content)
    assert [s.name for s in open_data(source).skipped] == ["0.png"]


# --- Large data -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images.cache, "LARGE", 100)
    (tmp_path / "in").mkdir()
    for i in range(12):
        save(tmp_path / "in" / f"{i}.png", np.full((8, 8), i, np.uint8))
    (tmp_path / "in" / "bad.png").write_bytes(b"no")
    return tmp_path


def contents(splits):
    return [splits.part(p).x[:][:, 0, 0, 0].tolist() for p in PARTS], splits.skipped, splits.spec


def test_large_data_are_mapped_and_the_same_as_small(small_memory, monkeypatch):
    source = DataConfig(source=str(small_memory / "in"), holdout=0.25, limit=5)
    first = open_data(source)
    assert any("mapped" in n for n in first.notes)
    assert len(list((small_memory / "cache").rglob("x.npy"))) == 1
    monkeypatch.setattr(images, "decode", None)  # the second time nothing is decoded
    assert contents(open_data(source)) == contents(first)
    monkeypatch.undo()
    assert contents(open_data(source)) == contents(first)
    assert len(first.train) == 5


@pytest.mark.parametrize("harm", ["x.npy", "facts.json"])
def test_a_damaged_cache_is_rebuilt(small_memory, harm):
    source = DataConfig(source=str(small_memory / "in"))
    first = contents(open_data(source))
    (file,) = (small_memory / "cache").rglob(harm)
    file.write_bytes(file.read_bytes()[:-20])
    assert contents(open_data(source)) == first
    assert list((small_memory / "cache").rglob(".*")) == []


def test_a_changed_file_is_read_anew(small_memory):
    source = DataConfig(source=str(small_memory / "in"))
    open_data(source)
    save(small_memory / "in" / "0.png", np.full((8, 8), 200, np.uint8))
    assert any(200 in part for part in contents(open_data(source))[0])


def test_without_a_home_or_a_place_to_write_one_sentence_says_so(small_memory, monkeypatch):
    source = DataConfig(source=str(small_memory / "in"))
    (small_memory / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_memory / "file"))
    with pytest.raises(ValueError, match=r"cannot be made.*set XDG_CACHE_HOME"):
        open_data(source)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(images.cache.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    with pytest.raises(ValueError, match=r"no home folder.*set XDG_CACHE_HOME"):
        open_data(source)


def test_data_larger_than_the_disk_are_refused(small_memory, monkeypatch):
    monkeypatch.setattr(images.cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(ValueError, match=r"data\.size"):
        open_data(DataConfig(source=str(small_memory / "in")))


# --- Transparency -----------------------------------------------------------------------------------------------------


@pytest.fixture
def spots(tmp_path):
    """A red spot of half opacity amid nothing, whose invisible colour is green."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[..., 1] = 255
    pixels[4:12, 4:12] = [255, 0, 0, 128]
    folder = tmp_path / "spots"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "0.png")
    np.save(tmp_path / "spots.npy", pixels[None].repeat(2, 0))
    return {"files": folder, "array": tmp_path / "spots.npy"}


@pytest.mark.parametrize("kind", ["files", "array"])
def test_what_is_transparent_shows_the_background_and_it_is_said(spots, kind):
    for background, ground in (("white", 255), ("black", 0), ("#336699", None)):
        splits = open_data(DataConfig(source=str(spots[kind]), background=background, holdout=0))
        colour = [0x33, 0x66, 0x99] if ground is None else [ground] * 3
        assert splits.train.x[0, :, 0, 0].tolist() == colour
        half = [round(128 / 255 * c + (1 - 128 / 255) * g) for c, g in zip((255, 0, 0), colour, strict=True)]
        assert (splits.train.x[0, :, 8, 8] - torch.tensor(half)).abs().max() <= 1
        clear = {"files": "is laid over {} where it is", "array": "are laid over {} where they are"}[kind]
        assert any(f"{clear.format(background)} transparent" in note for note in splits.notes)
    with pytest.raises(ValueError, match="the background is 'blue'; it must be white, black"):
        open_data(DataConfig(source=str(spots[kind]), background="blue"))


@pytest.mark.parametrize("kind", ["files", "array"])
@pytest.mark.parametrize("size", [None, 8])
def test_transparency_is_a_fourth_channel_where_asked_for(spots, kind, size):
    splits = open_data(DataConfig(source=str(spots[kind]), colour="rgba", size=size, holdout=0))
    x = splits.train.x[0]
    assert splits.spec.shape == (4, size or 16, size or 16)
    assert x[:, 0, 0].tolist() == [255, 255, 255, 0]  # an invisible colour is that of the background
    middle = x.shape[1] // 2
    assert x[:3, middle, middle].tolist() == [255, 0, 0]
    assert 125 <= x[3, middle, middle] <= 135
    assert (x[1][x[3] > 16] <= 1).all()  # and does not bleed into what is seen when images are resized
    assert any("alpha channel, which is kept" in note for note in splits.notes)


def test_opaque_images_have_an_alpha_of_one(tmp_path):
    save(tmp_path / "0.png", gradient(4, 4))
    splits = open_data(DataConfig(source=str(tmp_path), colour="rgba", holdout=0))
    assert splits.spec.shape == (4, 4, 4)
    assert (splits.train.x[:, 3] == 255).all()
    assert "No image has an alpha channel: a fourth channel says how opaque each pixel is." in splits.notes
