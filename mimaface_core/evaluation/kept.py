"""Scores of a pair in a file, so that they are measured once, by whichever process."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from .comparisons import NO_CURVES, SignalCurves
from .evaluate import PairResult, Still
from .meters.frechet import Gaussian

SUFFIX = ".npz"
_SIDES = ("driver", "output")


def save_result(path: Path, result: PairResult, key: str) -> None:
    """Write a result.

    Args:
        path: ends in SUFFIX; the file appears when it is complete.
        result: the scores, and what a report draws.
        key: stands for everything that they depend on.

    Raises:
        OSError: it cannot be written.
    """
    arrays: dict[str, Any] = {"curves_driver": result.curves.driver, "curves_output": result.curves.output}
    if result.source is not None:
        arrays["source"] = result.source
    for number, still in enumerate(result.stills):
        arrays[f"still_{number}_output"] = still.output
        if still.driver is not None:
            arrays[f"still_{number}_driver"] = still.driver
    for score, sides in (result.statistics or {}).items():
        for side, gaussian in zip(_SIDES, sides, strict=True):
            arrays |= {f"statistics/{score}/{side}/{name}": held for name, held in gaussian.arrays().items()}
    text = {
        "key": key,
        "name": result.name,
        "report": result.report,
        "seconds": list(result.curves.seconds),
        "stills": [still.second for still in result.stills],
        "statistics": list(result.statistics) if result.statistics is not None else None,
    }
    with replacing(path) as part:
        np.savez(part, text=np.array(json.dumps(text)), **arrays)


def load_result(path: Path, key: str) -> PairResult | None:
    """A result; None where there is none, or one of another key, or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            text = json.loads(str(file["text"]))
            return _result(text, dict(file)) if text["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _result(text: dict, arrays: dict[str, np.ndarray]) -> PairResult:
    stills = [
        Still(second, arrays.get(f"still_{number}_driver"), arrays[f"still_{number}_output"])
        for number, second in enumerate(text["stills"])
    ]
    curves = SignalCurves(text["seconds"], arrays["curves_driver"], arrays["curves_output"])
    statistics = None
    if text["statistics"] is not None:
        statistics = {score: (_gaussian(arrays, score, 0), _gaussian(arrays, score, 1)) for score in text["statistics"]}
    return PairResult(
        text["name"],
        text["report"],
        arrays.get("source"),
        stills,
        curves if text["seconds"] else NO_CURVES,
        statistics,
    )


def _gaussian(arrays: dict[str, np.ndarray], score: str, side: int) -> Gaussian:
    start = f"statistics/{score}/{_SIDES[side]}/"
    return Gaussian({name.removeprefix(start): held for name, held in arrays.items() if name.startswith(start)})
