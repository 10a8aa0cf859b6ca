"""Live videos read from an address (RTSP, RTMP, HTTP), frame by frame as they come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import InputError
from .container import best_stream, codecs_of, feed_formats, metadata_options

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https")
ANSWER_SECONDS, FRAME_SECONDS = 5.0, 5.0  # that a feed has to answer, and to send more
# what an address may lead to, as a playlist does: never a file of this machine
_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtmp,rtmps,crypto"
_OPTIONS = {
    "fflags": "nobuffer",
    "rtsp_transport": "tcp",
    "analyzeduration": "1000000",  # microseconds that may pass until it is known what comes
    "protocol_whitelist": _PROTOCOLS,
}

_log = logging.getLogger(__name__)


def check_address(address: str) -> None:
    """Raise InputError for an address that is none of a feed."""
    try:
        scheme, host = urlsplit(address).scheme.lower(), urlsplit(address).hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in SCHEMES or not host or not address.isprintable() or " " in address:
        raise InputError(
            f"'{address[:200]}' is no address of a feed; give one that begins with {', '.join(SCHEMES[:-1])} or"
            f" {SCHEMES[-1]} and names its host, such as rtsp://camera.local/stream."
        )


def read_feed(address: str) -> Iterator[VideoFrame]:
    """The frames of a feed, as soon as they are there; those of a recording at its own pace.

    Frames may change their size. Damaged ones are left out.

    Args:
        address: one of `SCHEMES`.

    Raises:
        InputError: it is no such address, nobody answers, what comes is no video, or it breaks off. Iteration ends
            where a feed ends by itself.
    """
    import av

    check_address(address)
    with _opened(address) as container:
        stream = _video(container, address)
        recorded = container.duration is not None
        began: float | None = None
        shown = False
        try:
            for packet in container.demux(stream):
                for frame in _decoded(packet):
                    if recorded and frame.time is not None:
                        began = time.monotonic() - frame.time if began is None else began
                        time.sleep(min(max(0.0, began + frame.time - time.monotonic()), FRAME_SECONDS))
                    yield frame
                    shown = True
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{address} has broken off; check the connection and whoever sends it.") from error
        if not shown:
            raise InputError(f"{address} has ended without a frame; give the address of a video stream.")


@contextmanager
def _opened(address: str) -> Iterator[InputContainer]:
    import av

    options: dict[str, Any] = {"timeout": (ANSWER_SECONDS, FRAME_SECONDS), **metadata_options()}
    try:
        container = av.open(address, "r", container_options={**_OPTIONS, **feed_formats()}, **options)
    except (av.FFmpegError, OSError) as error:
        _log.debug("%s cannot be opened (%s)", address, error)
        raise InputError(
            f"{address} does not answer with a video; check the address, and that its video is being sent."
        ) from error
    with container:
        yield container


def _video(container: InputContainer, address: str) -> VideoStream:
    stream = best_stream(container.streams.video)
    if stream is not None:
        stream.thread_type = "SLICE"  # threads by frame hold back as many frames as there are threads
        return stream
    if container.streams.video:
        raise InputError(
            f"The video of {address} is of a codec that cannot be decoded here ({codecs_of(container, 'Video')});"
            " send H.264."
        )
    raise InputError(f"{address} has no video; send one with a camera's image.")


def _decoded(packet: Any) -> list[VideoFrame]:
    import av

    try:
        return [frame for frame in packet.decode() if not frame.is_corrupt]
    except av.FFmpegError as error:
        _log.debug("a packet cannot be decoded (%s)", error)
        return []
