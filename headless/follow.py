"""Follow a prompt on a ComfyUI server: by its websocket where there is one, else by polling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import parse_json
from ..mimaface_core.host import Progress
from ..mimaface_core.terminal import TerminalHost
from .connection import Unreachable, understood
from .graph import Graph

TICK_SECONDS = 0.2  # between two checks whether the user has cancelled
POLL_SECONDS = 0.5  # between two requests for the state, without a websocket
WATCHED_POLL_SECONDS = 5.0  # between two such requests, where the websocket reports the end
PATIENCE_SECONDS = 30.0  # until a server that does not answer counts as stopped

# The history entry of a prompt when it has ended, and the number of prompts before it in the queue.
State = tuple[dict[str, Any] | None, int | None]


class Events:
    """Messages of a server to one client, over its websocket; none where there is no websocket.

    Needs the library websocket-client, of the extra `server`. A connection that breaks is not made again.

    Args:
        address: of the server.
        client_id: the id under which prompts are queued.
    """

    def __init__(self, address: str, client_id: str) -> None:
        self._socket = None
        try:
            import websocket
        except ImportError:
            return
        try:
            url = f"{address.replace('http', 'ws', 1)}/ws?clientId={client_id}"
            self._socket = websocket.create_connection(url, timeout=10, http_no_proxy=["*"])
            self._socket.settimeout(TICK_SECONDS)
        except (websocket.WebSocketException, OSError, ValueError):
            pass

    @property
    def open(self) -> bool:
        """Whether messages can still come."""
        return self._socket is not None

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when none has come for TICK_SECONDS. A preview reads as an empty message."""
        if self._socket is None:
            time.sleep(TICK_SECONDS)
            return None
        import websocket

        try:
            text = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError):
            self.close()
            return None
        try:
            message = parse_json(text) if text and isinstance(text, str) else {}
        except ValueError:  # what cannot be read tells nothing; the end is polled for, too
            return {}
        return message if isinstance(message, dict) else {}

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close(timeout=1)
        self._socket = None


class Display:
    """Shows the running node and its progress.

    Args:
        host: prints.
        graph: the nodes by id.
        order: ids of the nodes that run.
    """

    def __init__(self, host: TerminalHost, graph: Graph, order: Sequence[str]) -> None:
        self.host, self.graph = host, graph
        self._order = set(order)
        self._started, self._total = 0, len(order)
        self.title: str | None = None
        self._progress: Progress | None = None
        self._place: int | None = None

    def show_message(self, kind: str, data: Mapping[str, Any]) -> None:
        """Show a message of the server."""
        if kind == "execution_cached":
            unchanged = len(self._order & set(data["nodes"]))
            self._total = len(self._order) - unchanged
            if unchanged:
                self.host.say(f"{unchanged} of {len(self._order)} nodes are unchanged and not run again.")
        elif kind == "executing":
            self._show_node(data.get("display_node") or data.get("node"))
        elif kind == "progress" and self._progress is not None:
            self._progress.done, self._progress.total = data["value"], data["max"]
            self.host.show(self._progress)

    def show_queue(self, place: int) -> None:
        """Show the number of prompts before this one, where it has changed."""
        if place != self._place:
            self.host.say(f"Waiting in the server's queue: {place} before this one.")
        self._place = place

    def _show_node(self, key: str | None) -> None:
        if self._progress is not None and self._progress.done:
            self._progress.closed = True
            self.host.show(self._progress)
        self._progress = self.title = None
        if key is None:
            return
        self._started += 1
        node = self.graph.get(key)
        self.title = node.title if node else f"node {key}"
        kind = f" ({node.class_type})" if node else ""
        self.host.say(f"[{self._started}/{max(self._total, self._started)}] {self.title}{kind}")
        self._progress = Progress(self.host, 0, self.title)


class Follower:
    """Waits for one prompt to end; files are downloaded as nodes finish them, so that they survive a later failure.

    Args:
        address: of the server.
        prompt_id: the prompt to wait for.
        events: messages of the server.
        display: shows them.
        state: returns the state of a prompt, as `Server.state`.
        download: downloads the files of some outputs, as `Server.download`.
    """

    def __init__(
        self,
        address: str,
        prompt_id: str,
        events: Events,
        display: Display,
        *,
        state: Callable[[str], State],
        download: Callable[[Mapping[str, dict[str, Any]]], None],
    ) -> None:
        self.address, self.prompt_id, self.events, self.display = address, prompt_id, events, display
        self._host, self._state, self._download = display.host, state, download
        self._running = False
        self._watched, self._lost = events.open, False
        self._silent_since: float | None = None

    def wait(self) -> dict[str, Any]:
        """Wait for the end.

        Returns:
            The prompt's history entry.

        Raises:
            InputError: the server stops, or no longer lists the prompt.
            Cancelled: the user stops the run.
        """
        next_poll = 0.0
        while True:
            self._host.check_cancelled()
            message = self.events.receive()
            ended = message is not None and self._take(message)
            # polled only where no more messages come
            if not ended and (message is not None or time.monotonic() < next_poll):
                continue
            history = self._poll()
            if history is not None:
                return history
            next_poll = time.monotonic() + (WATCHED_POLL_SECONDS if self.events.open else POLL_SECONDS)

    def _take(self, message: dict[str, Any]) -> bool:
        """Act on a message; returns whether it reports the end of the prompt."""
        with understood(self.address):
            data = message.get("data") or {}
            if data.get("prompt_id") != self.prompt_id:
                return False
            self._running = True
            self.display.show_message(message["type"], data)
            if message["type"] == "executed":
                with suppress(Unreachable):  # it is tried again at the end
                    self._download({data["node"]: data.get("output") or {}})
            return message["type"] == "executing" and data.get("node") is None

    def _poll(self) -> dict[str, Any] | None:
        """The history entry, where the prompt has ended."""
        self._lost = self._lost or (self._watched and not self.events.open)
        try:
            history, place = self._state(self.prompt_id)
        except Unreachable as problem:
            self._endure(problem)
            return None
        self._silent_since = None
        if history is None and place is None:
            raise InputError(self._reason_gone())
        if place:
            self.display.show_queue(place)
        elif place == 0 and not self._running:
            self._running = True
            if not self._watched:
                self._host.say(f"Running on {self.address}; its nodes are shown where websocket-client is installed.")
        return history

    def _endure(self, problem: Unreachable) -> None:
        """Let PATIENCE_SECONDS pass before a server that does not answer counts as stopped."""
        self._lost = True
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            self._host.say(f"{self.address} does not answer; waiting {PATIENCE_SECONDS:.0f} seconds for it.")
        if now - self._silent_since > PATIENCE_SECONDS:
            at = self.display.title
            raise InputError(
                f"The ComfyUI server {self.address} stopped in the middle of the run"
                + (f", at '{at}'" if at else "")
                + "; what it had finished is kept: start it and run this again."
            ) from problem

    def _reason_gone(self) -> str:
        where = self.address
        if self._lost:
            return f"The ComfyUI server {where} was started again and has lost this run; run it again."
        if self._running:
            return (
                f"{where} no longer lists this run, since its history was cleared; see its output folder for the files."
            )
        return f"This run was cancelled by somebody on {where} while it waited in the queue; run it again."
