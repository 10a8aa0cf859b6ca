"""Who does the work: processes here, actors of a Ray cluster, or ComfyUI servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..mimaface_core.terminal import TerminalHost
from .crew import Crew, Work, Worker
from .local import LocalWorker, local_devices
from .pairs import Pair


@dataclass(frozen=True)
class CrewOptions:
    """Which workers, and how long and how often they may try.

    Attributes:
        workers: number of workers; when 0, one here, and on Ray as many as there is room for.
        threads: CPU threads of each; when 0, the machine's cores divided among the workers, and on Ray
            `ray_workers.DEFAULT_THREADS`.
        timeout: seconds that a pair may take; without a limit when None.
        ray: address of a Ray cluster, `auto` or `local`; None to run without.
        retries: how often a pair that failed is tried again.
    """

    workers: int = 0
    threads: int = 0
    timeout: float | None = None
    ray: str | None = None
    retries: int = 1


@contextmanager
def process_crew(
    options: CrewOptions,
    most: int,
    logs: Path,
    scratch: Callable[[], Path],
    host: TerminalHost,
    store: str | None = None,
) -> Iterator[Crew[Any]]:
    """Workers that are processes, here or on a Ray cluster; they are ended with the block.

    Args:
        options: which and how many.
        most: more are not needed.
        logs: folder for what they print.
        scratch: makes the folder of an attempt.
        host: is told why workers die.
        store: address by which workers on other machines hand over their results; None where all see `scratch`.

    Raises:
        InputError: the Ray cluster cannot be used.
    """
    with _processes(options, logs, store) as members:
        crew: Crew[Any] = Crew(members[:most], scratch, options.timeout, host.say)
        try:
            yield crew
        finally:
            crew.close()


@contextmanager
def server_crew(
    addresses: Sequence[str],
    pairs: Sequence[Pair],
    timeout: float | None,
    scratch: Callable[[], Path],
    host: TerminalHost,
) -> Iterator[Crew[Pair]]:
    """Workers that are ComfyUI servers; they are ended with the block.

    Args:
        addresses: of the servers.
        pairs: those that will run.
        timeout: seconds that a pair may take; None without a limit.
        scratch: makes the folder of an attempt.
        host: is told why workers die.
    """
    from .servers import ServerWorker

    needed = {node.class_type for pair in pairs for node in pair.recipe.graph.values()}
    members = [ServerWorker(address, needed, host.say) for address in addresses[: len(pairs)]]
    crew: Crew[Pair] = Crew(members, scratch, timeout, host.say)
    try:
        yield crew
    finally:
        crew.close()


@contextmanager
def _processes(options: CrewOptions, logs: Path, store: str | None) -> Iterator[Sequence[Worker[Work]]]:
    if options.ray is None:
        yield local_workers(max(1, options.workers), options.threads, logs)
        return
    from .ray_workers import connect, disconnect, ray_workers

    connect(options.ray)
    try:
        yield ray_workers(options.workers, options.threads, logs, store)
    finally:
        disconnect()


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
