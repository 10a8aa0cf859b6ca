"""Gaze detector: four numbers from the iris points, independent of the lids."""

from __future__ import annotations

import torch
from torch import Tensor

from ..morphable.bundled.face import ProceduralFace
from ..morphable.bundled.geometry import EYE_RADIUS

# Mediapipe's irises travel less than eyes do: by this share of it, sideways and up or down, judged by eye on photographs
# and measured on drawn eyes (which it follows less still); and when eyes look straight ahead they stand a little too high.
TRAVEL = (0.74, 0.66)
STRAIGHT = (0.0, 0.03)  # eye widths


def as_tracked(gaze: Tensor) -> Tensor:
    """Where a tracker's irises seem to look, [N, 4], when the eyes look to gaze [N, 4]; see `gaze_of_irises`."""
    return _stretched(gaze, gaze.new_tensor(TRAVEL))


def _stretched(gaze: Tensor, factor: Tensor) -> Tensor:
    """What both eyes do together, stretched; how they stand to each other stays."""
    together = (gaze[:, :2] + gaze[:, 2:]) / 2 - gaze.new_tensor(STRAIGHT)
    return gaze + (together * (factor - 1)).repeat(1, 2)


def gaze_of_irises(face: ProceduralFace, local: Tensor, iris: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Gaze [N, 4]: where the camera's ray through each tracked iris centre meets the eyeball, led on to where the eyes look.

    local: face points [N, 468, 3] in the face's own axes, which place the eyeballs; iris: [N, 2, 3], a world point on the
    camera's ray through each iris centre (subject's right, left); rotation [N, 3, 3] and translation [N, 3]: the pose.
    Returns x and y of the right, then of the left eye in eye widths from straight ahead, x to the picture's right, y up.
    """
    camera = ((torch.tensor([0.0, 0.0, face.model.camera]) - translation)[:, None] @ rotation.transpose(1, 2))[:, 0]
    centres, radii = face.eye_balls(local)
    gaze = []
    for i in range(2):
        point = ((iris[:, i] - translation)[:, None] @ rotation.transpose(1, 2))[:, 0]
        ray = torch.nn.functional.normalize(point - camera, dim=-1)
        towards = centres[:, i] - camera
        along = (towards * ray).sum(-1)
        miss = (towards.square().sum(-1) - along**2).clamp(min=0)
        reach = (radii[:, i] ** 2 - miss).clamp(min=0).sqrt()
        hit = camera + (along - reach)[:, None] * ray
        gaze.append((hit - centres[:, i])[:, :2] / radii[:, i, None] * EYE_RADIUS)
    seen = torch.cat(gaze, 1)
    return _stretched(seen, 1 / seen.new_tensor(TRAVEL))
