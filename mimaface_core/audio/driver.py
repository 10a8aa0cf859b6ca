"""Audio drivers: their interface, and each of them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from ..motion.track import MotionTrack
from .speech import Speech

if TYPE_CHECKING:
    from ..morphable.bundled.face import BundledFace

# A further driver has a package beside `voice` and `sadtalker`, a name here, and its place in the functions below.
DRIVERS = ("bundled", "sadtalker")


class AudioDriver(Protocol):
    """From speech and a source to the motion of the source speaking."""

    def drive(
        self,
        speech: Speech,
        source: MotionTrack,
        fps: Fraction,
        *,
        style: int = 0,
        seed: int = 0,
        pose: float = 1.0,
        lips: float = 1.0,
        blinks: float = 1.0,
    ) -> MotionTrack:
        """Animate the source by speech.

        The same arguments give the same track, bit for bit on the CPU. Memory does not grow with the length of the
        speech, but for the track itself.

        Args:
            speech: the voice; `speech.frames(fps)` is the number of frames.
            source: one frame; its identity, texture, lighting, alignment and basis are those of the result.
            fps: frames a second of the result.
            style: manner of moving, 0–45.
            seed: course of head and blinks, ≥ 0; the lips do not depend on it.
            pose: factor of the head's movement, and of glances where the driver has any; ≥ 0, 1 is usual.
            lips: factor of the mouth's movement; ≥ 0, 1 is usual.
            blinks: factor of how often the eyes blink; ≥ 0, 1 is usual.

        Returns:
            Track whose frame i shows the instant (i + 0.5) / fps seconds.

        Raises:
            InputError: a style out of range, a source of several frames, or one of a face model that the driver does
                not move.
        """
        ...


def driver_files(name: str | None, folders: Iterable[Path]) -> tuple[Path, ...]:
    """Weight files outside the model pack that a driver needs.

    Args:
        name: one of `DRIVERS`; None, for a widget that is linked, needs no files.
        folders: models folders, the first one first.

    Raises:
        InputError: a file is missing; the message names it, its source and its folder.
    """
    if name != "sadtalker":
        return ()
    from .sadtalker.weights import find_sadtalker_files

    return find_sadtalker_files(folders)


def audio_driver(
    name: str, *, bundled: Callable[[], AudioDriver], face: BundledFace | None, folders: Iterable[Path]
) -> AudioDriver:
    """Build a driver.

    Args:
        name: one of `DRIVERS`.
        bundled: builds the model pack's own driver, called only if it is the one asked for.
        face: face model that the tracks belong to; None if it is BFM09.
        folders: models folders in which the weights of other drivers are looked for, the first one first.

    Raises:
        InputError: no such driver, or weights that are missing, damaged or of another network.
    """
    if name == "bundled":
        return bundled()
    if name == "sadtalker":
        from .sadtalker.weights import find_sadtalker

        return find_sadtalker(folders, face)
    raise InputError(f"There is no audio driver '{name}'; choose {' or '.join(DRIVERS)}.")
