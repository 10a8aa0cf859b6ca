"""The schema classes that nodes are written with: ComfyUI's own, or the stand-in where ComfyUI is missing.

Nodes import from here and nowhere else: ``from .comfyui.schema import io, ui, ComfyExtension, VideoFromFile``.
Inside ComfyUI these are the classes of the pinned `comfy_api.v0_0_2`; without it, equal ones of `standin/`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

IN_COMFYUI = find_spec("comfy_api") is not None

if IN_COMFYUI and not TYPE_CHECKING:  # types are checked against the stand-in
    from comfy_api.v0_0_2 import ComfyExtension, InputImpl, Types, io, ui

    VideoFromFile = InputImpl.VideoFromFile
    VideoFromComponents = InputImpl.VideoFromComponents
    VideoComponents = Types.VideoComponents
else:
    from .standin import io, ui
    from .standin.node import ComfyExtension
    from .standin.video import VideoComponents, VideoFromComponents, VideoFromFile

__all__ = [
    "IN_COMFYUI",
    "ComfyExtension",
    "VideoComponents",
    "VideoFromComponents",
    "VideoFromFile",
    "io",
    "ui",
]
