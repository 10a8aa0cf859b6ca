"""Whole folders: which output belongs to which source and driver, and what all of their scores come to."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .evaluate import Evaluation, Scored
from .footage import CLIPS, PICTURES, Pair
from .report import value
from .scores import Score

COLUMNS = ("output", "source", "driver", "audio")
NUMBERING = re.compile(r"_\d{5}_?$")  # what a save node of ComfyUI puts behind a name
NAMES = "call outputs SOURCE_DRIVER, or like their driver, or list them with --pairs"


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


def summary(reports: Sequence[dict]) -> dict[str, Score]:
    """For every score its mean over the pairs that have it, with `deviation` (of the pairs) and `pairs`."""
    keys = dict.fromkeys(key for report in reports for key in report.get("scores", {}))
    found = {}
    for key in keys:
        scores = [report["scores"][key] for report in reports if key in report.get("scores", {})]
        had = [score for score in scores if score["value"] is not None]
        if not had:
            found[key] = scores[0]
            continue
        values = np.array([score["value"] for score in had])
        found[key] = had[0] | {
            "value": round(float(values.mean()), 4),
            "deviation": round(float(values.std(ddof=1)), 4) if len(values) > 1 else None,
            "pairs": len(values),
        }
    return found


class Protocol:
    """Pairs scored one by one; what is done already can be had at any time.

    scored: the pairs that could be scored, in order. reports: a report for each pair that was tried; one that could
    not be scored has `name` and `reason` alone.
    """

    def __init__(self, pairs: Sequence[Pair], evaluation: Evaluation) -> None:
        self.pairs, self.evaluation = pairs, evaluation
        self.scored: list[Scored] = []
        self.reports: list[dict] = []

    def run(self) -> None:
        """Score all pairs. One that is refused is passed over where there are others; alone it raises InputError."""
        for pair in self.pairs:
            given = {"output": pair.output, "source": pair.source, "driver": pair.driver, "audio": pair.audio}
            files = {name: str(path) for name, path in given.items() if isinstance(path, Path)}
            try:
                scored = self.evaluation.score(pair)
            except InputError as refused:
                if len(self.pairs) == 1:
                    raise
                self.reports.append({"name": pair.name, **files, "reason": str(refused)})
                continue
            scored.report = files | scored.report
            self.scored.append(scored)
            self.reports.append(scored.report)

    def result(self) -> dict:
        """Everything, ready for JSON: `protocol`, `scores` of all, and `pairs`, or the only pair's own entries."""
        alone = all(pair.source is None and pair.driver is None for pair in self.pairs)
        protocol = "same" if self.evaluation.same else "alone" if alone else "cross"
        sets = self.evaluation.set_scores()
        if len(self.pairs) == 1:
            (report,) = self.reports
            return report | {"protocol": protocol, "scores": report["scores"] | sets}
        return {"protocol": protocol, "scores": summary(self.reports) | sets, "pairs": self.reports}


def describe_scores(scores: dict[str, Score]) -> list[str]:
    """The lines in which a person reads scores; their estimators are in the JSON and in the report."""
    wide = max(len(score["title"]) for score in scores.values())
    lines = []
    for score in scores.values():
        deviation = f" ± {score['deviation']:.2g}" if score.get("deviation") else ""
        found = score["reason"] if score["value"] is None else f"{value(score)}{deviation}   {score['better']}"
        lines.append(f"{score['title']:{wide}}  {found}")
    return lines
