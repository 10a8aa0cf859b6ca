"""A batch from list to results: rows are checked, what is done is skipped, the rest runs in worker processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.media.marks.user import request_consent
from ..mimaface_core.terminal import TerminalHost, interruptible
from .crew import Crew
from .hashes import FileHashes
from .lock import writable
from .members import process_crew, server_crew
from .pairs import Fault, Pair
from .plan import BatchOptions, check_batch, plan_batch, results_of, shown_faults
from .progress import run_shown
from .results import Results
from .scheduler import Event, Scheduler
from .stores import StoreFailed


@dataclass
class Summary:
    """What came of a batch.

    Attributes:
        done: pairs that ran.
        skipped: pairs whose results were there.
        left: pairs that did not run, by `limit`, `only_failed` or Ctrl-C.
        seconds: that it took.
        cancelled: whether the user stopped it.
        failures: pairs and rows that failed.
    """

    done: int = 0
    skipped: int = 0
    left: int = 0
    seconds: float = 0.0
    cancelled: bool = False
    failures: list[Fault] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The last line of the command."""
        return {
            "done": self.done,
            "failed": len(self.failures),
            "skipped": self.skipped,
            "left": self.left,
            "seconds": round(self.seconds, 3),
            "failures": [{"pair": fault.pair, "reason": fault.reason} for fault in self.failures],
        }


def run_batch(options: BatchOptions, host: TerminalHost) -> Summary:
    """Run what is not done yet.

    Args:
        options: what to run and how.
        host: shows the progress and is asked about Ctrl-C; its output folder is that of the batch.

    Raises:
        InputError: nothing can run, or another batch works in the folder.
        Cancelled: the user stops it before the first pair runs.
    """
    started = time.monotonic()
    request_consent()
    results = results_of(options)
    with interruptible(host):
        pairs, faults = check_batch(options, host)
        with results.opened():
            plan = plan_batch(options, pairs, faults, host)
            for line in shown_faults(plan.faults):
                host.say(line)
            scheduler = Scheduler([(pair, pair.source) for pair in plan.todo], options.crew.retries)
            if plan.todo:
                with writable(results.place("")), _crew(options, plan.todo, results, host) as crew:
                    run_shown(scheduler, crew, settler(crew, results, host), host, len(plan.faults))
    return Summary(
        done=len(scheduler.done),
        skipped=len(plan.done),
        left=plan.left_out + scheduler.left,
        seconds=time.monotonic() - started,
        cancelled=host.cancelled,
        failures=plan.faults + [Fault(pair.name, reason) for pair, reason in scheduler.failed],
    )


@contextmanager
def _crew(options: BatchOptions, pairs: Sequence[Pair], results: Results, host: TerminalHost) -> Iterator[Crew[Pair]]:
    """The workers of a batch."""
    crew: Crew[Pair]
    if options.servers:
        with server_crew(options.servers, pairs, options.crew.timeout, results.scratch, host) as crew:
            yield crew
    else:
        own = results.state, results.scratch
        with process_crew(options.crew, len(pairs), *own, host, options.store) as crew:
            yield crew


def settler(crew: Crew[Pair], results: Results, host: TerminalHost) -> Callable[[Pair, Event], Event]:
    """What happens with the outcome of a pair: the result is put in place, the attempt is noted, a failure is said."""
    hashes = FileHashes()

    def settle(pair: Pair, event: Event) -> Event:
        scratch = crew.scratch_of(event.worker)
        try:
            if event.kind == "done":
                pair.require_unchanged(hashes)
                told = {key: value for key, value in event.report.items() if key != "file"}
                results.publish(pair, scratch, Path(event.report["file"]), told)
        except InputError as refused:
            event = Event(event.worker, "failed", str(refused), again=isinstance(refused, StoreFailed))
        except OSError as error:
            reason = f"The result cannot be written ({error.strerror}); make room, or choose another --output-dir."
            event = Event(event.worker, "failed", reason, again=True)
        shutil.rmtree(scratch, ignore_errors=True)
        results.note(pair.name, event.kind, event.reason)
        if event.kind != "done":
            host.say(f"{pair.name}: {event.reason}")
        return event

    return settle
