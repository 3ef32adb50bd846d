"""Who may ask, and how: hosts, origins, the password, sizes of requests, and what every answer carries."""

from __future__ import annotations

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from secrets import token_urlsafe

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genwerk.studio.wording import language, said

COOKIE = "genwerk_studio"
OPEN = frozenset({"/", "/api/hello", "/api/login"})
"""What is answered without the password, beside the files of the page."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self'; font-src 'self'; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""What every answer carries."""
TRIES, WITHIN = 5, 60.0
"""Wrong passwords that may come from one address, and the seconds after which they are forgotten."""
SESSIONS, ADDRESSES = 1_000, 10_000
"""Sessions, and addresses of wrong passwords, that are remembered."""


class Sessions:
    """Who has given the password; without one, everybody has."""

    def __init__(self, password: str | None) -> None:
        self.password = password
        self._known: OrderedDict[str, None] = OrderedDict()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def knows(self, headers: Headers) -> bool:
        """Whether a request comes from someone who has given it."""
        if self.password is None:
            return True
        try:
            token = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return token is not None and token.value in self._known

    def waits(self, address: str) -> bool:
        """Whether too many wrong passwords came from ``address`` just now."""
        now = time.monotonic()
        tries = self._wrong[address] = [each for each in self._wrong.get(address, []) if now - each < WITHIN]
        self._wrong.move_to_end(address)
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
        return len(tries) >= TRIES

    def login(self, address: str, password: str) -> str | None:
        """A token for a cookie, where the password is right."""
        given = password.encode(errors="surrogatepass")
        if self.password is None or not hmac.compare_digest(given, self.password.encode(errors="surrogatepass")):
            self._wrong.setdefault(address, []).append(time.monotonic())
            return None
        token = token_urlsafe(32)
        self._known[token] = None
        while len(self._known) > SESSIONS:
            self._known.popitem(last=False)
        return token


class Guard:
    """Refuses what does not come from the studio's own page, before it reaches the ``app``."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], sessions: Sessions, most: int, upload: int) -> None:
        self.app, self.hosts, self.sessions = app, hosts, sessions
        self.most, self.upload = most, upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        status, why = self.fault(scope)
        wanted = language(Headers(scope=scope).get("accept-language", ""))
        if status:
            sentence = said(why, wanted)
            refused = PlainTextResponse(sentence, status) if scope["path"] == "/" else None
            await (refused or JSONResponse({"error": sentence}, status))(scope, receive, headed)
            return
        limit, read = self.upload if scope["path"] == "/api/uploads" else self.most, 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise TooLarge
            return message

        try:
            await self.app(scope, bounded, headed)
        except TooLarge:
            why = said(f"more than {limit:,} bytes were sent", wanted)
            await JSONResponse({"error": why}, 413)(scope, receive, headed)

    def fault(self, scope: Scope) -> tuple[int, str]:
        """Why a request is refused, with its status; 0 where it is not."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if not self._known_host(host):
            return 400, "the studio is not known by this name"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and path != "/":
            return 403, "this was sent by another site"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, "this was sent by another site"
        if scope["method"] not in ("GET", "HEAD") and headers.get("x-genwerk") != "1":
            return 403, "this was not sent by the studio's page"
        limit = self.upload if path == "/api/uploads" else self.most
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            return 413, f"more than {limit:,} bytes were to be sent"
        if path not in OPEN and not path.startswith("/static/") and not self.sessions.knows(headers):
            return 401, "a password is needed"
        return 0, ""

    def _known_host(self, host: str) -> bool:
        if host.lower() in self.hosts or "*" not in self.hosts:
            return host.lower() in self.hosts
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self.hosts
        return True


class TooLarge(Exception):
    """More bytes came than may."""
