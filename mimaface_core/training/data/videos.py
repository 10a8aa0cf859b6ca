"""Training samples from a user's videos: tracked, fitted and rendered as in inference."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ... import host
from ...errors import InputError
from ...face.crop import CROP_SIZE, crop_matrix, transform_points, warp
from ...face.detect import FaceTracker, face_tracker
from ...face.follow import choose_face, clip_landmarks
from ...files import read_json, replacing
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...packs.manifest import FACE_SHARE
from ...tensors import invert_affine, to_float
from ..people.camera import to_jpeg
from ..people.inference import WEIGHT_PIXELS, loss_weights
from ..people.synthesis import Sample, complete_sample
from .dataset import save_sample
from .shots import Unusable, choose_frames, gather
from .video_folder import PersonVideo, find_videos

RECORDS = "videos"  # folder in the data: a file for each finished video
SKIPPED = "skipped.txt"
CLIP_FRAMES = 12  # of a sample
MAX_ENLARGEMENT = 4.0  # of a face; smaller ones have too little detail
JPEG_QUALITY = 95  # of source and targets

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoData:
    """Outcome for a folder's videos, of this and earlier runs.

    Attributes:
        videos: number of videos.
        samples: number of samples made of them.
        skipped: name and reason of each video that gave none.
    """

    videos: int
    samples: int
    skipped: list[str]


def make_video_data(
    folder: Path,
    data: Path,
    part: tuple[int, int] = (0, 1),
    frames: int = CLIP_FRAMES,
    make: Callable[[Sequence[PersonVideo]], None] | None = None,
) -> VideoData:
    """Make samples of every video below a folder; videos that earlier runs finished are not read again.

    A video that cannot be used is reported in one line, and listed in `data`/skipped.txt.

    Args:
        folder: of the videos.
        data: folder of the samples.
        part: number of this process, and how many processes share the videos.
        frames: of a clip.
        make: makes the samples of these videos, as `make_video_samples` does; one after another here when None.

    Returns:
        Outcome for all videos, those of other processes included.

    Raises:
        InputError: there are no videos, none can be used, no face tracker is installed, or `data` cannot be written.
    """
    number, count = part
    if not 0 <= number < count:
        raise InputError(f"Part {number}/{count} does not exist; parts of {count} are 0 to {max(count - 1, 0)}.")
    records = [_Record(data, video, frames) for video in find_videos(folder)]
    try:
        (data / RECORDS).mkdir(parents=True, exist_ok=True)
        missing = [record.video for record in records[number::count] if record.read() is None]
        if missing:
            (make or (lambda videos: _make_here(videos, data, frames)))(missing)
        finished = [outcome for record in records if (outcome := record.read())]
        skipped = [f"{outcome.name}: {outcome.skipped}" for outcome in finished if outcome.skipped]
        _write_text(data / SKIPPED, "".join(f"{line}\n" for line in skipped))
    except OSError as error:
        raise InputError(
            f"{data} cannot be written ({error.strerror or error}); make room, or choose another folder, and start "
            "again: finished videos are kept."
        ) from error
    result = VideoData(len(records), sum(outcome.samples for outcome in finished), skipped)
    if len(finished) == len(records) and not result.samples:
        raise InputError(
            f"{folder} has no usable video ({len(records)} tried); {data / SKIPPED} has the reasons, the first is "
            + skipped[0]
        )
    return result


@dataclass(frozen=True)
class _Outcome:
    """Outcome for one video: its name, number of samples, and the reason why there are none, or ""."""

    name: str
    samples: int
    skipped: str


class _Record:
    """Record of one finished video in the data folder.

    Args:
        data: folder of the samples.
        video: the video.
        frames: of a clip.
    """

    def __init__(self, data: Path, video: PersonVideo, frames: int) -> None:
        self.video, self.frames = video, frames
        self._state = [*video.state(), frames]
        self._data, self.path = data, data / RECORDS / f"{self.video.stem}.json"

    def read(self) -> _Outcome | None:
        """Outcome of an earlier run; None when the video is new, unfinished or has changed, or a sample is gone."""
        try:
            record = read_json(self.path)
            complete = all(self.sample_path(number).is_file() for number in range(record["samples"]))
            if not complete or record["state"] != self._state:
                return None
            return _Outcome(record["name"], record["samples"], record["skipped"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # a power cut may have left an empty file
            return None

    def sample_path(self, number: int) -> Path:
        """Path of the video's sample `number`."""
        return self._data / f"{self.video.stem}-{number:05d}.safetensors"

    def clear(self) -> None:
        """Remove the samples of an unfinished run, or of another state of the video."""
        for path in self._data.glob(f"{self.video.stem}-*"):
            path.unlink()

    def write(self, samples: int, skipped: str) -> None:
        """Mark the video as finished."""
        outcome = _Outcome(self.video.name, samples, skipped)
        _write_text(self.path, json.dumps({**asdict(outcome), "state": self._state}))


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def video_record(video: PersonVideo, data: Path, frames: int) -> Path:
    """The file by which a video counts as finished."""
    return _Record(data, video, frames).path


def make_video_samples(video: PersonVideo, data: Path, frames: int, tracker: FaceTracker) -> None:
    """Make all samples of one video, and its record.

    Args:
        video: the video.
        data: folder of the samples, where the records' folder is.
        frames: of a clip.
        tracker: of faces.

    Raises:
        OSError: `data` cannot be written.
    """
    with host.current().progress(1, "videos") as progress:
        _make_samples(_Record(data, video, frames), tracker, progress)


def _make_here(videos: Sequence[PersonVideo], data: Path, frames: int) -> None:
    tracker = face_tracker()
    with host.current().progress(len(videos), "videos") as progress:
        for video in videos:
            _make_samples(_Record(data, video, frames), tracker, progress)
            progress.update()


def _make_samples(record: _Record, tracker: FaceTracker, progress: host.Progress) -> None:
    """Make all samples of one video, and its record."""
    from safetensors import SafetensorError

    record.clear()
    video, count = record.video, 0
    reasons: Counter[str] = Counter()
    try:
        progress.label = f"{video.name}, looking for cuts; videos"
        samples = choose_frames(_frames(video, progress), record.frames, video.name)
        for number, (source, *clip) in enumerate(gather(_frames(video, progress), samples)):
            progress.label = f"{video.name}, clip {number + 1} of {len(samples)}; videos"
            try:
                sample = video_sample(source, clip, tracker)
                save_sample(record.sample_path(count), sample, person=video.person, kind="video")
                count += 1
            except Unusable as reason:
                reasons[str(reason)] += 1
            except SafetensorError as error:  # raised on a full disk
                raise OSError(str(error)) from error
    except Unusable as reason:
        reasons[str(reason)] += 1
    skipped = "" if count else reasons.most_common(1)[0][0]
    if skipped:
        _log.warning("%s is skipped: %s", video.name, skipped)
    record.write(count, skipped)


def _frames(video: PersonVideo, progress: host.Progress) -> Iterator[Tensor]:
    """Frames of a video, each with an update of `progress`; a video that cannot be read is Unusable."""
    try:
        for frame in video.frames():
            progress.update(0)
            yield frame
    except InputError as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror or error}); check the disk and who may read it.") from error


def video_sample(source: Tensor, clip: list[Tensor], tracker: FaceTracker) -> Sample:
    """Sample of a source image and a clip; the source's crop stays in place for the clip.

    Args:
        source: uint8 [H, W, 3].
        clip: N frames of the same size and person.
        tracker: of faces.

    Returns:
        Sample whose weights are 0 beyond the frames' border.

    Raises:
        Unusable: the face is lost, too small or moves too far.
    """
    faces = tracker.still(source.numpy())
    tracked = clip_landmarks(clip, tracker) if faces else []
    visible = [points for points in tracked if points is not None]
    if not faces or len(visible) < len(clip):
        raise Unusable("no face is visible long enough; use videos that show one face from the front.")
    points = torch.from_numpy(choose_face(faces, -1).landmarks)
    matrix = crop_matrix(points, FACE_SHARE)
    if matrix[:, :2].det().sqrt() > MAX_ENLARGEMENT:
        smallest = round(FACE_SHARE * CROP_SIZE / MAX_ENLARGEMENT)
        raise Unusable(f"its face is too small; {smallest} pixels high or wide are needed.")
    landmarks = torch.stack([transform_points(matrix, frame_points) for frame_points in (points, *visible)])
    face = landmarks[1:, :FACE_POINTS, :2]
    if face.min() < 0 or face.max() > CROP_SIZE:
        raise Unusable("its face moves too far; it must stay within about a face's width.")
    files = [_crop_jpeg(frame, matrix) for frame in (source, *clip)]
    weights = loss_weights(landmarks[1:]) * _inside_frame(matrix, *source.shape[:2])
    return complete_sample(files, landmarks, weights)


def _crop_jpeg(frame: Tensor, matrix: Tensor) -> bytes:
    """JPEG file of the crop of a frame uint8 [H, W, 3]."""
    return to_jpeg(warp(to_float(rearrange(frame, "h w c -> c h w")), matrix), JPEG_QUALITY)


def _inside_frame(matrix: Tensor, height: int, width: int) -> Tensor:
    """Bool [64, 64]: places of the crop that the frame covers."""
    centres = (torch.arange(WEIGHT_PIXELS) + 0.5) * CROP_SIZE / WEIGHT_PIXELS
    places = transform_points(invert_affine(matrix), torch.cartesian_prod(centres, centres).flip(1))
    inside = ((places > 0) & (places < torch.tensor([width, height]))).all(1)
    return inside.view(WEIGHT_PIXELS, WEIGHT_PIXELS)
