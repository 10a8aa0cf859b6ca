"""Pictures, clips and sound, read and written a frame at a time so that memory does not grow with length."""

from .provenance import synthetic_metadata
from .rate import exact_rate
from .read import Audio, Clip, read_audio, read_picture
from .write import VideoWriter

__all__ = ["Audio", "Clip", "VideoWriter", "exact_rate", "read_audio", "read_picture", "synthetic_metadata"]
