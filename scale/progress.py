"""Running what a scheduler holds, with the progress in one line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..mimaface_core.terminal import TerminalHost
from .crew import Crew
from .scheduler import Event, Scheduler, drive

Item = TypeVar("Item")


def run_shown(
    scheduler: Scheduler[Item],
    crew: Crew[Item],
    settle: Callable[[Item, Event], Event],
    host: TerminalHost,
    faults: int = 0,
) -> None:
    """Run everything that waits, until it is settled or the user stops it.

    Args:
        scheduler: what to run; changed.
        crew: the workers.
        settle: as that of `drive`.
        host: shows the progress and is asked about Ctrl-C.
        faults: number of rows that cannot run, which count as failed.
    """
    started = time.monotonic()

    def show(last: bool = False) -> None:
        host.show_state(_state(scheduler, faults, time.monotonic() - started), last)

    def stopped() -> bool:
        show()
        return host.cancelled

    try:
        drive(scheduler, crew, crew.size, settle, stopped)
    finally:
        show(last=True)


def _state(scheduler: Scheduler[Any], faults: int, elapsed: float) -> str:
    """The progress in one line."""
    settled = len(scheduler.done) + len(scheduler.failed)
    time_left = f", {spoken(elapsed / settled * scheduler.left)} to go" if settled and scheduler.left else ""
    failed = len(scheduler.failed) + faults
    return f"  {len(scheduler.done)} done, {failed} failed, {scheduler.left} left{time_left}"


def spoken(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
