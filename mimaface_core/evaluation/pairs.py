"""Pairs of an output and what it was made from; which files belong together."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from .footage import CLIPS, PICTURES, Footage

COLUMNS = ("output", "source", "driver", "audio")
NUMBERING = re.compile(r"_\d{5}_?$")  # what a save node of ComfyUI puts behind a name
NAMES = "call outputs SOURCE_DRIVER, or like their driver, or list them with --pairs"


@dataclass(frozen=True)
class Pair:
    """An output and what it was made from; files, or what a node was given.

    source: picture [H, W, 3] in 0–1 or its file. audio: the voice, where the output has none or another one.
    """

    name: str
    output: Path | Footage
    source: Path | Tensor | None = None
    driver: Path | Footage | None = None
    audio: Path | None = None
    video_file: Path | None = None  # the output's file, which may have sound

    @classmethod
    def of(
        cls, output: Path, source: Path | None = None, driver: Path | None = None, audio: Path | None = None
    ) -> Pair:
        """A pair of files, called by its output's name."""
        return cls(output.stem, output, source, driver, audio, output)


def find_pairs(
    output: Path | None,
    source: Path | None = None,
    driver: Path | None = None,
    audio: Path | None = None,
    listed: Path | None = None,
    same: bool = False,
) -> list[Pair]:
    """The pairs to score: of a list, of folders, or the one that is named by its files.

    In folders an output's name is `SOURCE_DRIVER`, or its driver's alone where there are no sources, where one
    source is named for all, or with `same`; a save node's number behind it does not count. One source, driver or voice
    may be named for a whole folder. Raises InputError when a file is missing or an output belongs to nothing.
    """
    if listed is not None:
        return _of_list(listed)
    if output is None:
        raise InputError("There is nothing to score; name an output with --output, or a list with --pairs.")
    if not output.is_dir():
        for name, path in (("--source", source), ("--driver", driver), ("--audio", audio)):
            if path is not None and path.is_dir():
                raise InputError(
                    f"{name} {path} is a folder, but --output is one file; name a folder or a file for both."
                )
        return [Pair.of(output, source, driver, audio)]
    found = [path for path in sorted(output.iterdir()) if path.suffix.lower() in (*CLIPS, *PICTURES)]
    if not found:
        raise InputError(f"--output {output} holds no clips or pictures; name the folder with the outputs.")
    sources, drivers = _files(source, PICTURES), _files(driver, (*CLIPS, *PICTURES))
    voices = _files(audio, (".wav", ".mp3", ".ogg", ".flac", ".m4a", *CLIPS))
    return [_by_name(path, sources, drivers, voices, same) for path in found]


def _files(given: Path | None, suffixes: Sequence[str]) -> dict[str, Path] | Path | None:
    """The files of a folder by their stems; a single file, or None, as it is."""
    if given is None or given.is_file():
        return given
    if not given.is_dir():
        raise InputError(f"{given} was not found; check the path.")
    return {path.stem: path for path in sorted(given.iterdir()) if path.suffix.lower() in suffixes}


def _by_name(output: Path, sources, drivers, voices, same: bool) -> Pair:
    """The pair of an output in a folder."""

    def one(given, stem: str) -> Path | None:
        return given.get(stem) if isinstance(given, dict) else given

    for name in dict.fromkeys((output.stem, NUMBERING.sub("", output.stem))):
        choices = [(name, name)]
        if isinstance(sources, dict):
            choices += [(stem, name.removeprefix(f"{stem}_")) for stem in sources if name.startswith(f"{stem}_")]
        for source, driver in choices:
            person, moves = one(sources, source), one(drivers, driver)
            if (person or same or sources is None) and (moves or drivers is None):
                return Pair.of(output, person, moves, one(voices, name) or one(voices, driver))
    raise InputError(f"Nothing belongs to {output.name}; {NAMES}.")


def _of_list(listed: Path) -> list[Pair]:
    """The pairs of a CSV with a head, or of a JSON list of objects; paths count from the list's own folder."""
    try:
        text = listed.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if listed.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"--pairs {listed} cannot be read ({error}); give a CSV or JSON file.") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row.get("output") for row in rows):
        raise InputError(f"--pairs {listed} names no outputs; give it the columns {', '.join(COLUMNS)}.")
    pairs = []
    for row in rows:
        if odd := {str(key) for key in row} - set(COLUMNS):
            raise InputError(f"--pairs {listed}: unknown column {min(odd)}; there are {', '.join(COLUMNS)}.")
        paths = [listed.parent / row[column] if row.get(column) else None for column in COLUMNS]
        for path in paths:
            if path is not None and not path.is_file():
                raise InputError(f"--pairs {listed}: {path} was not found; paths count from the list's folder.")
        pairs.append(Pair.of(*paths))
    return pairs
