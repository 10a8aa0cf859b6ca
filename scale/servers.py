"""ComfyUI servers as workers: each is waited for, greeted, given one pair after another, and watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from PIL import Image

from ..headless.client import Server
from ..headless.connection import Connection, RequestRefused, Unreachable
from ..headless.files import count_frames
from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.media.image import DAMAGED
from ..mimaface_core.terminal import TerminalHost
from . import prompts
from .crew import Answer
from .hashes import digest, files_of
from .pairs import Pair
from .prompts import PromptRun, ServerLost
from .proxied import JOBS, JobRun, NodesMissing

ANSWER_SECONDS = 60.0  # until a request counts as lost
ABSENCE_SECONDS = 3600.0  # that one which has died is waited for
ENDING_SECONDS = 10.0  # for a server to stop its prompt at the end
HEALTH = "/api/v2/health"  # is there where a proxy speaks the Comfy API v2


class ServerWorker:
    """A ComfyUI server; a `crew.Worker`.

    The id of a prompt comes from its pair, so that it is found in the server's queue and history whatever was lost in
    between: an answer, or the batch that posted it.

    Args:
        address: of the server.
        needed: ids of the node classes that the pairs need.
        say: is told that the server does not answer.
    """

    def __init__(self, address: str, needed: Collection[str], say: Callable[[str], None]) -> None:
        self.address, self._needed, self._say = address, needed, say
        self._host = TerminalHost()
        self._proxied, self._refused = False, ""  # whether it speaks the Comfy API v2; why it is not asked again
        self._assets: dict[str, str] = {}  # ids of uploaded inputs by SHA-256, in the Comfy API v2
        self._thread = threading.Thread()
        self._tell: Callable[[Answer], None] = lambda _: None

    def start(self, tell: Callable[[Answer], None]) -> None:
        """Wait for the server, and check that it has the nodes."""
        self._tell, self._host = tell, _Quiet()
        self._begin(self._greet)

    def give(self, item: Pair, scratch: Path) -> None:
        """Run a pair there."""
        self._begin(lambda: self._run(item, scratch))

    def end(self) -> None:
        """Stop waiting; a prompt that runs or waits there is stopped if the server answers soon."""
        self._host.cancel()
        if self._thread.is_alive():
            self._thread.join(ENDING_SECONDS)

    def _begin(self, work: Callable[[], Answer]) -> None:
        tell = self._tell

        def answer() -> None:
            try:
                tell(work())
            except Cancelled:
                pass
            except Exception as error:  # noqa: BLE001 - whatever a server answers, the batch goes on
                tell(self._failure(error))

        self._thread = threading.Thread(target=answer, daemon=True)
        self._thread.start()

    def _failure(self, error: Exception) -> Answer:
        if isinstance(error, (ServerLost, Unreachable)):
            return {"died": str(error)}
        if isinstance(error, RequestRefused):
            return {"failed": str(error), "again": True}
        if isinstance(error, InputError):
            return {"failed": str(error), "again": False}
        if isinstance(error, OSError):
            return {"failed": f"The result cannot be written ({error.strerror}); make room.", "again": True}
        reason = f"{type(error).__name__}: {error}"
        return {"died": f"{self.address} answers as no ComfyUI server does ({reason}); check it."}

    def _greet(self) -> Answer:
        until, silent = time.monotonic() + ABSENCE_SECONDS, False
        while True:
            self._host.check_cancelled()
            try:
                with Connection(self.address, self._host, ANSWER_SECONDS) as connection:
                    self._proxied = _is_proxied(connection)
                    # a proxy lists no nodes; that it lists jobs tells whether the token is good
                    answered = connection.json(f"{JOBS}?limit=1" if self._proxied else "/object_info")
                    known = self._needed if self._proxied else answered.keys()
                    lacking = sorted(set(self._needed) - set(known))
                break
            except (Unreachable, RequestRefused) as error:
                if time.monotonic() > until:
                    raise ServerLost(str(error)) from error
                if not silent:
                    self._say(f"{error} It is asked again.")
                silent = True
                time.sleep(prompts.POLL_SECONDS)
        if self._refused:
            return {"died": self._refused}
        if lacking:
            named = ", ".join(lacking)
            return {"died": f"The ComfyUI server {self.address} has no node {named}; install this extension there."}
        return {"ready": True}

    def _run(self, pair: Pair, scratch: Path) -> Answer:
        with Connection(self.address, self._host, ANSWER_SECONDS) as connection:
            run: PromptRun | JobRun = (
                JobRun(connection, self._host, pair, self._assets)
                if self._proxied
                else PromptRun(Server(connection, self._host, scratch), self._host, pair)
            )
            started = time.monotonic()
            try:
                made = run.result(scratch)
            except Cancelled:
                run.stop()
                raise
            except NodesMissing as error:
                self._refused = str(error)
                raise
        if not _whole(made):
            raise RequestRefused(f"{self.address} sent a file that cannot be read; look into its log.", {})
        told = {"sha256": digest(made), "frames": count_frames([made]), "server": self.address}
        return {"done": {"file": str(made), "seconds": round(time.monotonic() - started, 3), **told}}


def _is_proxied(connection: Connection) -> bool:
    """Whether the Comfy API v2 answers. Raises Unreachable where nothing does."""
    try:
        return connection.json(HEALTH).get("status") == "healthy"
    except Unreachable:
        raise
    except InputError:
        return False


class _Quiet(TerminalHost):
    """A host that shows nothing: the batch has a line of its own."""

    def say(self, text: str) -> None:
        """Print nothing."""


def _whole(made: Path) -> bool:
    """Whether a result can be read."""
    for path in files_of(made):
        if path.suffix in (".png", ".gif"):
            try:
                with Image.open(path) as image:
                    image.load()
            except (*DAMAGED, Image.DecompressionBombError):
                return False
        elif not count_frames([path]):
            return False
    return True
