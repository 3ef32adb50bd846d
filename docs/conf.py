"""How the documentation site is built: ``make docs``, or ``sphinx-build -W -c docs . docs/_build/html``.

The source folder is the whole repository, so that a link between pages is the same file path here and on GitHub.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import genwerk  # noqa: E402

project = "Genwerk"
author = "the Genwerk authors"
copyright = "the Genwerk authors"
version = release = genwerk.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "pages"]
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/*.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [
    *(".*", "**/.*", "**/__pycache__", "docs/_*", "docs/reports/**", "docs/lessons/*.py"),
    *("genwerk", "tests", "runs", "demo", "shared", "build"),
]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
smartquotes = False
suppress_warnings = ["toc.empty_glob"]
default_role = "literal"
html_math_renderer = "mathml"

autodoc_default_options = {"exclude-members": "registry, kinds"}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = "Genwerk"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_copy_source = False
html_show_sphinx = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/language.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
