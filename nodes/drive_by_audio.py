"""Drive by Audio: a photograph that speaks with a voice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..mimaface_core import host
from ..mimaface_core.audio.checks import STYLES
from ..mimaface_core.audio.driver import DRIVERS, driver_files
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.reference import BORROWED, HEAD
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.pipeline import speak
from .comfyui.schema import io
from .node import Node, fault, fingerprint, verdict
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Motion, Pack, Source
from .streams import audio_of
from .widgets import frame_rate, random_seed, strength


def _weights(driver: str | None) -> tuple[Path, ...]:
    """Files outside the pack that a driver needs. Raises InputError where they are not there."""
    return driver_files(driver, host.current().models_folders())


class DriveByAudio(Node):
    """The source's face speaking: lips by the voice; head, brows, eyes and blinks as they go with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # long: it declares twelve inputs
        return io.Schema(
            node_id="MIMAFaceDriveByAudio",
            display_name="Drive by Audio (MIMAFace)",
            category=CATEGORY,
            description="Lets the source speak with a voice: lips, head, eyes and blinks. With a reference, the head"
            " moves as in another video.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                io.MultiType.Input(
                    "voice",
                    types=[io.Audio, io.Video],
                    tooltip="The voice: audio, or a video whose audio is used. Speech without music works best.",
                ),
                io.Combo.Input(
                    "driver",
                    options=list(DRIVERS),
                    default="bundled",
                    tooltip="bundled is part of the model pack. Choose sadtalker when its weights are in"
                    " models/mimaface: its heads move more freely.",
                ),
                frame_rate(
                    "Frames per second of the motion. Raise it to match other videos; 25 is enough for lips.",
                ),
                io.Int.Input(
                    "style",
                    default=0,
                    min=0,
                    max=STYLES - 1,
                    tooltip="The temperament: how far the head moves, how often the eyes blink. Try others when it is"
                    " too calm or too lively.",
                ),
                random_seed(
                    "The course of nods, glances and blinks. Change it when one comes at a bad moment; the lips stay.",
                ),
                strength(
                    "lips",
                    "How far the mouth moves. Raise it when it mumbles, lower it when it shouts; 0 keeps the"
                    " photograph's mouth.",
                ),
                strength(
                    "pose",
                    "How far the head moves, by itself or as in the reference. Lower it for a calm speaker; 0 holds it"
                    " still.",
                ),
                strength(
                    "blinks",
                    "How often the eyes blink. Lower it when it looks nervous; 0 for none. Borrowed eyes blink as in"
                    " the reference.",
                ),
                Motion.Input(
                    "reference",
                    optional=True,
                    tooltip="The motion of a video, from Extract 3DMM (best smoothed): connect it to choose how the"
                    " head moves. A short one runs back and forth.",
                ),
                io.Combo.Input(
                    "borrow",
                    options=list(BORROWED),
                    default=HEAD,
                    optional=True,
                    tooltip="The part of the reference that is used. Take the eyes too where blinks and glances should"
                    " go with the nods; all but the mouth where brows and cheeks should act as well.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The source, speaking.")],
        )

    @classmethod
    def validate_inputs(cls, driver: str | None = None, borrow: str | None = None) -> bool | str:
        return verdict(cls.option_fault(driver=driver, borrow=borrow) or fault(_weights, driver))

    @classmethod
    def fingerprint_inputs(cls, driver: str | None = None, **_: object) -> object:
        return fingerprint(_weights(driver))

    @classmethod
    def execute(
        cls,
        pack: ModelPack,
        source: SourceFace,
        voice: Any,
        driver: str,
        fps: float,
        style: int,
        seed: int,
        lips: float,
        pose: float,
        blinks: float,
        reference: MotionTrack | None = None,
        borrow: str = HEAD,
    ) -> io.NodeOutput:
        audio = audio_of(voice)
        if audio is None:
            raise InputError("The video has no audio to speak with; connect one that has, or an audio file.")
        motion = speak(
            pack,
            source,
            audio,
            driver=driver,
            fps=fps,
            style=style,
            seed=seed,
            lips=lips,
            pose=pose,
            blinks=blinks,
            reference=reference,
            borrow=borrow,
        )
        return io.NodeOutput(motion)
