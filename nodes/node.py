"""The base of this pack's nodes."""

from __future__ import annotations

from ..mimaface_core.errors import InputError
from .comfyui.schema import io


class Node(io.ComfyNode):
    """A node that says so where a graph links inputs that it does not have, which ComfyUI hands on to it."""

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args, **inputs) -> io.NodeOutput:
        unknown = ", ".join(sorted(set(inputs) - {one.id for one in cls.define_schema().inputs}))
        if unknown:
            raise InputError(
                f"This version of the node has no input {unknown}; update this pack where a newer one made the graph,"
                " or remove the link."
            )
        return super().EXECUTE_NORMALIZED(*args, **inputs)
