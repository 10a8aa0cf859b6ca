"""Media files as open PyAV containers; what is missing, damaged or no media is refused."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError
from ..files import is_file, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

    AnyStream = TypeVar("AnyStream", bound=Stream)

Source = str | Path | io.BytesIO

# A longer step of a file's clock than this is a fault of the clock, not a frame or a silence that lasts.
LONGEST_PAUSE_SECONDS = 30
_MOST_FAULTS = 100  # places that cannot be read, after which a file has ended
_KEEPS_BYTES = 19  # the first PyAV that hands on what is no UTF-8 as surrogates, which neither print nor encode
# Demuxers that read text, run scripts, or open other files and addresses than the file given.
_NOT_MEDIA = {
    *("concat", "concatf", "dash", "hls", "applehttp", "imf", "sdp", "rtp", "rtsp", "sap", "vobsub"),
    *("avisynth", "vapoursynth", "lavfi", "tty", "ffmetadata", "webm_dash_manifest"),
}
# How such files begin.
_PLAYLIST = re.compile(rb"\s*(#EXTM3U|ffconcat version|v=0\s|\[playlist\]|<\?xml|<MPD|<smil|<asx)", re.IGNORECASE)


_log = logging.getLogger(__name__)
_warned: set[tuple[str, int, int, str]] = set()  # files, as they were, and sentences


def name_of(source: Source, otherwise: str) -> str:
    """The file's name in quotes; for bytes, `otherwise` with a capital."""
    return otherwise.capitalize() if isinstance(source, io.BytesIO) else f"'{Path(source).name}'"


def warn_once(source: Source, sentence: str, *values: object) -> None:
    """Log a warning about a file, once for as long as it stays the same: a run reads a file several times."""
    if not isinstance(source, io.BytesIO) and os.path.exists(source):
        stat = os.stat(source)
        kind = (os.path.abspath(source), stat.st_mtime_ns, stat.st_size, sentence)
        if kind in _warned:
            return
        _warned.add(kind)
    _log.warning(sentence, *values)


def existing_file(source: str | Path) -> Path:
    """The path of a file.

    Raises:
        InputError: it is missing or a folder.
    """
    path = Path(source)
    if is_file(path):
        return path
    if os.path.isdir(path):
        raise InputError(f"'{path.name or shown(path.absolute())}' is a folder; give the path of a file in it.")
    raise InputError(f"'{shown(path.name)}' was not found at {shown(path.absolute())}; check the path.")


@contextmanager
def open_container(source: Source, name: str) -> Iterator[InputContainer]:
    """The file as an open PyAV container, closed when the block ends.

    Args:
        source: path or bytes of the file.
        name: of the file, for messages.

    Raises:
        InputError: it is missing, damaged, no media, or of a kind that opens further files (refused before it does).
    """
    import av

    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else str(existing_file(source))
    # A demuxer that is not on the list is refused when it is recognised, before it reads. image2 would count files up.
    allowed = {
        "format_whitelist": ",".join(sorted(av.formats_available - _NOT_MEDIA)),
        "protocol_whitelist": "file",
        "pattern_type": "none",
    }
    try:
        container = _opened(file, allowed)
    except (av.FFmpegError, OSError) as error:
        if _is_playlist(source):
            raise InputError(
                f"{name} is a playlist, which names other files and holds neither video nor audio; "
                "give the mp4, webm or mov (for audio also wav or mp3) itself."
            ) from error
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


def _opened(file: io.BytesIO | str, options: dict[str, str]) -> InputContainer:
    """The file, opened; bytes of its metadata, and of those of streams, that are no UTF-8 are `�`."""
    import av

    container = av.open(file, "r", container_options=options, **metadata_options())
    for metadata in (container.metadata, *(stream.metadata for stream in container.streams)):
        readable = {_readable(key): _readable(value) for key, value in metadata.items()}
        metadata.clear()
        metadata.update(readable)
    return container


def metadata_options() -> dict[str, Any]:
    """What makes `av.open` take metadata that are no UTF-8; newer versions do anyway."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < _KEEPS_BYTES else {}


def feed_formats() -> dict[str, str]:
    """The option of `av.open` by which an address may be a stream or a playlist of parts, but no script."""
    import av

    streamed = {"hls", "applehttp", "rtsp", "rtp", "sdp"}
    return {"format_whitelist": ",".join(sorted(av.formats_available - (_NOT_MEDIA - streamed)))}


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _is_playlist(source: Source) -> bool:
    if isinstance(source, io.BytesIO):
        return bool(_PLAYLIST.match(source.getvalue()[:200]))
    try:
        with open(source, "rb") as file:
            return bool(_PLAYLIST.match(file.read(200)))
    except OSError:
        return False


def best_stream(streams: Iterable[AnyStream]) -> AnyStream | None:
    """The first stream that can be decoded, those that the file marks as default before the others; no cover image."""
    import av

    decodable = [stream for stream in streams if stream.codec_context is not None and not is_cover(stream)]
    marked = [stream for stream in decodable if stream.disposition & av.stream.Disposition.default]
    return next(iter(marked or decodable), None)


def codecs_of(container: InputContainer, kind: str) -> str:
    """The codecs of the streams of a kind ("Video" or "Audio") as ffmpeg calls them, for messages."""
    import av

    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # below it, the description is empty
    try:
        described = container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_level(level)
    names = re.findall(rf"Stream #.*?: {kind}: ([^,\n]+)", described)
    codes = [re.search(r"\((\w{4}) /", name) for name in names]
    return ", ".join(dict.fromkeys(code[1] if code else name.strip() for name, code in zip(names, codes, strict=True)))


def packets_of(container: InputContainer, stream: Stream) -> Iterator[Packet]:
    """The packets of a stream, the empty one at the end included; places that cannot be read are passed over."""
    import av

    for _ in range(_MOST_FAULTS):
        try:
            yield from container.demux(stream)
            return
        except av.FFmpegError as error:
            _log.debug("a packet cannot be read (%s)", error)


def is_cover(stream: Stream) -> bool:
    """True for a video stream that is the cover image of a song."""
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def in_seconds(ticks: int, stream: Stream) -> Fraction:
    """A time or duration of a stream, counted in ticks of its clock, in seconds."""
    assert stream.time_base is not None  # since the stream is one of an open file
    return ticks * stream.time_base
