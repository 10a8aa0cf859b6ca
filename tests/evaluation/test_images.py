"""Image meters and face crops on images whose scores are known."""

import json
import math
import sys

import numpy as np
import pytest
import torch

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.meters import images
from mimaface.mimaface_core.evaluation.meters.crops import (
    ALIGNED_POINTS,
    ALIGNED_POSITIONS,
    ALIGNED_SIZE,
    FaceImage,
    aligned_face,
    recognition_face,
)

pytestmark = pytest.mark.usefixtures("models")


def test_aligned_faces_have_their_points_in_place(mesh):
    image = np.zeros((256, 256, 3), np.uint8)
    for number in ALIGNED_POINTS:
        x, y = mesh[0, number, :2].round().int().tolist()
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    face = aligned_face(FaceImage(image, mesh[0]))
    for x, y in np.array(ALIGNED_POSITIONS) * ALIGNED_SIZE:
        assert face[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10].max() > 100
    assert recognition_face(torch.zeros(3, 256, 256), mesh[0]).shape == (1, 3, 112, 112)


def test_reconstruction_scores_equal_the_textbook(texture):
    pytest.importorskip("torchmetrics")
    driver, still = texture(0), texture(1)
    noise = np.random.default_rng(0).integers(-9, 10, driver.shape)
    output = np.clip(driver.astype(int) + noise, 0, 255).astype(np.uint8)
    meter = images.ReconstructionMeter(still)
    meter.update(driver, output)
    scores = meter.scores()

    def psnr(x, y):
        return 10 * math.log10(255**2 / ((x.astype(float) - y) ** 2).mean())

    assert scores["psnr"]["value"] == pytest.approx(psnr(driver, output), abs=1e-2)
    above_still = psnr(driver, output) - psnr(driver, still)
    assert scores["psnr_above_still"]["value"] == pytest.approx(above_still, abs=1e-2)
    assert 0.3 < scores["ssim"]["value"] < 1
    equal = images.ReconstructionMeter(still)
    equal.update(driver, driver)
    assert equal.scores()["psnr"]["value"] == 100 and equal.scores()["ssim"]["value"] == pytest.approx(1)
    assert scores["lpips"]["value"] is None and "alexnet-owt-7be5be79.pth" in scores["lpips"]["reason"]
    json.loads(json.dumps(scores, allow_nan=False))


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    assert images.missing_torchmetrics() is None
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    scores = images.absent_reconstruction(images.missing_torchmetrics())
    assert set(scores) == {"psnr", "ssim", "lpips"}
    assert all("pip install 'mimaface[evaluate]'" in score["reason"] for score in scores.values())


def test_a_blurred_face_is_less_sharp(texture):
    import cv2

    face = texture(3) // 2 + np.random.default_rng(0).integers(0, 99, (256, 256, 3), np.uint8)
    same, blurred = images.SharpnessMeter(face), images.SharpnessMeter(face)
    same.update(face)
    blurred.update(cv2.GaussianBlur(face, (0, 0), 6))
    assert same.scores()["sharpness"]["value"] == pytest.approx(1, abs=1e-3)
    assert blurred.scores()["sharpness"]["value"] < 0.5


def test_jumps_are_measured_where_clips_begin():
    def jump(clip, overlap, frames=40):
        meter, level = images.BoundaryJumpMeter(clip, overlap), 0
        for i in range(frames):
            level += 6 if i >= 12 and (i - 12) % 9 == 0 else 2
            meter.update(np.full((4, 4, 3), level, np.uint8))
        return meter.scores()["boundary_jump"]

    assert jump(12, 3)["value"] == pytest.approx(3, abs=1e-3)
    assert jump(13, 4)["value"] == pytest.approx(1, abs=1e-3)
    assert "12 frames hold no boundary" in jump(12, 3, 12)["reason"]
    with pytest.raises(InputError, match="cannot overlap by 12"):
        images.BoundaryJumpMeter(12, 12)
