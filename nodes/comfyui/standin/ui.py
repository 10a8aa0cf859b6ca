"""The stand-in's `ui` namespace: what a node shows, and the image files behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ....mimaface_core import host
from ....mimaface_core.errors import InputError
from ....mimaface_core.files import replacing
from ....mimaface_core.media.output_path import next_output_path
from ....mimaface_core.tensors import to_uint8
from .node import ComfyNode, UIOutput
from .widgets import FolderType

_ROWS = 256  # of an image, converted at a time


class SavedResult(dict[str, str]):
    """A written file: its name, its subfolder and which of the three folders that lies in."""

    def __init__(self, filename: str, subfolder: str, type: FolderType) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)


class SavedImages(UIOutput):
    """Saved images."""

    def __init__(self, results: list[SavedResult], is_animated: bool = False) -> None:
        self.results, self.is_animated = results, is_animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.results} | ({"animated": (True,)} if self.is_animated else {})


class PreviewVideo(UIOutput):
    """Saved video files."""

    def __init__(self, values: list[SavedResult]) -> None:
        self.values = values

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class PreviewText(UIOutput):
    """A text below the node."""

    def __init__(self, value: str) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}


class PreviewImage(UIOutput):
    """Images shown on the node, written to the temporary folder.

    Args:
        image: [N, H, W, 3] in 0–1.
        cls: the node class that is executed, whose graph the files carry.
    """

    def __init__(self, image: Tensor, *, cls: type[ComfyNode] | None = None) -> None:
        self.values = ImageSaveHelper.save_images(image, "ComfyUI_temp", FolderType.temp, cls, compress_level=1)

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (False,)}


class ImageSaveHelper:
    """Writes IMAGE values as numbered PNG files."""

    @staticmethod
    def save_images(
        images: Tensor,
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """Write images as PNG files, each of which appears under its name when it is whole.

        Args:
            images: [N, H, W, 3] in 0–1.
            filename_prefix: beginning of the names, as for `next_output_path`.
            folder_type: the folder they go to.
            cls: the node class that is executed, whose graph the files carry.
            compress_level: of zlib, 0–9.

        Returns:
            The written files.

        Raises:
            InputError: a file cannot be written.
        """
        from PIL import Image, PngImagePlugin

        place = next_output_path(_folder(folder_type), filename_prefix, images.shape[2], images.shape[1])
        metadata = PngImagePlugin.PngInfo()
        for key, value in graph_metadata(cls).items():
            metadata.add_text(key, value)
        results = []
        for number, image in enumerate(images):
            path = place.file(".png", number)
            pixels = _eight_bits(image)
            try:
                with replacing(path) as part:
                    Image.fromarray(pixels).save(part, format="PNG", pnginfo=metadata, compress_level=compress_level)
            except OSError as problem:
                raise InputError(
                    f"'{path.name}' could not be written ({problem.strerror}); make room or choose another folder."
                ) from problem
            results.append(SavedResult(path.name, place.subfolder, folder_type))
        return results

    @staticmethod
    def get_save_images_ui(images: Tensor, filename_prefix: str, cls: type[ComfyNode] | None) -> SavedImages:
        """`save_images` into the output folder, wrapped for a node's `ui`."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls))


def _eight_bits(image: Tensor) -> np.ndarray:
    """An image [H, W, 3] in 0–1 as uint8, by rows: a copy in float would be as large as the image itself."""
    pixels = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), _ROWS):
        pixels[top : top + _ROWS] = to_uint8(image[top : top + _ROWS].detach().float().cpu()).numpy()
    return pixels


def _folder(kind: FolderType) -> Path:
    current = host.current()
    return {
        FolderType.input: current.input_folder,
        FolderType.output: current.output_folder,
        FolderType.temp: current.temp_folder,
    }[FolderType(kind)]()


def graph_metadata(cls: type[ComfyNode] | None) -> dict[str, str]:
    """The graph that a node class runs in, as text entries of a file's metadata, which ComfyUI reads back."""
    if cls is None:
        return {}
    entries: Mapping[str, Any] = {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
    return {key: json.dumps(value) for key, value in entries.items() if value}
