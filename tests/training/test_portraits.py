"""Round trips of portraits: a photograph that is moved by the renderer and carried back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.scenes import needs_faces
from support.tracks import still

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.motion.rest import neck_of
from mimaface.mimaface_core.training.data.dataset import StoredSample
from mimaface.mimaface_core.training.data.portraits import (
    make_portrait_data,
    moved_track,
    round_trip,
)
from mimaface.mimaface_core.training.people.portrait_folder import HELD_OUT, portraits_of


def test_the_last_portraits_by_name_are_kept_for_reports(tmp_path):
    for number in range(HELD_OUT + 3):
        (tmp_path / f"{number:03d}.jpg").touch()
    kept, learned = portraits_of(tmp_path, held_out=True), portraits_of(tmp_path, held_out=False)
    assert [path.stem for path in learned] == ["000", "001", "002"] and len(kept) == HELD_OUT
    assert not {*kept} & {*learned}


def test_too_few_portraits_are_refused(tmp_path):
    with pytest.raises(InputError, match="0 JPEG files; more than 79"):
        make_portrait_data(tmp_path, tmp_path / "data", (0, 1), 1, held_out=False)


def test_a_moved_head_turns_about_its_neck():
    track = still(1)
    moved = moved_track(track, np.random.default_rng(1))
    assert (moved.coefficients.angles - track.coefficients.angles).norm() > 0.05
    assert torch.allclose(neck_of(moved.coefficients), neck_of(track.coefficients), atol=1e-5)
    assert torch.equal(moved.coefficients.identity, track.coefficients.identity)


@needs_faces
def test_a_portrait_comes_back_but_for_what_the_renderer_lost(tmp_path):
    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.media.image import read_image

    image = read_image(Path(__file__).parents[2] / "assets" / "portrait.jpg")
    trip = round_trip(image, np.random.default_rng(3), face_tracker())
    assert trip.source.shape == (3, 512, 512) and trip.target.shape == (1, 3, 512, 512)
    render, freedom = trip.render[:, :3], trip.render[:, 3]
    back, away = ((picture - trip.target).square().mean() for picture in (render, trip.source[None]))
    assert back < 0.5 * away
    fine = trip.target - render
    assert (fine - torch.nn.functional.avg_pool2d(fine, 3, 1, 1)).abs().mean() < 0.02  # no detail of its own
    sample = trip.sample()
    assert len(sample.targets) == len(sample.renders) == 1 and sample.motion.shape == (1, 71)
    assert sample.freedom.shape == (1, 64, 64) and sample.freedom.max() > 200
    assert sample.freedom.float().mean() / 255 == pytest.approx(float(freedom.mean()), abs=0.01)


@needs_faces
def test_samples_are_made_once(tmp_path, monkeypatch):
    from mimaface.mimaface_core.training.data import portraits

    monkeypatch.setattr(portraits, "portraits_of", lambda folder, held_out: sorted(folder.glob("*.jpg")))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes((Path(__file__).parents[2] / "assets" / "portrait.jpg").read_bytes())
    stamps = []
    for _ in range(2):
        make_portrait_data(tmp_path / "in", tmp_path / "data", (0, 1), 1, held_out=False)
        (made,) = (tmp_path / "data").iterdir()
        stamps.append(made.stat().st_mtime_ns)
    assert stamps[0] == stamps[1] and StoredSample(made).frames == 1 and StoredSample(made).person == "a"
