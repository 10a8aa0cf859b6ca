"""From files to motion, one function a step: what shows a face is measured, retargeted, smoothed, or spoken.

measure → retarget, smooth; speak. Changes by hand follow in `editing`, what draws the motion in `drawing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from . import checks, host
from .arguments import ANY_MOTION, AUDIO, MOTION, PACK, SOURCE
from .audio.checks import STYLES
from .audio.driver import DRIVERS, AudioDriver, audio_driver
from .audio.speech import Speech
from .diffusion.settings import MAX_SEED
from .errors import InputError
from .face import extract
from .face.detect import FaceTracker, face_tracker
from .face.extract_by_d3dfr import FRAMINGS
from .face.lost import LOST
from .face.source import SourceFace
from .media.audio import AnyAudio, AudioFile
from .media.frames import Frames
from .media.marks.report import name_marks
from .media.rate import exact_rate
from .morphable.bundled.groups import expression_groups
from .motion import reference as references
from .motion import retarget as retargeting
from .motion import smooth as smoothing
from .motion.running import RunningRetarget
from .motion.stream import MotionStream
from .motion.track import BUNDLED, MotionTrack
from .packs.adapted import adapt
from .packs.find import find_pack
from .packs.pack import ModelPack

MOST_FACES = 1000  # that `face` counts to

Moving = TypeVar("Moving", bound=MotionTrack | MotionStream)

_ANY, _SHARE, _FACTOR = checks.number(), checks.number(0, 1), checks.number(0, 10)


def load_pack(
    name: str | Path = "bundled", *, lora: str | Path | None = None, lora_strength: float = 1.0, vae: str | None = None
) -> ModelPack:
    """Open a model pack; its networks are loaded when they are first used.

    Args:
        name: of a pack (`bundled`, or a folder in models/mimaface), or a folder.
        lora: an LCM LoRA for the released pack, by its name in models/loras or its path; the pack's sampler settings
            are then lcm, 4 steps, guidance 1.
        lora_strength: how much of it is added; 1 is the LoRA as it is.
        vae: `taesd` for TAESD, from models/vae_approx, in place of the released pack's autoencoder.

    Raises:
        InputError: there is no such pack, LoRA or autoencoder, one of them is not usable, or they do not fit.
    """
    return adapt(find_pack(str(name)), None if lora is None else str(lora), lora_strength, vae)


@checks.checked(
    pack=PACK,
    face=checks.whole(-1, MOST_FACES),
    lost=checks.choice(LOST),
    framing=checks.optional(checks.choice(FRAMINGS)),
)
def measure(
    pack: ModelPack,
    frames: str | Path | Tensor | Frames,
    *,
    face: int = -1,
    lost: str = "rest",
    framing: str | None = None,
    fps: float = 25.0,
    tracker: FaceTracker | None = None,
) -> tuple[SourceFace, MotionTrack]:
    """Find a face, follow it and fit the face model: the person, and how the face moves.

    Args:
        pack: whose face model is fitted, or whose network regresses it.
        frames: a photograph or a video: its path, an image [H, W, 3] or a batch [N, H, W, 3] in 0–1, or `Frames`. A
            single image may have an alpha as fourth channel, which the result then keeps.
        face: which one, where there are several: −1 the largest, else counted from the left, 0 the leftmost.
        lost: frames without a face: ease to the resting face and back (`rest`), `interpolate` between those around,
            hold the `previous`, or take the first pose (`empty`).
        framing: crop of a driver's frames where a network regresses: `as released` or `keep aspect`; as released when
            None.
        fps: frames a second of a batch; a video has its own.
        tracker: finds the faces, see `face.detect.face_tracker`; `auto` when None.

    Returns:
        The person, from the first frame that shows the face, and the motion of all frames.

    Raises:
        InputError: the file cannot be read or no face is found.
    """
    return _measured(extract.measure, _frames(frames, fps), tracker, pack.measurer(framing), face, lost)


@checks.checked(
    pack=PACK,
    face=checks.whole(-1, MOST_FACES),
    lost=checks.choice(LOST),
    framing=checks.optional(checks.choice(FRAMINGS)),
)
def measure_stream(
    pack: ModelPack,
    frames: str | Path | Tensor | Frames,
    *,
    face: int = -1,
    lost: str = "rest",
    framing: str | None = None,
    fps: float = 25.0,
    tracker: FaceTracker | None = None,
) -> tuple[SourceFace, MotionTrack | MotionStream]:
    """As `measure`, but of a clip of more than `extract.FIRST_FRAMES` frames only these are measured at once.

    Its motion is a stream: `smooth` and `retarget` hand it on, `animate` and `render` draw while it is measured.
    """
    return _measured(extract.measure_stream, _frames(frames, fps), tracker, pack.measurer(framing), face, lost)


def _measured(
    how: Callable[..., tuple[SourceFace, Moving]], frames: Frames, tracker: FaceTracker | None, *given: Any
) -> tuple[SourceFace, Moving]:
    alpha = next(iter(frames), torch.empty(0))[..., 3:] if frames.count == 1 else torch.empty(0)
    opaque = frames.opaque()
    source, motion = how(opaque, opaque.count, opaque.fps, tracker or face_tracker(), *given)
    return (replace(source, alpha=alpha[..., 0].float()) if alpha.numel() else source), motion


def _frames(frames: str | Path | Tensor | Frames, fps: float) -> Frames:
    if isinstance(frames, Frames):
        return frames
    if isinstance(frames, Tensor):
        return Frames.of_batch(frames[None] if frames.ndim == 3 else frames, fps, alpha=True)
    if isinstance(frames, (str, Path)):
        name_marks(frames, "the file")
        return Frames.open(frames, alpha=True)
    raise InputError(
        f"Frames cannot be a {type(frames).__name__}; give a path, an image tensor [H, W, 3] in 0–1, a batch"
        " [N, H, W, 3], or Frames."
    )


@checks.checked(motion=ANY_MOTION, source=SOURCE, pose=_ANY, expression=_ANY, gaze=_ANY, travel=_ANY)
def retarget(
    motion: Moving,
    source: SourceFace,
    mode: str = "relative",
    *,
    neutral_frame: int = retargeting.AUTOMATIC,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
    travel: float = 1.0,
) -> Moving:
    """The source moving like the driver; see `motion.retarget.retarget`.

    Args:
        motion: the driver's. A stream gives a stream, where motion counts from the resting face, which is estimated as
            it goes.
        source: the person who shall move.
        mode: `relative`, `absolute` or `as released`.
        neutral_frame: the driver's frame that motion counts from; −1 for its resting face, found in the whole clip.
        pose: strength of the head's motion, 1 = as the driver, 0 = as the source.
        expression: strength of the expression, likewise.
        gaze: strength of the gaze, likewise.
        travel: share of the head's shifts and changes of size that goes with the pose; 0 turns it in its place.
    """
    groups = expression_groups(source.track.basis)

    def whole(track: MotionTrack) -> MotionTrack:
        return retargeting.retarget(track, source.track, groups, mode, neutral_frame, pose, expression, gaze, travel)

    moved: Any  # of the motion's own kind
    if isinstance(motion, MotionTrack):
        moved = whole(motion)
    elif mode == "relative" and neutral_frame == retargeting.AUTOMATIC:
        running = {"pose": pose, "expression": expression, "gaze": gaze, "travel": travel}
        moved = motion.then(lambda pieces: retarget_stream(pieces, source, **running))
    else:
        moved = motion.then(lambda pieces: iter([whole(MotionTrack.concatenate(list(pieces)))]))
    return moved


@checks.checked(source=SOURCE, pose=_ANY, expression=_ANY, gaze=_ANY, travel=_ANY)
def retarget_stream(
    pieces: Iterable[MotionTrack],
    source: SourceFace,
    *,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
    travel: float = 1.0,
) -> Iterator[MotionTrack]:
    """The source moving like a driver who is still being filmed: the driver's resting face is estimated as it goes.

    Args:
        pieces: of the driver's motion, one after another, each of at least one frame.
        source: the person who shall move.
        pose: strength of the head's motion, as in `retarget`.
        expression: strength of the expression, likewise.
        gaze: strength of the gaze, likewise.
        travel: share of the head's shifts and changes of size, likewise.

    Yields:
        The pieces, retargeted, each as soon as it has come.
    """
    strengths = retargeting.Strengths(pose, expression, gaze, travel)
    running = RunningRetarget(source.track, expression_groups(source.track.basis), strengths)
    yield from map(running.add, pieces)


@checks.checked(motion=ANY_MOTION, pose=_SHARE, expression=_SHARE, gaze=_SHARE)
def smooth(motion: Moving, *, pose: float = 0.4, expression: float = 0.3, gaze: float = 0.3) -> Moving:
    """The motion without the tracker's jitter; strengths from 0 (as it is) to 1. See `motion.smooth.smooth`."""
    groups = expression_groups(motion.basis)
    steadied: Any  # of the motion's own kind
    if isinstance(motion, MotionTrack):
        steadied = smoothing.smooth(motion, groups, pose, expression, gaze)
    else:
        steadied = motion.then(lambda pieces: smoothing.smooth_pieces(pieces, groups, pose, expression, gaze))
    return steadied


@checks.checked(
    pack=PACK,
    source=SOURCE,
    audio=AUDIO,
    driver=checks.choice(DRIVERS),
    style=checks.whole(0, STYLES - 1),
    seed=checks.whole(0, MAX_SEED),
    lips=_FACTOR,
    pose=_FACTOR,
    blinks=_FACTOR,
    reference=checks.optional(MOTION),
    borrow=checks.choice(references.BORROWED),
)
def speak(
    pack: ModelPack,
    source: SourceFace,
    audio: str | Path | AnyAudio,
    *,
    driver: str = "bundled",
    fps: float = 25.0,
    style: int = 0,
    seed: int = 0,
    lips: float = 1.0,
    pose: float = 1.0,
    blinks: float = 1.0,
    reference: MotionTrack | None = None,
    borrow: str = references.HEAD,
) -> MotionTrack:
    """The source's face speaking: lips by the voice; head, brows, eyes and blinks as they go with it.

    Args:
        pack: the model pack.
        source: the person.
        audio: the voice, or a video with one.
        driver: `bundled`, or `sadtalker` where its weights are in models/mimaface.
        fps: frames a second of the motion.
        style: temperament, 0–45.
        seed: of nods, glances and blinks.
        lips: how far the mouth moves, 1 as it is.
        pose: how far the head moves, its own way or that of the reference.
        blinks: how much the eyes blink.
        reference: a clip's motion for the head.
        borrow: what is taken from it: `head`, `head and eyes` or `all but the mouth`.

    Raises:
        InputError: no audio, no weights for the driver, or tracks of two face models.
    """
    source.track.check_basis(pack.basis)
    motion = _audio_driver(driver, pack).drive(
        _speech(audio), source.track, exact_rate(fps), style=style, seed=seed, pose=pose, lips=lips, blinks=blinks
    )
    if reference is None:
        return motion
    return references.borrow(motion, reference, source.track, expression_groups(pack.basis), borrow, pose)


def _speech(audio: str | Path | AnyAudio) -> Speech:
    sound = AudioFile.open(audio) if isinstance(audio, (str, Path)) else audio
    if sound is None:
        raise InputError(f"{audio} has no audio to speak with; give a video with audio, or an audio file.")
    return Speech.of(sound)


def _audio_driver(name: str, pack: ModelPack) -> AudioDriver:
    face = pack.face if pack.basis == BUNDLED else None
    return audio_driver(name, bundled=lambda: pack.audio_driver, face=face, folders=host.current().models_folders())
