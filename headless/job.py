"""One run from graph file to written files: everything is checked first, then it runs here or on a server."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.host import use as use_host
from ..mimaface_core.terminal import TerminalHost, interruptible
from .files import count_frames, require_writable
from .graph import GraphRefused, Problem, find_graph, load_graph, override
from .validate import validate


def run_here(graph: str, files: Sequence[str], values: Sequence[str], output_dir: Path) -> tuple[list[Path], int]:
    """Run a graph in this process.

    graph: path or shipped name. files: `TITLE=PATH`. values: `TITLE.INPUT=VALUE`. Returns the written files and the
    frames of the first video. Raises GraphRefused with every problem found, Cancelled when the user stops.
    """
    from . import builtin_nodes as stock
    from .execute import infos, run_graph

    path = find_graph(graph)
    nodes = load_graph(path)
    with tempfile.TemporaryDirectory(prefix="mimaface-", ignore_cleanup_errors=True) as temp:
        host = TerminalHost(outputs=output_dir.absolute(), temp=Path(temp))
        with interruptible(host), use_host(host):
            classes = stock.node_classes()
            known = infos(classes)
            folders = [host.input_folder(), path.parent]
            problems = override(nodes, known, files, values)
            problems += validate(nodes, known, folders=folders, classes=classes)
            _refuse(problems + _unwritable(output_dir))
            try:
                written = run_graph(nodes, classes, host)
            except OSError as broken:
                if host.cancelled:  # Ctrl-C also ends the encoder that a node writes to
                    raise Cancelled("The run was cancelled.") from broken
                raise
            return written, count_frames(written)


def run_on_server(
    graph: str, files: Sequence[str], values: Sequence[str], output_dir: Path, address: str
) -> tuple[list[Path], int]:
    """Run a graph on the ComfyUI server at `address`; arguments and result as `run_here`."""
    from .client import Server

    path = find_graph(graph)
    nodes = load_graph(path)
    host = TerminalHost(outputs=output_dir.absolute())
    with interruptible(host):
        server = Server(address, host, output_dir.absolute())
        known = server.infos()
        problems = override(nodes, known, files, values)
        problems += validate(nodes, known, folders=[host.input_folder(), path.parent], where=f"on {address}")
        _refuse(problems + _unwritable(output_dir))
        written = server.run(nodes)
        return written, count_frames(written)


def _unwritable(folder: Path) -> list[Problem]:
    try:
        require_writable(folder)
    except InputError as wrong:
        return [Problem("--output-dir", None, str(wrong))]
    return []


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise GraphRefused(dict.fromkeys(problems))
