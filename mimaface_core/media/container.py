"""Media files as open PyAV containers; what is missing, damaged or no media is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import is_file, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

Source = str | Path | io.BytesIO

# A longer step of a file's clock than this is a fault of the clock, not a frame or a silence that lasts.
LONGEST_PAUSE_SECONDS = 30
# Demuxers that read text, or other files than the one given.
_NOT_MEDIA = {"concat", "dash", "hls", "lavfi", "sdp", "tty"}


def name_of(source: Source, otherwise: str) -> str:
    """The file's name in quotes; for bytes, `otherwise` with a capital."""
    return otherwise.capitalize() if isinstance(source, io.BytesIO) else f"'{Path(source).name}'"


def existing_file(source: str | Path) -> Path:
    """The path of a file.

    Raises:
        InputError: it is missing or a folder.
    """
    path = Path(source)
    if is_file(path):
        return path
    if os.path.isdir(path):
        raise InputError(f"'{path.name}' is a folder; give the path of a file in it.")
    raise InputError(f"'{shown(path.name)}' was not found at {shown(path.absolute())}; check the path.")


@contextmanager
def open_container(source: Source, name: str) -> Iterator[InputContainer]:
    """The file as an open PyAV container, closed when the block ends.

    Args:
        source: path or bytes of the file.
        name: of the file, for messages.

    Raises:
        InputError: it is missing, damaged or no media.
    """
    import av

    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else str(existing_file(source))
    try:
        container = av.open(file, "r", metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{name} cannot be read as video or audio, it is damaged or of another kind; "
            "give a complete mp4, webm or mov (for audio also wav or mp3)."
        ) from error
    with container:
        if _NOT_MEDIA.intersection(container.format.name.split(",")):
            raise InputError(
                f"{name} is neither video nor audio; give an mp4, webm or mov (for audio also wav or mp3)."
            )
        yield container


def is_cover(stream: Stream) -> bool:
    """True for a video stream that is the cover image of a song."""
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def in_seconds(ticks: int, stream: Stream) -> Fraction:
    """A time or duration of a stream, counted in ticks of its clock, in seconds."""
    assert stream.time_base is not None  # since the stream is one of an open file
    return ticks * stream.time_base
