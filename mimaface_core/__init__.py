"""The public Python API: ten lines animate a photograph; see docs/python.md.

Names are imported when they are first used (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .diffusion.settings import SamplerSettings
    from .drawing import animate, paste_back, render, write_video
    from .editing import edit, keyframe, keyframes_of, mix
    from .pipeline import load_pack, measure, measure_stream, retarget, retarget_stream, smooth, speak
    from .scoring import evaluate
    from .video_editing import edit_video

__all__ = [
    "SamplerSettings",
    "animate",
    "edit",
    "edit_video",
    "evaluate",
    "keyframe",
    "keyframes_of",
    "load_pack",
    "measure",
    "measure_stream",
    "mix",
    "paste_back",
    "render",
    "retarget",
    "retarget_stream",
    "smooth",
    "speak",
    "write_video",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import drawing, editing, pipeline, scoring, video_editing

    return next(
        getattr(module, name)
        for module in (pipeline, editing, drawing, scoring, video_editing)
        if hasattr(module, name)
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
