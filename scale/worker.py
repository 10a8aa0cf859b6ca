"""A worker process: runs one pair after another with models that stay loaded; JSON lines in and out.

It reads jobs from standard input, `{"prompt": …, "scratch": FOLDER}`, and answers each with one line on standard
output: `{"done": {…}}`, or `{"failed": SENTENCE, "again": BOOL}`; `{"ready": true}` comes first. When standard input
ends, so does the process, at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..mimaface_core.errors import InputError
from .recipe import RESULT_PREFIX

if TYPE_CHECKING:
    from ..headless.kept import KeptOutputs
    from ..nodes.comfyui.schema import io

THREADS = "MIMAFACE_BATCH_THREADS"  # environment variable: CPU threads of a worker


def main() -> None:
    """Serve jobs until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes into the log
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin, jobs), daemon=True).start()
    import torch

    from ..headless import node_classes
    from ..headless.kept import KeptOutputs

    threads = int(os.environ.get(THREADS, "0"))
    if threads:
        torch.set_num_threads(threads)
    classes, kept = node_classes.node_classes(), KeptOutputs()
    _answer(answers, {"ready": True})
    while True:
        job = jobs.get()
        try:
            answer = {"done": run_job(job, classes, kept)}
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


def run_job(job: Mapping[str, Any], classes: Mapping[str, type[io.ComfyNode]], kept: KeptOutputs) -> dict[str, Any]:
    """Run the graph of a pair.

    Args:
        job: `prompt`, a checked graph in the API format; `scratch`, an existing folder for its files.
        classes: node classes by id.
        kept: outputs that this process keeps.

    Returns:
        `file`: the result, a file or folder in the scratch folder; its `sha256`, `frames` and `seconds`.

    Raises:
        InputError: a node refuses its input, or no file was written.
    """
    from ..headless.execute import run_graph
    from ..headless.files import count_frames
    from ..headless.graph import GraphNode
    from ..mimaface_core.terminal import TerminalHost
    from .hashes import digest

    started = time.monotonic()
    graph = {
        key: GraphNode(key, entry["class_type"], entry["_meta"]["title"], entry["inputs"])
        for key, entry in job["prompt"].items()
    }
    scratch = Path(job["scratch"])
    # clips that are finished outlive the attempt, and the batch
    unfinished = scratch.parents[1] / "unfinished"
    host = TerminalHost(outputs=scratch / "out", temp=scratch / "temp", unfinished=unfinished)
    run_graph(graph, classes, host, kept)
    host.ended_well()
    made = _result(scratch / "out")
    return {
        "file": str(made),
        "sha256": digest(made),
        "frames": count_frames([made]),
        "seconds": round(time.monotonic() - started, 3),
    }


def _result(folder: Path) -> Path:
    """What the result's node wrote below its prefix: one file or folder, or the folder of several."""
    inside = folder / Path(RESULT_PREFIX).parent
    entries = sorted(inside.iterdir()) if inside.is_dir() else []
    if not entries:
        raise InputError("The graph wrote no file; choose another node with --result.")
    return entries[0] if len(entries) == 1 else inside
