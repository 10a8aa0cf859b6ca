"""The page of `mimaface live`, and the connection over which a browser gets frames of its camera or of a feed."""

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
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.implicit_live import LiveDriver
from ..mimaface_core.live import LiveClips, live_driver, live_source
from ..mimaface_core.media.image import read_image
from ..mimaface_core.media.provenance import own_watermark
from ..mimaface_core.packs.find import AnyPack
from ..mimaface_core.tensors import to_uint8
from .feeds import WAITING, AddressFeed, Arrived, Feed, open_feed
from .whip import Whip, available

PAGE = Path(__file__).with_name("page.html")
QUALITY = 88  # of the JPEG frames
MOST_FRAME_BYTES, MOST_PHOTOGRAPH_BYTES = 4 << 20, 64 << 20
MOST_CONNECTIONS = 4

AnySource = SourceFace | ImplicitSource
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveServer:
    """A photograph that moves like the face before a browser's camera, or in a feed; for this machine only.

    A browser sends a JPEG, or asks for the feed's next frame, and gets a JPEG; the next one when it has that. So a slow
    machine, or a slow browser, drops frames instead of falling behind. Each connection follows its own driver, and all
    of them show the photograph that was chosen last.

    Args:
        pack: a pack of either kind.
        source: the first photograph, see `live.live_source`.
        feed: a video file or an address that the page begins with.
        diffuse: see `live.LiveClips`.
    """

    def __init__(self, pack: AnyPack, source: AnySource, feed: str | None = None, *, diffuse: bool = True) -> None:
        self.pack, self.source, self.feed, self._diffuse = pack, source, feed, diffuse
        self._busy = asyncio.Lock()
        self._open: set[web.WebSocketResponse] = set()
        self._whip: Whip

    def application(self) -> web.Application:
        """The application, with its routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_PHOTOGRAPH_BYTES)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._close)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/source", self._photograph),
                web.post("/source", self._choose),
                web.get("/feeds", self._feeds),
                web.get("/frames", self._frames),
                web.post("/whip", self._offer),
                web.delete("/whip/{session}", self._withdraw),
            ]
        )
        return app

    async def _start(self, _: web.Application) -> None:
        self._whip = Whip()

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

    async def _feeds(self, _: web.Request) -> web.StreamResponse:
        """What the page may begin with: the feed of the command line, and whether WebRTC is there."""
        return web.json_response({"feed": self.feed, "whip": available()})

    async def _offer(self, request: web.Request) -> web.StreamResponse:
        return await self._whip.post(request)

    async def _withdraw(self, request: web.Request) -> web.StreamResponse:
        return await self._whip.delete(request)

    async def _frames(self, request: web.Request) -> web.StreamResponse:
        """Frames over a websocket, each as a note and a JPEG.

        A binary message is a camera's JPEG. Texts are `rest`, which takes the driver's pose as at rest; `feed ADDRESS`,
        which opens one (`feed whip` what is sent by WebRTC); and `next`, which asks for the feed's next frame.
        """
        socket = web.WebSocketResponse(max_msg_size=MOST_FRAME_BYTES, heartbeat=20)
        await socket.prepare(request)
        if len(self._open) >= MOST_CONNECTIONS:  # a browser tells its page why a connection closes, not what refused it
            text = f"There are {MOST_CONNECTIONS} pages open already; close one."
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=text.encode())
            return socket
        self._open.add(socket)
        shown, feed = _Shown(self.pack, self._diffuse), Feed()
        try:
            async for message in socket:
                if message.type == WSMsgType.BINARY:
                    await self._answer(socket, shown, _jpeg(message.data))
                elif message.data == "rest":
                    shown.rest()
                elif message.data == "next":
                    await self._answer_next(socket, shown, feed)
                else:
                    feed = await self._opened(socket, feed, str(message.data).removeprefix("feed "))
                    shown.begin()
        except ConnectionResetError:  # the page was closed while its frame was drawn
            pass
        finally:
            self._leave(feed)
            self._open.discard(socket)
        return socket

    async def _opened(self, socket: web.WebSocketResponse, before: Feed, name: str) -> Feed:
        """The feed of that name in place of the one before; a page names files of the command line only."""
        self._leave(before)
        try:
            if name == "whip":
                return self._whip.feed
            return open_feed(name) if name == self.feed else AddressFeed(name)
        except InputError as refused:
            await socket.send_str(json.dumps({"error": str(refused)}))
            return Feed()

    def _leave(self, feed: Feed) -> None:
        if feed is not self._whip.feed:
            feed.close()

    async def _close(self, _: web.Application) -> None:
        """Close what is open, so that the server need not wait for pages that go on sending."""
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"mimaface live was ended.")
        await self._whip.close()

    async def _answer_next(self, socket: web.WebSocketResponse, shown: _Shown, feed: Feed) -> None:
        """The next frame of a feed, or why there is none."""
        arrived = await feed.newer(shown.number)
        if arrived is None:
            await socket.send_str(json.dumps({"waiting": feed.said or WAITING}))
        else:
            await self._answer(socket, shown, arrived)

    async def _answer(self, socket: web.WebSocketResponse, shown: _Shown, arrived: Arrived) -> None:
        """The next frame, or why there is none, and how long after its arrival it was drawn."""
        try:
            async with self._busy:
                frame, found = await asyncio.to_thread(shown.next, self.source, arrived)
        except InputError as refused:
            await socket.send_str(json.dumps({"error": str(refused)}))
            return
        milliseconds = round(1000 * (time.perf_counter() - arrived.time))
        await socket.send_str(json.dumps({"found": found, "milliseconds": milliseconds}))
        await socket.send_bytes(frame)


class _Shown:
    """What one connection shows; `number` is that of the feed's last frame."""

    def __init__(self, pack: AnyPack, diffuse: bool) -> None:
        self._pack, self._diffuse, self._watermark = pack, diffuse, own_watermark()
        self._source: AnySource | None = None
        self._driver: LiveDriver | LiveClips | None = None
        self.number = 0

    def begin(self) -> None:
        """Another feed, with another driver."""
        self.number = 0
        self.rest()

    def rest(self) -> None:
        """See `LiveDriver.rest`."""
        if self._driver is not None:
            self._driver.rest()

    def next(self, source: AnySource, arrived: Arrived) -> tuple[bytes, bool]:
        """The next frame as a marked JPEG, of a driver's frame; and whether the face was found."""
        self.number = arrived.number
        if source is not self._source or self._driver is None:
            self._source, self._driver = source, live_driver(self._pack, source, diffuse=self._diffuse)
        drawn = self._driver.add(arrived.pixels())
        return _as_jpeg(drawn, self._watermark), self._driver.found


def _jpeg(data: bytes) -> Arrived:
    """A camera's JPEG, which is decoded where it is looked at."""
    return Arrived(0, time.perf_counter(), lambda: to_uint8(read_image(io.BytesIO(data))[..., :3]).numpy())


def _encoded(pack: AnyPack, data: bytes) -> AnySource:
    return live_source(pack, read_image(io.BytesIO(data))[..., :3])


def _as_jpeg(image: torch.Tensor, mark: Callable[[torch.Tensor], torch.Tensor] = lambda image: image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mark(to_uint8(image)).numpy()).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
