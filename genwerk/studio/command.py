"""The command that opens the studio."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

from genwerk.commands.command import TRAINING, AtLeast, Command
from genwerk.commands.results import Note
from genwerk.core.errors import BadInput, BadSetting, reason
from genwerk.runs.session import Session

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""
EVERY = ("0.0.0.0", "::")
"""Addresses that stand for all that this machine has."""
SHORTEST = 8
"""Characters of a password, at least."""


@dataclass(frozen=True, kw_only=True)
class Studio(Command):
    """Open a local web page to train, look, complete, mix, listen, write and compare, without any code.

    It shows the runs below a folder. It is reached from this machine alone, unless --address says otherwise; then it
    takes a password, from the environment variable GENWERK_PASSWORD.
    """

    group = TRAINING

    root: Path = Path()
    """Folder whose runs and data the page shows, and that new runs go into."""
    port: Annotated[int, AtLeast(0)] = 8400
    """Port of the page; where it is taken, the next that is free. 0 takes any."""
    address: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 is all that this machine has."""
    name: tuple[str, ...] = ()
    """Names, such as lab.example.org, by which other machines call the page."""
    upload: Annotated[float, AtLeast(0)] = 2.0
    """Gigabytes that may be handed in at once."""

    def run(self, session: Session) -> Iterator[Note]:
        try:
            import uvicorn

            from genwerk.studio.app import Settings, Studio
        except ImportError as error:
            raise BadInput(f'the studio needs {error.name}; install it: pip install "genwerk[studio]"') from None
        root, password = self.root.expanduser().resolve(), os.environ.get("GENWERK_PASSWORD")
        if not root.is_dir():
            raise BadInput(f"‹root› {self.root} is no folder; make it, or name another")
        if self.address not in LOCAL and (password is None or len(password) < SHORTEST):
            raise BadInput(
                f"whoever reaches {self.address} could use the studio; set a password of {SHORTEST} characters or more "
                "in the environment variable GENWERK_PASSWORD"
            )
        if self.port >= 2**16:
            raise BadSetting("port", f"is {self.port}; expected a whole number from 0 to 65535")
        listening = self._listening()
        port = listening.getsockname()[1]
        names = {
            *LOCAL,
            "[::1]",
            self.address,
            *self.name,
            *([socket.gethostname()] if self.address not in LOCAL else []),
        }
        hosts = {f"{name.lower()}:{port}" for name in names} | {name.lower() for name in self.name}
        hosts |= {"*"} if self.address in EVERY else set()
        settings = Settings(root, frozenset(hosts), password, int(self.upload * 1e9))
        if self.port not in (0, port):
            yield Note(f"port {self.port} is taken", whole=True)
        shown = "localhost" if self.address in LOCAL else self.address
        shown = own_address() if self.address in EVERY else f"[{shown}]" if ":" in shown else shown
        yield Note(f"the studio is at http://{shown}:{port} (Ctrl-C ends it)", whole=True)

        class Server(uvicorn.Server):
            """Ends at the first signal, in good order whatever signals follow."""

            def handle_exit(self, sig: int, frame: FrameType | None) -> None:
                if not self.should_exit:
                    super().handle_exit(sig, frame)

        Server(
            uvicorn.Config(
                Studio(settings).app(),
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=2**16,
            )
        ).run([listening])

    def _listening(self) -> socket.socket:
        """A socket at the first free port from the one that was asked for."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        for port in range(self.port, min(self.port + 50, 2**16)) if self.port else (0,):
            found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # of which asyncio knows: no delay
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind((self.address, port))
                found.listen()  # so that whoever comes at once waits and is not refused
            except (OSError, OverflowError) as error:
                found.close()
                if isinstance(error, OSError) and error.errno == 98:
                    continue
                why = reason(error) if isinstance(error, OSError) else str(error)
                raise BadInput(f"the studio cannot listen at {self.address}, port {port}: {why}") from None
            return found
        raise BadInput(f"no port from {self.port} on is free; name another with ‹port›")


def own_address() -> str:
    """The address by which others reach this machine: that it would send from, or its name where it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address of nobody; nothing is sent
        except OSError:
            return socket.gethostname()
        return str(asking.getsockname()[0])
