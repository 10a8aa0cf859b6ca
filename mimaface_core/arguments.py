"""Kinds of arguments that several functions of the Python API take, for `checks.checked`."""

from pathlib import Path

from . import checks
from .face.implicit_source import ImplicitSource
from .face.source import SourceFace
from .implicit.motion import ImplicitMotion
from .media.audio import Audio, AudioFile
from .motion.stream import MotionStream
from .motion.track import MotionTrack
from .packs.entries import IMPLICIT_NODES
from .packs.implicit_pack import ImplicitPack
from .packs.pack import ModelPack

_IMPLICIT = f"which {IMPLICIT_NODES} take"
_EXPLICIT = "which Retarget Motion, Sample Clips and Render Motion take"
_A_MOTION = "give a motion, the second of the two that measure or Extract 3DMM returns"
_NO_IMPLICIT_MOTION = f"implicit motion, {_IMPLICIT}; give a motion of Extract 3DMM or Drive by Audio"
_A_STREAM = "a motion that is still being measured; give its whole(), or take measure for measure_stream"

PACK = checks.kind(
    ModelPack,
    remedy="give what load_pack or the node Load Pack returns",
    others={ImplicitPack: f"a pack for implicit motion, {_IMPLICIT}; give one with a face model, such as bundled"},
)
SOURCE = checks.kind(
    SourceFace,
    remedy="give the first of the two that measure or the node Extract 3DMM returns",
    others={ImplicitSource: f"a source for implicit motion, {_IMPLICIT}; give one of Extract 3DMM"},
)
MOTION = checks.kind(
    MotionTrack,
    remedy=_A_MOTION,
    others={ImplicitMotion: _NO_IMPLICIT_MOTION, MotionStream: _A_STREAM},
)
ANY_MOTION = checks.kind(
    MotionTrack,
    MotionStream,
    remedy=_A_MOTION,
    others={ImplicitMotion: _NO_IMPLICIT_MOTION},
)
FACE = checks.kind(
    SourceFace,
    MotionTrack,
    remedy="give a source or a motion, as measure returns them",
    others={ImplicitMotion: "implicit motion, which has no sliders; give a source or a motion of Extract 3DMM"},
)
AUDIO = checks.kind(str, Path, Audio, AudioFile, remedy="give a path, or Audio(waveform [channels, samples], rate)")
IMPLICIT_PACK = checks.kind(
    ImplicitPack,
    remedy="give what load_implicit or the node Load Pack returns",
    others={ModelPack: "a pack with a face model; give one for implicit motion, such as bundled-implicit"},
)
IMPLICIT_SOURCE = checks.kind(
    ImplicitSource,
    remedy="give what encode_implicit or the node Encode Implicit returns",
    others={SourceFace: "a source of Extract 3DMM, measured by a face model; give one of Encode Implicit"},
)
IMPLICIT_MOTION = checks.kind(
    ImplicitMotion,
    remedy="give what drive_implicit or speak_implicit, or the nodes Drive Implicit and Speak Implicit return",
    others={MotionTrack: f"a motion of the face model, {_EXPLICIT}; give one of Drive Implicit or Speak Implicit"},
)
CROPPED = checks.kind(
    SourceFace, ImplicitSource, remedy="give a source, the first of the two that measure returns, or encode_implicit's"
)
