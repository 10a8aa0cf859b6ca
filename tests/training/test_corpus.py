"""The corpus of synthetic speech: phonemes and their times, what the mouth does, seeds, splits and files."""

import numpy as np
import pytest
import torch

from mimaface.mimaface_core.audio.voice.visemes import MOUTH, VISEMES, mouth_expression
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import NAMES
from mimaface.mimaface_core.morphable.bundled.face import procedural_face
from mimaface.mimaface_core.morphable.bundled.lip_contact import closed_mouth, lip_gaps
from mimaface.mimaface_core.training.speech import espeak
from mimaface.mimaface_core.training.speech.articulation import GRID, accents, labels, mouths, symbols, viseme
from mimaface.mimaface_core.training.speech.corpus import (
    UNSEEN,
    VARIANTS,
    load_item,
    make_corpus,
    make_item,
    split,
    stored_items,
    voices,
)
from mimaface.mimaface_core.training.speech.espeak import Phone, speak
from mimaface.mimaface_core.training.speech.texts import WORDS

needs_espeak = pytest.mark.skipif(not espeak.available(), reason="espeak-ng (libespeak-ng.so.1) is not installed")
JAW, PUCKER, PRESS, UPPER = (MOUTH.index(name) for name in ("jaw_open", "pucker", "press", "upper_lip_mid"))


def line(*sounds: tuple[str, float], stress: float = 0.0) -> list[Phone]:
    """Phones one after the other from their names and lengths in seconds."""
    out, start = [], 0.0
    for name, length in sounds:
        out.append(Phone(name, start, start + length, start + length, stress))
        start += length
    return out


def named(numbers: np.ndarray) -> list[str]:
    return [VISEMES[n] for n in numbers]


def test_a_mouth_moves_the_modes_that_it_names():
    mouth = torch.zeros(1, len(MOUTH))
    mouth[0, JAW], mouth[0, MOUTH.index("corner_x")] = 0.4, 0.2
    expression = mouth_expression(mouth)[0]
    moved = {NAMES[i]: float(expression[i]) for i in expression.nonzero()[:, 0]}
    assert moved == pytest.approx({"jaw_open": 0.4, "corner_x_right": 0.2, "corner_x_left": 0.2})
    assert (mouth_expression(torch.eye(len(MOUTH))) != 0).any(1).all()


def test_every_sound_has_its_class():
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
        assert VISEMES[viseme(letter)] == kind
    assert symbols("aɪ") == ["a", "ɪ"]
    assert symbols("tʃʲ") == ["ʃ"]
    assert symbols("pf") == ["p", "f"]
    assert symbols("ɐ̃ʊ̃") == ["ɐ", "ʊ"]
    assert symbols("ts.h") == ["ʂ"]
    with pytest.raises(KeyError):
        symbols("☺")


@needs_espeak
def test_every_phoneme_that_the_machine_says_is_known():
    for language, (words, syllables) in WORDS.items():
        _, phones = speak(words.replace(" ", ", ", 3), language, 260)
        _, more = speak(syllables, language, 260)
        for phone in phones + more:
            assert not phone.name or symbols(phone.name), (language, phone.name)


@needs_espeak
def test_times_agree_with_the_sound():
    espeak.restart()
    wave, phones = speak("a pasha, a map, my baby saw six apples", "en-us", 160)
    sound = wave.astype(float)

    def piece(phone: Phone) -> np.ndarray:
        return sound[int(phone.start * espeak.RATE) : int(phone.release * espeak.RATE)]

    def level(phone: Phone) -> float:
        return 10 * np.log10((piece(phone) ** 2).mean() + 1)

    def height(phone: Phone) -> float:
        power = np.abs(np.fft.rfft(piece(phone))) ** 2
        return float((power * np.fft.rfftfreq(len(piece(phone)), 1 / espeak.RATE)).sum() / power.sum())

    vowels = np.mean([level(p) for p in phones if p.name in ("æ", "eɪ", "ɔː")])
    closures, hisses = [p for p in phones if p.name == "p"], [p for p in phones if p.name == "s"]
    assert len(closures) == 3
    assert len(hisses) >= 3
    assert all(level(p) < vowels - 30 and p.release - p.start > 0.03 for p in closures)
    assert all(height(p) > 3000 for p in hisses)
    assert all(p.release < p.end - 0.003 for p in phones if p.name in ("m", "b"))  # their vowels begin before the event
    assert [p.end for p in phones[:-1]] == [p.start for p in phones[1:]]
    assert phones[-1].end == pytest.approx(len(wave) / espeak.RATE)
    assert {p.name for p in phones if p.stress == 1} >= {"æ", "eɪ"}


def test_labels_follow_the_phonemes():
    phones = line(("", 0.2), ("p", 0.1), ("aɪ", 0.2), ("ʃ", 0.1), ("", 0.2))
    got = named(labels(phones, 70))
    assert got[0] == got[15] == got[69] == "rest"
    assert got[16:24] == ["closed"] * 8
    assert got[26] == "open"
    assert got[38] == "spread"
    assert got[42] == "hushing"


@pytest.mark.parametrize("sound", ["p", "b", "m"])
@pytest.mark.parametrize("vowel", ["ɑ", "u", "i"])
@pytest.mark.parametrize("length", [0.04, 0.09])
def test_lips_close_fully(sound, vowel, length):
    phones = line(("", 0.3), (vowel, 0.15), (sound, length), (vowel, 0.15), ("", 0.3))
    mouth = mouths(phones, 100)
    shut = mouth[int(np.ceil(0.45 * GRID)) : int((0.45 + length) * GRID) + 1]
    assert np.abs(shut[:, JAW]).max() < 0.01
    assert shut[:, PRESS].min() > 0.3
    assert np.abs(shut[:, UPPER]).max() < 0.01
    assert mouth[int(0.38 * GRID), JAW] > 0.06
    face, nobody = procedural_face(), torch.zeros(1, 80)
    together = closed_mouth(face, nobody, torch.zeros(1, 64))
    gaps = lip_gaps(face, nobody, together + mouth_expression(torch.from_numpy(shut).float()))
    assert gaps.max() < 0.003  # 0.3 mm, between any two points of the lips


def test_vowels_and_teeth_look_as_they_should():
    def middle(sound: str, length: float = 0.2, **how) -> np.ndarray:
        phones = line(("", 0.3), ("t", 0.06), (sound, length), ("t", 0.06), ("", 0.3), **how)
        return mouths(phones, 100)[round((0.36 + length / 2) * GRID)]

    assert middle("ɑ")[JAW] > 2 * middle("i")[JAW] > 0.2
    assert middle("u")[PUCKER] > 0.7
    assert middle("i")[MOUTH.index("corner_x")] > 0.35
    assert middle("f")[UPPER] > 0.25
    assert middle("f")[MOUTH.index("lower_lip_out")] < -0.6
    assert middle("ʃ")[PUCKER] > 0.4
    assert middle("a", stress=1.0)[JAW] > 1.2 * middle("a")[JAW]
    assert middle("a", 0.05)[JAW] < 0.9 * middle("a")[JAW]  # no time to open wide
    loud = mouths(line(("a", 0.3)), 24, [1.0])[12]
    assert loud[JAW] > 1.15 * mouths(line(("a", 0.3)), 24)[12, JAW]


def test_lips_round_ahead_and_rest_in_pauses():
    phones = line(("", 0.5), ("s", 0.1), ("u", 0.2), ("", 0.6), ("a", 0.2), ("", 0.5))
    mouth = mouths(phones, 170)
    open_ = np.abs(mouth).max(1)
    assert mouth[int(0.58 * GRID), PUCKER] > 0.2  # within the s
    assert open_[: int(0.38 * GRID)].max() < 1e-6
    assert open_[int(0.47 * GRID)] > 0.01  # before the sound
    assert open_[int(0.96 * GRID) : int(1.28 * GRID)].max() < 1e-6
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


def test_voices_are_kept_apart():
    train, held_out = voices("train"), voices("held_out")
    assert not set(train) & set(held_out)
    assert len(train) + len(held_out) == len(WORDS) * len(VARIANTS)
    assert not {name.split("+")[0] for name in train} & set(UNSEEN)
    assert {name.split("+")[0] for name in held_out} > set(UNSEEN)
    assert 0.1 < len(held_out) / (len(train) + len(held_out)) < 0.3


@needs_espeak
def test_items_are_seeded_stored_and_whole(tmp_path):
    make_corpus(tmp_path, range(8, 10), seconds=4)
    (train,), (held_out,) = stored_items(tmp_path, "train"), stored_items(tmp_path, "held_out")
    assert split(train) == split(load_item(train).about["voice"]) == "train"
    assert split(held_out) == split(load_item(held_out).about["voice"]) == "held_out"
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
    # what is labelled as a sound is heard, and rest is quiet
    power = item.wave[: (frames - 1) * 200].double().reshape(-1, 200).square().mean(1)
    vowel = item.viseme[:-1] >= VISEMES.index("open")
    assert power[vowel].median() > 100 * power[item.viseme[:-1] == 0].median()


def test_what_is_missing_is_said_plainly(tmp_path, monkeypatch):
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
