"""Workers of all kinds behind one queue of events: started anew when they die, ended when a pair takes too long."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from .scheduler import Event

POLL_SECONDS = 0.2  # between two looks at Ctrl-C and at the time that pairs take

Answer = dict[str, Any]


class Work(Protocol):
    """What a worker process can do: a pair, or a task."""

    def job(self, scratch: Path) -> dict[str, Any]:
        """As JSON, with a folder for its files."""


Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Worker(Protocol[Item_contra]):
    """Runs one pair, or task, at a time: a process, an actor of Ray, a ComfyUI server.

    What comes of it is said through `tell`, from any thread: `{"ready": true}` after the start, then for each pair
    `{"done": {"file": …, "sha256": …, "frames": …, "seconds": …}}` or `{"failed": SENTENCE, "again": BOOL}`; at any
    time `{"died": SENTENCE}`, after which it says nothing until it is started anew.
    """

    def start(self, tell: Callable[[Answer], None]) -> None:
        """Begin, or begin anew; returns soon."""

    def give(self, item: Item_contra, scratch: Path) -> None:
        """Run a pair, with its files in the folder `scratch`; returns soon."""

    def end(self) -> None:
        """Stop at once, whatever runs."""


class Crew(Generic[Item]):
    """Workers numbered from 0; a `scheduler.Workers`.

    Args:
        members: the workers.
        scratch: makes the folder of an attempt.
        timeout: seconds that a pair may take; None without a limit.
        say: is told why a worker without a pair died.
    """

    def __init__(
        self,
        members: Sequence[Worker[Item]],
        scratch: Callable[[], Path],
        timeout: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._members, self._new_scratch, self._timeout, self._say = members, scratch, timeout, say
        self._events: queue.Queue[tuple[int, Event]] = queue.Queue()
        self._starts = [0] * len(members)  # of each, by which what an ended one still says is known
        self._scratch: dict[int, Path] = {}
        self._begun: dict[int, float] = {}
        self._said: set[str] = set()

    def start(self, worker: int) -> None:
        """Start a worker, or start it anew."""
        self._starts[worker] += 1
        number = self._starts[worker]
        self._members[worker].start(lambda answer: self._events.put((number, _event(worker, answer))))

    def give(self, worker: int, item: Item) -> None:
        """Hand a pair to a worker that has none."""
        self._scratch[worker], self._begun[worker] = self._new_scratch(), time.monotonic()
        self._members[worker].give(item, self._scratch[worker])

    def wait(self) -> Event | None:
        """The next event; None after a moment without one."""
        event = self._overdue() or self._next()
        if event is None:
            return None
        begun = self._begun.pop(event.worker, None)
        if event.kind == "died" and begun is None and event.reason not in self._said:
            self._said.add(event.reason)
            self._say(event.reason)
        return event

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self._members)

    def scratch_of(self, worker: int) -> Path:
        """The folder of a worker's present attempt."""
        return self._scratch[worker]

    def close(self) -> None:
        """End all workers."""
        for member in self._members:
            member.end()

    def _next(self) -> Event | None:
        try:
            number, event = self._events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None
        return event if number == self._starts[event.worker] else None

    def _overdue(self) -> Event | None:
        """A worker whose pair takes too long: it is ended, and counts as dead."""
        if self._timeout is None:
            return None
        latest = time.monotonic() - self._timeout
        for worker, begun in self._begun.items():
            if begun < latest:
                self._starts[worker] += 1
                self._members[worker].end()
                return Event(worker, "died", f"It took longer than {self._timeout:g} s, the limit of --timeout.")
        return None


def _event(worker: int, said: Answer) -> Event:
    if "ready" in said:
        return Event(worker, "ready")
    if "done" in said:
        return Event(worker, "done", report=said["done"])
    if "failed" in said:
        return Event(worker, "failed", said["failed"], said["again"])
    return Event(worker, "died", said["died"])
