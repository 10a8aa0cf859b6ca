"""Links between nodes: checked for their ends and types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph, is_link
from .object_info import InputSlot, NodeInfo, output_types


def link_fault(value: Any, slot: InputSlot, graph: Graph, infos: Mapping[str, NodeInfo]) -> str | None:
    """The fault of a link, with the remedy; None where it fits.

    Args:
        value: the input's value, a list.
        slot: the input.
        graph: the nodes by id.
        infos: `object_info` entries by class.
    """
    if not is_link(value):
        return f"{value!r} is no link; a link is [node id, output slot]."
    advice = link_advice(slot, graph, infos)
    if value[0] not in graph:
        return f"it is linked to node {value[0]}, which is not in the graph; {advice}"
    origin, number = graph[value[0]], value[1]
    if origin.class_type not in infos:
        return None  # reported with that node
    types = output_types(infos[origin.class_type])
    if not 0 <= number < len(types):
        return f"it is linked to output {number} of {origin}, which has {len(types)}; {advice}"
    kinds = _kinds(types[number])
    if "*" in kinds or "*" in slot.types or kinds & set(slot.types):
        return None
    return f"it needs {' or '.join(slot.types)}, but output {number} of {origin} is {types[number]}; {advice}"


def link_advice(slot: InputSlot, graph: Graph, infos: Mapping[str, NodeInfo]) -> str:
    """The remedy for an input without a fitting link: the nodes of the graph that have an output of its type."""
    origins = [
        node.title
        for node in graph.values()
        if node.class_type in infos
        and any(_kinds(kind) & set(slot.types) for kind in output_types(infos[node.class_type]))
    ]
    here = f" (here: {', '.join(dict.fromkeys(origins))})" if origins else ""
    return f"link it to a node that gives {' or '.join(slot.types)}{here}."


def _kinds(kind: str) -> set[str]:
    """The types of an output, which may be one of several."""
    return {part.strip() for part in kind.split(",")}
