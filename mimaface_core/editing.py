"""Motion by hand, one function a step: edit, keyframe, mix; and a motion as keyframes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import checks
from .arguments import AUDIO, FACE, MOTION, SOURCE
from .audio.loudness import loudness
from .errors import InputError
from .face.source import SourceFace
from .media.audio import AnyAudio, AudioFile
from .morphable.bundled.blendshapes import BLENDSHAPES, REACH
from .morphable.bundled.control_curves import positions_of
from .morphable.bundled.controls import CONTROLS, EXPRESSION_SLIDERS, check_name
from .morphable.bundled.edit_value import check_positions
from .morphable.bundled.groups import expression_groups
from .morphable.bundled.sliders import apply_controls
from .motion import mix as mixing
from .motion.keyframes import MOST_SECONDS, Keyframes, easing_of_curve, simplified
from .motion.rest import neutral_expression, resting_face
from .motion.track import BUNDLED, MotionTrack

_ANY, _SHARES = checks.number(), checks.optional(checks.numbers_by_name)
RANGES = {name: (control.low, control.high) for name, control in CONTROLS.items()}
MIXED = {  # group of a mix → blendshapes
    group: [i for i, name in enumerate(BLENDSHAPES) if name.startswith(starts)]
    for group, starts in {
        "lids": ("eye", "lid"),
        "brows": ("brow",),
        "mouth": ("mouth", "lip", "jaw", "cheek", "nose"),
    }.items()
}


@checks.checked(
    face=FACE,
    yaw=_ANY,
    pitch=_ANY,
    roll=_ANY,
    shift=checks.pair,
    zoom=_ANY,
    gaze=checks.pair,
    expression=checks.optional(checks.numbers_by_name),
    controls=checks.optional(checks.numbers_by_name),
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
    controls: Mapping[str, float] | None = None,
    neutral_first: bool = False,
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
        expression: positions of the combined controls by name (`morphable.bundled.controls.EXPRESSION_SLIDERS`), such
            as {"smile": 0.5}.
        controls: positions of any controls by name (`morphable.bundled.controls.CONTROLS`), such as
            {"gaze_x_left": 0.3, "mouth_smile_right": 0.5}, within their ranges; they are added to the others.
        neutral_first: whether the person's own expression is taken away first: that of the photograph, or the resting
            one of the motion. Head and gaze stay.

    Returns:
        The motion; exactly that of the face where all is at rest.

    Raises:
        InputError: an unknown control, one out of its range, or controls of the expression for a motion of another
            face model than the bundled one.
    """
    motion = face.track if isinstance(face, SourceFace) else face
    if neutral_first:
        motion = _neutral(motion)
    values = {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "shift_x": 100 * shift[0],
        "shift_y": 100 * shift[1],
        "zoom": zoom,
        "gaze_x": gaze[0],
        "gaze_y": gaze[1],
        **_known(expression or {}),
    }
    for name, position in check_positions(controls or {}).items():
        values[name] = values.get(name, 1.0) * position if name == "zoom" else values.get(name, 0.0) + position
    return apply_controls(motion, values)


def _known(expression: Mapping[str, float]) -> Mapping[str, float]:
    for name in expression:
        if name not in EXPRESSION_SLIDERS:
            nearest = get_close_matches(name, EXPRESSION_SLIDERS, 1, 0)[0]
            raise InputError(f"There is no expression slider '{name}'; the nearest is '{nearest}'.")
    return expression


def _neutral(motion: MotionTrack) -> MotionTrack:
    """The motion without the person's own expression. Raises InputError on another face model than the bundled one."""
    motion.check_basis(BUNDLED)
    groups, c = expression_groups(BUNDLED), motion.coefficients
    own = c.expression if len(motion) == 1 else resting_face(motion, groups).expression
    change: Tensor = neutral_expression(c.identity[:1], own, groups) - own
    return motion.replace(coefficients=c.replace(expression=c.expression + change))


@checks.checked(
    face=FACE,
    seconds=checks.number(0, MOST_SECONDS),
    audio=checks.optional(AUDIO),
    audio_controls=checks.optional(checks.numbers_by_name),
)
def keyframe(
    face: SourceFace | MotionTrack,
    keyframes: Keyframes | str | Mapping[str, Any],
    *,
    seconds: float = 0.0,
    easing: Any = None,
    audio: str | Path | AnyAudio | None = None,
    audio_controls: Mapping[str, float] | None = None,
) -> MotionTrack:
    """Controls that move over time, on a photograph or on top of a motion.

    Args:
        face: the source, or a motion retargeted to it, which keeps its length and its rate.
        keyframes: the timeline, or its JSON, see `Keyframes.read`.
        seconds: length for a source; that of the timeline when 0.
        easing: ComfyUI's CURVE, taken instead of every easing but `hold`.
        audio: whose loudness moves `audio_controls`.
        audio_controls: control → how far it moves where the audio is loud, added to its keys.

    Returns:
        The motion; that of the face where there is no key.

    Raises:
        InputError: a timeline or curve that cannot be used, or an unknown control.
    """
    timeline = keyframes if isinstance(keyframes, Keyframes) else Keyframes.read(keyframes, RANGES)
    if isinstance(face, SourceFace):
        count = max(1, round(seconds * timeline.fps)) if seconds else timeline.frames
        motion = face.track[[0] * count].replace(fps=timeline.fps)
    else:
        motion = face
    times = torch.arange(len(motion), dtype=torch.float64) / float(motion.fps)
    values = timeline.at(times, None if easing is None else easing_of_curve(easing))
    if audio is not None and audio_controls:
        sound = AudioFile.open(audio) if isinstance(audio, (str, Path)) else audio
        if sound is None:
            raise InputError(f"{audio} has no audio to move a control by; give a file that has.")
        level = loudness(sound, motion.fps, len(motion))
        for name, amount in audio_controls.items():
            check_name(name)
            position = values.get(name, torch.full_like(level, CONTROLS[name].rest)) + amount * level
            values[name] = position.clamp(*RANGES[name])
    return apply_controls(motion, values)


@checks.checked(motion=MOTION, face=checks.optional(FACE), tolerance=checks.number(0, 1))
def keyframes_of(
    motion: MotionTrack, face: SourceFace | MotionTrack | None = None, tolerance: float = 0.01
) -> Keyframes:
    """A motion as keyframes of controls, few enough to be changed by hand.

    Args:
        motion: of a tracker, a voice, or an ARKit table.
        face: the source, or the first frame of a motion, that the keys count from; the motion's own resting face when
            None.
        tolerance: by which the curves may differ from the motion, as a share of each control's range.

    Returns:
        Keys of the controls that move more than the tolerance. Corrective movements, which no control makes, are lost.

    Raises:
        InputError: both belong to different face models.
    """
    rest = face.track if isinstance(face, SourceFace) else face
    own = _at_rest(motion) if rest is None else rest[0]
    own.check_basis(motion.basis)
    times = torch.arange(len(motion), dtype=torch.float64) / float(motion.fps)
    curves = {}
    for name, values in positions_of(motion, own).items():
        low, high = RANGES[name]
        allowed = tolerance * (high - low)
        if (values - CONTROLS[name].rest).abs().max() > allowed:
            curves[name] = simplified(times, values, allowed)
    return Keyframes(motion.fps, len(motion) / float(motion.fps), "none", curves)


def _at_rest(motion: MotionTrack) -> MotionTrack:
    """The motion's resting face as a track of one frame."""
    rest, first = resting_face(motion, expression_groups(motion.basis)), motion[0]
    c = first.coefficients.replace(
        expression=rest.expression,
        angles=rest.angles[:1],
        translation=motion.coefficients.translation.median(0, keepdim=True).values,
    )
    return first.replace(coefficients=c, gaze=rest.gaze)


@checks.checked(
    motion=MOTION,
    hand=MOTION,
    source=SOURCE,
    driver_strength=_SHARES,
    hand_strength=_SHARES,
    start=checks.number(0),
    end=checks.number(0),
    fade=checks.number(0),
)
def mix(
    motion: MotionTrack,
    hand: MotionTrack,
    source: SourceFace,
    *,
    driver_strength: Mapping[str, float] | None = None,
    hand_strength: Mapping[str, float] | None = None,
    start: float = 0.0,
    end: float = 0.0,
    fade: float = 0.0,
) -> MotionTrack:
    """A driver's motion and one made by hand in one; see `motion.mix.mix`.

    Args:
        motion: the driver's, retargeted to the source.
        hand: of `edit` or `keyframe` with the same source; one frame holds throughout.
        source: the person.
        driver_strength: group of `motion.mix.GROUPS` → how much of the driver is taken, 1 when absent; 0 replaces it.
        hand_strength: likewise of the hand.
        start: seconds, from which on the hand acts.
        end: seconds, until which it acts; 0 for the end of the motion.
        fade: seconds in which it sets in, and ends.

    Raises:
        InputError: an unknown group, an end before the start, or tracks of different face models.
    """
    if end and end <= start:
        raise InputError(f"The hand cannot act from {start:g} s to {end:g} s; give an end behind the start, or 0.")
    taken, made = driver_strength or {}, hand_strength or {}
    for group in (*taken, *made):
        if group not in mixing.GROUPS:
            raise InputError(f"There is no group {group!r}; there are {', '.join(mixing.GROUPS)}.")
    parts = {group: mixing.Part(taken.get(group, 1.0), made.get(group, 1.0)) for group in mixing.GROUPS}
    columns: Mapping[str, Sequence[int]] = MIXED
    if motion.basis != BUNDLED:  # its expressions move the whole face
        columns = {"mouth": range(len(BLENDSHAPES))}
    window = mixing.Window(start, end, fade)
    return mixing.mix(motion, hand, source.track, columns, parts, window, REACH)
