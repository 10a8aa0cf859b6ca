"""ComfyUI servers as workers: inputs uploaded once, prompts posted once, found again after an answer is lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..headless.client import Server, node_errors
from ..headless.connection import Connection, RequestRefused, Unreachable
from ..headless.files import count_frames, shown_files
from ..headless.problems import GraphRefused
from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.media.image import DAMAGED
from ..mimaface_core.terminal import TerminalHost
from .crew import Answer
from .hashes import digest, files_of
from .pairs import Pair
from .recipe import RESULT_SUFFIXES

FOLDER = "mimaface-batch"  # in the input and output folders of a server
ANSWER_SECONDS = 60.0  # until a request counts as lost
POLL_SECONDS = 0.5  # between two looks at the queue
SETTLING_SECONDS = 5.0  # until a request whose answer was lost has had its effect, if it will have one
PATIENCE_SECONDS = 60.0  # until a server that does not answer counts as dead
ABSENCE_SECONDS = 3600.0  # that one which has died is waited for
MOST_ATTEMPTS = 100  # at a pair that a history may hold
ENDING_SECONDS = 10.0  # for a server to stop its prompt at the end
_NAMESPACE = uuid.UUID("6d1fa0e4-6b0c-5a43-9a6c-2d6d8f6f0b7e")  # of prompt ids


class ServerLost(Exception):
    """A server died with its pair, or lost it; one sentence."""


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
                    lacking = sorted(set(self._needed) - connection.json("/object_info").keys())
                break
            except (Unreachable, RequestRefused) as error:
                if time.monotonic() > until:
                    raise ServerLost(str(error)) from error
                if not silent:
                    self._say(f"{error} It is asked again.")
                silent = True
                time.sleep(POLL_SECONDS)
        if lacking:
            named = ", ".join(lacking)
            return {"died": f"The ComfyUI server {self.address} has no node {named}; install this extension there."}
        return {"ready": True}

    def _run(self, pair: Pair, scratch: Path) -> Answer:
        with Connection(self.address, self._host, ANSWER_SECONDS) as connection:
            run = _Run(Server(connection, self._host, scratch), self._host, pair)
            started = time.monotonic()
            try:
                made = run.result(scratch)
            except Cancelled:
                run.stop()
                raise
        if not _whole(made):
            raise RequestRefused(f"{self.address} sent a file that cannot be read; look into its log.", {})
        told = {"sha256": digest(made), "frames": count_frames([made]), "server": self.address}
        return {"done": {"file": str(made), "seconds": round(time.monotonic() - started, 3), **told}}


class _Quiet(TerminalHost):
    """A host that shows nothing: the batch has a line of its own."""

    def say(self, text: str) -> None:
        """Print nothing."""


class _Run:
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
            self._prompt_id = str(uuid.uuid5(_NAMESPACE, f"{self._pair.name}\n{self._pair.fingerprint}\n{number}"))
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
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._host.check_cancelled()
            try:
                return self._server.state(self._prompt_id)
            except (Unreachable, RequestRefused) as error:
                if time.monotonic() > until:
                    raise ServerLost(str(error)) from error
                time.sleep(POLL_SECONDS)

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
        name = f"{sha256[:32]}{file.suffix.lower()}"
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
                with self._connection.download("/view", query) as blocks, open(inside / name, "wb") as file:
                    for block in blocks:
                        self._host.check_cancelled()
                        file.write(block)
            except RequestRefused:
                return None
        files = sorted(inside.iterdir())
        return (files[0] if len(files) == 1 else inside) if files else None


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
