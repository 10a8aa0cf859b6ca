"""Workers on the machines of a Ray cluster: an actor for each GPU, or for some cores, which keeps a worker process."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..mimaface_core.errors import InputError
from . import local, process
from .crew import Answer, Work
from .pairs import STATE
from .process import Keeper

if TYPE_CHECKING:
    from ray.actor import ActorHandle

DEFAULT_THREADS = 2  # of an actor without a GPU
HANDED_OVER = f"{STATE}/scratch"  # folder in a store for results that are not in place yet
_STORE_BYTES = 80 << 20  # of the cluster that `local` starts: nothing but paths and small dictionaries go through it
_HANDED_ON = "MIMAFACE_"  # environment variables that workers on other machines get, too


class RayWorker:
    """A worker on a Ray cluster; a `crew.Worker`. The machines see input and output files under the same paths.

    Args:
        threads: its CPU threads.
        log: for what it prints.
        gpus: GPUs that it needs, 1 or 0; without one it needs a CPU for each thread.
        store: address by which it hands over results; None where the machines share the folder of an attempt.
    """

    def __init__(self, threads: int, log: Path, gpus: int, store: str | None) -> None:
        self._log, self._store = log, store
        own = {key: value for key, value in os.environ.items() if key.startswith(_HANDED_ON)}
        self._environment = own | local.worker_environment(threads)
        self._needs = {"num_gpus": gpus, "num_cpus": 1 if gpus else threads}
        self._actor: ActorHandle | None = None
        self._tell: Callable[[Answer], None] = lambda _: None

    def start(self, tell: Callable[[Answer], None]) -> None:
        """Ask the cluster for an actor; it is ready when one of its machines has room."""
        import ray

        self.end()
        self._tell = tell
        # by value: the machines need the extension only in the worker process, under whatever path
        ray.cloudpickle.register_pickle_by_value(process)
        actor = ray.remote(**self._needs)(Keeper)
        self._actor = actor.remote(local.START, self._environment, str(self._log))
        self._follow(self._actor.ready.remote())

    def give(self, item: Work, scratch: Path) -> None:
        """Hand a pair or task to the actor."""
        assert self._actor is not None
        deliver = {"deliver": f"{self._store}/{HANDED_OVER}/{scratch.name}"} if self._store else {}
        self._follow(self._actor.run.remote(item.job(scratch) | deliver))

    def end(self) -> None:
        """End the actor; its process ends as its standard input does."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self._actor = None

    def _follow(self, reference: Any) -> None:
        """Tell what comes of a call, from a thread that waits for it."""
        import ray

        tell = self._tell

        def wait() -> None:
            try:
                tell(ray.get(reference))
            except ray.exceptions.RayError as error:
                tell({"died": f"The Ray worker was lost ({' '.join(str(error).split())[:200]}); see {self._log}."})

        threading.Thread(target=wait, daemon=True).start()


def connect(address: str) -> None:
    """Connect to a Ray cluster.

    Args:
        address: of its head, `auto` for the one that runs on this machine, or `local` to start one that ends with this
            process.

    Raises:
        InputError: Ray is missing, no cluster answers, or it has another version.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError('--ray needs Ray; install it with: pip install "mimaface[ray]".') from error

    _require_answer(address)
    options = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        if "ersion mismatch" in reason:
            raise InputError(f"--ray {address}: {reason}; install the cluster's versions here.") from error
        raise InputError(
            f"--ray {address}: no cluster answers ({reason}); start one with `ray start --head`, check the address and"
            " RAY_AUTH_TOKEN, or use --ray local."
        ) from error


def _require_answer(address: str) -> None:
    """Raises InputError where nothing listens at HOST:PORT: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"--ray {address}: no cluster answers ({error}); start one with `ray start --head`, or check the address."
        ) from error


def ray_workers(count: int, threads: int, logs: Path, store: str | None) -> list[RayWorker]:
    """Workers of the connected cluster.

    Args:
        count: how many; 0 for as many as there is room for now.
        threads: CPU threads of each; 0 for DEFAULT_THREADS, or fewer where the cluster has fewer.
        logs: folder for what they print.
        store: as that of `RayWorker`.
    """
    import ray

    room = ray.cluster_resources()
    gpus, cpus = int(room.get("GPU", 0)), int(room.get("CPU", 1))
    threads = threads or max(1, min(DEFAULT_THREADS, cpus))
    count = count or gpus or max(1, cpus // threads)
    return [RayWorker(threads, logs / f"worker-{n + 1}.log", min(1, gpus), store) for n in range(count)]


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    import ray

    ray.shutdown()
