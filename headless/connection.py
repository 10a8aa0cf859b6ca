"""HTTP to a ComfyUI server: JSON, streamed uploads and downloads; every failure is one sentence.

httpx is imported when a connection is made, so that runs without a server do not pay for it.
"""

from __future__ import annotations

import json
import math
import mimetypes
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import parse_json, shown
from ..mimaface_core.host import Host, Progress

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

BLOCK_BYTES = 1 << 20
TOKEN = "MIMAFACE_SERVER_TOKEN"
TIMEOUT_SECONDS = 60  # without any data; a server that loads a model may be quiet for a while
ERROR_CHARACTERS = 300  # of a refusal that is no JSON


class Unreachable(InputError):
    """The server does not answer."""


@contextmanager
def understood(address: str) -> Iterator[None]:
    """A context that reads a server's answer: one of another form than ComfyUI's is refused.

    Args:
        address: of the server, for the message.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{address} answers otherwise than a ComfyUI ({type(error).__name__}: {shown(error)}); check --server, or"
            " update ComfyUI there."
        ) from error


class RequestRefused(InputError):
    """The server refuses a request; `answer` is its JSON object, empty where there is none."""

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class Connection:
    """Requests to one server, without proxies; a context that closes it at its end.

    Where the environment variable TOKEN is set, it goes with every request, for servers that ask for one.

    Every method raises Unreachable where the server does not answer, RequestRefused where it refuses the request.

    Args:
        address: of the server; `http://` is assumed where it names no scheme.
        host: shows the progress of uploads.
        timeout: seconds without any data, after which the server counts as unreachable.
    """

    def __init__(self, address: str, host: Host, timeout: float = TIMEOUT_SECONDS) -> None:
        import httpx

        self.address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self._host = host
        self._client = httpx.Client(
            timeout=timeout,
            headers={"Authorization": f"Bearer {token}"} if (token := os.environ.get(TOKEN)) else {},
            trust_env=False,
            verify=ssl.create_default_context(),  # the system's certificates
            follow_redirects=True,
            # A new connection for each request: an idle one would fail where the server has closed it meanwhile.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def json(
        self, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that the server answers: to a GET, or to a POST of `body` with further headers."""
        if body is None:
            method, request = "GET", {}
        else:
            content = json.dumps(body).encode()
            heads = {"Content-Type": "application/json", **(headers or {})}
            method, request = "POST", {"content": content, "headers": heads}
        with self._answer(method, path, **request) as answer:
            return self._object(answer)

    def upload(self, file: Path, name: str | None = None, folder: str = "") -> dict[str, Any]:
        """Stream a file into the server's input folder; its blocks are counted, and the user can cancel.

        Args:
            file: the file.
            name: its name there, where it replaces another file; a free one like its own when None.
            folder: below the input folder.

        Returns:
            The server's answer: `name` and `subfolder` of the file there.

        Raises:
            InputError: the file cannot be read.
        """
        fields = {"subfolder": folder, "overwrite": str(name is not None).lower()}
        return self.send_file("/upload/image", "image", file, fields, name)

    def send_file(
        self, path: str, part: str, file: Path, fields: Mapping[str, str], name: str | None = None
    ) -> dict[str, Any]:
        """Stream a file in a form.

        Args:
            path: of the request.
            part: name of the file's part.
            file: the file.
            fields: the other parts.
            name: that is told of the file; its own when None.

        Returns:
            The server's answer.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            content = open(file, "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise InputError(f"'{file}' cannot be read ({error.strerror}); choose another file.") from error
        given, kind = (
            (name or file.name).replace('"', "_"),
            mimetypes.guess_type(file.name)[0] or "application/octet-stream",
        )
        with content:
            blocks = math.ceil(os.fstat(content.fileno()).st_size / BLOCK_BYTES)
            with self._host.progress(blocks, f"uploading {file.name}, MB") as progress:
                form = {part: (given, _CountedFile(content, progress), kind)}
                with self._answer("POST", path, files=form, data=dict(fields)) as answer:
                    return self._object(answer)

    def size(self, path: str, query: Mapping[str, str]) -> int | None:
        """Bytes of a file; None where the server has none."""
        try:
            with self._answer("HEAD", path, params=query) as answer:
                return int(answer.headers.get("Content-Length", -1))
        except RequestRefused:
            return None

    @contextmanager
    def download(self, path: str, query: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """A context with the blocks of a file."""
        with self._answer("GET", path, params=query) as answer:
            yield self._blocks(answer)

    @contextmanager
    def _answer(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        """The head of an answer, whose content is yet to be read."""
        import httpx

        try:
            answer = self._client.send(self._client.build_request(method, self.address + path, **request), stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._unreachable(error) from error
        try:
            if not answer.is_success:
                raise self._refused(path, answer)
            yield answer
        finally:
            answer.close()

    def _blocks(self, answer: httpx.Response) -> Iterator[bytes]:
        """The content of an answer, whole. Raises Unreachable where it breaks off."""
        import httpx

        try:
            yield from answer.iter_bytes(BLOCK_BYTES)
        except httpx.RemoteProtocolError as error:
            raise self._unreachable("its answer broke off") from error
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        content = b"".join(self._blocks(answer))
        try:
            answered = parse_json(content.decode()) if content else {}
        except ValueError as error:
            raise InputError(f"{self.address} is no ComfyUI server: its answer is no JSON; check --server.") from error
        if not isinstance(answered, dict):
            raise InputError(f"{self.address} is no ComfyUI server: its answer is no JSON object; check --server.")
        return answered

    def _unreachable(self, reason: object) -> Unreachable:
        named = str(reason) or type(reason).__name__
        return Unreachable(f"The ComfyUI server {self.address} does not answer ({named}); start it or check --server.")

    def _refused(self, path: str, answer: httpx.Response) -> RequestRefused:
        """The refusal of a request, in the server's words."""
        text = b"".join(self._blocks(answer)).decode("utf-8", "replace")
        try:
            content = parse_json(text)
        except ValueError:
            content = None
        content = content if isinstance(content, dict) else {}
        error = content.get("error")
        reason = (
            f"{error.get('message')} {error.get('details', '')}" if isinstance(error, dict) else text[:ERROR_CHARACTERS]
        )
        if answer.status_code == 413:
            reason = "the file is larger than it takes, which --max-upload-size sets where it is started"
        return RequestRefused(
            f"The server {self.address} refused {path} with status {answer.status_code}:"
            f" {reason.strip() or answer.reason_phrase}; look into its log.",
            content,
        )


class _CountedFile:
    """A file whose blocks are counted as they are read, which stops where the user has cancelled."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress

    def fileno(self) -> int:
        """The descriptor, by which httpx finds the size."""
        return self._file.fileno()

    def seek(self, offset: int) -> None:
        """Start again, where the server redirects the upload."""
        self._file.seek(offset)
        self._progress.done = 0

    def read(self, _: int = -1) -> bytes:
        """The next block, whatever the size that httpx asks for: large writes are faster."""
        content = self._file.read(BLOCK_BYTES)
        if content:
            self._progress.update()
        return content
