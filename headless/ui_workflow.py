"""Workflows as ComfyUI's page saves them, converted into API-format graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..mimaface_core.errors import InputError
from .object_info import InputSlot, NodeInfo, input_slots

EXPORT = "export it in ComfyUI with Workflow > Export (API), and give that file"
_NOTES = {"Note", "MarkdownNote"}
_MUTED, _BYPASSED = 2, 4  # a node's mode
_CONTROLS = {"fixed", "increment", "decrement", "randomize"}  # of the widget behind a seed


class _Workflow:
    """Nodes and links of a workflow; what does not fit the format raises KeyError, TypeError or the like."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.nodes = {str(node["id"]): node for node in data["nodes"]}
        self.links: dict[Any, tuple[str, int]] = {}
        for link in data.get("links") or []:
            number, origin, slot = (
                (link["id"], link["origin_id"], link["origin_slot"]) if isinstance(link, dict) else link[:3]
            )
            self.links[number] = str(origin), int(slot)

    def value(self, link: Any) -> Any:
        """What an API graph holds for a link: [node id, slot], a primitive's value, or None where nothing arrives."""
        for _ in range(len(self.nodes) + 1):
            if link not in self.links:
                return None
            key, slot = self.links[link]
            node = self.nodes[key]
            if node.get("mode") == _MUTED:
                return None
            if node["type"] == "PrimitiveNode":
                return (node.get("widgets_values") or [None])[0]
            if node["type"] == "Reroute":
                link = node["inputs"][0].get("link")
            elif node.get("mode") == _BYPASSED:
                link = _passed(node, slot)
            else:
                return [key, slot]
        return None


def _passed(node: Mapping[str, Any], slot: int) -> Any:
    """The link that a bypassed node hands on: of its input of the output's type, first the one at the same place."""
    kind, inputs = node["outputs"][slot]["type"], node.get("inputs") or []
    candidates = [*inputs[slot : slot + 1], *inputs]
    return next((one.get("link") for one in candidates if one["type"] == kind), None)


def is_ui_workflow(data: Any) -> bool:
    """Whether the content of a file is a workflow as ComfyUI's page saves it."""
    return isinstance(data, dict) and isinstance(data.get("nodes"), list)


def as_api_graph(data: Mapping[str, Any], infos: Mapping[str, NodeInfo], where: str) -> dict[str, Any]:
    """The API-format graph of a workflow.

    Args:
        data: content of the file.
        infos: `object_info` entries by class.
        where: the file, for messages.

    Raises:
        InputError: the workflow has subgraphs, or cannot be converted.
    """
    try:
        subgraphs = {one["id"] for one in (data.get("definitions") or {}).get("subgraphs") or []}
        workflow = _Workflow(data)
        if any(node["type"] in subgraphs for node in workflow.nodes.values()):
            raise InputError(f"The workflow {where} has subgraphs, which only ComfyUI's page can open; {EXPORT}.")
        graph = {
            key: {
                "class_type": node["type"],
                "inputs": _inputs(node, workflow, infos.get(node["type"])),
                "_meta": {"title": node.get("title") or node["type"]},
            }
            for key, node in workflow.nodes.items()
            if node["type"] not in _NOTES | {"Reroute", "PrimitiveNode"} and node.get("mode") not in (_MUTED, _BYPASSED)
        }
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as problem:
        if isinstance(problem, InputError):
            raise
        raise InputError(f"The workflow {where} cannot be converted; {EXPORT}.") from problem
    if not graph:
        raise InputError(f"The workflow {where} has no nodes that run (UI format); {EXPORT}.")
    return graph


def _inputs(node: Mapping[str, Any], workflow: _Workflow, info: NodeInfo | None) -> dict[str, Any]:
    values = _widget_values(node.get("widgets_values") or [], input_slots(info)) if info else {}
    for one in node.get("inputs") or []:
        if one.get("link") is not None:
            value = workflow.value(one["link"])
            if value is not None:
                values[one["name"]] = value
            elif "widget" not in one:
                values.pop(one["name"], None)
    return values


def _widget_values(stored: Any, slots: Mapping[str, InputSlot]) -> dict[str, Any]:
    """Values of widgets by input: in the order of the schema, with a seed's control and upload buttons between them."""
    widgets = {name: slot for name, slot in slots.items() if slot.widget and not slot.options.get("forceInput")}
    if isinstance(stored, dict):
        return {name: stored[name] for name in widgets if name in stored}
    values, rest = {}, list(stored)
    for place, (name, slot) in enumerate(widgets.items(), 1):
        if not rest:
            if "default" in slot.options:  # the page does the same for a workflow of an older version
                values[name] = slot.options["default"]
            continue
        values[name] = rest.pop(0)
        controlled = slot.options.get("control_after_generate") or name in ("seed", "noise_seed")
        if controlled and rest and rest[0] in _CONTROLS:
            rest.pop(0)
        while slot.upload and len(rest) > len(widgets) - place:
            rest.pop(0)
    return values
