"""Outputs that stay from run to run in one process: opened packs, and faces measured in photographs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..nodes.node import fingerprint
from .graph import Graph, is_link

# Their outputs depend on nothing but their inputs and the files these name. A clip's are not kept, for their size.
KEPT_CLASSES = frozenset({"MIMAFaceLoadPack", "LoadImage", "MIMAFaceExtract3DMM"})


class KeptOutputs:
    """Outputs of the last run of a graph, for the next one.

    What a run does not use is forgotten with it, so memory holds one pack and the photographs of one graph. A file that
    has changed since counts as another one.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple] = {}
        self._present: dict[str, tuple] = {}
        self._signatures: dict[str, str] = {}

    def begin(self, graph: Graph, order: Sequence[str], merged: Mapping[str, str]) -> None:
        """Begin a run.

        Args:
            graph: the nodes by id.
            order: ids of those that will run, each after all it depends on.
            merged: the node that stands for each, see `execute.merge_equal_nodes`.
        """
        self._last, self._present = self._present or self._last, {}
        self._signatures = {}
        for key in order:
            node = graph[key]
            origins = {name: merged[value[0]] for name, value in node.inputs.items() if is_link(value)}
            if node.class_type in KEPT_CLASSES and all(origin in self._signatures for origin in origins.values()):
                inputs = {
                    name: [self._signatures[origins[name]], value[1]] if name in origins else [value, _stamp(value)]
                    for name, value in node.inputs.items()
                }
                self._signatures[key] = json.dumps([node.class_type, inputs], sort_keys=True, default=repr)

    def get(self, key: str) -> tuple | None:
        """The outputs of a node, where the last run had an equal one."""
        signature = self._signatures.get(key)
        outputs = None if signature is None else self._last.get(signature)
        if outputs is not None:
            self.put(key, outputs)
        return outputs

    def put(self, key: str, outputs: tuple) -> None:
        """Keep the outputs of a node, if it is one of those that are kept."""
        if key in self._signatures:
            self._present[self._signatures[key]] = outputs


def _stamp(value: object) -> list:
    """What changes with the file that an input names; empty for other values."""
    return fingerprint([Path(value)]) if isinstance(value, str) and Path(value).is_absolute() else []
