"""A photograph that speaks: what is borrowed from a clip, the node, and both graphs from end to end."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.scenes import SIDE, clip, defaults, moved, needs_faces, nodding, tone, voice
from support.tiny_pack import write_tiny_pack
from support.tracks import still, track

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.media.audio import Audio, read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.morphable.bundled.blendshapes import LID_BLENDSHAPES, MOUTH_BLENDSHAPES, blendshape
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.reference import BORROWED, borrow
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.nodes.comfyui.schema import VideoFromFile
from mimaface.nodes.drive_by_audio import DriveByAudio

FPS = Fraction(25)
JAW = blendshape("jawOpen")
LIDS = [mode for side in LID_BLENDSHAPES for mode in side]


# --- borrowing


def turning(degrees, fps=FPS):
    """A track of a head that turns to the given angles, one a frame, and goes to the side as it does."""
    yaw = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    angles = torch.stack([0 * yaw, yaw, 0 * yaw], 1)
    made = still(len(degrees), angles=angles, translation=torch.stack([yaw, 0 * yaw, 0 * yaw], 1))
    return made.replace(fps=fps)


def yaw_of(motion):
    return torch.rad2deg(motion.coefficients.angles[:, 1])


FRONT = turning([0])


def groups(motion):
    c = motion.coefficients
    return {name: getattr(c, name) for name in ("identity", "texture", "lighting")}


def test_the_head_is_borrowed_and_nothing_else():
    speaking, source, reference = track(30, FPS), still(1), track(30, FPS, seed=8)
    done = borrow(speaking, reference, source, ExpressionGroups(), "head")
    asked = retarget(reference, source, ExpressionGroups(), "relative", -1)
    assert torch.allclose(done.coefficients.angles, asked.coefficients.angles, atol=1e-6)
    assert torch.allclose(done.coefficients.translation, asked.coefficients.translation, atol=1e-6)
    assert torch.equal(done.coefficients.expression, speaking.coefficients.expression)
    assert torch.equal(done.gaze, speaking.gaze) and torch.allclose(done.alignment, source.alignment, atol=1e-5)
    assert done.fps == FPS and torch.equal(done.visible, speaking.visible)
    for name, group in groups(speaking).items():
        assert torch.equal(getattr(done.coefficients, name), group)


def test_eyes_come_along_and_all_but_the_mouth():
    speaking, source, reference = track(20, FPS), still(1), track(20, FPS, seed=8)
    groups_of_the_face = expression_groups("scanned")
    asked = retarget(reference, source, groups_of_the_face, "relative", -1)
    taken = {"head": [], "head and eyes": LIDS}
    taken["all but the mouth"] = [i for i in range(64) if i not in MOUTH_BLENDSHAPES]
    assert set(LIDS) < set(taken["all but the mouth"]) and JAW in MOUTH_BLENDSHAPES
    for what, modes in taken.items():
        done = borrow(speaking, reference, source, groups_of_the_face, what)
        kept = [i for i in range(64) if i not in modes]
        own, other = speaking.coefficients.expression, asked.coefficients.expression
        assert torch.equal(done.coefficients.expression[:, kept], own[:, kept]), what
        assert torch.equal(done.coefficients.expression[:, modes], other[:, modes]), what
        assert torch.equal(done.gaze, speaking.gaze if what == "head" else asked.gaze), what


def test_a_short_reference_runs_back_and_forth_and_a_long_one_is_cut():
    short = turning([0, 1, 2, 3])
    # counted from its most usual frame, so the course is what matters
    course = yaw_of(borrow(turning([0] * 12), short, FRONT, ExpressionGroups()))
    there_and_back = torch.tensor([0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1.0])
    assert torch.allclose(course - course[0], there_and_back, atol=1e-3)
    assert course.diff().abs().min() > 0.99  # the frame at which it turns round is not doubled
    long = borrow(turning([0] * 5), turning(list(range(40))), FRONT, ExpressionGroups())
    assert len(long) == 5 and torch.allclose(yaw_of(long).diff(), torch.ones(4), atol=1e-3)
    for few in (1, 2):
        assert len(borrow(turning([0] * 7), turning([5.0] * few), FRONT, ExpressionGroups())) == 7


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(12), Fraction(60)])
def test_a_reference_keeps_its_speed_at_another_rate(fps):
    count = int(2 * fps)
    reference = turning([10 * i / float(fps) for i in range(count)], fps)  # ten degrees a second for two
    done = yaw_of(borrow(turning([0] * 200), reference, FRONT, ExpressionGroups()))
    steps = done.diff().abs()
    assert torch.allclose(steps, torch.tensor(10 / 25), atol=1e-3)
    assert abs(float(done.max() - done.min()) - 10 * (count - 1) / float(fps)) < 0.5


def test_a_reference_is_counted_from_its_usual_frame_and_may_be_weakened():
    reference = turning([40, 20, 20, 20, 22])
    done = borrow(turning([0] * 5), reference, turning([-5]), ExpressionGroups())
    assert torch.allclose(yaw_of(done), torch.tensor([15.0, -5, -5, -5, -3]), atol=1e-3)
    half = borrow(turning([0] * 5), reference, turning([-5]), ExpressionGroups(), pose=0.5)
    assert torch.allclose(yaw_of(half), torch.tensor([5.0, -5, -5, -5, -4]), atol=1e-3)
    none = borrow(turning([0] * 5), reference, turning([-5]), ExpressionGroups(), pose=0)
    assert torch.allclose(none.coefficients.angles, turning([-5] * 5).coefficients.angles, atol=1e-5)
    assert torch.allclose(none.coefficients.translation, turning([-5] * 5).coefficients.translation, atol=1e-6)


def test_what_cannot_be_borrowed_is_refused():
    with pytest.raises(InputError, match="head, head and eyes or all but the mouth, not 'hands'"):
        borrow(still(3), still(3), still(1), ExpressionGroups(), "hands")
    with pytest.raises(InputError, match="cannot tell the mouth"):
        borrow(still(3), still(3), still(1), ExpressionGroups(), "all but the mouth")
    with pytest.raises(InputError, match="no frame"):
        borrow(still(3), still(3)[:0], still(1), ExpressionGroups())


# --- the node


class Loud:
    """A stand-in driver: the mouth is open while it is loud."""

    def drive(self, speech, source, fps, *, style=0, seed=0, pose=1.0, lips=1.0, blinks=1.0):
        self.asked = {"fps": fps, "style": style, "seed": seed, "pose": pose, "lips": lips, "blinks": blinks}
        count = speech.frames(fps)
        wave = torch.cat(list(speech.blocks()))
        size = 16000 / float(fps)
        level = torch.stack(
            [wave[int(i * size) : int((i + 1) * size) + 1].square().mean().sqrt() for i in range(count)]
        )
        same = source[[0] * count]
        expression = same.coefficients.expression.clone()
        expression[:, JAW] += lips * (level > 0.03).float()
        return same.replace(
            coefficients=same.coefficients.replace(expression=expression),
            visible=torch.ones(count, dtype=torch.bool),
            fps=fps,
        )


@pytest.fixture
def loud(monkeypatch):
    driver = Loud()
    monkeypatch.setattr(ModelPack, "audio_driver", property(lambda pack: driver), raising=False)
    return driver


@pytest.fixture
def pack(loud, tiny_models):
    return ModelPack.load(tiny_models / "tiny")


def value(sound):
    """A ComfyUI AUDIO."""
    return {"waveform": sound.waveform[None], "sample_rate": sound.sample_rate}


def speak(pack, voice, **changes):
    own = still(1)
    source = SourceFace(torch.zeros(8, 8, 3), torch.zeros(3, 8, 8), torch.zeros(2, 3), torch.zeros(478, 3), own)
    given = defaults(DriveByAudio) | {"pack": pack, "source": source, "voice": voice} | changes
    return DriveByAudio.EXECUTE_NORMALIZED(**given)[0]


def test_audio_of_any_rate_is_covered_by_frames(pack, loud):
    for seconds, rate, fps in ((1.01, 48000, 25.0), (0.2, 8000, 29.97), (2.0, 96000, 25.0), (0.001, 22050, 25.0)):
        sound = tone(0.0, seconds, rate=rate, channels=1 if rate == 8000 else 6)
        motion = speak(pack, value(sound), fps=fps)
        exact = Fraction(30000, 1001) if fps == 29.97 else Fraction(25)
        assert motion.fps == loud.asked["fps"] == exact
        assert len(motion) == max(1, math.ceil(Fraction(sound.waveform.shape[1], rate) * exact))
    given = {"style": 7, "seed": 3, "pose": 0.5, "lips": 1.5, "blinks": 0.0}
    speak(pack, value(tone(0, 1)), **given)
    assert loud.asked.items() >= given.items()


def test_the_audio_of_a_video_is_used_and_a_mute_one_is_refused(pack, tmp_path):
    frames = [np.zeros((32, 32, 3), np.uint8)] * 25
    sound = tone(0.3, 0.4, 0.3)
    whole = clip(tmp_path / "said.mp4", frames, audio=sound)
    motion = speak(pack, VideoFromFile(str(whole)))
    alike = speak(pack, value(sound))
    assert len(motion) == 25
    assert (motion.coefficients.expression[:, JAW] == alike.coefficients.expression[:, JAW]).float().mean() > 0.95
    with pytest.raises(InputError, match="no audio to speak with"):
        speak(pack, VideoFromFile(str(clip(tmp_path / "mute.mp4", frames))))


@pytest.mark.parametrize("part", BORROWED)
def test_the_reference_moves_the_head_and_the_speech_the_lips(pack, part):
    reference, own = track(18, Fraction(30), seed=5), still(1)
    plain = speak(pack, value(tone(0.4, 0.6)))
    done = speak(pack, value(tone(0.4, 0.6)), reference=reference, borrow=part)
    assert len(done) == len(plain) == 25 and done.fps == plain.fps
    assert torch.equal(
        done.coefficients.expression[:, MOUTH_BLENDSHAPES], plain.coefficients.expression[:, MOUTH_BLENDSHAPES]
    )
    assert done.coefficients.angles.std(0).min() > 0.01 and plain.coefficients.angles.std(0).max() < 1e-6
    still_there = speak(pack, value(tone(0.4, 0.6)), reference=reference, borrow=part, pose=0.0)
    assert torch.allclose(still_there.coefficients.angles, own.coefficients.angles.expand(25, -1), atol=1e-5)
    assert torch.equal(done.gaze, plain.gaze) == (part == "head")


def test_sadtalker_without_weights_is_refused_before_anything_runs(tmp_path, run, loud):
    with host.use(host.Host(models=[tmp_path])):
        said = DriveByAudio.validate_inputs(driver="sadtalker")
        assert "SadTalker" in said and "bundled" in said and str(tmp_path) in said
        assert DriveByAudio.validate_inputs(driver="bundled") is True
        assert DriveByAudio.validate_inputs() is True
        assert "bundled or sadtalker" in DriveByAudio.validate_inputs(driver="wav2lip")
    Image.new("RGB", (64, 64)).save("face.png")  # shows nobody, which would be told first if anything ran
    voice("voice.wav", tone(0, 0.2))
    given = ["--input", "source=face.png", "--input", "audio=voice.wav"]
    status, _, said = run("talk", *given, "--set", "speech.driver=sadtalker")
    assert status == 2 and "node 'speech'" in said and "SadTalker" in said and len(said.splitlines()) == 1
    status, _, said = run("talk", *given, "--set", "speech.style=46", "--set", "speech.borrow=hands")
    assert status == 2 and "at most 45" in said and "'hands' is not one of its options" in said


# --- from end to end


def mouth(film):
    """Mean difference of the region of the mouth from that of the first frame, for each frame."""
    frames = [frame.float() for frame in Clip.open(film)]
    height, width = frames[0].shape[:2]
    rows = slice(int(0.45 * height), int(0.9 * height))
    return torch.stack([(frame - frames[0])[rows, width // 4 : -width // 4].abs().mean() for frame in frames])


@needs_faces
def test_talk(run, loud):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    sound = tone(0.32, 0.2, 0.21)  # 0.73 s: 18.25 frames
    voice("voice.wav", sound)
    status, files, said = run("talk", "--input", "source=face.png", "--input", "audio=voice.wav")
    assert status == 0, said
    assert [file.name for file in files] == ["mimaface_00001_.mp4", "mimaface_full_00001_.mp4"]
    for file, size in zip(files, [(SIDE, SIDE), (320, 300)]):
        film = Clip.open(file)
        assert (film.width, film.height) == size and film.fps == FPS and len(list(film)) == 19
        # All of the audio, where it was.
        audio = read_audio(file)
        assert audio.sample_rate == 44100 and audio.waveform.shape == sound.waveform.shape
        there = torch.nonzero(audio.waveform.abs().amax(0) > 0.2).flatten() / 44100
        assert abs(float(there[0]) - 0.32) < 0.002 and abs(float(there[-1]) - 0.52) < 0.002
    # the mouth is open from frame 8 to frame 12, while it sounds
    change = mouth(files[0])
    open_frames = torch.nonzero(change > change.max() / 2).flatten().tolist()
    assert change.max() > 2 and open_frames == [8, 9, 10, 11, 12]


@needs_faces
def test_talk_with_clip(run, loud):
    Image.fromarray(moved()).save("face.png")
    clip(Path("clip.mp4"), nodding(6), Fraction(25), tone(0, 0.2))
    voice("voice.wav", tone(0.2, 0.1, 0.1, rate=16000, channels=1))
    given = ["--input", "source=face.png", "--input", "audio=voice.wav", "--input", "driver=clip.mp4"]
    status, files, said = run("talk_with_clip", *given, "--set", "speech.fps=20")
    assert status == 0, said
    assert len(list(Clip.open(files[0]))) == 8 and Clip.open(files[0]).fps == 20
    assert read_audio(files[0]).waveform.shape == (1, 6400)  # the voice's, not the clip's
    before = [frame.float() for frame in Clip.open(files[0])][:4]
    assert max((after - before[0]).abs().mean() for after in before[1:]) > 0.5  # while all is silent the head moves


@needs_faces
def test_a_pack_without_an_audio_driver_is_refused(run, tmp_path, monkeypatch):
    Image.fromarray(moved()).save("face.png")
    voice("voice.wav", tone(0.1, 0.1, rate=8000, channels=1))
    given = ["--input", "source=face.png", "--input", "audio=voice.wav"]
    status, files, said = run("talk", *given)
    assert status == 0 and len(list(Clip.open(files[1]))) == 5, said
    write_tiny_pack(tmp_path / "packs" / "mute", picture_size=SIDE)
    monkeypatch.setenv("MIMAFACE_MODELS", str(tmp_path / "packs"))
    status, _, said = run("talk", *given, "--set", "pack.pack=mute")
    assert status == 2 and "node 'speech'" in said and "no audio driver" in said


@needs_faces
def test_files_without_speech_are_refused(run, loud, tmp_path):
    Image.fromarray(moved()).save("face.png")
    Path("text.wav").write_text("this is not sound")
    Path("empty.wav").write_bytes(b"")
    voice("nothing.wav", Audio(torch.zeros(1, 0), 16000))
    with VideoWriter(tmp_path / "mute.mp4", FPS) as film:
        film.write(torch.zeros(32, 32, 3, dtype=torch.uint8))
    for name in ("text.wav", "empty.wav", "nothing.wav", "mute.mp4"):
        status, files, said = run("talk", "--input", "source=face.png", "--input", f"audio={name}")
        problem = said.strip().splitlines()[-1]
        assert status == 2 and "node 'audio'" in problem and ";" in problem and not files, said
    assert not list(Path("out").rglob("*.mp4"))


def test_the_example_voice_is_a_few_seconds_of_speech():
    from mimaface.mimaface_core.audio.speech import Speech

    path = Path(__file__).resolve().parents[2] / "assets" / "demo_voice.ogg"
    speech = Speech.of(path)
    assert 4 < speech.seconds < 10 and speech.level_db > -30 and path.stat().st_size <= 60_000
