"""LiveClips: frames one by one are drawn as a whole clip is, within the latency told, and stay where a face is lost."""

import pytest
import torch
from support.scenes import moved, needs_faces, noise, portrait_source
from support.tiny_implicit import source_of, write_tiny_implicit
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core import animate, load_pack
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit_live import LiveDriver
from mimaface.mimaface_core.live import LiveClips, live_clips, live_driver
from mimaface.mimaface_core.motion.rotation import rotation_of
from mimaface.mimaface_core.motion.track import MotionTrack

pytestmark = needs_faces


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_tiny_pack(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def source():
    return portrait_source()


def live(pack, source, settings=None, **options):
    return LiveClips(pack, source, settings, tracker="bundled", **options)


@pytest.mark.parametrize(("frames", "overlap"), [(3, 1), (2, 0)])
def test_frames_one_by_one_are_those_of_the_whole_clip(pack, source, frames, overlap, monkeypatch):
    settings = live_clips(pack, frames=frames, overlap=overlap, steps=1)
    one = live(pack, source, settings)
    assert one.latency == frames - overlap - 1
    moving = [source.track.replace(gaze=source.track.gaze + number / 9) for number in range(4)]
    motion = MotionTrack.concatenate([moving[0]] * overlap + moving)
    coming = iter(range(overlap, len(motion)))
    monkeypatch.setattr(one, "motion", lambda _: motion[next(coming)])
    drawn = [one.add(None) for _ in range(4)][one.latency :]
    whole = torch.cat(list(animate(pack, source, motion, settings)))[overlap:]
    assert len(drawn) == 4 - one.latency
    for frame, asked in zip(drawn, whole):
        assert (frame - asked).abs().max() < 1e-4


def test_a_driver_turns_the_head_and_one_that_is_lost_leaves_it_as_it_was(source):
    one = live(load_pack(), source, diffuse=False)
    at_rest = (source.crop.permute(1, 2, 0) + 1) / 2
    assert one.latency == 0 and torch.equal(one.add(noise()), at_rest) and not one.found
    one.motion(moved(0, 1, (0, 0)))
    turned = one.motion(moved(8, 1, (0, 0)))
    (own,), (there,) = (rotation_of(track.coefficients.angles) for track in (source.track, turned))
    roll = torch.rad2deg(torch.arccos(((own.T @ there).trace() - 1) / 2))
    assert one.found and 5 < roll < 11
    shown = one.add(moved(8, 1, (0, 0)))
    assert shown.shape == (512, 512, 3) and (shown - at_rest).abs().mean() > 0.003
    assert torch.equal(one.add(noise()), shown)
    one.rest()
    again = one.motion(moved(8, 1, (0, 0)))
    assert (again.coefficients.angles - source.track.coefficients.angles).abs().max() < 1e-4


def test_frames_of_another_size_begin_anew(source):
    one = live(load_pack(), source, diffuse=False)
    one.motion(moved(0, 1, (0, 0)))
    angles = one.motion(moved(9, 1, (0, 0), size=(320, 240))).coefficients.angles
    assert (angles - source.track.coefficients.angles).abs().max() < 1e-4


def test_the_pack_s_kind_decides_what_moves(pack, source, tmp_path):
    assert isinstance(live_driver(pack, source, "bundled"), LiveClips)
    implicit = write_tiny_implicit(tmp_path)
    assert isinstance(live_driver(implicit, source_of(implicit), "bundled"), LiveDriver)
    with pytest.raises(InputError, match="source cannot|source is"):
        live_driver(implicit, source, "bundled")


@pytest.mark.parametrize(("frames", "overlap"), [(3, 3), (2, 5), (0, 0), (3, -1)])
def test_a_clip_that_leaves_no_new_frame_is_refused(pack, source, frames, overlap):
    with pytest.raises(InputError, match="cannot carry"):
        live(pack, source, SamplerSettings(frames=frames, overlap=overlap))
