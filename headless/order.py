"""Execution order of a graph."""

from __future__ import annotations

from collections.abc import Mapping

from ..mimaface_core.errors import InputError
from .graph import Graph, is_link
from .object_info import NodeInfo

# A node of an unknown class counts as an output node, so that the nodes it depends on are checked, too.
UNKNOWN_CLASS: NodeInfo = {"output_node": True}


def run_order(graph: Graph, infos: Mapping[str, NodeInfo]) -> list[str]:
    """Topological order of the nodes that output nodes depend on, by depth-first search.

    Args:
        graph: the nodes by id.
        infos: `object_info` entries by class.

    Returns:
        Their ids, each after all it depends on.

    Raises:
        InputError: links form a circle.
    """
    order: list[str] = []
    placed: dict[str, bool] = {}  # False while the inputs of a node are being visited
    stack = [key for key in reversed(graph) if infos.get(graph[key].class_type, UNKNOWN_CLASS)["output_node"]]
    while stack:
        key = stack[-1]
        if key in placed:
            stack.pop()
            if not placed[key]:
                placed[key] = True
                order.append(key)
            continue
        placed[key] = False
        for value in reversed(list(graph[key].inputs.values())):
            if is_link(value) and value[0] in graph and not placed.get(value[0]):
                if value[0] in placed:
                    raise InputError(
                        f"{graph[key]} depends on itself through {graph[value[0]]}; cut that circle of links."
                    )
                stack.append(value[0])
    return order
