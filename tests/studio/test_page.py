"""The studio's page, used in a browser as a person would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Visitor
from PIL import Image

import genwerk

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser: pip install playwright")
expect = playwright.expect
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open the page in")
STATIC = Path(genwerk.__file__).parent / "studio" / "static"
PLACES = {
    "train": ("train?data=digits&recipe=vae", "#out"),
    "runs": ("runs", ".run-card"),
    "jobs": ("jobs", "main h1"),
    "compare": ("compare", ".runs-to-choose .choice"),
    "optimise": ("optimise", "[name=problem]"),
    "tools": ("tools", "main a"),
    "overview": ("run/runs%2Fvae", ".figures"),
    "training": ("run/runs%2Fvae/training", ".tab .badge"),
    "latents": ("run/runs%2Fvae/latents", ".steps li:nth-child(9) img"),
    "mix": ("run/runs%2Fstyle/mix", ".styles tr:nth-child(3) td img"),
    "sample": ("run/runs%2Fvae/sample", "[name=n]"),
    "complete": ("run/runs%2Fpixelcnn/complete", "[name=k]"),
    "write": ("run/runs%2Fpoems/complete", "#prompt"),
}
"""Pages, and what each shows once it is whole."""


# --- as a person would ------------------------------------------------------------------------------------------------


@in_browser
def test_data_a_recipe_and_settings_are_chosen_and_kept(visitor: Visitor) -> None:
    page = visitor.open("train")
    page.get_by_role("radio", name="digits").check()
    page.get_by_text("1,488 to train on").wait_for()
    page.get_by_alt_text("Some of the examples").wait_for()
    page.get_by_text(re.compile("More recipes that fit")).click()
    page.get_by_role("radio", name=re.compile("^vae ")).check()
    minutes, rounds = page.locator("[name=minutes]"), page.get_by_label("Rounds", exact=True)
    expect(minutes).to_have_attribute("placeholder", "5")
    minutes.fill("3")
    rounds.fill("40")
    expect(minutes).to_have_value("")
    expect(minutes).to_have_attribute("placeholder", "")
    page.get_by_label("Measure the model at the end").uncheck()
    page.reload()
    expect(page.get_by_label("Rounds", exact=True)).to_have_value("40")
    expect(page.get_by_label("Measure the model at the end")).not_to_be_checked()
    expect(page.get_by_label("Name of the run")).to_have_value("runs/vae-digits")


@in_browser
def test_a_table_is_read_once_its_column_is_named_and_its_training_is_watched(visitor: Visitor, root: Path) -> None:
    rows = [f"{name},{i % 5},{i / 7:.2f}" for i, name in enumerate(["Ann", "Bob", "Cid"] * 12)]
    (root / "people.csv").write_text("\n".join(["name,age,height", *rows]))
    page = visitor.open("train?data=people.csv")
    expect(page.get_by_role("alert")).to_contain_text("'name'")
    page.get_by_text("Say below how they are to be read").wait_for()
    label, again = page.get_by_label("Label", exact=True), page.get_by_role("button", name="Read them again")
    label.fill("nobody")
    again.click()
    expect(page.locator(".field", has=label).get_by_role("alert")).to_contain_text("nobody")
    expect(label).to_be_focused()
    label.fill("name")
    again.click()
    page.get_by_text("Rows of 2 columns, 3 classes").wait_for()
    visitor.complaints = [each for each in visitor.complaints if "status of 400" not in each]
    page.get_by_role("radio", name=re.compile("^cvae ")).check()
    page.get_by_label("Name of the run").fill("runs/people")
    page.get_by_label("Rounds", exact=True).fill("40")
    page.get_by_label("Measure the model at the end").uncheck()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text(re.compile("Round 40 of 40")).wait_for()
    page.locator(".panel svg polyline").first.wait_for()
    page.locator(".results .badge.done").wait_for()
    settings = json.loads((root / "runs" / "people" / "config.json").read_text())
    assert settings["recipe"]["data"]["label"] == "name"


@in_browser
def test_samples_more_of_their_seed_and_a_reload(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fvae/sample")
    page.get_by_label("How many").fill("4")
    page.get_by_role("button", name="Sample", exact=True).click()
    page.locator(".found img").wait_for()
    first = page.url
    page.get_by_role("button", name="More of this seed").click()
    expect(page.get_by_label("Number of the first sample")).to_have_value("4")
    expect(page).not_to_have_url(first)
    page.locator(".results .badge.done").wait_for()
    page.reload()
    image = page.locator(".found img")
    image.wait_for()
    assert image.evaluate("e => e.decode().then(() => e.naturalWidth)") > 8
    with page.expect_download() as saved:
        page.locator(".found").get_by_role("link", name=re.compile("Download")).first.click()
    with Image.open(saved.value.path()) as found:
        assert found.format == "PNG"


@in_browser
def test_latents_move_with_the_pointer_the_keys_and_the_sliders(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fvae/latents")
    picture, plane = page.locator(".decoded img"), page.locator("canvas.plane")
    picture.wait_for()
    before = plane.get_attribute("aria-label")
    plane.click(position={"x": 30, "y": 30})
    expect(plane).not_to_have_attribute("aria-label", before)
    pressed = plane.get_attribute("aria-label")
    plane.drag_to(plane, source_position={"x": 30, "y": 30}, target_position={"x": 200, "y": 250})
    expect(plane).not_to_have_attribute("aria-label", pressed)
    moved = plane.get_attribute("aria-label")
    plane.focus()
    page.keyboard.press("ArrowLeft")
    expect(plane).not_to_have_attribute("aria-label", moved)
    page.get_by_role("button", name="Begin here").click()
    source = picture.get_attribute("src")
    page.locator(".sliders input").nth(2).fill("2")
    expect(picture).not_to_have_attribute("src", source)
    page.get_by_role("button", name="Origin").click()
    page.get_by_role("button", name="End here").click()
    page.locator(".steps img").nth(8).wait_for()


@in_browser
def test_a_text_is_begun_and_goes_on(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fpoems/complete")
    page.get_by_label("How the text begins").fill("the cat")
    page.get_by_label("Number for each").fill("3")
    page.get_by_role("button", name="Write").click()
    page.locator(".texts li").nth(2).wait_for()
    expect(page.locator(".texts li mark").first).to_have_text("the cat")
    page.get_by_label("How the text begins").fill("the moon")
    page.reload()
    page.locator(".texts li").nth(2).wait_for()  # the results of a link are shown again, and what was typed stays
    expect(page.get_by_label("How the text begins")).to_have_value("the moon")
    page.get_by_label("How the text begins").fill("")
    page.get_by_label("Number for each").fill("1")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".texts li")).to_have_count(1)
    expect(page.locator(".texts li mark")).to_have_count(0)
    page.get_by_label("How the text begins").fill("the {99}")
    page.get_by_role("button", name="Write").click()
    expect(page.locator(".results").get_by_role("alert")).to_contain_text("99")


@in_browser
def test_rows_of_a_table_are_shown(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fring/sample")
    page.get_by_label("How many").fill("5")
    page.get_by_role("button", name="Sample", exact=True).click()
    page.locator(".results .badge.done").wait_for()
    page.locator(".found .file").first.wait_for()


@in_browser
def test_own_images_are_handed_in_and_understood(visitor: Visitor, tmp_path: Path) -> None:
    for i in range(30):
        Image.effect_noise((8, 8), 40 + i).save(tmp_path / f"{i}.png")
    page = visitor.open("train?how=upload")
    page.get_by_label("Choose files").set_input_files(sorted(tmp_path.glob("*.png")))
    page.get_by_text(re.compile("to train on")).wait_for()
    page.locator(".recipe").first.wait_for()
    page.reload()
    expect(page.locator(".dropzone")).to_contain_text("30 files")


@in_browser
def test_what_cannot_be_done_is_said_in_a_sentence(browser: Any, address: str, root: Path, tmp_path: Path) -> None:
    visitor = Visitor(browser, address)
    page = visitor.open("train?how=upload")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no picture")
    page.get_by_label("Choose files").set_input_files(tmp_path / "broken.png")
    expect(page.get_by_role("alert")).to_contain_text("broken.png cannot be read as an image")
    (root / "broken.npy").write_bytes(b"no array")
    visitor.open("train?data=broken.npy")
    expect(page.get_by_role("alert")).to_contain_text("broken.npy is not a whole .npy file")
    expect(page.get_by_text("Say below how they are to be read")).to_have_count(0)  # no setting helps
    visitor.open("run/nothing")
    expect(page.get_by_role("alert")).to_contain_text("no run")
    visitor.context.close()


@in_browser
def test_a_run_is_deleted_and_brought_back(visitor: Visitor) -> None:
    page = visitor.open("runs")
    page.get_by_role("button", name="Move runs/ring to the bin").click()
    ring = page.get_by_role("link", name="runs/ring")
    expect(ring).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    ring.wait_for()


@in_browser
def test_a_tool_shows_what_it_finds(visitor: Visitor) -> None:
    page = visitor.open("tools")
    page.get_by_role("link", name=re.compile("^Recipes")).click()
    page.get_by_role("button", name="Start").click()
    page.locator(".found table").first.wait_for()


@in_browser
def test_ticks_of_curves_are_few_and_differ(visitor: Visitor) -> None:
    page = visitor.open("tools")
    labels = """async (values) => {
        const {axes, tick} = await import('/static/curves.js');
        const at = axes({stage: '', name: '', curves: {loss: values.map((value, i) => [i, value])}});
        return at.ticks.map((value) => tick(value, at.step));
    }"""
    ranges = [[377_900, 382_000], [30_000, 42_000], [1e-5, 1.2e-5], [1, 1 + 2e-16], [0, 0], [5, 5], [-43, -24]]
    for values in (*ranges, [1e9, 3e9], [99_990, 100_100], [0.52, 0.95]):
        found = page.evaluate(labels, values)
        assert 2 <= len(found) == len({*found}) <= 6, (values, found)
        assert max(map(len, found)) <= 8, found


# --- in every language, on every screen -------------------------------------------------------------------------------


def faults_of_access(page: Any) -> list[str]:
    """What axe-core finds serious or critical."""
    reason = "axe-core looks for what some cannot use: pip install axe-playwright-python"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=reason)
    found = axe.Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}" for each in grave]


@in_browser
@pytest.mark.parametrize(("language", "scheme", "phone"), [("en-GB", "light", 360), ("zh-CN", "dark", 390)])
def test_every_page_fits_and_speaks_the_language(
    browser: Any, address: str, tmp_path: Path, language: str, scheme: Any, phone: int
) -> None:
    visitor = Visitor(browser, address, language=language)
    page, chinese = visitor.page, language == "zh-CN"
    page.emulate_media(color_scheme=scheme)
    for name, (place, whole) in PLACES.items():
        visitor.open(place)
        page.locator(whole).first.wait_for()
        expect(page.locator("main .waiting")).to_have_count(0)
        for width in (1280, phone):
            page.set_viewport_size({"width": width, "height": 860})
            assert visitor.fits(), (name, width)
            if (width == phone) == chinese:
                page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
                assert not faults_of_access(page), (name, width)
        assert bool(re.search("[\u4e00-\u9fff]", page.locator("nav").first.inner_text())) == chinese
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans" if chinese else "en")
    visitor.context.close()
    assert not visitor.complaints


@in_browser
def test_language_and_theme_are_switched_and_kept(visitor: Visitor) -> None:
    page = visitor.open("runs")
    page.get_by_label("Language").select_option("zh")
    expect(page.locator("h1")).to_have_text("运行")
    page.get_by_role("button", name="浅色或深色").click()
    page.reload()
    expect(page.locator("h1")).to_have_text("运行")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_all_words_of_the_page_are_in_chinese() -> None:
    words = json.loads((STATIC / "words" / "zh.json").read_text("utf-8"))
    used = {
        found
        for path in STATIC.rglob("*.js")
        for found in re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)*)"', path.read_text("utf-8"))
    }
    assert not used - words.keys()


def test_nothing_on_a_page_is_markup_or_asks_elsewhere() -> None:
    for path in STATIC.rglob("*.js"):
        text = path.read_text("utf-8")
        assert text.startswith("// @ts-check"), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
        assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}, path
