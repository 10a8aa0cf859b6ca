"""Finished clips of a run on the disk, by which an interrupted one resumes with the same frames."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..files import replacing
from ..media.read import Clip
from ..media.write import VideoWriter
from ..process_mark import ProcessMark
from ..tensors import to_float, to_uint8

KEEP_SECONDS = 2.0  # of drawing, whose clips are kept together
MOST_RUNS = 3  # interrupted runs that are kept for later
_RATE = 25  # frames a second of the kept files, which means nothing
_STATE, _OWNER = "state.safetensors", "owner"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopState:
    """What the next clip needs to know of those before.

    Attributes:
        clips: number of clips that are finished.
        latents: of the last one, [1, C, F, h, w].
        carried: latents of its last k renders, [k, C, h, w]; no numbers where they were not encoded.
        sampling: state of the generator that the autoencoder draws from.
    """

    clips: int
    latents: Tensor
    carried: Tensor
    sampling: Tensor


class KeptClips:
    """Finished clips in a folder of their own; made by `kept_clips`.

    Frames lie in lossless files, a few clips in each; then the state behind the last one replaces the one before. What
    was being written when the process was killed does not count.

    Args:
        folder: exists.
        moved: stands for what the first so many frames were drawn from; with another one, what is kept is dropped.

    Attributes:
        state: behind the last clip that is kept; None where there is none.
        frames: number of frames that are kept.
    """

    def __init__(self, folder: Path, moved: Callable[[int], str]) -> None:
        self.folder, self._moved = folder, moved
        self.state: LoopState | None = None
        self.frames = self._files = 0
        self._waiting: list[Tensor] = []
        self._saved_at = time.monotonic()
        self._full = False
        self._read_state()

    def drawn(self) -> Iterator[Tensor]:
        """The kept frames in order, [n, 3, H, W] in ±1, rounded to 8 bits.

        Raises:
            InputError: the files are damaged.
        """
        count = 0
        for number in range(self._files):
            try:
                frames = torch.stack(list(Clip.open(self._file(number))))
            except InputError:
                break
            count += len(frames)
            yield to_float(frames).permute(0, 3, 1, 2) * 2 - 1
        if count != self.frames:
            raise InputError(f"The finished clips in {self.folder} are damaged; delete that folder and run again.")

    def add(self, frames: Tensor, state: LoopState) -> None:
        """Keep a finished clip.

        Where the disk is full, a warning is logged, and what comes later is not kept.

        Args:
            frames: [n, 3, H, W] in ±1.
            state: behind it.
        """
        if self._full:
            return
        self._waiting.append(to_uint8((frames.permute(0, 2, 3, 1) + 1) / 2).cpu())
        if time.monotonic() - self._saved_at < KEEP_SECONDS:
            return
        from safetensors import SafetensorError

        try:
            self._write(torch.cat(self._waiting), state)
        except (InputError, OSError, SafetensorError) as error:
            _log.warning("Finished clips are not kept for a later run: %s", error)
            self._full = True
        self._waiting = []
        self._saved_at = time.monotonic()

    def _write(self, frames: Tensor, state: LoopState) -> None:
        from safetensors.torch import save_file

        with VideoWriter(self._file(self._files), _RATE, "lossless") as writer:
            for frame in frames:
                writer.write(frame)
        total = self.frames + len(frames)
        numbers = {"clips": state.clips, "frames": total, "files": self._files + 1}
        tensors = {name: getattr(state, name).cpu().contiguous() for name in ("latents", "carried", "sampling")}
        with replacing(self.folder / _STATE) as part:
            save_file(
                tensors, part, {name: str(value) for name, value in numbers.items()} | {"moved": self._moved(total)}
            )
        self.frames, self._files = numbers["frames"], numbers["files"]

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.mov"

    def _read_state(self) -> None:
        """Take up what is kept; what cannot be read counts as nothing."""
        from safetensors import SafetensorError, safe_open

        with contextlib.suppress(OSError, SafetensorError, ValueError, KeyError):
            with safe_open(str(self.folder / _STATE), "pt") as file:
                notes = file.metadata() or {}
                numbers = {name: int(notes[name]) for name in ("clips", "frames", "files")}
                tensors = {name: file.get_tensor(name) for name in ("latents", "carried", "sampling")}
            whole = all(self._file(number).is_file() for number in range(numbers["files"]))
            if whole and notes["moved"] == self._moved(numbers["frames"]):
                self.state = LoopState(numbers["clips"], **tensors)
                self.frames, self._files = numbers["frames"], numbers["files"]


@contextmanager
def kept_clips(
    parent: Path, key: str, resume: bool = True, moved: Callable[[int], str] = lambda _frames: ""
) -> Iterator[KeptClips | None]:
    """A context with the kept clips of a run: gone when it ends well, there for the next equal run when it does not.

    Of interrupted runs, the latest MOST_RUNS stay.

    Args:
        parent: the folder of all interrupted runs; made where it is missing.
        key: stands for everything that decides the run's frames.
        resume: whether what is kept is taken up, or dropped.
        moved: what the key does not know: a text for what the first so many frames are drawn from.

    Yields:
        The clips; None where the folder cannot be written, or another process draws the same.
    """
    folder = parent / key
    mark = ProcessMark(folder / _OWNER)
    try:
        if not resume and mark.holder() is None:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        taken = mark.take()
    except OSError as error:
        _log.warning("Finished clips are not kept for a later run: %s", error)
        taken = False
    if not taken:
        yield None
        return
    kept, over = KeptClips(folder, moved), False
    try:
        yield kept
        over = True
    finally:
        if over or not kept.frames:
            shutil.rmtree(folder, ignore_errors=True)
        mark.release()
        _forget_oldest(parent)


def _forget_oldest(parent: Path) -> None:
    with contextlib.suppress(OSError):
        runs = [run for run in parent.iterdir() if run.is_dir() and ProcessMark(run / _OWNER).holder() is None]
        for run in sorted(runs, key=os.path.getmtime)[:-MOST_RUNS]:
            shutil.rmtree(run, ignore_errors=True)
        parent.rmdir()  # where it is empty
