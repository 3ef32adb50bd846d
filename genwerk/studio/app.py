"""The server of the page: what it answers, and nothing of what a model is; that is asked of worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from secrets import token_hex
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from genwerk import __version__
from genwerk.core.errors import BadInput
from genwerk.core.locks import holder, lock_folder, only_writer
from genwerk.studio.answers import (
    Answer,
    Denied,
    Misnamed,
    answering,
    asked_language,
    body,
    given_out,
    parsed_json,
    query,
    zipped,
)
from genwerk.studio.events import lines, stream
from genwerk.studio.guard import COOKIE, Guard, Sessions
from genwerk.studio.jobs import OVER, TAKEN, Job, Jobs
from genwerk.studio.offered import offered
from genwerk.studio.places import BIN, PREFIX, Root
from genwerk.studio.uploads import FILES, PIXELS, Uploads
from genwerk.studio.wording import said, worded
from genwerk.studio.workers import Worker

POINTS = ("latent", "axes", "codes", "direction", "film", "styled")
"""Questions about points of a latent space, which are answered at once."""
STATIC = Path(__file__).parent / "static"
BODY = 2**20
"""Bytes of a request that is no upload, at most."""
BLOCK = 2**20


@dataclass(frozen=True)
class Settings:
    """What a studio is opened with."""

    root: Path
    """Folder whose runs and data it shows."""
    hosts: Collection[str]
    """Names, with their ports, by which browsers may call it; "*" stands for every number of an address."""
    password: str | None = None
    upload: int = 2 * 2**30
    """Bytes that may be handed in at once."""


class Studio:
    """One studio: its folder, its workers, and what was asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.root = settings, Root(settings.root)
        self.sessions = Sessions(settings.password)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = lock_folder(self.folder)
        self.asking, self.drawing = Worker(settings.root), Worker(settings.root)
        """Two workers, so that a latent is drawn at once while another reads a large folder of data."""
        self.jobs = Jobs(settings.root, self.folder, self.asking)
        self.uploads = Uploads(self.folder, settings.upload)
        self._warming: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """While inside, it works; what is left of it in the end are runs."""
        self.jobs.start()
        await asyncio.to_thread(remove_folders_of_the_dead)
        await self.asking.start()
        try:
            yield
        finally:
            await self.jobs.close()
            await self.asking.close()
            await self.drawing.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()

    def app(self) -> Starlette:
        """What a server runs."""
        routes = [
            Route("/", self.page),
            Route("/api/hello", self.hello),
            Route("/api/login", answering(self.login), methods=["POST"]),
            *(
                Route(f"/api/{name}", answering(self.question(name)))
                for name in ("commands", "builtin", "reading", "optimising")
            ),
            Route("/api/front", answering(self.front)),
            Route("/api/recipes", answering(self.recipes)),
            Route("/api/recipe", answering(self.recipes)),
            Route("/api/runs", answering(self.runs)),
            Route("/api/run", answering(self.run), methods=["GET", "DELETE"]),
            Route("/api/state", answering(self.state)),
            Route("/api/stop", answering(self.stop), methods=["POST"]),
            Route("/api/name", answering(self.name)),
            Route("/api/free", answering(self.free)),
            Route("/api/undo", answering(self.undo), methods=["POST"]),
            Route("/api/example", answering(self.example)),
            Route("/api/events", answering(self.events)),
            Route("/api/file", answering(self.file)),
            Route("/api/uploads", answering(self.upload), methods=["POST"]),
            Route("/api/upload", answering(self.uploaded)),
            Route("/api/jobs", answering(self.job_list), methods=["GET", "POST", "DELETE"]),
            Route("/api/job", answering(self.job_events)),
            Route("/api/jobfile", answering(self.job_file)),
            Route("/api/zip", answering(self.zip)),
            *(Route(f"/api/{name}", answering(self.point(name)), methods=["POST"]) for name in POINTS),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        guard = Middleware(
            Guard, hosts=self.settings.hosts, sessions=self.sessions, most=BODY, upload=self.settings.upload
        )
        app = Starlette(routes=routes, middleware=[guard], lifespan=self.running)
        app.state.root = self.root.path
        return app

    # --- the page and the password ------------------------------------------------------------------------------------

    async def page(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def hello(self, request: Request) -> Response:
        limits = {"bytes": self.settings.upload, "pixels": PIXELS, "files": FILES}
        login = not self.sessions.knows(request.headers)
        name = {} if login else {"root": self.settings.root.name}
        return JSONResponse({"version": __version__, "login": login, "limits": limits, **name})

    async def login(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if self.sessions.waits(address):
            raise Denied(429, "too many wrong passwords; wait a minute")
        try:
            given = (await body(request)).get("password")
        except BadInput:  # which is no password either, and counts as a try
            given = None
        token = self.sessions.login(address, given if isinstance(given, str) else "")
        if token is None:
            raise Denied(401, "the password is wrong")
        response = Response(status_code=204)
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
        return response

    # --- what there is ------------------------------------------------------------------------------------------------

    def question(self, name: str) -> Answer:
        async def answer(request: Request) -> Response:
            return JSONResponse(worded(await self.asking.ask(name), asked_language(request)))

        return answer

    async def recipes(self, request: Request) -> Response:
        """All recipes, or one, fitted to the data that the query names: ``data`` or ``upload``, read as ``options``
        say, which is JSON: the ``values`` of settings of the data, and the ``uploads`` that stand for some."""
        query = request.query_params
        asked = parsed_json(query.get("options", "{}"))
        values, uploads = (asked.get(name) or {} for name in ("values", "uploads"))
        if not isinstance(values, Mapping) or not isinstance(uploads, Mapping):
            raise BadInput("‹options› are no settings of data")
        values = dict(values) | ({"data.source": query["data"]} if "data" in query else {})
        uploads = dict(uploads) | ({"data.source": query["upload"]} if "upload" in query else {})
        source = self.root.named(values, {name: self.uploads.get(str(id)).path for name, id in uploads.items()})
        asked_for = {"source": source or None} | ({"name": query["name"]} if "name" in query else {})
        found = await self.asking.ask("recipe" if "name" in query else "recipes", **asked_for)
        return JSONResponse(worded(found, asked_language(request)))

    async def runs(self, request: Request) -> Response:
        return JSONResponse(worded(await self.asking.ask("runs", ended=self.jobs.ended()), asked_language(request)))

    async def run(self, request: Request) -> Response:
        name = query(request, "run")
        path = self.root.run(name)
        if request.method == "GET":
            found = await self.asking.ask("run", run=name, ended=self.jobs.ended().get(name, 0.0))
            if found["latent"] or "styles" in found["abilities"]:  # whose pictures will be asked for next
                self._warming = asyncio.create_task(self.drawing.start())
            return JSONResponse(worded(found, asked_language(request)))
        if self.jobs.training(name) is not None:
            raise Denied(409, "this run is being trained; stop it first")
        token = token_hex(8)
        place = self.root.path / BIN / token
        with only_writer(path):
            place.mkdir(parents=True)
            (place / "name").write_text(name, "utf-8")
            path.rename(place / "run")
        return JSONResponse({"undo": token})

    async def state(self, request: Request) -> Response:
        name = query(request, "run")
        self.root.run(name)
        found = await self.asking.ask("state", run=name, ended=self.jobs.ended().get(name, 0.0))
        return JSONResponse(worded(found, asked_language(request)))

    async def stop(self, request: Request) -> Response:
        """Stop the training of a run, whoever has started it; it saves, and can be resumed."""
        name = (await body(request)).get("run")
        path = self.root.run(str(name))
        if (job := self.jobs.training(str(name))) is not None:
            self.jobs.cancel(job)
        elif (process := holder(path)) is None or process == os.getpid():
            raise BadInput("no process of this machine trains this run any more")
        else:
            os.kill(process, signal.SIGTERM)
        return Response(status_code=204)

    async def name(self, request: Request) -> Response:
        """Why a new run cannot be called so; None where it can."""
        try:
            self.named({"out": request.query_params.get("out", "")})
        except Misnamed as error:
            return JSONResponse({"error": said(str(error), asked_language(request))})
        return JSONResponse({"error": None})

    async def free(self, request: Request) -> Response:
        """The name of the query, or the next one by number, of which there is no folder and that no job is to write."""
        name = query(request, "out")
        written = {each.values.get("out") for each in self.jobs.every.values() if each.state not in OVER}
        every = chain([name], (f"{name}-{i}" for i in count(2)))
        return JSONResponse({"out": next(each for each in every if each not in written and self.unused(each))})

    def unused(self, name: str) -> bool:
        """Whether there is nothing called ``name`` below the root, or an empty folder."""
        path = self.root.inside(name)
        return not path.exists() or empty(path)

    async def undo(self, request: Request) -> Response:
        token = (await body(request)).get("undo")
        if not isinstance(token, str) or not token.isalnum() or not (place := self.root.path / BIN / token).is_dir():
            raise BadInput("there is nothing to bring back")
        name = (place / "name").read_text("utf-8")
        path = self.root.new(name)
        if path.exists():
            raise BadInput("there is a run of that name again; rename it first")
        path.parent.mkdir(parents=True, exist_ok=True)
        (place / "run").rename(path)
        shutil.rmtree(place)
        return JSONResponse({"run": name})

    async def front(self, request: Request) -> Response:
        """The Pareto front of a problem, where it is known."""
        numbers = {name: request.query_params.get(name) for name in ("variables", "objectives")}
        if not all(each is None or (each.isdecimal() and len(each) < 6) for each in numbers.values()):
            raise BadInput("the numbers of variables and objectives are whole")
        of = {name: each and int(each) for name, each in numbers.items()}
        return JSONResponse(await self.asking.ask("front", problem=query(request, "problem"), **of))

    async def file(self, request: Request) -> Response:
        folder = self.root.inside(query(request, "run"))
        return given_out(self.root.file(folder, query(request, "name")), request)

    async def example(self, request: Request) -> Response:
        row = request.query_params.get("row", "0")
        if not row.isdecimal() or len(row) > 9:
            raise BadInput("‹row› is no number of a row")
        return JSONResponse(await self.drawing.ask("example", run=query(request, "run"), row=int(row)))

    async def events(self, request: Request) -> Response:
        """The event log of a run from its line ``after``, as long as somebody writes it."""
        name, after = (
            query(request, "run"),
            request.headers.get("last-event-id") or request.query_params.get("after", "0"),
        )
        if not after.isdecimal():
            raise BadInput("‹after› is no number of a line")
        log = self.root.run(name) / "events.jsonl"
        return stream(request, lines(log, int(after), lambda: self.jobs.training(name) is not None))

    # --- files that are handed in -------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        async def files() -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
            async with request.form(max_files=FILES, max_fields=10) as form:
                for _, value in form.multi_items():
                    if isinstance(value, UploadFile):
                        yield value.filename or "", blocks(value)

        async def blocks(file: UploadFile) -> AsyncIterator[bytes]:
            while block := await file.read(BLOCK):
                yield block

        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise BadInput("no file was handed in")
        found = await self.uploads.take(files())
        pictures = [{"upload": found.id, "name": name} for name in found.about["thumbnails"]]
        about = {key: value for key, value in found.about.items() if key != "thumbnails"}
        name = found.names[0] if len(found.names) == 1 else f"{len(found.names):,}"
        return JSONResponse({"upload": found.id, "name": name, **about, "thumbnails": pictures})

    async def uploaded(self, request: Request) -> Response:
        upload, name = self.uploads.get(query(request, "upload")), query(request, "name")
        if name in upload.about["thumbnails"]:
            return given_out(upload.folder / name, request)
        if name in upload.names:
            return given_out(upload.folder / "files" / name, request)
        raise BadInput("there is no such file")

    # --- what is computed ---------------------------------------------------------------------------------------------

    async def job_list(self, request: Request) -> Response:
        if request.method == "GET":
            told, language = [self.about(job) for job in reversed(self.jobs.every.values())], asked_language(request)
            return JSONResponse([{**each, "error": each["error"] and said(each["error"], language)} for each in told])
        if request.method == "DELETE":
            self.jobs.cancel(self.job(request))
            return Response(status_code=204)
        asked = await body(request)
        command, run, values, uploads = (asked.get(name) for name in ("command", "run", "values", "uploads"))
        if (
            not isinstance(command, str)
            or not isinstance(values or {}, Mapping)
            or not isinstance(uploads or {}, Mapping)
        ):
            raise BadInput("what was sent is no command with its settings")
        offered(command)
        if run is not None:
            self.root.run(str(run))
        if command == "train":
            self.named(values or {})
        given = {str(name): self.uploads.get(str(id)) for name, id in (uploads or {}).items()}
        if command == "train":
            if (values or {}).get("resume") is not True:
                there = {name: str(each.path) for name, each in given.items()}
                await self.asking.ask("trained", values=values or {}, uploads=there)
            # a run is to find its data again
            kept = {name: await asyncio.to_thread(each.kept, self.root.path) for name, each in given.items()}
            paths = {name: str(path.relative_to(self.root.path)) for name, path in kept.items()}
        else:
            paths = {name: str(each.path) for name, each in given.items()}
        job = self.jobs.add(command, None if run is None else str(run), dict(values or {}), paths)
        return JSONResponse({"job": job.id})

    def named(self, values: Mapping[str, Any]) -> None:
        """Refuse a training whose run cannot be called so, while the form that says it is still there."""
        name = str(values.get("out", ""))
        try:
            path, resumed = self.root.new(name), values.get("resume") is True
        except BadInput as error:
            raise Misnamed(error.sentence) from None
        if self.jobs.training(name) is not None:
            raise Misnamed(TAKEN)
        if resumed:
            if holder(self.root.run(name)) is not None:
                raise Misnamed("another process trains this run; stop it first")
        elif (path / "config.json").exists():
            raise Misnamed(f"there is a run {name} already; choose another name, or resume that one")
        for each in path.parents[: len(Path(name).parts) - 1]:
            if (each / "config.json").exists():
                raise Misnamed(f"{each.name} is a run, and a run is not put into another; choose another name")
            if each.exists() and not each.is_dir():
                raise Misnamed(f"{each.name} is a file; choose another name")
        if path.exists() and not (resumed or empty(path)):
            raise Misnamed(f"there is a folder or a file {name} already, which is no run; choose another name")

    def about(self, job: Job) -> dict[str, Any]:
        """What a list tells of a job."""
        run = job.values.get("out") if job.training else job.run
        stands = {"state": job.stands, "place": self.jobs.place(job), "error": job.error}
        made = {"made": job.made, "training": job.training, "shows": self.jobs.shows(job)}
        return {"job": job.id, "command": job.command, "run": run, **made, **stands}

    def job(self, request: Request) -> Job:
        """The job of the query."""
        if (job := self.jobs.every.get(query(request, "job"))) is None:
            raise BadInput("this job is not known any more")
        return job

    async def job_events(self, request: Request) -> Response:
        """All that a job tells, from its beginning."""
        job = self.job(request)

        async def told() -> AsyncIterator[str]:
            async for each in self.jobs.listen(job):
                if each["type"] == "file" and "url" not in each:
                    each = {**each, "url": {"job": job.id, "name": each["name"]}}
                yield f"data: {json.dumps(worded(each, asked_language(request)))}\n\n"

        return stream(request, told())

    async def job_file(self, request: Request) -> Response:
        job, name = self.job(request), query(request, "name")
        path = (job.folder / name).resolve()
        if not path.is_relative_to(job.folder.resolve()) or not path.is_file():
            raise BadInput("there is no such file")
        return given_out(path, request)

    async def zip(self, request: Request) -> Response:
        """The files of a job, or the samples of a run, as one archive."""
        if "job" in request.query_params:
            job = self.job(request)
            folder, name = job.folder, job.command
        else:
            folder = self.root.run(query(request, "run"))
            folder, name = folder / "samples", folder.name
        path = self.folder / f"{token_hex(8)}.zip"
        await asyncio.to_thread(zipped, folder, path)
        ends = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, media_type="application/zip", filename=f"{name}.zip", background=ends)

    def point(self, name: str) -> Answer:
        async def answer(request: Request) -> Response:
            asked = await body(request)
            self.root.run(str(asked.get("run", "")))
            if (upload := asked.pop("upload", None)) is not None:
                asked["source"] = str(self.uploads.get(str(upload)).path)
            elif "source" in asked:
                self.root.named({"source": asked["source"]}, {})
            return JSONResponse(await self.drawing.ask(name, **asked))

        return answer


def empty(path: Path) -> bool:
    """Whether ``path`` is a folder in which a run may begin: nothing is in it but files that are not shown."""
    return path.is_dir() and all(each.name.startswith(".") for each in path.iterdir())


def remove_folders_of_the_dead() -> None:
    """Remove what studios of this user that were killed left in the folder for temporary files."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            own = os.name != "posix" or each.lstat().st_uid == os.getuid()
            if own and not each.is_symlink() and (each / ".lock").is_file() and holder(each) is None:
                shutil.rmtree(each, ignore_errors=True)
