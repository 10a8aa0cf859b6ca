"""Jobs of the service: kept in files, run by the workers of a batch, found again after a restart, removed in time."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..headless.graph import SHIPPED, load_graph
from ..headless.object_info import file_input, input_slots
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import read_json, replacing
from ..mimaface_core.terminal import TerminalHost
from .batch import settler
from .members import CrewOptions, process_crew
from .pairs import FILE_COLUMNS, Pair, PairCheck
from .results import Results
from .rows import SET, Row
from .scheduler import Event, Scheduler, drive

MOST_WORKERS = 1000
SETTABLE = ("INT", "FLOAT", "BOOLEAN", "COMBO")  # text could name files of this machine
_NAMESPACE = uuid.UUID("0c0b5f6c-7d83-5c52-8b0e-3f3f6c0f6a11")  # of ids by idempotency key


class TooMany(Exception):
    """A client has as many unfinished jobs as it may have; one sentence."""


@dataclass
class Job:
    """A job.

    Attributes:
        id: its name in addresses and folders.
        client: whose it is.
        values: the row: workflow, files, settings.
        digest: of what was asked for, by which the same request is known.
        state: `queued`, `running`, `done` or `failed`.
        reason: why it failed, one sentence.
        created: when it was asked for, seconds since 1970.
        finished: when it was done or failed; 0 before.
    """

    id: str
    client: str
    values: dict[str, str]
    digest: str
    state: str = "queued"
    reason: str = ""
    created: float = field(default_factory=time.time)
    finished: float = 0.0

    @property
    def over(self) -> bool:
        """Whether it is done or failed."""
        return self.state in ("done", "failed")


class Jobs:
    """All jobs. Results count as done as those of a batch do, so nothing finished is lost with the process.

    Args:
        folder: for jobs, uploads and results.
        options: the workers.
        host: is told of failures.
    """

    def __init__(self, folder: Path, options: CrewOptions, host: TerminalHost) -> None:
        self.folder, self._host = folder.absolute(), host
        self.results = Results(self.folder / "results")
        self._check = PairCheck(self.folder, self.results.folder, {})
        self.workflows = self._usable()
        self._jobs: dict[str, Job] = {}
        self._fresh: queue.Queue[Pair] = queue.Queue()
        self._scheduler: Scheduler[Pair] = Scheduler([], options.retries, open=True)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._options = options
        self._thread = threading.Thread(target=self._drive)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A context in which jobs are taken up, also those that an earlier process left, and run.

        Jobs that are not over at its end run again at the next start.

        Raises:
            InputError: another service works in the folder, or the Ray cluster cannot be used.
        """
        state, scratch = self.results.state, self.results.scratch
        with self.results.opened(), process_crew(self._options, MOST_WORKERS, state, scratch, self._host) as self._crew:
            self._begin()
            try:
                yield
            finally:
                self._stopping.set()
                self._thread.join()

    def _begin(self) -> None:
        """Take up what an earlier process left, and begin to work."""
        for path in sorted((self.folder / "jobs").glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                job = Job(**read_json(path))
                self._jobs[job.id] = job
                if not job.over:
                    job.state = "queued"
                    self._enqueue(job)
        self._thread.start()

    def upload_folder(self) -> Path:
        """A new folder for the files of a job that is being sent."""
        folder = self.folder / "uploads" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def submit(self, client: str, key: str, values: Mapping[str, str], digest: str, quota: int) -> tuple[Job, bool]:
        """Accept a job, unless the client has sent it before under the same key.

        Args:
            client: whose it is.
            key: of idempotency; may be empty.
            values: `graph`, files by column, and settings as `set.TITLE.INPUT`.
            digest: of what is asked for.
            quota: the most jobs of a client that may wait or run.

        Returns:
            The job, and whether it is new.

        Raises:
            InputError: it cannot run.
            TooMany: the quota is used up.
            KeyError: the key belongs to another request.
        """
        name = uuid.uuid5(_NAMESPACE, f"{client}\n{key}").hex if key else uuid.uuid4().hex
        with self._lock:
            known = self._jobs.get(name)
            if known is not None:
                if known.digest != digest:
                    raise KeyError(key)
                return known, False
            if self.unfinished(client) >= quota:
                raise TooMany(f"{quota} jobs of yours wait or run, which is the limit; wait for one of them.")
            job = Job(name, client, dict(values), digest)
            pair = self._pair(job)
            self._save(job)
            self._jobs[name] = job
            self._fresh.put(pair)
            return job, True

    def of(self, client: str, name: str) -> Job | None:
        """A job of a client."""
        job = self._jobs.get(name)
        return job if job is not None and job.client == client else None

    def unfinished(self, client: str) -> int:
        """How many jobs of a client wait or run."""
        return sum(job.client == client and not job.over for job in list(self._jobs.values()))

    def before(self, job: Job) -> int:
        """How many jobs wait before one that waits."""
        return sum(other.state == "queued" and other.created < job.created for other in list(self._jobs.values()))

    def result(self, job: Job) -> Path | None:
        """The file of a job that is done."""
        record = self.results.record_of(job.id)
        return None if record is None else self.results.folder / record["result"]

    def remove(self, job: Job) -> None:
        """Forget a job that is over, with its files."""
        del self._jobs[job.id]
        result = self.result(job)
        (self.folder / "jobs" / f"{job.id}.json").unlink(missing_ok=True)
        (self.results.folder / f"{job.id}.json").unlink(missing_ok=True)
        if result is not None:
            result.unlink(missing_ok=True)
        for column in FILE_COLUMNS:
            if column in job.values:
                shutil.rmtree(Path(job.values[column]).parent, ignore_errors=True)

    def expire(self, seconds: float) -> None:
        """Remove what has been over for longer than so many seconds."""
        for job in list(self._jobs.values()):
            if job.over and time.time() - job.finished > seconds:
                self.remove(job)

    def _usable(self) -> dict[str, list[str]]:
        """Workflows all of whose files a request can bring: their names, and the columns of the files."""
        infos, found = self._check.recipes.infos, {}
        for path in sorted(SHIPPED.glob("*.json")):
            graph = load_graph(path, infos)
            titles = [node.title for node in graph.values() if file_input(infos.get(node.class_type))]
            if titles and set(titles) <= set(FILE_COLUMNS):
                found[path.stem] = titles
        return found

    def _pair(self, job: Job) -> Pair:
        pairs, faults = self._check.check([Row("the request", {**job.values, "output": job.id})])
        if faults:
            raise InputError(faults[0].reason.removeprefix("the request: "))
        graph, infos = pairs[0].recipe.graph, self._check.recipes.infos
        for name in job.values:
            title, _, entry = name.removeprefix(SET).rpartition(".")
            for node in graph.values() if name.startswith(SET) else ():
                slot = input_slots(infos[node.class_type]).get(entry)
                if title in (node.title, node.id) and (slot is None or slot.upload or slot.widget not in SETTABLE):
                    raise InputError(f"{name} cannot be set here; leave it out.")
        return pairs[0]

    def _enqueue(self, job: Job) -> None:
        try:
            pair = self._pair(job)
        except InputError as refused:
            self._end(job, "failed", str(refused))
        else:
            if self.results.is_done(pair):
                self._end(job, "done")
            else:
                self._fresh.put(pair)

    def _drive(self) -> None:
        settle = settler(self._crew, self.results, self._host)

        def settled(pair: Pair, event: Event) -> Event:
            event = settle(pair, event)
            if event.kind == "done":
                self._end(self._jobs[pair.name], "done")
            return event

        drive(self._scheduler, self._crew, self._crew.size, settled, self._look_around)

    def _look_around(self) -> bool:
        """Between two events: new pairs wait, states are told; whether to stop."""
        while not self._fresh.empty():
            pair = self._fresh.get()
            self._scheduler.add(pair, pair.source)
        running = {job.item.name for job in self._scheduler.running.values()}
        for job in list(self._jobs.values()):
            if not job.over:
                job.state = "running" if job.id in running else "queued"
        while self._scheduler.failed:
            self._scheduler.total -= 1
            pair, reason = self._scheduler.failed.pop()
            self._end(self._jobs[pair.name], "failed", reason)
        return self._stopping.is_set()

    def _end(self, job: Job, state: str, reason: str = "") -> None:
        job.state, job.reason, job.finished = state, reason, time.time()
        self._save(job)

    def _save(self, job: Job) -> None:
        folder = self.folder / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{job.id}.json") as part:
            part.write_text(json.dumps(asdict(job)), encoding="utf-8")
