"""Results of a batch in an object store (s3://, gs://, …)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.process_mark import holder_in, own_mark
from .pairs import STATE, Pair
from .results import RESULT, Results, checked_record
from .stores import answering, open_store, put, take, with_folder


class CloudResults(Results):
    """The results of a batch in an object store, with a folder here for what is being made.

    A store has no renaming. So a record that says `pending` is put first, by which an older result no longer counts;
    then the result, and at last the record. A pair is done when its record is there, is not pending, and the result
    has the size that it tells.

    Args:
        folder: here, of this batch alone.
        url: where the results go.

    Raises:
        InputError: the store cannot be used.
    """

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url.rstrip("/")
        self._fs, self._root = open_store(self.url)
        self._sizes: dict[str, int] | None = None  # of what lies there, by path below the root

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold store and folder for this process, which begins with tidying up.

        Raises:
            InputError: another batch holds it, or it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._at(f"{STATE}/lock")
        owner = own_mark().encode()
        with answering(self.url):
            try:
                with_folder(self._fs, lock, lambda path: self._fs.pipe_file(path, owner, mode="create"))
            except FileExistsError:
                self._take_over(lock, owner)
        try:
            with super().opened():
                yield
        finally:
            with answering(self.url):
                self._fs.rm_file(lock)

    def _take_over(self, lock: str, owner: bytes) -> None:
        """Replace the lock of a process that is dead on this machine. Raises InputError for that of another."""
        try:
            holder = holder_in(self._fs.cat_file(lock).decode("utf-8", "replace"))
        except ValueError:
            holder = "its lock cannot be read"
        if holder is not None:
            raise InputError(
                f"Another batch works in {self.url} ({holder}); wait for its end, or delete {self.url}/{STATE}/lock if"
                " there is none."
            )
        self._fs.pipe_file(lock, owner)

    def record_of(self, name: str) -> dict[str, Any] | None:
        """The record of a pair by its name; None where there is none that a batch wrote."""
        path = f"{name}.json"
        if path not in self._listed():
            return None
        with answering(f"{self.url}/{path}"):
            content = self._fs.cat_file(self._at(path))
        try:
            record = checked_record(json.loads(content))
        except ValueError:
            return None
        return record if record is not None and record["pair"] == name else None

    def is_done(self, pair: Pair) -> bool:
        """Whether the result is there, in its size, and of the present inputs and settings."""
        record = self.record_of(pair.name)
        if record is None or record.get("pending") or record.get("fingerprint") != pair.fingerprint:
            return False
        return self._size(record["result"]) == record["bytes"]

    def publish(self, pair: Pair, scratch: Path, made: Path, told: dict[str, Any]) -> None:
        """Put the result of a pair in place, with its record; one that a worker elsewhere has put is fetched."""
        told = dict(told)
        if "url" in told:
            take(told.pop("url"), made)
        super().publish(pair, scratch, made, told)

    def _exists(self, path: str) -> bool:
        return self._size(path) is not None

    def _put(self, scratch: Path, record: dict[str, Any]) -> None:
        name, result = record["pair"], record["result"]
        self._refuse_foreign(name, result)
        self._refuse_foreign(name, f"{name}.json")
        last = self.record_of(name)
        self._put_record(name, {**record, "pending": True})
        with answering(f"{self.url}/{result}"):
            if last is not None and self._size(last["result"]) is not None:
                self._fs.rm(self._at(last["result"]), recursive=True)
        put(scratch / RESULT, f"{self.url}/{result}")
        self._put_record(name, record)
        self._sizes = {**self._listed(), result: record["bytes"], f"{name}.json": 1}
        shutil.rmtree(scratch, ignore_errors=True)

    def _moved(self, record: dict[str, Any]) -> bool:  # noqa: ARG002 - results are copied from here
        return False

    def place(self, path: str) -> str:
        """Where a path below the address is, for messages."""
        return f"{self.url}/{path}"

    def _put_record(self, name: str, record: dict[str, Any]) -> None:
        content = json.dumps(record, indent=1, ensure_ascii=False).encode()
        with answering(f"{self.url}/{name}.json"):
            with_folder(self._fs, self._at(f"{name}.json"), lambda path: self._fs.pipe_file(path, content))

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def _listed(self) -> dict[str, int]:
        """Sizes of everything there, by path; asked for once."""
        if self._sizes is None:
            with answering(self.url):
                self._fs.invalidate_cache()
                found = self._fs.find(self._root, detail=True)
            start = len(self._root.rstrip("/")) + 1
            self._sizes = {path[start:]: int(info["size"]) for path, info in found.items()}
        return self._sizes

    def _size(self, path: str) -> int | None:
        """Bytes of an object, or of all below a path; None where there is nothing."""
        sizes = self._listed()
        inside = [path] if path in sizes else [one for one in sizes if one.startswith(f"{path}/")]
        return sum(sizes[one] for one in inside) if inside else None
