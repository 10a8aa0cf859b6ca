"""Runtime environment: device, dtype, progress, cancellation, folders.

The core asks `current()` for all of it. The plain `Host` here works anywhere and is silent; a terminal or ComfyUI puts
a subclass in its place through `use`.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import torch
from PIL import Image

from .errors import Cancelled
from .files import scratch_folder

if TYPE_CHECKING:
    from typing_extensions import Self

Module = TypeVar("Module", bound=torch.nn.Module)

MOST_DRAWING_THREADS = 4


class Progress:
    """Progress of one piece of work: `done` of `total` steps of `label`; a context made by `Host.progress`.

    `total` is 0 where it is unknown. `closed` is True once the work has ended, however it ended.
    """

    def __init__(self, host: Host, total: int, label: str) -> None:
        self.host, self.total, self.label = host, total, label
        self.done = 0
        self.closed = False

    def __enter__(self) -> Self:
        self.host.check_cancelled()
        self.host.show(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        self.host.show(self)

    def update(self, n: int = 1, preview: Image.Image | None = None) -> None:
        """Count finished steps and show them.

        Args:
            n: steps finished since the last call.
            preview: an image of the work so far.

        Raises:
            Cancelled: the user has asked to stop.
        """
        self.host.check_cancelled()
        self.done += n
        self.host.show(self, preview)


class Host:
    """The plain host: CPU or the current CUDA device, no display, a flag to cancel.

    Args:
        device: where models run; the current CUDA device where there is one, else the CPU, when None.
        dtype: the number type of large models; chosen for the device when None.
        low_memory: whether to trade time for memory: less is computed at once, and models are taken off the device when
            they have done their part. The environment variable MIMAFACE_LOW_MEMORY=1 when None.
        models: folders of model packs; those of the environment variable MIMAFACE_MODELS (separated as in PATH),
            followed by `models/mimaface`, when None.
        inputs: the folder that relative input paths start from; the working folder when None.
        outputs: the folder for finished files; `output` in the working folder when None.
        temp: the folder for files that nobody keeps; a fresh one, removed when the program ends, when None.
        unfinished: the folder for finished parts of interrupted runs; a hidden one among the outputs when None.
        resumes: whether an equal run takes up what an interrupted one has left there.
    """

    previews = False  # whether anybody looks at the previews given to `show`; making them takes time

    def __init__(
        self,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        low_memory: bool | None = None,
        models: list[Path] | None = None,
        inputs: Path | None = None,
        outputs: Path | None = None,
        temp: Path | None = None,
        unfinished: Path | None = None,
        resumes: bool = True,
    ) -> None:
        self._device, self._dtype, self._low_memory = device, dtype, low_memory
        self._models, self._inputs, self._outputs, self._temp = models, inputs, outputs, temp
        self._unfinished, self.resumes = unfinished, resumes
        self._cancelled = threading.Event()

    @cached_property
    def device(self) -> torch.device:
        """The device that models run on."""
        if self._device is not None:
            return torch.device(self._device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self) -> torch.dtype:
        """The number type of large models: float32 on the CPU, a half-width type of the hardware on CUDA."""
        if self._dtype is not None:
            return self._dtype
        if self.device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    @cached_property
    def small_dtype(self) -> torch.dtype:
        """The number type in which the bundled pack draws: bfloat16 on a CPU that multiplies it, else float32.

        float32, too, where a `dtype` was given. Measured with AVX-512 BF16: the autoencoder takes less than half of the
        time, the U-Net three quarters.
        """
        if self._dtype is not None or self.device.type != "cpu":
            return torch.float32
        known = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
        return torch.bfloat16 if any(has() for has in known if has is not None) else torch.float32

    @property
    def low_memory(self) -> bool:
        """Whether memory counts for more than time."""
        if self._low_memory is not None:
            return self._low_memory
        return os.environ.get("MIMAFACE_LOW_MEMORY", "") not in ("", "0")

    @property
    def drawing_threads(self) -> int:
        """Threads that draw frames beside each other on the CPU, few, since each has pictures of its own in memory."""
        return 1 if self.low_memory else min(MOST_DRAWING_THREADS, torch.get_num_threads())

    @property
    def compiles(self) -> bool:
        """Whether U-Nets are compiled (MIMAFACE_COMPILE=1), which pays on a GPU in long runs alone."""
        return self.device.type == "cuda" and os.environ.get("MIMAFACE_COMPILE", "") not in ("", "0")

    def load(self, module: Module) -> AbstractContextManager[Module]:
        """Move a model to the device at once; as a context, it is needed there until the block ends.

        This host leaves it there afterwards, unless memory is low; one that shares its memory may take it away.
        """
        module.to(self.device)
        return self._unloaded_after(module) if self.low_memory else nullcontext(module)

    @contextmanager
    def _unloaded_after(self, module: Module) -> Iterator[Module]:
        """A context that moves `module` back to main memory at its end."""
        try:
            yield module
        finally:
            module.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def progress(self, total: int, label: str) -> Progress:
        """A context that counts the steps of a piece of work.

        Args:
            total: number of steps; 0 where it is unknown.
            label: name of the work.
        """
        return Progress(self, total, label)

    def show(self, progress: Progress, preview: Image.Image | None = None) -> None:
        """Display progress: called when it begins, moves on or closes; silent here."""

    def cancel(self) -> None:
        """Ask the running work to stop, for good; may be called from another thread or a signal handler."""
        self._cancelled.set()

    def check_cancelled(self) -> None:
        """Stop the work where the user has asked for it.

        Raises:
            Cancelled: the user has asked to stop.
        """
        if self._cancelled.is_set():
            raise Cancelled("The run was cancelled.")

    def models_folders(self) -> list[Path]:
        """The folders of model packs, in the order of searching. They need not exist."""
        if self._models is not None:
            return [Path(folder) for folder in self._models]
        listed = os.environ.get("MIMAFACE_MODELS", "").split(os.pathsep)
        return [Path(folder) for folder in listed if folder] + [Path("models", "mimaface").absolute()]

    def comfyui_folders(self, kind: str) -> list[Path]:
        """Folders of another `kind` of ComfyUI's models, `loras` say: beside those of packs. They may be missing."""
        return [folder.parent / kind for folder in self.models_folders()]

    def input_folder(self) -> Path:
        """The folder that relative input paths start from."""
        return Path(self._inputs) if self._inputs is not None else Path.cwd()

    def output_folder(self) -> Path:
        """The folder for finished files. It need not exist yet."""
        return Path(self._outputs) if self._outputs is not None else Path("output").absolute()

    def unfinished_folder(self) -> Path:
        """The folder for finished parts of interrupted runs. It need not exist."""
        return self._unfinished or self.output_folder() / ".mimaface-unfinished"

    def when_used(self, value: object, clean_up: Callable[[], object]) -> None:
        """Clean up when a value of a long run is used no more; not where the process ends before."""
        weakref.finalize(value, clean_up).atexit = False

    def temp_folder(self) -> Path:
        """An existing folder for files that nobody keeps."""
        if self._temp is None:
            return self._own_temp
        Path(self._temp).mkdir(parents=True, exist_ok=True)
        return Path(self._temp)

    @cached_property
    def _own_temp(self) -> Path:
        keeper = ExitStack()
        folder = keeper.enter_context(scratch_folder(Path(tempfile.gettempdir())))
        weakref.finalize(self, keeper.close)  # with this host, or with the interpreter
        return folder


_current = Host()


def current() -> Host:
    """The host in use."""
    return _current


def use(host: Host) -> ExitStack:
    """Make a host the current one at once, for every thread.

    Returns:
        A context that puts the former host back at its end, or when it is closed.
    """
    restore = ExitStack()
    restore.callback(_set_current, _current)
    _set_current(host)
    return restore


def _set_current(host: Host) -> None:
    global _current
    _current = host
