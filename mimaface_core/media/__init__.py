"""Pictures, clips and sound, read and written a frame at a time so that memory does not grow with length."""

from .provenance import synthetic_metadata
from .rate import exact_rate
from .read import Clip, read_picture
from .sound import Audio, AudioFile, read_audio
from .write import VideoWriter

__all__ = [
    "Audio",
    "AudioFile",
    "Clip",
    "VideoWriter",
    "exact_rate",
    "read_audio",
    "read_picture",
    "synthetic_metadata",
]
