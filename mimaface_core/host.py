"""Runtime environment: device, dtype, progress, cancellation, folders.

The core asks `current()` and knows nothing of where it runs. The plain `Host` here works anywhere and is
silent; a terminal or ComfyUI puts a subclass in its place through `use`.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image

from .errors import Cancelled


class Progress:
    """How far one piece of work is: `done` of `total` steps of `label`; a context made by `Host.progress`.

    `total` is 0 where it is unknown. `closed` is True once the work has ended, however it ended.
    """

    def __init__(self, host: "Host", total: int, label: str):
        self.host, self.total, self.label = host, total, label
        self.done = 0
        self.closed = False

    def __enter__(self):
        self.host.check_cancelled()
        self.host.show(self)
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.closed = True
        self.host.show(self)

    def update(self, n: int = 1, preview: Image.Image | None = None) -> None:
        """Counts `n` finished steps and shows them, with a preview picture where there is one.

        Raises `Cancelled` when the user has asked to stop.
        """
        self.host.check_cancelled()
        self.done += n
        self.host.show(self, preview)


class Host:
    """The plain host: CPU or the current CUDA device, no display, a flag to cancel.

    Every argument may be left out. `low_memory` (or the environment variable MIMAFACE_LOW_MEMORY=1) trades time for
    memory: less is computed at once, and models are taken off the device when they have done their part. `models`
    defaults to the folders in the environment variable MIMAFACE_MODELS (separated as in PATH) followed by
    `models/mimaface`; `inputs` to the working folder; `outputs` to `output` in it; `temp` to a fresh folder that is
    removed when the program ends.
    """

    previews = False  # whether pictures given to `show` are seen by anybody; making them takes time

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
    ):
        self._device, self._dtype, self._low_memory = device, dtype, low_memory
        self._models, self._inputs, self._outputs, self._temp = models, inputs, outputs, temp
        self._cancelled = threading.Event()

    @cached_property
    def device(self) -> torch.device:
        """Where models run."""
        if self._device is not None:
            return torch.device(self._device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self) -> torch.dtype:
        """The number type models run in: float32 on the CPU, a half-width type the hardware knows on CUDA."""
        if self._dtype is not None:
            return self._dtype
        if self.device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

    @property
    def low_memory(self) -> bool:
        """Whether memory counts for more than time."""
        if self._low_memory is not None:
            return self._low_memory
        return os.environ.get("MIMAFACE_LOW_MEMORY", "") not in ("", "0")

    def load(self, module: torch.nn.Module) -> AbstractContextManager[torch.nn.Module]:
        """Puts `module` on the device at once; as a context, also says how long it is needed there.

        This host leaves it there afterwards, unless memory is low; one that shares its memory may take it away.
        """
        module.to(self.device)
        return self._given_back(module) if self.low_memory else nullcontext(module)

    @contextmanager
    def _given_back(self, module: torch.nn.Module) -> Iterator[torch.nn.Module]:
        """`module`, which goes back to ordinary memory at the end."""
        try:
            yield module
        finally:
            module.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def progress(self, total: int, label: str) -> Progress:
        """A context manager that counts `total` steps (0 = unknown) of the work called `label`."""
        return Progress(self, total, label)

    def show(self, progress: Progress, preview: Image.Image | None = None) -> None:
        """Called whenever `progress` begins, moves on or closes; subclasses display it."""

    def cancel(self) -> None:
        """Asks the running work to stop; may be called from another thread or a signal handler. Stays set."""
        self._cancelled.set()

    def check_cancelled(self) -> None:
        """Raises `Cancelled` when the user has asked to stop."""
        if self._cancelled.is_set():
            raise Cancelled("The run was cancelled.")

    def models_folders(self) -> list[Path]:
        """The folders in which model packs are looked for, the first one first. They need not exist."""
        if self._models is not None:
            return [Path(folder) for folder in self._models]
        listed = os.environ.get("MIMAFACE_MODELS", "").split(os.pathsep)
        return [Path(folder) for folder in listed if folder] + [Path("models", "mimaface").absolute()]

    def input_folder(self) -> Path:
        """The folder that relative input paths start from."""
        return Path(self._inputs) if self._inputs is not None else Path.cwd()

    def output_folder(self) -> Path:
        """The folder that finished files go to. It need not exist yet."""
        return Path(self._outputs) if self._outputs is not None else Path("output").absolute()

    def temp_folder(self) -> Path:
        """An existing folder for files that nobody keeps."""
        if self._temp is None:
            return self._own_temp
        Path(self._temp).mkdir(parents=True, exist_ok=True)
        return Path(self._temp)

    @cached_property
    def _own_temp(self) -> Path:
        # the object removes its folder when this host or the interpreter goes
        self._temp_keeper = tempfile.TemporaryDirectory(prefix="mimaface-", ignore_cleanup_errors=True)
        return Path(self._temp_keeper.name)


_current = Host()


def current() -> Host:
    """The host in use."""
    return _current


def use(host: Host) -> AbstractContextManager:
    """Makes `host` the current one at once, for every thread; as a context, puts the former one back."""
    restore = ExitStack()
    restore.callback(_set_current, _current)
    _set_current(host)
    return restore


def _set_current(host: Host) -> None:
    global _current
    _current = host
