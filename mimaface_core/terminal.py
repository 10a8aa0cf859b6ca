"""The host of a run in a terminal: progress on standard error, Ctrl-C asks the run to stop."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .host import Host, Progress


class TerminalHost(Host):
    """A Host that shows progress on standard error: one moving line in a terminal, a line now and then in a log."""

    def __init__(self, **folders):
        super().__init__(**folders)
        self._live = sys.stderr.isatty()
        self._shown = 0.0
        self.cancelled = False

    def say(self, text: str) -> None:
        """One line for the user."""
        print(("\r\x1b[K" if self._live else "") + text, file=sys.stderr, flush=True)

    def show(self, progress: Progress, preview=None) -> None:
        now = time.monotonic()
        if not progress.closed and now - self._shown < (0.1 if self._live else 5):
            return
        self._shown = now
        total = f"/{progress.total}" if progress.total else ""
        line = f"  {progress.label}: {progress.done}{total}"
        if self._live and not progress.closed:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            self.say(line)

    def cancel(self) -> None:
        self.cancelled = True
        super().cancel()


@contextmanager
def interruptible(host: TerminalHost) -> Iterator[None]:
    """While it lasts, the first Ctrl-C (or SIGTERM) asks `host` to stop; a second one interrupts at once."""

    def stop(number, frame):
        if host.cancelled:
            raise KeyboardInterrupt
        host.cancel()
        host.say("Stopping after the current step; Ctrl-C again stops at once.")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
