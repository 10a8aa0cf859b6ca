"""Output and driver side by side, and one pass of an evaluation over them."""

import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.faces import landmarks, people

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation import tracked
from mimaface.mimaface_core.evaluation.evaluate import Evaluation
from mimaface.mimaface_core.evaluation.pairs import Pair
from mimaface.mimaface_core.evaluation.tracked import OpenPair, source_face
from mimaface.mimaface_core.media.frames import Frames as Video
from mimaface.mimaface_core.tracker.face import Face

pytestmark = pytest.mark.usefixtures("models")


class StubTracker:
    """Finds the same face everywhere, but none in black images."""

    points = landmarks(*people(1))[0].numpy()

    def still(self, picture):
        return [Face(self.points)] if picture.any() else []

    def start_clip(self):
        pass

    def prepare(self, pictures):
        pass

    frame = still


@pytest.fixture(autouse=True)
def stub_tracker(monkeypatch):
    monkeypatch.setattr(tracked, "face_tracker", StubTracker)


def greys(count, fps, first=1):
    frames = [torch.full((256, 256, 3), first + i, dtype=torch.uint8) for i in range(count)]
    return Video(frames, count, Fraction(fps))


def test_frames_of_one_instant_meet_at_any_rate():
    def levels(output, driver, max_frames=None):
        frames = OpenPair("a", output, driver, None, None, None).frames(max_frames)
        return [(int(o.image[0, 0, 0]), d and int(d.image[0, 0, 0])) for o, d in frames]

    assert levels(greys(3, 25), greys(3, 25)) == [(1, 1), (2, 2), (3, 3)]
    assert levels(greys(3, 25), greys(6, 50)) == [(1, 2), (2, 4), (3, 6)]
    assert levels(greys(4, 50), greys(2, 25)) == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert levels(greys(4, 25), greys(2, 25)) == [(1, 1), (2, 2), (3, None), (4, None)]
    assert levels(greys(4, 25), None, max_frames=2) == [(1, None), (2, None)]


def test_a_pass_retains_no_frames():
    alive, most = weakref.WeakSet(), 0

    class Token:
        """Lives as long as a frame's memory."""

    class Frames:
        def __iter__(self):
            nonlocal most
            for i in range(60):
                frame = torch.full((256, 256, 3), 1 + i, dtype=torch.uint8)
                token = Token()
                weakref.finalize(frame, lambda token: None, token)
                alive.add(token)
                del token
                most = max(most, len(alive))
                yield frame

    footage = Video(Frames(), 60, Fraction(25))
    scored = Evaluation().score(Pair("a", footage, None, footage))
    assert scored.report["frames"] == 60 and len(scored.stills) == 6
    assert most < 28  # some are read ahead in both, for cuts and for the tracker


def test_missing_faces_are_refused_or_reported():
    black = Video([torch.zeros(64, 64, 3, dtype=torch.uint8)] * 8, 8, Fraction(25))
    with pytest.raises(InputError, match="No face was found in any of the clip's 8 frames"):
        Evaluation().score(Pair("a", black, None, greys(8, 25)))
    with pytest.raises(InputError, match="The source of 'a': No face was found"):
        Evaluation().score(Pair("a", greys(8, 25), torch.zeros(64, 64, 3), greys(8, 25)))
    with pytest.raises(InputError, match="name the driver"):
        Evaluation(same=True).score(Pair("a", greys(8, 25), torch.ones(64, 64, 3)))
    scores = Evaluation().score(Pair("a", greys(8, 25), None, black)).report["scores"]
    assert scores["motion"]["value"] is None and "never seen" in scores["motion"]["reason"]
    assert "none was given" in scores["csim"]["reason"] and scores["psnr"]["value"] is None


def test_in_a_self_reenactment_the_source_is_the_drivers_first_frame(texture):
    driver = Video([torch.from_numpy(texture(i)) for i in range(14)], 14, Fraction(25))
    pair = Pair("a", driver, None, driver)
    np.testing.assert_array_equal(source_face(pair, driver, True).image, texture(0))
    report = Evaluation(same=True).score(pair).report
    assert report["scores"]["psnr"]["value"] == 100 and report["scores"]["expression_distance"]["value"] == 0
    assert report["compared"] == 14
    assert report["sync"] == {"reason": "the output has no sound, and no voice was given"}
