"""The report of a comparison: columns against what is known, the same bytes twice, a page that needs nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from math import nan
from pathlib import Path

import pytest
from compared import EVIL, column, comparison, figure, measured, three

from genwerk.comparison import digits
from genwerk.comparison.charts import apart, growth, quality_against_time, quality_against_variety
from genwerk.comparison.curves import PAIRS, sentences
from genwerk.comparison.markdown import markdown
from genwerk.comparison.page import page
from genwerk.comparison.ranking import columns
from genwerk.comparison.reading import reading
from genwerk.comparison.report import write_report
from genwerk.comparison.result import Comparison, Failed, Measured, comparison_from
from genwerk.comparison.shares import histograms
from genwerk.comparison.strip import ROOM, WIDTH, Scale, scale, strip
from genwerk.comparison.tables import as_csv, cells, lecture
from genwerk.evaluation.report import AtTemperature, Report


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(three(folder), folder)
    return folder


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "spreads", "text"),
    [
        (12.3456, (0.123,), "12.35"),
        (12.3456, (0.012, 1.9), "12.3"),
        (12.3456, (None, None), "12.35"),
        (12.3456, (0.0,), "12.35"),
        (123456.0, (2300.0,), "123,500"),
        (0.4, (30.0,), "0"),
        (0.0012345, (1e-5,), "0.001234"),
        (3.15e-7, (2.1e-8,), "3.15e-7"),
        (3.15e-7, (), "3.15e-7"),
        (-0.7345, (0.02,), "-0.735"),
        (nan, (1.0,), "not finite"),
        (None, (), "—"),
    ],
)
def test_a_value_has_the_digits_that_its_spread_leaves(
    value: float | None, spreads: tuple[float | None, ...], text: str
) -> None:
    assert digits.value(value, *spreads) == text


@pytest.mark.parametrize(
    ("spread", "text"),
    [(0.8, "0.80"), (2.0, "2.0"), (0.123, "0.12"), (2345.0, "2,300"), (2.1e-8, "2.1e-8"), (0.0, "0")],
)
def test_a_spread_has_two_digits(spread: float, text: str) -> None:
    assert digits.spread(spread) == text


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_lectures_table_has_measured_answers() -> None:
    head, rows = lecture(three())
    assert head == [
        "contestant",
        "Quality: Fréchet distance ↓",
        "Likelihood: bits/dim ↓",
        "Training: training examples per second ↑",
        "Sampling: samples per second ↑",
        "Invertibility: encode-decode error ↓",
        "Parallelism: growth with batch ↓",
    ]
    open_ = "inconclusive (1 to 2 of 3)"
    assert rows == [
        ["gan", f"32.0; {open_}", "none", "4,100; 2 of 3", "50,500; 2 of 3", "no encoder", f"0.410; {open_}"],
        [
            *("vae", "61.0; 3 of 3", "≤ 2.275; bound; 1 of 2", "9,100; 1 of 3", "80,500; 1 of 3", "0.330; 2 of 2"),
            f"0.360; {open_}",
        ],
        [
            *("realnvp", f"34.5; {open_}", "3.390; exact; 2 of 2", "1,550; 3 of 3", "3,250; 3 of 3", "3.15e-7; 1 of 2"),
            "0.905; 3 of 3",
        ],
    ]


def test_a_section_has_both_spreads_floor_and_noise() -> None:
    head, rows = cells(columns(three())[0])
    assert head == ["contestant", "value", "sampling ±", "training ±", "floor", "noise", "runs", "place"]
    assert rows[0] == ["gan", "32.0", "0.80", "2.0", "2", "900", "3 of 3", "inconclusive (1 to 2 of 3)"]
    assert rows[2] == ["realnvp", "34.5", "0.80", "2.1", "2", "900", "2 of 2", "inconclusive (1 to 2 of 3)"]


def test_one_training_seed_is_said() -> None:
    found = column("FID", {"a": (1.0,), "b": (50.0,)})
    assert lecture(found)[1][0][1] == "1; one training seed"
    assert reading(found)[-1] == (
        "certainty",
        "Nothing tells how far another training would move the figures of a contestant with one training seed, so it "
        "is not ranked: a and b.",
    )


def test_a_likelihood_says_what_it_is_of() -> None:
    runs = [measured("v", i, figure("≤ NLL", 90.0 + i), likelihood="bound", scored_as="binary") for i in range(2)]
    runs += [measured("f", i, figure("NLL", 900.0 + i), likelihood="exact") for i in range(2)]
    runs += [measured("c", i, figure("NLL", 800.0 + i), likelihood="exact", condition="label") for i in range(2)]
    assert [row[2] for row in lecture(comparison(*runs))[1]] == [
        "≤ 90.50; bound of binary pixels",
        "900.50; exact",
        "800.50; exact given label",
    ]


def test_what_is_missing_is_told_from_what_cannot_be() -> None:
    ae = [measured("ae", i, figure("reconstruction MSE", 0.1), abilities=("encodes", "decodes")) for i in range(2)]
    gan = [measured("gan", i, figure("FID", 3.0)) for i in range(2)]
    _, rows = lecture(comparison(*ae, *gan))
    assert rows[0][1:3] == ["does not sample", "none"]
    assert rows[1][4:6] == ["not measured", "no encoder"]
    never = [measured("slow", 0, figure("FID", nan, verdict="not reached"))]
    assert lecture(comparison(*never))[1][0][1] == "not reached"


def test_the_reading_follows_from_the_ranks() -> None:
    said = dict(reading(three()))
    assert said["samples like real data"] == (
        "The first in Fréchet distance is one of gan (32.0) and realnvp (34.5). vae (61.0) is surely last."
    )
    assert said["a likelihood"] == "vae (≤ 2.275) is surely ahead in bits/dim, with realnvp (3.390) next."
    alike = reading(column("FID", {"a": (1.0, 9.0), "b": (2.0, 8.0)}))
    assert alike == [("samples like real data", "Inconclusive: in FID no contestant is surely worse than any other.")]


def test_csv_has_a_line_a_contestant_and_figure() -> None:
    found = list(csv.DictReader(io.StringIO(as_csv(three()))))
    assert len(found) == sum(len(each.standings) for each in columns(three()))
    (line,) = (row for row in found if (row["contestant"], row["key"]) == ("realnvp", "frechet_distance"))
    assert (line["mean"], line["sampling_spread"], line["runs"], line["seeds"]) == ("34.5", "0.8", "2", "0 1")
    assert float(line["training_spread"]) == pytest.approx(2.1213203)
    assert (line["floor"], line["noise"], line["first_place"], line["last_place"]) == ("2.0", "900.0", "1", "2")
    assert (line["among"], line["conclusive"], line["bound"], line["better"]) == ("3", "False", "False", "less")
    (bound,) = (row for row in found if (row["contestant"], row["key"]) == ("vae", "nll"))
    assert (bound["bound"], bound["unit"], bound["conclusive"]) == ("True", "nats", "True")
    assert "\x1b" not in as_csv(three())


def test_markdown_shows_what_comes_from_outside_as_it_stands() -> None:
    text = markdown(replace(three(), source=EVIL))
    assert "\\<script\\>" in text
    assert not re.search(r"(?<!\\)<script", text)
    assert "\x1b" not in text
    assert "| gan | 32.0; inconclusive (1 to 2 of 3) | none |" in text
    assert text.count("\n## ") == 9  # seven sections have figures; failed; notes


# --- charts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([], []),
        ([0.0, 5.0], [0.0, 5.0]),
        ([1.0, 1.0], [0.5, 1.5]),
        ([0.0, 0.2, 0.7], [-0.7, 0.3, 1.3]),
        ([0.0, 0.0, 1.2], [-0.6, 0.4, 1.4]),
    ],
)
def test_names_move_apart_as_little_as_they_must(places: list[float], moved: list[float]) -> None:
    assert apart(places, 1.0) == pytest.approx(moved)


def test_dots_stand_where_their_values_are() -> None:
    found = columns(column("FID", {"a": (10.0, 10.0), "b": (20.0, 20.0)}))[0]
    assert scale(found) == Scale(10.0, 20.0, False)
    assert scale(columns(column("FID", {"a": (9.0, 11.0), "b": (20.0, 20.0)}))[0]) == Scale(4.0, 26.0, False)
    assert Scale(0.0, 10.0, False).place(5.0) == WIDTH / 2
    assert Scale(1.0, 100.0, True).place(10.0) == WIDTH / 2
    assert Scale(0.0, 10.0, False).place(-3.0) == ROOM
    assert scale(columns(column("FID", {"a": (1.0, 1.0), "b": (100.0, 100.0)}))[0]) == Scale(1 / 1.5, 150.0, True)
    assert scale(columns(column("FID", {"a": (nan,)}))[0]) is None
    assert strip(found.standings[0], None, "red") == ""


def test_charts_have_both_widths_and_are_told_in_words() -> None:
    found = three()
    chart = quality_against_time(found, columns(found)[0])
    assert chart is not None
    assert chart.svg.count("<svg") == 2
    assert "gan 30" in chart.svg
    grown = growth(found, "batch")
    assert grown is not None
    assert "gan from 0.001 to 0.0053 s" in grown.svg
    assert growth(found, "sky") is None
    assert quality_against_time(column("FID", {"a": (1.0,)}), None) is None


def test_bars_are_as_high_as_the_shares() -> None:
    """The greatest share reaches 2 units from the top, and the rest are in proportion above the ground at 94."""
    labels = [{"0": (0.2, 0.5), EVIL[:5]: (0.8, 0.5)}, {"0": (0.4, 0.5), EVIL[:5]: (0.6, 0.5)}]
    runs = [measured("gan", i, figure("FID", 1.0)) for i in range(2)]
    runs = [replace(run, report=replace(run.report, labels=each)) for run, each in zip(runs, labels, strict=True)]
    svg = histograms(comparison(*runs, measured("vae", 0)), {"gan": "#123456"})["gan"]
    heights = [float(each) for each in re.findall(r'<rect .*?height="([\d.]+)"', svg)]
    assert heights == pytest.approx([92 * 0.3 / 0.8, 92 * 0.7 / 0.8], abs=0.05)
    real = [float(each) for each in re.findall(r'class="real".*?y1="([\d.]+)"', svg)]
    assert real == pytest.approx([94 - 92 * 0.5 / 0.8] * 2, abs=0.05)
    assert "0 30.0% (among real examples 50.0%), &lt;scri 70.0% (among real examples 50.0%)" in svg


# --- the page ---------------------------------------------------------------------------------------------------------

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a page holds, and whether every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = list[str]()
        self.found = list[tuple[str, dict[str, str | None]]]()
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def rendered(found: Comparison, folder: Path) -> Page:
    return Page(page(found, folder))


def test_the_page_is_whole_and_needs_nothing_else(written: Path) -> None:
    found = Page((written / "report.html").read_text())
    assert len(found.of("img")) == 3 + 1 + 3 + 3 + 3 + 2  # corners, real, samples, nearest, interpolations, two of ...
    assert all(each["alt"] for each in found.of("img"))
    assert all(each.get("aria-label") if each.get("role") == "img" else each["aria-hidden"] for each in found.of("svg"))
    assert {str(each["src"]).split(",")[0] for each in found.of("img")} == {"data:image/png;base64"}
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in found.found}
    links = [str(v) for _, a in found.found for k, v in a.items() if k in ("href", "src", "xlink:href", "srcset")]
    assert all(each.startswith(("#", "data:")) for each in links)
    targets = {str(a["id"]) for _, a in found.found if a.get("id")}
    assert {each[1:] for each in links if each.startswith("#")} <= targets
    policy = next(each["content"] for each in found.of("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none';")


def test_the_page_says_what_was_found(written: Path) -> None:
    text = re.sub(r"\s+", " ", Page((written / "report.html").read_text()).text)
    assert "3 models compared on digits" in text
    for said in (
        "inconclusive",
        "The first in Fréchet distance is one of gan (32.0) and realnvp (34.5). vae (61.0) is surely last.",
        "Distance between Gaussians fitted to the features of samples and of real examples.",
        "Floor (real examples): 2. Noise: 900.",
        "No figure proves that a model has memorised its training examples",
        "2,000 against 180",
        "genwerk train realnvp --seed 1",
        "1 of its runs failed",
        f"It diverged: {EVIL[:-4]}",
        "accuracy 97.2 % on 180 test examples",
        "The flow has 1,000 samples only.",
    ):
        assert said in text


def test_the_same_comparison_gives_the_same_bytes(written: Path) -> None:
    """Also where it comes from report.json, which therefore has all of it."""
    before = {path.name: path.read_bytes() for path in written.glob("report.*")}
    found = comparison_from(json.loads(before["report.json"]))
    assert {path.name for path in write_report(found, written)} == before.keys()
    assert {path.name: path.read_bytes() for path in written.glob("report.*")} == before


def test_nothing_of_a_name_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    runs = [measured(EVIL, i, figure(EVIL, 1.0), figure("FID", 2.0, note=EVIL, unit=EVIL)) for i in range(2)]
    failed = Failed(contestant=EVIL, recipe=EVIL, seed=0, run=EVIL, why=EVIL)
    hostile = comparison(*runs, source=EVIL, command=EVIL, machine=EVIL, failed=(failed,), notes=(EVIL,))
    found = rendered(hostile, tmp_path)
    assert "script" not in {tag for tag, _ in found.found}
    assert "\x1b" not in found.text


def test_nothing_measured_is_a_page_too(tmp_path: Path) -> None:
    failed = Failed(contestant="gan", recipe="gan", seed=0, run="runs/gan-0", why="It diverged.")
    assert "It diverged." in rendered(comparison(failed=(failed,)), tmp_path).text
    write_report(comparison(failed=(failed,)), tmp_path)


def test_sounds_are_played(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF0000WAVE")
    run = measured("wavenet", 0, figure("FID", 1.0), pictures={"samples (sound)": "a.wav"})
    real = {"real (sound)": "a.wav"}
    sounds = rendered(comparison(run, kind="audio", pictures=real), tmp_path).of("audio")
    assert [each["aria-label"] for each in sounds] == ["Held-out examples", "Samples (sound) of wavenet, seed 0"]
    assert all(str(each["src"]).startswith("data:audio/wav;base64,") for each in sounds)


@pytest.mark.parametrize("path", ["gone.png", "../outside.png", "../outside.txt", "report.bin"])
def test_only_pictures_of_the_folder_are_shown(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for name in (tmp_path / "outside.png", tmp_path / "outside.txt", folder / "report.bin"):
        name.write_bytes(b"secret")
    found = rendered(comparison(measured("gan", 0, figure("FID", 1.0), pictures={"samples": path})), folder)
    assert not found.of("img")
    assert "secret" not in found.text
    assert Path(path).name in found.text


def test_texts_are_read_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"sample\ta cat\nnearest 1\t{EVIL}\n")
    run = measured("lm", 0, figure("NLL", 1.0), pictures={"samples": "a.txt", "nearest": "a.txt"})
    found = rendered(comparison(run, kind="text", pictures={"real": "a.txt"}), tmp_path)
    assert "script" not in {tag for tag, _ in found.found}
    assert [each.get("class") for each in found.of("div")].count("texts") == 2  # nothing is remembered, so no nearest
    assert "a cat" in found.text
    assert "Texts" in found.text


# --- quality against variety ------------------------------------------------------------------------------------------


def swept(contestant: str, seed: int, spots: dict[float, tuple[float, float]]) -> Measured:
    """A run with BLEU-5 and self-BLEU-5 at each temperature."""
    sweep = tuple(
        AtTemperature(
            temperature=t, figures=(figure("BLEU-5", q, 0.001, floor=0.3), figure("self-BLEU-5", v, 0.001, floor=0.4))
        )
        for t, (q, v) in spots.items()
    )
    return replace(measured(contestant, seed), report=Report(figures=(figure("BLEU-5", 0.2),), sweep=sweep))


def seeds(contestant: str, spots: dict[float, tuple[float, float]], off: float = 0.001) -> list[Measured]:
    """Three trainings whose qualities lie so far apart."""
    return [swept(contestant, i, {t: (q + (i - 1) * off, v) for t, (q, v) in spots.items()}) for i in range(3)]


HIGH = {0.7: (0.40, 0.60), 1.0: (0.30, 0.40), 1.3: (0.15, 0.20)}
LOW = {0.7: (0.35, 0.70), 1.0: (0.20, 0.50), 1.3: (0.10, 0.30)}


def test_a_curve_is_better_where_all_of_it_is() -> None:
    found = comparison(*seeds("a", HIGH), *seeds("b", LOW))
    assert sentences(found) == [
        "The whole curve of a is above that of b: more BLEU-5 at every self-BLEU-5 that both reach, 0.3 to 0.6."
    ]
    assert dict(reading(found))["quality and variety"] == sentences(found)[0]


@pytest.mark.parametrize(
    ("other", "off"),
    [
        ({0.7: (0.60, 0.62), 1.0: (0.28, 0.40), 1.3: (0.10, 0.20)}, 0.001),  # they cross
        ({0.7: (0.39, 0.60), 1.0: (0.29, 0.40), 1.3: (0.14, 0.20)}, 0.02),  # within the margins
        ({0.7: (0.90, 0.95), 1.0: (0.80, 0.90), 1.3: (0.70, 0.80)}, 0.001),  # nothing in common
    ],
)
def test_what_does_not_hold_for_all_of_it_is_inconclusive(other: dict[float, tuple[float, float]], off: float) -> None:
    (said,) = sentences(comparison(*seeds("a", HIGH, off), *seeds("b", other, off)))
    assert said.startswith("Inconclusive between a and b: their curves of BLEU-5 against self-BLEU-5 cross, lie within")


def test_one_training_seed_ranks_no_curve() -> None:
    (said,) = sentences(comparison(*seeds("a", HIGH), swept("b", 0, LOW)))
    assert "one training seed tells nothing of how far another training would move the curve of b" in said


def test_the_curves_are_drawn_and_told(tmp_path: Path) -> None:
    found = comparison(*seeds("a", HIGH), *seeds("b", LOW), kind="text")
    chart = quality_against_variety(found, PAIRS[0])
    assert chart is not None
    assert 'aria-label="BLEU-5 against self-BLEU-5 over temperatures: a from 0.4 at 0.6 to 0.15 at 0.2, b' in chart.svg
    text = rendered(found, tmp_path).text
    assert "Quality against variety" in text
    assert "| b | 1 | 0.2000 | 0.5000 |" in markdown(found)
    assert "The whole curve of a is above that of b" in text
    assert quality_against_variety(found, PAIRS[2]) is None
    write_report(found, tmp_path)
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert len(rows) == 2 * 3 * 3 * 2
    assert {"contestant": "a", "seed": "1", "temperature": "0.7", "key": "bleu_5", "value": "0.4"}.items() <= rows[
        6
    ].items()
    assert comparison_from(json.loads((tmp_path / "report.json").read_text())) == found


def test_texts_at_one_temperature_are_not_ranked_by_bleu() -> None:
    found = comparison(*(measured("a", i, figure("BLEU-5", 0.3), figure("self-BLEU-5", 0.5)) for i in range(2)))
    assert "compare whole curves with --evaluate.temperatures 0.7,1,1.3" in dict(reading(found))["quality and variety"]


def test_a_table_needs_no_pictures(tmp_path: Path) -> None:
    runs = [measured("mixture", i, figure("NLL", 3.0 + i), likelihood="exact") for i in range(3)]
    found = rendered(comparison(*runs, kind="table", extractor=""), tmp_path)
    assert "mixture" in found.text


# --- in a browser -----------------------------------------------------------------------------------------------------

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_opens_it_without_the_network_and_on_a_phone(written: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    asked, said = list[str](), list[str]()
    with playwright.sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        for width in (360, 1280):
            opened = browser.new_page(viewport={"width": width, "height": 800})
            opened.set_default_timeout(180_000)
            opened.on("request", lambda request: asked.append(request.url))
            opened.on("console", lambda message: said.append(message.text))
            opened.goto((written / "report.html").as_uri())
            assert opened.evaluate("document.documentElement.scrollWidth") == width
            sizes = "[...document.querySelectorAll('svg.narrow text')].map(e => e.getBoundingClientRect().height)"
            assert all(size == 0 or size >= 9 for size in opened.evaluate(sizes))
            missing = "[...document.images].filter(e => !e.alt || !e.naturalWidth).length"
            assert opened.evaluate(missing) == 0
        browser.close()
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert not said
