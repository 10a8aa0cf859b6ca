"""Images, videos and audio, read and written block by block, so that memory does not grow with length."""

from .audio import Audio, AudioFile, read_audio
from .frames import Frames
from .image import read_image
from .provenance import synthetic_metadata
from .rate import exact_rate
from .read import Clip
from .write import VideoWriter

__all__ = [
    "Audio",
    "AudioFile",
    "Clip",
    "Frames",
    "VideoWriter",
    "exact_rate",
    "read_audio",
    "read_image",
    "synthetic_metadata",
]
