"""SyncNet: the released layout, MFCC, face crops, LSE and its offset."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.scenes import clip
from support.sounds import RATE, talk

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.meters import syncnet
from mimaface.mimaface_core.evaluation.meters.mfcc import mfcc
from mimaface.mimaface_core.media import Clip


def released_layout():
    """Names and shapes of syncnet_v2.model, copied from the published architecture."""
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


def test_the_networks_keys_are_the_released_ones(net):
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == released_layout()


def test_windows_of_a_sequence_are_embedded_like_single_ones(net):
    frames = torch.rand(3, 6, 224, 224, generator=torch.Generator().manual_seed(0)) * 255
    together = net.embed_frames(frames)
    assert together.shape == (2, 1024)
    torch.testing.assert_close(together[1:], net.embed_frames(frames[:, 1:]), atol=1e-4, rtol=1e-4)
    assert net.embed_audio(torch.rand(2, 13, 20)).shape == (2, 1024)


def test_weights_are_found_and_validated(net, tmp_path):
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
    for content, message in [*((other, "other weights") for other in others), (Harm(), "cannot be read")]:
        torch.save(content, wrong)
        with pytest.raises(InputError, match=message):
            syncnet.load(wrong)
    whole = file.read_bytes()
    for content in (b"", b"no weights", *(whole[:size] for size in (10, 100, 1000, 5000, len(whole) // 2))):
        wrong.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            syncnet.load(wrong)
    with pytest.raises(InputError, match="There are no SyncNet weights"):
        syncnet.load(tmp_path / "absent.model")


def test_mfcc_equals_the_textbook():
    wave = talk((0.095, -20))
    cepstra = mfcc(wave)
    assert cepstra.shape == (13, 8) and cepstra.dtype == np.float32
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
    np.testing.assert_allclose(cepstra[:, 2], expected, atol=1e-3)
    assert np.isfinite(mfcc(np.zeros(RATE, np.float32))).all()


@pytest.mark.parametrize("late", [-6, 0, 4])
def test_lse_finds_the_offset(late):
    embedded = torch.randn(80 + 40, 64, generator=torch.Generator().manual_seed(1))
    confidence, distance, offset = syncnet.lse(embedded[20 - late : 100 - late] + 0.01, embedded[20:100])
    assert offset == late
    assert distance < 3 and confidence > 4


def test_crops_are_grey_outside_and_boxes_steady_through_time(faces):
    picture = torch.full((100, 80, 3), 200, dtype=torch.uint8)
    picture[..., 0] = 10
    crop = syncnet.face_crop(picture, (40, 50, 20))
    assert crop.shape == (3, 224, 224) and crop[:, 5, 5].tolist() == [200, 200, 10]  # blue first
    outside = syncnet.face_crop(picture, (10, 10, 20))
    assert outside[:, 0, 0].tolist() == [110] * 3 and outside[:, -1, -1].tolist() == [200, 200, 10]
    landmarks = faces(np.full(30, 0.1))
    landmarks[7] = landmarks[7] + 40  # an outlier
    landmarks[20:24] = [None] * 4
    boxes = syncnet.face_boxes(landmarks, np.arange(30))
    np.testing.assert_allclose(boxes, np.tile([100, 110, 60], (30, 1)), atol=1e-3)


class Toy(torch.nn.Module):
    """Stands in for SyncNet: its embeddings are mean values."""

    def embed_frames(self, frames):
        return frames.unfold(1, syncnet.WINDOW, 1).mean((0, 2, 3, 4))[:, None]

    def embed_audio(self, windows):
        return windows.mean((1, 2))[:, None]


@pytest.mark.parametrize("fps", [25, 30])
def test_videos_are_scored_at_25_frames_a_second(faces, tmp_path, fps):
    frames = [np.full((64, 64, 3), 2 * i, np.uint8) for i in range(2 * fps)]
    video = Clip.open(clip(tmp_path / "a.mp4", frames, fps))
    landmarks = [points / 3 for points in faces(np.full(2 * fps, 0.1))]
    report = syncnet.lse_report(Toy(), video, landmarks, talk((3, -20)))
    assert report["lse_d"] >= 0 and report["lse_c"] >= 0 and abs(report["offset_frames"]) <= 15
    for few, wave, reason in (
        (30, talk((3, -20)), "1.4 s"),
        (2 * fps, np.zeros(48000, np.float32), "silent"),
    ):
        refused = syncnet.lse_report(Toy(), video, landmarks[:few], wave)
        assert refused["lse_c"] is None and reason in refused["reason"]
    hidden = [points if i % 3 == 0 else None for i, points in enumerate(landmarks)]
    assert "less than half" in syncnet.lse_report(Toy(), video, hidden, talk((3, -20)))["reason"]
