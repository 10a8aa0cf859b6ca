"""The scores of a finished clip: lag, pauses, blinks of made tracks, SyncNet's network and LSE, the command."""

import json
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.scenes import clip, moved, needs_faces, nodding, noise
from support.sounds import RATE, sound, talk

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.meters import mouth_opening as seen
from mimaface.mimaface_core.evaluation.meters import speech_level as heard
from mimaface.mimaface_core.evaluation.meters import sync, syncnet
from mimaface.mimaface_core.media import Clip


def murmur(seconds, seed=0):
    """An amplitude 0–1 as a function of time (seconds) that moves at the pace of syllables."""
    rng = np.random.default_rng(seed)
    waves = [(rng.uniform(1, 5), rng.uniform(0, 2 * np.pi)) for _ in range(12)]

    def amplitude(t):
        return 0.5 + 0.5 * np.tanh(sum(np.sin(2 * np.pi * f * t + p) for f, p in waves) / 2)

    t = np.arange(int(seconds * RATE)) / RATE
    return amplitude, (0.3 * amplitude(t) * rng.standard_normal(len(t))).astype(np.float32)


def faces(opening, eyes=None):
    """Landmarks with that mouth opening and that opening of the eyes a frame; None where the mouth is NaN."""
    eyes = [0.3] * len(opening) if eyes is None else eyes
    result = []
    for gap, lids in zip(opening, eyes):
        points = torch.zeros(478, 3)
        points[0], points[1] = torch.tensor([50.0, 50, 0]), torch.tensor([150.0, 170, 0])  # the face's box
        points[2:] = torch.tensor([100.0, 100, 0])
        for corner, x in ((33, 60.0), (133, 90.0), (362, 110.0), (263, 140.0)):
            points[corner] = torch.tensor([x, 80.0, 0])
        for _, pairs in seen.EYES:
            for upper, lower in pairs:
                points[upper], points[lower] = (
                    torch.tensor([75, 80 - 15 * lids, 0]),
                    torch.tensor([75, 80 + 15 * lids, 0]),
                )
        for upper, lower in seen.INNER_LIPS:
            points[upper], points[lower] = (
                torch.tensor([100, 140.0, 0]),
                torch.tensor([100, 140 + 80 * gap, 0]),
            )
        result.append(None if math.isnan(gap) else points)
    return result


# --- mouth and sound


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize("late", [-0.12, 0.0, 0.033, 0.2])
def test_a_known_lag_is_found_within_5_ms(fps, late):
    amplitude, wave = murmur(8)
    instants = (np.arange(int(8 * fps)) + 0.5) / float(fps)
    opening = 0.2 * amplitude(instants - late)
    opening[20:26] = np.nan  # the face is lost for a while
    found = sync.mouth_scores(faces(opening), fps, wave)
    assert found["lag_ms"] == pytest.approx(1000 * late, abs=5)
    assert found["best_correlation"] > 0.9 and found["chance"] < 0.5
    if late == 0:
        assert found["correlation"] > 0.9
    assert found["estimator"].startswith("fallback")


def test_a_mouth_that_shuts_when_it_is_loud_correlates_negatively():
    amplitude, wave = murmur(8)
    opening = 0.2 - 0.2 * amplitude((np.arange(200) + 0.5) / 25)
    assert sync.mouth_scores(faces(opening), Fraction(25), wave)["correlation"] < -0.8


def test_openings_are_ratios_and_survive_a_turned_head():
    opening, eyes = [0.1, float("nan"), 0.0], [0.3, 0.3, 0.05]
    points = faces(opening, eyes)
    turn = torch.tensor([[math.cos(0.6), 0, math.sin(0.6)], [0, 1, 0], [-math.sin(0.6), 0, math.cos(0.6)]])
    for shown in (points, [None if p is None else 2 * p @ turn.T + 5 for p in points]):
        np.testing.assert_allclose(seen.mouth_opening(shown), opening, atol=1e-4)
        np.testing.assert_allclose(seen.eye_opening(shown), [2 * 0.3 / 2, np.nan, 0.05], atol=1e-4)


def test_pauses_are_found_above_the_files_own_background():
    for background in (-90, -45):
        wave = talk((1, -20), (0.5, background), (1, -20), (0.2, background), (1, -25), (0.8, background))
        found = heard.pauses(heard.speaking(heard.levels(wave)))
        np.testing.assert_allclose(found, [(1, 1.5), (3.7, 4.5)], atol=0.03)
    assert heard.speaking(heard.levels(talk((3, -30)))) is None
    assert heard.speaking(heard.levels(np.zeros(RATE, np.float32))) is None
    assert heard.speaking(heard.levels(np.zeros(0, np.float32))) is None


def test_a_mouth_is_closed_in_a_pause_or_not():
    pauses = [(1.0, 1.5), (3.0, 3.6), (8.0, 9.0)]
    opening = np.full(150, 0.15)
    opening[28:36], opening[60:70] = 0.01, 0.005  # shut soon after the first pause began, open in the second
    assert sync.closed_in_pauses(opening, Fraction(25), pauses) == [True, False]
    assert not any(sync.closed_in_pauses(np.full(150, 0.1), Fraction(25), pauses))  # a mouth that never closes


def test_blinks_are_short_dips():
    eyes = np.full(300, 0.3)
    for at in (30, 90, 180):
        eyes[at : at + 5] = [0.2, 0.08, 0.06, 0.1, 0.2]
    eyes[220:260] = 0.1  # shut for longer than a blink
    eyes[100:110] = np.nan
    assert seen.count_blinks(eyes, Fraction(25)) == 3
    assert seen.count_blinks(np.full(9, np.nan), Fraction(25)) == 0
    opening = np.where(np.isnan(eyes), np.nan, 0.1)
    found = sync.mouth_scores(faces(opening, eyes), Fraction(25), talk((12, -30)))
    assert found["blinks_per_minute"] == pytest.approx(3 / (290 / 25) * 60, abs=0.1)


@pytest.mark.parametrize(
    "frames, wave, score, reason",
    [
        (5, talk((1, -20)), "correlation", "needs a second"),
        (100, np.zeros(64000, np.float32), "correlation", "silent"),
        (100, np.zeros(64000, np.float32), "pauses_closed", "silent"),
        (100, np.zeros(0, np.float32), "lag_ms", "silent"),
        (100, talk((0.3, -20)), "correlation", "needs a second"),
        (100, talk((2, -20), (2, -60)), "chance", "needs 6 s"),
        (100, talk((4, -20)), "pauses", "does not stand out"),
        (100, talk((2, -20), (0.28, -60), (2, -20)), "pauses_closed", "no pause"),
        (100, talk((4, -20)), "blinks_per_minute", "10 s"),
    ],
)
def test_what_cannot_be_scored_says_why(frames, wave, score, reason):
    opening = 0.1 + 0.1 * np.sin(np.arange(frames))
    found = sync.mouth_scores(faces(opening), Fraction(25), wave)
    assert found[score] is None and reason in found["reasons"][score]
    assert all(
        (found[name] is None) == (name in found["reasons"]) for name in found if name not in ("estimator", "reasons")
    )


def test_a_still_mouth_and_a_steady_tone_have_no_correlation():
    tone = np.sin(np.arange(64000) * 2 * np.pi * 500 / RATE).astype(np.float32)
    moving = 0.1 + 0.1 * np.sin(np.arange(100))
    for opening, wave, reason in (
        (np.full(100, 0.1), talk((4, -20)), "not move"),
        (moving, tone, "not change"),
    ):
        assert reason in sync.mouth_scores(faces(opening), Fraction(25), wave)["reasons"]["correlation"]


# --- SyncNet


def published_layout():
    """Names and shapes of syncnet_v2.model, written down from the published architecture."""
    convolutions = {
        "netcnnaud": {0: (64, 1, 3, 3), 4: (192, 64, 3, 3), 8: (384, 192, 3, 3), 11: (256, 384, 3, 3),
                      14: (256, 256, 3, 3), 18: (512, 256, 5, 4)},
        "netcnnlip": {0: (96, 3, 5, 7, 7), 4: (256, 96, 1, 5, 5), 8: (256, 256, 1, 3, 3), 11: (256, 256, 1, 3, 3),
                      14: (256, 256, 1, 3, 3), 18: (512, 256, 1, 6, 6)},
        "netfcaud": {0: (512, 512), 3: (1024, 512)},
        "netfclip": {0: (512, 512), 3: (1024, 512)},
    }  # fmt: skip
    layout = {}
    for part, layers in convolutions.items():
        for index, shape in layers.items():
            layout |= {f"{part}.{index}.weight": shape, f"{part}.{index}.bias": shape[:1]}
            if index != 3:  # the last linear layer has no normalisation behind it
                norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), shape[:1])
                norm["num_batches_tracked"] = ()
                layout |= {f"{part}.{index + 1}.{name}": size for name, size in norm.items()}
    return layout


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return syncnet.SyncNet().eval().requires_grad_(False)


def test_the_networks_keys_are_the_published_ones(net):
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == published_layout()


def test_windows_of_a_sequence_are_seen_like_single_ones(net):
    frames = torch.rand(3, 6, 224, 224, generator=torch.Generator().manual_seed(0)) * 255
    together = net.see(frames)
    assert together.shape == (2, 1024)
    torch.testing.assert_close(together[1:], net.see(frames[:, 1:]), atol=1e-4, rtol=1e-4)
    assert net.hear(torch.rand(2, 13, 20)).shape == (2, 1024)


def test_weights_are_found_and_read_strictly(net, tmp_path):
    assert syncnet.find_weights([tmp_path]) is None
    values = net.state_dict()
    (tmp_path / "syncnet").mkdir()
    file = tmp_path / "syncnet" / "syncnet_v2.model"
    torch.save({k: v for k, v in values.items() if "tracked" not in k}, file, _use_new_zipfile_serialization=False)
    assert syncnet.find_weights([tmp_path / "none", tmp_path]) == file
    save_file(values, tmp_path / "same.safetensors")
    for path in (file, tmp_path / "same.safetensors"):
        read = syncnet.load(path).state_dict()
        assert all(torch.equal(read[key], values[key]) for key in values)

    class Harm:
        def __reduce__(self):
            return print, ("read",)

    wrong = tmp_path / "wrong.model"
    others = [
        {"a": torch.zeros(1)},
        values | {"more": torch.zeros(1)},
        values | {"netfcaud.0.bias": torch.zeros(2)},
    ]
    for content, said in [*((other, "other weights") for other in others), (Harm(), "cannot be read")]:
        torch.save(content, wrong)
        with pytest.raises(InputError, match=said):
            syncnet.load(wrong)
    whole = file.read_bytes()
    for content in (b"", b"no weights", *(whole[:size] for size in (10, 100, 1000, 5000, len(whole) // 2))):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            syncnet.load(wrong)
    with pytest.raises(InputError, match="There are no SyncNet weights"):
        syncnet.load(tmp_path / "absent.model")


def test_the_cepstrum_is_the_textbooks():
    wave = talk((0.095, -20))
    found = syncnet.mfcc(wave)
    assert found.shape == (13, 8) and found.dtype == np.float32
    # the third window, step by step
    x = np.round(wave * 32768.0)
    x = np.append(x[0], x[1:] - 0.97 * x[:-1])[320:720]
    power = [abs(sum(x * np.exp(-2j * np.pi * k * np.arange(400) / 512))) ** 2 / 512 for k in range(257)]
    mel = np.linspace(0, 2595 * math.log10(1 + 8000 / 700), 28)
    edge = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mel]
    bands = []
    for low, top, high in zip(edge, edge[1:], edge[2:]):
        rise = sum(power[k] * (k - low) / (top - low) for k in range(low, top))
        bands.append(math.log(rise + sum(power[k] * (high - k) / (high - top) for k in range(top, high))))
    expected = [math.log(sum(power))]
    for n in range(1, 13):
        c = math.sqrt(2 / 26) * sum(b * math.cos(math.pi * n * (2 * i + 1) / 52) for i, b in enumerate(bands))
        expected.append(c * (1 + 11 * math.sin(math.pi * n / 22)))
    np.testing.assert_allclose(found[:, 2], expected, atol=1e-3)
    assert np.isfinite(syncnet.mfcc(np.zeros(RATE, np.float32))).all()


@pytest.mark.parametrize("late", [-6, 0, 4])
def test_lse_finds_the_offset(late):
    said = torch.randn(80 + 40, 64, generator=torch.Generator().manual_seed(1))
    confidence, distance, offset = syncnet.lse(said[20 - late : 100 - late] + 0.01, said[20:100])
    assert offset == late
    assert distance < 3 and confidence > 4


def test_the_crop_is_grey_outside_and_steady_through_time():
    picture = torch.full((100, 80, 3), 200, dtype=torch.uint8)
    picture[..., 0] = 10
    crop = syncnet.face_crop(picture, (40, 50, 20))
    assert crop.shape == (3, 224, 224) and crop[:, 5, 5].tolist() == [200, 200, 10]  # blue first
    outside = syncnet.face_crop(picture, (10, 10, 20))
    assert outside[:, 0, 0].tolist() == [110] * 3 and outside[:, -1, -1].tolist() == [200, 200, 10]
    landmarks = faces(np.full(30, 0.1))
    landmarks[7] = landmarks[7] + 40  # a box that jumps
    landmarks[20:24] = [None] * 4
    boxes = syncnet.face_boxes(landmarks, np.arange(30))
    np.testing.assert_allclose(boxes, np.tile([100, 110, 60], (30, 1)), atol=1e-3)


class Toy(torch.nn.Module):
    """Stands in for SyncNet: what is seen and heard is one number."""

    def see(self, frames):
        return frames.unfold(1, syncnet.WINDOW, 1).mean((0, 2, 3, 4))[:, None]

    def hear(self, windows):
        return windows.mean((1, 2))[:, None]


@pytest.mark.parametrize("fps", [25, 30])
def test_a_clip_is_scored_at_25_frames_a_second(tmp_path, fps):
    frames = [np.full((64, 64, 3), 2 * i, np.uint8) for i in range(2 * fps)]
    film = Clip.open(clip(tmp_path / "a.mp4", frames, fps))
    landmarks = [points / 3 for points in faces(np.full(2 * fps, 0.1))]
    found = syncnet.scores(Toy(), film, landmarks, talk((3, -20)))
    assert found["lse_d"] >= 0 and found["lse_c"] >= 0 and abs(found["offset_frames"]) <= 15
    for few, wave, reason in (
        (30, talk((3, -20)), "1.4 s"),
        (2 * fps, np.zeros(48000, np.float32), "silent"),
    ):
        refused = syncnet.scores(Toy(), film, landmarks[:few], wave)
        assert refused["lse_c"] is None and reason in refused["reason"]
    hidden = [points if i % 3 == 0 else None for i, points in enumerate(landmarks)]
    assert "less than half" in syncnet.scores(Toy(), film, hidden, talk((3, -20)))["reason"]


# --- the command


@needs_faces
def test_the_command_scores_a_clip(evaluate, tmp_path):
    film = clip(tmp_path / "a.mp4", [*nodding(30), noise(), noise()], audio=sound(talk((1.28, -20))))
    status, out, err = evaluate("--output", film, "--json", "scores.json")
    result = json.loads(out.splitlines()[-1])
    assert status == 0 and result == json.loads((tmp_path / "scores.json").read_text())
    assert result["sync"]["frames"] == 32 and result["sync"]["face_seen"] >= 0.9
    assert result["sync"]["lse"]["lse_c"] is None and "syncnet_v2.model" in result["sync"]["lse"]["reason"]
    assert "mediapipe" in result["sync"]["mouth"]["estimator"] and "LSE-C, LSE-D (SyncNet" in err
    assert "needs 10 s" in err or "10 s in which" in err


@needs_faces
def test_the_voice_may_be_a_file_and_shorter_than_the_clip(evaluate, tmp_path):
    film = clip(tmp_path / "a.mp4", [moved()] * 30)
    voice = clip(tmp_path / "voice.mp4", [noise((64, 64))] * 10, audio=sound(talk((0.4, -20))))
    status, out, err = evaluate("--output", film, "--audio", voice)
    assert status == 0 and "sound is shorter than the clip" in err
    assert json.loads(out.splitlines()[-1])["sync"]["mouth"]["correlation"] is None


@needs_faces
def test_bad_input_is_one_sentence(evaluate, tmp_path, monkeypatch):
    mute = clip(tmp_path / "mute.mp4", [moved()] * 3)
    faceless = clip(tmp_path / "noise.mp4", [noise()] * 3, audio=sound(talk((0.2, -20))))
    for arguments, said in (
        (["--output", mute], "'mute.mp4' has no sound; name the voice with --audio"),
        (["--output", "gone.mp4"], "'gone.mp4' was not found"),
        (["--output", mute, "--audio", mute], "has no audio"),
        (["--output", faceless, "--syncnet", "none.model"], "There are no SyncNet weights at none.model"),
        (["--output", faceless, "--json", "no/folder.json"], "there is no such folder"),
        (["--output", faceless], "No face was found in any of the clip's 3 frames"),
    ):
        status, out, err = evaluate(*arguments)
        assert status == 2 and out == "" and said in err.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    status, _, err = evaluate("--output", faceless)
    assert status == 2 and "No face tracker is installed" in err
