"""LSE-C and LSE-D with SyncNet, whose weights the user supplies.

The network is that of Chung & Zisserman, "Out of time: automated lip sync in the wild" (2016), in the layout of the
released syncnet_v2.model; the scores are those of Prajwal et al., "A Lip Sync Expert Is All You Need" (2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ... import host, weights
from ...errors import InputError
from ...media import Clip
from .mfcc import mfcc
from .speech_level import SAMPLE_RATE, SILENCE_DB, levels

WEIGHTS_NAMES = ("syncnet_v2.model", "syncnet_v2.safetensors")
ADDRESS = "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"
REASON_MISSING = (
    f"LSE-C and LSE-D need SyncNet's weights: put {WEIGHTS_NAMES[0]} from {ADDRESS} into models/mimaface/syncnet, "
    "or name the file with --syncnet"
)
REMEDY = f"SyncNet's own are needed, no other weights: take the file from {ADDRESS}"
ESTIMATOR = (
    "SyncNet v2 at 25 frames a second and 16 kHz, offsets ±15 frames; face boxes from mediapipe's landmarks, "
    "where the published pipeline has S3FD's"
)
FPS = 25
CROP_SIZE = 224  # pixels
WINDOW = 5  # frames of one embedding
LEVELS_PER_FRAME = 4  # cepstra, one every 10 ms
MAX_OFFSET = 15  # frames by which the audio is shifted either way
MIN_FRAMES = 2 * MAX_OFFSET + WINDOW  # below it no window has a partner at every offset
CROP_MARGIN = 0.4  # of half the face box's side, on each side of the box
MEDIAN_FRAMES = 13  # of the filter over the face boxes
GREY = 110  # outside the image
BATCH = 16  # windows


class LseReport(TypedDict, total=False):
    """LSE-C, LSE-D and the video's delay in frames; None, with the reason, where they are absent."""

    estimator: str
    lse_c: float | None
    lse_d: float | None
    offset_frames: int
    reason: str


class SyncNet(nn.Module):
    """Embeddings [B, 1024] of 0.2 s of video and of audio; close where both belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_convolution(nn.Conv2d, 1, 64, 3, padding=1),
            nn.Identity(),
            *_convolution(nn.Conv2d, 64, 192, 3, padding=1),
            nn.MaxPool2d(3, stride=(1, 2)),
            *_convolution(nn.Conv2d, 192, 384, 3, padding=1),
            *_convolution(nn.Conv2d, 384, 256, 3, padding=1),
            *_convolution(nn.Conv2d, 256, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            *_convolution(nn.Conv2d, 256, 512, (5, 4)),
        )
        self.netcnnlip = nn.Sequential(
            *_convolution(nn.Conv3d, 3, 96, (WINDOW, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_convolution(nn.Conv3d, 96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_convolution(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_convolution(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_convolution(nn.Conv3d, 256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_convolution(nn.Conv3d, 256, 512, (1, 6, 6)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Embeddings [T − 4, 1024] of the windows in consecutive crops [3, T, 224, 224], BGR in 0–255."""
        return self.netfclip(rearrange(self.netcnnlip(frames[None]), "1 c t 1 1 -> t c"))

    def embed_audio(self, windows: Tensor) -> Tensor:
        """Embeddings [B, 1024] of windows [B, 13, 20] of `mfcc`."""
        return self.netfcaud(self.netcnnaud(windows[:, None]).flatten(1))


def _convolution(
    kind: Callable[..., nn.Module], before: int, after: int, kernel: int | tuple[int, ...], **options: Any
) -> list[nn.Module]:
    """A convolution (Conv2d or Conv3d) from `before` to `after` channels, its batch norm and ReLU."""
    norm = nn.BatchNorm3d if kind is nn.Conv3d else nn.BatchNorm2d
    return [kind(before, after, kernel, **options), norm(after), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def find_weights(folders: Iterable[Path]) -> Path | None:
    """SyncNet's weights in a models folder or in its subfolder `syncnet`; None without them."""
    places = (Path(folder) / sub / name for folder in folders for sub in ("syncnet", "") for name in WEIGHTS_NAMES)
    return next((place for place in places if place.is_file()), None)


def load(file: Path) -> SyncNet:
    """The network with weights from the released pickle, of which only tensors are read, or from safetensors.

    Raises:
        InputError: the file is missing, cannot be read, or holds other weights.
    """
    if not file.is_file():
        raise InputError(f"There are no SyncNet weights at {file}; check the path, or take them from {ADDRESS}.")
    net = SyncNet()
    weights.fill(net, weights.read(file, REMEDY), file, REMEDY)
    return net.eval().requires_grad_(False)


def face_boxes(landmarks: Sequence[Tensor | None], frames: np.ndarray) -> np.ndarray:
    """Face boxes of some frames, interpolated where there is no face, under a median filter through time.

    Args:
        landmarks: [478, 3] in pixels of each frame of the video, None without a face; at least one has a face.
        frames: numbers of the frames [N], ascending.

    Returns:
        Centre x, y and half the side, [N, 3], in pixels.
    """
    from scipy.ndimage import median_filter

    numbers, boxes = [], []
    for number, points in enumerate(landmarks):
        if points is not None:
            low, high = points[:468, :2].amin(0), points[:468, :2].amax(0)
            boxes.append([*((low + high) / 2).tolist(), float((high - low).max() / 2)])
            numbers.append(number)
    interpolated = np.stack([np.interp(frames, numbers, column) for column in np.array(boxes).T], 1)
    return median_filter(interpolated, size=(MEDIAN_FRAMES, 1), mode="nearest")


def face_crop(image: Tensor, box: Sequence[float] | np.ndarray) -> Tensor:
    """Crop of a face box with CROP_MARGIN at the sides and twice that below; grey outside the image.

    Args:
        image: uint8 [H, W, 3].
        box: centre x, y and half the side, in pixels.

    Returns:
        float [3, 224, 224], BGR in 0–255.
    """
    x, y, half = box
    top, left = int(np.floor(y - half)), int(np.floor(x - half * (1 + CROP_MARGIN)))
    bottom, right = int(np.floor(y + half * (1 + 2 * CROP_MARGIN))), int(np.floor(x + half * (1 + CROP_MARGIN)))
    height, width = image.shape[:2]
    inside = rearrange(image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)], "h w c -> c h w").float()
    edges = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
    crop = F.pad(inside, edges, value=GREY)
    return F.interpolate(crop[None], (CROP_SIZE, CROP_SIZE), mode="bilinear")[0].round().flip(0)


class Lse(NamedTuple):
    """LSE-C, LSE-D and the video's delay in frames."""

    confidence: float
    distance: float
    offset: int


def lse(video: Tensor, audio: Tensor) -> Lse:
    """Lip-sync error of embeddings [N, 1024] of the same instants.

    For each offset the mean distance of the video's embeddings to the audio's that much earlier or later, zeros
    before the beginning and after the end. D is the smallest of them, C the median minus the smallest.

    Args:
        video: embeddings of the video.
        audio: embeddings of the audio.
    """
    padded = F.pad(audio, (0, 0, MAX_OFFSET, MAX_OFFSET))
    distances = torch.stack(
        [F.pairwise_distance(video, padded[k : k + len(video)]).mean() for k in range(2 * MAX_OFFSET + 1)]
    )
    smallest, at = distances.min(0)
    return Lse(float(distances.median() - smallest), float(smallest), MAX_OFFSET - int(at))


@torch.no_grad()
def embeddings(net: SyncNet, crops: Iterable[Tensor], cepstra: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """Embeddings [count, 1024] of video and of audio, of the windows that begin at each of `count` frames.

    Args:
        net: SyncNet.
        crops: at least count + 4 of `face_crop`, at 25 frames a second.
        cepstra: of `mfcc`, at least 4 · count + 16 of them.
        count: number of windows.
    """
    device = host.current().device
    audio = torch.from_numpy(cepstra).to(device)
    video_parts, audio_parts = [], []
    crops = iter(crops)
    pending: list[Tensor] = []
    with host.current().load(net), host.current().progress(count, "SyncNet") as progress:
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            pending += islice(crops, size + WINDOW - 1 - len(pending))
            video_parts.append(net.embed_frames(torch.stack(pending, 1).to(device)).cpu())
            pending = pending[size:]
            begins = [LEVELS_PER_FRAME * i for i in range(start, start + size)]
            windows = [audio[:, begin : begin + LEVELS_PER_FRAME * WINDOW] for begin in begins]
            audio_parts.append(net.embed_audio(torch.stack(windows)).cpu())
            progress.update(size)
    return torch.cat(video_parts), torch.cat(audio_parts)


def lse_report(net: SyncNet, video: Clip, landmarks: Sequence[Tensor | None], wave: np.ndarray) -> LseReport:
    """LSE-C, LSE-D and the offset of a video, which is read once more, a batch at a time.

    Args:
        net: SyncNet.
        video: the video.
        landmarks: [478, 3] in pixels of each of its frames, None without a face.
        wave: its audio, [T] in ±1 at 16 kHz, at its own loudness.
    """
    seconds = min(Fraction(len(landmarks)) / video.fps, Fraction(len(wave), SAMPLE_RATE))
    count = int(seconds * FPS)
    # The frame on the screen in the middle of each of 25 frames a second.
    frames = np.array([int((i + Fraction(1, 2)) / FPS * video.fps) for i in range(count)], int)
    reason = None
    if count < MIN_FRAMES:
        reason = f"it needs {MIN_FRAMES / FPS} s of picture and sound, not {float(seconds):.2f} s"
    elif levels(wave).max() < SILENCE_DB:
        reason = "the sound is silent"
    elif sum(landmarks[i] is not None for i in frames) < count / 2:
        reason = "a face is seen in less than half of the frames"
    if reason is not None:
        return {"estimator": ESTIMATOR, "lse_c": None, "lse_d": None, "reason": reason}
    crops = _crops(video, frames, face_boxes(landmarks, frames))
    result = lse(*embeddings(net, crops, mfcc(wave), count - WINDOW))
    return {
        "estimator": ESTIMATOR,
        "lse_c": round(result.confidence, 3),
        "lse_d": round(result.distance, 3),
        "offset_frames": result.offset,
    }


def _crops(images: Iterable[Tensor], frames: np.ndarray, boxes: np.ndarray) -> Iterator[Tensor]:
    """Face crops of the given frames (ascending, repeats allowed), one at a time."""
    at = 0
    for number, image in enumerate(images):
        while at < len(frames) and frames[at] == number:
            yield face_crop(image, boxes[at])
            at += 1
