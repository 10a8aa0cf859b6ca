"""Distances of expression, head pose and gaze from the driver's, by the bundled face model's fit."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ... import host
from ...face.extract_by_fit import FitExtractor
from ...morphable.bundled.face import BundledFace, bundled_face
from ...motion.rotation import rotation_of
from ...motion.track import MotionTrack
from ..scores import LOWER, Score, measured
from .crops import FACE_SHARE

ESTIMATOR = "the bundled face model fitted to mediapipe's landmarks (which also drives the bundled pack)"
CHUNK = 500  # frames of one fit, which bounds the memory
MILLIMETRES = 100  # in the face model's unit
MESH_POINTS = 468  # the face model's vertices that are landmarks


class _Motion(NamedTuple):
    """Expression [N, 64], head rotation [N, 3, 3] and gaze [N, 4] of a video."""

    expression: Tensor
    rotation: Tensor
    gaze: Tensor

    @classmethod
    def of(cls, track: MotionTrack) -> _Motion:
        return cls(track.coefficients.expression, rotation_of(track.coefficients.angles), track.gaze)

    def since_first(self) -> _Motion:
        """Motion relative to the first frame, as `retarget` transfers it."""
        return _Motion(
            self.expression - self.expression[:1],
            self.rotation[:1].transpose(1, 2) @ self.rotation,
            self.gaze - self.gaze[:1],
        )


def distance_scores(driver: Sequence[Tensor], output: Sequence[Tensor]) -> dict[str, Score]:
    """Mean distances over the frames that show both faces.

    Expression: distance between the same points of the mean face in mm, without head pose and identity; and mean
    difference of coefficients (AED of PIRenderer, Ren et al. 2021). Pose: angle of the rotation between both heads.
    Gaze: distance in eye widths, mean of both eyes. The keys with `_change` compare the change since the first frame,
    which is what relative motion transfers, whoever the driver is.

    Args:
        driver: the driver's landmarks, [478, 3] in pixels a frame.
        output: the output's landmarks of the same instants.
    """
    face = bundled_face()
    driver_motion, output_motion = (_Motion.of(_fitted(face, landmarks)) for landmarks in (driver, output))
    scores = {}
    for key_suffix, title_suffix, estimator, distances in (
        ("", "", ESTIMATOR, _distances(face, driver_motion, output_motion)),
        (
            "_change", ", change", f"{ESTIMATOR}; change since the first frame",
            _distances(face, driver_motion.since_first(), output_motion.since_first()),
        ),
    ):  # fmt: skip
        for name, (value, unit) in distances.items():
            title = f"{name.replace('_', ' ')} distance{title_suffix}"
            scores[f"{name}_distance{key_suffix}"] = measured(value, title, unit, LOWER, estimator)
    return scores


def _distances(face: BundledFace, driver: _Motion, output: _Motion) -> dict[str, tuple[Tensor, str]]:
    """Mean distances between two motions, and their units."""
    expression = output.expression - driver.expression
    gaze = rearrange(output.gaze - driver.gaze, "n (eye xy) -> n eye xy", xy=2)
    return {
        "expression": (_millimetres(face, expression).mean(), "mm"),
        "expression_coefficients": (expression.abs().mean(), "coefficient"),
        "pose": (_angle(driver.rotation.transpose(1, 2) @ output.rotation).mean(), "°"),
        "gaze": (gaze.norm(dim=2).mean(), "eye widths"),
    }


def _fitted(face: BundledFace, landmarks: Sequence[Tensor]) -> MotionTrack:
    """Motion of a video, CHUNK frames at a time."""
    parts = []
    with host.current().progress(len(landmarks), "fitting the face") as progress:
        for start in range(0, len(landmarks), CHUNK):
            fitted = FitExtractor(face, FACE_SHARE).clip()
            chunk = landmarks[start : start + CHUNK]
            for points in chunk:
                fitted.add(None, points)
            parts.append(fitted.track(Fraction(25)))
            progress.update(len(chunk))
    return MotionTrack.concatenate(parts)


def _millimetres(face: BundledFace, expression: Tensor) -> Tensor:
    """Mean displacement [N] in mm of the face's points by an expression [N, 64]."""
    basis = rearrange(face.model.expression_basis[:MESH_POINTS], "v c m -> (v c) m")
    displacement = rearrange(expression @ basis.T, "n (v c) -> n v c", c=3)
    return displacement.norm(dim=2).mean(1) * MILLIMETRES


def _angle(rotation: Tensor) -> Tensor:
    """Angle [N] in degrees of rotations [N, 3, 3], from their distance to the identity, which is exact near 0."""
    distance = (rotation - torch.eye(3)).flatten(1).norm(dim=1)
    return torch.rad2deg(2 * torch.asin((distance / 8**0.5).clamp(max=1)))
