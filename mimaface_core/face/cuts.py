"""Scene cuts: which shot each frame of a clip belongs to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median

from torch import Tensor
from torch.nn import functional as F

from ..tensors import to_float

SIDE = 32  # of the thumbnails that are compared, pixels
SHIFT = 3  # pixels of a thumbnail by which the picture may move from one frame to the next and still be the same
# Unlike pictures differ by 0.085 and 0.32 at least (of 61 pairs); movement reaches 0.07 and 0.12 at 5 frames a second.
LEAST_CHANGE = 0.06  # mean difference in 0–1
LEAST_UNLIKENESS = 0.2  # 1 − correlation of brightness, which changes of light hardly touch
ABOVE_USUAL = 3.0  # change at a cut over the usual change of the frames before and of those after it
BEFORE, AHEAD = 6, 4  # frames around; what is as before after so many frames was a flash
FAINT = 1e-4  # variance of a thumbnail that shows hardly anything: a fade's end


def with_shots(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """Each frame with the number of its shot, which rises at a cut.

    A cut is a change that stands out from those of the frames around it and lasts: flashes, fades and whip pans are
    none. Frames are read AHEAD before they are given; a shot is longer than that, but for the clip's last.

    Args:
        frames: images [H, W, 3], uint8 or float in 0–1.
    """
    waiting: deque[tuple[Tensor, Tensor]] = deque()  # frames that are not given yet, and their thumbnails
    before: deque[Tensor] = deque(maxlen=BEFORE)  # thumbnails of the shot's frames before the first of them
    shot = age = 0
    source = iter(frames)
    while True:
        for frame in source:
            waiting.append((frame, _thumbnail(frame)))
            if len(waiting) > AHEAD:
                break
        if not waiting:
            return
        frame, thumbnail = waiting.popleft()
        if age > AHEAD and _cut(list(before), [thumbnail, *(later for _, later in waiting)]):
            shot, age = shot + 1, 0
            before.clear()
        before.append(thumbnail)
        age += 1
        yield frame, shot


def _thumbnail(frame: Tensor) -> Tensor:
    """[3, SIDE, SIDE] in 0–1."""
    step = max(1, min(frame.shape[:2]) // (4 * SIDE))
    return F.adaptive_avg_pool2d(to_float(frame[::step, ::step]).permute(2, 0, 1), SIDE)


def _change(before: Tensor, after: Tensor) -> float:
    """Mean difference of two thumbnails in 0–1, at the best of a few shifts."""
    inner = after[:, SHIFT:-SHIFT, SHIFT:-SHIFT]
    moved = before.unfold(1, inner.shape[1], 1).unfold(2, inner.shape[2], 1)  # [3, shifts, shifts, side, side]
    return float((moved - inner[:, None, None]).abs().mean((0, 3, 4)).min())


def _unlikeness(a: Tensor, b: Tensor) -> float:
    """1 − correlation of two thumbnails' brightness."""
    a, b = (image.mean(0) - image.mean() for image in (a, b))
    return 1 - float((a * b).mean() / (((a * a).mean() * (b * b).mean()).sqrt() + FAINT))


def _differ(a: Tensor, b: Tensor) -> bool:
    """Whether two thumbnails show different scenes."""
    return _change(a, b) > LEAST_CHANGE and _unlikeness(a, b) > LEAST_UNLIKENESS


def _cut(before: list[Tensor], after: list[Tensor]) -> bool:
    """Whether a shot ends with the thumbnails `before` and another begins with those `after`, at least one each."""
    last, now = before[-1], after[0]
    if not _differ(last, now) or len(after) == 1:  # one frame at the end may be a flash
        return False
    if not all(_differ(last, later) for later in after) or not all(_differ(earlier, now) for earlier in before):
        return False
    usual = max(median(_change(a, b) for a, b in pairwise(side)) for side in (before, after))
    return _change(last, now) > ABOVE_USUAL * usual
