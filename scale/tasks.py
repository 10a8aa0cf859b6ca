"""Work beside pairs, for the same workers: samples of training data, scores of pairs; each writes a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.terminal import TerminalHost
from .crew import Crew
from .lock import locked, writable
from .members import CrewOptions, process_crew
from .pairs import Fault
from .plan import shown_faults
from .progress import run_shown
from .scheduler import Event, Scheduler


@dataclass(frozen=True)
class Task:
    """One piece of work, done when its file is there.

    Attributes:
        name: for messages.
        kind: what a worker does, a key of `kinds.KINDS`.
        arguments: of its function there; JSON.
        made: the file, which appears under this name when it is complete.
    """

    name: str
    kind: str
    arguments: dict[str, Any]
    made: Path

    def job(self, scratch: Path) -> dict[str, Any]:  # noqa: ARG002 - a task has a place of its own
        """The task as a worker process reads it."""
        return {"task": self.kind, "arguments": self.arguments}


def run_tasks(tasks: Sequence[Task], options: CrewOptions, state: Path, option: str, host: TerminalHost) -> list[Fault]:
    """Do all tasks.

    Args:
        tasks: what is not done yet.
        options: who does it.
        state: folder for the lock and what the workers print.
        option: for messages, see `locked`.
        host: shows the progress and is asked about Ctrl-C.

    Returns:
        Tasks that failed.

    Raises:
        InputError: the folder or the Ray cluster cannot be used.
        Cancelled: the user stops it.
    """
    scheduler = Scheduler([(task, "") for task in tasks], options.retries)

    def settle(task: Task, event: Event) -> Event:
        if event.kind == "done" and not task.made.is_file():
            reason = f"{task.made} was written on another machine and is not seen here; share one folder."
            event = Event(event.worker, "failed", reason)
        if event.kind != "done":
            host.say(f"{task.name}: {event.reason}")
        return event

    crew: Crew[Task]
    with (
        locked(state, option),
        writable(str(state)),
        process_crew(options, len(tasks), state, lambda: state, host) as crew,
    ):
        run_shown(scheduler, crew, settle, host)
    if host.cancelled:
        raise Cancelled(f"{scheduler.left} of {len(tasks)} are left.")
    return [Fault(task.name, f"{task.name}: {reason}") for task, reason in scheduler.failed]


def require_all(faults: Sequence[Fault], noun: str) -> None:
    """Raises InputError where tasks failed: how many, and why the first ones did."""
    if faults:
        shown = "\n".join(shown_faults(faults))
        raise InputError(f"{len(faults)} {noun} could not be made; the same command tries them again.\n{shown}")
