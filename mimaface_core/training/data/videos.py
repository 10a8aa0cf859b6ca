"""Training data from a user's videos: a source picture and a clip of one face, tracked, fitted and rendered as in use."""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ...face.crop import CROP_SIZE, crop_matrix, transform_points, warp
from ...face.detect import FaceTracker, face_tracker
from ...face.follow import choose_face, clip_landmarks
from ...packs.manifest import FACE_SHARE
from ..people.camera import from_jpeg, to_jpeg
from ..people.drawer import Sample
from ..people.inference import WEIGHT_SIDE, frame_weights, product_clip
from .dataset import save_sample
from .footage import Footage, find_footage

RECORDS = "videos"  # folder in the data: a file for each finished video
SKIPPED = "skipped.txt"
STRETCH = 125  # frames, at least, from which a source and a clip are taken: 5 s, in which a face stays in its square
CLIPS = 2  # clips of a stretch
CUT = 0.06  # mean difference of successive thumbnails, of the full range: heads reach 0.025, cuts 0.1 and more
THUMB = 32  # side of a thumbnail
ENLARGED = 4.0  # a face that must be enlarged further is too small to learn from
QUALITY = {"picture": 95, "render": 97}  # of the JPEGs

_log = logging.getLogger(__name__)


class Unusable(Exception):
    """Nothing can be learned from a video, or from one place of it; the text says why, without the name."""


@dataclass(frozen=True)
class VideoData:
    """What became of a folder's videos, in this and earlier runs.

    videos: how many there are. samples: how many were made of them. skipped: name and reason of each that gave none.
    """

    videos: int
    samples: int
    skipped: list[str]


def make_video_data(folder: Path, data: Path, part: tuple[int, int] = (0, 1), frames: int = 12) -> VideoData:
    """Make samples of every video below `folder` into `data`; what earlier runs finished is not read again.

    part: (number, of how many) processes that share the videos. frames: of a clip. A video that cannot be used is
    reported in one line, and listed in `data`/skipped.txt. Raises InputError when there are no videos, when none of
    them can be used, when no face tracker is installed, and when `data` cannot be written.
    """
    number, count = part
    if not 0 <= number < count:
        raise InputError(f"Part {number}/{count} does not exist; parts of {count} are 0 to {max(count - 1, 0)}.")
    footage = find_footage(folder)
    records = [_Record(data, video, frames) for video in footage]
    try:
        (data / RECORDS).mkdir(parents=True, exist_ok=True)
        missing = [record for record in records[number::count] if record.read() is None]
        tracker = face_tracker(host.current().models_folders()) if missing else None
        with host.current().progress(len(missing), "videos") as progress:
            for record in missing:
                _make(record, tracker, progress)
                progress.update()
        finished = [found for record in records if (found := record.read())]
        result = VideoData(
            len(records),
            sum(found["samples"] for found in finished),
            [f"{found['name']}: {found['skipped']}" for found in finished if found["skipped"]],
        )
        _replace(data / SKIPPED, "".join(f"{line}\n" for line in result.skipped))
    except OSError as error:
        raise InputError(
            f"{data} cannot be written ({error.strerror or error}); make room, or choose another folder, and start "
            "again: finished videos are kept."
        ) from error
    if len(finished) == len(footage) and not result.samples:
        raise InputError(
            f"{folder} has no usable video ({len(footage)} tried); {data / SKIPPED} says why, beginning with "
            + result.skipped[0]
        )
    return result


class _Record:
    """What is known of one video in the data folder; it is written when the video is finished."""

    def __init__(self, data: Path, video: Footage, frames: int) -> None:
        self.video, self.frames = video, frames
        self._state = [*video.state(), frames]
        key = sha256(video.name.encode()).hexdigest()[:10]
        # no dots: readers of tar files take what stands before the first one as the sample's name
        self._stem = re.sub(r"\W+", "-", video.name, flags=re.ASCII)[-80:].strip("-") + "-" + key
        self._data, self._path = data, data / RECORDS / f"{self._stem}.json"

    def read(self) -> dict | None:
        """name, samples (how many) and skipped (why, or "").

        None when the video is new, unfinished or has changed, or when one of its samples is gone.
        """
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # the latter where a power cut has left an empty file
            return None
        whole = all(self.sample(number).is_file() for number in range(found["samples"]))
        return found if whole and found["state"] == self._state else None

    def sample(self, number: int) -> Path:
        """Where sample `number` of the video lies."""
        return self._data / f"{self._stem}-{number:05d}.safetensors"

    def clear(self) -> None:
        """Remove what an unfinished run, or another state of the video, has left."""
        for path in self._data.glob(f"{self._stem}-*"):
            path.unlink()

    def write(self, samples: int, skipped: str) -> None:
        record = {"name": self.video.name, "samples": samples, "skipped": skipped, "state": self._state}
        _replace(self._path, json.dumps(record))


def _replace(path: Path, text: str) -> None:
    """Write a small file that appears only when complete, also where other processes write the same."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _make(record: _Record, tracker: FaceTracker, progress: host.Progress) -> None:
    """Make all samples of one video, and its record."""
    from safetensors import SafetensorError

    record.clear()
    video, made, reasons = record.video, 0, Counter()
    try:
        progress.label = f"{video.name}, looking for cuts; videos"
        chosen = choose(_read(video, progress), record.frames, video.name)
        for number, pictures in enumerate(gather(_read(video, progress), chosen)):
            progress.label = f"{video.name}, clip {number + 1} of {len(chosen)}; videos"
            try:
                sample = video_sample(pictures[0], pictures[1:], tracker)
                save_sample(record.sample(made), sample, person=video.person, kind="video")
                made += 1
            except Unusable as reason:
                reasons[str(reason)] += 1
            except SafetensorError as error:  # how it says that the disk is full
                raise OSError(str(error)) from error
    except Unusable as reason:
        reasons[str(reason)] += 1
    skipped = "" if made else reasons.most_common(1)[0][0]
    if skipped:
        _log.warning("%s is skipped: %s", video.name, skipped)
    record.write(made, skipped)


def _read(video: Footage, progress: host.Progress) -> Iterator[Tensor]:
    """The video's frames, each shown by `progress`; what cannot be read at all is Unusable."""
    try:
        for frame in video.frames():
            progress.update(0)
            yield frame
    except InputError as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror or error}); check the disk and who may read it.") from error


def choose(pictures: Iterable[Tensor], frames: int, name: str) -> list[list[int]]:
    """Numbers of the pictures (uint8 [H, W, 3]) of every sample, the source's first; the video's name is the seed.

    Raises Unusable when there are too few.
    """
    rng = np.random.default_rng(list(sha256(name.encode()).digest()))
    shots, chosen = list(find_shots(pictures)), []
    for shot in shots:
        bounds = np.linspace(shot.start, shot.stop, max(1, len(shot) // STRETCH) + 1).round().astype(int)
        for start, stop in pairwise(bounds.tolist()):
            clips = min(CLIPS, (stop - start) // (frames + 1))
            for low, high in pairwise(np.linspace(start, stop, clips + 1).round().astype(int).tolist()):
                first = int(rng.integers(low, high - frames + 1))
                clip = range(first, first + frames)
                elsewhere = [number for number in range(start, stop) if number not in clip]
                chosen.append([int(rng.choice(elsewhere)), *clip])
    if not chosen:
        longest = max((len(shot) for shot in shots), default=0)
        raise Unusable(f"it is too short; {frames + 1} frames in one piece are needed, it has {longest}.")
    return chosen


def find_shots(frames: Iterable[Tensor]) -> Iterator[range]:
    """The numbers of frames (uint8 [H, W, 3]) that follow each other without a cut."""
    start, number, last, shape = 0, -1, None, None
    for number, frame in enumerate(frames):
        rows, columns = (torch.linspace(0, side - 1, THUMB).long() for side in frame.shape[:2])
        thumb = frame[rows][:, columns].float() / 255
        if last is not None and (frame.shape != shape or (thumb - last).abs().mean() > CUT):
            yield range(start, number)
            start = number
        last, shape = thumb, frame.shape
    if last is not None:
        yield range(start, number + 1)


def gather(frames: Iterable[Tensor], chosen: list[list[int]]) -> Iterator[list[Tensor]]:
    """The frames of every list of numbers, in the lists' order, read once; only what is still needed is kept.

    Raises Unusable when frames are missing.
    """
    needed = Counter(chain.from_iterable(chosen))
    waiting, held = deque(sorted(chosen, key=max)), {}
    for number, frame in enumerate(frames):
        if number in needed:
            held[number] = frame
        while waiting and max(waiting[0]) <= number:
            numbers = waiting.popleft()
            yield [held[one] for one in numbers]
            needed.subtract(numbers)
            held = {one: picture for one, picture in held.items() if needed[one]}
        if not waiting:
            return
    raise Unusable("it has changed while it was read; start again.")


def video_sample(source: Tensor, clip: list[Tensor], tracker: FaceTracker) -> Sample:
    """The sample of a source picture and a clip, all uint8 [H, W, 3] of one size and of one person.

    The square that is cut out for the source stays where it is for the clip; what lies beyond the frames has no weight.
    Raises Unusable.
    """
    faces = tracker.still(source.numpy())
    found = clip_landmarks(clip, tracker) if faces else [None]
    if any(points is None for points in found):
        raise Unusable("no face is seen long enough; use videos that show one face from the front.")
    points = torch.from_numpy(choose_face(faces, -1))
    matrix = crop_matrix(points, FACE_SHARE)
    if matrix[0, 0] > ENLARGED:
        least = round(FACE_SHARE * CROP_SIZE / ENLARGED)
        raise Unusable(f"its face is too small; {least} pixels high or wide are needed.")
    landmarks = torch.stack([transform_points(matrix, one) for one in (points, *found)])
    face = landmarks[1:, :468, :2]
    if face.min() < 0 or face.max() > CROP_SIZE:
        raise Unusable("its face moves too far; it must stay within about a face's width.")
    files = [_cut_out(frame, matrix) for frame in (source, *clip)]
    motion, renders = product_clip(from_jpeg(files[0]).float() / 127.5 - 1, landmarks)
    drawn = [to_jpeg((render + 1) / 2, QUALITY["render"]) for render in renders]
    weight = frame_weights(landmarks[1:]) * _covered(matrix, *source.shape[:2])
    return Sample(files[0], files[1:], drawn, motion.motion, (32 * weight).byte())


def _cut_out(frame: Tensor, matrix: Tensor) -> bytes:
    """The crop of a frame as JPEG."""
    return to_jpeg(warp(frame.permute(2, 0, 1).float() / 255, matrix), QUALITY["picture"])


def _covered(matrix: Tensor, height: int, width: int) -> Tensor:
    """Where the crop shows the frame [64, 64], and not what stands in beyond the frame's border."""
    low, high = transform_points(matrix, torch.tensor([[0.0, 0.0], [width, height]]))
    place = (torch.arange(WEIGHT_SIDE) + 0.5) * CROP_SIZE / WEIGHT_SIDE
    columns, rows = ((place > first) & (place < last) for first, last in zip(low, high))
    return rows[:, None] & columns
