"""Pairs of an output and what it was made from; matching of files by name or by a list."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..files import is_file, parse_json, read_text, shown
from ..media.frames import STILL_SUFFIXES, Frames

VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")
PAIR_COLUMNS = ("output", "source", "driver", "audio")
AUDIO_SUFFIXES = (".wav", ".mp3", ".ogg", ".flac", ".m4a", *VIDEO_SUFFIXES)
SAVE_NUMBER = re.compile(r"_\d{5}_?$")  # appended to a file name by ComfyUI's save nodes
NAMING = "call outputs SOURCE_DRIVER, or like their driver, or list them with --pairs"


@dataclass(frozen=True)
class Pair:
    """An output and what it was made from: files, or values that a node received.

    Attributes:
        name: title of the pair in reports.
        output: the video or image to score.
        source: the photograph, [H, W, 3] in 0–1 or a file.
        driver: the video or image that drove the output.
        audio: file of the voice, where the output has none or another one.
        video_file: the output's own file, whose audio is scored.
    """

    name: str
    output: Path | Frames
    source: Path | Tensor | None = None
    driver: Path | Frames | None = None
    audio: Path | None = None
    video_file: Path | None = None

    @classmethod
    def of(
        cls, output: Path, source: Path | None = None, driver: Path | None = None, audio: Path | None = None
    ) -> Pair:
        """A pair of files, named like its output."""
        return cls(output.stem, output, source, driver, audio, output)

    @property
    def paths(self) -> dict[str, str]:
        """Those of PAIR_COLUMNS that are files, as JSON."""
        values = {name: getattr(self, name) for name in PAIR_COLUMNS}
        return {name: str(value) for name, value in values.items() if isinstance(value, Path)}


def find_pairs(
    output: Path | None,
    source: Path | None = None,
    driver: Path | None = None,
    audio: Path | None = None,
    listed: Path | None = None,
    same: bool = False,
) -> list[Pair]:
    """Pairs to score: those of a list, those of folders, or the single one that the files make up.

    In a folder an output is named `SOURCE_DRIVER`, or like its driver alone where there are no sources, where one
    source serves all, or with `same`; the number of a save node behind the name is ignored. A single source, driver or
    voice may serve a whole folder.

    Args:
        output: file, or folder of outputs.
        source: photograph, or folder of them.
        driver: driving video, or folder of them.
        audio: voice, or folder of voices.
        listed: CSV or JSON file with PAIR_COLUMNS, instead of the four above.
        same: self-reenactment: the driver's first frame is the source.

    Raises:
        InputError: a file is missing, or an output matches nothing.
    """
    if listed is not None:
        return _listed_pairs(listed)
    if output is None:
        raise InputError("There is nothing to score; name an output with --output, or a list with --pairs.")
    if not os.path.isdir(output):
        for name, path in (("--source", source), ("--driver", driver), ("--audio", audio)):
            if path is not None and os.path.isdir(path):
                raise InputError(
                    f"{name} {path} is a folder, but --output is one file; name a folder or a file for both."
                )
        return [Pair.of(output, source, driver, audio)]
    outputs = [path for path in sorted(output.iterdir()) if path.suffix.lower() in (*VIDEO_SUFFIXES, *STILL_SUFFIXES)]
    if not outputs:
        raise InputError(f"--output {output} holds no videos or images; name the folder with the outputs.")
    candidates = _Candidates(
        _files(source, STILL_SUFFIXES),
        _files(driver, (*VIDEO_SUFFIXES, *STILL_SUFFIXES)),
        _files(audio, AUDIO_SUFFIXES),
        same,
    )
    return [candidates.pair(path) for path in outputs]


Files = dict[str, Path] | Path | None  # a folder's files by stem, or one file for all outputs


@dataclass(frozen=True)
class _Candidates:
    """Files that outputs are matched with by name."""

    sources: Files
    drivers: Files
    voices: Files
    same: bool

    def pair(self, output: Path) -> Pair:
        """The pair of one output of a folder."""
        for name in dict.fromkeys((output.stem, SAVE_NUMBER.sub("", output.stem))):
            splits = [(name, name)]
            if isinstance(self.sources, dict):
                splits += [
                    (stem, name.removeprefix(f"{stem}_")) for stem in self.sources if name.startswith(f"{stem}_")
                ]
            for source_stem, driver_stem in splits:
                source, driver = _of_stem(self.sources, source_stem), _of_stem(self.drivers, driver_stem)
                if (source or self.same or self.sources is None) and (driver or self.drivers is None):
                    voice = _of_stem(self.voices, name) or _of_stem(self.voices, driver_stem)
                    return Pair.of(output, source, driver, voice)
        raise InputError(f"Nothing belongs to {output.name}; {NAMING}.")


def _of_stem(files: Files, stem: str) -> Path | None:
    return files.get(stem) if isinstance(files, dict) else files


def _files(path: Path | None, suffixes: Sequence[str]) -> Files:
    """Files of a folder by stem; a single file, or None, unchanged."""
    if path is None or is_file(path):
        return path
    if not os.path.isdir(path):
        raise InputError(f"{shown(path)} was not found; check the path.")
    return {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in suffixes}


def _listed_pairs(listed: Path) -> list[Pair]:
    """Pairs of a CSV file with a header, or of a JSON list of objects; paths are relative to the list's folder."""
    try:
        text = read_text(listed)
        rows = parse_json(text) if listed.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"--pairs {shown(listed)} cannot be read ({reason}); give a CSV or JSON file.") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row.get("output") for row in rows):
        raise InputError(f"--pairs {listed} names no outputs; give it the columns {', '.join(PAIR_COLUMNS)}.")
    return [Pair.of(**_listed_files(row, number, listed)) for number, row in enumerate(rows, 1)]


def _listed_files(row: dict, number: int, listed: Path) -> dict[str, Path]:
    """The files of a row by column; `number` counts rows from 1, without a header."""
    paths = {}
    for column, value in row.items():
        if column not in PAIR_COLUMNS:
            name = "that has no header" if column is None else shown(str(column))
            raise InputError(f"--pairs {listed}: unknown column {name}; there are {', '.join(PAIR_COLUMNS)}.")
        if value in (None, ""):
            continue
        if not isinstance(value, str):
            raise InputError(
                f"--pairs {listed}: row {number}, column {column} is {shown(repr(value))}, which is no path;"
                " write it in quotation marks."
            )
        paths[column] = listed.parent / value
        if not is_file(paths[column]):
            raise InputError(
                f"--pairs {listed}: {listed.parent / shown(value)} was not found;"
                " write paths relative to the list's own folder."
            )
    return paths
