"""Sample Clips: draw the animated face by diffusion, clip by clip (ICA)."""

from __future__ import annotations

from contextlib import ExitStack

from ..mimaface_core import host
from ..mimaface_core.appearance.frames import Appearance as EncodedAppearance
from ..mimaface_core.arguments import PACK
from ..mimaface_core.diffusion.schedule import LCM_STEPS, SCHEDULERS
from ..mimaface_core.diffusion.settings import NOISES, SHARED, SamplerSettings
from ..mimaface_core.drawing import animate
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.stream import MotionStream
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.resuming import resumable
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source
from .streams import lossless_video
from .widgets import random_seed

OWN = "pack's own"


class SampleClips(Node):
    """Frames of the source in motion; memory does not grow with the motion's length."""

    takes_streams = True

    @classmethod
    def define_schema(cls) -> io.Schema:  # long: it declares eleven widgets
        return io.Schema(
            node_id="MIMAFaceSampleClips",
            display_name="Sample Clips (MIMAFace)",
            category=CATEGORY,
            description="Draws the source in motion by diffusion, clip by clip; each clip continues the one before.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The motion to draw: retargeted, smoothed, edited."),
                Appearance.Input("appearance", tooltip="From Encode Appearance, for the same motion."),
                random_seed(
                    "The noise to start from. Change it for another try; keep it to get the same frames again.",
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=100,
                    tooltip="Denoising steps of each clip; 0 is the pack's own number. More steps are slower and can"
                    " bring out finer detail.",
                ),
                io.Float.Input(
                    "guidance",
                    default=0.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="Guidance: how strongly the source's appearance is followed; 0 is the pack's own value, 1"
                    " is none and twice as fast as others.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[OWN, *SCHEDULERS],
                    default=OWN,
                    tooltip="The denoising schedule. Keep the pack's own unless you compare; lcm suits few steps.",
                ),
                io.Int.Input(
                    "clip_frames",
                    default=0,
                    min=0,
                    max=64,
                    optional=True,
                    tooltip="Frames of a clip, drawn together; 0 is the pack's own number. Fewer need less memory.",
                ),
                io.Int.Input(
                    "overlap",
                    default=-1,
                    min=-1,
                    max=32,
                    optional=True,
                    tooltip="Frames that each clip carries over from the one before; −1 is the pack's own number. Raise"
                    " it when the seams between clips show; 0 draws them independently.",
                ),
                io.Combo.Input(
                    "noise",
                    options=list(NOISES),
                    default=SHARED,
                    optional=True,
                    tooltip="shared starts every clip from the same noise, as released. Choose per clip when a pattern"
                    " seems to stick to the image while the face moves.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The animated face crop.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        steps: int | None = None,
        scheduler: str | None = None,
        clip_frames: int | None = None,
        overlap: int | None = None,
        noise: str | None = None,
    ) -> bool | str:
        if clip_frames and overlap is not None and overlap >= clip_frames:
            return f"Clips of {clip_frames} frames cannot carry {overlap} over; choose an overlap below clip_frames."
        if scheduler == "lcm" and (steps or 0) > LCM_STEPS:
            return f"lcm takes at most {LCM_STEPS} steps, not {steps}; lower steps or choose another scheduler."
        values = {"steps": steps, "scheduler": scheduler, "clip_frames": clip_frames, "overlap": overlap}
        return verdict(cls.option_fault(**values, noise=noise))

    @classmethod
    def execute(
        cls,
        pack: ModelPack,
        source: SourceFace,
        motion: MotionTrack | MotionStream,
        appearance: EncodedAppearance,
        seed: int,
        steps: int,
        guidance: float,
        scheduler: str,
        clip_frames: int = 0,
        overlap: int = -1,
        noise: str = SHARED,
    ) -> io.NodeOutput:
        PACK("pack", pack)
        settings = SamplerSettings.of(
            pack,
            frames=clip_frames or None,
            overlap=None if overlap < 0 else overlap,
            steps=steps or None,
            guidance=guidance or None,
            scheduler=None if scheduler == OWN else scheduler,
            seed=seed,
            noise=noise,
        )
        with ExitStack() as keeping:
            kept = keeping.enter_context(resumable(pack, source, motion, settings, appearance))
            with lossless_video(motion.fps) as written:
                for frames in animate(pack, source, motion, settings, appearance=appearance, kept=kept):
                    written.add(frames)
            host.current().when_used(written.video, keeping.pop_all().close)
        return io.NodeOutput(written.video)
