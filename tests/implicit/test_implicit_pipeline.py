"""Implicit motion from files to frames, and what is refused on the way."""

from fractions import Fraction

import pytest
import torch
from support.scenes import clip, moved, needs_faces
from support.tiny_implicit import motion_of, source_of, write_tiny_hubert, write_tiny_implicit
from support.tiny_pack import write_tiny_pack
from support.tracks import still

from mimaface import mimaface_core as api
from mimaface.mimaface_core import host
from mimaface.mimaface_core import implicit_pipeline as implicit
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.implicit.groups import GroupFactors
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.speech import SpeakSettings
from mimaface.mimaface_core.media.audio import Audio

QUICK = SpeakSettings(steps=2)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A tiny pack that hears by a tiny HuBERT."""
    folder = tmp_path_factory.mktemp("packs") / "tiny-implicit"
    write_tiny_hubert(folder / "hubert")
    config = {"variant": "DiT-tiny", "dimensions": 20, "speech_width": 32}
    transformer = {"file": "transformer.safetensors", "config": config}
    return write_tiny_implicit(folder, speech="hubert", transformer=transformer)


@pytest.fixture(scope="module")
def source(pack):
    return source_of(pack)


def voice(seconds):
    return Audio(torch.randn(1, round(16000 * seconds), generator=torch.Generator().manual_seed(0)) * 0.1, 16000)


def spoken(pack, source, audio, settings=QUICK, **more):
    return torch.cat([piece.codes for piece in implicit.speak_implicit(pack, source, audio, settings, **more)])


@needs_faces
def test_a_clip_drives_a_photograph_and_goes_back_into_it(pack, tmp_path):
    photograph = torch.from_numpy(moved(size=(320, 300))).float() / 255
    source = implicit.encode_implicit(pack, photograph)
    assert source.crop.shape == (3, 128, 128) and source.posture.shape == (20,)
    path = clip(tmp_path / "driver.mp4", [0 * moved(), 0 * moved(), *(moved(4 * i) for i in range(6))])
    motion = implicit.drive_implicit(pack, path)
    assert len(motion) == 8 and motion.groups == pack.groups
    assert torch.equal(motion.codes[0], motion.codes[2])  # before the face appears
    frames = list(implicit.render_implicit(pack, source, motion))
    assert torch.cat(frames).shape == (8, 128, 128, 3)
    whole = torch.cat(list(api.paste_back(source, frames)))
    assert whole.shape == (8, 300, 320, 3)
    outside = Paster(source).mask == 0
    assert outside.any() and (whole[:, outside] - photograph[outside]).abs().max() < 0.01
    # the photograph itself in place of the frames leaves it as it is
    crop = (source.crop.permute(1, 2, 0) + 1) / 2
    assert (next(api.paste_back(source, crop))[0] - photograph).abs().mean() < 0.01


@needs_faces
def test_images_without_a_face_are_refused(pack, tmp_path):
    with pytest.raises(InputError, match="No face was found in the image"):
        implicit.encode_implicit(pack, torch.zeros(100, 100, 3))
    with pytest.raises(InputError, match="No face was found in the clip"):
        implicit.drive_implicit(pack, clip(tmp_path / "empty.mp4", [0 * moved()] * 3))


@pytest.mark.parametrize("seconds", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_voices_of_any_length_and_silence_give_a_code_for_every_frame(pack, source, seconds, level):
    audio = Audio(voice(seconds).waveform * level, 16000)
    for rest in (False, True):
        codes = spoken(pack, source, audio, SpeakSettings(steps=2, rest=rest))
        assert codes.shape == (round(25 * seconds), 20) and codes.abs().max() <= 1


def test_the_mouth_rests_in_silence_where_it_is_asked_to(pack, source):
    mouth = list(pack.groups["mouth"])
    codes = spoken(pack, source, Audio(torch.zeros(1, 32000), 16000), SpeakSettings(steps=2, rest=True))
    assert torch.allclose(codes[10:, mouth], source.posture[mouth].expand(40, -1), atol=1e-5)


def test_groups_are_steered_after_sampling(pack, source):
    plain = spoken(pack, source, voice(3))
    calm = spoken(pack, source, voice(3), SpeakSettings(steps=2, factors=GroupFactors(head=0.5)))
    head = list(pack.groups["head"])
    assert torch.equal(plain[:, 6:], calm[:, 6:]) and not torch.allclose(plain[:, head], calm[:, head])


def test_a_reference_gives_the_statistics(pack, source):
    assert not torch.allclose(spoken(pack, source, voice(1)), spoken(pack, source, voice(1), reference=motion_of(pack)))
    with pytest.raises(InputError, match="7 dimensions of motion"):
        spoken(pack, source, voice(1), reference=ImplicitMotion(torch.zeros(3, 7)))


def test_packs_without_groups_refuse_factors_in_a_sentence(tmp_path, source):
    plain = write_tiny_implicit(tmp_path / "plain", groups=None)
    settings = SpeakSettings(steps=2, factors=GroupFactors(eyes=2.0))
    with pytest.raises(InputError, match="do not keep eyes apart"):
        next(implicit.speak_implicit(plain, source, voice(1), settings))


def test_work_is_cancelled_within_a_step(pack, source):
    stopping = host.Host()
    with host.use(stopping):
        pieces = implicit.speak_implicit(pack, source, voice(10), QUICK)
        next(pieces)
        stopping.cancel()
        with pytest.raises(Cancelled):
            next(pieces)
        with pytest.raises(Cancelled):
            next(implicit.render_implicit(pack, source, motion_of(pack)))


def test_frames_show_their_progress_with_previews(pack, source):
    shown = []

    class Watched(host.Host):
        previews = True

        def show(self, progress, preview=None):
            shown.append((progress.done, None if preview is None else preview.size))

    with host.use(Watched()):
        list(implicit.render_implicit(pack, source, motion_of(pack, 6)))
    assert shown == [(0, None), (4, (128, 128)), (6, (128, 128)), (6, None)]


def test_what_belongs_to_the_other_method_is_refused_in_a_sentence(pack, source, tmp_path):
    explicit, track = write_tiny_pack(tmp_path / "tiny"), still(3)
    cases = [
        (lambda: implicit.render_implicit(pack, source, track), "a motion of the face model, which Retarget Motion"),
        (lambda: implicit.render_implicit(explicit, source, motion_of(pack)), "such as bundled-implicit"),
        (lambda: implicit.render_implicit(pack, track, motion_of(pack)), "give what encode_implicit"),
        (lambda: api.smooth(motion_of(pack)), "implicit motion, which Encode Implicit"),
        (lambda: api.measure(pack, "a.png"), "give one with a face model, such as bundled"),
        (lambda: api.retarget(track, source), "a source for implicit motion"),
        (lambda: api.load_pack(str(pack.folder)), "is for implicit motion"),
        (lambda: implicit.load_implicit("bundled"), "has a face model"),
        (lambda: implicit.render_implicit(pack, source, motion_of(pack), "sideways"), "absolute or relative"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=words):
            call()
    other = ImplicitMotion(torch.zeros(3, 7), Fraction(25))
    with pytest.raises(InputError, match="7 dimensions, but this generator's has 20"):
        next(implicit.render_implicit(pack, source, other))
