"""LSE-C and LSE-D with SyncNet, whose weights the user supplies.

The network is that of Chung & Zisserman, "Out of time: automated lip sync in the wild" (2016), in the layout
of the published syncnet_v2.model; the two scores are those of Prajwal et al., "A Lip Sync Expert Is All You
Need" (2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import host, weights
from ...audio.speech import SAMPLE_RATE
from ...errors import InputError
from ...media import Clip
from .speech_level import SILENT, levels

NAMES = ("syncnet_v2.model", "syncnet_v2.safetensors")
PUBLISHED = "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"
WANTED = (
    f"LSE-C and LSE-D need SyncNet's weights: put {NAMES[0]} from {PUBLISHED} into models/mimaface/syncnet, "
    "or name the file with --syncnet"
)
REMEDY = f"SyncNet's own are needed, no other weights: take the file from {PUBLISHED}"
ESTIMATOR = (
    "SyncNet v2 at 25 frames a second and 16 kHz, offsets ±15 frames; face boxes from mediapipe's landmarks, "
    "where the published pipeline has S3FD's"
)
FPS = 25
SIDE = 224  # pixels of the face crop
WINDOW = 5  # frames that one embedding sees
OFFSETS = 15  # frames by which sound is shifted either way
SHORTEST = 2 * OFFSETS + WINDOW  # frames: below it no window has a partner at every offset
ROOM = 0.4  # round the face's box, of half its side
SMOOTH = 13  # frames of the median over the box
GREY = 110  # what lies outside the picture
BATCH = 16


class SyncNet(nn.Module):
    """Embeddings [B, 1024] of what is seen and heard in 0.2 s; those that belong together lie close."""

    def __init__(self):
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_stage(nn.Conv2d, 1, 64, 3, padding=1),
            nn.Identity(),
            *_stage(nn.Conv2d, 64, 192, 3, padding=1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_stage(nn.Conv2d, 192, 384, 3, padding=1),
            *_stage(nn.Conv2d, 384, 256, 3, padding=1),
            *_stage(nn.Conv2d, 256, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            *_stage(nn.Conv2d, 256, 512, (5, 4)),
        )
        self.netcnnlip = nn.Sequential(
            *_stage(nn.Conv3d, 3, 96, (WINDOW, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_stage(nn.Conv3d, 96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_stage(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_stage(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_stage(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_stage(nn.Conv3d, 256, 512, (1, 6, 6)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()

    def see(self, frames: Tensor) -> Tensor:
        """Embeddings [T − 4, 1024] of the windows in consecutive crops [3, T, 224, 224], BGR in 0–255."""
        return self.netfclip(self.netcnnlip(frames[None])[0, :, :, 0, 0].T)

    def hear(self, windows: Tensor) -> Tensor:
        """Embeddings [B, 1024] of windows [B, 13, 20] of `mfcc`."""
        return self.netfcaud(self.netcnnaud(windows[:, None]).flatten(1))


def _stage(kind: type[nn.Module], before: int, after: int, kernel, **options) -> list[nn.Module]:
    norm = nn.BatchNorm3d if kind is nn.Conv3d else nn.BatchNorm2d
    return [kind(before, after, kernel, **options), norm(after), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def find_weights(folders: Iterable[Path]) -> Path | None:
    """SyncNet's weights in the `syncnet` folder of a models folder or in that itself; None without."""
    places = (Path(folder) / sub / name for folder in folders for sub in ("syncnet", "") for name in NAMES)
    return next((place for place in places if place.is_file()), None)


def load(file: Path) -> SyncNet:
    """The network with a file's weights: the published pickle, of which only tensors are read, or safetensors.

    Raises InputError when the file is missing, cannot be read, or holds other weights.
    """
    if not file.is_file():
        raise InputError(f"There are no SyncNet weights at {file}; check the path, or take them from {PUBLISHED}.")
    net = SyncNet()
    weights.fill(net, weights.read(file, REMEDY), file, REMEDY)
    return net.eval().requires_grad_(False)


def mfcc(wave: np.ndarray) -> np.ndarray:
    """13 cepstral coefficients every 10 ms, float32 [13, M], of a sound float [T] in ±1 at 16 kHz.

    As SyncNet was trained on: 16-bit scale, pre-emphasis 0.97, windows of 25 ms without taper, 512-point
    power spectrum, 26 triangles on the mel scale from 0 to 8 kHz, log, orthonormal DCT-II, lifter 22; the
    first coefficient is the window's log energy. Window k begins at k · 10 ms; the last one is filled up with
    zeros.
    """
    from scipy.fft import dct

    size, hop, points, bands, kept, lifter = 400, 160, 512, 26, 13, 22
    signal = np.round(np.clip(wave.astype(np.float64), -1, 1) * 32768).clip(-32768, 32767)
    signal = np.concatenate([signal[:1], signal[1:] - 0.97 * signal[:-1]])
    count = 1 + max(0, -(-(len(signal) - size) // hop))
    signal = np.pad(signal, (0, max(0, (count - 1) * hop + size - len(signal))))
    tiny = np.finfo(float).eps

    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    bins = np.floor((points + 1) * corners / SAMPLE_RATE)
    line = np.arange(points // 2 + 1)
    rising = (line - bins[:-2, None]) / np.diff(bins)[:-1, None]
    falling = (bins[2:, None] - line) / np.diff(bins)[1:, None]
    # a triangle begins on its first corner and ends before its last; its top belongs to the falling side
    left = (line >= bins[:-2, None]) & (line < bins[1:-1, None])
    right = (line >= bins[1:-1, None]) & (line < bins[2:, None])
    triangles = np.where(left, rising, np.where(right, falling, 0.0))

    result = np.empty((kept, count), np.float32)
    lift = 1 + lifter / 2 * np.sin(np.pi * np.arange(kept) / lifter)
    for start in range(0, count, 6000):  # a minute at a time
        windows = np.lib.stride_tricks.sliding_window_view(signal, size)[start * hop :: hop][:6000]
        power = np.abs(np.fft.rfft(windows, points)) ** 2 / points
        energy = np.maximum(power.sum(1), tiny)
        mel = np.log(np.maximum(power @ triangles.T, tiny))
        cepstrum = dct(mel, type=2, axis=1, norm="ortho")[:, :kept] * lift
        cepstrum[:, 0] = np.log(energy)
        result[:, start : start + len(windows)] = cepstrum.T
    return result


def face_boxes(landmarks: Sequence[Tensor | None], chosen: np.ndarray) -> np.ndarray:
    """Centre x, y and half side of the face's box in the chosen frames, [len(chosen), 3], in pixels.

    Boxes of frames without a face lie between their neighbours'; all are smoothed by a median through time.
    """
    from scipy.ndimage import median_filter

    seen = [i for i, points in enumerate(landmarks) if points is not None]
    boxes = []
    for i in seen:
        low, high = landmarks[i][:468, :2].amin(0), landmarks[i][:468, :2].amax(0)
        boxes.append([*((low + high) / 2).tolist(), float((high - low).max() / 2)])
    between = np.stack([np.interp(chosen, seen, column) for column in np.array(boxes).T], 1)
    return median_filter(between, size=(SMOOTH, 1), mode="nearest")


def face_crop(picture: Tensor, box: Sequence[float]) -> Tensor:
    """Crop of a picture uint8 [H, W, 3], float [3, 224, 224], BGR in 0–255; grey outside the picture.

    box: centre x, y and half side. The crop adds ROOM at the sides and twice that below.
    """
    x, y, half = box
    top, left = int(np.floor(y - half)), int(np.floor(x - half * (1 + ROOM)))
    bottom, right = int(np.floor(y + half * (1 + 2 * ROOM))), int(np.floor(x + half * (1 + ROOM)))
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)].permute(2, 0, 1).float()
    edges = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    crop = F.pad(inside, edges, value=GREY)
    return F.interpolate(crop[None], (SIDE, SIDE), mode="bilinear")[0].round().flip(0)


def lse(seen: Tensor, heard: Tensor) -> tuple[float, float, int]:
    """LSE-C, LSE-D and by how many frames the picture is late, of embeddings [N, 1024] of the same instants.

    For each offset the mean distance of what is seen to what is heard that much earlier or later, zeros
    standing in before the beginning and behind the end; D is the smallest of them, C the median minus the
    smallest.
    """
    padded = F.pad(heard, (0, 0, OFFSETS, OFFSETS))
    distances = torch.stack(
        [F.pairwise_distance(seen, padded[k : k + len(seen)]).mean() for k in range(2 * OFFSETS + 1)]
    )
    smallest, at = distances.min(0)
    return float(distances.median() - smallest), float(smallest), OFFSETS - int(at)


@torch.no_grad()
def embeddings(net: SyncNet, crops: Iterable[Tensor], cepstra: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """What is seen and heard from each of `count` frames on, [count, 1024] twice.

    crops: at least count + 4 of `face_crop`, at 25 frames a second. cepstra: of `mfcc`, at least 4·count + 16
    of them.
    """
    device = host.current().device
    sound = torch.from_numpy(cepstra).to(device)
    seen, heard, left = [], [], []
    crops = iter(crops)
    with host.current().load(net), host.current().progress(count, "SyncNet") as progress:
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            left += islice(crops, size + WINDOW - 1 - len(left))
            seen.append(net.see(torch.stack(left, 1).to(device)).cpu())
            left = left[size:]
            windows = [sound[:, 4 * i : 4 * i + 4 * WINDOW] for i in range(start, start + size)]
            heard.append(net.hear(torch.stack(windows)).cpu())
            progress.update(size)
    return torch.cat(seen), torch.cat(heard)


def scores(net: SyncNet, clip: Clip, landmarks: Sequence[Tensor | None], wave: np.ndarray) -> dict:
    """LSE-C, LSE-D and the offset of a clip whose landmarks are known; None, with the reason, otherwise.

    wave: its sound, float [T] in ±1 at 16 kHz, at its own loudness. The clip is read again, a batch at a
    time.
    """
    result = {"estimator": ESTIMATOR, "lse_c": None, "lse_d": None}
    seconds = min(Fraction(len(landmarks)) / clip.fps, Fraction(len(wave), SAMPLE_RATE))
    frames = int(seconds * FPS)
    # what is on the screen in the middle of each of 25 frames a second
    chosen = np.array([int((j + Fraction(1, 2)) / FPS * clip.fps) for j in range(frames)], int)
    if frames < SHORTEST:
        return result | {"reason": f"it needs {SHORTEST / FPS} s of picture and sound, not {float(seconds):.2f} s"}
    if levels(wave).max() < SILENT:
        return result | {"reason": "the sound is silent"}
    if sum(landmarks[i] is not None for i in chosen) < frames / 2:
        return result | {"reason": "a face is seen in less than half of the frames"}
    crops = _crops(clip, chosen, face_boxes(landmarks, chosen))
    confidence, distance, late = lse(*embeddings(net, crops, mfcc(wave), frames - WINDOW))
    return result | {"lse_c": round(confidence, 3), "lse_d": round(distance, 3), "offset_frames": late}


def _crops(clip: Iterable[Tensor], chosen: np.ndarray, boxes: np.ndarray) -> Iterator[Tensor]:
    """The face in the chosen frames (ascending), one at a time; a frame may be chosen more than once."""
    at = 0
    for i, picture in enumerate(clip):
        while at < len(chosen) and chosen[at] == i:
            yield face_crop(picture, boxes[at])
            at += 1
