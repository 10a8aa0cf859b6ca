"""Reading an API-format graph and applying what the command line changes in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from ..mimaface_core.errors import InputError

SHIPPED = Path(__file__).resolve().parents[1]


class Problem(NamedTuple):
    """One thing wrong with a graph: where, and one sentence with the remedy."""

    node: str
    input: str | None
    text: str

    def __str__(self) -> str:
        place = self.node + (f", input '{self.input}'" if self.input else "")
        return f"{place}: {self.text}"


class GraphRefused(InputError):
    """A graph that cannot run; `problems` holds everything found, one line each."""

    def __init__(self, problems: Iterable[Problem | str]):
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class GraphNode:
    """A node of the graph: `inputs` holds values, or links as [node id, output slot]."""

    id: str
    class_type: str
    title: str
    inputs: dict[str, Any]

    def __str__(self) -> str:
        return f"node '{self.title}' ({self.class_type}, id {self.id})"


def is_link(value: Any) -> bool:
    """Whether an input's value is a link to another node's output."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and not isinstance(value[1], bool)
    )


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the list of what there is."""
    known = sorted(known)
    near = get_close_matches(wrong, known, n=1) or [name for name in known if name.lower() == wrong.lower()]
    if near:
        return f"did you mean '{near[0]}'?"
    return "there is " + (", ".join(f"'{name}'" for name in known) or "none") + "."


def find_graph(name: str) -> Path:
    """The graph file of that path, or the shipped graph of that name (`reenact_video`). Raises InputError."""
    shipped = SHIPPED / "workflows" / "api"
    for path in (Path(name).expanduser(), SHIPPED / name, shipped / name, shipped / f"{name}.json"):
        if path.is_file():
            return path
    graphs = [path.stem for path in shipped.glob("*.json")]
    raise InputError(
        f"There is no graph file '{name}'; give the path of an API-format graph or the name of a shipped one: "
        + suggestion(Path(name).stem, graphs)
    )


def load_graph(path: Path) -> dict[str, GraphNode]:
    """Read an API-format graph: {node id: GraphNode}.

    Raises InputError for a file that is not such a graph, GraphRefused for nodes that are not whole.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(f"The graph {path} cannot be read ({problem.strerror}); check the path.") from problem
    except UnicodeDecodeError as problem:
        raise InputError(f"The graph {path} is not a text file; give the JSON file of a graph.") from problem
    except json.JSONDecodeError as problem:
        raise InputError(
            f"The graph {path} is not valid JSON: {problem.msg} in line {problem.lineno}, column {problem.colno};"
            " export it again."
        ) from problem
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        raise InputError(
            f"The graph {path} is in ComfyUI's UI format; export it with 'Export (API)' or use one of workflows/api."
        )
    if not isinstance(data, dict) or not data:
        raise InputError(f"The graph {path} is not an API-format graph: a JSON object with one entry a node.")
    graph, problems = {}, []
    for key, entry in data.items():
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


def as_prompt(graph: dict[str, GraphNode]) -> dict[str, Any]:
    """The graph in the API format again."""
    return {
        node.id: {"class_type": node.class_type, "inputs": node.inputs, "_meta": {"title": node.title}}
        for node in graph.values()
    }


def titled(graph: dict[str, GraphNode], title: str, option: str) -> GraphNode | Problem:
    """The node of that title, or failing that, of that id; else what is wrong with the option naming it."""
    found = [node for node in graph.values() if node.title == title]
    if len(found) > 1:
        ids = ", ".join(node.id for node in found)
        return Problem(option, None, f"several nodes are titled '{title}'; name one by its id: {ids}.")
    if found or title in graph:
        return found[0] if found else graph[title]
    known = suggestion(title, {node.title for node in graph.values()})
    return Problem(option, None, f"no node is titled '{title}'; {known}")


def override(
    graph: dict[str, GraphNode], infos: dict[str, dict], files: Iterable[str], values: Iterable[str]
) -> list[Problem]:
    """Apply `--input TITLE=PATH` (`files`) and `--set TITLE.INPUT=VALUE` (`values`) in place.

    infos: `object_info` entries by class. A path is put into the file widget of the titled node. Values are left
    as text for `validate` to convert. Returns everything that could not be applied.
    """
    problems = []
    for text in files:
        option, (title, equals, path) = f"--input {text}", text.partition("=")
        node = titled(graph, title, option) if equals and path else Problem(option, None, "write it TITLE=PATH.")
        widget = None if isinstance(node, Problem) else file_input(infos.get(node.class_type))
        if isinstance(node, Problem):
            problems.append(node)
        elif widget:
            node.inputs[widget] = str(Path(path).expanduser().absolute())
        elif node.class_type in infos:
            takers = [n.title for n in graph.values() if file_input(infos.get(n.class_type))]
            known = ", ".join(f"'{name}'" for name in takers) or "none"
            problems.append(
                Problem(option, None, f"{node} takes no file; use --set for its values. File inputs: {known}.")
            )
    for text in values:
        option, (key, equals, value) = f"--set {text}", text.partition("=")
        title, dot, name = key.rpartition(".")
        if not (equals and dot and title and name):
            problems.append(Problem(option, None, "write it TITLE.INPUT=VALUE."))
            continue
        node = titled(graph, title, option)
        if isinstance(node, Problem):
            problems.append(node)
        else:
            node.inputs[name] = value
    return problems


def file_input(info: dict | None) -> str | None:
    """The input of a node class that names a file of the input folder: the one with an upload button."""
    groups = (info or {}).get("input", {})
    for name, entry in {**groups.get("required", {}), **groups.get("optional", {})}.items():
        if len(entry) > 1 and upload_kind(entry[1]):
            return name
    return None


def upload_kind(options: dict) -> str | None:
    """`image`, `video`, `audio` or `file`: what an input's upload button takes; None without one."""
    return next((kind for kind in ("image", "video", "audio", "file") if options.get(f"{kind}_upload")), None)
