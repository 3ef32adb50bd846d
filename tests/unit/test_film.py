"""Image files whole: animations frame by frame, what is transparent, 16 bits, and files of these."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwerk.core.errors import BadInput
from genwerk.data.film import Film, Frame
from genwerk.data.picture import Picture
from genwerk.modalities.pictures import with_alpha, write_animation, write_picture


def film(path: Path, channels: int = 3) -> Film:
    return Film(Picture(path.name, partial(path.open, "rb")), channels)


def only(path: Path, channels: int = 3) -> Frame:
    (frame,) = film(path, channels).frames()
    return frame


def moving() -> list[tuple[torch.Tensor, int]]:
    """Three colours that GIF, too, holds exactly."""
    colours = torch.tensor([[255, 0, 0], [0, 128, 0], [0, 0, 255]], dtype=torch.uint8)
    return [(colour[:, None, None].expand(3, 5, 7), 40 + 10 * i) for i, colour in enumerate(colours)]


@pytest.mark.parametrize("end", [".gif", ".webp", ".png"])
def test_an_animation_comes_back_as_it_was_written(end: str, tmp_path: Path) -> None:
    path = write_animation(tmp_path / f"a{end}", moving(), 3, {"run": "x"})
    found = film(path)
    assert (found.moving, found.loop, found.lost) == (end, 3, "")
    for (pixels, duration), frame in zip(moving(), found.frames(), strict=True):
        assert (frame.pixels * 255).round().equal(pixels.float())
        assert (frame.duration, frame.alpha) == (duration, None)


@pytest.mark.parametrize("end", [".gif", ".webp", ".png"])
def test_what_is_transparent_stays_so_in_motion(end: str, tmp_path: Path) -> None:
    frames, masks = [], []
    for i, (pixels, duration) in enumerate(moving()):
        alpha = torch.full((5, 7), 255, dtype=torch.uint8)
        alpha[:, i : i + 3] = 0
        masks.append(alpha)
        frames.append((with_alpha(pixels, alpha), duration))
    path = write_animation(tmp_path / f"a{end}", frames, 0, {})
    for (pixels, _), alpha, frame in zip(moving(), masks, film(path).frames(), strict=True):
        assert frame.alpha is not None
        assert frame.alpha.equal(alpha)
        assert (frame.pixels[:, alpha == 0] == 1).all()  # over the background, which is white
        assert (frame.pixels[:, alpha > 0] * 255).round().equal(pixels[:, alpha > 0].float())


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_written_to_the_bit(channels: int, tmp_path: Path) -> None:
    values = torch.randint(65_536, (channels, 13, 9), generator=torch.Generator().manual_seed(0)).to(torch.uint16)
    path = write_picture(tmp_path / "a.png", values, {"run": "x"})
    with Image.open(path) as image:
        image.load()
        assert image.size == (9, 13)
        assert json.loads(image.text["genwerk"]) == {"run": "x"}  # type: ignore[attr-defined]
        if channels == 1:
            assert np.array_equal(np.asarray(image), values[0].numpy())
            assert only(path, 1).pixels[0].mul(65_535).round().equal(values[0].float())
        else:  # of colours the decoder keeps the upper 8
            assert np.array_equal(np.asarray(image), (values.int() // 256).permute(1, 2, 0).numpy())
    assert ("16 bits" in film(path).lost) is (channels > 1)
    with pytest.raises(BadInput, match="cannot hold 16 bits"):
        write_picture(tmp_path / "a.jpg", values, {})


def test_twelve_bits_in_sixteen_fill_the_range(tmp_path: Path) -> None:
    grey = (np.arange(63, dtype="uint16") * 65).reshape(9, 7)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.allclose(only(tmp_path / "a.png").pixels.numpy(), grey / 4095)
    assert only(tmp_path / "a.png", 4).pixels.shape == (4, 9, 7)


def test_a_photo_is_upright_and_what_it_hides_is_known(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (7, 5), (255, 0, 0)).save(tmp_path / "a.jpg", exif=exif)
    assert only(tmp_path / "a.jpg").pixels.shape == (3, 7, 5)
    pixels = np.zeros((5, 7, 4), "uint8")
    pixels[:, :3, 3] = 200
    Image.fromarray(pixels).save(tmp_path / "b.png")
    frame = only(tmp_path / "b.png")
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha.numpy(), pixels[..., 3])
    assert frame.pixels[:, 0, 5].tolist() == [1, 1, 1]
    assert only(tmp_path / "b.png", 4).alpha is None  # a channel of the image
    assert film(tmp_path / "b.png").sha256 == hashlib.sha256((tmp_path / "b.png").read_bytes()).hexdigest()


def test_alpha_grows_with_the_image() -> None:
    image, alpha = torch.zeros(1, 10, 14, dtype=torch.uint16), torch.full((5, 7), 51, dtype=torch.uint8)
    found = with_alpha(image, alpha)
    assert found.shape == (4, 10, 14)
    assert (found[3].int() == 51 * 257).all()


def test_pages_and_damage_are_told(tmp_path: Path) -> None:
    page = Image.new("L", (5, 5), 9)
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    assert film(tmp_path / "pages.tif").lost == "it has several pages, of which the first is read"
    assert only(tmp_path / "pages.tif").pixels.shape == (3, 5, 5)
    write_animation(tmp_path / "a.gif", moving(), 0, {})
    (tmp_path / "b.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:60])
    with pytest.raises(BadInput, match=r"b\.gif cannot be read as an image"):
        list(film(tmp_path / "b.gif").frames())
    with pytest.raises(BadInput, match="cannot hold an animation"):
        write_animation(tmp_path / "a.jpg", moving(), 0, {})
