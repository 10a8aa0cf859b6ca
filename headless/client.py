"""Queueing a graph on a running ComfyUI: upload the inputs, follow the run, fetch what was written."""

from __future__ import annotations

import http.client
import json
import math
import mimetypes
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.terminal import TerminalHost
from .files import free_path
from .follow import Display, Events, Follower, Unreachable
from .graph import GraphNode, GraphRefused, Problem, as_prompt, file_input
from .validate import run_order

BLOCK = 1 << 20
TIMEOUT = 60  # seconds without an answer; a server that loads a model may be quiet for a while


class Server:
    """A ComfyUI server, whose files go to `output_dir`.

    Raises Unreachable where it does not answer, InputError where it refuses a request.
    """

    def __init__(self, address: str, host: TerminalHost, output_dir: Path):
        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self.host, self.output_dir = host, output_dir
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._infos: dict[str, dict] = {}
        self._fetched: set[tuple[str, str, str]] = set()
        self._finished: list[Path] = []
        self._previews: list[Path] = []

    def infos(self) -> dict[str, dict]:
        """The server's node classes: its `object_info`."""
        self._infos = self._json("/object_info")
        return self._infos

    def run(self, graph: dict[str, GraphNode]) -> list[Path]:
        """Run a graph that `validate` found sound and fetch its files; previews go to `preview/`.

        Raises GraphRefused where the server refuses the graph or a node fails, Cancelled when the user stops; the
        server is then asked to stop too.
        """
        for node in graph.values():
            widget = file_input(self._infos[node.class_type])
            if widget and Path(str(node.inputs.get(widget, ""))).is_absolute():
                node.inputs[widget] = self._upload(Path(node.inputs[widget]))
        client_id = uuid.uuid4().hex
        with closing(Events(self.address, client_id)) as events:
            queued = self._json("/prompt", {"prompt": as_prompt(graph), "client_id": client_id}, graph)
            prompt_id = queued["prompt_id"]
            # a graph of which only some outputs are sound is queued by ComfyUI with those
            problems = _node_errors(queued, graph)
            if problems:
                self._stop(prompt_id)
                raise GraphRefused(problems)
            try:
                history = self._follower(events, prompt_id, graph).wait()
            except (Cancelled, KeyboardInterrupt):
                with suppress(Unreachable):  # then nothing runs there any more
                    self._stop(prompt_id)
                raise
        self.fetch(history["outputs"])
        self._refuse_failure(history, graph)
        return self._finished + self._previews

    def _follower(self, events: Events, prompt_id: str, graph: dict[str, GraphNode]) -> Follower:
        display = Display(self.host, graph, run_order(graph, self._infos))
        return Follower(self.address, prompt_id, events, display, state=self.state, fetch=self.fetch)

    def state(self, prompt_id: str) -> tuple[dict[str, Any] | None, int | None]:
        """The prompt's history entry when it has ended, and how many are before it in the queue (0 when it runs).

        Both are None where the server does not know it. Raises Unreachable.
        """
        for _ in range(2):  # it may end between the two questions
            history = self._json(f"/history/{prompt_id}").get(prompt_id)
            if history is not None:
                return history, None
            queue = self._json("/queue")
            running = [entry[1] for entry in queue["queue_running"]]
            waiting = [entry[1] for entry in sorted(queue["queue_pending"], key=itemgetter(0))]
            if prompt_id in running:
                return None, 0
            if prompt_id in waiting:
                return None, max(1, len(running) + waiting.index(prompt_id))
        return None, None

    def _stop(self, prompt_id: str) -> None:
        self._json("/queue", {"delete": [prompt_id]})
        # older servers interrupt whatever runs, so only a run of ours is interrupted
        if self.state(prompt_id) == (None, 0):
            self._json("/interrupt", {"prompt_id": prompt_id})

    def _refuse_failure(self, history: dict[str, Any], graph: dict[str, GraphNode]) -> None:
        status = history.get("status") or {}
        if status.get("status_str") != "error":
            return
        for event, details in status.get("messages", ()):
            node = graph.get(str(details.get("node_id")))
            if event == "execution_error":
                raise GraphRefused([Problem(str(node or "the server"), None, details["exception_message"].strip())])
            if event == "execution_interrupted":
                raise InputError(
                    f"This run was cancelled by somebody on {self.address}"
                    + (f", at {node}" if node else "")
                    + "; files that were finished are kept, run it again for the others."
                )
        raise InputError("The server stopped the graph; look into its log for the reason.")

    def fetch(self, outputs: dict[str, dict]) -> None:
        """Fetch the files that nodes show, by node id; those that are here already are passed over."""
        for shown in outputs.values():
            for shelf in shown.values():
                for entry in shelf if isinstance(shelf, list) else []:
                    if isinstance(entry, dict) and "filename" in entry:
                        self._fetch(tuple(str(entry.get(key, "")) for key in ("filename", "subfolder", "type")))

    def _fetch(self, file: tuple[str, str, str]) -> None:
        if file in self._fetched:
            return
        name, subfolder, kind = file
        preview = kind == "temp"
        # the server's names are not trusted to stay inside the output folder
        parts = [part for part in Path(subfolder).parts if part not in ("..", "/", "\\")]
        folder = self.output_dir / "preview" if preview else self.output_dir.joinpath(*parts)
        path = free_path(folder / Path(name).name)
        unfinished = path.with_name(f".{path.name}.part")
        query = urllib.parse.urlencode({"filename": name, "subfolder": subfolder, "type": kind})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._open(f"/view?{query}") as answer, open(unfinished, "wb") as here:
                for block in self._blocks(answer):
                    self.host.check_cancelled()
                    here.write(block)
            os.replace(unfinished, path)
        except OSError as full:
            raise InputError(f"{path} cannot be written ({full.strerror}); choose another --output-dir.") from full
        finally:
            unfinished.unlink(missing_ok=True)
        self._fetched.add(file)
        (self._previews if preview else self._finished).append(path)

    def _upload(self, path: Path) -> str:
        """Copy a file into the server's input folder; returns the name it has there."""
        boundary = uuid.uuid4().hex
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        name = path.name.replace('"', "_")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        head, tail = f"{head}Content-Type: {kind}\r\n\r\n".encode(), f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        }
        with self._open("/upload/image", self._form(head, path, tail), headers) as answer:
            stored = self._parsed(answer)
        return "/".join(part for part in (stored["subfolder"], stored["name"]) if part)

    def _form(self, head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
        """A file with what stands before and after it, block by block."""
        size = math.ceil(path.stat().st_size / BLOCK)
        yield head
        with open(path, "rb") as file, self.host.progress(size, f"uploading {path.name}, MB") as progress:
            while block := file.read(BLOCK):
                yield block
                progress.update()
        yield tail

    def _json(self, path: str, body: dict | None = None, graph: dict[str, GraphNode] | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        with self._open(path, data, {"Content-Type": "application/json"}, graph) as answer:
            return self._parsed(answer)

    def _parsed(self, answer: http.client.HTTPResponse) -> dict:
        text = b"".join(self._blocks(answer))
        try:
            return json.loads(text) if text else {}
        except ValueError as other:
            raise InputError(f"{self.address} is no ComfyUI server: its answer is no JSON; check --server.") from other

    def _blocks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """An answer's content, whole: Unreachable where it breaks off."""
        try:
            while block := answer.read(BLOCK):
                yield block
        except (OSError, http.client.HTTPException) as broken:
            raise self._unreachable(broken) from broken
        if answer.length:
            raise self._unreachable("its answer broke off")

    def _open(
        self,
        path: str,
        data: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        graph: dict[str, GraphNode] | None = None,
    ):
        request = urllib.request.Request(self.address + path, data, headers or {})
        try:
            return self._direct.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as refused:
            raise self._refused(path, refused, graph or {}) from refused
        except (OSError, http.client.HTTPException, ValueError) as unreachable:
            raise self._unreachable(unreachable) from unreachable

    def _unreachable(self, reason: object) -> Unreachable:
        return Unreachable(f"The ComfyUI server {self.address} does not answer ({reason}); start it or check --server.")

    def _refused(self, path: str, refused: urllib.error.HTTPError, graph: dict[str, GraphNode]) -> InputError:
        """What to say of a request that the server refuses."""
        text = refused.read().decode("utf-8", "replace")
        try:
            answer = json.loads(text)
        except json.JSONDecodeError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        problems = _node_errors(answer, graph)
        if problems:
            return GraphRefused(problems)
        error = answer.get("error")
        said = f"{error.get('message')} {error.get('details', '')}" if isinstance(error, dict) else text[:300]
        if refused.code == 413:
            said = "the file is larger than it takes, which --max-upload-size sets where it is started"
        return InputError(
            f"The server {self.address} refused {path.partition('?')[0]} with status {refused.code}:"
            f" {said.strip() or refused.reason}; look into its log."
        )


def _node_errors(answer: dict, graph: dict[str, GraphNode]) -> list[Problem]:
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
