"""The page's special views and what goes wrong on it, in a browser, as a person would; and the pictures for README."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from browser import CHROMIUM, PICTURES, Visitor, studio
from PIL import Image
from server import kill

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright drives the browser: pip install playwright")
expect = playwright.expect
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to open the page in")
LIGHT = 250_000
"""Bytes of a picture for README, at most."""


def keep(page: Any, name: str, width: int = 1280) -> None:
    """Write the window as a picture of the docs of that width, where it is wanted."""
    if PICTURES:
        path = Path(PICTURES) / f"{name}.png"
        page.screenshot(path=path)
        with Image.open(path) as shot:
            size = (width, shot.height * width // shot.width)
            small = shot.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            small.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size < LIGHT


# --- views ------------------------------------------------------------------------------------------------------------


def test_the_map_of_codes_shows_pictures_and_adds_means(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fvae/latents")
    page.get_by_role("button", name="Draw the map").click()
    codes, hover = page.locator("canvas.codes"), page.locator(".hover")
    codes.wait_for()
    codes.focus()
    page.keyboard.press("ArrowRight")
    expect(hover).to_have_text(re.compile(r"^\s*row [\d,]+, class \d\s*$"))
    first = hover.inner_text()
    page.keyboard.press("ArrowDown")
    expect(hover).not_to_have_text(first)
    drawn = (
        "() => document.querySelector('.hover canvas').getContext('2d').getImageData(0, 0, 8, 8).data.some((v) => v)"
    )
    page.wait_for_function(drawn)
    picture = page.locator(".decoded img")
    before = picture.get_attribute("src")
    page.keyboard.press("Enter")
    expect(picture).not_to_have_attribute("src", before)
    page.get_by_label("Add", exact=True).and_(page.locator("select")).select_option("label:3")
    page.get_by_label("Take away", exact=True).and_(page.locator("select")).select_option("label:8")
    page.get_by_text(re.compile("The mean of .* codes less that of")).wait_for()
    before = picture.get_attribute("src")
    page.get_by_label("Strength").and_(page.locator("input")).fill("2")
    expect(picture).not_to_have_attribute("src", before)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as GIF").click()
    with Image.open(saved.value.path()) as found:
        assert (found.format, found.n_frames > 20) == ("GIF", True)  # type: ignore[attr-defined]
    if PICTURES:
        visitor.open("run/runs%2Fvae/latents?sample=9")
        page.locator(".steps img").nth(8).wait_for()
        page.wait_for_timeout(3000)
        page.evaluate("window.scrollTo(0, 90)")
        keep(page, "studio-latents")


def test_styles_are_mixed_and_truncated(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fstyle/mix")
    pictures = page.locator(".styles td img")
    expect(pictures).to_have_count(9)
    before = pictures.first.get_attribute("src")
    page.get_by_label("ψ", exact=True).fill("0.3")
    expect(pictures.first).not_to_have_attribute("src", before)
    page.get_by_role("button", name="Sample 6: Row").click()
    expect(pictures).to_have_count(12)
    page.reload()
    expect(page.locator(".styles td img")).to_have_count(12)


def test_a_front_moves_and_stays(visitor: Visitor) -> None:
    page = visitor.open("optimise")
    page.get_by_label("Problem").select_option("zdt1")
    page.get_by_text("ZDT: two objectives").first.wait_for()
    page.get_by_label("Algorithm", exact=True).select_option("nsga2")
    page.get_by_text("Nondominated sorting and crowding distance").wait_for()
    page.get_by_label("Evaluations").fill("600")
    page.get_by_role("button", name="Optimise", exact=True).click()
    page.locator(".results .badge.done").wait_for()
    page.locator(".front circle.now").first.wait_for()
    page.locator(".front circle.truth").nth(100).wait_for()
    page.get_by_label("Moment").fill("0")
    page.locator(".front circle.now").first.wait_for()
    page.get_by_label("Problem").select_option("cihs")
    page.get_by_label("Algorithm", exact=True).select_option("mo-mfea")
    page.get_by_role("spinbutton", name="Evaluations").fill("400")
    page.get_by_role("button", name="Optimise", exact=True).click()
    page.get_by_role("heading", name="The front of task 2").wait_for()
    page.locator(".results .badge.done").wait_for()
    expect(page.locator(".front").filter(has=page.locator("circle.now"))).to_have_count(2)


def test_sounds_and_texts_are_handed_in(visitor: Visitor, tmp_path: Path) -> None:
    for i in range(12):
        tone = np.sin(2 * np.pi * (300 + 40 * i) * np.arange(4000) / 8000)
        soundfile.write(tmp_path / f"{i}.wav", tone.astype("float32"), 8000)
    page = visitor.open("train?how=upload")
    page.get_by_label("Choose files").set_input_files(sorted(tmp_path.glob("*.wav")))
    page.get_by_text(re.compile("to train on")).wait_for()
    page.get_by_text(re.compile("Up to 4,000 Hz")).wait_for()
    loud = """() => {
        const drawn = document.querySelector('canvas.spectrum');
        const data = drawn.getContext('2d').getImageData(0, 0, drawn.width, drawn.height).data;
        return data.filter((value, i) => i % 4 === 0 && value > 200).length / (data.length / 4);
    }"""
    assert page.wait_for_function(loud).json_value() < 0.3  # a tone is a line
    (tmp_path / "poems.txt").write_text("the moon is up\nthe sea is calm\n" * 60)
    page.get_by_label("Choose files").set_input_files(tmp_path / "poems.txt")
    page.locator(".lines li").first.wait_for()
    page.locator(".recipe").first.wait_for()


def test_what_is_painted_over_is_kept_and_completed(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.open("run/runs%2Fpixelcnn/complete")
    paint, canvas = page.get_by_role("radio", name="Paint").first, page.locator("canvas.paint")
    paint.check(force=True)
    page.get_by_label("Top", exact=True).fill("4")
    page.get_by_role("button", name="Cover it").click()
    painted = """missing => {
        const small = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
        const pen = small.getContext('2d', {willReadFrequently: true});
        pen.drawImage(document.querySelector('canvas.paint'), 0, 0, 8, 8);
        const {data} = pen.getImageData(0, 0, 8, 8);
        const blue = (_, i) => Number(data[4 * i] < 150 && data[4 * i + 2] > 190);
        return missing === Array.from({length: 64}, blue).join('');
    }"""
    page.wait_for_function(painted, arg="0" * 32 + "1" * 32)
    canvas.drag_to(canvas, source_position={"x": 12, "y": 12}, target_position={"x": 60, "y": 60})
    page.wait_for_function(painted, arg="1" + "0" * 8 + "1" + "0" * 22 + "1" * 32)
    page.reload()  # before anything is sent
    expect(paint).to_be_checked()
    page.wait_for_function(painted, arg="1" + "0" * 8 + "1" + "0" * 22 + "1" * 32)
    page.get_by_label("Number for each").fill("4")
    page.get_by_label("How many").fill("3")
    page.get_by_role("button", name="Complete", exact=True).click()
    page.locator(".found img").wait_for()
    page.reload()
    page.locator(".found img").wait_for()
    expect(paint).to_be_checked()
    page.wait_for_function(painted, arg="1" + "0" * 8 + "1" + "0" * 22 + "1" * 32)
    if PICTURES:
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("button", name="Cover it").click()
        page.set_viewport_size({"width": 1280, "height": 1960})
        page.wait_for_timeout(500)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(500)
        keep(page, "studio-complete", 900)
    Image.effect_noise((8, 8), 40).save(tmp_path / "mine.png")
    page.get_by_label("Own picture").set_input_files(tmp_path / "mine.png")
    expect(page.locator(".dropzone")).to_contain_text("mine.png")
    page.reload()
    expect(page.locator(".dropzone")).to_contain_text("mine.png")


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_at_its_field_and_the_form_stays(visitor: Visitor) -> None:
    page = visitor.open("train?data=digits&recipe=vae")
    name, rounds = page.get_by_label("Name of the run"), page.get_by_label("Rounds", exact=True)
    lr, start = page.locator("[name=lr]"), page.get_by_role("button", name="Start training")

    def wrong(control: Any) -> Any:
        return page.locator(".field", has=control).locator(".wrong")

    rounds.fill("7")
    name.fill("runs/vae")
    expect(wrong(name)).to_contain_text("there is a run runs/vae already")
    start.click()
    expect(name).to_be_focused()
    name.fill("a:b")
    expect(wrong(name)).to_contain_text("a run cannot be called so")
    name.fill("runs/free")
    expect(wrong(name)).to_have_text("")
    page.reload()
    expect(rounds).to_have_value("7")
    lr.fill("-1")
    name.fill("runs/minus")
    start.click()
    expect(wrong(lr)).to_contain_text("-1")
    expect(lr).to_be_focused()
    lr.fill("0.001")
    expect(wrong(lr)).to_have_text("")
    rounds.fill("-3")
    page.evaluate("document.querySelectorAll('form').forEach((form) => { form.noValidate = true; })")
    start.click()
    expect(wrong(rounds)).to_contain_text("is -3")
    rounds.fill("7")
    folded = page.locator("[name='train.optim.model.eps']")
    folded.evaluate("e => { e.value = -2; }")
    start.click()
    expect(wrong(folded)).to_be_visible()
    assert all("400" in each for each in visitor.complaints)  # the browser's word of what was refused
    visitor.complaints.clear()
    expect(name).to_have_value("runs/minus")


def test_a_second_comparison_is_given_a_folder_of_its_own(browser: Any, address: str, root: Path) -> None:
    (root / "comparison").mkdir()
    (root / "comparison" / "mine.txt").write_text("something else")
    visitor = Visitor(browser, address)
    page = visitor.open("compare")
    out = page.get_by_label("Folder to write")
    expect(out).to_have_value("comparison-2")
    for run in ("runs/vae", "runs/ring"):
        page.locator(".choice", has_text=run).get_by_role("checkbox").check()
    out.fill("comparison")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator(".field", has=out).locator(".wrong")).to_contain_text("something else")
    expect(out).to_be_focused()
    page.reload()
    expect(out).to_have_value("comparison")  # what was typed stays
    visitor.context.close()
    assert not visitor.complaints


def test_a_training_that_is_killed_is_resumed_from_its_job_and_told_when_it_is_deleted(
    browser: Any, address: str, root: Path
) -> None:
    visitor = Visitor(browser, address)
    visitor.page.clock.install()
    page = visitor.open("train?data=ring&recipe=vae")
    page.get_by_label("Rounds", exact=True).fill("2000000")
    page.get_by_label("Name of the run").fill("runs/struck")
    page.get_by_role("button", name="Start training").click()
    page.locator(".panel svg polyline").first.wait_for()
    badge, wrong = page.locator("main .badge"), page.locator("main").get_by_role("alert")
    heard = visitor.hears("main .results")
    kill("runs/struck")
    resume = page.get_by_role("button", name="Resume")
    resume.wait_for()
    expect(badge).to_have_text("Stopped")  # one badge
    expect(wrong).to_contain_text("was killed")
    assert not any("another process" in each for each in heard())
    resume.click()
    expect(badge).to_have_text("Training")
    expect(wrong).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    resume.wait_for()
    expect(badge).to_have_text("Stopped")
    listed = Visitor(browser, address)
    jobs = listed.open("jobs").locator("li", has_text="runs/struck")
    expect(jobs.locator(".badge.stopped")).to_have_count(1)
    expect(jobs.locator(".badge.cancelled")).to_have_count(0)
    listed.context.close()
    shutil.rmtree(root / "runs" / "struck")
    expect(wrong).to_contain_text("moved or deleted")
    expect(resume).to_have_count(0)
    wanted = list[str]()
    page.on("request", lambda request: wanted.append(request.url))
    with page.expect_request("**/api/jobs"):  # the number beside Jobs, later than a look at the run would be
        page.clock.fast_forward(11_000)
    assert not [each for each in wanted if "runs%2Fstruck" in each], wanted
    assert all("status of 400" in each for each in visitor.complaints), visitor.complaints
    visitor.context.close()


def test_a_link_to_a_job_that_is_gone_says_so(visitor: Visitor) -> None:
    page = visitor.open("run/runs%2Fvae/sample?job=0123456789abcdef")
    page.get_by_text("These results are not kept any more").wait_for()
    assert "job=" not in page.url


def test_a_run_that_is_deleted_while_it_is_open_is_told(browser: Any, address: str, root: Path) -> None:
    shutil.copytree(root / "runs" / "vae", root / "runs" / "doomed")
    visitor = Visitor(browser, address)
    page = visitor.open("run/runs%2Fdoomed")
    shutil.rmtree(root / "runs" / "doomed")
    expect(page.get_by_role("alert")).to_contain_text("there is no run")
    visitor.context.close()


def test_a_training_is_stopped_resumed_killed_and_resumed(browser: Any, address: str, root: Path) -> None:
    first = Visitor(browser, address)
    page = first.open("train?data=ring&recipe=vae")
    page.get_by_label("Rounds", exact=True).fill("2000000")
    page.get_by_label("Name of the run").fill("runs/long")
    page.get_by_role("button", name="Start training").click()
    page.locator(".panel svg polyline").first.wait_for()
    heard = first.hears(".results .badge")
    page.get_by_role("button", name="Stop").click()
    page.locator(".results .badge.stopped").wait_for()
    assert "Stopping" in heard()
    first.context.close()
    second = Visitor(browser, address, 390, "zh-CN")
    page = second.open("run/runs%2Flong/training")
    badge = page.locator(".tab .badge").first
    heard = second.hears(".tab .badge")
    page.get_by_role("button", name="继续训练").click()
    expect(badge).to_have_text("训练中")
    assert "正在启动" in heard()
    page.reload()
    page.get_by_role("button", name="停止").wait_for()
    kill("runs/long")
    page.get_by_text(re.compile("训练进程被终止")).first.wait_for()
    page.get_by_role("button", name="继续训练").click()
    expect(badge).to_have_text("训练中")
    with studio(root) as other:  # which does not write the run that this one does
        third = Visitor(browser, other)
        there = third.open("runs")
        there.get_by_role("button", name="Move runs/long to the bin").click()
        there.get_by_text(re.compile("another process")).wait_for()
        third.open("jobs")
        there.locator("li", has_text="trained by another process").get_by_role("button", name="Stop").wait_for()
        third.open("run/runs%2Flong/training")
        there.locator(".panel svg polyline").first.wait_for()
        there.get_by_text("trained by another process").wait_for()
        heard = third.hears(".tab .badge")
        there.get_by_role("button", name="Stop").click()
        there.get_by_role("button", name="Resume").wait_for()
        assert "Stopping" in heard()
        third.context.close()
    page.get_by_text(re.compile("被其他程序停止")).first.wait_for()
    expect(badge).to_have_text("已停止")
    assert (root / "runs" / "long" / "config.json").is_file()
    assert second.fits()
    second.context.close()
    assert not first.complaints + second.complaints


def test_a_password_is_asked_for_and_a_newcomer_is_led(browser: Any, tmp_path: Path) -> None:
    with studio(tmp_path, password="correct horse") as protected:
        visitor = Visitor(browser, protected, 390, "zh-CN")
        page = visitor.page
        page.goto(f"{protected}/#/runs")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("密码").fill("wrong word")
        dialog.get_by_role("button", name="登录").click()
        dialog.get_by_text("密码不正确").wait_for()
        dialog.get_by_label("密码").fill("correct horse")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="现在开始").wait_for()
        page.reload()
        page.get_by_role("button", name="现在开始").wait_for()
        expect(page.locator(".door")).to_have_count(3)
        assert visitor.fits()
        page.get_by_role("link", name="选择文件").click()
        page.locator(".dropzone").wait_for()
        page.go_back()
        page.get_by_role("button", name="现在开始").click()
        page.get_by_role("link", name="runs/first-digits").wait_for()
        visitor.context.close()


@pytest.mark.skipif(not PICTURES, reason="only for the pictures of README (GENWERK_PICTURES=docs/pictures)")
def test_first_steps_are_pictured(browser: Any, visitor: Visitor, tmp_path: Path) -> None:
    with studio(tmp_path) as empty:
        newcomer = Visitor(browser, empty)
        keep(newcomer.open("runs"), "studio-welcome")
        newcomer.context.close()
    page = visitor.open("train?data=digits&recipe=vae")
    page.get_by_alt_text("Some of the examples").wait_for()
    page.get_by_label("Rounds", exact=True).wait_for()
    page.evaluate("window.scrollTo(0, 90)")
    page.wait_for_timeout(500)
    keep(page, "studio-train")
    page.get_by_label("Rounds", exact=True).fill("1500")
    page.get_by_label("Name of the run").fill("runs/pictured")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text(re.compile("Round (5|6|7|8|9)\\d\\d of|Round 1,\\d+ of")).wait_for()
    page.locator(".samples img").first.wait_for()
    page.wait_for_timeout(1000)
    keep(page, "studio-training")
    page.get_by_role("button", name="Stop").click()
    page.locator(".results .badge.stopped").wait_for()


def test_a_choice_without_a_default_is_sent_as_it_is_shown(visitor: Visitor) -> None:
    page = visitor.open("do/data")
    expect(page.locator("select[name=action]")).to_have_value("check")
    page.locator("[name='source']").fill("ring")
    page.get_by_role("button", name="Start").click()
    page.locator(".results .badge.done").wait_for()
