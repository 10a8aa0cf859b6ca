"""Which frames the clips of a video have: they overlap, and are of equal length."""

from __future__ import annotations

from ..errors import InputError
from .settings import SamplerSettings


def clip_schedule(total: int, frames: int, overlap: int) -> list[list[int]]:
    """Cut a video into overlapping clips of equal length.

    The next clip starts at start + F − k; the tail repeats the last frame, as released. A clip that would
    only repeat frames is left out.

    Args:
        total: frames of the video.
        frames: F, frames of a clip.
        overlap: k, frames that a clip shares with the one before.

    Returns:
        For each clip its F frame indices; the first k are known from the clip before, if there is one.

    Raises:
        InputError: no frame at all, or an overlap that leaves no new frame.

    Example:
        >>> clip_schedule(6, 4, 1)
        [[0, 1, 2, 3], [3, 4, 5, 5]]
    """
    check_schedule(total, frames, overlap)
    starts = range(0, max(total - overlap, 1), frames - overlap)
    return [[min(index, total - 1) for index in range(start, start + frames)] for start in starts]


def check_schedule(total: int | None, frames: int, overlap: int) -> None:
    """Raises InputError as `clip_schedule`; a total of None is one that is not known yet."""
    if total is not None and total < 1:
        raise InputError("There is no frame to animate; give a motion of at least one frame.")
    if frames < 1 or not 0 <= overlap < frames:
        raise InputError(f"A clip of {frames} frames cannot carry {overlap}; choose an overlap from 0 to frames - 1.")


def count_steps(total: int, settings: SamplerSettings) -> int:
    """Denoising steps of a whole run, for a progress bar: clips × steps."""
    return len(clip_schedule(total, settings.frames, settings.overlap)) * settings.steps


def new_frames(number: int, total: int | None, settings: SamplerSettings) -> tuple[int, int, int]:
    """The first frame of a clip, how many are known from the one before, and how many it shows first (at most)."""
    known = settings.overlap if number else 0
    start = number * (settings.frames - settings.overlap)
    return start, known, settings.frames - known if total is None else min(settings.frames, total - start) - known
