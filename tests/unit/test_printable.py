"""Names from outside never drive a terminal and can always be stored."""

from __future__ import annotations

import json
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from genwerk.cli.progress import say, table
from genwerk.core.printable import printable
from genwerk.modalities.writers import scatter, write_image

NAME = "a\x1b]0;owned\x07\u202eb" + os.fsdecode(b"\xe9")
SHOWN = r"a\x1b]0;owned\x07\u202eb\xe9"


def test_what_drives_a_terminal_or_is_not_utf8_is_escaped():
    assert printable(NAME) == SHOWN
    assert printable("\ud800") == r"\ud800"
    assert printable("one\ttwo\nthree") == "one\ttwo\nthree"
    assert printable("one\ttwo\nthree", keep="") == r"one\x09two\x0athree"


@pytest.mark.parametrize("text", ["grün лес 猫 👩‍👧 नमस्ते", "a\u00a0b", r"C:\x1b", ""])
def test_text_of_any_script_stays_as_it_is(text):
    assert printable(text) == text


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_stored_once_it_is_escaped(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert "\x1b" not in shown
    shown.encode("utf-8")


def test_no_name_reaches_the_terminal_or_a_picture_raw(tmp_path, capsys):
    say(NAME)
    table((NAME,), [(NAME,)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count(r"\x1b]0;owned") == 3
    write_image(tmp_path / "a.png", torch.zeros(4, 4, 3, dtype=torch.uint8), {"run": NAME})
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["parameters"] == f"run: {SHOWN}"
        assert json.loads(image.text["genwerk"]) == {"run": NAME}
    scatter(tmp_path / "b.png", {"x": torch.rand(4, 2)}, {"run": NAME})
