"""Fetching the published files from the model hub: with resume, progress and a check of every file's hash.

huggingface_hub could do part of it, but its downloads start anew after an interruption (each into a temporary file
of its own, removed on failure) and are not held against the hash that the hub states.
"""

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
from typing import BinaryIO
from urllib.parse import quote

from ... import host
from ...errors import InputError
from ...weights import MEGABYTE, sha256
from . import autoencoder
from .layout import BFM, SOURCES

HUB = "https://huggingface.co"  # another one where HF_ENDPOINT says so
REPOSITORY = "MIMAFace/MIMAFace"
VAE_REPOSITORY = f"stabilityai/{autoencoder.NAME}"
NOTICE = (
    "Before you download: the reference repository states no licence for its weights, and the Basel Face Model (BFM09) "
    "among them is for research only. sd-vae-ft-mse is under the MIT licence."
)
TIMEOUT = 30  # seconds without a byte
TRIES = 5  # in a row without a byte
WAIT = 2.0  # seconds between them
ABSENT = (401, 404, 410)  # the hub answers 401 where a repository does not exist or is not public
PASSING = (408, 425, 429, 500, 502, 503, 504)  # worth another try
PART = ".part"  # suffix of a file that has not wholly arrived
LINKED_SIZE, LINKED_TAG = "X-Linked-Size", "X-Linked-Etag"


@dataclass(frozen=True)
class Offer:
    """What the hub states of a file: size in bytes and digest (SHA-256, or Git's SHA-1 of small files)."""

    size: int | None = None
    digest: str = ""

    def holds(self, path: Path) -> bool:
        """Whether a file is the one that is offered, as far as the hub states it."""
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


def download_released(folder: Path, with_vae: bool = True, wait: float = WAIT) -> list[Path]:
    """Fetch what is missing or cut short of the published folder; files of the right size are left as they are.

    Args:
        folder: made when absent.
        with_vae: whether the autoencoder is fetched too, into a sub-folder.
        wait: seconds between tries.

    Returns:
        The files that were fetched.

    Raises:
        InputError: a file cannot be had or written, or is not what the hub states.
        Cancelled: the user has asked to stop; what has arrived is kept for the next time.
    """
    fetched: list[Path] = []
    for repository, root, alternatives, needed in _wanted(folder, with_vae):
        for place in alternatives:
            try:
                if fetch(_address(repository, place), root / place, wait):
                    fetched.append(root / place)
                break
            except Absent:
                continue
        else:
            if needed:
                raise InputError(f"{_address(repository, alternatives[0])} is not there; see the README for the file.")
    return fetched


def _wanted(folder: Path, with_vae: bool) -> Iterator[tuple[str, Path, tuple[str, ...], bool]]:
    """Repository, the folder that stands for its root, the places where a file may be, and whether it must be."""
    for name, source in SOURCES.items():
        yield REPOSITORY, folder, source.places, not source.image
        if name.endswith("vision"):
            config = source.places[0].rpartition("/")[0] + "/config.json"
            yield REPOSITORY, folder, (config,), not source.image
    yield REPOSITORY, folder, (BFM,), True
    if with_vae:
        for places in (("config.json",), autoencoder.FILES):
            yield VAE_REPOSITORY, folder / autoencoder.NAME, places, True


def _address(repository: str, place: str) -> str:
    """Where a file of a repository is fetched from."""
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    return f"{hub}/{repository}/resolve/main/{quote(place)}"


def fetch(url: str, path: Path, wait: float = WAIT) -> bool:
    """Fetch a file unless it is there already; it appears under its name only when complete and verified.

    Args:
        url: an address of the hub.
        path: the file; its folder is made. What has arrived of it lies beside it, and is gone on with.
        wait: seconds between tries.

    Returns:
        Whether it had to be fetched.

    Raises:
        Absent: there is no such file.
        InputError: it cannot be had or written, or is not what the hub states.
        Cancelled: the user has asked to stop.
    """
    part, failures = path.with_name(path.name + PART), 0
    while True:
        begin = part.stat().st_size if part.is_file() else 0
        try:
            offer = _receive(url, path, part)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            code = getattr(error, "code", None)
            if code in ABSENT:
                raise Absent(url) from error
            if path.is_file():
                return False  # unreachable, but there
            arrived = part.stat().st_size if part.is_file() else 0
            failures = failures + 1 if arrived <= begin else 1
            if failures >= TRIES or (code is not None and code not in PASSING):
                raise InputError(
                    f"{url} cannot be fetched ({error}); look after the connection and run it again, what has arrived "
                    "is kept."
                ) from error
            time.sleep(wait)
            continue
        if offer is None:
            return False
        if offer.holds(part):
            os.replace(part, path)
            return True
        part.unlink()
        if begin == 0:
            raise InputError(
                f"What came from {url} is not the file that the hub states (its size or hash differs); try again later."
            )


def _receive(url: str, path: Path, part: Path) -> Offer | None:
    """Bring `part` to its end, from where it ends now; None where `path` is there in its right size.

    Raises:
        URLError, HTTPException, ConnectionError, TimeoutError: the connection fails or breaks.
        InputError: the disk is full or not writable.
    """
    begin = part.stat().st_size if part.is_file() and not path.is_file() else 0
    redirects = _Redirects()
    headers = {"User-Agent": "mimaface", **({"Range": f"bytes={begin}-"} if begin else {})}
    opener = urllib.request.build_opener(redirects)
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        # Nothing is left to be sent, or more is here than there is.
        if error.code == 416 and begin:
            return redirects.linked
        raise
    with response:
        offer = _offer(response, redirects.linked, begin)
        if path.is_file() and offer.size in (None, path.stat().st_size):
            return None
        resumed = response.status == 206
        try:
            if path.is_file():  # of another size: cut short, as a rule
                os.replace(path, part)
                return _receive(url, path, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            missing = (offer.size or 0) - (begin if resumed else 0)
            if missing > shutil.disk_usage(path.parent).free:
                raise InputError(f"{path} needs {missing / 1e9:.1f} GB more than the disk has; make room.")
            with part.open("ab" if resumed else "wb") as file:
                _pour(response, file, offer, path.name)
        except ConnectionError:
            raise
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); make room or choose another folder, then run it again."
            ) from error
    if offer.size is not None and part.stat().st_size < offer.size:
        raise ConnectionError("the connection broke off")
    return offer


def _pour(response: http.client.HTTPResponse, file: BinaryIO, offer: Offer, name: str) -> None:
    """Write what comes to the end of a file; ConnectionError when it breaks off."""
    total = (offer.size or 0) // MEGABYTE
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


def _offer(response: http.client.HTTPResponse, linked: Offer, begin: int) -> Offer:
    """What an answer says of the whole file; what the hub said before it sent us on counts more."""
    size, length = linked.size, response.headers.get("Content-Length")
    if size is None and length is not None:
        size = int(length) + (begin if response.status == 206 else 0)
    return Offer(size, linked.digest or _digest(response.headers.get("ETag")))


def _digest(tag: str | None) -> str:
    return (tag or "").removeprefix("W/").strip('"').lower()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows the hub to where a large file is stored, and remembers what the hub itself says of it."""

    linked = Offer()

    def redirect_request(self, request, file, code, message, headers, address):
        if LINKED_SIZE in headers or LINKED_TAG in headers:
            size = headers.get(LINKED_SIZE)
            self.linked = Offer(int(size) if size else None, _digest(headers.get(LINKED_TAG)))
        return super().redirect_request(request, file, code, message, headers, address)
