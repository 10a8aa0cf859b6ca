"""Results of a batch on the disk: what counts as done, how it is put in place, what is left of a killed run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import read_json, replacing
from ..mimaface_core.media.provenance import VERSION
from .hashes import digest, size_of
from .lock import locked
from .pairs import STATE, Pair
from .recipe import RESULT_SUFFIXES

MADE_BY = "mimaface batch"
RECORD, RESULT = "record.json", "result"  # names in a scratch folder


class Results:
    """The output folder of a batch.

    A pair is done when its record `NAME.json` is there, fits the bytes of the result that it names, and the present
    inputs, graph, settings, packs and seeds of the pair. In a scratch folder the record is written last, by which the
    result is finished; then the result is renamed, and at last the record.

    Args:
        folder: the output folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.state = self.folder / STATE
        self.log = self.state / "attempts.jsonl"
        self._scratch = self.state / "scratch"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this process, which begins with tidying up; the folder is made.

        Raises:
            InputError: another batch holds it, or it cannot be written.
        """
        with locked(self.state, f"--output-dir {self.folder}"):
            self._recover()
            try:
                yield
            finally:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def record_of(self, name: str) -> dict[str, Any] | None:
        """The record of a pair by its name; None where there is none that a batch wrote."""
        record = _read_record(self.folder / f"{name}.json")
        return record if record is not None and record["pair"] == name else None

    def is_done(self, pair: Pair) -> bool:
        """Whether the result is there, whole, and of the present inputs and settings. Reads the whole result."""
        record = self.record_of(pair.name)
        if record is None or record.get("fingerprint") != pair.fingerprint:
            return False
        with contextlib.suppress(OSError):
            return digest(self.folder / record["result"]) == record["sha256"]
        return False

    def refuse_foreign(self, pair: Pair) -> None:
        """Raises InputError where a file that no batch wrote lies in the place of the record or the likely result."""
        self._refuse_foreign(pair.name, f"{pair.name}.json")
        self._refuse_foreign(pair.name, f"{pair.name}{pair.recipe.suffix}")

    def _refuse_foreign(self, name: str, path: str) -> None:
        """Raises InputError where `path` exists and is neither the record nor the result of the pair `name`."""
        record = self.record_of(name)
        own = () if record is None else (f"{name}.json", record["result"])
        if path not in own and self._exists(path):
            raise InputError(
                f"{self.place(path)} is there already, and no batch wrote it; move it away or choose another output."
            )

    def _exists(self, path: str) -> bool:
        """Whether anything lies at a path below the folder."""
        return os.path.lexists(self.folder / path)

    def place(self, path: str) -> str:
        """Where a path below the folder is, for messages."""
        return str(self.folder / path)

    def scratch(self) -> Path:
        """A new folder for one attempt, on the file system of the results."""
        self._scratch.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=self._scratch))

    def publish(self, pair: Pair, scratch: Path, made: Path, told: dict[str, Any]) -> None:
        """Put the result of a pair in place, with its record.

        Args:
            pair: the pair.
            scratch: the folder of its attempt; removed.
            made: the file or folder in it that is the result.
            told: what is known of it: `sha256`, `frames`, `seconds`, and its worker's `threads` or `server`.

        Raises:
            InputError: a file that no batch wrote is in its place.
            OSError: it cannot be written.
        """
        os.replace(made, scratch / RESULT)
        record = {
            "made_by": MADE_BY,
            "version": VERSION,
            "pair": pair.name,
            "result": f"{pair.name}{made.suffix}",
            "bytes": size_of(scratch / RESULT),
            **told,
            "graph": pair.recipe.name,
            "settings": pair.recipe.settings,
            "seeds": pair.seeds,
            "inputs": {
                key: {"file": pair.urls.get(key, path.name), "sha256": pair.hashes[key]}
                for key, path in sorted(pair.files.items())
            },
            "packs": pair.packs,
            "fingerprint": pair.fingerprint,
        }
        with replacing(scratch / RECORD) as part:
            part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self._put(scratch, record)

    def _put(self, scratch: Path, record: dict[str, Any]) -> None:
        """Rename a finished result, then its record; what was renamed before is skipped."""
        name, result = record["pair"], record["result"]
        target, last = self.folder / result, self.record_of(name)
        if (scratch / RESULT).exists():
            self._refuse_foreign(name, result)
            self._refuse_foreign(name, f"{name}.json")
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(scratch / RESULT, target)
        os.replace(scratch / RECORD, self.folder / f"{name}.json")
        if last is not None and last["result"] != result:
            _remove(self.folder / last["result"])
        shutil.rmtree(scratch, ignore_errors=True)

    def _recover(self) -> None:
        """Finish what a killed run had finished but for the renaming, and remove its other leftovers."""
        for scratch in self._scratch.iterdir() if self._scratch.is_dir() else ():
            record = _read_record(scratch / RECORD)
            if record is not None:
                with contextlib.suppress(OSError, InputError):
                    if (scratch / RESULT).exists() or self._moved(record):
                        self._put(scratch, record)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _moved(self, record: dict[str, Any]) -> bool:
        """Whether the result of a record without one in its scratch folder is in place."""
        return digest(self.folder / record["result"]) == record["sha256"]

    def note(self, pair: str, outcome: str, reason: str = "") -> None:
        """Append an attempt to the log: `done`, `failed` or `died`."""
        entry = {"pair": pair, "outcome": outcome, "reason": reason, "time": round(time.time(), 1)}
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def failed_names(self) -> set[str]:
        """Names of the pairs whose last attempt failed, by the log; a line that was cut off is skipped."""
        last: dict[str, str] = {}
        if not self.log.exists():
            return set()
        with open(self.log, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    last[entry["pair"]] = entry["outcome"]
        return {pair for pair, outcome in last.items() if outcome != "done"}


def _read_record(path: Path) -> dict[str, Any] | None:
    """The record in a file; None where the file is missing, or no record of a batch."""
    try:
        return checked_record(read_json(path))
    except (OSError, ValueError):
        return None


def checked_record(record: Any) -> dict[str, Any] | None:
    """The content of a record; None for anything else."""
    if not isinstance(record, dict) or record.get("made_by") != MADE_BY:
        return None
    pair, result, summed = (record.get(key) for key in ("pair", "result", "sha256"))
    if not (isinstance(pair, str) and isinstance(result, str) and isinstance(summed, str)):
        return None
    return record if result in {f"{pair}{suffix}" for suffix in ("", *RESULT_SUFFIXES)} else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
