"""One run from graph file to written files: everything is checked first, then it runs here or on a server."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.files import scratch_folder
from ..mimaface_core.host import use as use_host
from ..mimaface_core.terminal import TerminalHost, interruptible
from .files import count_frames, require_writable
from .graph import find_graph, load_graph
from .overrides import apply_overrides
from .prefixes import fill_prefixes
from .problems import GraphRefused, Problem
from .validate import validate


def run_here(
    graph: str, files: Sequence[str], values: Sequence[str], output_dir: Path, resume: bool = False
) -> tuple[list[Path], int]:
    """Run a graph in this process.

    Args:
        graph: path of a graph file, or name of a shipped graph.
        files: input files, as `TITLE=PATH`.
        values: input values, as `TITLE.INPUT=VALUE`.
        output_dir: where the files go.
        resume: whether clips that an equal, interrupted run has finished are taken up.

    Returns:
        The written files, and the number of frames of the first video.

    Raises:
        GraphRefused: problems of the graph, all of them.
        Cancelled: the user stops the run.
    """
    from . import node_classes
    from .execute import run_graph

    path = find_graph(graph)
    with scratch_folder(Path(tempfile.gettempdir())) as temp:
        host = TerminalHost(outputs=output_dir.absolute(), temp=temp, resumes=resume)
        with interruptible(host), use_host(host):
            classes = node_classes.node_classes()
            infos = node_classes.object_info(classes)
            nodes = load_graph(path, infos)
            folders = [host.input_folder(), path.parent]
            problems = apply_overrides(nodes, infos, files, values)
            fill_prefixes(nodes)
            problems += validate(nodes, infos, folders=folders, classes=classes)
            _refuse(problems + _unwritable(output_dir))
            try:
                written = run_graph(nodes, classes, host)
            except OSError as broken:
                if host.cancelled:  # Ctrl-C also ends the encoder that a node writes to
                    raise Cancelled("The run was cancelled.") from broken
                raise
            host.ended_well()
            return written, count_frames(written)


def run_on_server(
    graph: str, files: Sequence[str], values: Sequence[str], output_dir: Path, address: str
) -> tuple[list[Path], int]:
    """Run a graph on the ComfyUI server at `address`; arguments, result and errors as `run_here`."""
    from .client import Server
    from .connection import Connection

    path = find_graph(graph)
    host = TerminalHost(outputs=output_dir.absolute())
    with interruptible(host), Connection(address, host) as connection:
        server = Server(connection, host, output_dir.absolute())
        infos = server.infos()
        nodes = load_graph(path, infos)
        problems = apply_overrides(nodes, infos, files, values)
        fill_prefixes(nodes)
        problems += validate(nodes, infos, folders=[host.input_folder(), path.parent], where=f"on {address}")
        _refuse(problems + _unwritable(output_dir))
        written = server.run(nodes)
        return written, count_frames(written)


def _unwritable(folder: Path) -> list[Problem]:
    try:
        require_writable(folder)
    except InputError as fault:
        return [Problem("--output-dir", None, str(fault))]
    return []


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise GraphRefused(dict.fromkeys(problems))
