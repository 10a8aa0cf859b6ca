"""The host inside ComfyUI: its device and memory, progress bar with previews, interrupt button and folders."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import folder_paths
import torch

from ...mimaface_core.host import Host, Progress

FOLDER = "mimaface"  # in the models folder, and the key in extra_model_paths.yaml
PREVIEW = 512  # longest side of a preview in pixels
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LATER = 3.0  # seconds
PATCHER = "mimaface_patcher"  # the attribute under which a model keeps what ComfyUI moves it by


class _Held(torch.nn.Module):
    """A model as ComfyUI's memory management wants it: with attributes that can be set."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module
        self.device = None


def _give_back(*_) -> None:
    """Hand the memory that the C library keeps for later (glibc: hundreds of MB after a run on the CPU) to the system.

    Called when a model is unloaded; done a little later, when ComfyUI has dropped the model and its caches too.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        later = threading.Timer(LATER, trim, [0])
        later.daemon = True
        later.start()


class ComfyUIHost(Host):
    """ComfyUI's device, folders and interrupt; progress goes to the node's bar."""

    previews = True

    def __init__(self):
        super().__init__()
        default = os.path.join(folder_paths.models_dir, FOLDER)
        folder_paths.add_model_folder_path(FOLDER, default)
        self._needed = []

    @property
    def device(self) -> torch.device:
        """The device ComfyUI has chosen."""
        return comfy.model_management.get_torch_device()

    @property
    def dtype(self) -> torch.dtype:
        """The number type that ComfyUI, or who started it, has chosen for U-Nets."""
        chosen = comfy.model_management.unet_dtype(self.device, supported_dtypes=list(DTYPES))
        if chosen in DTYPES:
            return chosen
        return torch.float32 if chosen.itemsize > 2 or self.device.type == "cpu" else torch.float16

    @property
    def low_memory(self) -> bool:
        """Whether ComfyUI was started for a device with little memory, or MIMAFACE_LOW_MEMORY says so."""
        state = comfy.model_management.VRAMState
        return super().low_memory or comfy.model_management.vram_state in (state.LOW_VRAM, state.NO_VRAM)

    def load(self, module):
        """Puts `module` on the device through ComfyUI, which makes room and takes models away when it needs it.

        Models whose contexts are open stay there together.
        """
        patcher = getattr(module, PATCHER, None)
        if patcher is None:
            offload = comfy.model_management.unet_offload_device()
            patcher = comfy.model_patcher.ModelPatcher(_Held(module), self.device, offload)
            patcher.add_callback(comfy.patcher_extension.CallbacksMP.ON_DETACH, _give_back)
            setattr(module, PATCHER, patcher)
        # A model in parts on two devices would need layers of ComfyUI's own.
        comfy.model_management.load_models_gpu([*self._needed, patcher], force_full_load=True)
        module.to(self.device)
        return self._keep(patcher, module)

    @contextmanager
    def _keep(self, patcher, module) -> Iterator[torch.nn.Module]:
        self._needed.append(patcher)
        try:
            yield module
        finally:
            self._needed.remove(patcher)

    def check_cancelled(self) -> None:
        """Raises ComfyUI's own exception when the user has pressed the interrupt button."""
        super().check_cancelled()
        comfy.model_management.throw_exception_if_processing_interrupted()

    def show(self, progress: Progress, preview=None) -> None:
        bar = getattr(progress, "bar", None)
        if bar is None:
            bar = progress.bar = comfy.utils.ProgressBar(progress.total or 1)
        if progress.closed:
            return
        shown = ("JPEG", preview, PREVIEW) if preview is not None else None
        bar.update_absolute(progress.done, max(progress.total, progress.done, 1), shown)

    def models_folders(self) -> list[Path]:
        return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]

    def input_folder(self) -> Path:
        return Path(folder_paths.get_input_directory())

    def output_folder(self) -> Path:
        return Path(folder_paths.get_output_directory())

    def temp_folder(self) -> Path:
        folder = Path(folder_paths.get_temp_directory())
        folder.mkdir(parents=True, exist_ok=True)
        return folder
