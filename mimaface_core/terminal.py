"""The host of a run in a terminal: progress on standard error, Ctrl-C asks the run to stop."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from .host import Host, Progress

LIVE_SECONDS = 0.1  # between two states of the moving line of a terminal
LOG_SECONDS = 5.0  # between two lines of a log


class TerminalHost(Host):
    """A Host that shows progress on standard error: one moving line in a terminal, a line now and then in a log.

    Its run is over when `ended_well` is called: until then, finished parts are kept for a later run.

    Args:
        options: those of `Host`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._live = sys.stderr.isatty()
        self._shown_at = 0.0
        self._state = ""
        self.cancelled = False
        self._clean_ups: list[Callable[[], object]] = []

    def when_used(self, value: object, clean_up: Callable[[], object]) -> None:  # noqa: ARG002 - the run counts
        """Clean up when the run has ended well."""
        self._clean_ups.append(clean_up)

    def ended_well(self) -> None:
        """Clean up what was kept in case the run would not end well."""
        while self._clean_ups:
            self._clean_ups.pop()()

    def say(self, text: str) -> None:
        """Print one line for the user."""
        print(("\r\x1b[K" if self._live else "") + text, file=sys.stderr, flush=True)

    def show(self, progress: Progress, preview: Image.Image | None = None) -> None:  # noqa: ARG002 - text only
        """Print the progress, unless it was printed a moment ago."""
        total = f"/{progress.total}" if progress.total else ""
        self.show_state(f"  {progress.label}: {progress.done}{total}", progress.closed)

    def show_state(self, text: str, last: bool = False) -> None:
        """Print a line that the next one replaces, unless one was printed a moment ago; a log does not repeat itself.

        Args:
            text: without a line break.
            last: whether it is to stay, and to be printed in any case.
        """
        now = time.monotonic()
        if not last and now - self._shown_at < (LIVE_SECONDS if self._live else LOG_SECONDS):
            return
        if not last and not self._live and text == self._state:
            return
        self._shown_at, self._state = now, text
        if self._live and not last:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            self.say(text)

    def cancel(self) -> None:
        """Ask the running work to stop, and remember it in `cancelled`."""
        self.cancelled = True
        super().cancel()


@contextmanager
def interruptible(host: TerminalHost) -> Iterator[None]:
    """While it lasts, the first Ctrl-C (or SIGTERM) asks `host` to stop; a second one interrupts at once."""

    def stop(*_: object) -> None:
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
