"""Who runs the pairs of a batch: processes here, actors of a Ray cluster, or ComfyUI servers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..mimaface_core.terminal import TerminalHost
from .crew import Crew, Worker
from .local import LocalWorker, local_devices
from .pairs import Pair
from .plan import BatchOptions
from .results import Results


@contextmanager
def crew_of(options: BatchOptions, pairs: Sequence[Pair], results: Results, host: TerminalHost) -> Iterator[Crew]:
    """The workers of a batch, which are ended with the block.

    Args:
        options: which and how many.
        pairs: those that will run.
        results: names the folders of attempts and logs.
        host: is told why workers die.

    Raises:
        InputError: the Ray cluster or none of the servers can be used.
    """
    with _members(options, pairs, results.state, host) as members:
        crew = Crew(members[: len(pairs)], results.scratch, options.timeout, host.say)
        try:
            yield crew
        finally:
            crew.close()


@contextmanager
def _members(options: BatchOptions, pairs: Sequence[Pair], logs: Path, host: TerminalHost) -> Iterator[list[Worker]]:
    if options.ray is not None:
        from .ray_workers import connect, disconnect, ray_workers

        connect(options.ray)
        try:
            yield list(ray_workers(options.workers, options.threads, logs))
        finally:
            disconnect()
    elif options.servers:
        from .servers import ServerWorker

        needed = {node.class_type for pair in pairs for node in pair.recipe.graph.values()}
        yield [ServerWorker(address, needed, host.say) for address in options.servers]
    else:
        yield list(local_workers(options.count, options.threads, logs))


def local_workers(count: int, threads: int, logs: Path) -> list[LocalWorker]:
    """Worker processes, which share the GPUs of this machine.

    Args:
        count: how many.
        threads: CPU threads of each; 0 to divide the cores among them.
        logs: folder for what they print.
    """
    threads = threads or max(1, (os.cpu_count() or 1) // count)
    devices = local_devices()
    return [
        LocalWorker(threads, logs / f"worker-{n + 1}.log", devices[n % len(devices)] if devices else None)
        for n in range(count)
    ]
