"""Synthetic speech: phonemes and their times, mouth movements, seeds, splits and files."""

import numpy as np
import pytest
import torch

from mimaface.mimaface_core.audio.voice.visemes import MOUTH, VISEMES, mouth_expression
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, SIDES
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.lip_contact import closed_mouth, lip_gaps
from mimaface.mimaface_core.training.speech import espeak
from mimaface.mimaface_core.training.speech.articulation import MEL_RATE, accents, labels, mouths
from mimaface.mimaface_core.training.speech.corpus import item_split, load_item, make_corpus, stored_items
from mimaface.mimaface_core.training.speech.espeak import ESPEAK_RATE, Phone, speak
from mimaface.mimaface_core.training.speech.items import (
    UNSEEN_LANGUAGES,
    VARIANTS,
    make_item,
    voice_split,
    voices,
)
from mimaface.mimaface_core.training.speech.phonemes import ipa_letters, viseme_of
from mimaface.mimaface_core.training.speech.texts import VOCABULARIES

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng (libespeak-ng.so.1) is not installed")
JAW, PUCKER, PRESS, UPPER = (MOUTH.index(name) for name in ("jaw_open", "pucker", "press", "upper_lip_mid"))


def line(*sounds: tuple[str, float], stress: float = 0.0) -> list[Phone]:
    """Successive phones from names and lengths in seconds."""
    out, start = [], 0.0
    for name, length in sounds:
        out.append(Phone(name, start, start + length, start + length, stress))
        start += length
    return out


def named(numbers: np.ndarray) -> list[str]:
    return [VISEMES[n] for n in numbers]


def test_mouth_vector_moves_the_named_blendshapes():
    mouth = torch.zeros(1, len(MOUTH))
    mouth[0, JAW], mouth[0, MOUTH.index("corner_x")] = 0.4, 0.2
    expression = mouth_expression(mouth)[0]
    moved = {BLENDSHAPES[i]: float(expression[i]) for i in expression.nonzero()[:, 0]}
    corners = {f"{name}{side}" for name in ("mouthStretch", "mouthSmile") for side in SIDES}
    assert set(moved) == {"jawOpen", *corners} and min(moved.values()) > 0
    assert all(moved[name] == moved[name.replace("Right", "Left")] for name in corners)
    assert torch.allclose(mouth_expression(2 * mouth)[0], 2 * expression)
    assert (mouth_expression(torch.eye(len(MOUTH))) != 0).any(1).all()


def test_ipa_letters_and_visemes():
    for letter, kind in {
        "p": "closed",
        "m": "closed",
        "v": "lip_teeth",
        "ð": "tongue",
        "ʒ": "hushing",
        "ɑ": "open",
        "ɪ": "spread",
        "y": "round",
    }.items():
        assert VISEMES[viseme_of(letter)] == kind
    assert ipa_letters("aɪ") == ["a", "ɪ"]
    assert ipa_letters("tʃʲ") == ["ʃ"]
    assert ipa_letters("pf") == ["p", "f"]
    assert ipa_letters("ɐ̃ʊ̃") == ["ɐ", "ʊ"]
    assert ipa_letters("ts.h") == ["ʂ"]
    with pytest.raises(KeyError):
        ipa_letters("☺")


@needs_espeak
def test_all_phonemes_of_espeak_are_covered():
    for language, (words, syllables) in VOCABULARIES.items():
        _, phones = speak(", ".join(words[:3]) + ", " + " ".join(words[3:]), language, 260)
        _, more = speak(" ".join(syllables), language, 260)
        for phone in phones + more:
            assert not phone.name or ipa_letters(phone.name), (language, phone.name)


@needs_espeak
def test_phoneme_times_agree_with_the_audio():
    espeak.restart()
    wave, phones = speak("a pasha, a map, my baby saw six apples", "en-us", 160)
    samples = wave.astype(float)

    def piece(phone: Phone) -> np.ndarray:
        return samples[int(phone.start * ESPEAK_RATE) : int(phone.release * ESPEAK_RATE)]

    def level(phone: Phone) -> float:
        return 10 * np.log10((piece(phone) ** 2).mean() + 1)

    def centroid(phone: Phone) -> float:
        power = np.abs(np.fft.rfft(piece(phone))) ** 2
        return float((power * np.fft.rfftfreq(len(piece(phone)), 1 / ESPEAK_RATE)).sum() / power.sum())

    vowels = np.mean([level(p) for p in phones if p.name in ("æ", "eɪ", "ɔː")])
    closures, sibilants = [p for p in phones if p.name == "p"], [p for p in phones if p.name == "s"]
    assert len(closures) == 3
    assert len(sibilants) >= 3
    assert all(level(p) < vowels - 30 and p.release - p.start > 0.03 for p in closures)
    assert all(centroid(p) > 3000 for p in sibilants)
    assert all(p.release < p.end - 0.003 for p in phones if p.name in ("m", "b"))  # their vowels start before the event
    assert [p.end for p in phones[:-1]] == [p.start for p in phones[1:]]
    assert phones[-1].end == pytest.approx(len(wave) / ESPEAK_RATE)
    assert {p.name for p in phones if p.stress == 1} >= {"æ", "eɪ"}


def test_labels_follow_the_phonemes():
    phones = line(("", 0.2), ("p", 0.1), ("aɪ", 0.2), ("ʃ", 0.1), ("", 0.2))
    visemes = named(labels(phones, 70))
    assert visemes[0] == visemes[15] == visemes[69] == "rest"
    assert visemes[16:24] == ["closed"] * 8
    assert visemes[26] == "open"
    assert visemes[38] == "spread"
    assert visemes[42] == "hushing"


@pytest.mark.parametrize("sound", ["p", "b", "m"])
@pytest.mark.parametrize("vowel", ["ɑ", "u", "i"])
@pytest.mark.parametrize("length", [0.04, 0.09])
def test_lips_close_fully(sound, vowel, length):
    phones = line(("", 0.3), (vowel, 0.15), (sound, length), (vowel, 0.15), ("", 0.3))
    mouth = mouths(phones, 100)
    shut = mouth[int(np.ceil(0.45 * MEL_RATE)) : int((0.45 + length) * MEL_RATE) + 1]
    assert np.abs(shut[:, JAW]).max() < 0.01
    assert shut[:, PRESS].min() > 0.3
    assert np.abs(shut[:, UPPER]).max() < 0.01
    assert mouth[int(0.38 * MEL_RATE), JAW] > 0.06
    face, nobody = bundled_face(), torch.zeros(1, 80)
    together = closed_mouth(face, nobody, torch.zeros(1, 64))
    gaps = lip_gaps(face, nobody, together + mouth_expression(torch.from_numpy(shut).float()))
    assert gaps.max() < 0.003  # 0.3 mm, between any two points of the lips


def test_mouth_shapes_of_vowels_and_consonants():
    def middle(sound: str, length: float = 0.2, **how) -> np.ndarray:
        phones = line(("", 0.3), ("t", 0.06), (sound, length), ("t", 0.06), ("", 0.3), **how)
        return mouths(phones, 100)[round((0.36 + length / 2) * MEL_RATE)]

    assert middle("ɑ")[JAW] > 2 * middle("i")[JAW] > 0.2
    assert middle("u")[PUCKER] > 0.7
    assert middle("i")[MOUTH.index("corner_x")] > 0.35
    assert middle("f")[UPPER] > 0.25
    assert middle("f")[MOUTH.index("lower_lip_out")] < -0.6
    assert middle("ʃ")[PUCKER] > 0.4
    assert middle("a", stress=1.0)[JAW] > 1.2 * middle("a")[JAW]
    assert middle("a", 0.05)[JAW] < 0.9 * middle("a")[JAW]  # too short to open wide
    loud = mouths(line(("a", 0.3)), 24, [1.0])[12]
    assert loud[JAW] > 1.15 * mouths(line(("a", 0.3)), 24)[12, JAW]


def test_lips_round_early_and_rest_in_pauses():
    phones = line(("", 0.5), ("s", 0.1), ("u", 0.2), ("", 0.6), ("a", 0.2), ("", 0.5))
    mouth = mouths(phones, 170)
    open_ = np.abs(mouth).max(1)
    assert mouth[int(0.58 * MEL_RATE), PUCKER] > 0.2  # within the s
    assert open_[: int(0.38 * MEL_RATE)].max() < 1e-6
    assert open_[int(0.47 * MEL_RATE)] > 0.01  # before the sound
    assert open_[int(0.96 * MEL_RATE) : int(1.28 * MEL_RATE)].max() < 1e-6
    assert open_[-20:].max() < 1e-6
    assert np.abs(np.diff(mouth[:, JAW])).max() < 0.2


def test_accents_lie_on_stressed_vowels():
    phones = [
        *line(("t", 0.1)),
        Phone("a", 0.1, 0.3, 0.3, 1.0),
        Phone("t", 0.3, 0.4, 0.4),
        Phone("i", 0.4, 0.6, 0.6, 1.0),
        Phone("", 0.6, 1, 1),
    ]
    accent = accents(phones, 80)
    assert accent[16] == pytest.approx(0.6)
    assert accent[40] == 1
    assert accent[70] == 0


def test_voices_of_the_splits_are_disjoint():
    train, held_out = voices("train"), voices("held_out")
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(VOCABULARIES) * len(VARIANTS)
    assert not {name.split("+")[0] for name in train} & set(UNSEEN_LANGUAGES)
    assert {name.split("+")[0] for name in held_out} > set(UNSEEN_LANGUAGES)
    assert 0.1 < len(held_out) / (len(train) + len(held_out)) < 0.3


@needs_espeak
def test_items_are_seeded_and_stored_whole(tmp_path):
    make_corpus(tmp_path, range(8, 10), seconds=4)
    (train,), (held_out,) = stored_items(tmp_path, "train"), stored_items(tmp_path, "held_out")
    assert item_split(train) == voice_split(load_item(train).about["voice"]) == "train"
    assert item_split(held_out) == voice_split(load_item(held_out).about["voice"]) == "held_out"
    before = train.stat().st_mtime_ns
    make_corpus(tmp_path, range(8, 10), seconds=4)
    assert train.stat().st_mtime_ns == before

    item, again = load_item(train), make_item(8, seconds=4)
    assert torch.equal(item.wave, again.wave)
    assert torch.equal(item.viseme, again.viseme)
    assert torch.equal(item.mouth, again.mouth.half().float())
    frames = 1 + len(item.wave) // 200
    assert item.wave.dtype == torch.int16
    assert len(item.wave) >= 4 * 16000
    assert item.viseme.shape == item.stress.shape == (frames,)
    assert item.mouth.shape == (frames, len(MOUTH))
    assert {"language", "variant", "voice", "rate", "unseen_language"} <= set(item.about)
    assert item.stress.min() >= 0
    assert item.stress.max() == 1
    assert 0.2 < item.mouth[:, JAW].max() < 1
    # vowels are loud, rest is quiet
    power = item.wave[: (frames - 1) * 200].double().reshape(-1, 200).square().mean(1)
    vowel = item.viseme[:-1] >= VISEMES.index("open")
    assert power[vowel].median() > 100 * power[item.viseme[:-1] == 0].median()


def test_missing_or_damaged_speech_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="make the speech first"):
        stored_items(tmp_path, "train")
    (tmp_path / "speech-000000.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="make the data again"):
        load_item(tmp_path / "speech-000000.safetensors")
    monkeypatch.setattr(espeak, "LIBRARY", "libno-such-library.so.1")
    monkeypatch.setattr(espeak, "_engine", espeak._Engine)
    with pytest.raises(InputError, match="apt install espeak-ng"):
        speak("hello", "en-us")
    assert not espeak.available()


@needs_espeak
def test_an_unknown_voice_is_refused():
    with pytest.raises(InputError, match="no voice xx-yy"):
        speak("hello", "xx-yy")
