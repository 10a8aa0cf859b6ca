"""Distances of expression, pose and gaze on synthetic people whose distances are known."""

import math

import pytest
import torch
from support.faces import blended, landmarks, people

from mimaface.mimaface_core.evaluation.meters.distances import distance_scores
from mimaface.mimaface_core.motion.rotation import angles_of, rotation_of


def test_distances_are_in_degrees_millimetres_and_eye_widths():
    coefficients, gaze = people(10, expression=0.0)
    # Another neutral pose, 7° from the driver's, and from there the same turns: relative motion.
    offset = rotation_of(torch.tensor([[0.0, 0.0, math.radians(7)]]))
    turned = coefficients.replace(angles=angles_of(offset @ rotation_of(coefficients.angles)))
    looking_aside = gaze + torch.tensor([0.06, 0.0, 0.06, 0.0])
    driver = list(landmarks(coefficients, gaze))
    to_itself = distance_scores(driver, driver)
    assert max(score["value"] for score in to_itself.values()) < 1e-3
    pose = distance_scores(driver, list(landmarks(turned, gaze)))
    assert pose["pose_distance"]["value"] == pytest.approx(7, abs=0.6)
    assert pose["pose_distance_change"]["value"] < 0.6
    aside = distance_scores(driver, list(landmarks(coefficients, looking_aside)))
    assert aside["gaze_distance"]["value"] == pytest.approx(0.06, abs=0.01)
    assert aside["gaze_distance_change"]["value"] < 0.01
    assert aside["pose_distance"]["value"] < 0.5 and aside["expression_distance"]["value"] < 0.5


def test_expression_distance_grows_with_the_mouth_opening():
    coefficients, gaze = people(6, expression=0.0)
    driver = list(landmarks(coefficients, gaze))

    def distance(opening):
        output = list(landmarks(coefficients.replace(expression=blended(jawOpen=opening)), gaze))
        return distance_scores(driver, output)["expression_distance"]["value"]

    assert 0.1 < distance(0.15) < distance(0.45) / 2
