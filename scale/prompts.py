"""One pair on a ComfyUI server: posted once, found again after an answer is lost, its result downloaded."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from ..headless.client import Server, node_errors
from ..headless.connection import RequestRefused, Unreachable
from ..headless.files import shown_files
from ..headless.problems import GraphRefused
from ..mimaface_core.errors import InputError
from ..mimaface_core.terminal import TerminalHost
from .pairs import Pair
from .recipe import RESULT_SUFFIXES

FOLDER = "mimaface-batch"  # in the input and output folders of a server
POLL_SECONDS = 0.5  # between two looks at the queue
SETTLING_SECONDS = 5.0  # until a request whose answer was lost has had its effect, if it will have one
PATIENCE_SECONDS = 60.0  # until a server that does not answer counts as dead
MOST_ATTEMPTS = 100  # at a pair that a history may hold
_NAMESPACE = uuid.UUID("6d1fa0e4-6b0c-5a43-9a6c-2d6d8f6f0b7e")  # of prompt ids

Answered = TypeVar("Answered")


class ServerLost(Exception):
    """A server died with its pair, or lost it; one sentence."""


def attempt_id(pair: Pair, number: int) -> str:
    """The id of an attempt at a pair, which any batch finds again."""
    return str(uuid.uuid5(_NAMESPACE, f"{pair.name}\n{pair.fingerprint}\n{number}"))


def input_name(file: Path, sha256: str) -> str:
    """The name of an input on a server, which comes from its content."""
    return f"{sha256[:32]}{file.suffix.lower()}"


def patiently(ask: Callable[[], Answered], host: TerminalHost) -> Answered:
    """What a server answers, asked again for PATIENCE_SECONDS. Raises ServerLost where it does not."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        host.check_cancelled()
        try:
            return ask()
        except (Unreachable, RequestRefused) as error:
            if time.monotonic() > until:
                raise ServerLost(str(error)) from error
            time.sleep(POLL_SECONDS)


def save(blocks: AbstractContextManager[Iterator[bytes]], path: Path, host: TerminalHost) -> None:
    """Write what a server sends. Raises RequestRefused where it sends nothing, Cancelled where the user stops it."""
    with blocks as opened, open(path, "wb") as file:
        for block in opened:
            host.check_cancelled()
            file.write(block)


class PromptRun:
    """One pair on one server.

    Args:
        server: the server.
        host: can cancel.
        pair: the pair.
    """

    def __init__(self, server: Server, host: TerminalHost, pair: Pair) -> None:
        self._server, self._connection, self._host, self._pair = server, server.connection, host, pair
        self._prompt_id = ""

    def result(self, folder: Path) -> Path:
        """Run the pair unless the server has done so, and download its result into `folder`.

        Raises:
            InputError: the server refuses the pair, or fails with it.
            ServerLost: the server stopped answering, or forgot the pair.
        """
        number, posted = 0, False
        while number < MOST_ATTEMPTS:
            self._prompt_id = attempt_id(self._pair, number)
            history, place = self._state()
            if history is None and place is None:
                if posted:
                    raise ServerLost(f"{self._connection.address} forgot the pair: it was restarted or cleared.")
                self._post()
                posted = True
            elif history is None:
                posted = True
                time.sleep(POLL_SECONDS)
            elif _succeeded(history):
                made = self._download(history["outputs"].get(self._pair.recipe.result) or {}, folder)
                if made is not None:
                    return made
                if posted:
                    reason = f"{self._connection.address} finished without a result; look into its log."
                    raise RequestRefused(reason, {})
                number += 1  # of an earlier batch, whose file is gone
            else:
                if posted:
                    raise _reason(history, self._connection.address)
                number += 1  # failed before
        raise ServerLost(f"The history of {self._connection.address} has {number} failed attempts; clear it.")

    def stop(self) -> None:
        """Ask the server to stop the prompt, where it answers."""
        if self._prompt_id:
            try:
                self._server.stop(self._prompt_id)
            except InputError:
                return

    def _state(self) -> tuple[dict[str, Any] | None, int | None]:
        """`Server.state`, with patience."""
        return patiently(lambda: self._server.state(self._prompt_id), self._host)

    def _post(self) -> None:
        """Upload what is missing, and post the prompt.

        Raises:
            InputError: the server refuses the prompt.
            ServerLost: its answer was lost, and its queue does not hold the prompt.
        """
        graph = self._pair.recipe.graph
        prompt = self._pair.prompt()
        for name, (key, entry) in self._pair.recipe.loaders.items():
            prompt[key]["inputs"][entry] = self._upload(self._pair.files[name], self._pair.hashes[name])
        result = prompt[self._pair.recipe.result]
        result["inputs"] = {**result["inputs"], "filename_prefix": f"{FOLDER}/{self._prompt_id}/result"}
        try:
            queued = self._connection.json("/prompt", {"prompt": prompt, "prompt_id": self._prompt_id})
        except RequestRefused as refused:
            problems = node_errors(refused.answer, graph)
            if problems:
                raise GraphRefused(problems) from refused
            self._settle(refused)
        except Unreachable as lost:
            self._settle(lost)
        else:
            if queued.get("prompt_id") != self._prompt_id:
                raise ServerLost(f"{self._connection.address} runs a ComfyUI that names prompts itself; update it.")
            problems = node_errors(queued, graph)
            if problems:
                self._server.stop(self._prompt_id)
                raise GraphRefused(problems)

    def _settle(self, lost: InputError) -> None:
        """Wait for the effect of a prompt whose answer was lost; raises ServerLost where it has none."""
        until = time.monotonic() + SETTLING_SECONDS
        while self._state() == (None, None):
            if time.monotonic() > until:
                raise ServerLost(str(lost)) from lost
            time.sleep(POLL_SECONDS)

    def _upload(self, file: Path, sha256: str) -> str:
        """Upload a file under the name of its content, unless it is there; its name there."""
        name = input_name(file, sha256)
        query = {"filename": name, "subfolder": FOLDER, "type": "input"}
        if self._connection.size("/view", query) != file.stat().st_size:
            self._connection.upload(file, name, FOLDER)
        return f"{FOLDER}/{name}"

    def _download(self, shown: Mapping[str, Any], folder: Path) -> Path | None:
        """The result: a file, or a folder of several; None where the server has none."""
        inside = folder / "out"
        inside.mkdir(exist_ok=True)
        for entry in shown_files(shown):
            name = Path(str(entry["filename"]).replace("\\", "/")).name
            own = entry.get("type") == "output" and entry.get("subfolder") == f"{FOLDER}/{self._prompt_id}"
            if not own or Path(name).suffix not in RESULT_SUFFIXES:
                continue
            query = {key: str(entry.get(key, "")) for key in ("filename", "subfolder", "type")}
            try:
                save(self._connection.download("/view", query), inside / name, self._host)
            except RequestRefused:
                return None
        files = sorted(inside.iterdir())
        return (files[0] if len(files) == 1 else inside) if files else None


def _succeeded(history: Mapping[str, Any]) -> bool:
    return (history.get("status") or {}).get("status_str") != "error"


def _reason(history: Mapping[str, Any], address: str) -> InputError:
    """Why a prompt failed: refused input fails each time, anything else may not."""
    for event, details in history["status"].get("messages", ()):
        if event == "execution_error":
            text = f"{details.get('node_type')} on {address}: {str(details.get('exception_message')).strip()}"
            refused = str(details.get("exception_type")).endswith("InputError")
            return InputError(text) if refused else RequestRefused(text, {})
    return RequestRefused(f"{address} stopped the prompt; look into its log.", {})
