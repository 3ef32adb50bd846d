"""A studio in a process of its own, and a browser in front of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import genwerk

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 120_000
"""Milliseconds that something on a page may take on a busy machine."""


PICTURES = os.environ.get("GENWERK_PICTURES")
"""Folder for the pictures of the page that README and the docs show; none are written without it."""


@contextmanager
def studio(root: Path, password: str = "") -> Iterator[str]:
    """The address of a studio on ``root``, which any machine may reach where there is a ``password``."""
    command = [sys.executable, "-m", "genwerk", "studio", "--root", str(root), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(genwerk.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    if password:
        command, environment = [*command, "--address", "0.0.0.0"], {**environment, "GENWERK_PASSWORD": password}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:
        assert run.stdout is not None
        try:
            said = run.stdout.readline()
            found = re.search(r"http://[\w.]+:\d+", said)
            assert found, said
            yield found.group().replace("0.0.0.0", "127.0.0.1")
        finally:
            for _ in range(2):  # somebody impatient
                run.send_signal(signal.SIGINT)
                time.sleep(0.05)
            try:
                run.wait(PATIENCE / 1000)
            except subprocess.TimeoutExpired:
                run.kill()
            told = run.stdout.read()
            assert "Traceback" not in told, told


class Visitor:
    """A person in front of the page, who hears what the browser complains of."""

    def __init__(self, browser: Any, address: str, width: int = 1280, language: str = "en-GB") -> None:
        self.address, self.complaints = address, list[str]()
        self.context = browser.new_context(viewport={"width": width, "height": 860}, locale=language)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda said: self._heard(said) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)

    def _heard(self, said: Any) -> None:
        self.complaints.append(f"{said.text} ({said.location.get('url')})")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.complaints.append(f"asked {request.url}")

    def open(self, where: str) -> Any:
        """The page at ``where``, once it shows something."""
        self.page.goto(f"{self.address}/#/{where}")
        self.page.locator("main h1").first.wait_for()
        return self.page

    def hears(self, selector: str) -> Callable[[], list[str]]:
        """What gives all that the first element of a ``selector`` has said from now on, however briefly."""
        heard = self.page.evaluate_handle(
            """selector => {
                const heard = [];
                const look = () => {
                    const said = document.querySelector(selector)?.textContent ?? "";
                    if (said && said !== heard.at(-1)) heard.push(said);
                };
                const all = {subtree: true, childList: true, characterData: true};
                new MutationObserver(look).observe(document.body, all);
                look();
                return heard;
            }""",
            selector,
        )
        return lambda: list(heard.json_value())

    def fits(self) -> bool:
        """Whether nothing stands out of the window at the right."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
