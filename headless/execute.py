"""Run a checked graph: each node once, in dependency order; an output is freed when its last reader has it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.host import use as use_host
from ..mimaface_core.terminal import TerminalHost
from ..nodes.comfyui.schema import io
from .files import free_path, shown_files
from .graph import Graph, GraphNode, as_prompt, is_link
from .kept import KeptOutputs
from .object_info import NodeInfo
from .order import run_order
from .problems import GraphRefused, Problem

Link = tuple[str, int]


def run_graph(
    graph: Graph, classes: Mapping[str, type[io.ComfyNode]], host: TerminalHost, kept: KeptOutputs | None = None
) -> list[Path]:
    """Run a graph that `validate` found sound.

    Args:
        graph: the nodes by id.
        classes: node classes by id.
        host: prints the running node, and names the folders.
        kept: outputs of former runs, which are used and replaced.

    Returns:
        The written files, finished ones before previews; previews are moved to `preview/` of the output folder.

    Raises:
        GraphRefused: a node refuses its input; the problem names it.
        Cancelled: the user stops the run.
    """
    finished: list[Path] = []
    previews: list[Path] = []
    with use_host(host):
        merged = merge_equal_nodes(graph, classes)
        order = [key for key, first in merged.items() if key == first]
        store = _OutputStore(graph, order, merged)
        if kept is not None:
            kept.begin(graph, order, merged)
        for number, key in enumerate(order, 1):
            node = graph[key]
            host.check_cancelled()
            outputs = kept.get(key) if kept is not None else None
            if outputs is not None:
                store.put_outputs(node, outputs)
                continue
            host.say(f"[{number}/{len(order)}] {node.title} ({node.class_type})")
            shown = _execute(node, classes[node.class_type], graph, store, kept)
            for file, kind in _files(shown, host):
                if kind == "temp":
                    previews.append(_keep_preview(file, host))
                else:
                    finished.append(file)
            for text in shown.get("text", ()):
                host.say(f"{node.title}: {text}")
    return finished + previews


class _OutputStore:
    """Outputs that some node has yet to read; each is dropped with its last reader, so that memory stays flat."""

    def __init__(self, graph: Graph, order: Sequence[str], merged: Mapping[str, str]) -> None:
        self.merged = merged
        self.outputs: dict[Link, Any] = {}
        links = (value for key in order for value in graph[key].inputs.values() if is_link(value))
        self.readers = Counter((merged[key], slot) for key, slot in links)

    def take_inputs(self, node: GraphNode) -> dict[str, Any]:
        """The values of a node's inputs."""
        return {name: self._take(value) if is_link(value) else value for name, value in node.inputs.items()}

    def _take(self, link: list) -> Any:
        key = (self.merged[link[0]], link[1])
        self.readers[key] -= 1
        return self.outputs[key] if self.readers[key] else self.outputs.pop(key)

    def put_outputs(self, node: GraphNode, outputs: tuple) -> None:
        """Keep those outputs of a node that will be read."""
        for slot, value in enumerate(outputs):
            if self.readers[node.id, slot]:
                self.outputs[node.id, slot] = value


def merge_equal_nodes(graph: Graph, classes: Mapping[str, type[io.ComfyNode]]) -> dict[str, str]:
    """Nodes of the same class with the same inputs, which need to run only once; output nodes always run.

    Returns:
        For each needed node, in the order of execution, the first node that equals it: mostly itself.
    """
    first: dict[str, str] = {}
    merged: dict[str, str] = {}
    infos: dict[str, NodeInfo] = {name: {"output_node": cls.OUTPUT_NODE} for name, cls in classes.items()}
    for key in run_order(graph, infos):
        node = graph[key]
        inputs = {
            name: [merged[value[0]], value[1]] if is_link(value) else {"value": value}
            for name, value in node.inputs.items()
        }
        signature = json.dumps([node.class_type, inputs], sort_keys=True, default=repr)
        merged[key] = key if infos[node.class_type]["output_node"] else first.setdefault(signature, key)
    return merged


def _execute(
    node: GraphNode, cls: type[io.ComfyNode], graph: Graph, store: _OutputStore, kept: KeptOutputs | None
) -> dict[str, Any]:
    """Run one node, put its outputs into `store` and `kept`, and return its `ui`."""
    schema = cls.GET_SCHEMA()
    known = {one.id for one in schema.inputs or []}
    hidden = {io.Hidden.unique_id: node.id, io.Hidden.prompt: _without_folders(graph)}
    clone = cls.PREPARE_CLASS_CLONE({kind: value for kind, value in hidden.items() if kind in (schema.hidden or [])})
    inputs = {name: value for name, value in store.take_inputs(node).items() if name in known}
    try:
        result = clone.EXECUTE_NORMALIZED(**inputs)
    except InputError as fault:
        raise GraphRefused([Problem(str(node), None, str(fault))]) from fault
    store.put_outputs(node, result.result or ())
    if kept is not None:
        kept.put(node.id, result.result or ())
    if not result.ui:
        return {}
    return result.ui if isinstance(result.ui, dict) else result.ui.as_dict()


def _without_folders(graph: Graph) -> dict[str, Any]:
    """The graph as it is written into files: without the folders of this machine."""

    def plain(value: Any) -> Any:
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    prompt = as_prompt(graph)
    for entry in prompt.values():
        entry["inputs"] = {name: plain(value) for name, value in entry["inputs"].items()}
    return prompt


def _files(shown: Mapping[str, Any], host: TerminalHost) -> list[tuple[Path, str]]:
    """The files in a node's `ui`, each with the kind of folder that it lies in."""
    roots = {"output": host.output_folder, "temp": host.temp_folder, "input": host.input_folder}
    files = []
    for entry in shown_files(shown):
        kind = str(entry.get("type", "output"))
        path = Path(roots[kind](), entry.get("subfolder", ""), entry["filename"])
        files.append((path.absolute(), kind))
    return files


def _keep_preview(file: Path, host: TerminalHost) -> Path:
    """Move a preview out of the temporary folder, which is removed with the run."""
    folder = host.output_folder() / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    target = free_path(folder / file.name)
    shutil.move(file, target)
    return target.absolute()
