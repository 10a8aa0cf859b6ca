"""Five points of a face, and the released inference's two similarities: alignment from the points, crop from the box.

Points and matrices here have whole-number pixel centres, as OpenCV and the released inference count. Landmarks have
them at .5, as everything else in this project; `tensors.from_whole_centres` converts a matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..morphable.bundled.face_mesh import (
    LEFT_EYE_INNER,
    LEFT_EYE_OUTER,
    LEFT_MOUTH_CORNER,
    NOSE_TIP,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
    RIGHT_MOUTH_CORNER,
)
from .crop import CROP_SIZE

HALF_PIXEL = 0.5
# D3DFR's template: the five points in its 256-pixel image. The centre of the eye on the image's left comes first, then
# the other one, the tip of the nose, and the corners of the mouth.
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
# Landmarks whose mean each point is. Corners of the eyes do not move with lids or gaze.
POINT_LANDMARKS = (
    [RIGHT_EYE_OUTER, RIGHT_EYE_INNER],
    [LEFT_EYE_INNER, LEFT_EYE_OUTER],
    [NOSE_TIP],
    [RIGHT_MOUTH_CORNER],
    [LEFT_MOUTH_CORNER],
)
# MTCNN's box, squared, in pixels of the template: the mean of 16 published detections, whose points were carried onto
# the template. Their sides are 201 ± 8, their centres (122 ± 13, 129 ± 6), moving sideways as the head turns.
BOX_CENTRE, BOX_SIDE = (128.0, 129.0), 202.0
# Where the box comes to lie in the released crop of 512 pixels: from (80, 80) to (432, 432).
BOX_LOW, BOX_HIGH = 80.0, CROP_SIZE - 80.0


def five_points(landmarks: Tensor) -> Tensor:
    """The five points [N, 5, 2], float64, of landmarks [N, 478, 2 or 3]."""
    flat = landmarks[..., :2].double() - HALF_PIXEL
    return torch.stack([flat[:, indices].mean(1) for indices in POINT_LANDMARKS], 1)


def similarity(points: Tensor, target: Tensor = TEMPLATE) -> Tensor:
    """Least-squares similarities without reflection, from points to a target.

    Closed form, since the plane needs no SVD. `skimage.transform.SimilarityTransform` gives the same, but ComfyUI does
    not install scikit-image; OpenCV has robust estimates only, where the released inference takes least squares.

    Args:
        points: [N, K, 2].
        target: [K, 2].

    Returns:
        [N, 2, 3], float64.

    Raises:
        InputError: points are not finite, or all lie in one place.
    """
    points, target = points.double(), target.double()
    centre, target_centre = points.mean(1, keepdim=True), target.mean(0)
    x, y = (points - centre).unbind(-1)
    u, v = (target - target_centre).unbind(-1)
    size = (x * x + y * y).sum(1)
    if not (torch.isfinite(size).all() and (size > 0).all()):
        raise InputError("The face's points lie in one place or nowhere; find the face again.")
    # a + ib = ∑ conj(x + iy)·(u + iv) / ∑ |x + iy|²
    a, b = (x * u + y * v).sum(1) / size, (x * v - y * u).sum(1) / size
    linear = torch.stack([torch.stack([a, -b], 1), torch.stack([b, a], 1)], 1)
    return torch.cat([linear, target_centre[:, None] - linear @ centre.transpose(1, 2)], 2)


def box_crop(box: Tensor) -> Tensor:
    """Matrix [2, 3], float64, of the released crop: the box, squared to its larger side, fills (80, 80)–(432, 432).

    Args:
        box: [[left, top], [right, bottom]] in image pixels.
    """
    low, high = box.double()
    scale = (BOX_HIGH - BOX_LOW) / (high - low).max()
    shift = (BOX_LOW + BOX_HIGH) / 2 - scale * (low + high) / 2
    return torch.cat([scale * torch.eye(2, dtype=scale.dtype), shift[:, None]], 1)


def face_box(points: Tensor) -> Tensor:
    """MTCNN's box [[left, top], [right, bottom]], float64, about a face with these five points [5, 2]."""
    matrix = similarity(points[None])[0]
    centre = torch.linalg.solve(matrix[:, :2], matrix.new_tensor(BOX_CENTRE) - matrix[:, 2])
    half_side = BOX_SIDE / matrix[:, :2].det().sqrt() / 2
    return torch.stack([centre - half_side, centre + half_side])
