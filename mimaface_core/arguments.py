"""Kinds of arguments that several functions of the Python API take, for `checks.checked`."""

from pathlib import Path

from . import checks
from .face.source import SourceFace
from .media.audio import Audio, AudioFile
from .motion.track import MotionTrack
from .packs.pack import ModelPack

PACK = checks.kind(ModelPack, remedy="give what load_pack or the node Load Pack returns")
SOURCE = checks.kind(SourceFace, remedy="give the first of the two that measure or the node Extract 3DMM returns")
MOTION = checks.kind(MotionTrack, remedy="give a motion, the second of the two that measure or Extract 3DMM returns")
AUDIO = checks.kind(str, Path, Audio, AudioFile, remedy="give a path, or Audio(waveform [channels, samples], rate)")
