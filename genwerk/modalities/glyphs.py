"""Plots whose names may be in any script: matplotlib draws them in the installed font that has them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genwerk.core.errors import Caution

FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "PingFang HK", "Hiragino Sans GB", "Heiti TC"),
    *("Microsoft YaHei", "SimHei", "Malgun Gothic", "Yu Gothic", "Arial Unicode MS"),
)
"""Fonts with Chinese, Japanese and Korean signs, as systems have them, by the names that matplotlib knows."""
MISSING = "no installed font has some of the signs of the names in this plot; install one, such as Noto Sans CJK"


@contextmanager
def every_script(*, drawn: bool = True) -> Iterator[None]:
    """Within, text of a plot takes a font of :data:`FAMILIES` where matplotlib's own lacks a sign.

    One Caution says that no font has some, if the plot is ``drawn`` here and not, as text of an SVG, by a browser.
    """
    from matplotlib import rc_context, rcParams
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    families = [*rcParams["font.family"], *(name for name in FAMILIES if name in there)]
    with warnings.catch_warnings(record=True) as caught, rc_context({"font.family": families}):
        warnings.simplefilter("always")
        yield
    lacking = [each for each in caught if "missing from font" in str(each.message)]
    for each in caught:
        if each not in lacking:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if lacking and drawn:
        warnings.warn(Caution(MISSING), stacklevel=3)
