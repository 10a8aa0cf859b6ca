"""What a body can do: how far expressions, eyes, head and neck go, with soft limits.

Anatomy in round numbers, relaxed to what people do in front of a camera: an eye turns 45° sideways and 28° up or down
(duction, less the last degrees that no one holds), a head 65° to the side, 45° up or down and 45° in its own plane from
where it rests, and a neck shifts a head by a few centimetres while the shoulders stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EXPRESSION_HEADROOM = 0.4  # limit of a coefficient beyond 1, a strong natural movement
GAZE_REACH = (0.32, 0.21)  # of each eye, sideways and vertically, eye widths: the iris' far edge meets the corner
DIVERGENCE = (0.05, 0.025)  # half the difference between both eyes, beside the source's own
TURN_REACH = (0.80, 1.15, 0.80)  # of a head about its x, y and z axis from where it rests, radians
TRAVEL_REACH = (0.60, 0.45, 1.0)  # of a neck sideways, vertically and to the camera, model units (100 mm)
FREE_SHARE = 0.8  # of a reach, up to which nothing is changed


def soft_limit(values: Tensor, reach: Tensor | float) -> Tensor:
    """Values unchanged up to FREE_SHARE of ±reach, then bent so that none passes it.

    Args:
        values: any shape.
        reach: positive, broadcast against the values.
    """
    free = FREE_SHARE * torch.as_tensor(reach)
    room = torch.as_tensor(reach) - free
    over = (values.abs() - free).clamp(min=0)
    return values.sign() * (values.abs() - over + room * torch.tanh(over / room))


def limit_expression(expression: Tensor, own: Tensor, reach: Sequence[float] = (1.0,)) -> Tensor:
    """Expressions within a face's reach: soft-clipped beyond ±reach, or beyond the source's own expression.

    Args:
        expression: [N, 64].
        own: the source's expression [1, 64] or [N, 64], which is reachable however far it goes.
        reach: of each blendshape, or one of all.

    Returns:
        [N, 64], at most EXPRESSION_HEADROOM beyond the limit (tanh).
    """
    free = torch.maximum(own.abs(), expression.new_tensor(reach))
    over = (expression.abs() - free).clamp(min=0)
    return expression.sign() * (expression.abs() - over + EXPRESSION_HEADROOM * torch.tanh(over / EXPRESSION_HEADROOM))


def limit_gaze(gaze: Tensor, own: Tensor) -> Tensor:
    """Gaze within the reach of the eyes: no iris leaves its eye.

    Args:
        gaze: [N, 4], see `MotionTrack.gaze`, of the bundled face model.
        own: the source's gaze [1, 4] or [N, 4], which is reachable however far it goes.

    Returns:
        [N, 4]; each eye's direction is kept, its distance from straight ahead limited to an ellipse of GAZE_REACH.
    """
    eyes, own_eyes = (values.view(-1, 2, 2) / values.new_tensor(GAZE_REACH) for values in (gaze, own))
    distance, own_distance = (values.norm(dim=-1, keepdim=True) for values in (eyes, own_eyes))
    # soft_limit leaves FREE_SHARE of a reach as it is; divided by it, an own gaze that goes farther stays as it is, too
    limited = soft_limit(distance, own_distance.clamp(min=FREE_SHARE) / FREE_SHARE)
    return gaze * (limited / distance.clamp(min=1e-9)).expand(-1, -1, 2).reshape(-1, 4)


def limit_divergence(gaze: Tensor, own: Tensor) -> Tensor:
    """Gaze [N, 4] of eyes that look at one place: they differ by DIVERGENCE more than the source's [1, 4] at most."""
    right, left = gaze[:, :2], gaze[:, 2:]
    own_apart = (own[:, :2] - own[:, 2:]) / 2
    apart = own_apart + soft_limit((right - left) / 2 - own_apart, gaze.new_tensor(DIVERGENCE))
    together = (right + left) / 2
    return torch.cat([together + apart, together - apart], 1)


def limit_turn(angles: Tensor) -> Tensor:
    """Turns [N, 3] of a head from where it rests, within TURN_REACH."""
    return soft_limit(angles, angles.new_tensor(TURN_REACH))


def limit_travel(travel: Tensor) -> Tensor:
    """Shifts [N, 3] of a neck in model units, within TRAVEL_REACH."""
    return soft_limit(travel, travel.new_tensor(TRAVEL_REACH))
