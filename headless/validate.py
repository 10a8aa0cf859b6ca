"""Check of a whole graph before anything runs, so that all its problems are reported at once.

Works on `object_info` entries, so the same checks serve the nodes of this process and those of a ComfyUI server.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import shown
from ..nodes.comfyui.schema import io
from .files import file_fault, find_input
from .graph import Graph, GraphNode, is_link
from .links import link_advice, link_fault
from .literals import convert
from .object_info import InputSlot, NodeInfo, input_slots
from .order import run_order
from .problems import Problem, suggestion

NODE_PREFIX = "MIMAFace"  # of the ids of this extension's nodes
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


@dataclass(frozen=True)
class _Context:
    """The graph, the known node classes, and where files are looked for.

    `local` is True where the nodes run in this process; a server may have files that are not on this machine.
    """

    graph: Graph
    infos: Mapping[str, NodeInfo]
    folders: Sequence[Path]
    local: bool


def validate(
    graph: Graph,
    infos: Mapping[str, NodeInfo],
    *,
    folders: Sequence[Path],
    classes: Mapping[str, type[io.ComfyNode]] | None = None,
    where: str = "here",
) -> list[Problem]:
    """Check a graph; values are converted and files found, in place.

    Args:
        graph: the nodes by id.
        infos: `object_info` entries by class.
        folders: where files named without a folder are looked for.
        classes: the node classes themselves, whose own `validate_inputs` is then called, too; None for the nodes of a
            server, where a file that is not on this machine is left for the server to find.
        where: the place of the node classes, in messages.

    Returns:
        All problems.
    """
    problems = [
        Problem(str(node), None, _unknown_class(node, infos, where))
        for node in graph.values()
        if node.class_type not in infos
    ]
    if not problems and not any(infos[node.class_type]["output_node"] for node in graph.values()):
        problems.append(Problem("the graph", None, "it has no output node; add one that saves, such as SaveVideo."))
    try:
        order = run_order(graph, infos)
    except InputError as circle:
        return [*problems, Problem("the graph", None, str(circle))]
    context = _Context(graph, infos, folders, local=classes is not None)
    for node in (graph[key] for key in order):
        if node.class_type in infos:
            problems += _check_node(node, context, classes[node.class_type] if classes else None)
    return problems


def _unknown_class(node: GraphNode, infos: Mapping[str, NodeInfo], where: str) -> str:
    if node.class_type.startswith(NODE_PREFIX) and not any(name.startswith(NODE_PREFIX) for name in infos):
        return f"MIMAFace is not installed {where}, or did not load: look into the log for the reason."
    known = suggestion(node.class_type, infos)
    if not known.startswith("did"):
        known = "use nodes of this extension, or queue the graph on a ComfyUI that has it with --server."
    return f"no node class of that name is known {where}; {known}{_newer_version(node)}"


def _newer_version(node: GraphNode) -> str:
    """A second possible reason where a node of this extension lacks something."""
    ours = node.class_type.startswith(NODE_PREFIX)
    return " If the graph was made with a newer MIMAFace, update this one." if ours else ""


def _check_node(node: GraphNode, context: _Context, cls: type[io.ComfyNode] | None) -> list[Problem]:
    """Check the inputs of a node, and let its class check them where that is here."""
    # As in ComfyUI, range and options of these inputs are the node's own to check.
    own_inputs = _own_inputs(cls) if cls else []
    slots = input_slots(context.infos[node.class_type])
    problems = [
        Problem(str(node), name, f"there is no such input; {suggestion(name, slots)}{_newer_version(node)}")
        for name in node.inputs
        if name not in slots and name not in FRONT_END_ONLY
    ]
    for name, slot in slots.items():
        fault = _check_input(node, name, slot, context, check_range=name not in own_inputs)
        if fault:
            problems.append(Problem(str(node), name, fault))
    if cls and not {problem.input for problem in problems} & set(own_inputs):
        problems += _own_check(node, cls, own_inputs)
    return problems


def _check_input(node: GraphNode, name: str, slot: InputSlot, context: _Context, check_range: bool) -> str | None:
    """The fault of one input, with the remedy; its value is converted in place."""
    value = node.inputs.get(name)
    if value is None:
        node.inputs.pop(name, None)
        return _missing(node, slot, context) if slot.required else None
    if isinstance(value, list):
        return link_fault(value, slot, context.graph, context.infos)
    try:
        node.inputs[name] = convert(value, slot, check_range)
        if slot.upload:
            node.inputs[name] = _find_file(node.inputs[name], node, slot.upload, context)
    except InputError as fault:
        return str(fault)
    return None


def _missing(node: GraphNode, slot: InputSlot, context: _Context) -> str:
    if slot.upload:
        return f"no file is given; {_input_advice(node)}"
    if slot.widget is None:
        return f"nothing is connected; {link_advice(slot, context.graph, context.infos)}"
    default = slot.options.get("default")
    return "it is missing; " + (f"its default is {default!r}." if default is not None else f"give a {slot.widget}.")


def _input_advice(node: GraphNode) -> str:
    return f"name one with --input {shlex.quote(f'{node.title}=PATH')}."


def _find_file(name: str, node: GraphNode, kind: str, context: _Context) -> str:
    """The absolute path of the file that an input names. Raises InputError where it is missing or of another kind."""
    path = find_input(name, context.folders)
    if path is None:
        if context.local or Path(name).is_absolute():
            raise InputError(f"there is no file '{shown(name)}'; {_input_advice(node)}")
        return name
    fault = file_fault(path, kind)
    if fault:
        raise InputError(fault)
    return str(path)


def _own_check(node: GraphNode, cls: type[io.ComfyNode], names: Sequence[str]) -> list[Problem]:
    """The problem that the node's own `validate_inputs` reports; it gets None for inputs that come over links."""
    if _inherits_check(cls):
        return []
    present = [name for name in names if name in node.inputs]
    values: dict[str, Any] = {name: None if is_link(node.inputs[name]) else node.inputs[name] for name in present}
    try:
        result = cls.validate_inputs(**values)
    except InputError as fault:
        result = str(fault)
    if result is True:
        return []
    text = result if isinstance(result, str) else "the node refuses these inputs; see its tooltips."
    return [Problem(str(node), present[0] if len(present) == 1 else None, text)]


def _own_inputs(cls: type[io.ComfyNode]) -> list[str]:
    """The inputs that a node class checks itself: those that its `validate_inputs` names."""
    return [] if _inherits_check(cls) else inspect.getfullargspec(cls.validate_inputs).args[1:]


def _inherits_check(cls: type[io.ComfyNode]) -> bool:
    """Whether a node class has no `validate_inputs` of its own."""
    own, base = (inspect.getattr_static(one, "validate_inputs") for one in (cls, cls.GET_BASE_CLASS()))
    return own is base
