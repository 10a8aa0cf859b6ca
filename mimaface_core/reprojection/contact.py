"""Parts of a face that cannot pass through one another, kept apart: brows, lids, lips, teeth."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import CHIN, EYE_LANDMARKS, LEFT_BROW, LOWER_LIP, RIGHT_BROW, UPPER_LIP

UPPER_LID_SHARE = 0.2  # of an overlap of the lids, the share by which the upper one gives way
LEAST_BROW_SHARE = 0.25  # of its distance from the lid in the photograph, that a brow keeps
CHIN_SKIN = [CHIN, 175]  # that moves with the jaw
LOOSE_CHIN = 0.01  # model units by which the jaw may drop further
MOST_GAZE = (0.36, 0.22)  # eye widths to the side and up or down: an iris farther off leaves the opening of the eye


def meet_lids(shape: Tensor, rest: Tensor) -> None:
    """Move lids that have passed each other to where they meet, in place.

    Args:
        shape: [N, V, 3], changed.
        rest: [V, 3], the photograph's; lids that cross there may stay so.
    """
    for eye in EYE_LANDMARKS.values():
        upper, lower = eye.upper_lid[1:-1], eye.lower_lid[1:-1]
        crossed = (rest[lower, 1] - rest[upper, 1]).clamp(min=0)
        overlap = (shape[:, lower, 1] - shape[:, upper, 1] - crossed).clamp(min=0)
        shape[:, upper, 1] += overlap * UPPER_LID_SHARE
        shape[:, lower, 1] -= overlap * (1 - UPPER_LID_SHARE)


def lift_brows(shape: Tensor, rest: Tensor) -> None:
    """Move brows that come too near to the lids, or pass them, up as a whole, in place.

    Args:
        shape: [N, V, 3], changed.
        rest: [V, 3], the photograph's.
    """
    for eye, brow in zip(EYE_LANDMARKS.values(), (RIGHT_BROW, LEFT_BROW), strict=True):
        least = LEAST_BROW_SHARE * _above_lid(rest[None], eye.brow_edge, eye.upper_lid).clamp(min=0)
        missing = (least - _above_lid(shape, eye.brow_edge, eye.upper_lid)).clamp(min=0).amax(1)
        shape[:, brow, 1] += missing[:, None]


def _above_lid(shape: Tensor, brow_edge: list[int], lid: list[int]) -> Tensor:
    """How far the lower edge of a brow lies above the upper lid [N, P], point by point."""
    below = F.interpolate(shape[:, None, lid, 1], len(brow_edge), mode="linear", align_corners=True)[:, 0]
    return shape[:, brow_edge, 1] - below


def order_lips(shape: Tensor, rest: Tensor) -> None:
    """Keep the outline of each lip outside its inner edge, in place.

    Args:
        shape: [N, V, 3], changed.
        rest: [V, 3], the photograph's; lines that cross there may stay so.
    """
    for rows, outwards in ((UPPER_LIP, 1), (LOWER_LIP, -1)):
        for inner, outer in pairwise(rows[::-1]):  # from the inner edge
            crossed = (outwards * (rest[inner[1:-1], 1] - rest[outer[1:-1], 1])).clamp(min=0)
            missing = (outwards * (shape[:, inner[1:-1], 1] - shape[:, outer[1:-1], 1]) - crossed).clamp(min=0)
            shape[:, outer[1:-1], 1] += outwards * missing


def hold_jaw(face: BundledFace, shape: Tensor, rest: Tensor) -> None:
    """Keep lower teeth and tongue from dropping further than the chin, in place.

    A grin pulls the skin of the chin up, by the scanned faces; fitted to one that stays, it would open the jaw.

    Args:
        face: the bundled face.
        shape: [N, V, 3], changed.
        rest: [V, 3], the photograph's.
    """
    drop = ((shape - rest)[:, CHIN_SKIN, 1].mean(1)).clamp(max=0)
    teeth = (shape - rest)[:, face.parts["lower_teeth"], 1].mean(1)
    for part in ("lower_teeth", "tongue"):
        shape[:, face.parts[part], 1] += (drop - LOOSE_CHIN - teeth).clamp(min=0)[:, None]


def stop_jaw(face: BundledFace, shape: Tensor) -> None:
    """Stop lower teeth and tongue of shapes [N, V, 3] at the bite of the face model, in place."""
    overlap, most = (
        of[:, face.parts["lower_teeth"], 1].amax(1) - of[:, face.parts["upper_teeth"], 1].amin(1)
        for of in (shape, face.model.mean_shape[None])
    )
    for part in ("lower_teeth", "tongue"):
        shape[:, face.parts[part], 1] -= (overlap - most).clamp(min=0)[:, None]


def keep_iris_in_opening(gaze: Tensor) -> Tensor:
    """Gaze [N, 4] of which no iris leaves the opening between the lids; what lies within stays as it is."""
    eyes = gaze.unflatten(1, (2, 2))
    far = (eyes / eyes.new_tensor(MOST_GAZE)).norm(dim=-1, keepdim=True).clamp(min=1)
    return (eyes / far).flatten(1)
