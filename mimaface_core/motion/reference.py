"""Head motion of a reference clip, or all motion but the mouth's, put in place of a track's own."""

from __future__ import annotations

import torch

from ..errors import InputError
from .groups import ExpressionGroups
from .retarget import retarget
from .track import MotionTrack

HEAD, HEAD_AND_EYES, ALL_BUT_MOUTH = BORROWED = ("head", "head and eyes", "all but the mouth")


def borrow(
    track: MotionTrack,
    reference: MotionTrack,
    source: MotionTrack,
    groups: ExpressionGroups,
    what: str = HEAD,
    pose: float = 1.0,
) -> MotionTrack:
    """`track` with part of its motion replaced by that of `reference`, relative to the reference's neutral frame.

    The reference keeps its speed: a shorter one runs back and forth, a longer one is cut. Length, frame rate and
    everything else are the track's.

    Args:
        track: N frames, of speech for example.
        reference: the clip whose motion is taken, retargeted as `retarget` does in `relative` mode.
        source: the person who moves, one frame.
        groups: of the face model that all three belong to.
        what: `head` takes rotation and translation; `head and eyes` also gaze and lids; `all but the mouth` also every
            blendshape that is not in `groups.mouth`.
        pose: strength of the head's motion.

    Raises:
        InputError: another `what`, a reference without a frame, or `all but the mouth` on a face model without a mouth
            group.
    """
    if what not in BORROWED:
        raise InputError(f"What is borrowed can be {', '.join(BORROWED[:-1])} or {BORROWED[-1]}, not {what!r}.")
    if not len(reference):
        raise InputError("The reference has no frame to take movement from; give a clip that shows a face.")
    if what == ALL_BUT_MOUTH and not groups.mouth:
        raise InputError(
            "This face model cannot tell the mouth from the rest of the face; borrow the head, or head and eyes."
        )
    moved = _matched(retarget(reference, source, groups, "relative", -1, pose), track)
    c = moved.coefficients
    head = {"angles": c.angles, "translation": c.translation}
    if what == HEAD:
        return track.replace(coefficients=track.coefficients.replace(**head), alignment=moved.alignment)
    expression = track.coefficients.expression.clone()
    taken = groups.both_lids
    if what == ALL_BUT_MOUTH:
        taken = [i for i in range(expression.shape[1]) if i not in set(groups.mouth)]
    expression[:, taken] = c.expression[:, taken]
    coefficients = track.coefficients.replace(**head, expression=expression)
    return track.replace(coefficients=coefficients, gaze=moved.gaze, alignment=moved.alignment)


def _matched(moved: MotionTrack, track: MotionTrack) -> MotionTrack:
    """A motion at the rate and in the length of `track`: back and forth without a jump, or cut."""
    # No frame behind the last one, which would stand still where the motion turns round.
    last = int((len(moved) - 1) * track.fps / moved.fps)
    moved = moved.resample(track.fps)[: last + 1]
    there_and_back = [*range(len(moved)), *range(len(moved) - 2, 0, -1)]
    at = torch.arange(len(track)) % len(there_and_back)
    return moved[torch.tensor(there_and_back)[at]]
