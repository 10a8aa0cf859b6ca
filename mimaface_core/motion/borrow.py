"""Borrow: let the head, or all but the mouth, move as in another clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import InputError
from .retarget import Opening, retarget
from .track import MotionTrack

PARTS = ("head", "head and eyes", "all but the mouth")


def borrow(
    track: MotionTrack,
    reference: MotionTrack,
    source: MotionTrack,
    what: str = "head",
    pose: float = 1.0,
    *,
    mouth: Sequence[int] = (),
    lid_modes: Sequence[Sequence[int]] = (),
    opening: Opening | None = None,
) -> MotionTrack:
    """`track` with a part of its movement exchanged for that of `reference`, counted from the reference's most usual frame.

    source: the person who moves, one frame; the reference's movement is added to it, as `retarget` does in `relative` mode.
    what: `head` takes over turns and shifts; `head and eyes` also gaze and lids; `all but the mouth` also every expression
    mode that is not in `mouth`. pose: strength of the head's movement. opening, lid_modes: as in `retarget`.
    The reference keeps its speed; where it is shorter it runs back and forth, where it is longer it is cut. Length, frame
    rate and everything else are the track's. Raises InputError for another `what`, for a reference without a frame, and
    where the mouth shall stay on a face model that has no modes for it.
    """
    if what not in PARTS:
        raise InputError(f"What is borrowed can be {', '.join(PARTS[:-1])} or {PARTS[-1]}, not {what!r}.")
    if not len(reference):
        raise InputError("The reference has no frame to take movement from; give a clip that shows a face.")
    if what == PARTS[-1] and not mouth:
        raise InputError(
            "This face model cannot tell the mouth from the rest of the face; borrow the head, or head and eyes."
        )
    moved = retarget(reference, source, "relative", -1, pose, opening=opening, lid_modes=lid_modes)
    moved = _for(moved, track)
    c = moved.coefficients
    groups = {"angles": c.angles, "translation": c.translation}
    if what == "head":
        return track.replace(coefficients=track.coefficients.replace(**groups), alignment=moved.alignment)
    expression = track.coefficients.expression.clone()
    lips = set(mouth)
    taken = [i for side in lid_modes for i in side]
    if what == PARTS[-1]:
        taken = [i for i in range(expression.shape[1]) if i not in lips]
    expression[:, taken] = c.expression[:, taken]
    coefficients = track.coefficients.replace(**groups, expression=expression)
    return track.replace(coefficients=coefficients, gaze=moved.gaze, alignment=moved.alignment)


def _for(moved: MotionTrack, track: MotionTrack) -> MotionTrack:
    """A movement at the rate and in the length of `track`: back and forth without a jump, or cut."""
    # no frame behind the last one, which would stand still where the movement turns round
    last = int((len(moved) - 1) * track.fps / moved.fps)
    moved = moved.resample(track.fps)[: last + 1]
    there_and_back = [*range(len(moved)), *range(len(moved) - 2, 0, -1)]
    at = torch.arange(len(track)) % len(there_and_back)
    return moved[torch.tensor(there_and_back)[at]]
