"""Run a graph on a ComfyUI server: upload the inputs, queue it, follow it, download its files."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import closing, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.files import replacing
from ..mimaface_core.terminal import TerminalHost
from .connection import Connection, RequestRefused, Unreachable, understood
from .files import free_path, shown_files
from .follow import Display, Events, Follower, State
from .graph import Graph, as_prompt
from .object_info import NodeInfo, file_input, is_sound
from .order import run_order
from .problems import GraphRefused, Problem


class Server:
    """A ComfyUI server.

    Every method raises Unreachable where the server does not answer, RequestRefused where it refuses a request.

    Args:
        connection: to the server.
        host: shows progress, and can cancel.
        output_dir: where the files of runs go.
    """

    def __init__(self, connection: Connection, host: TerminalHost, output_dir: Path) -> None:
        self.connection, self.host, self.output_dir = connection, host, output_dir
        self._infos: dict[str, NodeInfo] = {}
        self._downloaded: set[tuple[str, str, str]] = set()
        self._finished: list[Path] = []
        self._previews: list[Path] = []

    def infos(self) -> dict[str, NodeInfo]:
        """The `object_info` entries of the server's node classes, by id."""
        answered = self.connection.json("/object_info")
        self._infos = {name: info for name, info in answered.items() if is_sound(info)}
        return self._infos

    def run(self, graph: Graph) -> list[Path]:
        """Run a graph that `validate` found sound and download its files.

        Returns:
            The files, finished ones before previews; previews go to `preview/` of the output folder.

        Raises:
            GraphRefused: the server refuses the graph, or a node fails.
            Cancelled: the user stops the run; the server is asked to stop, too.
        """
        for node in graph.values():
            name = file_input(self._infos[node.class_type])
            if name and Path(str(node.inputs.get(name, ""))).is_absolute():
                node.inputs[name] = self._upload(Path(node.inputs[name]))
        client_id = uuid.uuid4().hex
        with closing(Events(self.connection.address, client_id)) as events:
            prompt_id = self._queue(graph, client_id)
            try:
                history = self._follower(events, prompt_id, graph).wait()
            except (Cancelled, KeyboardInterrupt):
                with suppress(Unreachable):  # then nothing runs there any more
                    self.stop(prompt_id)
                raise
        with understood(self.connection.address):
            self.download(history["outputs"])
            self._refuse_failure(history, graph)
        return self._finished + self._previews

    def _upload(self, file: Path) -> str:
        """Upload a file; returns its name in the server's input folder."""
        with understood(self.connection.address):
            stored = self.connection.upload(file)
            return "/".join(part for part in (stored["subfolder"], stored["name"]) if part)

    def _queue(self, graph: Graph, client_id: str) -> str:
        """Queue a graph; returns the id of the prompt. Raises GraphRefused where the server finds problems."""
        try:
            queued = self.connection.json("/prompt", {"prompt": as_prompt(graph), "client_id": client_id})
        except RequestRefused as refused:
            with understood(self.connection.address):
                problems = node_errors(refused.answer, graph)
            if problems:
                raise GraphRefused(problems) from refused
            raise
        with understood(self.connection.address):
            prompt_id = str(queued["prompt_id"])
            # a graph of which only some outputs are sound is queued by ComfyUI with those
            problems = node_errors(queued, graph)
            if problems:
                self.stop(prompt_id)
                raise GraphRefused(problems)
            return prompt_id

    def _follower(self, events: Events, prompt_id: str, graph: Graph) -> Follower:
        display = Display(self.host, graph, run_order(graph, self._infos))
        address = self.connection.address
        return Follower(address, prompt_id, events, display, state=self.state, download=self.download)

    def state(self, prompt_id: str) -> State:
        """State of a prompt.

        Returns:
            Its history entry when it has ended, and the number of prompts before it in the queue (0 when it runs). Both
            are None where the server does not list it.
        """
        for _ in range(2):  # it may end between the two requests
            history = self.connection.json(f"/history/{prompt_id}").get(prompt_id)
            if history is not None:
                return history, None
            with understood(self.connection.address):
                queue = self.connection.json("/queue")
                running = [entry[1] for entry in queue["queue_running"]]
                waiting = [entry[1] for entry in sorted(queue["queue_pending"], key=itemgetter(0))]
            if prompt_id in running:
                return None, 0
            if prompt_id in waiting:
                return None, max(1, len(running) + waiting.index(prompt_id))
        return None, None

    def stop(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or interrupt it where it runs."""
        self.connection.json("/queue", {"delete": [prompt_id]})
        # older servers interrupt whatever runs, so only a run of ours is interrupted
        if self.state(prompt_id) == (None, 0):
            self.connection.json("/interrupt", {"prompt_id": prompt_id})

    def _refuse_failure(self, history: Mapping[str, Any], graph: Graph) -> None:
        """Raise the reason why a run failed or was cancelled on the server."""
        status = history.get("status") or {}
        if status.get("status_str") != "error":
            return
        for event, details in status.get("messages", ()):
            node = graph.get(str(details.get("node_id")))
            if event == "execution_error":
                raise GraphRefused([Problem(str(node or "the server"), None, details["exception_message"].strip())])
            if event == "execution_interrupted":
                raise InputError(
                    f"This run was cancelled by somebody on {self.connection.address}"
                    + (f", at {node}" if node else "")
                    + "; files that were finished are kept, run it again for the others."
                )
        raise InputError("The server stopped the graph; look into its log for the reason.")

    def download(self, outputs: Mapping[str, dict[str, Any]]) -> None:
        """Download the files that nodes show, except those that are here already.

        Args:
            outputs: the `ui` of nodes, by node id.
        """
        for shown in outputs.values():
            for entry in shown_files(shown):
                name, subfolder, kind = (str(entry.get(key, "")) for key in ("filename", "subfolder", "type"))
                self._download(name, subfolder, kind)

    def _download(self, name: str, subfolder: str, kind: str) -> None:
        if (name, subfolder, kind) in self._downloaded:
            return
        preview = kind == "temp"
        # the server's names are not trusted to stay inside the output folder
        parts = [part for part in Path(subfolder).parts if part not in ("..", "/", "\\")]
        folder = self.output_dir / "preview" if preview else self.output_dir.joinpath(*parts)
        path = free_path(folder / Path(name).name)
        query = {"filename": name, "subfolder": subfolder, "type": kind}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.connection.download("/view", query) as blocks, replacing(path) as part, open(part, "wb") as file:
                for block in blocks:
                    self.host.check_cancelled()
                    file.write(block)
        except OSError as full:
            raise InputError(f"{path} cannot be written ({full.strerror}); choose another --output-dir.") from full
        self._downloaded.add((name, subfolder, kind))
        (self._previews if preview else self._finished).append(path)


def node_errors(answer: Mapping[str, Any], graph: Graph) -> list[Problem]:
    """The problems in ComfyUI's answer to a prompt."""
    return [
        Problem(
            str(graph.get(key, f"node {key}")),
            error.get("extra_info", {}).get("input_name"),
            f"{error['message']}: {error['details']}; change it.",
        )
        for key, entry in (answer.get("node_errors") or {}).items()
        for error in entry["errors"]
    ]
