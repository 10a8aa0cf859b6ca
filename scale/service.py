"""The service: workflows as HTTP endpoints, with jobs, their progress and their results."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from ..mimaface_core.checks import from_other_site, names_this_machine
from ..mimaface_core.errors import InputError
from .jobs import Job, Jobs, TooMany
from .openapi import description
from .pairs import FILE_COLUMNS
from .rows import SET

PAGE = Path(__file__).with_name("page.html")
BLOCK_BYTES = 1 << 20
TICK_SECONDS = 0.3  # between two looks at a job that somebody follows
MOST_TEXT_BYTES = 1000  # of a setting
SWEEPS = 10  # looks for results that have expired, in the time that they are kept
_SUFFIX = re.compile(r"\.\w{1,8}", re.ASCII)
_OPEN = ("/", "/openapi.json")  # without a token, and for those who follow a link

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Limits:
    """What clients may do.

    Attributes:
        tokens: token → client; anybody may do anything where there are none.
        upload: bytes of a request.
        quota: jobs of a client that wait or run.
        keep: seconds that a result is kept.
    """

    tokens: Mapping[str, str]
    upload: int
    quota: int
    keep: float


class Service:
    """The endpoints.

    Args:
        jobs: all jobs.
        limits: what clients may do.
    """

    def __init__(self, jobs: Jobs, limits: Limits) -> None:
        self.jobs, self.limits = jobs, limits

    def application(self) -> web.Application:
        """The application, with its routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=self.limits.upload)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/openapi.json", self._openapi),
                web.get("/v1/workflows", self._workflows),
                web.post("/v1/workflows/{workflow}", self._submit),
                web.get("/v1/jobs/{job}", self._job),
                web.delete("/v1/jobs/{job}", self._delete),
                web.get("/v1/jobs/{job}/events", self._events),
                web.get("/v1/jobs/{job}/result", self._result),
            ]
        )
        app.cleanup_ctx.append(self._sweep)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whom a token names, and no other site's pages; refuse in JSON, one sentence."""
        if request.path not in _OPEN and from_other_site(request.headers):
            return _refusal(403, "This service answers to its own page and to programs, not to other sites' pages.")
        if not self.limits.tokens and not names_this_machine(request.host):
            return _refusal(403, "This service answers to this machine only; start it with --tokens for others.")
        if self._client(request) is None and request.path not in _OPEN:
            return _refusal(401, "This service needs a token; send it as `Authorization: Bearer TOKEN`.")
        try:
            return await handler(request)
        except InputError as refused:
            return _refusal(400, str(refused))
        except web.HTTPException as error:
            return _refusal(error.status, f"{error.text or error.reason}")

    def _client(self, request: web.Request) -> str | None:
        if not self.limits.tokens:
            return "anybody"
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip().encode()
        known = [client for token, client in self.limits.tokens.items() if hmac.compare_digest(token.encode(), given)]
        return known[0] if known else None

    async def _sweep(self, _: web.Application) -> Any:
        async def sweep() -> None:
            while True:
                self.jobs.expire(self.limits.keep)
                await asyncio.sleep(max(TICK_SECONDS, self.limits.keep / SWEEPS))

        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def _openapi(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(description(self.jobs.workflows))

    async def _workflows(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.jobs.workflows)

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        workflow, key = request.match_info["workflow"], request.headers.get("Idempotency-Key", "")
        if workflow not in self.jobs.workflows:
            known = ", ".join(self.jobs.workflows)
            return _refusal(404, f"There is no workflow {workflow}; there are {known}.")
        folder, new = self.jobs.upload_folder(), False
        try:
            values, summed = await self._read(request, folder)
            digest = hashlib.sha256(json.dumps([workflow, sorted(summed.items())]).encode()).hexdigest()
            asked = (self._client(request) or "", key, {"graph": workflow, **values}, digest, self.limits.quota)
            job, new = await asyncio.to_thread(self.jobs.submit, *asked)
        except TooMany as refused:
            return _refusal(429, str(refused), {"Retry-After": "10"})
        except KeyError:
            return _refusal(409, f"The Idempotency-Key {key} belongs to another request; choose a new one.")
        finally:
            if not new:
                shutil.rmtree(folder, ignore_errors=True)
        headers = {"Location": f"/v1/jobs/{job.id}"}
        return web.json_response(self._told(job), status=202 if new else 200, headers=headers)

    async def _read(self, request: web.Request, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
        """The parts of a request: values of the row, and a digest of each. Files are written as they come."""
        if not request.content_type.startswith("multipart/"):
            raise InputError("The request is no form with files; send multipart/form-data.")
        values: dict[str, str] = {}
        summed: dict[str, str] = {}
        left = self.limits.upload
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise InputError("A part of the form has no name; name it source, driver, audio or set.TITLE.INPUT.")
            if part.name in FILE_COLUMNS:
                suffix = Path(part.filename or "").suffix
                path = folder / f"{part.name}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
                summed[part.name], size = await _write(part, path, left)
                values[part.name], left = str(path), left - size
            elif part.name.startswith(SET):
                text = (await part.read_chunk(MOST_TEXT_BYTES)).decode("utf-8", "replace")
                values[part.name] = summed[part.name] = text
            else:
                raise InputError(
                    f"The form has a part '{part.name}'; parts are source, driver, audio, set.TITLE.INPUT."
                )
        return values, summed

    async def _job(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._told(self._find(request)))

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if not job.over:
            return _refusal(409, "The job is not over; delete it when it is.")
        self.jobs.remove(job)
        return web.Response(status=204)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The states of a job as server-sent events, to its end."""
        job, last = self._find(request), ""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        while True:
            over, text = job.over, json.dumps(self._told(job))
            if text != last:
                await answer.write(f"event: {job.state}\ndata: {text}\n\n".encode())
            last = text
            if over:
                return answer
            await asyncio.sleep(TICK_SECONDS)

    async def _result(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        path = self.jobs.result(job) if job.state == "done" else None
        if path is None:
            return _refusal(409, job.reason or f"The job is {job.state}; ask again when it is done.")
        return web.FileResponse(path, headers={"Content-Disposition": f'inline; filename="{path.name}"'})

    def _find(self, request: web.Request) -> Job:
        job = self.jobs.of(self._client(request) or "", request.match_info["job"])
        if job is None:
            raise web.HTTPNotFound(text="There is no such job of yours; it may have expired.")
        return job

    def _told(self, job: Job) -> dict[str, Any]:
        told: dict[str, Any] = {"id": job.id, "workflow": job.values["graph"], "state": job.state}
        if job.state == "queued":
            told["before"] = self.jobs.before(job)
        if job.reason:
            told["reason"] = job.reason
        if job.state == "done":
            told["result"] = f"/v1/jobs/{job.id}/result"
        return told


async def _write(part: BodyPartReader, path: Path, most: int) -> tuple[str, int]:
    """Write a file as it comes; its SHA-256 and size. Raises HTTPRequestEntityTooLarge above `most` bytes."""
    summed, size = hashlib.sha256(), 0
    file = await asyncio.to_thread(open, path, "wb")
    with file:
        while block := await part.read_chunk(BLOCK_BYTES):
            size += len(block)
            if size > most:
                raise web.HTTPRequestEntityTooLarge(most, text="The files are larger than this service takes.")
            summed.update(block)
            await asyncio.to_thread(file.write, block)
    return summed.hexdigest(), size


def _refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=headers)
