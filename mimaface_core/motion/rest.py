"""The resting face: where a person's lids, lips, gaze and head come back to, whatever frame a clip begins with.

A driver's is estimated from all frames of the clip, a source's from its only picture. Two things are known without a
clip: lips at rest touch, and lids at rest leave open a usual share of the eye. The rest is what the clip shows most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .groups import ExpressionGroups
from .rotation import rotation_of
from .track import FaceCoefficients, MotionTrack

NECK = (0.0, -0.7, -0.6)  # where a head turns, in its own axes, model units
# Opening of the eyes over that of the model's neutral expression. 90 % of 220 photographed people, looking into the
# camera, lie between the first two; the third is their median.
OPEN_LEAST, OPEN_MOST, OPEN_USUAL = 0.55, 0.95, 0.72
SHUT_EYE = 0.35  # of a source: below it the eye is shut in the moment of the photograph, not narrow
DEVIATION_FLOOR = 0.05  # of a coefficient, so that those that hardly move do not decide on the usual frame
OPEN_QUANTILE = 0.8  # of a clip's eye openings, which blinks do not reach
OPEN_SHARE = 0.85  # of the usual opening, from which on eyes are open
LEAST_OPEN_SHARE = 0.1  # of a clip's frames, those whose mouth is least open
TOUCHING = 0.02  # gap of lips that count as touching, model units
GAZE_SPREAD = 0.06  # of a look that stays in one place, eye widths
GAZE_PRIOR = 0.2  # standard deviation of all four numbers together, eye widths
GAZE_SAMPLES = 500  # frames that are compared with each other at most
MEAN_SHIFTS = 10
GAZE_AT_REST = (0.10, 0.07)  # from straight ahead, as far as eyes rest; a clip that looks aside throughout is no rest
SOLVE_STEPS = 24  # of the bisection for lids of a given opening


@dataclass(frozen=True)
class RestingFace:
    """Where a face comes back to.

    Attributes:
        expression: [1, 64].
        gaze: [1, 4].
        angles: [1, 3] or [N, 3] in radians.
        neck: the same, place of NECK before the camera, model units.
    """

    expression: Tensor
    gaze: Tensor
    angles: Tensor
    neck: Tensor


def neck_of(coefficients: FaceCoefficients) -> Tensor:
    """Place [N, 3] of the neck, about which the head turns, in model units."""
    pivot = coefficients.values.new_tensor(NECK)
    return (pivot @ rotation_of(coefficients.angles)) + coefficients.translation


def frame_at_rest(track: MotionTrack, index: int) -> RestingFace:
    """One frame of a track, taken as the resting face."""
    c = track.coefficients[index : index + 1]
    return RestingFace(c.expression, track.gaze[index : index + 1], c.angles, neck_of(c))


def usual_frame(track: MotionTrack) -> int:
    """Index of the visible frame nearest to the track's median motion."""
    visible = track.visible if track.visible.any() else torch.ones_like(track.visible)
    motion = track.motion[visible]
    deviation = motion.std(0, correction=0) + DEVIATION_FLOOR
    distance = (((motion - _median(motion)) / deviation) ** 2).mean(1)
    return int(visible.nonzero().flatten()[distance.argmin()])


def resting_face(track: MotionTrack, groups: ExpressionGroups) -> RestingFace:
    """A driver's resting face, from all its visible frames.

    Args:
        track: at least one frame.
        groups: of its face model.

    Returns:
        The resting face; `angles` and `neck` are [N, 3], those of each frame's shot.
    """
    pose = torch.stack([track.coefficients.angles, neck_of(track.coefficients)], 1)
    for shot in track.shot.unique():
        within = track.shot == shot
        seen = within & track.visible if (within & track.visible).any() else within
        pose[within] = _median(pose[seen])
    visible = track.visible if track.visible.any() else torch.ones_like(track.visible)
    c, gaze = track.coefficients[visible], track.gaze[visible]
    expression = _median(c.expression)
    if groups.lip_gap is not None:
        gap = groups.lip_gap(c.identity, c.expression)
        touching = gap <= torch.maximum(gap.quantile(LEAST_OPEN_SHARE), gap.new_tensor(TOUCHING))
        mouth = list(groups.mouth)
        expression[:, mouth] = _median(c.expression[touching][:, mouth])
        expression = _with_lips_shut(c.identity[:1], expression, groups)
    if groups.eye_opening is not None:
        openings = groups.eye_opening(c.identity, c.expression)
        widest = groups.eye_opening(c.identity[:1], expression * 0)[0]
        usual = openings.quantile(OPEN_QUANTILE, dim=0)
        as_usual = (openings >= OPEN_SHARE * usual).all(1)
        as_usual = as_usual if as_usual.any() else openings.sum(1) >= openings.sum(1).max()
        eyes = list(groups.eyes)
        expression[:, eyes] = _median(c.expression[as_usual][:, eyes])
        usual = usual.clamp(OPEN_LEAST * widest, OPEN_MOST * widest)
        for side, lids in enumerate(groups.lids):
            expression = _with_opening(c.identity[:1], expression, groups, side, lids, usual[side])
        gaze = gaze[(openings > SHUT_EYE * widest).all(1)]
    return RestingFace(expression, _gaze_at_rest(gaze), pose[:, 0], pose[:, 1])


def resting_source(source: MotionTrack, groups: ExpressionGroups) -> RestingFace:
    """A source's resting face, from its one picture: as it is, with shut eyes opened and open lips closed.

    Args:
        source: one frame.
        groups: of its face model.
    """
    c = source.coefficients
    expression = _with_lips_shut(c.identity, c.expression, groups)
    if groups.eye_opening is not None:
        opening = groups.eye_opening(c.identity, expression)[0]
        open_wide = groups.eye_opening(c.identity, expression * 0)[0]
        for side, lids in enumerate(groups.lids):
            if opening[side] < SHUT_EYE * open_wide[side]:
                expression = _with_opening(c.identity, expression, groups, side, lids, OPEN_USUAL * open_wide[side])
    return RestingFace(expression, source.gaze, c.angles, neck_of(c))


def neutral_expression(identity: Tensor, expression: Tensor, groups: ExpressionGroups) -> Tensor:
    """The expression [1, 64] of a face that shows none: lips together, eyes as far open as eyes usually are.

    Args:
        identity: [1, 80].
        expression: the person's own [1, 64]; eyes that are open as usual stay as they are open.
        groups: of the face model.
    """
    neutral = _with_lips_shut(identity, torch.zeros_like(expression), groups)
    if groups.eye_opening is None or groups.blink is None:
        return neutral
    widest = groups.eye_opening(identity, neutral)
    own = groups.eye_opening(identity, expression)
    opening = torch.where(own < SHUT_EYE * widest, OPEN_USUAL * widest, own)
    opening = opening.clamp(OPEN_LEAST * widest, OPEN_MOST * widest)
    neutral[:, [side[0] for side in groups.lids]] += groups.blink(widest - opening)
    return neutral


def _median(values: Tensor) -> Tensor:
    return values.median(0, keepdim=True).values


def _with_lips_shut(identity: Tensor, expression: Tensor, groups: ExpressionGroups) -> Tensor:
    """The expression [1, 64] with lips together; lips that nearly touch stay as they are."""
    if groups.lip_gap is None or groups.closed_lips is None:
        return expression
    open_share = (groups.lip_gap(identity, expression) / TOUCHING - 1).clamp(0, 1)
    return torch.lerp(expression, groups.closed_lips(identity, expression), open_share)


def _with_opening(
    identity: Tensor, expression: Tensor, groups: ExpressionGroups, side: int, lids: Sequence[int], target: Tensor
) -> Tensor:
    """The expression [1, 64] whose eye on one side is open by `target`, its lids moved between their place and 0."""
    assert groups.eye_opening is not None
    columns = list(lids)
    low, high = -1.0, 2.0  # factors of the lids, the higher the more closed
    changed = expression.clone()
    for _ in range(SOLVE_STEPS):
        middle = (low + high) / 2
        changed[:, columns] = middle * expression[:, columns]
        wider = groups.eye_opening(identity, changed)[0, side] > target
        low, high = (middle, high) if wider else (low, middle)
    return changed


def _gaze_at_rest(gaze: Tensor) -> Tensor:
    """Where the eyes mostly look, [1, 4], not far from straight ahead.

    The mode of gaze [N, 4], N may be 0, under a prior about straight ahead; by mean shift from the likeliest frame.
    """
    if not len(gaze):
        return gaze.new_zeros(1, gaze.shape[1])
    some = gaze[:: max(1, len(gaze) // GAZE_SAMPLES)]
    density = torch.exp(-torch.cdist(some, some).square() / (2 * GAZE_SPREAD**2)).sum(1)
    prior = torch.exp(-some.square().sum(1) / (2 * GAZE_PRIOR**2))
    rest = some[(density * prior).argmax()][None]
    for _ in range(MEAN_SHIFTS):
        weight = torch.exp(-(gaze - rest).square().sum(1, keepdim=True) / (2 * GAZE_SPREAD**2))
        rest = (weight * gaze).sum(0, keepdim=True) / weight.sum()
    reach = gaze.new_tensor(GAZE_AT_REST).repeat(2)
    return rest.clamp(-reach, reach)
