"""Running a checked graph: each node once, in dependency order, outputs freed when the last reader has had them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.host import use as use_host
from ..mimaface_core.terminal import TerminalHost
from ..nodes.comfyui.schema import io
from .files import free_path
from .graph import GraphNode, GraphRefused, Problem, as_prompt, is_link
from .validate import run_order

Link = tuple[str, int]


def run_graph(graph: dict[str, GraphNode], classes: dict[str, type], host: TerminalHost) -> list[Path]:
    """Run a graph that `validate` found sound; returns the files it wrote, finished ones before previews.

    Files reported as temporary (previews) are moved to `preview/` in the output folder. Raises GraphRefused with the
    node's name where a node refuses its input, Cancelled where the user stops.
    """
    finished: list[Path] = []
    previews: list[Path] = []
    with use_host(host):
        shared = merge_equal(graph, classes)
        order = [key for key, first in shared.items() if key == first]
        store = _Store(graph, order, shared)
        for number, key in enumerate(order, 1):
            node = graph[key]
            host.check_cancelled()
            host.say(f"[{number}/{len(order)}] {node.title} ({node.class_type})")
            shown = _execute(node, classes[node.class_type], graph, store)
            for file, kind in _files(shown, host):
                if kind == "temp":
                    previews.append(_keep(file, host))
                else:
                    finished.append(file)
            for text in shown.get("text", ()):
                host.say(f"{node.title}: {text}")
    return finished + previews


class _Store:
    """Outputs that some node has yet to read; each leaves with its last reader, so that memory stays flat."""

    def __init__(self, graph: dict[str, GraphNode], order: list[str], shared: dict[str, str]):
        self.shared = shared
        self.held: dict[Link, Any] = {}
        links = (value for key in order for value in graph[key].inputs.values() if is_link(value))
        self.readers = Counter((shared[key], slot) for key, slot in links)

    def take(self, node: GraphNode) -> dict[str, Any]:
        """The inputs of a node."""
        inputs = {}
        for name, value in node.inputs.items():
            if is_link(value):
                link = (self.shared[value[0]], value[1])
                self.readers[link] -= 1
                inputs[name] = self.held[link] if self.readers[link] else self.held.pop(link)
            else:
                inputs[name] = value
        return inputs

    def put(self, node: GraphNode, outputs: tuple) -> None:
        """Keep what a node gave, as far as it will be read."""
        for slot, value in enumerate(outputs):
            if self.readers[node.id, slot]:
                self.held[node.id, slot] = value


def infos(classes: dict[str, type]) -> dict[str, dict]:
    """The `object_info` entries of node classes, by name."""
    return {name: cls.GET_NODE_INFO_V1() for name, cls in classes.items()}


def merge_equal(graph: dict[str, GraphNode], classes: dict[str, type]) -> dict[str, str]:
    """For each needed node, in the order of running, the first that does the same with the same inputs: mostly itself."""
    first: dict[str, str] = {}
    shared: dict[str, str] = {}
    for key in run_order(graph, infos(classes)):
        node, cls = graph[key], classes[graph[key].class_type]
        inputs = {
            name: [shared[value[0]], value[1]] if is_link(value) else {"value": value}
            for name, value in node.inputs.items()
        }
        signature = json.dumps([node.class_type, inputs], sort_keys=True, default=repr)
        alone = cls.OUTPUT_NODE or cls.NOT_IDEMPOTENT
        shared[key] = key if alone else first.setdefault(signature, key)
    return shared


def _execute(node: GraphNode, cls: type, graph: dict[str, GraphNode], store: _Store) -> dict[str, Any]:
    """Run one node, put its outputs into `store` and return what it wants shown."""
    schema = cls.GET_SCHEMA()
    known = {one.id for one in schema.inputs or []}
    hidden = {io.Hidden.unique_id: node.id, io.Hidden.prompt: _recorded(graph)}
    hidden = {kind: value for kind, value in hidden.items() if kind in (schema.hidden or [])}
    clone = cls.PREPARE_CLASS_CLONE(hidden)
    inputs = {name: value for name, value in store.take(node).items() if name in known}
    try:
        result = clone.EXECUTE_NORMALIZED(**inputs)
    except InputError as wrong:
        raise GraphRefused([Problem(str(node), None, str(wrong))]) from wrong
    store.put(node, result.result or ())
    return result.ui if isinstance(result.ui, dict) else result.ui.as_dict() if result.ui else {}


def _recorded(graph: dict[str, GraphNode]) -> dict[str, Any]:
    """The graph as it goes into files: without the folders of this machine."""

    def plain(value: Any) -> Any:
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    prompt = as_prompt(graph)
    for entry in prompt.values():
        entry["inputs"] = {name: plain(value) for name, value in entry["inputs"].items()}
    return prompt


def _files(shown: dict[str, Any], host: TerminalHost) -> list[tuple[Path, str]]:
    """The files in a node's `ui`, in ComfyUI's notation, with the kind of folder each lies in."""
    roots = {"output": host.output_folder, "temp": host.temp_folder, "input": host.input_folder}
    entries = [
        entry
        for shelf in shown.values()
        if isinstance(shelf, (list, tuple))
        for entry in shelf
        if isinstance(entry, dict) and "filename" in entry
    ]
    found = []
    for entry in entries:
        kind = str(entry.get("type", "output"))
        path = Path(roots[kind](), entry.get("subfolder", ""), entry["filename"])
        found.append((path.absolute(), kind))
    return found


def _keep(file: Path, host: TerminalHost) -> Path:
    """Move a preview out of the temporary folder, which ends with the run."""
    folder = host.output_folder() / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    target = free_path(folder / file.name)
    shutil.move(file, target)
    return target.absolute()
