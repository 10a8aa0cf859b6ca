"""The nodes of implicit motion, and those that take motions of both methods."""

from fractions import Fraction

import pytest
import torch
from support.scenes import clip, defaults, moved, needs_faces
from support.tiny_implicit import motion_of, source_of, write_tiny_implicit
from support.tiny_pack import write_tiny_pack
from support.tracks import still

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.packs.implicit_pack import ImplicitPack
from mimaface.nodes.comfyui.schema import VideoFromFile
from mimaface.nodes.detect_gaze import DetectGaze
from mimaface.nodes.drive_by_audio import DriveByAudio
from mimaface.nodes.drive_implicit import DriveImplicit
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.encode_appearance import EncodeAppearance
from mimaface.nodes.encode_implicit import EncodeImplicit
from mimaface.nodes.extract_3dmm import Extract3DMM
from mimaface.nodes.load_motion import LoadMotion
from mimaface.nodes.load_pack import LoadPack
from mimaface.nodes.motion_statistics import MotionStatistics
from mimaface.nodes.paste_back import PasteBack
from mimaface.nodes.plot_motion import PlotMotion
from mimaface.nodes.render_implicit import RenderImplicit
from mimaface.nodes.render_motion import RenderMotion
from mimaface.nodes.retarget_motion import RetargetMotion
from mimaface.nodes.sample_clips import SampleClips
from mimaface.nodes.save_motion import SaveMotion
from mimaface.nodes.smooth_motion import SmoothMotion
from mimaface.nodes.speak_implicit import SpeakImplicit
from mimaface.nodes.streams import frames_of


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_tiny_implicit(tmp_path_factory.mktemp("packs") / "tiny-implicit")


@pytest.fixture(scope="module")
def source(pack):
    return source_of(pack)


@pytest.fixture(autouse=True)
def folders(tmp_path, pack):
    models = [pack.folder.parent]
    with host.use(host.Host(models=models, inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        yield


def call(node, **inputs):
    return node.EXECUTE_NORMALIZED(**{**defaults(node), **inputs})


def audio(seconds, level=0.1):
    noise = torch.randn(1, 1, round(16000 * seconds), generator=torch.Generator().manual_seed(0))
    return {"waveform": noise * level, "sample_rate": 16000}


def test_load_pack_gives_a_pack_of_either_method():
    assert LoadPack.validate_inputs("tiny-implicit") is True
    assert isinstance(call(LoadPack, pack="tiny-implicit")[0], ImplicitPack)


def test_a_damaged_pack_is_refused_when_the_graph_is_queued(tmp_path):
    damaged = write_tiny_implicit(tmp_path / "damaged").folder / "generator.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-8])
    with host.use(host.Host(models=[tmp_path])):
        assert "generator.safetensors cannot be read: it is cut short" in LoadPack.validate_inputs("damaged")


@needs_faces
def test_a_video_drives_a_photograph(pack, tmp_path):
    photograph = torch.from_numpy(moved(size=(320, 300))).float()[None] / 255
    source = call(EncodeImplicit, pack=pack, picture=photograph)[0]
    path = clip(tmp_path / "driver.mp4", [moved(4 * i) for i in range(5)], Fraction(30000, 1001))
    motion = call(DriveImplicit, pack=pack, driver=VideoFromFile(str(path)))[0]
    assert len(motion) == 5 and motion.fps == Fraction(30000, 1001)
    of_batch = call(DriveImplicit, pack=pack, driver=photograph.expand(3, -1, -1, -1), fps=12.5)[0]
    assert len(of_batch) == 3 and of_batch.fps == Fraction(25, 2)
    video = call(RenderImplicit, pack=pack, source=source, motion=motion)[0]
    whole, mask, _ = call(PasteBack, source=source, frames=video)
    frames = list(frames_of(whole))
    assert len(frames) == 5 and frames[0].shape == (300, 320, 3) and mask.shape == (1, 300, 320)
    assert frames_of(whole).fps == motion.fps
    with pytest.raises(InputError, match="No face was found"):
        call(EncodeImplicit, pack=pack, picture=torch.zeros(1, 64, 64, 3))


def test_a_voice_makes_the_source_speak_and_a_group_may_be_calmer(pack, source):
    quick = {"pack": pack, "source": source, "voice": audio(1.2), "steps": 2, "rest": False}
    plain = call(SpeakImplicit, **quick)[0]
    assert len(plain) == 30 and plain.fps == 25 and plain.groups == pack.groups
    calm = call(SpeakImplicit, **quick, head=0.0)[0]
    head = list(pack.groups["head"])
    assert calm.codes[:, head].std(0).max() < 0.6 * plain.codes[:, head].std(0).max()
    assert torch.equal(calm.codes[:, 6:], plain.codes[:, 6:])
    alike = call(SpeakImplicit, **quick, reference=motion_of(pack))[0]
    assert not torch.equal(alike.codes, plain.codes)
    video = call(RenderImplicit, pack=pack, source=source, motion=plain, mode="absolute")[0]
    assert len(list(frames_of(video))) == 30


def test_steps_that_a_sampler_cannot_take_are_refused_when_the_graph_is_queued():
    said = SpeakImplicit.validate_inputs
    assert said(steps=60, sampler="ddim") == "DDIM cannot take 60 steps of 1000; use 10, 20, 25 or 50."
    assert "from 2 to 1000" in said(steps=1) and said(steps=0, sampler="ddim") is True
    assert said(steps=25, sampler="ddim") is said(steps=60, sampler="ancestral") is said(steps=60) is True


@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_silence_and_a_moment_of_voice_are_spoken(pack, source, seconds):
    motion = call(SpeakImplicit, pack=pack, source=source, voice=audio(seconds, 0.0), steps=2)[0]
    assert len(motion) == 25 * seconds and motion.codes.abs().max() <= 1


def test_packs_without_groups_speak_but_refuse_sliders(tmp_path, source):
    plain = write_tiny_implicit(tmp_path / "plain", groups=None)
    quick = {"pack": plain, "source": source, "voice": audio(0.5), "steps": 2}
    assert len(call(SpeakImplicit, **quick)[0]) == 13
    with pytest.raises(InputError, match="do not keep mouth apart"):
        call(SpeakImplicit, **quick, mouth=0.5)


# --- nodes of both methods


def test_implicit_motion_is_kept_and_found_again(pack, tmp_path):
    motion = motion_of(pack)
    saved = call(SaveMotion, motion=motion, filename_prefix="own").ui["motions"][0]
    (tmp_path / "out" / saved["filename"]).rename(tmp_path / "own.safetensors")
    assert LoadMotion.validate_inputs("own.safetensors") is True
    again = call(LoadMotion, motion="own.safetensors")[0]
    assert torch.equal(again.codes, motion.codes) and again.groups == motion.groups
    with pytest.raises(InputError, match="no curves of ARKit"):
        call(SaveMotion, motion=motion, format="ARKit CSV")
    still(3).save(tmp_path / "track.safetensors")
    assert len(call(LoadMotion, motion="track.safetensors")[0]) == 3


def test_implicit_motion_is_smoothed_made_calmer_and_plotted(pack):
    motion = motion_of(pack, 60)
    assert call(SmoothMotion, motion=motion)[0].codes.diff(dim=0).std() < motion.codes.diff(dim=0).std()
    calm = call(MotionStatistics, motion=motion, mouth=0.5)[0]
    mouth = list(pack.groups["mouth"])
    assert torch.allclose(calm.deviation[mouth], motion.deviation[mouth] / 2, atol=1e-5)
    alike = call(MotionStatistics, motion=motion, like=motion_of(pack, 50, seed=1))[0]
    assert torch.allclose(alike.mean, motion_of(pack, 50, seed=1).mean, atol=1e-4)
    for plotted in (motion, ImplicitMotion(motion.codes), motion[:1]):
        image = call(PlotMotion, motion=plotted, width=400, height=400)[0]
        assert image.shape == (1, 400, 400, 3) and image.std() > 0.01
    with pytest.raises(InputError, match="leave gaze at 1 and use lids"):
        call(MotionStatistics, motion=motion, gaze=0.5)
    for one, other in ((motion, still(3)), (still(3), motion)):
        with pytest.raises(InputError, match="One of the two motions is implicit"):
            call(MotionStatistics, motion=one, like=other)


def test_a_motion_of_the_other_method_is_refused_by_every_node_that_draws_or_changes_it(pack, source, tmp_path):
    explicit, motion, track = write_tiny_pack(tmp_path / "tiny"), motion_of(pack), still(3)
    with pytest.raises(InputError, match="motion is a motion of the face model, which Retarget Motion, .* Drive Impl"):
        call(RenderImplicit, pack=pack, source=source, motion=track)
    with pytest.raises(InputError, match="reference is a motion of the face model"):
        call(SpeakImplicit, pack=pack, source=source, voice=audio(0.5), reference=track)
    person = {"pack": explicit, "source": None}
    cases = [
        (RetargetMotion, {"motion": motion, "source": None}),
        (EditMotion, {"face": motion}),
        (EncodeAppearance, {**person, "motion": motion}),
        (SampleClips, {**person, "motion": motion, "appearance": None}),
        (RenderMotion, {**person, "motion": motion}),
        (DetectGaze, {"pack": explicit, "picture": torch.zeros(1, 8, 8, 3), "motion": motion}),
    ]
    for node, inputs in cases:
        with pytest.raises(InputError, match="implicit motion|source cannot be"):
            call(node, **inputs)


def test_a_pack_of_the_other_method_is_refused_by_every_node(pack, source, tmp_path):
    explicit, motion, track = write_tiny_pack(tmp_path / "tiny"), motion_of(pack), still(3)
    image = torch.zeros(1, 8, 8, 3)
    implicit_nodes = [
        (EncodeImplicit, {"picture": image}),
        (DriveImplicit, {"driver": image}),
        (SpeakImplicit, {"source": source, "voice": audio(0.5)}),
        (RenderImplicit, {"source": source, "motion": motion}),
    ]
    for node, inputs in implicit_nodes:
        with pytest.raises(InputError, match="pack is a pack with a face model; give one for implicit motion"):
            call(node, pack=explicit, **inputs)
    nodes = [
        (Extract3DMM, {"picture": image}),
        (DetectGaze, {"picture": image, "motion": track}),
        (DriveByAudio, {"source": None, "voice": audio(0.5)}),
        (EncodeAppearance, {"source": None, "motion": track}),
        (SampleClips, {"source": None, "motion": track, "appearance": None}),
        (RenderMotion, {"source": None, "motion": track}),
    ]
    for node, inputs in nodes:
        with pytest.raises(InputError, match="a pack for implicit motion, .* give one with a face model"):
            call(node, pack=pack, **inputs)
