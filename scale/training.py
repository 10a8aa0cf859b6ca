"""Training data made by workers: a task for each synthetic person, or for each of the user's videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..mimaface_core.terminal import TerminalHost
from ..mimaface_core.training.data.dataset import make_data, sample_path
from ..mimaface_core.training.data.shards import write_shards
from ..mimaface_core.training.data.video_folder import PersonVideo
from ..mimaface_core.training.data.videos import CLIP_FRAMES, make_video_data, video_record
from ..mimaface_core.training.recipe import Share
from .members import CrewOptions
from .pairs import Fault
from .tasks import Task, require_all, run_tasks

STATE = ".mimaface-train"  # the folder of the workers' logs in the data folder


def make_people(data: Path, people: int, frames: int, share: Share, options: CrewOptions, host: TerminalHost) -> None:
    """Make the synthetic samples that do not exist yet.

    Args:
        data: folder of the samples.
        people: number of samples.
        frames: of a clip.
        share: number of this command, and of all that share the samples.
        options: who makes them.
        host: shows the progress.

    Raises:
        InputError: workers or folder cannot be used, or samples could not be made.
        Cancelled: the user stops it.
    """
    data = data.absolute()
    faults: list[Fault] = []

    def make(seeds: Sequence[int]) -> None:
        tasks = [
            Task(
                f"person {seed}", "person", {"data": str(data), "seed": seed, "frames": frames}, sample_path(data, seed)
            )
            for seed in seeds
        ]
        faults.extend(run_tasks(tasks, options, *_state(data, share), host))

    make_data(data, range(share[0], people, share[1]), frames, make)
    require_all(faults, "people")


def make_videos(folder: Path, data: Path, share: Share, options: CrewOptions, host: TerminalHost) -> None:
    """Make samples of every video below a folder, as `make_video_data`.

    Args:
        folder: of the videos.
        data: folder of the samples.
        share: number of this command, and of all that share the videos.
        options: who makes them.
        host: shows the progress.

    Raises:
        InputError: as `make_video_data`, or workers cannot be used, or ended with a video.
        Cancelled: the user stops it.
    """
    data = data.absolute()
    faults: list[Fault] = []

    def make(videos: Sequence[PersonVideo]) -> None:
        tasks = [_video_task(data, video) for video in videos]
        faults.extend(run_tasks(tasks, options, *_state(data, share), host))

    make_video_data(folder, data, share, CLIP_FRAMES, make)
    require_all(faults, "videos")


def make_shards(data: Path, output: Path, count: int, options: CrewOptions, host: TerminalHost) -> None:
    """Write samples into shards, as `write_shards`.

    Args:
        data: folder of the samples.
        output: folder of the shards.
        count: samples in a shard.
        options: who writes them.
        host: shows the progress.

    Raises:
        InputError: as `write_shards`, or workers cannot be used, or ended with a shard.
        Cancelled: the user stops it.
    """
    output = output.absolute()

    def write(shards: Sequence[tuple[Path, Sequence[Path]]]) -> None:
        tasks = [
            Task(path.name, "shard", {"path": str(path), "samples": [str(file) for file in files]}, path)
            for path, files in shards
        ]
        require_all(run_tasks(tasks, options, output / STATE, f"--shards {output}", host), "shards")

    write_shards(data.absolute(), output, count, write)


def _video_task(data: Path, video: PersonVideo) -> Task:
    arguments: dict[str, Any] = {"path": str(video.path.absolute()), "name": video.name, "person": video.person}
    arguments |= {"data": str(data), "state": video.state(), "frames": CLIP_FRAMES}
    return Task(video.name, "video", arguments, video_record(video, data, CLIP_FRAMES))


def _state(data: Path, share: Share) -> tuple[Path, str]:
    """The folder of the workers' logs, one for each share, and the option that named the data's folder."""
    return data / STATE / f"part-{share[0]}-of-{share[1]}", f"--data {data}"
