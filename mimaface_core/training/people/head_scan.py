"""The scanned head around the face: how deep what a photograph shows beside a face lies."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ...morphable.bundled.geometry import ring_places
from ...morphable.rasterize import rasterize
from .scan import Scan

PIXEL, SIDE = 0.01, 512  # model units of a pixel, and side of the picture in which the head is drawn
SMOOTHING = 2  # rounds in which a point of a ring takes over half of its neighbours' depth


def ring_depths(scan: Scan, face: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Depth of the rings around the face on the scanned head, or, beside it, of its contour.

    Args:
        scan: the scanned face.
        face: [468, 3], the model's points at rest.
        origin: [3], of the model in the scan's place.

    Returns:
        [RING_COUNT, RING_POINTS], symmetric, model units.
    """
    points = scan.points - origin
    pixels = np.stack([points[:, 0] / PIXEL + SIDE / 2, SIDE / 2 - points[:, 1] / PIXEL, -points[:, 2]], 1)
    triangles = torch.from_numpy(scan.within("face", "head_and_neck"))
    drawn = rasterize(torch.from_numpy(pixels)[None].float(), triangles, SIDE, SIDE, near=-torch.inf)
    rows, columns = distance_transform_edt(~drawn.mask[0].numpy(), return_distances=False, return_indices=True)
    depth = -drawn.depth[0].numpy()[rows, columns]
    x, y = np.moveaxis(ring_places(face), -1, 0)
    column, row = ((SIDE / 2 + sign * of / PIXEL).astype(int).clip(0, SIDE - 1) for sign, of in ((1, x), (-1, y)))
    found = depth[row, column]
    found = (found + np.roll(found[:, ::-1], 1, 1)) / 2  # the first point lies in the middle
    for _ in range(SMOOTHING):
        found = (np.roll(found, 1, 1) + 2 * found + np.roll(found, -1, 1)) / 4
    return found
