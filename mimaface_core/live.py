"""Live by the face model: a photograph that moves as a camera sees its driver, drawn by diffusion clip by clip."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checks, host
from .arguments import PACK, SOURCE
from .diffusion.clips import sample_clips
from .diffusion.kept import LoopState
from .diffusion.settings import SHARED, SamplerSettings
from .drawing import encode, render
from .errors import InputError
from .face.detect import FaceTracker
from .face.faces import MAX_FACES_CLIP
from .face.implicit_source import ImplicitSource
from .face.live_driver import DriverFace, checked_frame
from .face.source import SourceFace
from .implicit_live import LiveDriver
from .implicit_pipeline import encode_implicit
from .motion.track import MotionTrack
from .packs.implicit_pack import ImplicitPack
from .packs.pack import ModelPack
from .pipeline import measure, retarget

CLIP_FRAMES, OVERLAP = 4, 1  # of live clips: shorter ones wait for less, and cost more a frame


def live_clips(pack: ModelPack, **changes: float | str) -> SamplerSettings:
    """A pack's sampler settings, with short clips.

    Args:
        pack: whose settings.
        changes: of `SamplerSettings`. Longer clips take less work a frame, and wait longer: for frames - overlap - 1.
    """
    return SamplerSettings.of(pack, **{"frames": CLIP_FRAMES, "overlap": OVERLAP, **changes})  # type: ignore[arg-type]


class LiveClips:
    """A photograph that moves like a face whose frames come one by one, as `LiveDriver`, for packs with a face model.

    Each clip is drawn as soon as its frames have come, and hands its last latents on to the next one. Movement counts
    from the driver's first frame with a face, or from where `rest` was called last. Memory is constant.

    Args:
        pack: the model pack.
        source: the person. A cut-out stands on white.
        settings: of the sampler; `live_clips(pack)` when None. Every clip begins with the same noise.
        diffuse: whether frames are drawn by diffusion; otherwise they are the renders that condition it, at once.
        face: which one of several in a frame: −1 the largest, else counted from the left, 0 the leftmost.
        tracker: finds the face; or the name of one, see `face.detect.face_tracker`.

    Attributes:
        latency: frames that the result is behind the driver, beside the time of computing.

    Raises:
        InputError: a source of another face model than the pack's, or a clip that leaves no new frame.
    """

    @checks.checked(
        pack=PACK,
        source=SOURCE,
        settings=checks.optional(checks.kind(SamplerSettings, remedy="give SamplerSettings")),
        face=checks.whole(-1, MAX_FACES_CLIP - 1),
    )
    def __init__(
        self,
        pack: ModelPack,
        source: SourceFace,
        settings: SamplerSettings | None = None,
        *,
        diffuse: bool = True,
        face: int = -1,
        tracker: FaceTracker | str = "auto",
    ) -> None:
        source.track.check_basis(pack.basis)
        settings = replace(settings or live_clips(pack), noise=SHARED)
        new = settings.frames - settings.overlap
        if not 0 < new <= settings.frames:
            raise InputError(
                f"A clip of {settings.frames} frames cannot carry {settings.overlap}; choose an overlap from 0 to"
                " frames - 1."
            )
        self._pack, self._source = pack, source
        self._clips = _Clips(pack, source, settings) if diffuse else None
        self.latency = new - 1 if diffuse else 0
        self._face = DriverFace(face, tracker)
        self._waiting: list[MotionTrack] = []
        self._drawn: deque[Tensor] = deque()
        self._shown = (source.crop.permute(1, 2, 0) + 1) / 2
        self.rest()

    @property
    def found(self) -> bool:
        """Whether the last frame showed the face."""
        return self._face.found

    def rest(self) -> None:
        """Take the pose in which the driver is found next as the source's own, in place of the first one's."""
        self._face.start()
        self._measured = self._pack.measurer().live()

    def motion(self, frame: Tensor | np.ndarray) -> MotionTrack | None:
        """The motion of the next frame [H, W, 3], uint8 or float in 0–1, retargeted; None where no face is found.

        Raises:
            InputError: another shape, values that no image has, or the first frame with a face shows fewer than `face`
                asks for.
        """
        frame = checked_frame(frame)
        if self._face.is_new_view(frame):
            self.rest()
        face = self._face.find(frame)
        if face is None:
            return None
        return retarget(self._measured.add(frame, face), self._source, neutral_frame=0)[-1:]

    def add(self, frame: Tensor | np.ndarray) -> Tensor:
        """The source [S, S, 3] in 0–1 as the face moved `latency` frames ago; it stays where none is found."""
        motion = self.motion(frame)
        if motion is not None:
            self._waiting.append(motion)
        if len(self._waiting) > self.latency:
            part, self._waiting = MotionTrack.concatenate(self._waiting), []
            self._drawn.extend(self._renders(part) if self._clips is None else self._clips.draw(part))
        if self._drawn:
            self._shown = self._drawn.popleft()
        return self._shown

    def _renders(self, motion: MotionTrack) -> Iterator[Tensor]:
        return ((image[:3].permute(1, 2, 0).cpu() + 1) / 2 for image in render(self._pack, self._source, motion))


class _Clips:
    """The clip loop for motion that comes piece by piece: each clip resumes it behind the last one."""

    def __init__(self, pack: ModelPack, source: SourceFace, settings: SamplerSettings) -> None:
        self._pack, self._source, self._settings = pack, source, settings
        self._appearance = encode(pack, source, source.track)
        self._carried: MotionTrack | None = None  # the last k frames
        self.state: LoopState | None = None

    def draw(self, motion: MotionTrack) -> Tensor:
        """The frames [F - k, S, S, 3] in 0–1 of the next F - k frames of motion."""
        settings, new = self._settings, len(motion)
        before = [motion[:1]] * settings.overlap if self._carried is None else [self._carried]
        clip = MotionTrack.concatenate([*before, motion])
        begun = 0 if self._carried is None else new  # frames before this clip
        fresh = clip if self._carried is None else motion  # whose renders the loop has not seen
        context = replace(self._appearance, track=clip).context
        stage = self._pack.stage(settings.frames)
        with host.current().load(stage.unet), host.current().load(self._pack.vae):
            frames = sample_clips(
                stage,
                render(self._pack, self._source, fresh),
                lambda indices: context([index - begun for index in indices]),
                begun + settings.frames,
                settings,
                kept=self,
            )
            drawn = torch.cat(list(frames))[-new:]
        self._carried = clip[new:]
        return (drawn.permute(0, 2, 3, 1) + 1) / 2

    def drawn(self) -> Iterator[Tensor]:
        """Nothing: frames of earlier clips have been shown."""
        return iter(())

    def add(self, frames: Tensor, state: LoopState) -> None:  # noqa: ARG002  # shown, not kept
        """Keep what the next clip needs to know; the loop counts one clip before it, however many there were."""
        self.state = replace(state, clips=1)


def live_source(pack: ModelPack | ImplicitPack, image: str | Path | Tensor) -> SourceFace | ImplicitSource:
    """The person in a photograph, a path or [H, W, 3] in 0–1, as a pack of either kind takes it.

    Raises:
        InputError: the file cannot be read, or shows no face.
    """
    return encode_implicit(pack, image) if isinstance(pack, ImplicitPack) else measure(pack, image)[0]


def live_driver(
    pack: ModelPack | ImplicitPack,
    source: SourceFace | ImplicitSource,
    tracker: FaceTracker | str = "auto",
    diffuse: bool = True,
) -> LiveDriver | LiveClips:
    """The object that moves a photograph frame by frame with a pack of either kind.

    Args:
        pack: a model pack.
        source: the person, measured or encoded by that pack.
        tracker: finds the driver's face.
        diffuse: see `LiveClips`; a pack for implicit motion diffuses no image.

    Raises:
        InputError: a source of the other kind.
    """
    if isinstance(pack, ImplicitPack):
        return LiveDriver(pack, source, tracker=tracker)  # type: ignore[arg-type]  # checked there
    return LiveClips(pack, source, diffuse=diffuse, tracker=tracker)  # type: ignore[arg-type]  # checked there
