"""Download the released files from the model hub: resumed, with progress, checked against the hub's hashes."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote

from ... import host
from ...errors import InputError
from ...weights import MEGABYTE, sha256
from . import autoencoder
from .layout import BFM, RELEASED_FILES

# Ours: huggingface_hub 2.4 resumes within a run only. It names each temporary file by a uuid and removes it on failure
# (`file_download._download_to_tmp_and_move`), and checks a plain HTTP download by its size alone.

HUB = "https://huggingface.co"  # where HF_ENDPOINT names no other
REPOSITORY = "MIMAFace/MIMAFace"
VAE_REPOSITORY = f"stabilityai/{autoencoder.NAME}"
NOTICE = (
    "Before you download: the reference repository states no licence for its weights, and the Basel Face Model (BFM09) "
    "among them is for research only. sd-vae-ft-mse is under the MIT licence."
)
TIMEOUT_SECONDS = 30  # without a byte
MAX_TRIES = 5  # in a row without a byte
WAIT_SECONDS = 2.0  # between tries
ABSENT_CODES = (401, 404, 410)  # the hub answers 401 where a repository does not exist or is not public
TRANSIENT_CODES = (408, 425, 429, 500, 502, 503, 504)  # worth another try
PART = ".part"  # suffix of a file that has not wholly arrived; it stays for the next run
LINKED_SIZE, LINKED_TAG = "X-Linked-Size", "X-Linked-Etag"


@dataclass(frozen=True)
class HubFile:
    """A file as the hub states it.

    Attributes:
        size: in bytes; None where it is not stated.
        digest: SHA-256, or Git's SHA-1 of small files; empty where it is not stated.
    """

    size: int | None = None
    digest: str = ""

    def matches(self, path: Path) -> bool:
        """True where a local file has the stated size and digest."""
        if self.size is not None and path.stat().st_size != self.size:
            return False
        if re.fullmatch("[0-9a-f]{64}", self.digest):
            return sha256(path) == self.digest
        if re.fullmatch("[0-9a-f]{40}", self.digest):
            content = path.read_bytes()
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == self.digest
        return True


class Absent(Exception):
    """The hub has no such file."""


def download_released(folder: Path, with_vae: bool = True, wait: float = WAIT_SECONDS) -> list[Path]:
    """Download the released files that are missing or cut short; files of the right size are left as they are.

    Args:
        folder: the released folder, created when absent.
        with_vae: download the autoencoder too, into a sub-folder.
        wait: seconds between tries.

    Returns:
        The files that were downloaded.

    Raises:
        InputError: a file cannot be downloaded or written, or is not the one that the hub states.
        Cancelled: the user has asked to stop; what has arrived is kept for the next run.
    """
    fetched: list[Path] = []
    for repository, root, alternatives, needed in _downloads(folder, with_vae):
        for place in alternatives:
            try:
                if fetch(_address(repository, place), root / place, wait):
                    fetched.append(root / place)
                break
            except Absent:
                continue
        else:
            if needed:
                raise InputError(
                    f"{_address(repository, alternatives[0])} is not there; see docs/released_weights.md for the file."
                )
    return fetched


def _downloads(folder: Path, with_vae: bool) -> Iterator[tuple[str, Path, tuple[str, ...], bool]]:
    """Of each file the repository, the local folder of its root, its possible places, and True where it is needed."""
    for name, file in RELEASED_FILES.items():
        yield REPOSITORY, folder, file.places, not file.image
        if name.endswith("vision"):
            config = file.places[0].rpartition("/")[0] + "/config.json"
            yield REPOSITORY, folder, (config,), not file.image
    yield REPOSITORY, folder, (BFM,), True
    if with_vae:
        for places in (("config.json",), autoencoder.FILES):
            yield VAE_REPOSITORY, folder / autoencoder.NAME, places, True


def _address(repository: str, place: str) -> str:
    """The address of a file of a repository."""
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    return f"{hub}/{repository}/resolve/main/{quote(place)}"


def fetch(url: str, path: Path, wait: float = WAIT_SECONDS) -> bool:
    """Download a file unless it is there; it appears under its name only when complete and verified.

    Args:
        url: an address of the hub.
        path: the file; its folder is created. An earlier download that was interrupted, beside it, is resumed.
        wait: seconds between tries.

    Returns:
        True where it was downloaded, False where it was there.

    Raises:
        Absent: there is no such file.
        InputError: it cannot be downloaded or written, or is not the one that the hub states.
        Cancelled: the user has asked to stop.
    """
    part, failures = path.with_name(path.name + PART), 0
    while True:
        begin = part.stat().st_size if part.is_file() else 0
        try:
            stated = _receive(url, path, part)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            code = getattr(error, "code", None)
            if code in ABSENT_CODES:
                raise Absent(url) from error
            if path.is_file():
                return False  # unreachable, but there
            arrived = part.stat().st_size if part.is_file() else 0
            failures = failures + 1 if arrived <= begin else 1
            if failures >= MAX_TRIES or (code is not None and code not in TRANSIENT_CODES):
                raise InputError(
                    f"{url} cannot be fetched ({error}); look after the connection and run it again, what has arrived "
                    "is kept."
                ) from error
            time.sleep(wait)
            continue
        if stated is None:
            return False
        if stated.matches(part):
            os.replace(part, path)
            return True
        part.unlink()
        if begin == 0:
            raise InputError(
                f"What came from {url} is not the file that the hub states (its size or hash differs); try again later."
            )


def _receive(url: str, path: Path, part: Path) -> HubFile | None:
    """Download the rest of `part`; None where `path` is there in its right size.

    Raises:
        URLError, HTTPException, ConnectionError, TimeoutError: the connection fails or breaks.
        InputError: the disk is full or not writable.
    """
    begin = part.stat().st_size if part.is_file() and not path.is_file() else 0
    redirects = _Redirects()
    headers = {"User-Agent": "mimaface", **({"Range": f"bytes={begin}-"} if begin else {})}
    opener = urllib.request.build_opener(redirects)
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        # The partial file is complete, or longer than the hub's.
        if error.code == 416 and begin:
            return redirects.linked
        raise
    with response:
        stated = _stated(response, redirects.linked, begin)
        if path.is_file() and stated.size in (None, path.stat().st_size):
            return None
        resumed = response.status == 206
        try:
            if path.is_file():  # of another size: cut short, as a rule
                os.replace(path, part)
                return _receive(url, path, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            missing = (stated.size or 0) - (begin if resumed else 0)
            if missing > shutil.disk_usage(path.parent).free:
                raise InputError(f"{path} needs {missing / 1e9:.1f} GB more than the disk has; make room.")
            with part.open("ab" if resumed else "wb") as file:
                _copy(response, file, stated, path.name)
        except ConnectionError:
            raise
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); make room or choose another folder, then run it again."
            ) from error
    if stated.size is not None and part.stat().st_size < stated.size:
        raise ConnectionError("the connection broke off")
    return stated


def _copy(response: http.client.HTTPResponse, file: BinaryIO, stated: HubFile, name: str) -> None:
    """Append the response to a file; ConnectionError when it breaks off."""
    total = (stated.size or 0) // MEGABYTE
    with host.current().progress(total, f"fetching {name}, MB") as progress:
        while True:
            progress.update(file.tell() // MEGABYTE - progress.done)
            try:
                block = response.read(MEGABYTE)
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionError(error) from error
            if not block:
                return
            file.write(block)


def _stated(response: http.client.HTTPResponse, linked: HubFile, begin: int) -> HubFile:
    """The whole file as a response states it; the hub's own statement, before a redirect, takes precedence."""
    size, length = linked.size, response.headers.get("Content-Length")
    if size is None and length is not None:
        size = int(length) + (begin if response.status == 206 else 0)
    return HubFile(size, linked.digest or _digest(response.headers.get("ETag")))


def _digest(tag: str | None) -> str:
    return (tag or "").removeprefix("W/").strip('"').lower()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to the storage of a large file, and keeps the hub's own statement of it."""

    linked = HubFile()

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if LINKED_SIZE in headers or LINKED_TAG in headers:
            size = headers.get(LINKED_SIZE)
            self.linked = HubFile(int(size) if size else None, _digest(headers.get(LINKED_TAG)))
        return super().redirect_request(req, fp, code, msg, headers, newurl)
