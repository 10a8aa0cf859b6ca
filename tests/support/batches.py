"""Helpers of the tests of batches: the command in a process, what it wrote, workers that wait."""

import os
import subprocess
import sys
import time

from mimaface.scale.hashes import digest
from support.checkout import IMPORT
from support.machine import slower
from support.toys import START_WITH_TOYS

# the command in a process of its own, with the toy nodes here and in workers
COMMAND = f"""
{IMPORT}
from support.toys import CLASSES
from mimaface.cli.main import main
from mimaface.headless import node_classes
from mimaface.scale import local
node_classes.node_classes = lambda: CLASSES
local.START = {START_WITH_TOYS!r}
sys.exit(main())
"""


def results(folder):
    """SHA-256 of the images in out/, by path."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted((folder / "out").rglob("*.png"))
        if ".mimaface-batch" not in path.parts
    }


def start(toys, listed, *options):
    """The command in a process of its own."""
    command = [sys.executable, "-c", COMMAND, "batch", listed, "--output-dir", "out", *options]
    return subprocess.Popen(command, cwd=toys, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def worker_that_waits(toys, output):
    """The pid of the worker that waits in a trap."""
    mark = toys / f"{output}.mark"
    until = time.monotonic() + 60 * slower()
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return int(mark.read_text())


def gone(pid, seconds=10):
    """Whether a process ends."""
    until = time.monotonic() + seconds * slower()
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
