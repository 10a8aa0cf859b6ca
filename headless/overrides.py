"""Options of the command line that change a graph: `--input TITLE=PATH` and `--set TITLE.INPUT=VALUE`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .graph import Graph, GraphNode
from .object_info import NodeInfo, file_input
from .problems import Problem, suggestion


def apply_overrides(
    graph: Graph, infos: Mapping[str, NodeInfo], files: Iterable[str], values: Iterable[str]
) -> list[Problem]:
    """Change a graph in place.

    Args:
        graph: the nodes by id.
        infos: `object_info` entries by class.
        files: `TITLE=PATH`; the path goes into the file input of the node with that title.
        values: `TITLE.INPUT=VALUE`; values stay text, for `validate` to convert.

    Returns:
        The options that could not be applied.
    """
    problems = [_set_file(graph, infos, text) for text in files] + [_set_value(graph, text) for text in values]
    return [problem for problem in problems if problem]


def _set_file(graph: Graph, infos: Mapping[str, NodeInfo], text: str) -> Problem | None:
    option, (title, equals, path) = f"--input {text}", text.partition("=")
    if not (equals and path):
        return Problem(option, None, "write it TITLE=PATH.")
    node = _titled(graph, title, option)
    if isinstance(node, Problem):
        return node
    if node.class_type not in infos:
        return None  # reported where the classes are checked
    name = file_input(infos[node.class_type])
    if name is None:
        loaders = [other.title for other in graph.values() if file_input(infos.get(other.class_type))]
        known = ", ".join(f"'{title}'" for title in loaders) or "none"
        return Problem(option, None, f"{node} takes no file; use --set for its values. File inputs: {known}.")
    node.inputs[name] = str(Path(os.path.expanduser(path)).absolute())
    return None


def _set_value(graph: Graph, text: str) -> Problem | None:
    option, (key, equals, value) = f"--set {text}", text.partition("=")
    title, dot, name = key.rpartition(".")
    if not (equals and dot and title and name):
        return Problem(option, None, "write it TITLE.INPUT=VALUE.")
    node = _titled(graph, title, option)
    if isinstance(node, Problem):
        return node
    node.inputs[name] = value
    return None


def _titled(graph: Graph, title: str, option: str) -> GraphNode | Problem:
    """The node of that title, or failing that, of that id; else the problem of the option that names it."""
    nodes = [node for node in graph.values() if node.title == title]
    if len(nodes) > 1:
        ids = ", ".join(node.id for node in nodes)
        return Problem(option, None, f"several nodes are titled '{title}'; name one by its id: {ids}.")
    if nodes or title in graph:
        return nodes[0] if nodes else graph[title]
    known = suggestion(title, {node.title for node in graph.values()})
    return Problem(option, None, f"no node is titled '{title}'; {known}")
