# ruff: noqa: RUF001  # punctuation of Chinese
"""The report of a comparison in Chinese: all that is the library's own, and nothing that is a user's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from compared import EVIL, comparison, figure, measured, three

from genwerk.comparison.figures import ABOUT, Section
from genwerk.comparison.page import page
from genwerk.comparison.result import Failed
from genwerk.comparison.tables import QUESTIONS
from genwerk.core.abilities import ABILITIES
from genwerk.studio.wording import AS_THEY_ARE, TAG, page_said

CHINESE = re.compile("[\u4e00-\u9fff]")
WORDS = re.compile(r"(?:\b[a-z]{2,}\b[ ,]*){4}")
"""Four English words in a row."""


def read(html: str) -> list[str]:
    """What stands between the tags, but for commands, styles and names."""
    end, left, found = "", 0, []
    for i, piece in enumerate(TAG.split(html)):
        if left:
            left -= piece == end
        elif i % 2:
            end, left = AS_THEY_ARE.get(piece, ("", 0))
        elif piece.strip():
            found.append(" ".join(piece.split()))
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("report")
    english = page(three(folder), folder)
    return english, page_said(english, "zh")


def test_the_frame_and_what_follows_from_ranks_are_chinese(pages: tuple[str, str]) -> None:
    text = " ".join(read(pages[1]))
    for said in (
        "3 个模型在 digits 上的比较",
        "Fréchet 距离上，第一是 gan (32.0) 和 realnvp (34.5) 之一。vae (61.0) 确实最后。",
        "下限（真实数据）：2。",
        "尚无定论",
        "其中 1 个运行失败",
        "训练 1,437 个，验证 180 个，测试 180 个",
    ):
        assert said in text
    assert pages[1].startswith('<!doctype html>\n<html lang="zh">')


def test_markup_pictures_names_and_commands_are_left_alone(pages: tuple[str, str]) -> None:
    english, chinese = pages
    bare = [re.sub(r'(alt|aria-label|lang)="[^"]*"', "", each) for each in TAG.findall(english)]
    assert bare == [re.sub(r'(alt|aria-label|lang)="[^"]*"', "", each) for each in TAG.findall(chinese)]
    assert re.findall(r"<code>.*?</code>", english, re.DOTALL) == re.findall(r"<code>.*?</code>", chinese, re.DOTALL)
    assert chinese.count("&lt;script&gt;") == english.count("&lt;script&gt;") > 0
    assert page_said(english, "en") == english


def test_a_contestant_that_is_called_as_a_figure_keeps_its_name(tmp_path: Path) -> None:
    runs = [measured(name, 0, figure("precision", 0.5, 0.1)) for name in ("precision", "quality")]
    said = page_said(page(comparison(*runs), tmp_path), "zh")
    assert "</span>precision</span>" in said
    assert ">精度<" in re.sub(r"\s+", "", said)


def test_nothing_of_a_name_becomes_markup(tmp_path: Path) -> None:
    failed = Failed(contestant=EVIL, recipe=EVIL, seed=0, run=EVIL, why=EVIL)
    english = page(comparison(measured(EVIL, 0, figure("precision", 0.5)), failed=(failed,)), tmp_path)
    assert "<script" not in page_said(english, "zh")


def test_every_sentence_of_the_template_is_known() -> None:
    template = (Path(page.__code__.co_filename).parent / "templates" / "report.html").read_text()
    bare = re.sub(r"\{%.*?%\}", "<x>", re.sub(r"\{\{.*?\}\}", "3", template, flags=re.DOTALL), flags=re.DOTALL)
    lacking = [text for text in read(page_said(bare, "zh")) if WORDS.search(text)]
    assert not lacking


def test_every_figure_section_and_question_is_explained() -> None:
    sentences = {each.meaning for each in ABOUT.values() if each.meaning} | {each.value for each in Section}
    sentences |= {f"For {each.purpose}" for each in QUESTIONS} | {each.head for each in QUESTIONS}
    sentences |= {each.without for each in QUESTIONS if each.without} | {each.phrase for each in ABILITIES.values()}
    assert not [each for each in sentences if not CHINESE.search(page_said(f"<p>{each}</p>", "zh"))]


@pytest.mark.parametrize(
    ("lang", "title"), [("zh", "3 个模型在 digits 上的比较"), ("en", "3 models compared on digits")]
)
def test_the_studio_gives_it_out_in_the_language_of_the_page(
    pages: tuple[str, str], tmp_path: Path, lang: str, title: str
) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from genwerk.studio.app import given_out

    (tmp_path / "report.html").write_text(pages[0], "utf-8")

    def answer(request: Request) -> Response:
        return given_out(tmp_path / "report.html", request)

    reply = TestClient(Starlette(routes=[Route("/", answer)])).get("/", params={"lang": lang})
    assert title in reply.text
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["content-security-policy"]
    assert reply.headers["content-disposition"] == 'inline; filename="report.html"'
