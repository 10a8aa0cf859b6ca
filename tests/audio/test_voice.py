"""The bundled driver: its network, lips at video frames, the driven face, and its training."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.tiny_pack import awaken, write_tiny_pack

from mimaface.mimaface_core.audio.mel import MEL_RATE, loudness, mel_spectrogram
from mimaface.mimaface_core.audio.speech import SAMPLE_RATE, Speech
from mimaface.mimaface_core.audio.voice import net as voice_module
from mimaface.mimaface_core.audio.voice.driver import NECK, VoiceDriver, emphasis
from mimaface.mimaface_core.audio.voice.lips import CLOSED, REST, Lips, at_frames, widened
from mimaface.mimaface_core.audio.voice.net import SILENCE, VoiceNet
from mimaface.mimaface_core.audio.voice.visemes import MOUTH, VISEMES
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, LID_BLENDSHAPES, blendshape
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.lip_contact import lip_gap
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.mimaface_core.training.speech import espeak
from mimaface.mimaface_core.training.speech.augmentation import Recorder
from mimaface.mimaface_core.training.speech.signals import coloured_noise

TINY = {"width": 8, "dilations": (1, 2)}


@pytest.fixture(scope="module")
def driver() -> VoiceDriver:
    """A random driver whose viseme of silence is rest."""
    net = awaken(VoiceNet(**TINY)).eval().requires_grad_(False)
    quiet = net(torch.full((1, 20, 80), SILENCE))["viseme"][0, 10]
    net.head.bias[REST] += quiet.max() - quiet[REST] + 6
    return VoiceDriver(net, bundled_face())


@pytest.fixture(scope="module")
def bundled() -> VoiceDriver:
    return ModelPack.load(BUNDLED_PACK).audio_driver


@pytest.fixture()
def source() -> MotionTrack:
    """Somebody with an open mouth, turned a little."""
    expression = torch.zeros(1, 64)
    expression[0, blendshape("jawOpen")] = 0.2
    angles, translation = torch.tensor([[0.05, 0.2, 0.0]]), torch.tensor([[0.1, 0.0, 0.3]])
    coefficients = FaceCoefficients.zeros(1).replace(expression=expression, angles=angles, translation=translation)
    return MotionTrack(
        coefficients, torch.zeros(1, 4), torch.eye(3)[None, :2], torch.ones(1, dtype=torch.bool), Fraction(25)
    )


def speech(wave: np.ndarray | torch.Tensor) -> Speech:
    return Speech.of(Audio(torch.as_tensor(wave, dtype=torch.float32)[None], SAMPLE_RATE))


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(seed))


def articulation(viseme: list[int], mouth: torch.Tensor) -> dict[str, torch.Tensor]:
    one_hot = torch.nn.functional.one_hot(torch.tensor(viseme), len(VISEMES)).float()
    return {"viseme": one_hot, "mouth": mouth, "stress": torch.zeros(len(viseme))}


# -- the network


def test_the_network_returns_an_articulation_per_mel_frame():
    made = VoiceNet(**TINY)(torch.zeros(2, 30, 80))
    assert {name: tuple(value.shape) for name, value in made.items()} == {
        "viseme": (2, 30, 8), "mouth": (2, 30, len(MOUTH)), "stress": (2, 30),
    }  # fmt: skip


def test_chunks_join_without_seams(driver, monkeypatch):
    monkeypatch.setattr(voice_module, "CHUNK", 16)
    mel = torch.randn(101, 80)
    whole = driver.net(mel[None])
    for sizes in ([101], [1] * 101, [40, 3, 58]):
        parts = list(driver.net.stream(mel.split(sizes)))
        for name, value in whole.items():
            joined = torch.cat([part[name] for part in parts])
            assert torch.allclose(joined, value[0], atol=1e-5)


def test_a_result_depends_on_its_context_only(driver):
    mel = torch.randn(1, 60, 80)
    other = mel.clone()
    other[:, 30 + driver.net.reach + 1 :] += 1
    assert torch.allclose(driver.net(mel)["mouth"][:, :31], driver.net(other)["mouth"][:, :31], atol=1e-5)


def test_the_bundled_network_is_small(bundled):
    assert sum(p.numel() for p in bundled.net.parameters()) <= 1.5e6
    assert (BUNDLED_PACK / "audio.safetensors").stat().st_size <= 3e6


# -- from mel frames to video frames


@pytest.mark.parametrize("fps", [12.0, 25.0, 60.0])
def test_every_short_closure_is_shown_by_a_frame(fps):
    lips = Lips(bundled_face())
    mouth = torch.zeros(160, len(MOUTH))
    mouth[:, MOUTH.index("jaw_open")] = 0.4
    open_gap = lips.gaps_of(mouth)[0].max()
    for start in range(70, 80):
        viseme = [CLOSED if start <= k < start + 3 else 5 for k in range(160)]
        made, _, _ = at_frames(articulation(viseme, mouth), fps, int(2 * fps), lips)
        gap = lips.gaps_of(made).amax(1)
        assert gap.min() < 0.3 and gap[0] > 0.99 * open_gap
        assert abs((gap.argmin() + 0.5) / fps - (start + 1) / MEL_RATE) <= 0.5 / fps + 0.02


def test_lips_stay_shut_in_a_pause():
    lips, mouth = Lips(bundled_face()), 0.1 * torch.rand(160, len(MOUTH))
    made, rest, _ = at_frames(articulation([REST] * 160, mouth), 25.0, 50, lips)
    assert lips.gaps_of(made).max() < 0.01 and rest.min() == 1


def test_a_gain_widens_what_parts_the_lips():
    mouth = torch.tensor([[0.2 if name in ("jaw_open", "pucker") else -0.1 for name in MOUTH]] * 2)
    wider = widened(mouth, torch.tensor([0.0, 6.0206]))
    assert torch.equal(wider[0], mouth[0])
    changed = {name: float(value) for name, value in zip(MOUTH, wider[1] / mouth[1], strict=True)}
    assert changed.pop("jaw_open") == pytest.approx(2, abs=1e-3) and set(changed.values()) == {1.0}


def test_loudness_of_mels_follows_the_level():
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = [0.1 * np.sin(2 * np.pi * hertz * t) for hertz in (300, 1000, 3000)]
    tones += [2 * tones[1]]
    levels = [float(loudness(mel_spectrogram(torch.from_numpy(tone).float()).T)[20:60].mean()) for tone in tones]
    assert max(levels[:3]) - min(levels[:3]) < 4 and levels[3] - levels[1] == pytest.approx(6, abs=0.3)
    course = torch.tensor([0.0] * 40 + [20.0] * 40)
    wider = emphasis(course, torch.ones(80))
    assert wider[:30].max() < -2 and wider[50:].min() > 1


# -- a driven face


def test_without_pose_and_blinks_only_the_lips_move(driver, source):
    track = driver.drive(speech(noise(1)), source, Fraction(25), pose=0, blinks=0)
    assert len(track) == 25 and track.visible.all() and track.fps == 25
    assert torch.allclose(track.coefficients.angles, source.coefficients.angles.expand(25, -1), atol=1e-6)
    assert torch.allclose(track.coefficients.translation, source.coefficients.translation.expand(25, -1), atol=1e-6)
    assert torch.equal(track.gaze, source.gaze.expand(25, -1))
    changed = (track.coefficients.expression - source.coefficients.expression).abs().amax(0) > 1e-6
    assert changed[blendshape("jawOpen")] and not changed[[*LID_BLENDSHAPES[0], *LID_BLENDSHAPES[1]]].any()
    for group in ("identity", "texture", "lighting"):
        assert torch.equal(getattr(track.coefficients, group), getattr(source.coefficients, group).expand(25, -1))


def test_without_lips_the_rest_moves(driver, source):
    track = driver.drive(speech(noise(4)), source, Fraction(25), lips=0)
    other = [i for i, name in enumerate(BLENDSHAPES) if not name.startswith(("eyeBlink", "browInnerUp", "browOuterUp"))]
    assert torch.equal(
        track.coefficients.expression[:, other], source.coefficients.expression[:, other].expand(100, -1)
    )
    assert (track.coefficients.angles - source.coefficients.angles).abs().max() > 0.005


def test_the_head_turns_about_the_neck(driver, source):
    track = driver.drive(speech(noise(4)), source, Fraction(25), pose=2)
    neck = torch.tensor(NECK)[None, None]
    places = [
        bundled_face().model.transform(neck, c.angles, c.translation) for c in (track.coefficients, source.coefficients)
    ]
    assert torch.allclose(places[0], places[1].expand(100, -1, -1), atol=1e-5)
    assert (track.coefficients.angles - source.coefficients.angles).abs().max() < 0.7


def test_the_seed_decides_all_but_the_lips(driver, source):
    voice = speech(noise(2))
    tracks = [driver.drive(voice, source, Fraction(25), seed=seed) for seed in (1, 1, 2)]
    values = [track.coefficients.values for track in tracks]
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])
    jaw = [value[:, 80 + blendshape("jawOpen")] for value in values]
    assert torch.equal(jaw[0], jaw[2])


def test_in_silence_the_mouth_is_shut_and_the_eyes_blink(driver, source):
    track = driver.drive(speech(torch.zeros(20 * SAMPLE_RATE)), source, Fraction(25))
    c = track.coefficients
    assert lip_gap(driver.face, c.identity, c.expression).max() < 0.005
    eyes = driver.face.eye_opening(c.identity, c.expression)
    assert (eyes.amin(0) < 0.05 * eyes.amax(0)).all() and (eyes.median(0).values > 0.6 * eyes.amax(0)).all()


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(8), Fraction(60)])
def test_short_speech_and_other_frame_rates(driver, source, fps):
    track = driver.drive(speech(noise(0.2)), source, fps)
    assert len(track) == -(-Fraction(1, 5) * fps // 1) and track.coefficients.values.isfinite().all()
    assert len(driver.drive(speech(noise(0.001)), source, fps)) == 1


def test_sources_of_several_frames_and_unknown_styles_are_refused(driver, source):
    with pytest.raises(InputError, match="one frame"):
        driver.drive(speech(noise(0.2)), source[[0, 0]], Fraction(25))
    with pytest.raises(InputError, match="style"):
        driver.drive(speech(noise(0.2)), source, Fraction(25), style=46)


# -- recordings


def test_augmented_recordings_are_not_delayed():
    generator = np.random.default_rng(3)
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[SAMPLE_RATE // 2 :] = coloured_noise(SAMPLE_RATE // 2, -1, generator) * 0.1
    speaks = np.arange(SAMPLE_RATE) >= SAMPLE_RATE // 2
    recorder = Recorder([wave], generator, 1.0)
    for seed in range(30):
        made = recorder.record(wave, speaks, np.random.default_rng(seed))
        again = recorder.record(wave, speaks, np.random.default_rng(seed))
        assert made.shape == wave.shape and np.isfinite(made).all() and np.array_equal(made, again)
        power = np.square(made).reshape(-1, SAMPLE_RATE // 50).mean(1)  # 20 ms
        assert power[25:28].mean() > 1.5 * power[20:24].mean()


# -- training, where espeak-ng is installed

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng is not installed")


@needs_espeak
def test_training_from_speech_to_pack(tmp_path):
    from mimaface.mimaface_core.training.config import load_config
    from mimaface.mimaface_core.training.export import write_audio
    from mimaface.mimaface_core.training.recipe import run_stage

    config = load_config("tiny")
    for stage in ("speech", "voice"):
        run_stage(stage, config, tmp_path / "data", tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out" / "voice.jsonl").read_text().splitlines()]
    assert {"clean_accuracy", "recorded_pauses_shut"} <= log[-1].keys()
    pack = write_tiny_pack(tmp_path / "pack")
    write_audio(config.voice, tmp_path / "out", pack.folder)
    pack = ModelPack.load(pack.folder)
    assert "audio" in pack.verify() and isinstance(pack.audio_driver, VoiceDriver)


def test_batches_can_be_repeated():
    from mimaface.mimaface_core.training.speech.crops import Crops, SpeechClip

    wave = coloured_noise(3 * SAMPLE_RATE, -1, np.random.default_rng(0)) * np.float32(0.1)
    viseme = np.repeat([0, 5, 1, 3], 61)[:241].astype(np.uint8)
    clip = SpeechClip(wave, viseme, np.random.default_rng(1).uniform(size=(241, len(MOUTH))), np.zeros(241), {})
    crops = Crops([clip], Recorder([wave], np.random.default_rng(2), 1.0), 40, 10)
    first, again, other = (crops.batch(3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.mel.shape == (3, 60, 80) and first.viseme.shape == (3, 40) and first.mouth.shape == (3, 40, len(MOUTH))
    assert torch.equal(first.mel, again.mel) and torch.equal(first.viseme, again.viseme)
    assert not torch.equal(first.mel, other.mel)


# -- the bundled weights


def test_silence_and_noise_keep_the_mouth_shut(bundled, source):
    generator = np.random.default_rng(0)
    for loud, slope in ((0.0, 0), (0.003, -1), (0.003, 0)):
        wave = loud * coloured_noise(4 * SAMPLE_RATE, slope, generator)
        track = bundled.drive(speech(wave), source, Fraction(25), blinks=0, pose=0)
        gap = lip_gap(bundled.face, track.coefficients.identity, track.coefficients.expression)
        assert gap.mean() < 0.005


@needs_espeak
def test_visemes_of_held_out_voices(bundled):
    from scipy.signal import resample_poly

    from mimaface.mimaface_core.training.speech.articulation import labels
    from mimaface.mimaface_core.training.speech.items import voice_split

    right = total = 0
    for voice, text in (("sv+f2", "En gång bodde en man vid havet."), ("sw+m3", "Habari ya asubuhi, mama na baba.")):
        assert voice_split(voice) == "held_out"
        wave, phones = espeak.speak(text, voice)
        sound = resample_poly(wave / 32768, 320, 441)
        made = bundled.articulation(speech(sound))["viseme"].argmax(-1).numpy()
        truth = labels(phones, 1 + len(sound) // 200)
        right, total = right + (made == truth).sum(), total + len(truth)
    assert right / total >= 0.75
