"""Following a prompt on a ComfyUI server: over its websocket where that can be had, else by asking now and then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.host import Progress
from ..mimaface_core.terminal import TerminalHost
from .graph import GraphNode

TICK = 0.2  # seconds between two looks at whether the user has cancelled
ASK, ASK_BESIDE = 0.5, 5.0  # seconds between two questions, alone and where the websocket tells the end
PATIENCE = 30.0  # seconds for which a server may not answer before it counts as gone


class Unreachable(InputError):
    """The server does not answer."""


class Events:
    """What a server tells one client over the websocket, from now on; nothing where there is no websocket.

    Needs the library websocket-client, of the extra `server`. A connection that breaks is not made again.
    """

    def __init__(self, address: str, client_id: str):
        self._socket = None
        try:
            import websocket
        except ImportError:
            return
        try:
            url = f"{address.replace('http', 'ws', 1)}/ws?clientId={client_id}"
            self._socket = websocket.create_connection(url, timeout=10, http_no_proxy=["*"])
            self._socket.settimeout(TICK)
        except (websocket.WebSocketException, OSError, ValueError):
            pass

    @property
    def open(self) -> bool:
        """Whether anything can still come."""
        return self._socket is not None

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when none has come for TICK seconds. A preview reads as an empty one."""
        if self._socket is None:
            time.sleep(TICK)
            return None
        import websocket

        try:
            text = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError):
            self.close()
            return None
        return json.loads(text) if text and isinstance(text, str) else {}

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close(timeout=1)
        self._socket = None


class Display:
    """Tells the user which node runs and how far it is."""

    def __init__(self, host: TerminalHost, graph: dict[str, GraphNode], order: Sequence[str]):
        self.host, self.graph = host, graph
        self._order = set(order)
        self._begun, self._total = 0, len(order)
        self.title: str | None = None
        self._progress: Progress | None = None
        self._place: int | None = None

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Shows what a message of the server says."""
        if kind == "execution_cached":
            unchanged = len(self._order & set(data["nodes"]))
            self._total = len(self._order) - unchanged
            if unchanged:
                self.host.say(f"{unchanged} of {len(self._order)} nodes are unchanged and not run again.")
        elif kind == "executing":
            self._begin(data.get("display_node") or data.get("node"))
        elif kind == "progress" and self._progress is not None:
            self._progress.done, self._progress.total = data["value"], data["max"]
            self.host.show(self._progress)

    def waiting(self, place: int) -> None:
        """Says how many prompts are before this one, where that has changed."""
        if place != self._place:
            self.host.say(f"Waiting in the server's queue: {place} before this one.")
        self._place = place

    def _begin(self, key: str | None) -> None:
        if self._progress is not None and self._progress.done:
            self._progress.closed = True
            self.host.show(self._progress)
        self._progress = self.title = None
        if key is None:
            return
        self._begun += 1
        node = self.graph.get(key)
        self.title = node.title if node else f"node {key}"
        kind = f" ({node.class_type})" if node else ""
        self.host.say(f"[{self._begun}/{max(self._total, self._begun)}] {self.title}{kind}")
        self._progress = Progress(self.host, 0, self.title)


class Follower:
    """Waits for one prompt to end; files are fetched as nodes finish them, so that they are here whatever happens then.

    Args:
        address: the server's.
        prompt_id: the prompt to wait for.
        events: the messages of the server.
        display: what the user is shown.
        state: a prompt's history entry and place in the queue, as `Server.state`.
        fetch: fetches the files of some outputs, as `Server.fetch`.
    """

    def __init__(
        self,
        address: str,
        prompt_id: str,
        events: Events,
        display: Display,
        *,
        state: Callable[[str], tuple[dict[str, Any] | None, int | None]],
        fetch: Callable[[dict[str, dict]], None],
    ):
        self.address, self.prompt_id, self.events, self.display = address, prompt_id, events, display
        self._host, self._state, self._fetch = display.host, state, fetch
        self._running = False
        self._watched, self._lost = events.open, False
        self._silent_since: float | None = None

    def wait(self) -> dict[str, Any]:
        """The prompt's history entry, once it has ended.

        Raises InputError where the server stops or no longer knows the prompt, Cancelled when the user stops.
        """
        question = 0.0
        while True:
            self._host.check_cancelled()
            message = self.events.receive()
            ended = message is not None and self._take(message)
            # asked only where no more messages come
            if not ended and (message is not None or time.monotonic() < question):
                continue
            history = self._ask()
            if history is not None:
                return history
            question = time.monotonic() + (ASK_BESIDE if self.events.open else ASK)

    def _take(self, message: dict[str, Any]) -> bool:
        """Take in a message; whether it says that the prompt has ended."""
        data = message.get("data") or {}
        if data.get("prompt_id") != self.prompt_id:
            return False
        self._running = True
        self.display.tell(message["type"], data)
        if message["type"] == "executed":
            with suppress(Unreachable):  # it is tried again at the end
                self._fetch({data["node"]: data.get("output") or {}})
        return message["type"] == "executing" and data.get("node") is None

    def _ask(self) -> dict[str, Any] | None:
        """The history entry, where the prompt has ended."""
        self._lost = self._lost or (self._watched and not self.events.open)
        try:
            history, place = self._state(self.prompt_id)
        except Unreachable as problem:
            self._endure(problem)
            return None
        self._silent_since = None
        if history is None and place is None:
            raise InputError(self._gone())
        if place:
            self.display.waiting(place)
        elif place == 0 and not self._running:
            self._running = True
            if not self._watched:
                self._host.say(f"Running on {self.address}; its nodes are shown where websocket-client is installed.")
        return history

    def _endure(self, problem: Unreachable) -> None:
        """Let a while pass before a server that does not answer counts as stopped."""
        self._lost = True
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self._host.say(f"{self.address} does not answer; waiting {PATIENCE:.0f} seconds for it.")
        if now - self._silent_since > PATIENCE:
            at = self.display.title
            raise InputError(
                f"The ComfyUI server {self.address} stopped in the middle of the run"
                + (f", at '{at}'" if at else "")
                + "; what it had finished is kept: start it and run this again."
            ) from problem

    def _gone(self) -> str:
        where = self.address
        if self._lost:
            return f"The ComfyUI server {where} was started again and has lost this run; run it again."
        if self._running:
            return (
                f"{where} no longer lists this run, since its history was cleared; see its output folder for the files."
            )
        return f"This run was cancelled by somebody on {where} while it waited in the queue; run it again."
