"""Frames in which a face is lost: fills for them, from the frames of the same shot that show it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from ..morphable.bundled.groups import expression_groups
from ..motion.rest import NECK, neck_of, resting_face, usual_frame
from ..motion.rotation import rotation_of
from ..motion.track import BUNDLED, FaceCoefficients, MotionTrack
from ..tensors import between, neighbours, smoothstep

LOST = ("rest", "interpolate", "previous", "empty")  # fills for frames without a face
SHORT_GAP = 0.5  # seconds without a face that `rest` fills as `interpolate` does
MEMORY = 250  # frames of the past from which a later part of a clip knows the resting face
EASE = 0.4  # seconds from the last face to rest and from there to the next


def filled(
    track: MotionTrack, visible: Sequence[bool], lost: str = "rest", shots: Sequence[int] | None = None
) -> MotionTrack:
    """A track of the frames that show a face, extended to all frames of the clip.

    Args:
        track: the motion of the visible frames, at least one.
        visible: for every frame of the clip, whether the track holds it.
        lost: the fill for the others. `rest` eases to the resting face and back, and fills short gaps evenly;
            `interpolate` is linear between the frames around in the same shot, `previous` holds the last face, `empty`
            takes the pose of the first face (with relative motion from there: the still source).
        shots: for every frame of the clip, the number of its shot; the one of the face before when None.

    Returns:
        The track of the whole clip; its `visible` is False in filled frames.

    Raises:
        InputError: an unknown fill.
    """
    if lost not in LOST:
        raise InputError(f"Frames without a face can be {', '.join(LOST)}, not {lost!r}.")
    shown = torch.tensor(list(visible))
    at = shown.nonzero().flatten()
    frame = torch.arange(len(shown))
    before, after = neighbours(at, len(shown))
    shot = track.shot[before] if shots is None else torch.tensor(list(shots), dtype=torch.long)
    whole = track.replace(shot=shot[at])
    has_before = (at[before] <= frame) & (shot[at[before]] == shot)
    has_after = (at[after] >= frame) & (shot[at[after]] == shot)
    if lost == "previous":
        low = high = before
    elif lost == "empty":
        low = high = torch.where(shown, before, torch.zeros_like(before))
    else:  # within the shot
        low = torch.where(has_after & ~has_before, after, before)
        high = torch.where(has_after, after, low)
    share = ((frame - at[low]) / (at[high] - at[low]).clamp(min=1)).clamp(0, 1)
    values, gaze, alignment = (
        between(part[low], part[high], share) for part in (track.coefficients.values, track.gaze, track.alignment)
    )
    clip = track.replace(
        coefficients=FaceCoefficients(values), gaze=gaze, alignment=alignment, visible=shown, shot=shot
    )
    if lost != "rest":
        return clip
    short = has_before & has_after & (at[after] - at[before] - 1 <= SHORT_GAP * float(track.fps))
    resting = ~shown & ~short
    if not resting.any():
        return clip
    length = EASE * float(track.fps)
    weights = torch.stack(
        [
            torch.where(has, 1 - smoothstep(distance / length), torch.zeros(()))
            for has, distance in ((has_before, frame - at[before]), (has_after, at[after] - frame))
        ]
    )
    return _eased(clip, whole, resting, (before, after), low, weights)


class Filling:
    """`filled` for a clip that comes in passages, each of which but the last one ends with a frame that shows the face.

    Args:
        lost: the fill.
    """

    def __init__(self, lost: str) -> None:
        self._lost = lost
        self._before: MotionTrack | None = None  # the clip's first frame and the latest ones, filled

    def add(self, track: MotionTrack | None, visible: Sequence[bool], shots: Sequence[int]) -> MotionTrack:
        """All frames of the next passage.

        Args:
            track: the motion of its visible frames; None where there are none.
            visible: for every frame, whether the track holds it.
            shots: for every frame, the number of its shot.
        """
        before = self._before
        known = 0 if before is None else len(before)
        parts = [part for part in (before, track) if part is not None]
        shots = [*([] if before is None else before.shot.tolist()), *shots]
        whole = filled(MotionTrack.concatenate(parts), [*[True] * known, *visible], self._lost, shots)
        self._before = MotionTrack.concatenate([whole[:1], whole[1:][-MEMORY:]])
        return whole[known:]


def _eased(
    clip: MotionTrack, seen: MotionTrack, resting: Tensor, around: tuple[Tensor, Tensor], near: Tensor, weights: Tensor
) -> MotionTrack:
    """The clip with its motion at rest in some frames, and on the way there and back.

    Args:
        clip: N frames.
        seen: the frames that show the face.
        resting: bool [N], the frames that are changed.
        around: indices [N] of the seen frames before and after.
        near: index [N] of a seen frame in the same shot, as far as there is one.
        weights: [2, N], shares that the frames around keep; the rest is the resting face.
    """
    parts, rest = _parts(seen), _rest_parts(seen)
    eased = []
    for part, still in zip(parts, rest, strict=True):
        still = still[near]
        moved = still.clone()
        for frame, weight in zip(around, weights, strict=True):
            moved += weight.reshape(-1, *[1] * (part.ndim - 1)) * (part[frame] - still)
        eased.append(moved)
    values, gaze, alignment = eased[:3]
    changed = FaceCoefficients(values)
    if seen.basis == BUNDLED:
        neck = values.new_tensor(NECK) @ rotation_of(changed.angles)
        changed = changed.replace(translation=eased[3] - neck)
    return clip.replace(
        coefficients=FaceCoefficients(torch.where(resting[:, None], changed.values, clip.coefficients.values)),
        gaze=torch.where(resting[:, None], gaze, clip.gaze),
        alignment=torch.where(resting[:, None, None], alignment, clip.alignment),
    )


def _parts(track: MotionTrack) -> list[Tensor]:
    """What is eased of a track: coefficients, gaze, alignment, and the place of the neck."""
    return [track.coefficients.values, track.gaze, track.alignment, neck_of(track.coefficients)]


def _rest_parts(seen: MotionTrack) -> list[Tensor]:
    """The same at rest, for each of the frames: the resting face, or each shot's usual frame on other face models."""
    if seen.basis == BUNDLED:
        rest = resting_face(seen, expression_groups(seen.basis))
        coefficients = seen.coefficients.replace(expression=rest.expression, angles=rest.angles)
        return [coefficients.values, rest.gaze.expand_as(seen.gaze), seen.alignment, rest.neck]
    usual = torch.zeros(len(seen), dtype=torch.long)
    for shot in seen.shot.unique():
        within = (seen.shot == shot).nonzero().flatten()
        usual[within] = within[usual_frame(seen[within])]
    return [part[usual] for part in _parts(seen)]
