"""Retargeting of a motion that is still coming in, such as a camera's: the resting face is estimated as it goes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from .groups import ExpressionGroups
from .rest import RestingFace, frame_at_rest, resting_face, resting_source
from .retarget import AUTOMATIC, Strengths, carried, origin_frame
from .track import MotionTrack

MEMORY = 500  # frames of the past that the estimate sees
EASE = 0.4  # seconds in which a new estimate takes effect, but for the first
STEP = 2  # frames, from which to which it does


class RunningRetarget:
    """Retargets a motion piece by piece.

    The first piece rests by what is known of every face (lips together, eyes open as usual, its own pose); the longer
    the motion, the more the estimate is the person's own. Changes of the estimate are eased in, but for the pose after
    a cut: the camera stands elsewhere from one frame to the next. Where a frame of the first piece is the source
    itself, all counts from that one.

    Args:
        source: the person who shall move, one frame.
        groups: of the face model.
        strengths: of each part.
    """

    def __init__(self, source: MotionTrack, groups: ExpressionGroups, strengths: Strengths | None = None) -> None:
        self.source, self.groups, self.strengths = source, groups, strengths or Strengths()
        self._target = resting_source(source, groups)
        self._past: MotionTrack | None = None
        self._rest: RestingFace | None = None
        self._known = False  # and does not change

    def add(self, piece: MotionTrack) -> MotionTrack:
        """The next piece, at least one frame, retargeted.

        Raises:
            InputError: it belongs to another face model than the source.
        """
        piece.check_basis(self.source.basis)
        cuts = (piece.shot.diff().nonzero().flatten() + 1).tolist()
        parts = [piece[start:stop] for start, stop in pairwise([0, *cuts, len(piece)])]
        return MotionTrack.concatenate([self._add(part) for part in parts])

    def _add(self, piece: MotionTrack) -> MotionTrack:
        """The next piece, of one shot, retargeted."""
        if self._rest is None and self.groups.shape is not None:
            own = origin_frame(self.source, piece, self.groups)
            self._known = own != AUTOMATIC
            if self._known:
                self._rest, self._target = frame_at_rest(piece, own), frame_at_rest(self.source, 0)
        if self._known:
            return self._carried(piece)
        now = self._estimate(piece)
        if self._rest is None:
            self._rest = now
            return self._carried(piece)
        parts = [piece[at : at + STEP] for at in range(0, len(piece), STEP)]
        return MotionTrack.concatenate([self._carried(part, now) for part in parts])

    def _estimate(self, piece: MotionTrack) -> RestingFace:
        """The resting face of the past with the next piece."""
        cut = self._past is not None and self._past.shot[-1] != piece.shot[0]
        past = piece if self._past is None else MotionTrack.concatenate([self._past, piece])
        self._past = past[max(0, len(past) - MEMORY) :]
        now = _last(resting_face(self._past, self.groups))
        if cut and self._rest is not None:
            self._rest = replace(self._rest, angles=now.angles, neck=now.neck)
        return now

    def _carried(self, part: MotionTrack, now: RestingFace | None = None) -> MotionTrack:
        """Some frames, retargeted, while the resting face comes nearer to `now`."""
        assert self._rest is not None
        if now is not None:
            share = 1 - math.exp(-len(part) / float(part.fps) / EASE)
            pairs = zip(_parts(self._rest), _parts(now), strict=True)
            self._rest = RestingFace(*(torch.lerp(a, b, share) for a, b in pairs))
        moved = carried(part, self.source, self.groups, self._rest, self._target, self.strengths)
        return moved.replace(alignment=self.source.alignment.expand(len(part), -1, -1).clone())


def _last(rest: RestingFace) -> RestingFace:
    """The rest of the last frame's shot."""
    return RestingFace(rest.expression, rest.gaze, rest.angles[-1:], rest.neck[-1:])


def _parts(rest: RestingFace) -> tuple[Tensor, ...]:
    return rest.expression, rest.gaze, rest.angles, rest.neck
