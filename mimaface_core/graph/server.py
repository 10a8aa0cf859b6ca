"""Queueing a graph on a running ComfyUI over HTTP: upload the inputs, wait, fetch what was written."""

from __future__ import annotations

import json
import mimetypes
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError
from .files import free_path
from .load import GraphRefused, Node, Problem, as_prompt, file_input
from .terminal import TerminalHost

WAIT = 0.5  # seconds between two looks at the queue


class Server:
    """A ComfyUI server. Raises InputError where it cannot be reached or refuses a request."""

    def __init__(self, address: str, host: TerminalHost):
        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self.host = host
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._infos: dict[str, dict] = {}

    def infos(self) -> dict[str, dict]:
        """The server's node classes: its `object_info`."""
        self._infos = self._json("/object_info")
        return self._infos

    def run(self, graph: dict[str, Node], output_dir: Path) -> list[Path]:
        """Run a graph that `validate` found sound and fetch its files; previews go to `preview/`.

        Raises GraphRefused where the server refuses the graph or a node fails, Cancelled when the user stops; the
        server is then asked to stop too.
        """
        for node in graph.values():
            widget = file_input(self._infos[node.class_type])
            if widget and Path(str(node.inputs.get(widget, ""))).is_absolute():
                node.inputs[widget] = self._upload(Path(node.inputs[widget]))
        body = {"prompt": as_prompt(graph), "client_id": uuid.uuid4().hex}
        queued = self._json("/prompt", body, graph)
        prompt_id = queued["prompt_id"]
        # a graph of which only some outputs are sound is queued by ComfyUI with those
        problems = _node_errors(queued, graph)
        if problems:
            self._stop(prompt_id)
            raise GraphRefused(problems)
        try:
            history = self._wait(prompt_id)
        except (Cancelled, KeyboardInterrupt):
            self._stop(prompt_id)
            raise
        self._refuse_failure(history, graph)
        return self._fetch(history["outputs"], output_dir)

    def _stop(self, prompt_id: str) -> None:
        self._json("/queue", {"delete": [prompt_id]})
        self._json("/interrupt", {"prompt_id": prompt_id})

    def _wait(self, prompt_id: str) -> dict[str, Any]:
        with self.host.progress(0, f"running on {self.address}") as progress:
            while True:
                history = self._json(f"/history/{prompt_id}").get(prompt_id)
                if history is not None:
                    return history
                until = time.monotonic() + WAIT
                while time.monotonic() < until:
                    self.host.check_cancelled()
                    time.sleep(0.05)
                progress.update()

    @staticmethod
    def _refuse_failure(history: dict[str, Any], graph: dict[str, Node]) -> None:
        status = history.get("status") or {}
        if status.get("status_str") != "error":
            return
        for event, details in status.get("messages", ()):
            if event == "execution_error":
                node = graph.get(str(details.get("node_id")))
                raise GraphRefused(
                    [Problem(str(node or "the server"), None, details["exception_message"].strip())]
                )
        raise InputError("The server stopped the graph; look into its log for the reason.")

    def _fetch(self, outputs: dict[str, dict], output_dir: Path) -> list[Path]:
        finished, previews = [], []
        entries = [
            entry
            for shown in outputs.values()
            for shelf in shown.values()
            for entry in (shelf if isinstance(shelf, list) else [])
            if isinstance(entry, dict) and "filename" in entry
        ]
        for entry in entries:
            query = urllib.parse.urlencode(
                {key: entry.get(key, "") for key in ("filename", "subfolder", "type")}
            )
            preview = entry.get("type") == "temp"
            # the server's names are not trusted to stay inside the output folder
            parts = [part for part in Path(entry.get("subfolder", "")).parts if part not in ("..", "/", "\\")]
            folder = output_dir / "preview" if preview else output_dir.joinpath(*parts)
            folder.mkdir(parents=True, exist_ok=True)
            path = free_path(folder / Path(entry["filename"]).name)
            unfinished = path.with_name(f".{path.name}.part")
            try:
                with self._open(f"/view?{query}") as answer, open(unfinished, "wb") as file:
                    while block := answer.read(1 << 20):
                        self.host.check_cancelled()
                        file.write(block)
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
            (previews if preview else finished).append(path)
        return finished + previews

    def _upload(self, path: Path) -> str:
        """Copy a file into the server's input folder; returns the name it has there."""
        boundary = uuid.uuid4().hex
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        name = path.name.replace('"', "_")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        body = (
            f"{head}Content-Type: {kind}\r\n\r\n".encode()
            + path.read_bytes()
            + f"\r\n--{boundary}--\r\n".encode()
        )
        with self._open("/upload/image", body, f"multipart/form-data; boundary={boundary}") as answer:
            stored = json.load(answer)
        return "/".join(part for part in (stored["subfolder"], stored["name"]) if part)

    def _json(self, path: str, body: dict | None = None, graph: dict[str, Node] | None = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        with self._open(path, data, "application/json", graph) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def _open(
        self, path: str, data: bytes | None = None, kind: str = "", graph: dict[str, Node] | None = None
    ):
        request = urllib.request.Request(self.address + path, data, {"Content-Type": kind} if kind else {})
        try:
            return self._direct.open(request, timeout=60)
        except urllib.error.HTTPError as refused:
            answer = refused.read().decode("utf-8", "replace")
            problems = _node_errors(_parsed(answer), graph or {})
            if problems:
                raise GraphRefused(problems) from refused
            raise InputError(
                f"The server {self.address} refused {path.partition('?')[0]} with status {refused.code}:"
                f" {answer[:300].strip() or refused.reason}; look into its log."
            ) from refused
        except (OSError, ValueError) as unreachable:
            raise InputError(
                f"The ComfyUI server {self.address} does not answer ({unreachable}); start it or check --server."
            ) from unreachable


def _parsed(text: str) -> dict:
    try:
        answer = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _node_errors(answer: dict, graph: dict[str, Node]) -> list[Problem]:
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
