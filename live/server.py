"""The page of `mimaface live`, and the connection over which a browser sends frames and gets frames back."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import torch
from aiohttp import WSCloseCode, WSMsgType, web
from PIL import Image

from ..mimaface_core.checks import from_other_site, names_this_machine
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.implicit_source import ImplicitSource
from ..mimaface_core.implicit_live import LiveDriver
from ..mimaface_core.implicit_pipeline import encode_implicit
from ..mimaface_core.media.image import read_image
from ..mimaface_core.media.provenance import own_watermark
from ..mimaface_core.packs.implicit_pack import ImplicitPack
from ..mimaface_core.tensors import to_uint8

PAGE = Path(__file__).with_name("page.html")
QUALITY = 88  # of the JPEG frames
MOST_FRAME_BYTES, MOST_PHOTOGRAPH_BYTES = 4 << 20, 64 << 20
MOST_CONNECTIONS = 4

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveServer:
    """A photograph that moves like the face before a browser's camera; for this machine only.

    A browser sends a JPEG, and gets a JPEG; the next one when it has that. So a slow machine drops frames instead of
    falling behind. Each connection follows its own driver, and all of them show the photograph that was chosen last.

    Args:
        pack: a pack for implicit motion.
        source: the first photograph.
    """

    def __init__(self, pack: ImplicitPack, source: ImplicitSource) -> None:
        self.pack, self.source = pack, source
        self._busy = asyncio.Lock()
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The application, with its routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_PHOTOGRAPH_BYTES)
        app.on_shutdown.append(self._close)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/source", self._photograph),
                web.post("/source", self._choose),
                web.get("/frames", self._frames),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in this machine's own pages; refuse in one sentence."""
        foreign = request.path != "/" and from_other_site(request.headers)
        if foreign or not names_this_machine(request.host):
            return _refusal(403, "This page is for the browser of the machine that it runs on.")
        try:
            return await handler(request)
        except InputError as refused:
            return _refusal(400, str(refused))
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"The photograph has more than {MOST_PHOTOGRAPH_BYTES >> 20} MB; scale it down.")
        except web.HTTPException as error:
            return _refusal(error.status, f"{error.text or error.reason}")

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE)

    async def _photograph(self, _: web.Request) -> web.StreamResponse:
        """The photograph's crop."""
        crop = (self.source.crop.permute(1, 2, 0) + 1) / 2
        return web.Response(body=_as_jpeg(crop), content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _choose(self, request: web.Request) -> web.StreamResponse:
        """Take another photograph, the body of the request."""
        data = await request.read()
        async with self._busy:
            self.source = await asyncio.to_thread(_encoded, self.pack, data)
        return web.Response(status=204)

    async def _frames(self, request: web.Request) -> web.StreamResponse:
        """Frames over a websocket: binary messages are JPEGs, the text `rest` takes the driver's pose as at rest."""
        socket = web.WebSocketResponse(max_msg_size=MOST_FRAME_BYTES, heartbeat=20)
        await socket.prepare(request)
        if len(self._open) >= MOST_CONNECTIONS:  # a browser tells its page why a connection closes, not what refused it
            text = f"There are {MOST_CONNECTIONS} pages open already; close one."
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=text.encode())
            return socket
        self._open.add(socket)
        try:
            shown = _Shown(self.pack)
            async for message in socket:
                if message.type == WSMsgType.TEXT and message.data == "rest":
                    shown.rest()
                elif message.type == WSMsgType.BINARY:
                    await self._answer(socket, shown, message.data)
        except ConnectionResetError:  # the page was closed while its frame was drawn
            pass
        finally:
            self._open.discard(socket)
        return socket

    async def _close(self, _: web.Application) -> None:
        """Close what is open, so that the server need not wait for pages that go on sending."""
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"mimaface live was ended.")

    async def _answer(self, socket: web.WebSocketResponse, shown: _Shown, data: bytes) -> None:
        """The next frame, or why there is none, and how long it took."""
        began = time.perf_counter()
        try:
            async with self._busy:
                frame, found = await asyncio.to_thread(shown.next, self.source, data)
        except InputError as refused:
            await socket.send_str(json.dumps({"error": str(refused)}))
            return
        await socket.send_str(json.dumps({"found": found, "milliseconds": round(1000 * (time.perf_counter() - began))}))
        await socket.send_bytes(frame)


class _Shown:
    """What one connection shows."""

    def __init__(self, pack: ImplicitPack) -> None:
        self._pack, self._watermark = pack, own_watermark()
        self._source: ImplicitSource | None = None
        self._driver: LiveDriver | None = None

    def rest(self) -> None:
        """See `LiveDriver.rest`."""
        if self._driver is not None:
            self._driver.rest()

    def next(self, source: ImplicitSource, data: bytes) -> tuple[bytes, bool]:
        """The next frame as a marked JPEG, of a driver's frame; and whether the face was found."""
        if source is not self._source or self._driver is None:
            self._source, self._driver = source, LiveDriver(self._pack, source)
        frame = to_uint8(read_image(io.BytesIO(data))[..., :3])
        drawn = self._driver.add(frame)
        return _as_jpeg(drawn, self._watermark), self._driver.found


def _encoded(pack: ImplicitPack, data: bytes) -> ImplicitSource:
    return encode_implicit(pack, read_image(io.BytesIO(data))[..., :3])


def _as_jpeg(image: torch.Tensor, mark: Callable[[torch.Tensor], torch.Tensor] = lambda image: image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mark(to_uint8(image)).numpy()).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
