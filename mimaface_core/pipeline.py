"""The pipeline: from files to animated frames, one function a step.

source, motion → retarget, smooth, edit → render → animate → paste_back → write_video
"""
# long: one public function a step, more than half of it their documentation

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import checks, host
from .appearance.frames import Appearance, encode_appearance
from .audio.checks import STYLES
from .audio.driver import DRIVERS, AudioDriver, audio_driver
from .audio.speech import Speech
from .diffusion.clips import count_steps, sample_clips
from .diffusion.settings import MAX_SEED, SamplerSettings
from .errors import InputError
from .face import extract
from .face.crop import warp
from .face.detect import FaceTracker, face_tracker
from .face.extract_by_d3dfr import FRAMINGS
from .face.lost import LOST
from .face.paste import Paster
from .face.source import SourceFace
from .media.audio import AnyAudio, Audio, AudioFile
from .media.frames import STILL_SUFFIXES, Frames, check_image
from .media.marks.report import name_marks
from .media.provenance import own_watermark, synthetic_metadata
from .media.rate import exact_rate
from .media.write import VideoWriter
from .morphable.bundled.face import procedural_face
from .morphable.bundled.groups import expression_groups
from .morphable.bundled.sliders import EXPRESSION_SLIDERS, slider_expression
from .motion import edit as edits
from .motion import reference as references
from .motion import retarget as retargeting
from .motion import smooth as smoothing
from .motion.running import RunningRetarget
from .motion.track import PROCEDURAL, MotionTrack
from .packs.find import find_pack
from .packs.pack import ModelPack
from .tensors import to_float, to_uint8

_log = logging.getLogger(__name__)

PROJECTED, ALBEDO = RENDERS = ("projected", "albedo")
RENDER_BATCH = 4  # frames drawn together
PASTE_BATCH = 4  # full images made together
GAZE_X, GAZE_Y = 0.2, 0.12  # eye widths at a slider's 1: as far as eyes turn without effort

_log = logging.getLogger(__name__)

# What the functions below take, for `checks.checked`.
_PACK = checks.kind(ModelPack, remedy="give what load_pack or the node Load Pack returns")
_SOURCE = checks.kind(SourceFace, remedy="give the first of the two that measure or the node Extract 3DMM returns")
_MOTION = checks.kind(MotionTrack, remedy="give a motion, the second of the two that measure or Extract 3DMM returns")
_APPEARANCE = checks.kind(Appearance, remedy="give what encode or the node Encode Appearance returns")
_SETTINGS = checks.kind(SamplerSettings, remedy="give SamplerSettings")
_FACE = checks.kind(SourceFace, MotionTrack, remedy="give a source or a motion, as measure returns them")
_AUDIO = checks.kind(str, Path, Audio, AudioFile, remedy="give a path, or Audio(waveform [channels, samples], rate)")
_NOTES = checks.kind(Mapping, remedy="give a dict of texts by name")
_ANY, _SHARE, _FACTOR = checks.number(), checks.number(0, 1), checks.number(0, 10)
MOST_FACES = 1000  # that `face` counts to
IMAGE_SIDES = (16, 16384)  # pixels of the longest side


def load_pack(name: str | Path = "bundled") -> ModelPack:
    """Open a model pack; its networks are loaded when they are first used.

    Args:
        name: of a pack (`bundled`, or a folder in models/mimaface), or a folder.

    Raises:
        InputError: there is no such pack, or its manifest is not usable.
    """
    return find_pack(str(name))


@checks.checked(pack=_PACK, source=_SOURCE, motion=_MOTION, mode=checks.optional(checks.choice(RENDERS)))
def render(pack: ModelPack, source: SourceFace, motion: MotionTrack, mode: str | None = None) -> Iterator[Tensor]:
    """I_R, the conditioning render of each frame, drawn a few at a time when they are asked for.

    Args:
        pack: whose face model is drawn.
        source: the person.
        motion: N frames, retargeted to the source.
        mode: `projected`, the photograph re-projected onto the face model, [4, S, S]: RGB in ±1 and the share of the
            photograph that is shown there (see `ReprojectionRenderer.draw`); `albedo`, the shaded face model on black,
            [3, S, S] in ±1. The pack's own when None.

    Raises:
        InputError: with the first frame, where the motion belongs to another face model than the pack's.
    """
    mode = mode or pack.render
    motion.check_basis(pack.basis)
    if not torch.allclose(motion.coefficients.identity, source.track.coefficients.identity, atol=1e-4):
        _log.warning(
            "The motion is not retargeted to this source and is drawn with the driver's own head; retarget it."
        )
    draw = _renderer(pack, source, mode)
    for start in range(0, len(motion), RENDER_BATCH):
        host.current().check_cancelled()
        yield from draw(motion[start : start + RENDER_BATCH])


def _renderer(pack: ModelPack, source: SourceFace, mode: str) -> Callable[[MotionTrack], Tensor]:
    """A function that draws a few frames [n, 3 or 4, S, S]."""
    if mode == PROJECTED:
        from .reprojection.renderer import ReprojectionRenderer

        return ReprojectionRenderer(pack.face, source.crop, source.landmarks, source.track).draw
    from .morphable.render import composite_released, render_shaded

    model = pack.morphable
    if pack.basis == PROCEDURAL:  # the face alone, without the rest of the head
        parts = [pack.face.model.triangles[part] for name, part in pack.face.part_triangles.items() if name != "head"]
        model = replace(model, triangles=torch.cat(parts))

    def draw(part: MotionTrack) -> Tensor:
        rgb, mask = render_shaded(model, part.coefficients)
        return composite_released(rgb, mask, part.alignment, source.crop.shape[-1])

    return draw


def transparency(pack: ModelPack, source: SourceFace, motion: MotionTrack) -> Iterator[Tensor]:
    """The alpha [S, S] in 0–1 of each frame of a cut-out's crop, moved along with the head.

    Args:
        pack: the model pack.
        source: the person; nothing comes of one without transparency, or for a pack with another face model than the
            bundled one, which is logged.
        motion: N frames, retargeted to the source.
    """
    if source.alpha is None:
        return
    if pack.basis != PROCEDURAL:
        _log.warning("This model pack does not move the source's transparency: its result stands on white.")
        return
    from .reprojection.renderer import ReprojectionRenderer

    renderer = ReprojectionRenderer(pack.face, source.crop, source.landmarks, source.track)
    alpha = warp(source.alpha[None], source.crop_matrix, source.crop.shape[-1])
    for start in range(0, len(motion), RENDER_BATCH):
        yield from renderer.move(alpha, motion[start : start + RENDER_BATCH])[:, 0]


def with_alpha(frames: Tensor, alphas: Iterator[Tensor]) -> Tensor:
    """Frames [n, S, S, 3] with the next n of `transparency`, if there are, as fourth channel."""
    alpha = list(islice(alphas, len(frames)))
    return torch.cat([frames, torch.stack(alpha)[..., None].to(frames)], -1) if alpha else frames


@checks.checked(pack=_PACK, source=_SOURCE, motion=_MOTION)
def encode(pack: ModelPack, source: SourceFace, motion: MotionTrack, average: bool | None = None) -> Appearance:
    """The source's appearance, modulated by the motion of each frame (MIA, equation 1).

    Args:
        pack: whose encoder is used.
        source: the person, who is encoded once.
        motion: N frames, retargeted to the source.
        average: whether all frames of a clip share the mean of their contexts; the pack's own way when None.

    Raises:
        InputError: source or motion belong to another face model than the pack's.
    """
    for track in (source.track, motion):
        track.check_basis(pack.basis)
    encoder = pack.stage(len(motion)).appearance
    average = pack.averaged if average is None else average
    return encode_appearance(encoder, source.crop, source.track.alignment, motion, average)


@checks.checked(
    pack=_PACK,
    source=_SOURCE,
    motion=_MOTION,
    settings=checks.optional(_SETTINGS),
    appearance=checks.optional(_APPEARANCE),
)
def animate(
    pack: ModelPack,
    source: SourceFace,
    motion: MotionTrack,
    settings: SamplerSettings | None = None,
    *,
    appearance: Appearance | None = None,
) -> Iterator[Tensor]:
    """The source in motion, drawn by diffusion clip by clip; memory does not grow with the motion's length.

    Args:
        pack: the model pack.
        source: the person.
        motion: N frames, retargeted to the source. One frame is drawn by the pack's image model, if it has one.
        settings: of the sampler; the pack's own (`SamplerSettings.of(pack)`) when None.
        appearance: from `encode`, of the same motion; encoded here when None.

    Yields:
        Frames [n, S, S, 3] in 0–1 of each clip, N in all: the animated face crop. Those of a cut-out have a fourth
        channel, their alpha, see `tensors.on_white`.

    Raises:
        InputError: an appearance of another length, or a setting that the pack cannot do.
    """
    total = len(motion)
    appearance = encode(pack, source, motion) if appearance is None else appearance
    if len(appearance) != total:
        raise InputError(
            f"The appearance was encoded for {len(appearance)} frames, but the motion has {total};"
            " encode the appearance with the motion that is drawn."
        )
    settings = (settings or SamplerSettings.of(pack)).for_total(total)
    current, stage = host.current(), pack.stage(total)
    with (
        current.load(stage.unet),
        current.load(pack.vae),
        current.progress(count_steps(total, settings), "drawing") as progress,
    ):
        renders, alphas = render(pack, source, motion), transparency(pack, source, motion)
        for clip in sample_clips(
            stage, renders, appearance.context, total, settings, progress=progress, previews=current.previews
        ):
            yield with_alpha((clip.permute(0, 2, 3, 1) + 1) / 2, alphas)


@checks.checked(
    pack=_PACK,
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
        tracker: finds the faces; mediapipe when None.

    Returns:
        The person, from the first frame that shows the face, and the motion of all frames.

    Raises:
        InputError: the file cannot be read, no face is found, or no tracker is installed.
    """
    frames = _frames(frames, fps)
    tracker = tracker or face_tracker(host.current().models_folders())
    alpha = next(iter(frames), torch.empty(0))[..., 3:] if frames.count == 1 else torch.empty(0)
    opaque = frames.opaque()
    source, motion = extract.measure(opaque, opaque.count, opaque.fps, tracker, pack.measurer(framing), face, lost)
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


@checks.checked(motion=_MOTION, source=_SOURCE, pose=_ANY, expression=_ANY, gaze=_ANY, travel=_ANY)
def retarget(
    motion: MotionTrack,
    source: SourceFace,
    mode: str = "relative",
    *,
    neutral_frame: int = retargeting.AUTOMATIC,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
    travel: float = 1.0,
) -> MotionTrack:
    """The source moving like the driver; see `motion.retarget.retarget`.

    Args:
        motion: the driver's.
        source: the person who shall move.
        mode: `relative`, `absolute` or `as released`.
        neutral_frame: the driver's frame that motion counts from; −1 for its resting face, found in the whole clip.
        pose: strength of the head's motion, 1 = as the driver, 0 = as the source.
        expression: strength of the expression, likewise.
        gaze: strength of the gaze, likewise.
        travel: share of the head's shifts and changes of size that goes with the pose; 0 turns it in its place.
    """
    groups = expression_groups(source.track.basis)
    return retargeting.retarget(motion, source.track, groups, mode, neutral_frame, pose, expression, gaze, travel)


@checks.checked(source=_SOURCE, pose=_ANY, expression=_ANY, gaze=_ANY, travel=_ANY)
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


@checks.checked(motion=_MOTION, pose=_SHARE, expression=_SHARE, gaze=_SHARE)
def smooth(motion: MotionTrack, *, pose: float = 0.4, expression: float = 0.3, gaze: float = 0.3) -> MotionTrack:
    """The motion without the tracker's jitter; strengths from 0 (as it is) to 1. See `motion.smooth.smooth`."""
    return smoothing.smooth(motion, expression_groups(motion.basis), pose, expression, gaze)


@checks.checked(
    face=_FACE,
    yaw=_ANY,
    pitch=_ANY,
    roll=_ANY,
    shift=checks.pair,
    zoom=_ANY,
    gaze=checks.pair,
    expression=checks.optional(checks.numbers_by_name),
)
def edit(
    face: SourceFace | MotionTrack,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    zoom: float = 1.0,
    gaze: tuple[float, float] = (0.0, 0.0),
    expression: Mapping[str, float] | None = None,
) -> MotionTrack:
    """The same change in every frame of a motion, or of a photograph, which is one frame.

    Args:
        face: the source, or a motion retargeted to it.
        yaw: degrees, to the image's right.
        pitch: degrees, up.
        roll: degrees, clockwise as seen.
        shift: x to the image's right and y up, as shares of the crop's side.
        zoom: size of the head, 1 as it is.
        gaze: x to the image's right and y up; at 1 the eyes turn as far as they do without effort.
        expression: positions of the sliders by name (`morphable.bundled.sliders.EXPRESSION_SLIDERS`), such as
            {"smile": 0.5}.

    Raises:
        InputError: expression sliders for a motion of another face model than the bundled one.
    """
    motion = face.track if isinstance(face, SourceFace) else face
    return edits.edit(
        motion,
        yaw=math.radians(yaw),
        pitch=math.radians(pitch),
        roll=math.radians(roll),
        shift=shift,
        zoom=zoom,
        expression=_slider_change(motion, expression or {}),
        gaze=(GAZE_X * gaze[0], GAZE_Y * gaze[1]),
    )


def _slider_change(motion: MotionTrack, sliders: Mapping[str, float]) -> Tensor | None:
    """Change of the expression [N, 64] by sliders, None where all are at 0."""
    for name in sliders:
        if name not in EXPRESSION_SLIDERS:
            nearest = get_close_matches(name, EXPRESSION_SLIDERS, 1, 0)[0]
            raise InputError(f"There is no expression slider '{name}'; the nearest is '{nearest}'.")
    if not any(sliders.values()):
        return None
    if motion.basis != PROCEDURAL:
        raise InputError(
            "The sliders of the expression move the bundled face model only; leave them at 0 for a motion of this pack,"
            " or extract it with the bundled pack."
        )
    c = motion.coefficients
    return slider_expression(procedural_face(), c.identity, c.expression, dict(sliders))


@checks.checked(
    pack=_PACK,
    source=_SOURCE,
    audio=_AUDIO,
    driver=checks.choice(DRIVERS),
    style=checks.whole(0, STYLES - 1),
    seed=checks.whole(0, MAX_SEED),
    lips=_FACTOR,
    pose=_FACTOR,
    blinks=_FACTOR,
    reference=checks.optional(_MOTION),
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
    face = pack.face if pack.basis == PROCEDURAL else None
    return audio_driver(name, bundled=lambda: pack.audio_driver, face=face, folders=host.current().models_folders())


@checks.checked(source=_SOURCE, longest_side=checks.whole(*IMAGE_SIDES))
def paste_back(source: SourceFace, frames: Tensor | Iterable[Tensor], longest_side: int = 1920) -> Iterator[Tensor]:
    """The animated crop returned into the whole photograph, with soft edges and matched colour.

    Args:
        source: whose crop it is.
        frames: batches [n, S, S, 3] in 0–1, as `animate` yields them, or frames [S, S, 3].
        longest_side: larger photographs are scaled down to this many pixels.

    Yields:
        Batches [n, H, W, 3] in 0–1, n ≤ PASTE_BATCH; [n, H, W, 4] for frames with an alpha.
    """
    paste = Paster(source, longest_side)
    for batch in _batches(frames):
        for part in to_float(batch).split(PASTE_BATCH):
            yield paste(part.permute(0, 3, 1, 2))


def _batches(frames: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    """Frames [H, W, 3] and batches [n, H, W, 3], of an iterable or single, as batches. Raises InputError for others."""
    if not isinstance(frames, (Tensor, Iterable)):
        raise InputError(f"Frames cannot be {type(frames).__name__}; give tensors [n, height, width, 3].")
    for batch in [frames] if isinstance(frames, Tensor) else frames:
        if not isinstance(batch, Tensor) or batch.ndim not in (3, 4) or batch.shape[-1] not in (3, 4):
            found = list(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
            raise InputError(f"Frames are tensors [n, height, width, 3] or [height, width, 3], not {found}.")
        check_image(batch)
        yield batch if batch.ndim == 4 else batch[None]


@checks.checked(audio=checks.optional(_AUDIO), metadata=checks.optional(_NOTES))
def write_video(
    path: str | Path,
    frames: Tensor | Iterable[Tensor],
    fps: float | Fraction,
    *,
    audio: str | Path | AnyAudio | None = None,
    metadata: Mapping[str, Any] | None = None,
    watermark: bool = True,
) -> Path:
    """Write a video, whole or not at all, marked as synthetic.

    Args:
        path: of the file; its suffix chooses .mp4, .webm, .gif, or .png for a single frame.
        frames: batches [n, H, W, 3] or frames [H, W, 3], in 0–1 or uint8; with an alpha as `animate` yields it, png,
            webm and gif keep it.
        fps: frames a second.
        audio: a file, or a waveform, which is cut where the video ends.
        metadata: further entries for the file.
        watermark: whether an invisible mark, which `mimaface detect` finds, is laid into the frames; the metadata say
            where it is not.

    Returns:
        The path.

    Raises:
        InputError: no frame, an unknown suffix, or a file that cannot be written.
    """
    path = Path(path)
    sound = AudioFile.open(audio) if isinstance(audio, (str, Path)) else audio
    if sound is None and audio is not None and Path(str(audio)).suffix.lower() in STILL_SUFFIXES:
        raise InputError(f"{audio} is an image and has no audio; give an audio file, or a video.")
    kind = path.suffix.lstrip(".").lower()
    mark = own_watermark() if watermark else None
    notes = {**synthetic_metadata(mark), **(metadata or {})}
    with VideoWriter(path, exact_rate(fps), kind, audio=sound, metadata=notes, watermark=mark) as writer:
        for batch in _batches(frames):
            for frame in batch:
                if kind == "png" and writer.frames:
                    raise InputError(
                        f"{path.name} holds one image only; name an .mp4, .webm or .gif for several frames."
                    )
                writer.write(to_uint8(frame).cpu() if frame.is_floating_point() else frame)
    return writer.path
