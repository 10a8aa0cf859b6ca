"""What covers a face for a while: a hand before the mouth, a lens before an eye.

A mesh tracker goes on below it and guesses. Skin and lips keep their colours while they move, so a region whose points
change colour, against the clip's usual and against cheeks and forehead in the same frame, is hidden by something.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from ..morphable.bundled.face_mesh import LOWER_LIP, UPPER_LIP
from ..motion.groups import ExpressionGroups
from ..motion.track import MotionTrack
from .crop import to_uint8_array

FACE_SIZE = 96  # pixels: the face is looked at in this size, where single pores and pixels do not matter
# Landmarks: cheeks, forehead and bridge of the nose for comparison; lips, chin and what is above them; lids
# and the skin around each eye.
COMPARISON = [50, 280, 101, 330, 151, 9, 6, 197, 195]
AROUND_MOUTH = [0, 17, 37, 267, 84, 314, 91, 321, 39, 269, 164, 18, 200, 201, 421, 57, 287, 43, 273]
MOUTH = sorted({*(i for row in (*UPPER_LIP[:-1], *LOWER_LIP[:-1]) for i in row), *AROUND_MOUTH})
RIGHT_EYE = [
    226, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130, 113,
    225, 224, 223, 222, 221, 189, 244, 233, 232, 231, 230, 229, 228, 31,
]  # fmt: skip
LEFT_EYE = [
    446, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255, 359, 342,
    445, 444, 443, 442, 441, 413, 464, 453, 452, 451, 450, 449, 448, 261,
]  # fmt: skip
REGIONS = (MOUTH, RIGHT_EYE, LEFT_EYE)
# Mean change of a region's colours, 0–1: on clips with nothing before the face at most 0.045 at the mouth and 0.075 at
# the eyes, whatever they do; below a hand, a microphone, a mask or a dark lens at least 0.078 and 0.13.
LEAST_CHANGE = (0.062, 0.10, 0.10)
OVER_USUAL = 2.5  # times the clip's median change
LEAST_FRAMES = 8  # fewer have no usual
MARGIN = 2  # frames beside hidden ones, in which the cover comes and goes
EASE = 0.24  # seconds in which a shape that was held goes over into what is seen again


class Visibility:
    """Collects a clip's colours and tells in which frames mouth, right eye and left eye are seen."""

    def __init__(self) -> None:
        self._colours: list[np.ndarray] = []
        self._usable = find_spec("cv2") is not None

    def add(self, frame: Tensor, landmarks: Tensor) -> None:
        """Add a frame [H, W, 3], uint8 or float in 0–1, with landmarks [478, 3] in its pixels."""
        if self._usable:
            points = landmarks.numpy()[:, :2]
            self._colours.append(_colours(to_uint8_array(frame), points).astype(np.float16))

    def seen(self) -> Tensor | None:
        """Whether mouth, right eye and left eye are seen, bool [N, 3]; None where it cannot be told."""
        if len(self._colours) < LEAST_FRAMES:
            return None
        colours = np.stack(self._colours).astype(np.float32)
        light = colours[:, COMPARISON]
        colours = colours / np.median(light / np.median(light, 0).clip(min=0.02), 1, keepdims=True).clip(min=0.05)
        seen = np.ones((len(colours), len(REGIONS)), bool)
        for i, region in enumerate(REGIONS):
            part = colours[:, region]
            change = np.abs(part - np.median(part, 0)).mean((1, 2))
            hidden = change > max(LEAST_CHANGE[i], OVER_USUAL * float(np.median(change)))
            near = np.convolve(hidden, np.ones(2 * MARGIN + 1), "same") > 0
            seen[:, i] = ~near
        return torch.from_numpy(seen)


def hold_hidden(track: MotionTrack, seen: Tensor, groups: ExpressionGroups) -> MotionTrack:
    """The motion in which hidden regions keep their last shape, and ease back to what is seen again.

    Args:
        track: N frames.
        seen: bool [N, 3], see `Visibility.seen`.
        groups: of its face model.
    """
    expression, gaze = track.coefficients.expression.clone(), track.gaze.clone()
    lids = [list(side) for side in groups.lids]
    for i, columns in enumerate([list(groups.mouth), *lids]):
        expression[:, columns] = _held(expression[:, columns], seen[:, i], float(track.fps))
        if i:
            look = slice(2 * i - 2, 2 * i)
            gaze[:, look] = _held(gaze[:, look], seen[:, i], float(track.fps))
    return track.replace(coefficients=track.coefficients.replace(expression=expression), gaze=gaze)


def _colours(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours [478, 3] in 0–1 of an image uint8 [H, W, 3] about points [478, 2]."""
    import cv2

    low, high = points.min(0), points.max(0)
    scale = FACE_SIZE / max(float((high - low).max()), 1.0)
    low = np.floor(low - 0.05 * (high - low)).clip(0, [image.shape[1] - 1, image.shape[0] - 1]).astype(int)
    high = np.ceil(high).clip(low + 1, [image.shape[1], image.shape[0]]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = [max(1, round(scale * n)) for n in part.shape[1::-1]]
    small = cv2.blur(cv2.resize(part, size, interpolation=cv2.INTER_AREA), (3, 3))
    at = ((points - low) * scale).round().astype(int).clip(0, [small.shape[1] - 1, small.shape[0] - 1])
    return small[at[:, 1], at[:, 0]] / np.float32(255)


def _held(values: Tensor, seen: Tensor, fps: float) -> Tensor:
    """Values [N, C] with those of unseen frames replaced by the last seen ones, by the next at the clip's beginning."""
    at = seen.nonzero().flatten()
    if not len(at) or len(at) == len(values):
        return values
    frame = torch.arange(len(values))
    before = torch.searchsorted(at, frame, right=True) - 1
    last = at[before.clamp(min=0)]
    # frames since the region was seen again, and the shape that was held until then
    opened = seen & ~torch.cat([seen[:1], seen[:-1]])
    since = frame - torch.where(opened, frame, -len(values) * 2).cummax(0).values
    ended = torch.where(opened, torch.cat([last[:1], last[:-1]]), -1).cummax(0).values
    share = (since / (EASE * fps)).clamp(0, 1)
    share = (share * share * (3 - 2 * share))[:, None]
    eased = torch.where((ended >= 0)[:, None], values[ended.clamp(min=0)] * (1 - share) + values * share, values)
    return torch.where(seen[:, None], eased, values[last])
