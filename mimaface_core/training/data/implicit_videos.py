"""Training data of IF-MDM from a user's videos: people in motion for stage 1, and those who are heard for stage 2."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...audio.speech import Speech
from ...audio.voice.net import VoiceNet
from ...errors import InputError
from ...face.crop import crop_matrix, transform_points, warp
from ...face.detect import FaceTracker, face_tracker
from ...face.extract_by_fit import FitExtractor
from ...face.follow import follow
from ...implicit.motion import RATE, ImplicitMotion
from ...implicit.voice_features import voice_features
from ...media.audio import AudioFile
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...packs.manifest import FACE_SHARE
from ...tensors import to_float
from ...tracker.face import Face
from .implicit_clips import ImplicitClip, clip_of
from .implicit_codes import motion_codes
from .implicit_speech import LOWEST_FRAMES, SpokenMotion
from .video_folder import PersonVideo, find_videos

CLIP_SECONDS = 8.0  # of a video, for each of which there is a clip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Followed:
    """A face that a video shows without a cut.

    Attributes:
        start: its first frame.
        landmarks: [N, 478, 3] in pixels of the video.
        codes: [N, 20], of the crop whose map from the video is `matrix` [2, 3].
    """

    start: int
    landmarks: Tensor
    codes: Tensor
    matrix: Tensor


def make_video_moves(
    folder: Path, moves: Path, spoken: Path, frames: int, size: int, net: VoiceNet, part: tuple[int, int] = (0, 1)
) -> None:
    """Make the clips and the spoken motions that do not exist yet, of every video below a folder.

    A video that cannot be used is named in a logged warning.

    Args:
        folder: of the videos.
        moves: folder of the clips, one for each CLIP_SECONDS.
        spoken: folder of the spoken motions, one for each video with a voice.
        frames: images of a clip.
        size: side of the images in pixels.
        net: hears the voices.
        part: number of this process, and of all that share the videos.

    Raises:
        InputError: there are no videos.
    """
    videos = find_videos(folder)[part[0] :: part[1]]
    for place in (moves, spoken):
        place.mkdir(parents=True, exist_ok=True)
    tracker = face_tracker()
    with host.current().progress(len(videos), "videos of people in motion") as progress:
        for video in videos:
            stem = f"video-{video.stem}"
            if not (moves / f"{stem}-000.safetensors").is_file():
                try:
                    followed = follow_longest(video, tracker, frames)
                    heard = spoken_in(video, followed, net)
                    if heard is not None:
                        heard.save(spoken / f"{stem}.safetensors")
                    for number, clip in reversed(list(enumerate(clips_of(video, followed, frames, size)))):
                        clip.save(moves / f"{stem}-{number:03d}.safetensors")
                except InputError as error:
                    _log.warning("%s is skipped: %s", video.name, error)
            progress.update()


def follow_longest(video: PersonVideo, tracker: FaceTracker, least: int) -> Followed:
    """The face of a video in the longest run of frames that show it without a cut.

    Raises:
        InputError: the video cannot be read, or that run has fewer than `least` frames.
    """
    seen: list[tuple[Tensor, Face | None]] = []
    shots: list[int | None] = []  # of each frame; None without a face
    for found in follow(video.frames(), tracker):
        shots.append(None if found.landmarks is None else found.shot)
        seen.append((torch.empty(0) if found.landmarks is None else found.landmarks, found.face))
    runs = [list(run) for _, run in groupby(range(len(shots)), key=shots.__getitem__)]
    longest = max((run for run in runs if shots[run[0]] is not None), key=len, default=[])
    if len(longest) < least:
        raise InputError(f"it shows a face in {len(longest)} frames in a row at most; {least} are needed.")
    clip = FitExtractor(bundled_face(), FACE_SHARE).clip()
    for index in longest:
        landmarks, face = seen[index]
        clip.add(None, landmarks, face=face)
    points = torch.stack([seen[index][0] for index in longest])
    codes = motion_codes(clip.track(video.frames().fps))
    return Followed(longest[0], points, codes, crop_matrix(points.median(0).values, FACE_SHARE))


def clips_of(video: PersonVideo, followed: Followed, frames: int, size: int) -> list[ImplicitClip]:
    """Clips of random frames of a video, one for each CLIP_SECONDS; the same each time."""
    count, fps = len(followed.codes), float(video.frames().fps)
    rng = np.random.default_rng(int(sha256(video.name.encode()).hexdigest()[:12], 16))
    chosen = [np.sort(rng.choice(count, frames, replace=False)) for _ in range(max(1, int(count / fps / CLIP_SECONDS)))]
    wanted = {int(index) for rows in chosen for index in rows}
    crops = {}
    for number, frame in enumerate(video.frames()):
        index = number - followed.start
        if index in wanted:
            crops[index] = warp(to_float(frame).permute(2, 0, 1), followed.matrix)
        if index >= max(wanted):
            break
    points = torch.stack([transform_points(followed.matrix, points) for points in followed.landmarks])[:, :FACE_POINTS]
    result = []
    for rows in chosen:
        kept = [int(index) for index in rows if int(index) in crops]
        result.append(clip_of(torch.stack([crops[i] for i in kept]), followed.codes[kept], points[kept], size))
    return result


def spoken_in(video: PersonVideo, followed: Followed, net: VoiceNet) -> SpokenMotion | None:
    """The motion of someone who is heard, at 25 frames a second; None without a voice, or where it is too short."""
    audio = None if video.path.is_dir() else AudioFile.open(video.path)
    if audio is None:
        return None
    fps = video.frames().fps
    codes = ImplicitMotion(followed.codes, fps).resample(RATE).codes
    speech = torch.cat(list(voice_features(Speech.of(audio), net)))
    speech = speech[2 * round(followed.start * RATE / fps) :]
    count = min(len(codes), len(speech) // 2)
    return SpokenMotion(speech[: 2 * count], codes[None, :count]) if count >= LOWEST_FRAMES else None
