"""Gaze from the iris landmarks: four numbers, independent of the lids."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.geometry import EYE_RADIUS
from ..tensors import between, neighbours

# Travel of mediapipe's irises over that of the eyes, sideways and vertically. Judged by eye on photographs; on drawn
# eyes it is even less.
IRIS_TRAVEL = (0.62, 0.57)
SEEN_OPENING = 0.2  # of an eye's neutral opening: below it the lids hide the iris
STRAIGHT_AHEAD = (0.0, 0.03)  # gaze of mediapipe's irises when eyes look straight ahead: a little too high, eye widths


def as_tracked(gaze: Tensor) -> Tensor:
    """Gaze [N, 4] that a tracker's irises seem to have when the true gaze is [N, 4]; the inverse of its correction."""
    return _stretched(gaze, gaze.new_tensor(IRIS_TRAVEL))


def _stretched(gaze: Tensor, factor: Tensor) -> Tensor:
    """Gaze [N, 4], its mean over both eyes stretched by a factor [2]; the difference between the eyes stays."""
    together = (gaze[:, :2] + gaze[:, 2:]) / 2 - gaze.new_tensor(STRAIGHT_AHEAD)
    return gaze + (together * (factor - 1)).repeat(1, 2)


def gaze_of_irises(face: BundledFace, local: Tensor, iris: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Gaze from ray–eyeball intersections, divided by IRIS_TRAVEL to compensate the tracker's underestimate.

    Args:
        face: the bundled face model, which has eyeballs.
        local: face points [N, 468, 3] in the face's own axes, which place the eyeballs.
        iris: [N, 2, 3], a world point on the camera's ray through each iris centre, the subject's right eye first.
        rotation: [N, 3, 3] of the head, for row vectors.
        translation: [N, 3] of the head.

    Returns:
        [N, 4]: x and y of the right, then of the left eye, in eye widths from straight ahead; x to the right of the
        image, y up.
    """
    camera = ((torch.tensor([0.0, 0.0, face.model.camera]) - translation)[:, None] @ rotation.transpose(1, 2))[:, 0]
    centres, radii = face.eye_balls(local)
    eyes = []
    for i in range(2):
        point = ((iris[:, i] - translation)[:, None] @ rotation.transpose(1, 2))[:, 0]
        ray = F.normalize(point - camera, dim=-1)
        to_centre = centres[:, i] - camera
        along = (to_centre * ray).sum(-1)
        miss = (to_centre.square().sum(-1) - along**2).clamp(min=0)
        depth = (radii[:, i] ** 2 - miss).clamp(min=0).sqrt()
        hit = camera + (along - depth)[:, None] * ray
        eyes.append((hit - centres[:, i])[:, :2] / radii[:, i, None] * EYE_RADIUS)
    gaze = torch.cat(eyes, 1)
    return _stretched(gaze, 1 / gaze.new_tensor(IRIS_TRAVEL))


def seen_gaze(gaze: Tensor, opening: Tensor) -> Tensor:
    """Gaze with that of shut eyes, which shows nothing, replaced: by the other eye's, or by that of the frames around.

    Args:
        gaze: [N, 4].
        opening: [N, 2] of the right and the left eye, over that of the person's neutral face.

    Returns:
        [N, 4]; straight ahead where no frame shows an open eye.
    """
    seen = opening >= SEEN_OPENING
    eyes = gaze.view(-1, 2, 2)
    eyes = torch.where(seen[..., None], eyes, eyes.flip(1)).reshape(-1, 4)
    at = seen.any(1).nonzero().flatten()
    if not len(at):
        return torch.zeros_like(gaze)
    before, after = neighbours(at, len(gaze))
    share = (torch.arange(len(gaze)) - at[before]) / (at[after] - at[before]).clamp(min=1)
    return between(eyes[at[before]], eyes[at[after]], share.clamp(0, 1))
