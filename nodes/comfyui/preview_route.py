"""Routes of the editor: previews of a source that a run has put in memory, the list of controls, and presets."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

from aiohttp import web
from PIL import Image

from ...mimaface_core.ahead import compute_with
from ...mimaface_core.checks import from_other_site
from ...mimaface_core.errors import InputError
from ...mimaface_core.morphable.bundled.controls import controls_for_page
from ...mimaface_core.morphable.bundled.edit_value import EditValue
from ...mimaface_core.morphable.bundled.presets import presets_for_page
from ...mimaface_core.motion.json_value import finite, read_object
from ...mimaface_core.preview import SIZES
from ..previews import PreviewStore

MOST_BYTES = 65536  # of a request
BODY_SECONDS = 10.0  # in which a request has to come in
REQUESTS_A_SECOND, BURST = 60.0, 120.0  # of one address
MOST_ADDRESSES = 256  # whose rate is remembered
MOST_WAITING = 32  # requests of all pages together
LONGEST_KEY = 64  # characters of keys and of a page's name
JPEG_QUALITY = 85
HANDLES_HEADER = "X-MIMAFace-Handles"
DEFAULT_SIZE = 256

Drawing = tuple[bytes, str]  # a JPEG, and the handles as JSON


class Refused(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class NewestFirst:
    """Draws off the event loop, one at a time; of one editor only the newest request waits."""

    def __init__(self) -> None:
        # one thread of PyTorch: shared out, work as small as previews costs more, and takes more from a run
        self._executor = ThreadPoolExecutor(1, "mimaface-preview", compute_with, (1,))
        self._waiting: OrderedDict[Any, tuple[asyncio.Future[Drawing], Callable[[], Drawing]]] = OrderedDict()
        self._pump: asyncio.Task[None] | None = None

    async def draw(self, editor: Any, work: Callable[[], Drawing]) -> Drawing:
        """The result of `work`. Raises Refused where a newer request of the same editor, or too many others, came."""
        older = self._waiting.pop(editor, None)
        if older is not None and not older[0].done():
            older[0].set_exception(Refused(409, "A newer request took this one's place."))
        if len(self._waiting) >= MOST_WAITING:
            raise Refused(429, "Too many previews are waiting; try again in a moment.")
        result: asyncio.Future[Drawing] = asyncio.get_running_loop().create_future()
        self._waiting[editor] = result, work
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._work_off())
        return await result

    async def _work_off(self) -> None:
        while self._waiting:
            _, (result, work) = self._waiting.popitem(last=False)
            if result.done():  # the page has gone
                continue
            try:
                drawn = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            except Exception as error:  # noqa: BLE001 - the request that asked answers it
                if not result.done():
                    result.set_exception(error)
            else:
                if not result.done():
                    result.set_result(drawn)


class Rate:
    """A bucket of requests for each address, which fills evenly."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # address → requests left, at a time

    def take(self, address: str) -> None:
        """Count a request. Raises Refused where the bucket is empty."""
        now = time.monotonic()
        left, then = self._buckets.pop(address, (BURST, now))
        left = min(BURST, left + (now - then) * REQUESTS_A_SECOND)
        self._buckets[address] = (max(left - 1, 0), now)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        if left < 1:
            raise Refused(429, "Too many previews were asked for; try again in a moment.")


def check_origin(request: web.Request) -> None:
    """Raises Refused for a request that a page of another origin makes."""
    if from_other_site(request.headers):
        raise Refused(403, "Previews are drawn for ComfyUI's own page only.")


async def read_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused or InputError for anything else."""
    if request.content_type != "application/json":
        raise Refused(415, "A preview is asked for by JSON; set the content type application/json.")
    body = bytearray()

    async def read() -> None:
        async for chunk in request.content.iter_chunked(MOST_BYTES):
            body.extend(chunk)
            if len(body) > MOST_BYTES:
                raise Refused(413, f"A preview is asked for by at most {MOST_BYTES // 1024} kB.")

    try:
        await asyncio.wait_for(read(), BODY_SECONDS)
    except asyncio.TimeoutError as error:
        raise Refused(408, "The request did not come in whole; send it again.") from error
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "The request is no JSON in UTF-8.") from error
    return read_object(text, "request", ("source", "edit", "size", "client"))


def _word(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY:
        raise InputError(f"{name} must be a text of at most {LONGEST_KEY} characters.")
    return value


class EditorRoutes:
    """The answers of the routes.

    Args:
        store: of the sources.
    """

    def __init__(self, store: PreviewStore) -> None:
        self._store, self._queue, self._rate = store, NewestFirst(), Rate()

    async def preview(self, request: web.Request) -> web.Response:
        """A JPEG of an edited source; the handles' places are in a header."""
        try:
            check_origin(request)
            self._rate.take(request.remote or "")
            data = await read_body(request)
            key = _word(data.get("source"), "source")
            client = _word(data.get("client", "page"), "client")
            size = int(finite(data.get("size", DEFAULT_SIZE), "size", *SIZES))
            value = EditValue.read(data.get("edit", {}))
            try:
                preview = self._store.preview(key)
            except InputError as error:
                raise Refused(404, str(error)) from error

            def draw() -> Drawing:
                image, handles = preview.draw(value, size)
                file = BytesIO()
                Image.fromarray(image.numpy()).save(file, "JPEG", quality=JPEG_QUALITY)
                return file.getvalue(), json.dumps(handles)

            picture, handles = await self._queue.draw((key, client), draw)
        except Refused as refused:
            return _fault(refused.status, str(refused))
        except InputError as error:
            return _fault(400, str(error))
        headers = {HANDLES_HEADER: handles, "Cache-Control": "no-store"}
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)

    async def controls(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp hands it over
        """All controls with their groups, ranges and tooltips."""
        return web.json_response(controls_for_page())

    async def presets(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp hands it over
        """Ready edits by name."""
        return web.json_response(presets_for_page())


def _fault(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


def add_editor_routes(routes: web.RouteTableDef, store: PreviewStore) -> None:
    """Add the editor's routes to a server's, and let the store keep sources for them."""
    answers = EditorRoutes(store)
    routes.post("/mimaface/preview")(answers.preview)
    routes.get("/mimaface/controls")(answers.controls)
    routes.get("/mimaface/presets")(answers.presets)
    store.active = True
