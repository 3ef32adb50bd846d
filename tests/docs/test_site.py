"""The site builds without a warning, asks no other host when it is read, and every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from pages import ROOT, blocks

HTML = ROOT / "docs" / "_build" / "html"
ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source|audio|video)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*\shref=\"(?:https?:)?//"
)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
PAIRS = [
    ("README.md", "README.zh-CN.md"),
    *((f"docs/{page.name}", f"docs/zh/{page.name}") for page in sorted((ROOT / "docs" / "zh").glob("*.md"))),
]


@pytest.fixture(scope="module")
def site() -> Path:
    """The pages, built as ``make docs`` builds them."""
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", "docs/_build/doctrees"]
    done = subprocess.run([*build, "-b", "html", ".", str(HTML)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return HTML


def test_it_builds_and_asks_no_other_host(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if "reports" not in page.parts and "_downloads" not in page.parts]
    assert len(pages) > 40
    asking = [page.name for page in pages if ELSEWHERE.search(page.read_text(encoding="utf-8"))]
    assert not asking
    styles = "".join(sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css"))
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", styles)


def test_each_page_leads_to_the_other_language(site: Path) -> None:
    english, chinese = (site / "docs" / "data.html").read_text("utf-8"), (site / "docs/zh/data.html").read_text("utf-8")
    assert '<a href="zh/data.html">中文</a>' in english
    assert '<a href="../data.html">English</a>' in chinese
    assert 'lang="zh-CN"' in chinese
    assert '<a href="zh/index.html">中文</a>' in (site / "docs" / "results.html").read_text("utf-8")


def test_the_reference_has_every_public_name(site: Path) -> None:
    import genwerk

    said = "".join(page.read_text(encoding="utf-8") for page in (site / "docs" / "api").glob("*.html"))
    missing = [name for name in (*genwerk.__all__, "optimise") if not re.search(rf'id="genwerk\.[\w.]*\b{name}"', said)]
    assert not missing


def test_the_reference_has_every_command_and_recipe(site: Path) -> None:
    from genwerk.commands import COMMANDS
    from genwerk.recipes import REGISTRY

    commands = (site / "docs" / "commands.html").read_text(encoding="utf-8")
    recipes = (site / "docs" / "recipes.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in commands for name, kind in COMMANDS.items() if kind.__module__.startswith("genwerk."))
    assert all(f">{name}</span>" in recipes for name, e in REGISTRY.items() if e.make.__module__.startswith("genwerk."))


def test_the_page_of_promises_explains_each(site: Path) -> None:
    from genwerk.testing.contract import PROMISES, explained

    said = (site / "docs" / "promises.html").read_text(encoding="utf-8")
    for name in PROMISES:
        assert f"<dt>{name}</dt>" in said
        assert all(len(sentence) > 20 and sentence.endswith(".") for sentence in explained(name)), name


def slugs(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"])
def test_links_of_pages_that_are_read_on_github_lead_somewhere(name: str) -> None:
    """Those of all others are checked as the site is built."""
    page = ROOT / name
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target), link


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_show_the_same_code(english: str, chinese: str) -> None:
    """What a Chinese page quotes is of the English page, of which it may leave some out; README has all of it.

    Commands that are the Chinese page's own are executed by ``test_pages``.
    """
    ours, theirs = list(blocks(ROOT / english)), list(blocks(ROOT / chinese))
    quoted = [b for b in theirs if b.language == "python" or (b.language == "text" and b.text.isascii())]
    assert not [str(b) for b in quoted if b.text not in {b.text for b in ours}]
    if "README" in english:
        assert [b.commands for b in ours] == [b.commands for b in theirs]


def test_the_chinese_glossary_has_every_word() -> None:
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    chinese = (ROOT / "docs" / "zh" / "glossary.md").read_text("utf-8")
    assert len(words) > 40
    assert not [word for word in words if word != "word" and f"| {word} |" not in chinese]
