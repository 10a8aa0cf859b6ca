"""ComfyUI's `object_info` entries: inputs, output types and file inputs of node classes."""

from __future__ import annotations

from typing import Any, NamedTuple

CAMERA = "WEBCAM"  # whose value is an image file that the page has taken
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", CAMERA)
UPLOAD_KINDS = ("image", "video", "audio", "file")

NodeInfo = dict[str, Any]


class InputSlot(NamedTuple):
    """One input of a node class: its types (any of them will do), its options and whether it is required."""

    types: list[str]
    options: dict[str, Any]
    required: bool

    @property
    def widget(self) -> str | None:
        """The type of its widget; None where its value comes over a link only."""
        return next((kind for kind in self.types if kind in WIDGET_TYPES), None)

    @property
    def upload(self) -> str | None:
        """`image`, `video`, `audio` or `file`: what its upload button takes; None without one."""
        if CAMERA in self.types:
            return "image"
        return next((kind for kind in UPLOAD_KINDS if self.options.get(f"{kind}_upload")), None)


def input_slots(info: NodeInfo) -> dict[str, InputSlot]:
    """The inputs of a node class by name; a list of options in the place of the type reads as COMBO."""
    slots = {}
    for group in ("required", "optional"):
        for name, (kind, *rest) in info["input"].get(group, {}).items():
            options = dict(rest[0]) if rest else {}
            if isinstance(kind, (list, tuple)):
                kind, options = "COMBO", {**options, "options": list(kind)}
            slots[name] = InputSlot([part.strip() for part in kind.split(",")], options, group == "required")
    return slots


def is_sound(info: object) -> bool:
    """Whether a server's entry has the parts that are read here; those of some extensions may not."""
    try:
        assert isinstance(info, dict)
        bounds = [slot.options.get(name) for slot in input_slots(info).values() for name in ("min", "max")]
        return (
            all(bound is None or isinstance(bound, (int, float)) for bound in bounds)
            and isinstance(output_types(info), list)
            and isinstance(info["output_node"], bool)
        )
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        return False


def output_types(info: NodeInfo) -> list[str]:
    """The output types of a node class; a list of options reads as COMBO."""
    return [kind if isinstance(kind, str) else "COMBO" for kind in info["output"]]


def file_input(info: NodeInfo | None) -> str | None:
    """The input of a node class that names a file of the input folder: the first with an upload button."""
    slots = input_slots(info) if info else {}
    return next((name for name, slot in slots.items() if slot.upload), None)
