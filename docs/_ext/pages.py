"""What the site adds to Sphinx: formulas as MathML, a page's other language, and lists made from the registries."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from shutil import copyfile
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

HOME, CHINESE = "docs/index", "docs/zh/index"
REDIRECT = (
    '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">{0}</a>\n'
)


def visit_math(writer: Any, node: nodes.Element) -> None:
    """A formula as MathML, which browsers draw without any script."""
    source, block = node.astext(), isinstance(node, nodes.math_block)
    aligned = block and re.search(r"\\\\|&", source) and not source.lstrip().startswith(r"\begin")
    try:
        drawn = tex2mathml(rf"\begin{{aligned}}{source}\end{{aligned}}" if aligned else source, as_block=block)
    except MathError as error:
        raise ExtensionError(f"{node.source}: the formula {source!r} cannot be drawn: {error}") from error
    writer.body.append(f'<div class="formula">{drawn}</div>\n' if block else drawn)
    raise nodes.SkipNode


def other_language(page: str, found: set[str]) -> str:
    """The same page in the other language, or that language's first page where it has none."""
    path = PurePosixPath(page)
    chinese = "zh" in path.parts
    in_english = PurePosixPath(*(part for part in path.parts if part != "zh"))
    other = in_english if chinese else path.parent / "zh" / path.name
    return str(other) if str(other) in found else HOME if chinese else CHINESE


def add_language(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """Tell a page its language, and where it stands in the other one."""
    chinese = "zh" in PurePosixPath(page).parts
    context["language"] = "zh-CN" if chinese else "en"
    if chinese:  # its own part of the navigation comes first
        head, *parts = re.split(r'(?=<p class="caption)', context.get("furo_navigation_tree", ""))
        context["furo_navigation_tree"] = head + "".join(sorted(parts, key=lambda part: "中文</span>" not in part))
    other = other_language(page, app.env.found_docs)
    if other in app.env.found_docs:
        context["other_language"] = (context["pathto"](other), "English" if chinese else "中文")


def add_entrance(app: Sphinx, error: Exception | None) -> None:
    """The site's own address leads to its first page; whole HTML pages stand where links expect them."""
    if error is None and app.builder.format == "html":
        for report in (app.srcdir / "docs" / "reports").glob("*/report.html"):
            place = app.outdir / report.relative_to(app.srcdir)
            place.parent.mkdir(parents=True, exist_ok=True)
            copyfile(report, place)
        (app.outdir / "index.html").write_text(REDIRECT.format(f"{HOME}.html"), encoding="utf-8")


QUOTED = re.compile(r"(:[\w:]+:`[^`]*`|``.*?``|`[^`]*`)", re.DOTALL)
"""What is between backticks in a docstring, with its role."""


def escape(app: Sphinx, what: str, name: str, about: object, options: object, lines: list[str]) -> None:
    """Stars and bars of docstrings, as in (n, *shape) and log |det dz/dx|, stand for themselves."""
    parts = QUOTED.split("\n".join(lines))
    lines[:] = "".join(p if i % 2 else re.sub(r"\*(?! )|\|", r"\\\g<0>", p) for i, p in enumerate(parts)).split("\n")


def point_to_reports(app: Sphinx, page: str, content: list[str]) -> None:
    """Reports are whole HTML pages with their pictures; GitHub shows the Markdown beside them."""
    content[0] = content[0].replace("/report.md)", "/report.html)")


def join_lines(app: Sphinx, page: str, content: list[str]) -> None:
    """A line of Chinese that goes on below goes on without a space."""
    if "zh" in PurePosixPath(page).parts:
        content[0] = re.sub(r"(?<=[\u3001-\uff5e])\n(?=[\u4e00-\u9fff\uff01-\uff5e`*\[])(?!```|\* )", "", content[0])


def open_reports(app: Sphinx, tree: nodes.document, page: str) -> None:
    """A link to a whole HTML page opens it in the browser, in place of saving it."""
    for link in list(tree.findall(addnodes.download_reference)):
        if link["reftarget"].endswith(".html"):
            plain = nodes.reference("", "", *link.children, refuri=link["reftarget"], internal=True)
            link.replace_self(plain)


class Commands(SphinxDirective):
    """Every command with its options, as ``--help-all`` has them."""

    def run(self) -> list[nodes.Node]:
        from genwerk.cli.words import flags, metavar
        from genwerk.commands import COMMANDS
        from genwerk.commands.command import options, summary
        from genwerk.core.errors import naming

        text: list[str] = []
        for group in dict.fromkeys(command.group for command in COMMANDS.values()):
            text += ["", f"## {group}", ""]
            for name, command in COMMANDS.items():
                if command.group != group:
                    continue
                text += [f"### {name}", "", naming(summary(command), flagged), ""]
                for option in options(command):
                    names = ", ".join(f"`{flag}`" for flag in flags(option)) or f"`{metavar(option)}`"
                    text += [names, f": {naming(option.help, flagged)}", ""]
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)


def flagged(name: str) -> str:
    """A setting as the command line writes it."""
    return f"`--{name.replace('_', '-')}`"


class Recipes(SphinxDirective):
    """Every recipe with what it says of itself."""

    def run(self) -> list[nodes.Node]:
        from genwerk.recipes import REGISTRY

        text = ["| recipe | what it is |", "|---|---|"]
        text += [f"| `{name}` | {(entry.make.__doc__ or '').splitlines()[0]} |" for name, entry in REGISTRY.items()]
        return self.parse_text_to_nodes("\n".join(text))


class Promises(SphinxDirective):
    """Every promise that check-family asks for, what it means and what usually mends it."""

    def run(self) -> list[nodes.Node]:
        from genwerk.testing.contract import PROMISES, explained

        text: list[str] = []
        for name in PROMISES:
            meaning, remedy = (said.replace("``", "`") for said in explained(name))
            text += [name, f": {meaning}", f": *Remedy:* {remedy}", ""]
        return self.parse_text_to_nodes("\n".join(text))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.add_directive("genwerk-commands", Commands)
    app.add_directive("genwerk-recipes", Recipes)
    app.add_directive("genwerk-promises", Promises)
    app.connect("autodoc-process-docstring", escape)
    app.connect("source-read", point_to_reports)
    app.connect("source-read", join_lines)
    app.connect("doctree-resolved", open_reports)
    app.connect("html-page-context", add_language, priority=900)
    app.connect("build-finished", add_entrance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
