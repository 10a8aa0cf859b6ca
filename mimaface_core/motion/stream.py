"""MotionStream: the motion of a long clip, handed on while its later frames are still being measured."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from threading import Lock

from ..ahead import ahead
from .track import MotionTrack

PIECES_AHEAD = 2  # that are made while others are drawn

Pieces = Iterator[MotionTrack]


class MotionStream:
    """Motion over some frames whose end is not there yet: made piece by piece when it is first asked for, and kept.

    Threads may share one. What making a piece raises is raised to whoever asked; the next one to ask begins anew, and
    pieces that were made are not lost.

    Args:
        make: starts the pieces from the first frame on, each of at least one frame, always the same.
        count: number of frames, about, for progress bars.
        begun: what `make` has started already.

    Attributes:
        first: the first piece, by which the rest is known: its rate, face model and identity.
    """

    def __init__(self, make: Callable[[], Pieces], count: int, begun: Pieces | None = None) -> None:
        self._make: Callable[[], Pieces] | None = make
        self._source, self.count = begun, count
        self._pieces: list[MotionTrack] = []
        self._ends: list[int] = []  # frames up to and with each piece
        self._lock = Lock()

    @property
    def first(self) -> MotionTrack:
        """The first piece."""
        return next(iter(self))

    @property
    def fps(self) -> Fraction:
        """Frames a second, exact."""
        return self.first.fps

    @property
    def basis(self) -> str:
        """The face model of the coefficients."""
        return self.first.basis

    def check_basis(self, basis: str) -> None:
        """Raises InputError as `MotionTrack.check_basis`."""
        self.first.check_basis(basis)

    def __iter__(self) -> Pieces:
        """The pieces from the first frame on; later ones are made as they are asked for."""
        number = 0
        while number < len(self._pieces) or self._extended(number):
            yield self._pieces[number]
            number += 1

    def __getitem__(self, frames: list[int]) -> MotionTrack:
        """Some frames, which are waited for."""
        while (not self._ends or self._ends[-1] <= max(frames)) and self._extended(len(self._pieces)):
            pass
        first, last = (bisect_right(self._ends, frame) for frame in (min(frames), max(frames)))
        begin = self._ends[first - 1] if first else 0
        part = MotionTrack.concatenate(self._pieces[first : last + 1])
        return part[[frame - begin for frame in frames]]

    def whole(self) -> MotionTrack:
        """The motion of all frames, when the last one is there."""
        return MotionTrack.concatenate(list(self))

    def then(self, change: Callable[[Pieces], Pieces]) -> MotionStream:
        """The stream of pieces that `change` makes of these."""
        return MotionStream(lambda: change(iter(self)), self.count)

    def _extended(self, number: int) -> bool:
        """Whether there is a piece of that number; made now, where it is the next one."""
        with self._lock:
            if number < len(self._pieces):
                return True
            if self._make is None:
                return False
            try:
                if self._source is None:
                    self._source = self._make()
                    for _ in self._pieces:  # made before an interruption
                        next(self._source)
                piece = next(self._source, None)
            except BaseException:
                self._source = None
                raise
            if piece is None:
                self._make = self._source = None  # with the frames that they hold
                return False
            self._ends.append(len(piece) + (self._ends[-1] if self._ends else 0))
            self._pieces.append(piece)
            return True


def first_frames(motion: MotionTrack | MotionStream) -> MotionTrack:
    """All frames of a track, the first ones of a stream."""
    return motion.first if isinstance(motion, MotionStream) else motion


def batches(motion: MotionTrack | MotionStream, size: int, start: int = 0) -> Pieces:
    """The frames from `start` on, `size` at a time; a stream's next pieces are made while these are used."""
    if isinstance(motion, MotionTrack):
        for at in range(start, len(motion), size):
            yield motion[at : at + size]
        return
    with closing(ahead(iter(motion), PIECES_AHEAD)) as pieces:
        yield from _regrouped(pieces, size, start)


def first_alone(pieces: Pieces) -> Pieces:
    """The pieces, but the very first frame alone: it is what is seen first."""
    for number, piece in enumerate(pieces):
        if not number and len(piece) > 1:
            yield piece[:1]
            piece = piece[1:]
        yield piece


def _regrouped(pieces: Iterable[MotionTrack], size: int, skipped: int) -> Pieces:
    """Pieces of `size` frames, but for the last one, without the first frames."""
    waiting: MotionTrack | None = None
    for piece in pieces:
        left, skipped = piece[skipped:], max(0, skipped - len(piece))
        waiting = left if waiting is None else MotionTrack.concatenate([waiting, left])
        ready = len(waiting) - len(waiting) % size
        for at in range(0, ready, size):
            yield waiting[at : at + size]
        waiting = waiting[ready:]
    if waiting is not None and len(waiting):
        yield waiting
