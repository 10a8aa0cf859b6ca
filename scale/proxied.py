"""One pair on a ComfyUI behind the Comfy API v2: jobs with idempotency keys, inputs and results as assets."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..headless.client import node_errors
from ..headless.connection import Connection, RequestRefused, Unreachable
from ..headless.problems import GraphRefused
from ..mimaface_core.errors import InputError
from ..mimaface_core.terminal import TerminalHost
from . import prompts
from .pairs import Pair
from .prompts import FOLDER, ServerLost, attempt_id, input_name, patiently, save
from .recipe import RESULT_SUFFIXES

JOBS, ASSETS = "/api/v2/jobs", "/api/v2/assets"
MOST_LISTED = 100  # the API gives no more; of the jobs among which one is looked for whose answer was lost
_OVER = ("succeeded", "failed", "canceled")


class NodesMissing(ServerLost):
    """A server lacks nodes, which shows when a pair is posted; one sentence."""


class JobRun:
    """One pair on one server.

    A job's idempotency key and label come from its pair. So it is never posted twice: where its answer was lost, or an
    earlier batch has posted it, the key is refused, and the job is found by its label.

    Args:
        connection: to the server.
        host: can cancel.
        pair: the pair.
        assets: ids of the inputs that were uploaded to this server, by SHA-256; changed.
    """

    def __init__(
        self, connection: Connection, host: TerminalHost, pair: Pair, assets: MutableMapping[str, str]
    ) -> None:
        self._connection, self._host, self._pair, self._assets = connection, host, pair, assets
        self._job = ""  # its id there

    def result(self, folder: Path) -> Path:
        """Run the pair unless the server has done so, and download its result into `folder`.

        Raises:
            InputError: the server refuses the pair, or fails with it.
            ServerLost: the server stopped answering, or forgot the pair.
        """
        for number in range(prompts.MOST_ATTEMPTS):
            posted = self._post(attempt_id(self._pair, number))
            if not self._job:
                continue  # its key is used, and the job gone
            job = self._followed()
            if job["status"] == "succeeded":
                made = self._download(job, folder)
                if made is not None:
                    return made
                if posted:
                    reason = f"{self._connection.address} finished without a result; look into its log."
                    raise RequestRefused(reason, {})
            elif posted:
                raise self._reason(job)
        raise ServerLost(f"{self._connection.address} has {prompts.MOST_ATTEMPTS} failed attempts; clear its history.")

    def stop(self) -> None:
        """Ask the server to stop the job, where it answers."""
        if self._job:
            try:
                self._connection.json(f"{JOBS}/{self._job}/cancel", {})
            except InputError:
                return

    def _post(self, key: str) -> bool:
        """Post the job unless it was posted before; whether it is new.

        Raises:
            InputError: the server refuses it.
            ServerLost: it does not answer, or lacks nodes.
        """
        body = {"workflow": self._workflow(key), "metadata": key}
        try:
            answer = patiently(lambda: self._submitted(body, key), self._host)
        except InputError as refused:
            if not isinstance(refused, _Refused):
                raise
            error = refused.answer.get("error") or {}
            if error.get("code") == "missing_asset" and self._assets:
                self._assets.clear()  # the server was restarted
                return self._post(key)
            problems = node_errors(error.get("details") or {}, self._pair.recipe.graph)
            if problems:
                raise GraphRefused(problems) from refused
            if error.get("code") == "invalid_workflow":
                raise NodesMissing(
                    f"{self._connection.address} refuses the graph ({error.get('message')}); install this extension"
                    " there."
                ) from refused
            raise RequestRefused(str(refused), refused.answer) from refused
        if answer is not None:
            self._job = str(answer["id"])
            return True
        self._job = self._found(key)
        return False

    def _submitted(self, body: dict[str, Any], key: str) -> dict[str, Any] | None:
        """The new job; None where its key has been used."""
        try:
            return self._connection.json(JOBS, body, {"Idempotency-Key": key})
        except RequestRefused as refused:
            code = (refused.answer.get("error") or {}).get("code")
            if code == "idempotency_key_reuse":
                return None
            if code in ("missing_asset", "invalid_workflow", "invalid_request"):
                raise _Refused(str(refused), refused.answer) from refused
            raise

    def _found(self, key: str) -> str:
        """The id of the job with a label; "" where the server lists none soon."""
        until = time.monotonic() + prompts.SETTLING_SECONDS
        while True:
            listed = patiently(lambda: self._connection.json(f"{JOBS}?limit={MOST_LISTED}"), self._host)
            for job in listed["jobs"]:
                if job.get("metadata") == key and job["status"] != "expired":
                    return str(job["id"])
            if time.monotonic() > until:
                return ""
            time.sleep(prompts.POLL_SECONDS)

    def _followed(self) -> dict[str, Any]:
        """The job when it is over. Raises ServerLost where the server forgot it."""
        while True:
            job = patiently(lambda: self._connection.json(f"{JOBS}/{self._job}"), self._host)
            if job["status"] in _OVER:
                return job
            if job["status"] == "expired":
                raise ServerLost(f"{self._connection.address} forgot the pair: it was restarted or cleared.")
            time.sleep(prompts.POLL_SECONDS)

    def _workflow(self, key: str) -> dict[str, Any]:
        """The graph with its inputs as assets, and a place of its own for the result."""
        prompt = self._pair.prompt()
        for name, (node, entry) in self._pair.recipe.loaders.items():
            asset = {"id": self._upload(self._pair.files[name], self._pair.hashes[name])}
            prompt[node]["inputs"][entry] = {"__type": "core/ASSET", "info": asset}
        result = prompt[self._pair.recipe.result]
        result["inputs"] = {**result["inputs"], "filename_prefix": f"{FOLDER}/{key}/result"}
        return prompt

    def _upload(self, file: Path, sha256: str) -> str:
        """The id of an input; it is uploaded once a batch. Raises ServerLost where the server does not answer."""
        if sha256 not in self._assets:
            fields = {"file_path": f"input/{FOLDER}/{input_name(file, sha256)}"}
            try:
                self._assets[sha256] = str(self._connection.send_file(ASSETS, "file", file, fields)["id"])
            except Unreachable as lost:
                raise ServerLost(str(lost)) from lost
        return self._assets[sha256]

    def _download(self, job: dict[str, Any], folder: Path) -> Path | None:
        """The result: a file, or a folder of several; None where the server has none."""
        inside = folder / "out"
        inside.mkdir(exist_ok=True)
        for entry in job["outputs"]:
            name = Path(str(entry["name"]).replace("\\", "/")).name
            if entry["node_id"] != self._pair.recipe.result or Path(name).suffix not in RESULT_SUFFIXES:
                continue
            try:
                content = f"{ASSETS}/{quote(str(entry['id']))}/content"
                save(self._connection.download(content, {}), inside / name, self._host)
            except RequestRefused:
                return None
        files = sorted(inside.iterdir())
        return (files[0] if len(files) == 1 else inside) if files else None

    def _reason(self, job: dict[str, Any]) -> RequestRefused:
        """Why a job failed. The API does not tell refused input from other errors, so it is tried again."""
        error = job.get("error") or {}
        if job["status"] == "canceled" or not error:
            return RequestRefused(f"{self._connection.address} stopped the job; look into its log.", {})
        text = f"{error.get('class_type')} on {self._connection.address}: {str(error.get('message')).strip()}"
        return RequestRefused(text, {})


class _Refused(InputError):
    """A definite refusal, which asking again does not change.

    Attributes:
        answer: of the server.
    """

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer
