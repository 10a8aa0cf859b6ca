"""Opens media files for reading, with one clear sentence where that cannot be."""

import io
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

Source = str | Path | io.BytesIO

# Demuxers that read text, or other files than the one given.
_NOT_MEDIA = {"concat", "dash", "hls", "lavfi", "sdp", "tty"}
# A longer step of a file's clock than this (seconds) is a fault of the clock, not a picture that stands
# still or a sound that waits.
LONGEST_PAUSE = 30


def name_of(source: Source, otherwise: str) -> str:
    """The file's name in quotes; `otherwise` for bytes."""
    return otherwise.capitalize() if isinstance(source, io.BytesIO) else f"'{Path(source).name}'"


def existing(source: str | Path) -> Path:
    """The path of a file. Raises InputError when it is missing or a folder."""
    path = Path(source)
    if path.is_dir():
        raise InputError(f"'{path.name}' is a folder; give the path of a file in it.")
    if not path.is_file():
        raise InputError(f"'{path.name}' was not found at {path.absolute()}; check the path.")
    return path


@contextmanager
def opened(source: Source, name: str):
    """The file as an open PyAV container. Raises InputError when it is missing, damaged or no media."""
    import av

    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else str(existing(source))
    try:
        container = av.open(file, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{name} cannot be read as video or sound, it is damaged or of another kind; "
            "give a complete mp4, webm or mov (for sound also wav or mp3)."
        ) from error
    with container:
        if _NOT_MEDIA.intersection(container.format.name.split(",")):
            raise InputError(
                f"{name} is neither video nor sound; give an mp4, webm or mov (for sound also wav or mp3)."
            )
        yield container


def is_cover(track) -> bool:
    """Whether a video track is the cover picture of a song."""
    import av

    return bool(track.disposition & av.stream.Disposition.attached_pic)
