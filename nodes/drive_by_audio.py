"""Drive by Audio: a photograph that speaks with a voice."""

from __future__ import annotations

from pathlib import Path

from ..mimaface_core import host
from ..mimaface_core.audio.checks import STYLES
from ..mimaface_core.audio.driver import DRIVERS, AudioDriver, audio_driver, driver_files
from ..mimaface_core.audio.speech import Speech
from ..mimaface_core.errors import InputError
from ..mimaface_core.media.rate import exact_rate
from ..mimaface_core.morphable.bundled.groups import modes_of
from ..mimaface_core.motion.borrow import PARTS
from ..mimaface_core.motion.borrow import borrow as borrowed
from ..mimaface_core.motion.track import PROCEDURAL
from .checks import allowed, fingerprint, verdict
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Motion, Pack, Source, sound_in
from .widgets import frame_rate, random_seed, strength


def _speech(voice) -> Speech:
    """An AUDIO, or the sound track of a VIDEO, which is read bit by bit, however long it is."""
    sound = sound_in(voice)
    if sound is None:
        raise InputError("The video has no sound to speak with; give one with a sound track, or a sound file.")
    return Speech.of(sound)


def _weights(driver: str | None) -> tuple[Path, ...]:
    """Files outside the pack that a driver needs. Raises InputError where they are not there."""
    return driver_files(driver, host.current().models_folders())


def _driver(name: str, pack) -> AudioDriver:
    """The driver of that name. Raises InputError where its weights are not there."""
    face = pack.face if pack.basis == PROCEDURAL else None
    return audio_driver(name, bundled=lambda: pack.audio_driver, face=face, folders=host.current().models_folders())


class DriveByAudio(Node):
    """The source's face speaking: lips by the voice; head, brows, eyes and blinks as they go with it."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceDriveByAudio",
            display_name="Drive by Audio (MIMAFace)",
            category=CATEGORY,
            description="Lets the source speak with a voice: lips, head, eyes and blinks. With a reference, the head moves"
            " as in another clip.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                io.MultiType.Input(
                    "voice",
                    types=[io.Audio, io.Video],
                    tooltip="The voice: a sound, or a video whose sound track is used. Speech without music works best.",
                ),
                io.Combo.Input(
                    "driver",
                    options=list(DRIVERS),
                    default="bundled",
                    tooltip="bundled comes with the pack. Choose sadtalker when you have its weights in models/mimaface:"
                    " its heads move more freely.",
                ),
                frame_rate(
                    "Frames a second of the film. Raise it to match other footage; 25 is enough for lips.",
                ),
                io.Int.Input(
                    "style",
                    default=0,
                    min=0,
                    max=STYLES - 1,
                    tooltip="The temperament: how far the head moves, how often the eyes blink. Try others when it is too"
                    " calm or too lively.",
                ),
                random_seed(
                    "The course of nods, glances and blinks. Change it when one comes at a bad moment; the lips stay.",
                ),
                strength(
                    "lips",
                    "How far the mouth moves. Raise it when it mumbles, lower it when it shouts; 0 keeps the photograph's.",
                ),
                strength(
                    "pose",
                    "How far the head moves, its own way or that of the reference. Lower it for a calm speaker; 0 holds it"
                    " still.",
                ),
                strength(
                    "blinks",
                    "How much the eyes blink. Lower it when it looks nervous; 0 for none. Eyes that are borrowed blink as"
                    " in the reference.",
                ),
                Motion.Input(
                    "reference",
                    optional=True,
                    tooltip="A clip's motion, from Extract 3DMM (best smoothed): connect it to choose how the head moves. A"
                    " short one runs back and forth.",
                ),
                io.Combo.Input(
                    "borrow",
                    options=list(PARTS),
                    default="head",
                    optional=True,
                    tooltip="What is taken from the reference: take the eyes too when its blinks and glances go with its"
                    " nods, all but the mouth when its brows and cheeks shall act as well.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The source, speaking.")],
        )

    @classmethod
    def validate_inputs(cls, driver=None, borrow=None):
        fault = allowed(cls, driver=driver, borrow=borrow)
        return verdict(_weights, driver) if fault is True else fault

    @classmethod
    def fingerprint_inputs(cls, driver=None, **others):
        return fingerprint(_weights(driver))

    @classmethod
    def execute(
        cls, pack, source, voice, driver, fps, style, seed, lips, pose, blinks, reference=None, borrow=PARTS[0]
    ) -> io.NodeOutput:
        source.track.check_basis(pack.basis)
        speech = _speech(voice)
        motion = _driver(driver, pack).drive(
            speech,
            source.track,
            exact_rate(fps),
            style=style,
            seed=seed,
            pose=pose,
            lips=lips,
            blinks=blinks,
        )
        if reference is not None:
            modes = modes_of(pack.basis)
            motion = borrowed(
                motion,
                reference,
                source.track,
                borrow,
                pose,
                mouth=modes.mouth,
                lid_modes=modes.lids,
                opening=modes.opening,
            )
        return io.NodeOutput(motion)
