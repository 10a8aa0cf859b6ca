"""Checking a whole graph before anything runs, so that all its problems are told at once.

Works on `object_info` entries, so the same checks serve the nodes of this process and those of a ComfyUI server.
"""

from __future__ import annotations

import inspect
import math
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from ..mimaface_core.errors import InputError
from .files import find_input, unsuited
from .graph import GraphNode, Problem, is_link, suggestion, upload_kind

OURS = "MIMAFace"  # what the ids of this pack's nodes begin with
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
# left in exported graphs by the front end: buttons and players, not inputs of the node
FRONT_END_ONLY = {
    "upload",
    "audioUI",
    "video-preview",
    "image_upload",
    "video_upload",
    "audio_upload",
    "choose file to upload",
}
WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Slot(NamedTuple):
    """One input of a node class: its types (several may do), its options and whether it has to be given."""

    types: list[str]
    options: dict[str, Any]
    required: bool


def slots(info: dict) -> dict[str, Slot]:
    """The inputs of an `object_info` entry by name."""
    found = {}
    for group in ("required", "optional"):
        for name, (kind, *rest) in info["input"].get(group, {}).items():
            options = dict(rest[0]) if rest else {}
            if isinstance(kind, (list, tuple)):
                kind, options = "COMBO", {**options, "options": list(kind)}
            found[name] = Slot([part.strip() for part in kind.split(",")], options, group == "required")
    return found


def outputs(info: dict) -> list[str]:
    """The output types of an `object_info` entry; a list of options reads as COMBO."""
    return [kind if isinstance(kind, str) else "COMBO" for kind in info["output"]]


def run_order(graph: dict[str, GraphNode], infos: dict[str, dict]) -> list[str]:
    """Ids of the nodes that output nodes need, each after all it depends on. Raises InputError for a circle."""
    order: list[str] = []
    state: dict[str, bool] = {}  # False while a node's inputs are being visited, True once it is placed
    unknown = {"output_node": True}  # so that what lies behind a misspelt class is looked at too
    stack = [key for key in reversed(graph) if infos.get(graph[key].class_type, unknown)["output_node"]]
    while stack:
        key = stack[-1]
        if key in state:
            stack.pop()
            if not state[key]:
                state[key] = True
                order.append(key)
            continue
        state[key] = False
        for value in reversed(list(graph[key].inputs.values())):
            if is_link(value) and value[0] in graph and not state.get(value[0]):
                if value[0] in state:
                    raise InputError(
                        f"{graph[key]} depends on itself through {graph[value[0]]}; cut that circle of links."
                    )
                stack.append(value[0])
    return order


def validate(
    graph: dict[str, GraphNode],
    infos: dict[str, dict],
    *,
    folders: list[Path],
    classes: dict[str, type] | None = None,
    where: str = "here",
) -> list[Problem]:
    """Everything that is wrong with a graph; values are converted and files found, in place.

    infos: `object_info` entries by class name. folders: where files named without a folder are looked for.
    classes: the node classes themselves, whose own `validate_inputs` is then asked too; without them (nodes of a
    server) a file that is not on this machine is left for the server to find.
    """
    problems = []
    for node in graph.values():
        if node.class_type not in infos:
            problems.append(Problem(str(node), None, _unknown_class(node, infos, where)))
    if not problems and not any(infos[node.class_type]["output_node"] for node in graph.values()):
        problems.append(Problem("the graph", None, "it has no output node; add one that saves, such as SaveVideo."))
    try:
        needed = run_order(graph, infos)
    except InputError as circle:
        return [*problems, Problem("the graph", None, str(circle))]
    for node in (graph[key] for key in needed):
        if node.class_type in infos:
            judged = _judged(classes[node.class_type]) if classes else []
            found = _check_node(node, graph, infos, folders, judged, classes is not None)
            problems += found
            if classes and not {problem.input for problem in found} & set(judged):
                problems += _ask_node(node, classes[node.class_type], judged)
    return problems


def _unknown_class(node: GraphNode, infos: dict[str, dict], where: str) -> str:
    if node.class_type.startswith(OURS) and not any(name.startswith(OURS) for name in infos):
        return f"MIMAFace is not installed {where}, or did not load: the log tells why."
    known = suggestion(node.class_type, infos)
    if not known.startswith("did"):
        known = "use nodes of this pack, or queue the graph on a ComfyUI that has it with --server."
    return f"no node class of that name is known {where}; {known}{_newer(node)}"


def _newer(node: GraphNode) -> str:
    """What else may be the reason where a node of this pack is asked for what it does not have."""
    return " If the graph was made with a newer MIMAFace, update this one." if node.class_type.startswith(OURS) else ""


def _check_node(node, graph, infos, folders, judged, here) -> list[Problem]:
    """judged: inputs that, as in ComfyUI, only the node's own `validate_inputs` holds against range and options."""
    known, problems = slots(infos[node.class_type]), []
    for name in node.inputs:
        if name not in known and name not in FRONT_END_ONLY:
            problems.append(
                Problem(str(node), name, f"there is no such input; {suggestion(name, known)}{_newer(node)}")
            )
    for name, slot in known.items():
        if node.inputs.get(name) is None:
            if slot.required:
                problems.append(Problem(str(node), name, _missing(node, slot, graph, infos)))
            node.inputs.pop(name, None)
        elif isinstance(node.inputs[name], list):
            wrong = _check_link(node.inputs[name], slot, graph, infos)
            if wrong:
                problems.append(Problem(str(node), name, wrong))
        else:
            try:
                node.inputs[name] = _convert(node.inputs[name], slot, name not in judged)
                if upload_kind(slot.options):
                    node.inputs[name] = _find(node.inputs[name], node, slot, folders, here)
            except InputError as wrong:
                problems.append(Problem(str(node), name, str(wrong)))
    return problems


def _missing(node: GraphNode, slot: Slot, graph: dict[str, GraphNode], infos: dict[str, dict]) -> str:
    widget = next((kind for kind in slot.types if kind in WIDGETS), None)
    if upload_kind(slot.options):
        return f"no file is given; {_input_advice(node)}"
    if widget is None:
        return f"nothing is connected; {_link_advice(slot, graph, infos)}"
    default = slot.options.get("default")
    return "it is missing; " + (f"its default is {default!r}." if default is not None else f"give a {widget}.")


def _input_advice(node: GraphNode) -> str:
    return f"name one with --input {shlex.quote(f'{node.title}=PATH')}."


def _link_advice(slot: Slot, graph: dict[str, GraphNode], infos: dict[str, dict]) -> str:
    givers = [
        node.title
        for node in graph.values()
        if node.class_type in infos and set(outputs(infos[node.class_type])) & set(slot.types)
    ]
    here = f" (here: {', '.join(dict.fromkeys(givers))})" if givers else ""
    return f"link it to a node that gives {' or '.join(slot.types)}{here}."


def _check_link(value: Any, slot: Slot, graph: dict[str, GraphNode], infos: dict[str, dict]) -> str | None:
    if not is_link(value):
        return f"{value!r} is no link; a link is [node id, output slot]."
    if value[0] not in graph:
        return f"it is linked to node {value[0]}, which is not in the graph; {_link_advice(slot, graph, infos)}"
    giver = graph[value[0]]
    if giver.class_type not in infos:
        return None  # told where that node is looked at
    given = outputs(infos[giver.class_type])
    if not 0 <= value[1] < len(given):
        return (
            f"it is linked to output {value[1]} of {giver}, which has {len(given)}; {_link_advice(slot, graph, infos)}"
        )
    kinds = {part.strip() for part in given[value[1]].split(",")}
    if "*" in kinds or "*" in slot.types or kinds & set(slot.types):
        return None
    return (
        f"it needs {' or '.join(slot.types)}, but output {value[1]} of {giver} is {given[value[1]]};"
        f" {_link_advice(slot, graph, infos)}"
    )


def _convert(value: Any, slot: Slot, held: bool = True) -> Any:
    """A literal in the type its widget has. Raises InputError where it has another.

    held: whether it is also held against the widget's range and options.
    """
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    kind = next((kind for kind in slot.types if kind in WIDGETS), None)
    if kind is None:
        if "*" in slot.types:
            return value
        raise InputError(f"it takes {' or '.join(slot.types)} over a link, not the value {value!r}; connect a node.")
    if kind in ("INT", "FLOAT"):
        number = _number(value, kind)
        return _in_range(number, slot.options) if held else number
    if kind == "BOOLEAN":
        flag = WORDS.get(str(value).strip().lower())
        if flag is None:
            raise InputError(f"{value!r} is neither true nor false; write one of the two.")
        return flag
    if kind == "COMBO" and not upload_kind(slot.options):
        choices = slot.options.get("options") or []
        same = [choice for choice in choices if choice == value or str(choice) == str(value)]
        if not same and choices and held:
            raise InputError(f"{value!r} is not one of its options; {suggestion(str(value), map(str, choices))}")
        return same[0] if same else value
    return str(value)


def _number(value: Any, kind: str) -> int | float:
    noun = "a whole number" if kind == "INT" else "a number"
    try:
        if isinstance(value, (str, int)) and not isinstance(value, bool) and kind == "INT":
            return int(value)  # exact for seeds of 64 bits
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError) as wrong:
        raise InputError(f"{value!r} is not {noun}; write one.") from wrong
    if not math.isfinite(number) or (kind == "INT" and number != int(number)):
        raise InputError(f"{value!r} is not {noun}; write one.")
    return int(number) if kind == "INT" else number


def _in_range(number: float, options: dict[str, Any]) -> int | float:
    low, high = options.get("min"), options.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
        raise InputError(f"{number} is out of range; use {' and '.join(bounds)}.")
    return number


def _find(name: Any, node: GraphNode, slot: Slot, folders: list[Path], here: bool) -> str:
    """The absolute path of the file a widget names. Raises InputError where it is missing or of another kind."""
    path = find_input(str(name), folders)
    if path is None:
        if here or Path(str(name)).is_absolute():
            raise InputError(f"there is no file '{name}'; {_input_advice(node)}")
        return str(name)
    wrong = unsuited(path, upload_kind(slot.options))
    if wrong:
        raise InputError(wrong)
    return str(path)


def _ask_node(node: GraphNode, cls: type, judged: list[str]) -> list[Problem]:
    """What the node's own `validate_inputs` says; inputs that come over links are given as None."""
    if _inherited(cls):
        return []
    names = [name for name in judged if name in node.inputs]
    given = {name: None if is_link(node.inputs[name]) else node.inputs[name] for name in names}
    try:
        verdict = cls.validate_inputs(**given)
    except InputError as wrong:
        verdict = str(wrong)
    if verdict is True:
        return []
    text = verdict if isinstance(verdict, str) else "the node refuses these inputs; see its tooltips."
    return [Problem(str(node), names[0] if len(names) == 1 else None, text)]


def _inherited(cls: type) -> bool:
    """Whether a node class has no `validate_inputs` of its own."""
    return cls.validate_inputs.__func__ is cls.GET_BASE_CLASS().validate_inputs.__func__


def _judged(cls: type) -> list[str]:
    """The inputs that a node class's own `validate_inputs` names."""
    return [] if _inherited(cls) else inspect.getfullargspec(cls.validate_inputs).args[1:]
