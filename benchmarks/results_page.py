"""Write the page "Results" (docs/results.md) and the tables of benchmarks/*.md from benchmarks/results/*.json.

    python benchmarks/results_page.py         # writes
    python benchmarks/results_page.py list    # prints each figure with its id

A file of results holds one table:

* ``id``, ``title``, ``page`` (the section that says more), ``rows_are`` (what a row is), ``rank`` (the column by which
  rows are ordered, best first, where that is honest), ``note``
* ``command``, ``hardware``, ``commit``, ``seeds``, ``protocol``, ``spread`` (the kind of all spreads)
* ``columns``: by id ``what``, ``unit``, ``better`` (lower, higher)
* ``rows``: ``id``, ``of`` (in words), ``figures`` by column: ``value`` and ``spread`` (a number, or two bounds),
  ``each`` (one value a seed) or ``text``; ``unit``, ``better``, ``published`` (``value``, ``protocol``,
  ``source``), ``note``

A figure's id is ``table.row.column``, or ``table.row`` where the only column is ``value``. A page gives a figure as
``<!-- result: vae-mnist.nll -->88.45<!-- /result -->``, and a table of benchmarks/*.md or docs/*.md stands between
``<!-- table: vae-mnist -->`` and ``<!-- /table -->``. evolve.json and multitask.json hold single runs.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, ranksums

BENCHMARKS = Path(__file__).parent
RESULTS = BENCHMARKS / "results"
PAGE = BENCHMARKS.parent / "docs" / "results.md"
RAW = ("evolve", "multitask")
FAMILIES = {
    "vae": "Autoencoders, VAEs and mixtures",
    "adversarial": "Generative adversarial networks",
    "autoregressive": "Autoregressive models",
    "flows": "Normalising flows",
    "diffusion": "Diffusion and images from text",
    "text": "Texts",
    "translation": "Image to image",
    "optimisation": "Optimisation",
    "metrics": "Metrics",
    "system": "Trainer, command line and studio",
}
"""The pages of benchmarks/, in the order of the page "Results"."""

GLANCE = [
    "vae-mnist.nll",
    "binarised-mnist.pixelcnn-mnist.nll",
    "binarised-mnist.pixelrnn-mnist.nll",
    "flows-mnist.realnvp-mnist.bits",
    "autoencoder-mixture-mnist.mixture.frechet",
    "autoencoder-mixture-mnist.vae.frechet",
    "gans-mnist.cgan-mnist.frechet",
    "ddpm-mnist.frechet",
    "gan-modes.grid-gan.modes",
    "latent-scenes.held-out",
    "latent-faces.hair",
    "spoken-digits.generated",
    "pixel-art.palette.bits",
    "cached-sampling.pixelcnn-mnist-64.ratio",
    "maf-inverse.trained-100.ratio",
    "cifar10-superres-x2.superres-seed-0.psnr",
    "recolour-hair.agreement.value",
    "cmixture-digits.accuracy",
    "ddpm-speed.ratio",
    "trainer-overhead.percent",
]
"""What a newcomer may want to see first."""

Table = dict[str, Any]


def load() -> dict[str, Table]:
    """All tables by id; numbers keep their digits."""
    found = {}
    for path in sorted(RESULTS.glob("*.json")):
        if path.stem not in RAW:
            found[path.stem] = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
    return found


def figures(tables: dict[str, Table]) -> dict[str, dict[str, Any]]:
    """Every figure by id, with all that its table says of it."""
    every: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        common = {key: table[key] for key in ("hardware", "command", "commit", "seeds", "protocol") if key in table}
        for row in table["rows"]:
            for column, figure in row["figures"].items():
                alone = column == "value" and len(table["columns"]) == 1
                about = dict(table["columns"][column])
                if alone:
                    about = {"what": row["of"]}
                about |= {key: row[key] for key in ("unit", "better", "published", "note") if key in row}
                if "spread" in table and "spread" in figure:
                    about["spread_kind"] = table["spread"]
                id_ = f"{name}.{row['id']}" if alone else f"{name}.{row['id']}.{column}"
                every[id_] = {"id": id_, "of": row["of"], **common, **about, **figure}
    return every


def number(value: Decimal) -> str:
    if 0 < abs(value) < Decimal("1e-4"):
        return f"{value:.{len(value.as_tuple().digits) - 1}e}"
    return f"{value:,}" if value == value.to_integral_value() and abs(value) >= 1000 else str(value)


def shown(figure: dict[str, Any], unit: str = "") -> str:
    """A figure as it is printed: 88.45 ± 0.25 nats."""
    if "text" in figure:
        return str(figure["text"])
    spread = figure.get("spread")
    if "each" in figure:
        text = ", ".join(map(number, figure["each"]))
    elif figure.get("value") is None:
        return f"{number(spread[0])} to {number(spread[1])}" + (f" {unit}" if unit else "")  # type: ignore[index]
    else:
        text = number(figure["value"])
    if isinstance(spread, list):
        text += f" ({number(spread[0])} to {number(spread[1])})"
    elif spread is not None:
        text += f" ± {number(spread)}"
    return text + (f" {unit}" if unit else "")


def published(row: Table) -> str:
    said = row.get("published")
    if not said:
        return ""
    return f"{number(said['value'])} ({'; '.join(said[key] for key in ('protocol', 'source') if key in said)})"


def worth(table: Table, row: Table) -> tuple[bool, Decimal]:
    """By which rows are ordered: the value of the ranking column, those without one last."""
    figure = row["figures"].get(table["rank"], {})
    value = figure.get("value")
    down = table["columns"][table["rank"]].get("better") == "lower"
    return (value is None, Decimal(0) if value is None else value if down else -value)


def markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table without columns that are empty."""
    kept = [i for i, title in enumerate(header) if i == 0 or any(row[i] for row in rows)]
    lines = ["| " + " | ".join(header[i] for i in kept) + " |", "|" + "---|" * len(kept)]
    return lines + ["| " + " | ".join(row[i] for i in kept).strip() + " |" for row in rows]


def rendered(table: Table) -> list[str]:
    """The table in markdown; an arrow says which way is better."""
    rows = sorted(table["rows"], key=lambda row: worth(table, row)) if "rank" in table else table["rows"]
    arrows = {"lower": " ↓", "higher": " ↑"}
    columns = table["columns"]
    if list(columns) == ["value"]:
        header = ["figure", "value", "published", "note"]
        cells = []
        for row in rows:
            of = row["of"] + arrows.get(row.get("better", ""), "")
            value = shown(row["figures"]["value"], row.get("unit", ""))
            cells.append([of, value, published(row), row.get("note", "")])
        return markdown(header, cells)
    header = [table.get("rows_are", "")]
    for about in columns.values():
        unit = f", {about['unit']}" if "unit" in about else ""
        header.append(about["what"] + unit + arrows.get(about.get("better", ""), ""))
    header += ["published", "note"]
    cells = []
    for row in rows:
        values = [shown(row["figures"].get(key, {"text": ""})) for key in columns]
        cells.append([row["of"], *values, published(row), row.get("note", "")])
    return markdown(header, cells)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def caption(table: Table) -> list[str]:
    """How the figures were measured, in lines of at most 120 characters."""
    parts = []
    if "protocol" in table:
        parts.append(capital(table["protocol"]))
    if "spread" in table:
        parts.append(f"Spread: {table['spread']}")
    if "seeds" in table:
        seeds = list(map(str, table["seeds"]))
        parts.append(f"Seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}")
    parts.append(table["hardware"])
    if "commit" in table:
        parts.append(f"Commit {table['commit']}")
    text = ". ".join(parts) + "." + (f" {table['note']}" if "note" in table else "")
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def block(table: Table) -> list[str]:
    """The commands, the table and how it was measured."""
    commands = [f"    {line}" for command in table.get("command", []) for line in folded(command)]
    return [*commands, *([""] if commands else []), *rendered(table), "", *caption(table)]


def folded(command: str, width: int = 110) -> list[str]:
    """A long command over several lines, each but the first beginning with an option."""
    lines = [""]
    for part in re.split(r" (?=--)", command):
        if lines[-1] and len(lines[-1]) + len(part) + 1 > width:
            lines.append("  " + part)
        else:
            lines[-1] += " " * bool(lines[-1]) + part
    return [line + " \\" * (i < len(lines) - 1) for i, line in enumerate(lines)]


# Single runs ----------------------------------------------------------------------------------------------------------

ALGORITHMS = ["gmoea", "nsga2", "im-moea", "rm-meda", "spea2", "gde3", "moead", "gmoea-published"]


def quartiles(runs: list[Decimal]) -> str:
    low, median, high = np.quantile(np.array(runs, float), [0.25, 0.5, 0.75])
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def raw(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def short(problem: str) -> str:
    return problem.removeprefix("immoea-")


def objectives() -> list[str]:
    """IGD of every problem and algorithm, the least median of each problem in bold."""
    found = raw("evolve")
    known = [each for each in ALGORITHMS if any(each in runs for runs in found.values())]
    cells = []
    for problem, runs in found.items():
        least = min(np.median(each["igd"]) for each in runs.values())
        row = [f"`{short(problem)}`"]
        for name in known:
            text = quartiles(runs[name]["igd"]) if name in runs else ""
            row.append(f"**{text}**" if text and np.median(runs[name]["igd"]) == least else text)
        cells.append(row)
    return markdown(["problem", *(f"`{each}`" for each in known)], cells)


def objective_wins() -> list[str]:
    """Where gmoea has the lower median than another algorithm, and where Wilcoxon's test tells them apart."""
    found = raw("evolve")
    cells = []
    for other in ALGORITHMS[1:]:
        pairs = [(runs["gmoea"]["igd"], runs[other]["igd"]) for runs in found.values() if {"gmoea", other} <= set(runs)]
        if pairs:
            lower = [(a, b) for a, b in pairs if np.median(a) < np.median(b)]
            sure = sum(mannwhitneyu(a, b).pvalue < 0.05 for a, b in lower)
            higher = [(a, b) for a, b in pairs if np.median(a) > np.median(b)]
            worse = sum(mannwhitneyu(a, b).pvalue < 0.05 for a, b in higher)
            cells.append([f"`{other}`", str(len(pairs)), f"{len(lower)} ({sure})", f"{len(higher)} ({worse})"])
    return markdown(["`gmoea` and", "problems", "lower median (p < 0.05)", "higher median (p < 0.05)"], cells)


def objective_shares() -> list[str]:
    """Shares of the operators among the last generation's offspring, and CPU seconds a run, of gmoea."""
    found = {problem: runs["gmoea"] for problem, runs in raw("evolve").items() if "shares" in runs.get("gmoea", {})}
    names = list(dict.fromkeys(name for runs in found.values() for name in runs["shares"]))
    cells = []
    for problem, runs in found.items():
        shares = [f"{100 * runs['shares'].get(name, 0):.0f} %" for name in names]
        cells.append([f"`{short(problem)}`", *shares, f"{runs['seconds']:.1f}"])
    return markdown(["problem", *names, "CPU s a run"], cells)


VARIANTS = {
    "ide": "`ide`",
    "emtgs": "`emtgs`",
    "emtgs, rate 0.5": "`emtgs`, half of all pairs cross tasks",
    "mo-mfea": "`mo-mfea`",
    "published none": "no donor",
    "published raw": "raw partner",
    "published constant": "constant 0.5",
    "published gan-individual": "GAN, individual",
    "published gan-transposed": "GAN, transposed",
}


def verdict(one: list[float], other: list[float]) -> str:
    """Better, tie or worse: a tie is where medians are within 10 % or Wilcoxon's rank-sum test has p >= 0.05."""
    a, b = np.median(one), np.median(other)
    if abs(a - b) <= 0.1 * max(a, b) or ranksums(one, other).pvalue >= 0.05:
        return "tie"
    return "better" if a < b else "worse"


def tasks(generations: int) -> list[str]:
    """IGD of every task and variant."""
    found = raw("multitask")[str(generations)]
    known = [each for each in VARIANTS if any(each in runs for runs in found.values())]
    cells = [
        [f"`{pair}`", str(task + 1), *(quartiles(runs[each]["igd"][task]) if each in runs else "" for each in known)]
        for pair, runs in found.items()
        for task in range(2)
    ]
    return markdown(["pair", "task", *(VARIANTS[each] for each in known)], cells)


def task_wins() -> list[str]:
    """How often a variant is better, tied and worse than another, over tasks that both were measured on."""
    asked = [
        (1000, "emtgs", "ide"),
        (1000, "emtgs", "mo-mfea"),
        (1000, "ide", "published none"),
        (300, "published raw", "published none"),
        (300, "published constant", "published none"),
        (300, "published gan-individual", "published none"),
        (300, "published gan-transposed", "published none"),
        (300, "published constant", "published gan-individual"),
        (300, "published constant", "published gan-transposed"),
        (300, "published raw", "published gan-individual"),
        (300, "published raw", "published gan-transposed"),
    ]
    cells = []
    for generations, one, other in asked:
        found = raw("multitask")[str(generations)]
        row = [f"{VARIANTS[one]} against {VARIANTS[other]}", f"{generations:,}"]
        for shifted in (False, True):
            marks = [
                verdict(runs[one]["igd"][task], runs[other]["igd"][task])
                for pair, runs in found.items()
                if pair.endswith("-shifted") == shifted and {one, other} <= set(runs)
                for task in range(2)
            ]
            counts = " / ".join(str(marks.count(each)) for each in ("better", "tie", "worse"))
            row.append(f"{counts} of {len(marks)}")
        cells.append(row)
    return markdown(["better / tie / worse, in tasks", "generations", "as published", "shifted"], cells)


COMPUTED = {
    "evolve": objectives,
    "evolve-wins": objective_wins,
    "evolve-shares": objective_shares,
    "multitask-wins": task_wins,
    "multitask-1000": lambda: tasks(1000),
    "multitask-300": lambda: tasks(300),
}
"""Tables of single runs, by name."""

# Pages ----------------------------------------------------------------------------------------------------------------

MARK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
FIGURE = re.compile(r"<!-- result: ([\w.-]+) -->(.*?)<!-- /result -->", re.DOTALL)


def filled(text: str, tables: dict[str, Table]) -> str:
    """A page of benchmarks/ with its tables written anew."""

    def replace(found: re.Match[str]) -> str:
        name = found[2]
        lines = COMPUTED[name]() if name in COMPUTED else block(tables[name])
        return found[1] + "\n" + "\n".join(lines) + "\n\n" + found[3]

    return MARK.sub(replace, text)


def glance(tables: dict[str, Table]) -> list[str]:
    every, cells = figures(tables), []
    for id_ in GLANCE:
        figure = every[id_]
        table = tables[id_.split(".")[0]]
        what = figure["what"] if figure["what"] == figure["of"] else f"{figure['of']}: {figure['what']}"
        if figure["what"] == "value":
            what = figure["of"]
        value = shown(figure, figure.get("unit", ""))
        cells.append([f"[{table['title']}](#{anchor(table['title'])})", what, value, published(figure)])
    return markdown(["benchmark", "figure", "value", "published"], cells)


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def page(tables: dict[str, Table]) -> str:
    lines = [
        "# Results",
        "",
        "<!-- Written by benchmarks/results_page.py from benchmarks/results/*.json: edit those. -->",
        "",
        *textwrap.wrap(
            "Every figure that was measured, by family. ↓: lower is better, ↑: higher is better. Below each table "
            "stand protocol, spread, seeds, hardware and commit; the link leads to the command and to what falls "
            "short. Tables are ordered best first where their rows are comparable. Nothing was measured on a GPU.",
            120,
        ),
        "",
        "## At a glance",
        "",
        *glance(tables),
        "",
    ]
    for family, title in FAMILIES.items():
        lines += [f"## {title}", ""]
        lines += [f"More: [benchmarks/{family}.md](../benchmarks/{family}.md).", ""]
        for table in ordered(tables, family):
            link = f"[How it was measured](../benchmarks/{table['page']})."
            lines += [f"### {table['title']}", "", *rendered(table), "", *caption(table), link, ""]
        if family == "optimisation":
            lines += single_runs()
    return "\n".join(lines).rstrip() + "\n"


def single_runs() -> list[str]:
    said = [
        ("Several objectives", "evolve", "IGD after 5,000 evaluations, median and quartiles of the runs."),
        (
            "GMOEA and other algorithms",
            "evolve-wins",
            "Medians of IGD; Wilcoxon's rank-sum test, uncorrected.",
        ),
        ("Several tasks", "multitask-wins", "IGD; a tie: medians within 10 %, or p >= 0.05 in Wilcoxon's test."),
    ]
    lines = []
    for title, name, about in said:
        link = f"{about} [How it was measured](../benchmarks/optimisation.md)."
        lines += [f"### {title}", "", *COMPUTED[name](), "", link, ""]
    return lines


def ordered(tables: dict[str, Table], family: str) -> list[Table]:
    """The tables of a family in the order of its page."""
    text = (BENCHMARKS / f"{family}.md").read_text()
    names = [name for _, name, _ in MARK.findall(text) if name in tables]
    return [tables[name] for name in names]


def pages(tables: dict[str, Table]) -> Iterator[tuple[Path, str]]:
    """Every file that is written, and what it should hold."""
    for family in FAMILIES:
        path = BENCHMARKS / f"{family}.md"
        yield path, filled(path.read_text(), tables)
    for path in sorted([*PAGE.parent.glob("*.md"), *PAGE.parent.glob("zh/*.md")]):
        if path != PAGE and MARK.search(text := path.read_text()):
            yield path, filled(text, tables)
    yield PAGE, page(tables)


def main() -> None:
    tables = load()
    if sys.argv[1:] == ["list"]:
        for id_, figure in figures(tables).items():
            sys.stdout.write(f"{id_}: {shown(figure, figure.get('unit', ''))}\n")
        return
    for path, text in pages(tables):
        path.write_text(text)


if __name__ == "__main__":
    main()
