"""The page of a run: curves whose places are known, and HTML that holds whatever a name may hold."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFont

from genwerk.evaluation.report import Figure, Report
from genwerk.runs import curves
from genwerk.runs.curves import BOTTOM, HEIGHT, LEFT, MOST, RIGHT, TOP, WIDTH, Axes, Panel
from genwerk.runs.page import commands, html, read_events, samples, status, update_page

EVIL = "<script>alert('x')</script>&\"\x1b[2J"


def event(kind: str, round: int, stage: str = "train", **more: Any) -> dict[str, Any]:
    return {"event": kind, "stage": stage, "round": round, **more}


def run_of(folder: Path, events: list[dict[str, Any]], name: str = "vae") -> Path:
    (folder / "samples").mkdir(parents=True)
    config = {"library": "genwerk", "name": name, "recipe": {"data": {"source": EVIL}, "train": {"rounds": 5}}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events))
    return folder


# --- curves -----------------------------------------------------------------------------------------------------------


def test_a_figure_is_one_panel_wherever_it_comes_from() -> None:
    events = [
        event("round", 10, loss=2.0, bits_per_dim=1.5, seconds=1.0, examples=5),
        event("evaluated", 20, bits_per_dim=1.0, best=True),
        event("round", 30, loss=float("inf")),
        event("saved", 30, file="x"),
        event("round", 40, stage="prior", loss=9.0),
    ]
    found = curves.panels(events)
    assert [(p.stage, p.name) for p in found] == [("train", "bits per dim"), ("train", "loss"), ("prior", "loss")]
    assert found[0].curves == {"training": [(10, 1.5)], "validation": [(20, 1.0)]}
    assert found[1].curves == {"training": [(10, 2.0)]}


def test_points_stand_where_they_belong() -> None:
    axes = Axes(Panel("s", "n", {"training": [(0, 0.0), (100, 10.0)]}))
    assert (axes.low, axes.high) == (-0.5, 10.5)
    assert axes.place((0, -0.5)) == (LEFT, HEIGHT - BOTTOM)
    assert axes.place((100, 99.0)) == (WIDTH - RIGHT, TOP)
    assert axes.place((50, 5.0)) == (LEFT + (WIDTH - LEFT - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
    assert [text for _, text in axes.levels()] == ["0", "2", "4", "6", "8", "10"]


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((10_000, 40_000), ["1e4", "2e4", "3e4", "4e4"]),
        ((10_000, 25_000), ["1.0e4", "1.5e4", "2.0e4", "2.5e4"]),
        ((1e-5, 4e-5), ["1e-5", "2e-5", "3e-5", "4e-5"]),
        ((0, 1), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-40_000, 40_000), ["-4e4", "-2e4", "0", "2e4", "4e4"]),
        ((12_345, 12_346), [f"1.234{n}e4" for n in (50, 52, 54, 56, 58, 60)]),
    ],
)
def test_numbers_of_an_axis_are_short_and_have_room(ends: tuple[float, float], texts: list[str]) -> None:
    axes = Axes(Panel("s", "n", {"training": [(0, ends[0]), (10, ends[1])]}))
    assert [text for _, text in axes.levels()] == texts
    font = ImageFont.load_default(11)
    assert max(map(font.getlength, texts)) < axes.left - 6
    assert axes.place((0, ends[0]))[0] == axes.left
    assert axes.rounds() == [(axes.left, "0", "start"), (WIDTH - RIGHT, "10", "end")]


def test_a_single_point_stands_in_the_middle_above_its_round() -> None:
    axes = Axes(Panel("s", "n", {"validation": [(100, 20.0)]}))
    middle = (LEFT + WIDTH - RIGHT) / 2
    assert axes.place((100, 20.0)) == (middle, (TOP + HEIGHT - BOTTOM) / 2)
    assert axes.rounds() == [(middle, "100", "middle")]


def test_an_outlier_does_not_flatten_the_rest() -> None:
    axes = Axes(Panel("s", "n", {"training": [(0, 1e6), *((i, float(i % 10)) for i in range(1, 200))]}))
    assert axes.high < 20


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.0, 2.0], [0.0, 0.0], [-1e-12, 1e-12], [1e300, -1e300]])
def test_any_values_can_be_drawn(values: list[float]) -> None:
    panel = Panel(EVIL, EVIL, {"training": list(enumerate(values)), "validation": [(0, values[0])]})
    drawing = curves.svg(panel)
    assert "<script" not in drawing
    assert "nan" not in drawing
    assert Image.open(BytesIO(curves.png([panel] * 4, "title"))).size == (1440, 1.5 * (40 + 2 * 230))


def test_many_points_become_means_of_neighbours() -> None:
    line = [(float(i), float(i)) for i in range(4 * MOST)]
    assert curves.thinned(line)[:2] == [(1.5, 1.5), (5.5, 5.5)]
    assert len(curves.thinned(line)) == MOST


# --- page -------------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Tags in order, those that are open, and what pictures say."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.silent: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found[key] or "" for key in ("src", "href") if key in found]
        if tag in ("img", "audio", "svg") and not (found.get("alt") or found.get("aria-label")):
            self.silent.append(tag)
        if tag not in ("meta", "img", "line", "polyline", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "polyline", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_whole_and_shows_names_as_text(tmp_path: Path) -> None:
    stage = f"class {EVIL}"
    run = run_of(
        tmp_path / "<b>run",
        [
            event("plan", 0, stage, rounds=60),
            event("round", 10, stage, loss=1.0, **{EVIL: 2.0}),
            event("samples", 20, stage, file="00000020.csv"),
            event("round", 50, stage, loss=0.5),
        ],
        EVIL,
    )
    (run / "samples" / "00000020.csv").write_text(f'age,"{EVIL.replace(chr(34), "")}"\n3,{EVIL.split("&")[0]}\n')
    (run / "samples" / "00000020.wav").write_bytes(b"")
    (run / "samples" / "00000020.waves.png").write_bytes(b"")
    (run / "samples" / "00000010.png").write_bytes(b"")
    (run / "samples" / "<script>.png").write_bytes(b"")
    assert update_page(run, Report(figures=(Figure(name=EVIL, value=1.0, note=EVIL),), notes=(EVIL,)))
    page = (run / "index.html").read_text()
    read = Reader(page)
    assert read.open == []
    assert read.silent == []
    assert "<script" not in page
    assert "\x1b" not in page
    assert "<script>alert('x')" in read.words
    assert "Training: round 50 of 60" in read.words
    assert "http-equiv" in page
    assert not [link for link in read.links if re.match(r"\w+:|/", link)]
    for link in read.links:
        assert (run / link).exists()
    assert page.count("<figcaption>Samples of") == 1
    assert "samples/00000020.waves.png" in read.links
    assert Image.open(run / "curves.png").width == 1440


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [event("plan", 0, rounds=9), event("round", 3, loss=1.0)])
    with (run / "events.jsonl").open("a") as file:
        file.write('{"event": "round", "stage": 3, "round": "x"}\n{"event": "rou\n[]\n\x00\n')
        file.write(json.dumps(event("stopped", 5)) + "\n")
    assert [line["event"] for line in read_events(run / "events.jsonl")] == ["plan", "round", "stopped"]
    assert update_page(run)
    page = (run / "index.html").read_text()
    assert "Stopped at round 5 of 9" in page
    assert "http-equiv" not in page
    assert f"genwerk train vae --out {run} --resume" in page


def test_a_page_that_cannot_be_written_is_said_and_no_more(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [])
    (run / "index.html").mkdir()
    with pytest.warns(UserWarning, match="not up to date"):
        assert not update_page(run)


def test_an_empty_run_has_a_page() -> None:
    page = html(Path("run"), "run", {}, [], [], None)
    assert Reader(page).open == []


def test_of_many_samples_some_are_shown_and_the_newest_first(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [])
    for i in range(100):
        (run / "samples" / f"{i:08d}.png").touch()
    shown = re.findall(r'src="samples/(\d+)', "".join(samples(run, [])))
    assert shown[:2] == ["00000099", "00000094"]
    assert len(shown) == 20


def test_the_last_stage_done_is_the_end() -> None:
    plan, done = event("plan", 0, rounds=9), event("stage done", 8, last=True)
    assert status([plan, done]) == ("finished", "Trained for 8 rounds")
    assert status([plan, done, event("plan", 8, rounds=20)])[0] == "going on"


def test_what_is_typed_to_use_a_run_is_what_it_showed() -> None:
    said = "".join(commands(Path("run"), {"name": "superres"}, [event("translations", 3)]))
    assert "genwerk translate run -n 16" in said
    assert "genwerk sample run -n 16" in "".join(commands(Path("run"), {"name": "vae"}, []))


def test_samples_are_called_what_they_are(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", [])
    (run / "samples" / "00000003.png").touch()
    log = [event("reconstructions", 3, "Autoencoder", file="00000003.png"), event("saved", 3, file="00000003")]
    assert 'alt="Reconstructions of Autoencoder after round 3"' in "".join(samples(run, log))
