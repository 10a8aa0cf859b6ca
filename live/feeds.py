"""Feeds of a driver: the newest frame of an address, a file or a WebRTC sender; older ones are dropped."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..mimaface_core.errors import InputError
from ..mimaface_core.media.feed import check_address, read_feed
from ..mimaface_core.media.frames import Frames

if TYPE_CHECKING:
    from av import VideoFrame

LONGEST_SIDE = 640  # of the frames that are looked at, pixels
RETRY_SECONDS = (1.0, 10.0)  # between tries to open a feed; each waits twice as long as the one before
WAITING = "The first frame has not come yet."

Pixels = Callable[[], np.ndarray]  # gives uint8 [H, W, 3]


class Arrived(NamedTuple):
    """A frame of a feed: its number, when it came (`time.perf_counter`), and its pixels."""

    number: int
    time: float
    pixels: Pixels


class Feed:
    """The newest frame of a feed, for any number of readers: a slow one misses frames, and takes no memory.

    Made in an event loop; frames may come from any thread.

    Attributes:
        said: a sentence on why no frames come; empty while they do.
    """

    def __init__(self) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        self._newest: Arrived | None = None
        self._count = 0
        self.said = WAITING

    def put(self, pixels: Pixels) -> None:
        """Take a frame in place of the one before."""
        self._count, self.said = self._count + 1, ""
        self._newest = Arrived(self._count, time.perf_counter(), pixels)
        self._tell()

    def say(self, sentence: str) -> None:
        """Tell why no frames come; the newest one is forgotten."""
        self.said, self._newest = sentence, None
        self._tell()

    async def newer(self, number: int, seconds: float = 1.0) -> Arrived | None:
        """The newest frame behind `number`, waiting for one; None where none comes within `seconds`."""
        end = time.perf_counter() + seconds
        while self._newest is None or self._newest.number <= number:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, end - time.perf_counter()))
            except asyncio.TimeoutError:
                return None
        return self._newest

    def close(self) -> None:
        """No reader is left."""

    def _tell(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)


class ReadFeed(Feed, ABC):
    """A feed that a thread of its own reads, and opens again where it ends or breaks off."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()

    @abstractmethod
    def _read(self) -> None:
        """Put frames until the feed ends or is closed. Raises InputError where that is no good end."""

    def _run(self) -> None:
        wait, longest = RETRY_SECONDS
        while not self._closed.is_set():
            count = self._count
            try:
                self._read()
                refused = ""
            except InputError as error:
                refused = str(error)
            wait = RETRY_SECONDS[0] if self._count > count else min(2 * wait, longest)
            self.say(f"{refused or 'The feed has ended.'} It is tried again.")
            self._closed.wait(wait)


class AddressFeed(ReadFeed):
    """A feed at an address, see `media.feed.read_feed`."""

    def __init__(self, address: str) -> None:
        check_address(address)
        self._address = address
        super().__init__()

    def _read(self) -> None:
        for frame in read_feed(self._address):
            if self._closed.is_set():
                return
            self.put(partial(pixels_of, frame))


class FileFeed(ReadFeed):
    """A video file at its own pace, again and again."""

    def __init__(self, path: Path) -> None:
        self._frames = Frames.of_video(path)
        super().__init__()

    def _read(self) -> None:
        began = time.monotonic()
        for number, frame in enumerate(chain.from_iterable(repeat(self._frames))):
            if self._closed.wait(max(0.0, began + float(number / self._frames.fps) - time.monotonic())):
                return
            self.put(frame.numpy)


def check_feed(name: str) -> None:
    """Raise InputError where `name` is neither a video file nor the address of a feed."""
    if Path(name).exists() or "://" not in name:
        Frames.of_video(name)
    else:
        check_address(name)


def open_feed(name: str) -> ReadFeed:
    """The feed of a video file, or at an address. Raises InputError where `name` is neither."""
    return FileFeed(Path(name)) if Path(name).exists() else AddressFeed(name)


def pixels_of(frame: VideoFrame) -> np.ndarray:
    """A decoded frame as uint8 [H, W, 3], scaled down to LONGEST_SIDE."""
    share = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(share * side)) for side in (frame.width, frame.height))
    return frame.to_ndarray(format="rgb24", width=width, height=height)
