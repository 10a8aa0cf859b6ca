"""A worker process: runs one pair or task after another with models that stay loaded; JSON lines in and out.

It reads jobs from standard input, as pairs and tasks make them, and answers each with one line on standard output:
`{"done": {…}}`, or `{"failed": SENTENCE, "again": BOOL}`; `{"ready": true}` comes first. When standard input ends, so
does the process, at once.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..mimaface_core.errors import InputError
from .process import THREADS
from .recipe import RESULT_PREFIX

if TYPE_CHECKING:
    from ..headless.kept import KeptOutputs
    from ..nodes.comfyui.schema import io
    from .hashes import FileHashes


def main() -> None:
    """Serve jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes into the log
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    import torch

    from ..headless import node_classes
    from ..headless.kept import KeptOutputs
    from .hashes import FileHashes
    from .kinds import do_task

    threads = int(os.environ.get(THREADS, "0"))
    if threads:
        torch.set_num_threads(threads)
    classes, kept, hashes = node_classes.node_classes(), KeptOutputs(), FileHashes()
    _answer(answers, {"ready": True})
    while True:
        job = jobs.get()
        try:
            answer = {"done": do_task(job) if "task" in job else run_job(job, classes, kept, hashes)}
        except Exception as error:  # noqa: BLE001 - the batch goes on, and tells it
            answer = failure(error)
        _answer(answers, answer)


def _read(lines: IO[str], jobs: queue.Queue[dict[str, Any]]) -> None:
    for line in lines:
        jobs.put(json.loads(line))
    os._exit(0)  # also in the middle of a pair: nobody waits for it any more


def _answer(answers: IO[str], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def failure(error: Exception) -> dict[str, Any]:
    """The answer for a pair that failed: refused input fails each time, anything else may not."""
    if isinstance(error, InputError):
        print(error, file=sys.stderr, flush=True)
        return {"failed": str(error), "again": False}
    traceback.print_exception(error)
    text = " ".join(str(error).split()) or "no reason given"
    return {"failed": f"{type(error).__name__}: {text}; see the log of the worker.", "again": True}


def run_job(
    job: Mapping[str, Any], classes: Mapping[str, type[io.ComfyNode]], kept: KeptOutputs, hashes: FileHashes
) -> dict[str, Any]:
    """Run the graph of a pair.

    Args:
        job: `prompt`, a checked graph in the API format; `scratch`, an existing folder for its files; `inputs` and
            `packs`, the SHA-256 of each; `urls`, addresses of inputs by path, which are fetched where the path is not
            there; perhaps `deliver`, an address for the result.
        classes: node classes by id.
        kept: outputs that this process keeps.
        hashes: those that it knows.

    Returns:
        `file`: the result, a file or folder in the scratch folder; its `sha256`, `frames`, `seconds` and
        `threads`.

    Raises:
        InputError: a node refuses its input, no file was written, or a pack is another one than where the batch began.
        OSError: an input file cannot be read here, or has other bytes.
    """
    import torch

    from ..headless.execute import run_graph
    from ..headless.files import count_frames
    from ..headless.graph import GraphNode
    from ..mimaface_core.terminal import TerminalHost
    from .hashes import digest
    from .stores import fetch, put

    fetched = {path: str(fetch(url)) for path, url in job["urls"].items() if not os.path.isfile(path)}
    _require_equal(job, fetched, hashes)
    started = time.monotonic()
    graph = {
        key: GraphNode(key, entry["class_type"], entry["_meta"]["title"], _moved(entry["inputs"], fetched))
        for key, entry in job["prompt"].items()
    }
    scratch = Path(job["scratch"])
    # clips that are finished outlive the attempt, and the batch
    unfinished = scratch.parents[1] / "unfinished"
    host = TerminalHost(outputs=scratch / "out", temp=scratch / "temp", unfinished=unfinished)
    run_graph(graph, classes, host, kept)
    host.ended_well()
    made = _result(scratch / "out")
    told = {
        "file": str(made),
        "sha256": digest(made),
        "frames": count_frames([made]),
        "seconds": round(time.monotonic() - started, 3),
        "threads": torch.get_num_threads(),
    }
    if "deliver" in job:
        put(made, job["deliver"])
        shutil.rmtree(scratch, ignore_errors=True)
        told["url"] = job["deliver"]
    return told


def _moved(inputs: dict[str, Any], fetched: Mapping[str, str]) -> dict[str, Any]:
    """Values of a node, with the paths of files that were fetched to this machine."""
    return {name: fetched.get(value, value) if isinstance(value, str) else value for name, value in inputs.items()}


def _require_equal(job: Mapping[str, Any], fetched: Mapping[str, str], hashes: FileHashes) -> None:
    """Check that this machine sees the files and packs that the batch was checked with."""
    from .recipe import pack_digest

    for path, expected in job["inputs"].items():
        if hashes.of(Path(fetched.get(path, path))) != expected:
            raise OSError(f"{path} has other bytes on {socket.gethostname()}, or has changed; share one folder.")
    for name, expected in job["packs"].items():
        if pack_digest(name, hashes) != expected:
            raise InputError(f"The pack {name} is another one on {socket.gethostname()}; install the same everywhere.")


def _result(folder: Path) -> Path:
    """What the result's node wrote below its prefix: one file or folder, or the folder of several."""
    inside = folder / Path(RESULT_PREFIX).parent
    entries = sorted(inside.iterdir()) if inside.is_dir() else []
    if not entries:
        raise InputError("The graph wrote no file; choose another node with --result.")
    return entries[0] if len(entries) == 1 else inside
