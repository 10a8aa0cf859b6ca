"""The node classes that run here: this extension's, and stand-ins for ComfyUI's built-in ones."""

from __future__ import annotations

from collections.abc import Mapping

from ..nodes import NODES
from ..nodes.comfyui.schema import io
from .builtin_nodes import BUILTIN_NODES
from .object_info import NodeInfo


def node_classes() -> dict[str, type[io.ComfyNode]]:
    """All node classes by id."""
    return {cls.GET_SCHEMA().node_id: cls for cls in [*BUILTIN_NODES, *NODES]}


def object_info(classes: Mapping[str, type[io.ComfyNode]]) -> dict[str, NodeInfo]:
    """The `object_info` entries of node classes, by id."""
    return {name: cls.GET_NODE_INFO_V1() for name, cls in classes.items()}
