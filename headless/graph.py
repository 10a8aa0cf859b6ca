"""API-format graphs: nodes, links, reading and writing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import is_file, parse_json, read_json, shown
from .object_info import NodeInfo
from .problems import GraphRefused, Problem, suggestion
from .ui_workflow import EXPORT, as_api_graph, is_ui_workflow

ROOT = Path(__file__).resolve().parents[1]  # of this extension
SHIPPED = ROOT / "workflows" / "api"


@dataclass
class GraphNode:
    """A node of the graph: `inputs` holds values, or links as [node id, output slot]."""

    id: str
    class_type: str
    title: str
    inputs: dict[str, Any]

    def __str__(self) -> str:
        return f"node '{self.title}' ({self.class_type}, id {self.id})"


Graph = dict[str, GraphNode]  # by id


def is_link(value: Any) -> bool:
    """Whether an input's value is a link to another node's output."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def find_graph(name: str) -> Path:
    """The file of a graph.

    Args:
        name: path of a file, or name of a shipped graph (`reenact_video`).

    Raises:
        InputError: there is no such file.
    """
    for path in (Path(os.path.expanduser(name)), ROOT / name, SHIPPED / name, SHIPPED / f"{name}.json"):
        if is_file(path):
            return path
    graphs = [path.stem for path in SHIPPED.glob("*.json")]
    raise InputError(
        f"There is no graph file '{shown(name)}'; give the path of an API-format graph or the name of a shipped one: "
        + suggestion(Path(name).stem, graphs)
    )


def load_graph(path: Path, infos: Mapping[str, NodeInfo] | None = None) -> Graph:
    """Read a graph.

    Args:
        path: of an API-format graph, or of a workflow as ComfyUI's page saves it.
        infos: `object_info` entries by class, by which workflows are converted; without them they are refused.

    Returns:
        The nodes by id.

    Raises:
        InputError: the file is not such a graph.
        GraphRefused: nodes are incomplete.
    """
    graph: Graph = {}
    problems = []
    for key, entry in _read_object(path, infos).items():
        inputs = entry.get("inputs", {}) if isinstance(entry, dict) else None
        if not isinstance(inputs, dict) or not isinstance(entry.get("class_type"), str):
            problems.append(Problem(f"node {key}", None, "it has no class_type and inputs; export the graph again."))
            continue
        meta = entry.get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        graph[key] = GraphNode(key, entry["class_type"], str(title or entry["class_type"]), dict(inputs))
    if problems:
        raise GraphRefused(problems)
    return graph


def _read_object(path: Path, infos: Mapping[str, NodeInfo] | None) -> dict[str, Any]:
    """The JSON object of a graph file. Raises InputError where the file holds something else."""
    try:
        data = parse_json(_prompt_of_png(path)) if path.suffix.lower() == ".png" else read_json(path)
    except OSError as problem:
        raise InputError(f"The graph {path} cannot be read ({problem.strerror}); check the path.") from problem
    except UnicodeDecodeError as problem:
        raise InputError(f"The graph {path} is not a text file; give the JSON file of a graph.") from problem
    except json.JSONDecodeError as problem:
        raise InputError(
            f"The graph {path} is not valid JSON: {problem.msg} in line {problem.lineno}, column {problem.colno};"
            " export it again."
        ) from problem
    except ValueError as problem:
        raise InputError(f"The graph {path} is not an API-format graph: {problem}; give another file.") from problem
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict) and "class_type" not in data["prompt"]:
        data = data["prompt"]  # the body of ComfyUI's /prompt
    if is_ui_workflow(data):
        if infos is None:
            raise InputError(f"The graph {path} is in ComfyUI's UI format; {EXPORT}.")
        data = as_api_graph(data, infos, str(path))
    if not isinstance(data, dict) or not data:
        raise InputError(f"The graph {path} is not an API-format graph: a JSON object with one entry a node.")
    return data


def _prompt_of_png(path: Path) -> str:
    """The graph that a save node wrote into an image. Raises InputError where there is none."""
    from PIL import Image

    from ..mimaface_core.media.image import DAMAGED

    try:
        with Image.open(path, formats=["PNG"]) as image:
            prompt = image.info.get("prompt")
    except (*DAMAGED, Image.DecompressionBombError):
        prompt = None
    if not isinstance(prompt, str):
        raise InputError(f"The image {path} holds no graph; give the JSON file of a graph.")
    return prompt


def as_prompt(graph: Graph) -> dict[str, Any]:
    """The graph in the API format."""
    return {
        node.id: {"class_type": node.class_type, "inputs": node.inputs, "_meta": {"title": node.title}}
        for node in graph.values()
    }
