"""One studio and one browser for all tests of the page, and somebody in front of it for each; one server for all tests
of what it answers; and each run that they use trained once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, PATIENCE, Visitor, studio
from server import Client, Learnt
from trained import Trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def served_root(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """The folder of the server, beside which there is a secret."""
    folder = tmp_path_factory.mktemp("served") / "root"
    trained.into(folder, "vae", "ring")
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "link").symlink_to(folder.parent)
    return folder


@pytest.fixture(scope="session")
def client(served_root: Path) -> Iterator[Client]:
    with Client(served_root) as found:
        yield found


@pytest.fixture(scope="session")
def learnt(client: Client) -> Learnt:
    """A training that the server has been through."""
    return Learnt.by(client)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """The folder of the studio that browsers open."""
    folder = tmp_path_factory.mktemp("studio")
    trained.into(folder, "vae", "pixelcnn", "style", "poems", "ring")
    return folder


@pytest.fixture(scope="session")
def address(root: Path) -> Iterator[str]:
    with studio(root) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    reason = "Playwright drives the browser: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    playwright.expect.set_options(timeout=PATIENCE)
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
