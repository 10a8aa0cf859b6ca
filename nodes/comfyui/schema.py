"""The one place that decides which schema classes the nodes are written with: ComfyUI's own or the stand-in.

Nodes import from here and nowhere else: ``from .schema import io, ui, ComfyExtension, VideoFromFile``.
Inside ComfyUI these are the classes of the pinned `comfy_api.v0_0_2`; without it, equal ones of this folder.
"""

try:
    from comfy_api.v0_0_2 import ComfyExtension, InputImpl, Types, io, ui

    VideoFromFile = InputImpl.VideoFromFile
    VideoFromComponents = InputImpl.VideoFromComponents
    VideoComponents = Types.VideoComponents
    IN_COMFYUI = True
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "comfy_api":
        raise
    from .standin import io, ui
    from .standin.node import ComfyExtension
    from .standin.video import VideoComponents, VideoFromComponents, VideoFromFile

    IN_COMFYUI = False

__all__ = [
    "IN_COMFYUI",
    "ComfyExtension",
    "VideoComponents",
    "VideoFromComponents",
    "VideoFromFile",
    "io",
    "ui",
]
