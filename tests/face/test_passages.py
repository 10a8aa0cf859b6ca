"""A long clip is measured passage by passage, and comes out as if it were measured as a whole."""

from itertools import pairwise

import pytest
import torch
from support.faces import blended
from support.scenes import moved, needs_faces, noise
from support.tracks import same, still

from mimaface.mimaface_core import load_pack, measure, measure_stream, retarget, smooth
from mimaface.mimaface_core.drawing import animate, encode
from mimaface.mimaface_core.face import extract
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.lost import LOST, Filling, filled
from mimaface.mimaface_core.face.occlusion import Holding, hold_hidden
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.stream import MotionStream
from mimaface.mimaface_core.motion.track import BUNDLED, MotionTrack
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.resuming import resumable

LOST_FRAMES = (14, 15, 16, 25)
COUNT = 28


def pictures():
    """A head that tilts to and fro and is not there in some frames."""
    frames = [moved(3 * torch.sin(torch.tensor(i / 3.0)).item(), 1, (i % 9, 0)) for i in range(COUNT)]
    return [noise() if number in LOST_FRAMES else frame for number, frame in enumerate(frames)]


@pytest.fixture
def short_passages(monkeypatch):
    monkeypatch.setattr(extract, "FIRST_FRAMES", 12)
    monkeypatch.setattr(extract, "NEXT_FRAMES", 4)


class Counted:
    """Frames that know how many of them were read."""

    def __init__(self, images):
        self.images, self.read = images, 0

    def __iter__(self):
        for image in self.images:
            self.read += 1
            yield torch.from_numpy(image)


def tracked(images):
    return {"frames": Frames(images, COUNT, 25), "tracker": face_tracker("bundled")}


@needs_faces
def test_a_long_clip_is_measured_as_it_is_asked_for_and_as_well_as_a_whole_one(monkeypatch):
    pack, images = load_pack(), Counted(pictures())
    _, whole = measure(pack, **tracked(images))
    monkeypatch.setattr(extract, "FIRST_FRAMES", 12)
    monkeypatch.setattr(extract, "NEXT_FRAMES", 4)
    images.read = 0
    _, motion = measure_stream(pack, **tracked(images))
    assert isinstance(motion, MotionStream) and motion.count == COUNT
    assert len(motion.first) == 12 and images.read <= 2 + 12 + 13  # some are read ahead
    pieces = list(motion)
    assert [bool(piece.visible[-1]) for piece in pieces] == [True] * len(pieces)
    assert [len(piece) for piece in pieces] == [12, 6, 4, 5, 1]  # each ends with a frame that shows the face
    found = motion.whole()
    assert found.visible.tolist() == whole.visible.tolist() == [i not in LOST_FRAMES for i in range(COUNT)]
    seen = found.visible
    for part, tolerance in (("angles", 0.02), ("translation", 0.03), ("identity", 0.5)):
        error = getattr(found.coefficients, part) - getattr(whole.coefficients, part)
        assert error.abs().mean(1)[seen].max() < tolerance, part
    assert (found.gaze - whole.gaze)[seen].abs().max() < 0.03
    assert torch.equal(found.coefficients.identity, found.coefficients.identity[:1].expand(COUNT, -1))
    gap = found.coefficients.angles[13:18]  # a short gap is filled evenly, though it lies between two passages
    assert torch.allclose(
        gap[1:4], torch.stack([torch.lerp(gap[0], gap[4], share / 4) for share in (1, 2, 3)]), atol=1e-5
    )
    same(measure(pack, **tracked(images))[1], found)  # measured in passages, too, where all of it is wanted


@needs_faces
def test_the_first_clip_is_drawn_before_the_driver_is_read_to_its_end(short_passages, tiny_models):
    pack = ModelPack.load(tiny_models / "tiny")
    images = Counted(pictures() * 2)
    source, motion = measure_stream(pack, Frames(images, 2 * COUNT, 25), tracker=face_tracker("bundled"))
    motion = retarget(smooth(motion), source)
    assert isinstance(motion, MotionStream)
    frames = animate(pack, source, motion, appearance=encode(pack, source, motion))
    first = next(frames)
    assert images.read < 2 * COUNT
    drawn = torch.cat([first, *frames])
    assert len(drawn) == 2 * COUNT == len(motion.whole())
    again = torch.cat(list(animate(pack, source, motion.whole())))
    assert (drawn - again).abs().max() < 1e-5


@needs_faces
def test_a_stream_resumes_where_its_run_broke_off_unless_its_driver_has_changed(short_passages, tiny_models, tmp_path):
    from mimaface.mimaface_core import SamplerSettings, host
    from mimaface.mimaface_core.diffusion import kept as keeping

    pack = ModelPack.load(tiny_models / "tiny")
    settings = SamplerSettings.of(pack, steps=1)
    other = [*pictures()[:14], *reversed(pictures()[:14])]  # which begins alike

    def run(images, stop=None):
        source, motion = measure_stream(pack, **tracked(Counted(images)))
        motion = retarget(motion, source)
        look = encode(pack, source, motion)
        with resumable(pack, source, motion, settings, look) as kept:
            had, drawn = kept.frames, []
            for clip in animate(pack, source, motion, settings, appearance=look, kept=kept):
                drawn.append(clip)
                if stop is not None and len(drawn) == stop:
                    raise KeyboardInterrupt
        return had, torch.cat(drawn)

    with host.use(host.Host(unfinished=tmp_path / "unfinished")), pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "KEEP_SECONDS", 0)
        _, whole = run(pictures())
        for images, resumed in ((pictures(), True), (other, False)):
            with pytest.raises(KeyboardInterrupt):
                run(pictures(), stop=2)
            had, drawn = run(images)
            assert (had > 0) == resumed and len(drawn) == COUNT
            if resumed:
                assert (drawn - whole).abs().max() < 1 / 128
            run(pictures())  # clears what the first of the two has left


# --- the parts of it


def moving(count):
    share = (torch.arange(count) / 7).sin()[:, None]
    track = still(count)
    expression = track.coefficients.expression + share * blended(jawOpen=0.2, mouthFunnel=0.4)
    return track.replace(coefficients=track.coefficients.replace(expression=expression))


@pytest.mark.parametrize("lost", LOST)
def test_gaps_are_filled_as_in_the_whole(lost):
    whole = moving(120)
    visible = torch.tensor([not (i < 3 or 20 <= i < 26 or 50 <= i < 90 or i >= 117) for i in range(120)])
    expected = filled(whole[visible], visible.tolist(), lost)
    filling, found = Filling(lost), []
    for begin, end in ((0, 20), (20, 27), (27, 91), (91, 104), (104, 117), (117, 120)):
        part = visible[begin:end]
        found.append(filling.add(whole[begin:end][part] if part.any() else None, part.tolist(), [0] * len(part)))
    found = MotionTrack.concatenate(found)
    assert torch.equal(found.visible, visible)
    # the resting face is that of the frames so far
    tolerance = 0.2 if lost == "rest" else 1e-5
    assert (found.coefficients.values - expected.coefficients.values).abs().max() < tolerance
    same(found[visible], expected[visible])


@pytest.mark.parametrize("region", [0, 1])
def test_what_is_hidden_is_held_as_in_the_whole(region):
    track, groups = moving(120), expression_groups(BUNDLED)
    seen = torch.ones(120, 3, dtype=torch.bool)
    seen[10:15, region] = seen[38:83, region] = False
    expected = hold_hidden(track, seen, groups)
    holding = Holding()
    bounds = [0, 12, 40, 56, 60, 80, 84, 120]
    found = [holding.add(track[a:b], seen[a:b]) for a, b in pairwise(bounds)]
    same(MotionTrack.concatenate(found), expected, 0.02)


def test_an_eye_that_is_never_seen_does_as_the_other_in_every_passage():
    track, groups = moving(60), expression_groups(BUNDLED)
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[:, 2] = False
    holding = Holding()
    found = MotionTrack.concatenate([holding.add(track[at : at + 20], seen[at : at + 20]) for at in (0, 20, 40)])
    same(found, hold_hidden(track, seen, groups))
