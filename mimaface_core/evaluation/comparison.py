"""Finished evaluations side by side: means with intervals, and differences pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ..errors import InputError
from ..files import read_json
from .scores import HIGHER, ONE

CONFIDENCE = 0.95
FEWEST_PAIRS = 2


def read_run(path: Path) -> dict[str, Any]:
    """The JSON of an evaluation of several pairs.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        run = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); name what `mimaface evaluate --json` wrote.") from error
    if not isinstance(run, dict) or not isinstance(run.get("pairs"), list) or "scores" not in run:
        raise InputError(f"{path} is no evaluation of several pairs; name what `mimaface evaluate --json` wrote.")
    return run


def compare_runs(runs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare runs on the pairs that all of them scored.

    Args:
        runs: JSON of evaluations by name; the first is the one that others are compared with.

    Returns:
        For each score with at least FEWEST_PAIRS common pairs: `score`, `title`, `unit`, `better`, `pairs`, and for
        each run `mean` and the half width `interval`; for all but the first also `difference`, its
        `difference_interval` and `verdict`: `better`, `worse`, or `open` where the interval holds 0. Intervals are
        Student's, of 95 %.

    Raises:
        InputError: no score has as many common pairs.
    """
    first = next(iter(runs.values()))
    rows = []
    for key, score in first["scores"].items():
        values = {name: _values(run, key) for name, run in runs.items()}
        common = sorted(set.intersection(*(set(own) for own in values.values())))
        if len(common) < FEWEST_PAIRS:
            continue
        table = {name: np.array([own[pair] for pair in common]) for name, own in values.items()}
        better = score.get("better", "")
        told = {"score": key, "title": score["title"], "unit": score.get("unit", ""), "better": better}
        rows.append({**told, "pairs": len(common), "runs": _columns(list(table.items()), better)})
    if not rows:
        raise InputError("The runs share no two pairs with a score; evaluate the same list of pairs with each.")
    return rows


def table_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The comparison as a table in Markdown."""
    names = [run["run"] for run in rows[0]["runs"]]
    lines = ["| score | pairs | " + " | ".join(names) + " |", "| --- | ---: |" + " ---: |" * len(names)]
    for row in rows:
        cells = [_cell(run) for run in row["runs"]]
        unit = f" ({row['unit']})" if row["unit"] else ""
        lines.append(f"| {row['title']}{unit}, {row['better']} | {row['pairs']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _values(run: Mapping[str, Any], key: str) -> dict[str, float]:
    """A score by pair, of those that have it."""
    scores = {pair["name"]: pair.get("scores", {}).get(key) or {} for pair in run["pairs"]}
    return {name: score["value"] for name, score in scores.items() if score.get("value") is not None}


def _columns(table: Sequence[tuple[str, np.ndarray]], better: str) -> list[dict[str, Any]]:
    base = table[0][1]
    columns = []
    for number, (name, values) in enumerate(table):
        column: dict[str, Any] = {"run": name, "mean": round(float(values.mean()), 4), "interval": _half_width(values)}
        if number:
            difference, width = float((values - base).mean()), _half_width(values - base)
            gains = values - base if better == HIGHER else base - values
            if better == ONE:
                gains = np.abs(base - 1) - np.abs(values - 1)
            clear = abs(gains.mean()) > _half_width(gains)
            verdict = ("better" if gains.mean() > 0 else "worse") if clear else "open"
            column |= {"difference": round(difference, 4), "difference_interval": width, "verdict": verdict}
        columns.append(column)
    return columns


def _half_width(values: np.ndarray) -> float:
    """Half the width of the interval of a mean."""
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return round(float(quantile * values.std(ddof=1) / np.sqrt(len(values))), 4)


def _cell(run: Mapping[str, Any]) -> str:
    text = f"{run['mean']:.4g} ± {run['interval']:.2g}"
    if "difference" not in run:
        return text
    return f"{text}; {run['difference']:+.2g} ± {run['difference_interval']:.2g}, {run['verdict']}"
