"""What a worker process does for a task, by its kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..mimaface_core.terminal import TerminalHost


def do_task(job: dict[str, Any]) -> dict[str, Any]:
    """Do a task, in a worker process.

    Args:
        job: as `Task.job` makes it.

    Returns:
        Nothing but that it is done.

    Raises:
        InputError: it refuses its input.
        OSError: a file cannot be read or written.
    """
    from ..mimaface_core import host

    with host.use(TerminalHost()):
        KINDS[job["task"]](**job["arguments"])
    return {}


def _person(data: str, seed: int, frames: int) -> None:
    from ..mimaface_core.training.data.dataset import make_person

    make_person(Path(data), seed, frames)


def _video(data: str, path: str, name: str, person: str, state: list[int], frames: int) -> None:
    from ..mimaface_core.training.data.video_folder import PersonVideo
    from ..mimaface_core.training.data.videos import make_video_samples

    video = PersonVideo(Path(path), name, person)
    if video.state() != state:
        raise OSError(f"{path} is another file on this machine, or has changed; share one folder.")
    make_video_samples(video, Path(data), frames, _tracker())


def _shard(path: str, samples: list[str]) -> None:
    from ..mimaface_core.training.data.shards import write_shard

    write_shard(Path(path), [Path(sample) for sample in samples])


def _score(**arguments: Any) -> None:
    from .scores import score_task

    score_task(**arguments)


@lru_cache
def _tracker() -> Any:
    from ..mimaface_core.face.detect import face_tracker

    return face_tracker()


KINDS: dict[str, Callable[..., None]] = {"person": _person, "video": _video, "shard": _shard, "score": _score}
