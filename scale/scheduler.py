"""Which worker runs which pair next: sources stay with their worker, failures come again or are set aside."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

MOST_DEATHS = 2  # workers that a pair may take with it before it is set aside
MOST_FAILED_STARTS = 2  # of one worker in a row, before it is given up

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


@dataclass
class _Job(Generic[Item]):
    item: Item
    group: str
    failures: int = 0
    deaths: int = 0


@dataclass(frozen=True)
class Event:
    """News of a worker.

    Attributes:
        worker: its number.
        kind: `ready` to take a pair for the first time; `done` or `failed` with its pair; `died`, with or without one.
        reason: of a failure or death, one sentence.
        again: whether a failure may go away by itself.
        report: what the worker says of a pair that is done.
    """

    worker: int
    kind: Literal["ready", "done", "failed", "died"]
    reason: str = ""
    again: bool = False
    report: Any = None


class Workers(Protocol[Item_contra]):
    """Workers numbered from 0, as `drive` needs them: processes, machines, or made up in a test."""

    def start(self, worker: int) -> None:
        """Start a worker, or start it anew after it died; `ready` or `died` follows."""

    def give(self, worker: int, item: Item_contra) -> None:
        """Hand a pair to a worker that has none; `done`, `failed` or `died` follows."""

    def wait(self) -> Event | None:
        """The next event; None after a moment without one."""


class Scheduler(Generic[Item]):
    """The state of a batch: what waits, who runs what, what is done and what failed.

    A worker stays with its group (the source) while that has pairs, then takes a group that nobody has begun, then
    helps with the largest that is left.

    Args:
        items: pairs with their group, in the order in which groups are begun.
        retries: how often a pair that failed is tried again.
        open: whether pairs may still be added, so that nothing is over when all are settled.
    """

    def __init__(self, items: Sequence[tuple[Item, str]], retries: int = 1, open: bool = False) -> None:
        self.retries, self.open = retries, open
        self.total = 0
        self.done: list[Item] = []
        self.failed: list[tuple[Item, str]] = []
        self.running: dict[int, _Job[Item]] = {}
        self._waiting: dict[str, deque[_Job[Item]]] = {}
        self._group_of: dict[int, str] = {}
        self._fresh: deque[str] = deque()  # groups that no worker has begun
        for item, group in items:
            self.add(item, group)

    def add(self, item: Item, group: str) -> None:
        """Let a pair wait."""
        self.total += 1
        if group not in self._waiting:
            self._fresh.append(group)
        self._waiting.setdefault(group, deque()).append(_Job(item, group))

    @property
    def left(self) -> int:
        """Pairs that wait or run."""
        return self.total - len(self.done) - len(self.failed)

    def take(self, worker: int) -> Item | None:
        """The next pair for a worker that has none; None where all others are running or settled."""
        group = self._choose(self._group_of.get(worker))
        if group is None:
            return None
        job = self._waiting[group].popleft()
        if not self._waiting[group]:
            del self._waiting[group]
        self._group_of[worker] = group
        self.running[worker] = job
        return job.item

    def finish(self, worker: int) -> None:
        """The pair of a worker is done."""
        self.done.append(self.running.pop(worker).item)

    def fail(self, worker: int, reason: str, again: bool) -> None:
        """The pair of a worker failed; it waits again where that may help and its retries are not used up.

        Args:
            worker: its number.
            reason: one sentence.
            again: whether trying again may help.
        """
        job = self.running.pop(worker)
        job.failures += 1
        self._settle(job, reason, again and job.failures <= self.retries)

    def die(self, worker: int, reason: str) -> None:
        """A worker died with its pair, which waits again, or is set aside if it is not the first to do so."""
        job = self.running.pop(worker)
        job.deaths += 1
        again = job.deaths < MOST_DEATHS
        self._settle(job, reason if again else f"Set aside, since {job.deaths} workers died with it. {reason}", again)

    def give_up(self, reason: str) -> None:
        """Nobody is left to work: everything that waits fails."""
        for jobs in self._waiting.values():
            self.failed += [(job.item, reason) for job in jobs]
        self._waiting.clear()

    def _settle(self, job: _Job[Item], reason: str, again: bool) -> None:
        if again:
            self._waiting.setdefault(job.group, deque()).append(job)
        else:
            self.failed.append((job.item, reason))

    def _choose(self, own: str | None) -> str | None:
        if own in self._waiting:
            return own
        while self._fresh:
            group = self._fresh.popleft()
            if group in self._waiting:
                return group
        return max(self._waiting, key=lambda group: len(self._waiting[group]), default=None)


@dataclass
class _Crew:
    """Who waits for a pair, who fails to start, and who was given up."""

    idle: set[int] = field(default_factory=set)
    failed_starts: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    last_reason: str = ""


def drive(
    scheduler: Scheduler[Item],
    workers: Workers[Item],
    count: int,
    settle: Callable[[Item, Event], Event],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Run all pairs, until each is done or has failed, and the scheduler is not open.

    Args:
        scheduler: the pairs; changed.
        workers: who runs them.
        count: number of workers.
        settle: called with every pair and its event, before it is counted; for a pair that is done, puts its result in
            place. Returns the event that counts, which is a failure where that did not work.
        stopped: asked before every event, and now and then without one; True ends the loop.
    """
    crew = _Crew()
    for worker in range(count):
        workers.start(worker)
    while (scheduler.left or scheduler.open) and not stopped():
        event = workers.wait()
        if event is not None:
            _take(event, scheduler, workers, crew, settle)
        if len(crew.gone) == count:
            scheduler.give_up(crew.last_reason)
        for free in sorted(crew.idle):
            item = scheduler.take(free)
            if item is None:
                break
            crew.idle.remove(free)
            workers.give(free, item)


def _take(
    event: Event,
    scheduler: Scheduler[Item],
    workers: Workers[Item],
    crew: _Crew,
    settle: Callable[[Item, Event], Event],
) -> None:
    """Act on an event: its pair is counted, a worker that is left alive is idle, a dead one is replaced."""
    worker = event.worker
    if worker in scheduler.running:
        event = settle(scheduler.running[worker].item, event)
        _count(scheduler, event)
    elif event.kind == "died":
        crew.failed_starts[worker] = crew.failed_starts.get(worker, 0) + 1
    if event.kind != "died":
        crew.failed_starts[worker] = 0
        crew.idle.add(worker)
    else:
        crew.idle.discard(worker)
        _replace(worker, crew, workers)
        crew.last_reason = event.reason


def _replace(worker: int, crew: _Crew, workers: Workers[Any]) -> None:
    """Start a dead worker anew, unless it does not even get ready."""
    if crew.failed_starts.get(worker, 0) < MOST_FAILED_STARTS:
        workers.start(worker)
    else:
        crew.gone.add(worker)


def _count(scheduler: Scheduler[Any], event: Event) -> None:
    if event.kind == "done":
        scheduler.finish(event.worker)
    elif event.kind == "failed":
        scheduler.fail(event.worker, event.reason, event.again)
    else:
        scheduler.die(event.worker, event.reason)
