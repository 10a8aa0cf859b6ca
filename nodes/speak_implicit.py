"""Speak Implicit: a photograph that speaks with a voice, by implicit motion."""

from __future__ import annotations

from typing import Any

import torch

from ..mimaface_core.arguments import IMPLICIT_PACK
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.implicit_source import ImplicitSource as EncodedSource
from ..mimaface_core.implicit.groups import GroupFactors
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.implicit.sampler import ANCESTRAL, DDIM, SAMPLERS, Schedule
from ..mimaface_core.implicit.speech import MEANS
from ..mimaface_core.implicit_pipeline import speak_implicit
from ..mimaface_core.packs.implicit_pack import ImplicitPack
from .comfyui.schema import io
from .node import Node, fault, verdict
from .sockets import CATEGORY, IMPLICIT_PACK_TIP, IMPLICIT_SOURCE_TIP, Implicit, ImplicitSource, Pack
from .streams import audio_of
from .widgets import random_seed, strength

OWN = "pack's own"


class SpeakImplicit(Node):
    """Motion codes of a voice by diffusion, window by window."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # long: it declares fifteen inputs
        return io.Schema(
            node_id="MIMAFaceSpeakImplicit",
            display_name="Speak Implicit (MIMAFace)",
            category=CATEGORY,
            description="Lets the source speak with a voice: lips, head, eyes and brows together, as implicit motion"
            " (IF-MDM). Each part can be calmer or livelier.",
            inputs=[
                Pack.Input("pack", tooltip=IMPLICIT_PACK_TIP),
                ImplicitSource.Input("source", tooltip=IMPLICIT_SOURCE_TIP),
                io.MultiType.Input(
                    "voice",
                    types=[io.Audio, io.Video],
                    tooltip="The voice: audio, or a video whose audio is used. Speech without music works best.",
                ),
                random_seed("The course of the motion. Change it for another take; keep it to get the same again."),
                strength("head", "How far the head moves. Lower it for a calm speaker, raise it for a lively one."),
                strength("mouth", "How far the mouth moves. Raise it when it mumbles, lower it when it shouts."),
                strength("eyes", "How far lids and gaze move. Lower it when it looks nervous."),
                strength("brows", "How far the brows move. Raise it when the face looks blank."),
                io.Boolean.Input(
                    "rest",
                    default=True,
                    tooltip="In pauses the mouth comes to rest and the head sways a little. Turn it off to let the"
                    " network go on by itself.",
                ),
                io.Combo.Input(
                    "posture",
                    options=[OWN, *MEANS],
                    default=OWN,
                    tooltip="What the motion stays near: the source's posture; the last frame before, for more varied"
                    " motion that drifts; or free.",
                ),
                io.Float.Input(
                    "liveliness",
                    default=0.0,
                    min=0.0,
                    max=0.9,
                    step=0.01,
                    tooltip="How much the whole face shall move, as the network is told: 0.1 is calm, 0.3 lively, 0"
                    " leaves it free.",
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=250,
                    tooltip="Denoising steps of each window; 0 is the pack's own number. Fewer are faster.",
                ),
                io.Float.Input(
                    "guidance",
                    default=0.0,
                    min=0.0,
                    max=10.0,
                    step=0.1,
                    tooltip="How strongly the voice is followed; 0 is the pack's own value, 1 is none and twice as fast"
                    " as others.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=[OWN, *SAMPLERS],
                    default=OWN,
                    optional=True,
                    tooltip="The denoising schedule. ddim needs fewer steps: 10, 20, 25 or 50.",
                ),
                Implicit.Input(
                    "reference",
                    optional=True,
                    tooltip="Connect the motion of a video, from Drive Implicit: the face then moves about the same"
                    " posture and as much. It takes the place of posture and liveliness.",
                ),
            ],
            outputs=[Implicit.Output(display_name="motion", tooltip="For Render Implicit, in the mode absolute.")],
        )

    @classmethod
    def validate_inputs(
        cls, posture: str | None = None, steps: int | None = None, sampler: str | None = None
    ) -> bool | str:
        refused = cls.option_fault(posture=posture, steps=steps, sampler=sampler)
        if refused is None and steps:
            refused = fault(Schedule.of, steps, DDIM if sampler == DDIM else ANCESTRAL)
        return verdict(refused)

    @classmethod
    def execute(
        cls,
        pack: ImplicitPack,
        source: EncodedSource,
        voice: Any,
        seed: int,
        head: float,
        mouth: float,
        eyes: float,
        brows: float,
        rest: bool,
        posture: str,
        liveliness: float,
        steps: int,
        guidance: float,
        sampler: str = OWN,
        reference: ImplicitMotion | None = None,
    ) -> io.NodeOutput:
        IMPLICIT_PACK("pack", pack)
        audio = audio_of(voice)
        if audio is None:
            raise InputError("The video has no audio to speak with; connect one that has, or an audio file.")
        settings = pack.speaking(
            seed=seed,
            factors=GroupFactors(head, mouth, eyes, brows),
            rest=rest and bool(pack.groups),
            mean=None if posture == OWN else posture,
            deviation=liveliness or None,
            steps=steps or None,
            guidance=guidance or None,
            sampler=None if sampler == OWN else sampler,
        )
        pieces = list(speak_implicit(pack, source, audio, settings, reference=reference))
        return io.NodeOutput(pieces[0].replace(codes=torch.cat([piece.codes for piece in pieces])))
