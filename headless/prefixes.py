"""Parts of file name prefixes that ComfyUI's page fills in: `%title.input%`."""

from __future__ import annotations

import re

from .graph import Graph, is_link

PREFIX_INPUT = "filename_prefix"
_PART = re.compile(r"%([^%.]+)\.([^%.]+)%")
_FORBIDDEN = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')  # in values: a value makes no folders


def fill_prefixes(graph: Graph) -> None:
    """Replace `%title.input%` in prefixes by that value of the first node of that class, or else of that title.

    As on ComfyUI's page, what names no node or no value stays as it is.

    Args:
        graph: the nodes by id; changed in place.
    """

    def value(match: re.Match[str]) -> str:
        name, input_name = match.groups()
        nodes = [node for node in graph.values() if node.class_type == name]
        nodes = nodes or [node for node in graph.values() if node.title == name]
        found = nodes[0].inputs.get(input_name) if nodes else None
        return match.group() if found is None or is_link(found) else _FORBIDDEN.sub("_", str(found))

    for node in graph.values():
        prefix = node.inputs.get(PREFIX_INPUT)
        if isinstance(prefix, str):
            node.inputs[PREFIX_INPUT] = _PART.sub(value, prefix)
