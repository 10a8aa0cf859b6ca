"""Five points of a face, and the two similarities that the released inference takes from them and from the face's box.

Points and matrices here count so that a pixel's centre has whole coordinates, as OpenCV does; landmarks count from the
picture's edge, where it has halves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError

HALF = 0.5
# Where D3DFR expects the five points in its 256-pixel picture: the eyes' centres (the picture's left one first), the nose's
# tip, the corners of the mouth.
TEMPLATE = torch.tensor(
    [
        [92.5892, 103.3926],
        [163.0636, 103.0028],
        [128.0504, 143.4732],
        [99.0986, 184.7310],
        [157.4598, 184.4082],
    ],
    dtype=torch.float64,
)
# Landmarks whose mean each of them is. The eyes' corners do not move with lids or gaze.
POINTS = ([33, 133], [362, 263], [4], [61], [291])
# The square round MTCNN's box, in pixels of the template: mean of 16 published detections (MTCNN's own points carried
# onto the template), whose sides are 201 ± 8 and whose centres lie at (122 ± 13, 129 ± 6), sideways as the head turns.
BOX_CENTRE, BOX_SIDE = (128.0, 129.0), 202.0
# The released crop: the box comes to lie on (80, 80)–(432, 432) of 512 pixels.
CROP, BOX_LOW, BOX_HIGH = 512, 80.0, 432.0


def five_points(landmarks: Tensor) -> Tensor:
    """The five points [N, 5, 2], float64, of landmarks [N, 478, 2 or 3] that count from the edge."""
    flat = landmarks[..., :2].double() - HALF
    return torch.stack([flat[:, numbers].mean(1) for numbers in POINTS], 1)


def similarity(points: Tensor, target: Tensor = TEMPLATE) -> Tensor:
    """The similarity [N, 2, 3], float64, that carries points [N, K, 2] nearest to `target` [K, 2] (least squares).

    Raises InputError when points are not finite or all lie in one place.
    """
    points, target = points.double(), target.double()
    own, other = points.mean(1, keepdim=True), target.mean(0)
    x, y = (points - own).unbind(-1)
    u, v = (target - other).unbind(-1)
    size = (x * x + y * y).sum(1)
    if not (torch.isfinite(size).all() and (size > 0).all()):
        raise InputError("The face's points lie in one place or nowhere; find the face again.")
    a, b = (x * u + y * v).sum(1) / size, (x * v - y * u).sum(1) / size
    linear = torch.stack([torch.stack([a, -b], 1), torch.stack([b, a], 1)], 1)
    return torch.cat([linear, other[:, None] - linear @ own.transpose(1, 2)], 2)


def box_crop(box: Tensor) -> Tensor:
    """The crop's matrix [2, 3], float64, of a box [[left, top], [right, bottom]]: squared about its centre to its larger
    side, it comes to lie on (80, 80)–(432, 432) of 512 pixels."""
    low, high = box.double()
    scale = (BOX_HIGH - BOX_LOW) / (high - low).max()
    shift = (BOX_LOW + BOX_HIGH) / 2 - scale * (low + high) / 2
    return torch.cat([scale * torch.eye(2, dtype=scale.dtype), shift[:, None]], 1)


def face_box(points: Tensor) -> Tensor:
    """The box [[left, top], [right, bottom]], float64, that MTCNN draws round a face with these five points [5, 2]."""
    matrix = similarity(points[None])[0]
    centre = torch.linalg.solve(matrix[:, :2], matrix.new_tensor(BOX_CENTRE) - matrix[:, 2])
    reach = BOX_SIDE / matrix[:, :2].det().sqrt() / 2
    return torch.stack([centre - reach, centre + reach])


def from_edge(matrix: Tensor) -> Tensor:
    """A matrix [2, 3] between pixels whose centres are whole, for pixels that count from the edge on both sides."""
    shift = matrix[:, 2] + HALF - matrix[:, :2].sum(1) * HALF
    return torch.cat([matrix[:, :2], shift[:, None]], 1)
