"""How far expression, head pose and gaze lie from the driver's, by this project's fit of the bundled face model."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from ... import host
from ...face.extract_by_fit import FitExtractor
from ...morphable.bundled.face import ProceduralFace, procedural_face
from ...motion.rotation import rotation_of
from ...motion.track import MotionTrack
from ..scores import LOWER, Score, measured
from .crops import FACE_SHARE

ESTIMATOR = "the bundled face model fitted to mediapipe's landmarks (which also drives the bundled pack)"
TOGETHER = 500  # frames that are fitted at once, so that memory does not grow
MILLIMETRES = 100  # in the face model's unit


def distance_scores(driver: Sequence[Tensor], output: Sequence[Tensor]) -> dict[str, Score]:
    """The distances of landmarks [478, 3] of the frames that show both faces, means over these frames.

    expression: way between the same points of the mean face, in mm, head pose and person taken out; and, as AED in
    PIRenderer (Ren et al. 2021), the mean difference of coefficients. pose: angle of the rotation between the two
    heads. gaze: distance in eye widths, mean of both eyes. Each also for the change since the first frame, which
    is what relative motion carries over, whoever the driver is.
    """
    face = procedural_face()
    shown, made = _fitted(face, driver), _fitted(face, output)
    estimators = {"": ESTIMATOR, "_change": f"{ESTIMATOR}; change since the first frame"}
    scores = {}
    for key, estimator in estimators.items():
        of = _since_first if key else _absolute
        (e, rotation, g), (e_made, rotation_made, g_made) = of(shown), of(made)
        for name, value, unit in (
            ("expression", _millimetres(face, e_made - e).mean(), "mm"),
            ("expression_coefficients", (e_made - e).abs().mean(), "coefficient"),
            ("pose", _angle(rotation.transpose(1, 2) @ rotation_made).mean(), "°"),
            ("gaze", (g_made - g).view(-1, 2, 2).norm(dim=2).mean(), "eye widths"),
        ):
            title = f"{name.replace('_', ' ')} distance{', change' if key else ''}"
            scores[f"{name}_distance{key}"] = measured(value, title, unit, LOWER, estimator)
    return scores


def _fitted(face: ProceduralFace, landmarks: Sequence[Tensor]) -> MotionTrack:
    """The motion of a clip, TOGETHER frames at a time."""
    parts = []
    with host.current().progress(len(landmarks), "fitting the face") as progress:
        for start in range(0, len(landmarks), TOGETHER):
            clip = FitExtractor(face, FACE_SHARE).clip()
            part = landmarks[start : start + TOGETHER]
            for points in part:
                clip.add(None, points)
            parts.append(clip.track(Fraction(25)))
            progress.update(len(part))
    return MotionTrack.concatenate(parts)


def _absolute(track: MotionTrack) -> tuple[Tensor, Tensor, Tensor]:
    """Expression [N, 64], rotation [N, 3, 3] and gaze [N, 4]."""
    return track.coefficients.expression, rotation_of(track.coefficients.angles), track.gaze


def _since_first(track: MotionTrack) -> tuple[Tensor, Tensor, Tensor]:
    """The same, counted from the first frame as `retarget` carries relative motion over."""
    expression, rotation, gaze = _absolute(track)
    return expression - expression[:1], rotation[:1].transpose(1, 2) @ rotation, gaze - gaze[:1]


def _millimetres(face: ProceduralFace, expression: Tensor) -> Tensor:
    """How far an expression [N, 64] moves the face's 468 points in the mean, [N]."""
    way = expression @ face.model.expression_basis[:468].flatten(0, 1).T
    return way.view(len(expression), 468, 3).norm(dim=2).mean(1) * MILLIMETRES


def _angle(rotation: Tensor) -> Tensor:
    """Degrees by which rotations [N, 3, 3] turn, from their distance to the identity, which is exact near 0."""
    apart = (rotation - torch.eye(3)).flatten(1).norm(dim=1)
    return torch.rad2deg(2 * torch.asin((apart / 8**0.5).clamp(max=1)))
