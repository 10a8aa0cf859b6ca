"""Rows of a batch, read from a CSV or JSONL list or made of two folders."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..headless.problems import suggestion
from ..mimaface_core.errors import InputError
from ..mimaface_core.evaluation.pairs import VIDEO_SUFFIXES
from ..mimaface_core.files import parse_json, read_text, shown
from ..mimaface_core.media.frames import STILL_SUFFIXES

COLUMNS = ("source", "driver", "audio", "output", "graph")
SET = "set."  # columns `set.TITLE.INPUT`
LIST_SUFFIXES = (".csv", ".jsonl")
_EXPECTED = f"{', '.join(COLUMNS)} and set.TITLE.INPUT"


@dataclass(frozen=True)
class Row:
    """A row before it is checked.

    Attributes:
        where: its place for messages: `line 3`, or `a.jpg x b.mp4`.
        values: text by column; what is empty is left out.
        fault: why it cannot be read, with the remedy; None where it can.
    """

    where: str
    values: dict[str, str]
    fault: str | None = None


def read_rows(path: Path) -> list[Row]:
    """The rows of a list, in its order.

    Args:
        path: a .csv file with a header (comma, semicolon or tab), or a .jsonl file with an object a line; in UTF-8,
            UTF-16 or UTF-32.

    Raises:
        InputError: the list as a whole cannot be used.
    """
    if path.suffix.lower() not in LIST_SUFFIXES:
        raise InputError(f"The list {shown(path)} is neither .csv nor .jsonl; give one of these, or --sources.")
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"The list {shown(path)} is not in UTF-8: byte {error.start} is no letter there; save it as UTF-8."
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"The list {shown(path)} cannot be read ({reason}); check the path.") from error
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _jsonl_rows(text)
    if not rows:
        raise InputError(f"The list {shown(path)} has no pairs; write one a line, with the columns {_EXPECTED}.")
    return rows


def cross_rows(sources: Path, drivers: Path) -> list[Row]:
    """A row for every photograph of one folder with every clip or photograph of another; paths are absolute.

    Raises:
        InputError: one of the folders is missing or holds nothing of its kind.
    """
    photographs = _folder("--sources", sources, STILL_SUFFIXES, "photographs")
    clips = _folder("--drivers", drivers, (*VIDEO_SUFFIXES, *STILL_SUFFIXES), "clips or photographs")
    return [
        Row(f"{source.name} x {driver.name}", {"source": str(source.absolute()), "driver": str(driver.absolute())})
        for source in photographs
        for driver in clips
    ]


def _folder(option: str, folder: Path, suffixes: tuple[str, ...], noun: str) -> list[Path]:
    try:
        files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        raise InputError(f"{option} {shown(folder)} cannot be read ({error.strerror}); name a folder.") from error
    if not files:
        raise InputError(f"{option} {shown(folder)} holds no {noun}; name the folder that does.")
    return files


def _csv_rows(path: Path, text: str) -> list[Row]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows = []
    try:
        names = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        _check_columns(path, names)
        for entry in reader:
            where = f"line {reader.line_num}"
            if None in entry:
                rows.append(Row(where, {}, f"it has more than {len(names)} fields; put commas in quotation marks."))
            elif any((value or "").strip() for value in entry.values()):
                rows.append(_row(where, entry))
    except csv.Error as error:
        raise InputError(f"The list {shown(path)}, line {reader.line_num}: {error}; correct that line.") from error
    return rows


def _check_columns(path: Path, names: list[str]) -> None:
    """Raises InputError for a header that lacks what is needed, or has columns that mean nothing."""
    if "source" not in names:
        raise InputError(f"The list {shown(path)} has no column source; its first line names the columns {_EXPECTED}.")
    for name in names:
        if _unknown(name):
            raise InputError(f"The list {shown(path)}: {_unknown_column(name)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"The list {shown(path)} has the column {twice[0]} twice; leave one of them out.")


def _unknown(name: str) -> bool:
    return name not in COLUMNS and not (name.startswith(SET) and "." in name.removeprefix(SET))


def _unknown_column(name: str) -> str:
    return f"there is no column '{shown(name)}'; {suggestion(name, [*COLUMNS, 'set.TITLE.INPUT'])}"


def _jsonl_rows(text: str) -> list[Row]:
    return [_jsonl_row(f"line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _jsonl_row(where: str, line: str) -> Row:
    try:
        entry = parse_json(line)
    except json.JSONDecodeError as error:
        return Row(where, {}, f"it is no JSON ({error.msg}, column {error.colno}); write one object a line.")
    except ValueError as error:
        return Row(where, {}, f"it cannot be read ({error}); write one object a line.")
    if not isinstance(entry, dict):
        return Row(where, {}, "it is no JSON object; write one object a line.")
    return _row(where, entry)


def _row(where: str, entry: dict[str, Any]) -> Row:
    values: dict[str, str] = {}
    for name, value in entry.items():
        if _unknown(name):
            return Row(where, values, _unknown_column(name))
        if value is None:
            continue
        if not isinstance(value, (str, int, float)) or (name in COLUMNS and not isinstance(value, str)):
            return Row(where, values, f"{name} is {shown(repr(value))}; write it as text in quotation marks.")
        text = str(value).strip()
        if text:
            values[name] = text
    return Row(where, values)
