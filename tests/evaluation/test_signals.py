"""Signals of a face and how an output's follow its driver's; the same numbers as the independent measure."""

import importlib.util
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from support.scenes import needs_faces

from mimaface.mimaface_core.evaluation.meters import signals
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.follow import clip_landmarks
from mimaface.mimaface_core.media import Clip

SHARED = Path(__file__).resolve().parents[3] / "shared"
FRAMES = 24


@pytest.fixture
def measure():
    """The independent measure, a script beside the checkout."""
    script = SHARED / "eval" / "measure.py"
    if not script.is_file():
        pytest.skip(f"{script} is absent")
    pytest.importorskip("cv2")
    spec = importlib.util.spec_from_file_location("measure", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_smaller_copy_of_the_motion_scores_one(mesh):
    driver = signals.video_signals(mesh)
    output = signals.video_signals(0.4 * mesh + torch.tensor([30.0, 50.0, 0.0]))
    scores, details = signals.follow_scores(driver, output)
    assert scores["motion"]["value"] == pytest.approx(1, abs=1e-3)
    assert scores["gain"]["value"] == pytest.approx(1, abs=1e-3)
    assert all(signal["change_error"] < 1e-3 for signal in details.values())


def test_half_the_motion_has_half_the_gain_and_correlates_fully(mesh):
    driver = signals.video_signals(mesh)
    scores, _ = signals.follow_scores(driver, driver[0] + 0.5 * (driver - driver[0]))
    assert scores["motion"]["value"] == 1 and scores["gain"]["value"] == 0.5
    reversed_scores, _ = signals.follow_scores(driver, -driver)
    assert reversed_scores["motion"]["value"] == -1


def test_only_signals_that_the_driver_moves_count(mesh):
    driver = np.repeat(signals.video_signals(mesh)[:1], FRAMES, 0)
    driver[:, 3] += np.linspace(0, 0.2, FRAMES)  # the mouth
    noise = np.random.default_rng(0).normal(size=driver.shape) * 0.01
    scores, details = signals.follow_scores(driver, driver + noise)
    assert scores["motion"]["value"] > 0.95
    assert [name for name, signal in details.items() if signal["counted"]] == ["mouth"]
    still, _ = signals.follow_scores(driver[:1].repeat(FRAMES, 0), driver)
    assert still["motion"]["value"] is None and "does not move" in still["motion"]["reason"]
    few, no_details = signals.follow_scores(driver[:4], driver[:4])
    assert few["gain"]["value"] is None and "4 common frames" in few["gain"]["reason"] and no_details is None


def test_head_angles_are_the_rotation_since_the_first_frame(mesh):
    from scipy.spatial.transform import Rotation

    first = mesh[0].double().numpy()
    turn = Rotation.from_euler("xyz", [8, -20, 5], degrees=True)
    turned = 1.7 * turn.apply(first) + [40, -10, 3]
    np.testing.assert_allclose(signals.head_angles(turned, first), [8, -20, 5], atol=1e-6)
    jaw = turned.copy()
    jaw[[152, 148, 377, 61, 291, 13, 14]] += [0, 30, 10]  # the chin drops, the mouth widens
    np.testing.assert_allclose(signals.head_angles(jaw, first), [8, -20, 5], atol=1e-6)
    assert np.abs(signals.video_signals(mesh)[0, :3]).max() < 1e-3


def test_signals_equal_the_independent_measures(mesh, measure):
    assert list(signals.NOISE_RANGE.items()) == list(measure.FLOOR.items())
    first = mesh[0].double().numpy()
    for points in mesh.double().numpy():
        expected = list(measure.signals(points, first).values())
        np.testing.assert_allclose(signals.face_signals(points, first), expected, atol=1e-4)


@needs_faces
def test_scores_of_real_videos_equal_the_independent_measures(measure, monkeypatch, capsys):
    """The whole script runs on the landmarks that our scores are made of: 16 frames of two recordings."""
    landmarks = []
    for name, stride in (("d0.mp4", 3), ("d1.mp4", 1)):
        file = SHARED / "real" / "driver" / name
        if not file.is_file():
            pytest.skip(f"{file} is absent")
        landmarks.append(clip_landmarks(islice(Clip.open(file), 0, 16 * stride, stride), face_tracker()))
    assert all(len(track) == 16 and all(points is not None for points in track) for track in landmarks)
    scores, details = signals.follow_scores(*map(signals.video_signals, landmarks))

    images = [[np.zeros((8, 8, 3), np.uint8) for _ in track] for track in landmarks]
    points = {id(image): p.double().numpy() for image, p in zip(images[0] + images[1], landmarks[0] + landmarks[1])}
    monkeypatch.setattr(measure, "frames", lambda path, limit: images[int(path)][:limit])
    monkeypatch.setattr(measure, "mesh", lambda frames, static=False: [points[id(image)] for image in frames])
    monkeypatch.setattr(sys, "argv", ["measure.py", "--source", "0", "--driver", "0", "--output", "1"])
    monkeypatch.setitem(sys.modules, "face_recognition", None)
    measure.main()
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name, signal in details.items():
        assert signal["correlation"] == pytest.approx(expected[f"{name}_corr"], abs=2e-3), name
        assert signal["change_error"] == pytest.approx(expected[f"{name}_rel_mae"], abs=2e-4), name
        assert signal["range"] == pytest.approx(expected[f"{name}_range"], abs=2e-3), name
    counted = [name for name, signal in details.items() if signal["counted"]]
    assert counted == expected["active"]
    assert scores["motion"]["value"] == pytest.approx(expected["motion"], abs=2e-3)
    assert scores["gain"]["value"] == pytest.approx(expected["gain"], abs=2e-3)
