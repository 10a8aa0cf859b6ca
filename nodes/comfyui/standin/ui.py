"""The stand-in's `ui` namespace: what a node reports to be shown, and the picture files behind it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ....mimaface_core import host
from ....mimaface_core.errors import InputError
from ....mimaface_core.media.output_path import next_output_path
from .node import _UIOutput
from .widgets import FolderType


class SavedResult(dict):
    """A file that was written: its name, its subfolder and which of the three folders that lies in."""

    def __init__(self, filename: str, subfolder: str, type: FolderType):
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)

    filename = property(lambda self: self["filename"])
    subfolder = property(lambda self: self["subfolder"])
    type = property(lambda self: FolderType(self["type"]))


class SavedImages(_UIOutput):
    """Saved pictures."""

    def __init__(self, results: list[SavedResult], is_animated: bool = False):
        self.results, self.is_animated = results, is_animated

    def as_dict(self) -> dict:
        return {"images": self.results} | ({"animated": (True,)} if self.is_animated else {})


class SavedAudios(_UIOutput):
    """Saved sound files."""

    def __init__(self, results: list[SavedResult]):
        self.results = results

    def as_dict(self) -> dict:
        return {"audio": self.results}


class PreviewVideo(_UIOutput):
    """Saved video files."""

    def __init__(self, values: list[SavedResult | dict], **ignored: Any):
        self.values = values

    def as_dict(self) -> dict:
        return {"images": self.values, "animated": (True,)}


class PreviewText(_UIOutput):
    """A text below the node."""

    def __init__(self, value: str, **ignored: Any):
        self.value = value

    def as_dict(self) -> dict:
        return {"text": (self.value,)}


class PreviewImage(_UIOutput):
    """Pictures shown on the node, written to the temporary folder; `image` is [N, H, W, 3] in 0..1."""

    def __init__(self, image, animated: bool = False, cls=None, **ignored: Any):
        self.values = ImageSaveHelper.save_images(image, "ComfyUI_temp", FolderType.temp, cls, 1)
        self.animated = animated

    def as_dict(self) -> dict:
        return {"images": self.values, "animated": (self.animated,)}


class ImageSaveHelper:
    """Writing of IMAGE values as numbered PNG files."""

    @staticmethod
    def save_images(
        images, filename_prefix: str, folder_type: FolderType, cls=None, compress_level: int = 4
    ) -> list[SavedResult]:
        """Write each of `images` [N, H, W, 3] (0..1) as a PNG and say where.

        Each file appears under its name when it is whole. Raises InputError for a folder that cannot be written.
        """
        from PIL import Image, PngImagePlugin

        place = next_output_path(folder(folder_type), filename_prefix, images.shape[2], images.shape[1])
        notes = PngImagePlugin.PngInfo()
        for key, value in described_by(cls).items():
            notes.add_text(key, value)
        results = []
        for number, image in enumerate(images):
            path = place.file(".png", number)
            unfinished = path.with_name(f".{path.name}.part")
            pixels = (image.detach().float().cpu().clamp(0, 1) * 255).round().byte().numpy()
            try:
                Image.fromarray(pixels).save(unfinished, format="PNG", pnginfo=notes, compress_level=compress_level)
                os.replace(unfinished, path)
            except OSError as problem:
                raise InputError(
                    f"'{path.name}' could not be written ({problem.strerror}); make room or choose another folder."
                ) from problem
            finally:
                unfinished.unlink(missing_ok=True)
            results.append(SavedResult(path.name, place.subfolder, folder_type))
        return results

    @staticmethod
    def get_save_images_ui(images, filename_prefix: str, cls=None, compress_level: int = 4) -> SavedImages:
        """`save_images` into the output folder, wrapped for a node's `ui`."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))


def folder(kind: FolderType) -> Path:
    """The folder of the current host that a FolderType means."""
    current = host.current()
    return {
        FolderType.input: current.input_folder,
        FolderType.output: current.output_folder,
        FolderType.temp: current.temp_folder,
    }[FolderType(kind)]()


def described_by(cls) -> dict[str, str]:
    """The graph a node class runs in, as text entries for a file's metadata (ComfyUI reads them back)."""
    hidden = getattr(cls, "hidden", None)
    notes = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})} if hidden else {}
    return {key: json.dumps(value) for key, value in notes.items() if value}
