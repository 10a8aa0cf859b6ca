"""WebRTC: a program on this machine, such as OBS, sends its video by WHIP (RFC 9725)."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from aiohttp import web

from ..mimaface_core.errors import InputError
from .feeds import Feed, pixels_of

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCPeerConnection

INSTALL = 'WebRTC needs aiortc; install it with: pip install "mimaface[live]".'
GONE = "Nobody sends by WebRTC; start streaming in OBS, or in another program that speaks WHIP."


def available() -> bool:
    """Whether aiortc is installed."""
    return find_spec("aiortc") is not None


class Whip:
    """Takes one sender at a time; a new one takes the place of the one before.

    Attributes:
        feed: what is sent.
    """

    def __init__(self) -> None:
        self.feed = Feed()
        self.feed.say(GONE)
        self._connection: RTCPeerConnection | None = None
        self._session = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(self, request: web.Request) -> web.Response:
        """Answer a sender's offer."""
        if not available():
            raise InputError(INSTALL)
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        offer = await request.text()
        if "m=video" not in offer:
            raise InputError("The offer has no video; send one with a camera's image.")
        await self.close()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # nobody outside is asked for addresses
        self._connection, self._session = connection, secrets.token_urlsafe(12)
        connection.on("track", self._take)
        connection.on("connectionstatechange", partial(self._changed, connection))
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except (AssertionError, AttributeError, LookupError, ValueError) as error:  # of what parses descriptions
            await self.close()
            raise InputError("The offer is no session description that is understood; send H.264 or VP8.") from error
        headers = {"Location": f"/whip/{self._session}"}
        return web.Response(
            status=201, text=connection.localDescription.sdp, content_type="application/sdp", headers=headers
        )

    async def delete(self, request: web.Request) -> web.Response:
        """End a sender's session."""
        if request.match_info["session"] != self._session:
            raise web.HTTPNotFound(text="There is no such session.")
        await self.close()
        return web.Response()

    async def close(self) -> None:
        """End the connection, if there is one."""
        connection, self._connection, self._session = self._connection, None, ""
        if connection is not None:
            await connection.close()
            self.feed.say(GONE)

    def _take(self, track: MediaStreamTrack) -> None:
        task = asyncio.create_task(self._read(track))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, track: MediaStreamTrack) -> None:
        """Take a track's frames, so that none pile up; those of audio are dropped."""
        from aiortc.mediastreams import MediaStreamError

        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    self.feed.put(partial(pixels_of, frame))  # type: ignore[arg-type]  # a frame of video
        except MediaStreamError:  # it has ended
            pass

    async def _changed(self, connection: RTCPeerConnection) -> None:
        if connection is self._connection and connection.connectionState in ("failed", "closed", "disconnected"):
            await self.close()
