"""The host inside ComfyUI: its device and memory, progress bar with previews, interrupt button and folders."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import folder_paths
import torch
from PIL import Image

from ...mimaface_core.allocator import return_freed, share_one_heap
from ...mimaface_core.host import Host, Module, Progress

MODELS_KEY = "mimaface"  # in the models folder, and in extra_model_paths.yaml
PREVIEW_PIXELS = 512  # longest side of a preview
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
RETURN_DELAY_SECONDS = 3.0
# Name of the attribute under which a model keeps its ModelPatcher. A WeakKeyDictionary would never free either, as the
# patcher refers to the model; a cycle through the model itself is garbage-collected.
PATCHER_ATTRIBUTE = "mimaface_patcher"


class _ManagedModel(torch.nn.Module):
    """A model as ComfyUI's memory management wants it: with attributes that can be set."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module
        self.device: torch.device | None = None


def _return_memory(*_: object) -> None:
    """Return freed memory to the system, a little later, when ComfyUI has dropped an unloaded model and its caches."""
    timer = threading.Timer(RETURN_DELAY_SECONDS, return_freed)
    timer.daemon = True
    timer.start()


def server_routes() -> Any | None:
    """The routes (aiohttp's RouteTableDef) of the server; None where ComfyUI's nodes run without one."""
    from server import PromptServer

    instance = getattr(PromptServer, "instance", None)
    return None if instance is None else instance.routes


class ComfyUIHost(Host):
    """ComfyUI's device, folders and interrupt; progress goes to the node's bar."""

    previews = True

    def __init__(self) -> None:
        super().__init__()
        share_one_heap()
        default = os.path.join(folder_paths.models_dir, MODELS_KEY)
        folder_paths.add_model_folder_path(MODELS_KEY, default)
        self._in_use: list[comfy.model_patcher.ModelPatcher] = []
        self._bars: WeakKeyDictionary[Progress, comfy.utils.ProgressBar] = WeakKeyDictionary()

    @property
    def device(self) -> torch.device:
        """The device that ComfyUI has chosen."""
        return comfy.model_management.get_torch_device()

    @property
    def dtype(self) -> torch.dtype:
        """The number type that ComfyUI, or its command line, has chosen for U-Nets."""
        chosen = comfy.model_management.unet_dtype(self.device, supported_dtypes=list(DTYPES))
        if chosen in DTYPES:
            return chosen
        return torch.float32 if chosen.itemsize > 2 or self.device.type == "cpu" else torch.float16

    @property
    def low_memory(self) -> bool:
        """Whether ComfyUI was started for a device with little memory, or MIMAFACE_LOW_MEMORY is set."""
        state = comfy.model_management.VRAMState
        return super().low_memory or comfy.model_management.vram_state in (state.LOW_VRAM, state.NO_VRAM)

    def load(self, module: Module) -> AbstractContextManager[Module]:
        """Move a model to the device through ComfyUI, which makes room and may take idle models away.

        Models whose contexts are open stay on the device together.
        """
        patcher = getattr(module, PATCHER_ATTRIBUTE, None)
        if patcher is None:
            offload = comfy.model_management.unet_offload_device()
            patcher = comfy.model_patcher.ModelPatcher(_ManagedModel(module), self.device, offload)
            patcher.add_callback(comfy.patcher_extension.CallbacksMP.ON_DETACH, _return_memory)
            setattr(module, PATCHER_ATTRIBUTE, patcher)
        # A model in parts on two devices would need layers of ComfyUI's own.
        comfy.model_management.load_models_gpu([*self._in_use, patcher], force_full_load=True)
        module.to(self.device)
        return self._kept_loaded(patcher, module)

    @contextmanager
    def _kept_loaded(self, patcher: comfy.model_patcher.ModelPatcher, module: Module) -> Iterator[Module]:
        self._in_use.append(patcher)
        try:
            yield module
        finally:
            self._in_use.remove(patcher)

    def check_cancelled(self) -> None:
        """Raise ComfyUI's own exception when the user has pressed the interrupt button."""
        super().check_cancelled()
        comfy.model_management.throw_exception_if_processing_interrupted()

    def show(self, progress: Progress, preview: Image.Image | None = None) -> None:
        """Move the node's progress bar, with a preview where there is one."""
        if progress not in self._bars:
            self._bars[progress] = comfy.utils.ProgressBar(progress.total or 1)
        if progress.closed:
            return
        image = ("JPEG", preview, PREVIEW_PIXELS) if preview is not None else None
        self._bars[progress].update_absolute(progress.done, max(progress.total, progress.done, 1), image)

    def models_folders(self) -> list[Path]:
        """The folders of the key `mimaface`: in ComfyUI's models folder and in extra_model_paths.yaml."""
        return [Path(folder) for folder in folder_paths.get_folder_paths(MODELS_KEY)]

    def comfyui_folders(self, kind: str) -> list[Path]:
        """ComfyUI's folders of a kind of models; those in extra_model_paths.yaml, too."""
        return [Path(folder) for folder in folder_paths.get_folder_paths(kind)]

    def input_folder(self) -> Path:
        """ComfyUI's input folder."""
        return Path(folder_paths.get_input_directory())

    def output_folder(self) -> Path:
        """ComfyUI's output folder."""
        return Path(folder_paths.get_output_directory())

    def temp_folder(self) -> Path:
        """ComfyUI's temporary folder, which is made where it is missing."""
        folder = Path(folder_paths.get_temp_directory())
        folder.mkdir(parents=True, exist_ok=True)
        return folder
