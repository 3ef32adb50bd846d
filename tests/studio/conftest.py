"""One studio and one browser for all tests of the page, and somebody in front of it for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, PICTURES, Visitor, make_runs, studio

LONGER = 40
"""How many times as long runs are trained whose pictures are to be shown."""


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    make_runs(folder, LONGER if PICTURES else 1)
    return folder


@pytest.fixture(scope="session")
def address(root: Path) -> Iterator[str]:
    with studio(root) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = "Playwright drives the browser: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def visitor(browser: Any, address: str) -> Iterator[Visitor]:
    found = Visitor(browser, address)
    yield found
    found.context.close()
    assert not found.complaints
