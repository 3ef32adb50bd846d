"""Answers to requests: JSON, files and archives, and in place of what cannot be a sentence with its status."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response

from genwerk.core.errors import BadInput, Unwritable, reason
from genwerk.studio.places import SHOWN, kind_of
from genwerk.studio.wording import LANGUAGES, language, page_said, said
from genwerk.studio.workers import Full, Lost, Refused

REPORT = "report.html"
"""The page of a comparison, which is given out in the language of whoever asks."""
ARCHIVE = 4 * 10**9
"""Bytes of files that are saved as one archive, at most."""
FILE = "default-src 'none'; sandbox"
PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; media-src data: 'self'; sandbox"
"""What a file, and a page that a command wrote, may do in a browser."""
Answer = Callable[[Request], Awaitable[Response]]


class Misnamed(BadInput):
    """A run cannot be called so."""

    @property
    def settings(self) -> tuple[str, ...]:
        return ("out",)


class Denied(Exception):
    """A request that is refused: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def answering(answer: Answer) -> Answer:
    """``answer``, where what cannot be is told in a sentence."""

    async def told(request: Request) -> Response:
        settings: Sequence[str] = ()
        try:
            return await answer(request)
        except Denied as error:
            status, sentence = error.status, str(error)
        except Full as error:
            status, sentence = 429, str(error)
        except Unwritable as error:
            status, sentence = (
                507,
                f"a file cannot be read or written: {str(error).rpartition(': ')[2].partition(';')[0]}",
            )
        except (BadInput, Refused) as error:
            status, sentence, settings = 400, str(error), error.settings
        except Lost as error:
            status, sentence = 503, str(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except OSError as error:
            status, sentence = 507, f"a file cannot be read or written: {reason(error)}"
        sentence = sentence.replace(f"{request.app.state.root}/", "")
        told = {"error": said(sentence, asked_language(request)), "settings": [*settings]}
        return JSONResponse(told, status)

    return told


def asked_language(request: Request) -> str:
    """The language of whoever asks: that of the query, for a stream has no headers of its own, or the browser's."""
    return language(request.query_params.get("lang") or request.headers.get("accept-language", ""))


def query(request: Request, name: str) -> str:
    """A parameter that must be there."""
    if not (value := request.query_params.get(name)):
        raise BadInput(f"‹{name}› is lacking")
    return value


async def body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent."""
    return parsed_json(await request.body())


def parsed_json(text: str | bytes) -> dict[str, Any]:
    """``text`` as a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("what was sent is no JSON") from None
    if not isinstance(found, dict):
        raise BadInput("what was sent is no JSON object")
    if not encodable(found):
        raise BadInput("what was sent holds half of a character, which no text has")
    return found


def encodable(text: object) -> bool:
    """Whether all texts in plain JSON can be written as UTF-8: half of a pair of surrogates cannot."""
    try:
        json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def given_out(path: Path, request: Request) -> Response:
    """A file: shown where it is a picture, a sound or a page, whose scripts are not run, else to be saved."""
    kind = kind_of(path)
    shown = kind in ("image", "sound", "page") and "save" not in request.query_params
    headers = {"Content-Security-Policy": PAGE if kind == "page" else FILE, "Cache-Control": "private, max-age=0"}
    if kind == "page":
        headers["X-Frame-Options"] = "SAMEORIGIN"
    media = None if shown else "application/octet-stream"
    disposition = "inline" if shown else "attachment"
    if path.name == REPORT and (spoken := asked_language(request)) != LANGUAGES[0]:
        report = page_said(path.read_text("utf-8", "surrogateescape"), spoken).encode("utf-8", "surrogateescape")
        named = {"Content-Disposition": f'{disposition}; filename="{REPORT}"'}
        return Response(report, headers=headers | named, media_type=media or "text/html")
    return FileResponse(
        path, headers=headers, media_type=media, filename=path.name, content_disposition_type=disposition
    )


def zipped(folder: Path, path: Path) -> None:
    """Write the files in ``folder`` that may be given out into one archive; a BadInput where there are none."""
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.suffix.lower() in SHOWN]
    if not files:
        raise BadInput("there is no file to be saved")
    if sum(each.stat().st_size for each in files) > ARCHIVE:
        raise BadInput(f"these are more than {ARCHIVE // 10**9} GB; save them one by one")
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        for each in files:
            if each.resolve().is_relative_to(folder.resolve()):
                archive.write(each, each.relative_to(folder))
