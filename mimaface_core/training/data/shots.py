"""Choice of a video's frames for samples: shots without a cut, a source and a clip from one stretch of a shot."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor

STRETCH_FRAMES = 125  # at least, of a stretch: 5 s, in which a face stays in its crop
CLIPS_PER_STRETCH = 2
CUT_DIFFERENCE = 0.06  # mean difference of successive thumbnails in 0–1: heads reach 0.025, cuts 0.1 and more
THUMBNAIL_SIDE = 32  # pixels


class Unusable(Exception):
    """A video, or one place of it, cannot be used; the text is the reason without the video's name."""


def choose_frames(frames: Iterable[Tensor], clip_frames: int, name: str) -> list[list[int]]:
    """Choose the frames of every sample.

    Args:
        frames: uint8 [H, W, 3], of the whole video.
        clip_frames: of a sample's clip.
        name: of the video, which seeds the choice.

    Returns:
        Frame numbers of each sample, 1 + clip_frames of them, the source's first.

    Raises:
        Unusable: no shot is long enough.
    """
    rng = np.random.default_rng(list(sha256(name.encode()).digest()))
    shots, samples = list(find_shots(frames)), []
    for shot in shots:
        bounds = np.linspace(shot.start, shot.stop, max(1, len(shot) // STRETCH_FRAMES) + 1).round().astype(int)
        for start, stop in pairwise(bounds.tolist()):
            clips = min(CLIPS_PER_STRETCH, (stop - start) // (clip_frames + 1))
            for low, high in pairwise(np.linspace(start, stop, clips + 1).round().astype(int).tolist()):
                first = int(rng.integers(low, high - clip_frames + 1))
                clip = range(first, first + clip_frames)
                elsewhere = [number for number in range(start, stop) if number not in clip]
                samples.append([int(rng.choice(elsewhere)), *clip])
    if not samples:
        longest = max((len(shot) for shot in shots), default=0)
        raise Unusable(f"it is too short; {clip_frames + 1} frames in one piece are needed, it has {longest}.")
    return samples


def find_shots(frames: Iterable[Tensor]) -> Iterator[range]:
    """Frame numbers of each shot: frames (uint8 [H, W, 3]) that follow one another without a cut."""
    start, number = 0, -1
    last: Tensor | None = None
    shape: torch.Size | None = None
    for number, frame in enumerate(frames):
        rows, columns = (torch.linspace(0, side - 1, THUMBNAIL_SIDE).long() for side in frame.shape[:2])
        thumbnail = frame[rows][:, columns].float() / 255
        if last is not None and (frame.shape != shape or (thumbnail - last).abs().mean() > CUT_DIFFERENCE):
            yield range(start, number)
            start = number
        last, shape = thumbnail, frame.shape
    if last is not None:
        yield range(start, number + 1)


def gather(frames: Iterable[Tensor], samples: list[list[int]]) -> Iterator[list[Tensor]]:
    """Frames of every sample, from one pass over the video; only frames that are still needed stay in memory.

    Args:
        frames: of the whole video.
        samples: frame numbers of each sample.

    Yields:
        The sample's frames in the order of its numbers; samples come in the order of their last frames.

    Raises:
        Unusable: the video ends before the last sample.
    """
    needed = Counter(chain.from_iterable(samples))
    waiting, held = deque(sorted(samples, key=max)), {}
    for number, frame in enumerate(frames):
        if number in needed:
            held[number] = frame
        while waiting and max(waiting[0]) <= number:
            numbers = waiting.popleft()
            yield [held[one] for one in numbers]
            needed.subtract(numbers)
            held = {one: image for one, image in held.items() if needed[one]}
        if not waiting:
            return
    raise Unusable("it has changed while it was read; start again.")
