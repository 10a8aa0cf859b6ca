"""What covers a face: a hand before the mouth, a mask, a lens before an eye.

A mesh tracker goes on below it and guesses. Skin and lips keep their colours while they move, so a region whose points
change colour, against the clip's usual and against cheeks and forehead in the same frame, is hidden by something. What
is there throughout has no change; what no face shows tells it: lids darker by far than the skin around, a lower face
less red than the forehead, lips as even as a cheek.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face_mesh import LOWER_LIP, UPPER_LIP
from ..morphable.bundled.groups import expression_groups
from ..motion.groups import ExpressionGroups
from ..motion.rest import resting_source
from ..motion.track import MotionTrack
from ..tensors import neighbours, resized, smoothstep
from .crop import to_uint8_array

FACE_SIZE = 96  # pixels: the face is looked at in this size, where single pores and pixels do not matter
# Landmarks for comparison: forehead with the bridge of the nose, and cheeks. A mask covers the second, hair the first.
FOREHEAD = [151, 9, 8, 108, 337, 107, 336, 69, 299, 66, 296, 10, 67, 297]
CHEEKS = [50, 280, 101, 330, 205, 425, 36, 266, 6, 197, 195]
LIPS = sorted({i for row in (*UPPER_LIP, *LOWER_LIP) for i in row})
LOWER_FACE = [50, 280, 205, 425, 187, 411, 164, 200, 18]  # what a mask covers, the lips aside
# Lips, chin and what is above them; lids and the skin around each eye.
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
# Mean probability of a region's landmarks to be seen, by the tracker: 0.95 at least on clear faces, at most 0.4 below a
# cover.
HIDDEN = 0.5
# Changes of a region against the clip, see `_changes`. With nothing before the face at most 0.130 at the mouth and
# 0.150 at the eyes, 0.202 in light that goes from side to side; below a cover that moves along mostly 0.15 and 0.26 at
# least.
LEAST_CHANGE = (0.143, 0.215, 0.215)
USUAL_SPREAD, SPREAD_FLOOR = 3.0, 0.04  # of a point: times its median change, and a share of the skin's brightness
TYPICAL_SKIN = 0.6  # brightness in which changes are told, 0–1; darker pictures count as if they were as bright
LEAST_SKIN = 0.15  # below it noise counts as change
# Looks of one frame that no face has, see `_looks`; 879 portraits and 2687 frames stay on the other side:
DARKEST_EYE = 0.44  # brightest fifth of an eye's region over the skin; theirs is 0.51 at least, behind dark lenses 0.37
# Logarithm of the lower face's red over green, less the forehead's: theirs −0.15 at least, but for one of −0.22,
# overlit below dark hair, whose lips tell that there is no mask.
LEAST_RED = -0.20
EVEN_LIPS = 0.042  # spread of the lips' colours over the skin's brightness; theirs 0.047 at least, out of focus
PLAIN_MASK = 0.25  # of the same below a mask, which has no lips: mostly 0.08
LEAST_FRAMES = 8  # fewer have no usual
STEADY = 3  # frames, of which most must agree: one alone is a flash
MARGIN = 2  # frames beside hidden ones, in which the cover comes and goes
MEMORY = 250  # frames of the past that later parts of a clip are compared with
EASE = 0.24  # seconds in which a shape that was held goes over into what is seen again


class Visibility:
    """Collects a clip's colours, and what its tracker says, and tells in which frames mouth and eyes are seen."""

    def __init__(self) -> None:
        self._colours: list[np.ndarray] = []
        self._told: list[list[bool]] = []

    def add(self, frame: Tensor, landmarks: Tensor, seen: np.ndarray | None = None) -> None:
        """Add a frame.

        Args:
            frame: [H, W, 3], uint8 or float in 0–1.
            landmarks: [478, 3] in its pixels.
            seen: probability [478] by the tracker that nothing hides each; all are seen when None.
        """
        self._told.append([seen is not None and float(seen[region].mean()) < HIDDEN for region in REGIONS])
        points = landmarks.numpy()[:, :2]
        self._colours.append(_colours(to_uint8_array(frame), points).astype(np.float16))

    def seen(self) -> Tensor | None:
        """Whether mouth, right eye and left eye are seen, bool [N, 3]; None where it cannot be told."""
        if len(self._colours) < LEAST_FRAMES:
            return None
        colours = np.stack(self._colours).astype(np.float32)
        hidden = _looks(colours) | (_changes(colours) > np.array(LEAST_CHANGE)) | np.array(self._told)
        seen = np.ones(hidden.shape, bool)
        for i, region in enumerate(hidden.T):
            most = np.convolve(np.pad(region, STEADY // 2, "edge"), np.ones(STEADY), "valid") > STEADY / 2
            seen[:, i] = np.convolve(most, np.ones(2 * MARGIN + 1), "same") == 0
        return torch.from_numpy(seen)

    def forget(self) -> None:
        """Drop all frames but the latest MEMORY ones."""
        del self._colours[:-MEMORY], self._told[:-MEMORY]


def _changes(colours: np.ndarray) -> np.ndarray:
    """How far each region [N, 3] is from its usual colours [N, 478, 3].

    For the eyes the mean change of their points. Lips, teeth and tongue change all the time: there it is the geometric
    mean with the share of points that change more than they usually do.
    """
    colours = colours / _light(colours)[:, None]
    usual = np.median(colours, 0)
    skin = max(float(np.median(usual[FOREHEAD + CHEEKS].mean(1))), LEAST_SKIN * TYPICAL_SKIN) / TYPICAL_SKIN
    change = np.abs(colours - usual).max(2)
    unusual = change > USUAL_SPREAD * np.median(change, 0) + SPREAD_FLOOR * skin
    result = np.stack([change[:, region].mean(1) for region in REGIONS], 1) / skin
    result[:, 0] = np.sqrt(result[:, 0] * (unusual[:, MOUTH].mean(1) + 0.05))
    return result


def _light(colours: np.ndarray) -> np.ndarray:
    """Light [N, 3] over the clip's usual: that of the forehead or of the cheeks, whichever changed less.

    Light changes both; what changes only one of them lies before it.
    """
    light = []
    for points in (FOREHEAD, CHEEKS):
        part = colours[:, points]
        light.append(np.median(part / np.median(part, 0).clip(min=0.03), 1).clip(min=0.05))
    forehead, cheeks = (np.abs(np.log(each)).max(1) for each in light)
    return np.where((forehead <= cheeks)[:, None], *light)


def _looks(colours: np.ndarray) -> np.ndarray:
    """Where the regions [N, 3] of single frames look as no face does, from colours [N, 478, 3]."""
    bright = colours.mean(2)
    forehead, cheeks = (np.median(bright[:, points], 1).clip(min=0.03) for points in (FOREHEAD, CHEEKS))
    red = [np.log(np.median(colours[:, points, :2], 1).clip(0.02)) for points in (LOWER_FACE, FOREHEAD)]
    less_red = (red[0][:, 0] - red[0][:, 1]) - (red[1][:, 0] - red[1][:, 1]) < LEAST_RED
    skin = np.where(less_red, forehead, np.maximum(forehead, cheeks))  # below hair the forehead is dark
    eyes = [np.quantile(bright[:, region], 0.8, 1) < DARKEST_EYE * skin for region in (RIGHT_EYE, LEFT_EYE)]
    spread = colours[:, LIPS].std(1).max(1) / forehead
    return np.stack([(less_red & (spread < PLAIN_MASK)) | (spread < EVEN_LIPS), *eyes], 1)


def _colours(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colours [478, 3] in 0–1 of an image uint8 [H, W, 3] about points [478, 2]."""
    low, high = points.min(0), points.max(0)
    scale = FACE_SIZE / max(float((high - low).max()), 1.0)
    low = np.floor(low - 0.05 * (high - low)).clip(0, [image.shape[1] - 1, image.shape[0] - 1]).astype(int)
    high = np.ceil(high).clip(low + 1, [image.shape[1], image.shape[0]]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = [max(1, round(scale * n)) for n in part.shape[:2]]
    pixels = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None].float() / 255
    small = F.avg_pool2d(F.pad(resized(pixels, size), (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    at = ((points - low) * scale).round().astype(int).clip(0, [small.shape[2] - 1, small.shape[1] - 1])
    return small[:, at[:, 1], at[:, 0]].T.numpy()


def hold_hidden(track: MotionTrack, seen: Tensor, groups: ExpressionGroups) -> MotionTrack:
    """The motion in which hidden regions keep their last shape, and ease back to what is seen again.

    What is never seen does as the other eye does, or rests: lips together, lids open as usual, a look straight ahead.

    Args:
        track: N frames.
        seen: bool [N, 3], see `Visibility.seen`.
        groups: of its face model.
    """
    if bool(seen.all()) or not groups.mouth:
        return track
    expression, gaze = track.coefficients.expression.clone(), track.gaze.clone()
    never = ~seen.any(0)
    rest = _usual_rest(track, groups) if never.any() else expression
    for i, columns in enumerate([list(groups.mouth), *(list(side) for side in groups.lids)]):
        values = _held(expression[:, columns], seen[:, i], float(track.fps))
        expression[:, columns] = rest[:, columns] if never[i] else values
        if i:
            look = slice(2 * i - 2, 2 * i)
            gaze[:, look] = 0 if never[i] else _held(gaze[:, look], seen[:, i], float(track.fps))
    around = sorted(set(groups.eyes) - set(groups.both_lids))  # skin, which moves with both eyes
    clear = (seen[:, 1:] | never[1:]).all(1)  # a covered eye leaves the other's movement
    expression[:, around] = (
        rest[:, around] if never[1:].all() else _held(expression[:, around], clear, float(track.fps))
    )
    if never[1] != never[2]:
        hidden, open_eye = (0, 1) if never[1] else (1, 0)
        expression[:, list(groups.lids[hidden])] = expression[:, list(groups.lids[open_eye])]
        gaze[:, 2 * hidden : 2 * hidden + 2] = gaze[:, 2 * open_eye : 2 * open_eye + 2]
    return track.replace(coefficients=track.coefficients.replace(expression=expression), gaze=gaze)


class Holding:
    """`hold_hidden` for a clip that comes in passages."""

    def __init__(self) -> None:
        self._before: MotionTrack | None = None  # the latest frames, held
        self._seen = torch.zeros(0, len(REGIONS), dtype=torch.bool)  # in them
        self._ever = torch.zeros(len(REGIONS), dtype=torch.bool)

    def add(self, track: MotionTrack, seen: Tensor) -> MotionTrack:
        """The next passage, N frames, with `seen` [N, 3] as in `hold_hidden`."""
        before = self._before
        whole = track if before is None else MotionTrack.concatenate([before, track])
        seen = torch.cat([self._seen, seen])
        held = hold_hidden(whole, seen, expression_groups(track.basis))
        self._ever = self._ever | seen.any(0)
        self._before, self._seen = held[-MEMORY:], seen[-MEMORY:].clone()
        self._seen[-1] |= self._ever  # what is held goes on from there
        return held[len(whole) - len(track) :]


def _usual_rest(track: MotionTrack, groups: ExpressionGroups) -> Tensor:
    """Expression [1, 64] of a face of which nothing is known: that of shut eyes and a mouth at 0, come to rest."""
    asleep = track.coefficients[:1].expression * 0
    for side in groups.lids:
        asleep[:, list(side)[:2]] = 1.0
    frame = track[:1]
    return resting_source(frame.replace(coefficients=frame.coefficients.replace(expression=asleep)), groups).expression


def _held(values: Tensor, seen: Tensor, fps: float) -> Tensor:
    """Values [N, C] with those of unseen frames replaced by the last seen ones, by the next at the clip's beginning."""
    at = seen.nonzero().flatten()
    if not len(at) or len(at) == len(values):
        return values
    frame = torch.arange(len(values))
    last = at[neighbours(at, len(values))[0]]
    # frames since the region was seen again, and the shape that was held until then
    opened = seen & ~torch.cat([seen[:1], seen[:-1]])
    since = frame - torch.where(opened, frame, -len(values) * 2).cummax(0).values
    ended = torch.where(opened, torch.cat([last[:1], last[:-1]]), -1).cummax(0).values
    share = smoothstep(since / (EASE * fps))[:, None]
    eased = torch.where((ended >= 0)[:, None], values[ended.clamp(min=0)] * (1 - share) + values * share, values)
    return torch.where(seen[:, None], eased, values[last])
