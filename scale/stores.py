"""Addresses of object stores (s3://, gs://, …) by fsspec, and files that are fetched from them once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import replacing
from .hashes import digest_of, files_of

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class StoreFailed(InputError):
    """A store refuses or does not answer, which may go away by itself."""


def is_url(text: str) -> bool:
    """Whether a text names a place of an object store, and not a path."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.isascii() and scheme.isalnum()


def cache_folder() -> Path:
    """The user's folder for what was fetched, and for batches whose results go to an object store."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mimaface"


def batch_folder(output: str) -> Path:
    """The folder here of a batch whose results go to a path or an address."""
    return cache_folder() / "batches" / digest_of([output])[:16] if is_url(output) else Path(output)


def fetch(url: str) -> Path:
    """The file at an address, in the cache; it is fetched where it is new or has changed.

    Raises:
        InputError: nothing is there, the store does not answer, or the cache cannot be written.
    """
    fs, path = open_store(url)
    with answering(url):
        version = fs.ukey(path)
    name = digest_of([url, version])[:32] + PurePosixPath(path).suffix.lower()
    file = cache_folder() / "inputs" / name
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as part, answering(url):
                fs.get_file(path, str(part))
        except OSError as error:
            raise InputError(
                f"{file.parent} cannot be written ({error.strerror}); make room, or set XDG_CACHE_HOME."
            ) from error
    return file


def open_store(url: str) -> tuple[AbstractFileSystem, str]:
    """The store of an address, and the path there.

    Raises:
        InputError: fsspec, or its part for this kind of store, is missing, or the address cannot be read.
    """
    try:
        import fsspec

        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(f'{url}: {error}; install what it needs: pip install "mimaface[cloud]".') from error
    except ValueError as error:
        raise InputError(f"{url} cannot be read as an address ({error}); write it as s3://BUCKET/PATH.") from error
    return fs, path


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Raises InputError for whatever a store's library raises inside: each has errors of its own."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{url} was not found; check the address.") from error
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreFailed(
            f"{url}: the store refuses or does not answer ({reason}); check address and access."
        ) from error


def with_folder(fs: AbstractFileSystem, path: str, write: Callable[[str], object]) -> None:
    """Write to a path; in stores that have folders, the one that it lies in is made where it is missing."""
    try:
        write(path)
    except FileNotFoundError:
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        write(path)


def put(made: Path, url: str) -> None:
    """Put a file, or the files of a folder, at an address. Raises InputError where the store does not take them."""
    fs, path = open_store(url)
    with answering(url):
        for file in files_of(made):
            inside = "" if file == made else f"/{file.relative_to(made).as_posix()}"
            with_folder(fs, f"{path}{inside}", partial(fs.put_file, str(file)))


def take(url: str, made: Path) -> None:
    """Move what `put` has put to a path. Raises InputError where the store does not give it."""
    fs, path = open_store(url)
    with answering(url):
        fs.invalidate_cache()
        for name in fs.find(path):
            inside = name[len(path) :].lstrip("/")
            file = made / inside if inside else made
            file.parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(name, str(file))
        fs.rm(path, recursive=True)
