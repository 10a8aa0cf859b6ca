"""The openings of eyes and mouth on the face mesh: triangles that span them, and the landmarks of their rims."""

from __future__ import annotations

from itertools import pairwise

import torch

from ..morphable.bundled.face_mesh import EYE_LANDMARKS, INNER_LOWER_LIP, INNER_UPPER_LIP


def _spans(upper: list[int], lower: list[int]) -> list[tuple[int, int, int]]:
    """Triangles that span the opening between two edges with the same corners."""
    strips = []
    for (a, b), (c, d) in zip(pairwise(upper), pairwise(lower), strict=True):
        strips += [(a, b, d), (a, d, c)]
    return [triangle for triangle in strips if len(set(triangle)) == 3]


EYE_OPENING_TRIANGLES = [
    triangle for eye in EYE_LANDMARKS.values() for triangle in _spans(eye.upper_lid, eye.lower_lid)
]
OPENING_TRIANGLES = torch.tensor(EYE_OPENING_TRIANGLES + _spans(INNER_UPPER_LIP, INNER_LOWER_LIP))
# triangles before the end of the right eye's and of the left eye's, the rest is the mouth's
OPENING_ENDS = [len(EYE_OPENING_TRIANGLES) // 2, len(EYE_OPENING_TRIANGLES)]
RIM_POINTS = sorted(
    {point for eye in EYE_LANDMARKS.values() for point in eye.upper_lid + eye.lower_lid}
    | {*INNER_UPPER_LIP, *INNER_LOWER_LIP}
)
