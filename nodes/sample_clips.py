"""Sample Clips: draw the animated face by diffusion, clip by clip (ICA)."""

from __future__ import annotations

from ..mimaface_core import host
from ..mimaface_core.diffusion.clips import NOISES, count_steps, sample_clips
from ..mimaface_core.diffusion.schedule import LCM_STEPS, SCHEDULERS
from ..mimaface_core.errors import InputError
from .checks import allowed
from .comfyui.schema import io
from .node import Node
from .render_motion import renders
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source, film
from .widgets import random_seed

OWN = "pack's own"


class SampleClips(Node):
    """Frames of the source in motion; memory does not grow with the clip's length."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceSampleClips",
            display_name="Sample Clips (MIMAFace)",
            category=CATEGORY,
            description="Draws the source in motion by diffusion, clip by clip; each clip carries on from the one before.",
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
                    tooltip="How strongly the source's appearance is followed; 0 is the pack's own value, 1 is none and"
                    " twice as fast as others.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=[OWN, *SCHEDULERS],
                    default=OWN,
                    tooltip="How noise is taken away. Keep the pack's own unless you compare; lcm suits few steps.",
                ),
                io.Int.Input(
                    "clip_frames",
                    default=0,
                    min=0,
                    max=64,
                    optional=True,
                    tooltip="Frames drawn together; 0 is the pack's own number. Fewer need less memory.",
                ),
                io.Int.Input(
                    "overlap",
                    default=-1,
                    min=-1,
                    max=32,
                    optional=True,
                    tooltip="Frames that each clip carries over from the one before; −1 is the pack's own number. Raise"
                    " it when clips can be told apart, 0 draws them independently.",
                ),
                io.Combo.Input(
                    "noise",
                    options=list(NOISES),
                    default="shared",
                    optional=True,
                    tooltip="shared starts every clip from the same noise, as released. Choose per clip when a pattern"
                    " seems to stick to the picture while the face moves.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The animated face crop.")],
        )

    @classmethod
    def validate_inputs(cls, steps=None, scheduler=None, clip_frames=None, overlap=None, noise=None):
        if clip_frames and overlap is not None and overlap >= clip_frames:
            return f"Clips of {clip_frames} frames cannot carry {overlap} over; choose an overlap below clip_frames."
        if scheduler == "lcm" and (steps or 0) > LCM_STEPS:
            return f"lcm takes at most {LCM_STEPS} steps, not {steps}; lower steps or choose another scheduler."
        values = {"steps": steps, "scheduler": scheduler, "clip_frames": clip_frames, "overlap": overlap}
        return allowed(cls, **values, noise=noise)

    @classmethod
    def execute(
        cls,
        pack,
        source,
        motion,
        appearance,
        seed,
        steps,
        guidance,
        scheduler,
        clip_frames=0,
        overlap=-1,
        noise="shared",
    ) -> io.NodeOutput:
        total = len(motion)
        if len(appearance) != total:
            raise InputError(
                f"The appearance was encoded for {len(appearance)} frames, but the motion has {total};"
                " connect the same motion to Encode Appearance."
            )
        own = pack.sampling
        steps, guidance = steps or own["steps"], guidance or own["guidance"]
        frames = clip_frames or pack.clip_frames
        overlap = min(pack.overlap, frames - 1) if overlap < 0 else overlap
        if total == 1:
            frames, overlap = 1, 0
        current, stage = host.current(), pack.stage(total)
        with (
            current.load(stage.unet),
            current.load(pack.vae),
            current.progress(count_steps(total, frames, overlap, steps), "drawing") as progress,
            film(motion.fps) as made,
        ):
            clips = sample_clips(
                stage,
                renders(pack, source, motion, pack.render),
                appearance.context,
                total,
                frames=frames,
                overlap=overlap,
                steps=steps,
                guidance=guidance,
                scheduler=own["scheduler"] if scheduler == OWN else scheduler,
                seed=seed,
                noise=noise,
                progress=progress,
                previews=current.previews,
            )
            for clip in clips:
                made.add((clip.permute(0, 2, 3, 1) + 1) / 2)
        return io.NodeOutput(made.video)
