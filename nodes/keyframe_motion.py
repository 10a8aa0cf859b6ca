"""Keyframe Motion: controls that move over time, on a photograph or on top of a motion."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.audio.loudness import outline
from ..mimaface_core.editing import RANGES, keyframe
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.media.audio import AnyAudio
from ..mimaface_core.morphable.bundled.controls import CONTROLS
from ..mimaface_core.motion.keyframes import MOST_SECONDS, Keyframes
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node, fault, verdict
from .previews import editor_ui
from .sockets import CATEGORY, Curve, Motion, Source
from .streams import audio_of

NO_CONTROL = "none"
WAVEFORM_POINTS = 1000
KEYFRAMES_TIP = (
    "The timeline as JSON: keys of each control, a key being second, position and easing. The help shows how it is"
    " written; Motion to Keyframes makes one of a motion."
)


def timeline_fault(keyframes: str | None) -> str | None:
    """The sentence that refuses a timeline; None stands for a link."""
    return None if keyframes is None else fault(Keyframes.read, keyframes, RANGES)


# A newer page would put a curve of its own there, and does so in its preview of the node, which needs a value.
SOCKET = {"forceInput": True, "default": {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}}


class KeyframeMotion(Node):
    """Evaluates the curves of a timeline at every frame; audio can move one control more."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceKeyframeMotion",
            display_name="Keyframe Motion (MIMAFace)",
            category=CATEGORY,
            description="Moves the controls of the face by keyframes: a photograph, or on top of a motion.",
            inputs=[
                io.MultiType.Input(
                    "face",
                    types=[Source, Motion],
                    tooltip="A source, to move the photograph, or a (retargeted) motion, to add the curves to it.",
                ),
                io.Float.Input(
                    "seconds",
                    default=0.0,
                    min=0.0,
                    max=MOST_SECONDS,
                    step=0.1,
                    tooltip="Length for a source: 0 for one run of the timeline, more to let a loop go on. A motion"
                    " keeps its own.",
                ),
                io.Combo.Input(
                    "audio_control",
                    options=[NO_CONTROL, *CONTROLS],
                    default=NO_CONTROL,
                    tooltip="The control that the audio's loudness moves, beside its keys.",
                ),
                io.Float.Input(
                    "audio_amount",
                    default=0.5,
                    min=-45.0,
                    max=45.0,
                    step=0.05,
                    tooltip="How far it moves where the audio is loud, in the control's own unit; below 0 the other"
                    " way.",
                ),
                io.String.Input("keyframes", default="{}", tooltip=KEYFRAMES_TIP),
                io.MultiType.Input(
                    "audio",
                    types=[io.Audio, io.Video],
                    optional=True,
                    tooltip="Audio that the timeline shows, and whose loudness can move a control.",
                ),
                Curve.Input(
                    "easing",
                    optional=True,
                    extra_dict=SOCKET,
                    tooltip="A curve of ComfyUI's Curve Editor: the way from each key to the next, instead of the keys'"
                    " own easing.",
                ),
                Source.Input(
                    "source",
                    optional=True,
                    tooltip="The person whom the timeline shows where `face` is a motion. It changes nothing else.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The face, moving by the keys.")],
        )

    @classmethod
    def validate_inputs(cls, audio_control: str | None = None, keyframes: str | None = None) -> bool | str:
        return verdict(cls.option_fault(audio_control=audio_control) or timeline_fault(keyframes))

    @classmethod
    def execute(
        cls,
        face: SourceFace | MotionTrack,
        seconds: float,
        audio_control: str,
        audio_amount: float,
        keyframes: str,
        audio: Any = None,
        easing: Any = None,
        source: SourceFace | None = None,
    ) -> io.NodeOutput:
        timeline = Keyframes.read(keyframes, RANGES)
        sound = None if audio is None else audio_of(audio)
        controls = {} if audio_control == NO_CONTROL else {audio_control: audio_amount}
        motion = keyframe(face, timeline, seconds=seconds, easing=easing, audio=sound, audio_controls=controls)
        shown = face if isinstance(face, SourceFace) else source
        return io.NodeOutput(motion, ui=editor_ui(shown, _timeline(face, motion, sound)))


def _timeline(face: SourceFace | MotionTrack, motion: MotionTrack, sound: AnyAudio | None) -> dict[str, Any]:
    """What the timeline shows beside the face, and the length of one without keys: on a photograph the audio's."""
    shown = {"fps": float(motion.fps), "length": len(motion) / float(motion.fps)}
    if sound is None:
        return shown
    peaks, seconds = outline(sound, WAVEFORM_POINTS)
    length = {"length": seconds} if seconds and isinstance(face, SourceFace) else {}
    return shown | length | {"waveform": peaks, "waveform_seconds": seconds}
