"""Checks of arguments that all audio drivers share."""

from __future__ import annotations

from ..errors import InputError
from ..motion.track import MotionTrack

STYLES = 46  # as many as SadTalker has pose classes; the bundled driver has as many temperaments


def check_style(style: int) -> None:
    """Raise `InputError` for a style out of range."""
    if not 0 <= style < STYLES:
        raise InputError(f"There is no style {style}; choose 0–{STYLES - 1}.")


def check_source(source: MotionTrack) -> None:
    """Raise `InputError` for a source of several frames, or of none."""
    if len(source) != 1:
        raise InputError(f"A voice drives one face: give a source of one frame, not of {len(source)}.")
