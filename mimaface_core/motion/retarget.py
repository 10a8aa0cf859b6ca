"""Retargeting: a driver's motion on the source's face."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .groups import ExpressionGroups
from .rotation import angles_of, rotation_of
from .track import PROCEDURAL, FaceCoefficients, MotionTrack

RELEASED = "as released"
MODES = ("relative", "absolute", RELEASED)
EXPRESSION_HEADROOM = 0.4  # limit of a coefficient beyond 1, a strong natural movement
EYE_RATIO_RANGE = (0.4, 2.0)  # of the source's eye opening to the driver's
MIN_EYE_OPENING = 1e-3  # model units
DEVIATION_FLOOR = 0.05  # of a coefficient, so that those that hardly move do not decide on the neutral frame


def limit_expression(expression: Tensor, own: Tensor) -> Tensor:
    """Expressions within a face's reach: soft-clipped beyond ±1, or beyond the source's own expression.

    Args:
        expression: [N, 64].
        own: the source's expression [1, 64] or [N, 64], which is reachable however far it goes.

    Returns:
        [N, 64], at most EXPRESSION_HEADROOM beyond the limit (tanh).
    """
    free = own.abs().clamp(min=1.0)
    over = (expression.abs() - free).clamp(min=0)
    return expression.sign() * (expression.abs() - over + EXPRESSION_HEADROOM * torch.tanh(over / EXPRESSION_HEADROOM))


def neutral_frame(track: MotionTrack) -> int:
    """Index of the visible frame nearest to the track's median motion: open eyes, a resting face, looking ahead."""
    visible = track.visible if track.visible.any() else torch.ones_like(track.visible)
    motion = track.motion[visible]
    indices = torch.nonzero(visible).flatten()
    deviation = motion.std(0, correction=0) + DEVIATION_FLOOR
    distance = (((motion - motion.median(0).values) / deviation) ** 2).mean(1)
    return int(indices[distance.argmin()])


def retarget(
    driver: MotionTrack,
    source: MotionTrack,
    groups: ExpressionGroups,
    mode: str = "relative",
    reference: int = 0,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
) -> MotionTrack:
    """The source moving like the driver: the source's identity, texture and lighting with the driver's ρ, β and g.

    Args:
        driver: N frames.
        source: one frame.
        groups: of the face model that both belong to. With its eye openings, lids move by their share of the opening,
            so that an eye that closes in the driver closes in the source, however wide it is.
        mode: `relative` adds the driver's change since its frame `reference` to the source's own pose and expression;
            `absolute` takes the driver's pose and expression as they are, while the head stays at the source's place;
            `as released` takes the driver's expression, pose, gaze and alignment unchanged, as the released inference
            blends the two.
        reference: the driver's neutral frame; −1 for the one nearest to its median (`neutral_frame`).
        pose: strength of the head's motion, 1 = as the driver, 0 = as the source.
        expression: strength of the expression, likewise.
        gaze: strength of the gaze, likewise.

    Returns:
        N frames at the driver's rate.

    Raises:
        InputError: an unknown mode, a reference beyond the last frame, or tracks of two face models.
    """
    if mode not in MODES:
        raise InputError(f"Motion can be taken over {' or '.join(MODES)}, not {mode!r}.")
    driver.check_basis(source.basis)
    if mode == RELEASED:
        return _blend(driver, source, pose, expression, gaze)
    if reference >= len(driver):
        raise InputError(
            f"The driver's neutral frame {reference} lies behind its last frame {len(driver) - 1};"
            " choose a smaller number, or −1."
        )
    at = neutral_frame(driver) if reference < 0 else reference
    d, s, r = driver.coefficients, source.coefficients, driver.coefficients[at : at + 1]
    relative = mode == "relative"
    if relative:
        # The turn since the reference is applied to the source's own pose (row vectors: source first, then the turn).
        turn = rotation_of(r.angles).transpose(1, 2) @ rotation_of(d.angles)
        angles = angles_of(rotation_of(s.angles) @ rotation_of(angles_of(turn) * pose))
        change = d.expression - r.expression
        look = gaze * (driver.gaze - driver.gaze[at])
    else:
        angles = s.angles + pose * (d.angles - s.angles)
        change = d.expression - s.expression
        look = gaze * (driver.gaze - source.gaze)
    if groups.eye_opening is not None:
        driver_opening = groups.eye_opening(r.identity, r.expression if relative else r.expression * 0)
        change = _scaled_lids(change, groups, groups.eye_opening(s.identity, s.expression), driver_opening)
    retargeted = s.expression + expression * change
    if source.basis == PROCEDURAL:  # whose blendshapes at 1 are strong natural movements
        retargeted = limit_expression(retargeted, s.expression)
    coefficients = FaceCoefficients(s.values.expand(len(driver), -1)).replace(
        expression=retargeted, angles=angles, translation=s.translation + pose * (d.translation - r.translation)
    )
    alignment = _moved_alignment(driver.alignment, driver.alignment[at], source.alignment, pose)
    return driver.replace(coefficients=coefficients, gaze=source.gaze + look, alignment=alignment)


def _scaled_lids(change: Tensor, groups: ExpressionGroups, source_opening: Tensor, driver_opening: Tensor) -> Tensor:
    """Changes of expression [N, 64] whose lids are scaled by the ratio of the eye openings [1, 2]."""
    ratio = (source_opening / driver_opening.clamp(min=MIN_EYE_OPENING)).clamp(*EYE_RATIO_RANGE)
    change = change.clone()
    for side, lids in enumerate(groups.lids):
        change[:, list(lids)] *= ratio[:, side : side + 1]
    return change


def _moved_alignment(driver: Tensor, reference: Tensor, source: Tensor, pose: float) -> Tensor:
    """The source's alignment [1, 2, 3] with the driver's [N, 2, 3] movement in its crop since `reference` [2, 3].

    Where every frame is aligned alike, as on the bundled face model, it is the source's.
    """
    moved = _homogeneous(source) @ _homogeneous(reference[None]).inverse() @ _homogeneous(driver)
    return torch.lerp(source.expand(len(driver), -1, -1), moved[:, :2], pose)


def _homogeneous(matrix: Tensor) -> Tensor:
    """Affine matrices [N, 2, 3] as [N, 3, 3]."""
    return torch.cat([matrix, matrix.new_tensor([0, 0, 1]).expand(len(matrix), 1, 3)], 1)


def _blend(driver: MotionTrack, source: MotionTrack, pose: float, expression: float, gaze: float) -> MotionTrack:
    """Identity, texture and lighting of the source; all else of the driver, exactly so at strengths of 1."""
    d, s = driver.coefficients, source.coefficients
    coefficients = FaceCoefficients(s.values.expand(len(driver), -1)).replace(
        expression=torch.lerp(s.expression.expand_as(d.expression), d.expression, expression),
        angles=torch.lerp(s.angles.expand_as(d.angles), d.angles, pose),
        translation=torch.lerp(s.translation.expand_as(d.translation), d.translation, pose),
    )
    return driver.replace(
        coefficients=coefficients,
        gaze=torch.lerp(source.gaze.expand_as(driver.gaze), driver.gaze, gaze),
        alignment=torch.lerp(source.alignment.expand_as(driver.alignment), driver.alignment, pose),
    )
