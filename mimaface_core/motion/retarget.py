"""Retargeting: a driver's motion on the source's face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError
from .groups import ExpressionGroups
from .limits import limit_divergence, limit_expression, limit_gaze, limit_travel, limit_turn
from .rest import NECK, RestingFace, frame_at_rest, neck_of, resting_face, resting_source, usual_frame
from .rotation import angles_of, rotation_of
from .track import BUNDLED, FaceCoefficients, MotionTrack

RELEASED = "as released"
MODES = ("relative", "absolute", RELEASED)
AUTOMATIC = -1  # as `reference`: the resting face
EYE_RATIO_RANGE = (0.4, 2.0)  # of the source's eye opening to the driver's
SHUT = 0.01  # opening that is as good as none, model units
# Share of its opening that is left of a driver's eye, where the source's begins to close to the same share and does.
CLOSES_AT, CLOSED_AT = 0.6, 0.2
LEFT_OPEN = 0.12  # share of its opening that trackers leave a shut eye
WIDE = 3.0  # coefficient by which lids are opened to be sure that an eye is open
# A source that is a frame of the driver's clip differs from it by less than these: the root mean square of its points,
# in units of their spread, and its gaze in eye widths.
SAME_VIEW, SAME_GAZE = 0.03, 0.05


@dataclass(frozen=True)
class Strengths:
    """How much of each part of a motion is taken over, 1 = as it is; see `retarget`."""

    pose: float = 1.0
    expression: float = 1.0
    gaze: float = 1.0
    travel: float = 1.0


def retarget(
    driver: MotionTrack,
    source: MotionTrack,
    groups: ExpressionGroups,
    mode: str = "relative",
    reference: int = AUTOMATIC,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
    travel: float = 1.0,
) -> MotionTrack:
    """The source moving like the driver: the source's identity, texture and lighting with the driver's ρ, β and g.

    Args:
        driver: N frames.
        source: one frame.
        groups: of the face model that both belong to. With its eye openings, lids move by their share of the opening,
            so that an eye that closes in the driver closes in the source, however wide it is.
        mode: `relative` adds the driver's departure from its resting face to the source's own resting pose and
            expression; `absolute` takes the driver's pose and expression as they are, while the head stays at the
            source's place; `as released` takes the driver's expression, pose, gaze and alignment unchanged, as the
            released inference blends the two.
        reference: AUTOMATIC for the driver's resting face, estimated from the whole clip (`rest.resting_face`), or for
            the frame that shows the source itself, where the source is a frame of the clip; otherwise the frame to
            count from.
        pose: strength of the head's motion, 1 = as the driver, 0 = as the source.
        expression: strength of the expression, likewise.
        gaze: strength of the gaze, likewise.
        travel: share of the head's shifts and of its nearing and withdrawing that goes with the pose; at 0 the head
            turns about its own neck.

    Returns:
        N frames at the driver's rate. On the bundled face model they stay within what a body can do (`limits`).

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
    origin, target = _origins(driver, source, groups, mode, reference)
    strengths = Strengths(pose, expression, gaze, travel)
    moved = carried(driver, source, groups, origin, target, strengths, reach=mode == "relative")
    alignment = _moved_alignment(driver.alignment, driver.alignment[max(reference, 0)], source.alignment, pose)
    return moved.replace(alignment=alignment)


def carried(
    driver: MotionTrack,
    source: MotionTrack,
    groups: ExpressionGroups,
    origin: RestingFace,
    target: RestingFace,
    strengths: Strengths,
    reach: bool = True,
) -> MotionTrack:
    """The driver's departure from `origin` carried over to the source, which goes on from `target`.

    Args:
        driver: N frames.
        source: one frame.
        groups: of the face model that both belong to.
        origin: the driver's state without movement.
        target: the source's, in the same state.
        strengths: of each part.
        reach: whether turns stay within what a neck can do.

    Returns:
        N frames with the driver's alignment.
    """
    d, s = driver.coefficients, source.coefficients
    turn = rotation_of(d.angles) @ rotation_of(origin.angles).transpose(1, 2)  # in the head's own axes
    angles = strengths.pose * angles_of(turn)
    rotation = rotation_of(limit_turn(angles) if reach else angles) @ rotation_of(s.angles)
    shift = _in_plane(neck_of(d) - origin.neck, origin.angles, s.angles)
    place = neck_of(s) + limit_travel(strengths.pose * strengths.travel * shift)
    change = _scaled_lids(d.expression - origin.expression, groups, origin, target, d, s.identity)
    moved = s.expression + strengths.expression * (target.expression - s.expression + change)
    look = source.gaze + strengths.gaze * (target.gaze - source.gaze + driver.gaze - origin.gaze)
    if source.basis == BUNDLED:
        moved = limit_expression(moved, s.expression, groups.reach)
        look = limit_gaze(limit_divergence(look, source.gaze), source.gaze)
    coefficients = FaceCoefficients(s.values.expand(len(driver), -1)).replace(
        expression=moved, angles=angles_of(rotation), translation=place - s.values.new_tensor(NECK) @ rotation
    )
    return driver.replace(coefficients=coefficients, gaze=look)


def _origins(
    driver: MotionTrack, source: MotionTrack, groups: ExpressionGroups, mode: str, reference: int
) -> tuple[RestingFace, RestingFace]:
    """The state from which the driver's motion counts, and that of the source from which it goes on."""
    own = frame_at_rest(source, 0)
    if reference == AUTOMATIC and mode == "relative":
        reference = origin_frame(source, driver, groups)
    if reference == AUTOMATIC:
        origin, target = resting_face(driver, groups), resting_source(source, groups)
    else:
        origin, target = frame_at_rest(driver, reference), own
    if mode == "absolute":  # all but the place is that of the driver's model
        return replace(own, neck=origin.neck), own
    return origin, target


def origin_frame(source: MotionTrack, driver: MotionTrack, groups: ExpressionGroups) -> int:
    """The driver's frame to count from: one that shows what the source shows, AUTOMATIC where there is none.

    Where expressions cannot be told apart, it is the most usual frame.
    """
    if groups.shape is None:
        return usual_frame(driver)
    distance = (_view(driver, groups) - _view(source, groups)).square().sum(-1).mean(1).sqrt()
    same = (distance < SAME_VIEW) & ((driver.gaze - source.gaze).abs().amax(1) < SAME_GAZE)
    return int(torch.where(same, distance, torch.inf).argmin()) if same.any() else AUTOMATIC


def _view(track: MotionTrack, groups: ExpressionGroups) -> Tensor:
    """Points of the face as the camera sees them [N, V, 2], about their middle and in units of their spread.

    The same view in two fits may differ in what identity, expression and pose have of it.
    """
    assert groups.shape is not None
    c = track.coefficients
    points = (groups.shape(c.identity, c.expression) @ rotation_of(c.angles))[..., :2]
    points = points - points.mean(1, keepdim=True)
    return points / points.square().sum(-1).mean(1).sqrt()[:, None, None]


def _in_plane(shift: Tensor, origin: Tensor, target: Tensor) -> Tensor:
    """Shifts [N, 3] turned in the image plane by the difference between two heads' tilts (angles [1, 3])."""
    tilt = torch.zeros_like(origin)
    tilt[:, 2] = target[:, 2] - origin[:, 2]
    return (shift[:, None] @ rotation_of(tilt))[:, 0]


def _scaled_lids(
    change: Tensor,
    groups: ExpressionGroups,
    origin: RestingFace,
    target: RestingFace,
    driver: FaceCoefficients,
    source_identity: Tensor,
) -> Tensor:
    """Changes of expression [N, 64] whose lids are scaled by the ratio of the eye openings from which they start.

    Lids that close bring the source's eye to the share of its opening that the driver's has, so that shut is shut.
    """
    if groups.eye_opening is None:
        return change
    driver_opening = groups.eye_opening(driver.identity[:1], origin.expression)
    source_opening = groups.eye_opening(source_identity, target.expression)
    ratio = ((source_opening + SHUT) / (driver_opening + SHUT)).clamp(*EYE_RATIO_RANGE)
    change = change.clone()
    for side, lids in enumerate(groups.lids):
        change[:, list(lids)] *= ratio[:, side : side + 1]
    share = groups.eye_opening(driver.identity, driver.expression) / driver_opening.clamp(min=SHUT)
    wanted = ((share - LEFT_OPEN) / (1 - LEFT_OPEN)).clamp(min=0) * source_opening
    known = (driver_opening > 2 * SHUT) & (source_opening > 2 * SHUT)
    closing = ((CLOSES_AT - share) / (CLOSES_AT - CLOSED_AT)).clamp(0, 1) * known
    return change + _closing_lids(groups, source_identity, target.expression + change, wanted, closing)


def _closing_lids(
    groups: ExpressionGroups, identity: Tensor, expression: Tensor, opening: Tensor, weight: Tensor
) -> Tensor:
    """Change of expression [N, 64] by which eyes are as far open as wanted, whatever else narrows them.

    Args:
        groups: with `eye_opening`, which lids change in proportion.
        identity: [1, 80].
        expression: [N, 64].
        opening: wanted for the right and the left eye [N, 2], model units.
        weight: how far each is brought there [N, 2], 0–1.
    """
    assert groups.eye_opening is not None and groups.blink is not None
    shut = [side[0] for side in groups.lids]
    wide = expression.clone()
    wide[:, shut] -= WIDE
    # from there on it changes in proportion
    opened = groups.eye_opening(identity, wide) - WIDE / groups.blink(torch.ones_like(opening))
    change = torch.zeros_like(expression)
    change[:, shut] = weight * groups.blink(opened.clamp(min=0) - opening)
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
