"""Gaze detector: four numbers from the iris points, independent of the lids."""

from __future__ import annotations

import torch
from torch import Tensor

from .morphable.procedural import EYE_RADIUS, ProceduralFace


def gaze_of_irises(face: ProceduralFace, local: Tensor, iris: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Gaze [N, 4]: where the camera's ray through each iris centre meets the eyeball.

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
    return torch.cat(gaze, 1)
