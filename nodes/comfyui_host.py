"""The surroundings inside ComfyUI: its device, progress bar with previews, interrupt button and folders."""

from __future__ import annotations

import os
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import torch

from ..mimaface_core.host import Host, Progress

FOLDER = "mimaface"  # in the models folder, and the key in extra_model_paths.yaml
PREVIEW = 512  # longest side of a preview in pixels


class ComfyUIHost(Host):
    """ComfyUI's device, folders and interrupt; progress goes to the node's bar."""

    previews = True

    def __init__(self):
        super().__init__()
        default = os.path.join(folder_paths.models_dir, FOLDER)
        folder_paths.add_model_folder_path(FOLDER, default)

    @property
    def device(self) -> torch.device:
        """The device ComfyUI has chosen."""
        return comfy.model_management.get_torch_device()

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
