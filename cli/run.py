"""`mimaface run`: run a graph here or on a ComfyUI server."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ..mimaface_core.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Add `run` to the commands."""
    parser = commands.add_parser(
        "run",
        help="run a graph (ComfyUI's API format)",
        description="Run a graph. The last line on standard output is JSON: outputs, frames, seconds.",
    )
    parser.add_argument("graph", metavar="GRAPH", help="graph file, or the name of a shipped one: reenact_video")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="TITLE=PATH",
        help="the file of the LoadImage, LoadVideo or LoadAudio node with that title; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TITLE.INPUT=VALUE",
        help="a value of the node with that title: --set sampler.steps=8; may be repeated",
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path("output"), metavar="DIR", help="where the results go (./output)"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="take up the clips that the same run had finished when it was interrupted; the frames are the same",
    )
    parser.add_argument("--server", metavar="URL", help="run it on the ComfyUI at that address instead of here")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Check everything, run the graph, print the JSON line."""
    from ..headless.job import run_here, run_on_server

    started = time.monotonic()
    if options.server and options.resume:
        raise InputError("--resume is for runs here; a ComfyUI resumes by itself when the same graph is queued again.")
    if options.server:
        written, frames = run_on_server(options.graph, options.input, options.set, options.output_dir, options.server)
    else:
        written, frames = run_here(options.graph, options.input, options.set, options.output_dir, options.resume)
    result = {
        "outputs": [str(path) for path in written],
        "frames": frames,
        "seconds": round(time.monotonic() - started, 3),
    }
    print(json.dumps(result), flush=True)
    return 0
