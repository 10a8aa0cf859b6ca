"""The stand-in's `io` namespace."""

from .node import ComfyNode, Hidden, NodeOutput, Schema
from .widgets import (
    Audio,
    Boolean,
    Combo,
    Custom,
    Float,
    FolderType,
    Image,
    Int,
    Mask,
    MultiType,
    NumberDisplay,
    String,
    UploadType,
    Video,
)

__all__ = [
    "Audio",
    "Boolean",
    "Combo",
    "ComfyNode",
    "Custom",
    "Float",
    "FolderType",
    "Hidden",
    "Image",
    "Int",
    "Mask",
    "MultiType",
    "NodeOutput",
    "NumberDisplay",
    "Schema",
    "String",
    "UploadType",
    "Video",
]
