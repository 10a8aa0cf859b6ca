"""The report: one HTML file with all scores, rows for each pair, signals over time and strips of frames."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .evaluate import PairResult
from .meters.images import NEEDED
from .meters.signals import FLOOR, UNITS
from .scores import Score

TEMPLATE = Path(__file__).with_name("report.html")
POINTS = 400  # of a line over time at most
WIDE, HIGH = 260, 74  # of a chart, in its own units
TITLES = dict(zip(FLOOR, (
    "head pitch", "head yaw", "head roll", "mouth opening", "mouth width", "right eye opening", "left eye opening",
    "brows", "gaze across", "gaze down",
), strict=True))  # fmt: skip
# The scores that stand in the row of a pair.
COLUMNS = (
    "motion", "gain", "expression_distance", "pose_distance", "gaze_distance", "psnr", "ssim", "lpips", "csim",
    "appearance_similarity_bundled", "sharpness", "boundary_jump",
)  # fmt: skip


def write_report(folder: Path, title: str, result: dict, scored: Sequence[PairResult]) -> Path:
    """Write `report.html` and `scores.json` into a folder, which is made; returns the report's path.

    result: as the command prints it. scored: the pairs that were scored. Raises InputError when the folder
    cannot be written or the library for templates is absent.
    """
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise InputError(f"The report needs jinja2; {NEEDED}.") from error
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    pairs = result.get("pairs", [result])
    columns = [
        key for key in COLUMNS if any(pair.get("scores", {}).get(key, {}).get("value") is not None for pair in pairs)
    ]
    page = template.render(
        title=title,
        protocol=result["protocol"],
        scores=result["scores"],
        columns=[_column(key, result["scores"][key]) for key in columns],
        pairs=pairs,
        shown=[_shown(pair) for pair in scored],
        shape=(WIDE, HIGH),
        value=value,
        number=number,
    )
    path = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, text in ((path, page), (folder / "scores.json", json.dumps(result, indent=1, ensure_ascii=False))):
            part = target.with_name(target.name + ".part")
            part.write_text(text, encoding="utf-8")
            os.replace(part, target)
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror}); name another folder."
        ) from error
    return path


def value(score: Score | None) -> str:
    """A score as a person reads it, with its unit; a dash where it is absent."""
    unit = (score or {}).get("unit", "")
    return number(score) + (unit if unit == "°" else f" {unit}" if unit else "")


def number(score: Score | None) -> str:
    """A score's number with about three significant places; a dash where it is absent."""
    if score is None or score["value"] is None:
        return "–"
    found = score["value"]
    places = 3 if abs(found) < 2 else 2 if abs(found) < 100 else 0
    return f"{found:.{places}f}".replace("-", "−")


def _column(key: str, score: Score) -> tuple[str, str]:
    """A score's key, and its name and unit as the head of a column."""
    unit = score.get("unit", "")
    return key, score["title"].partition(":")[0] + (f", {unit}" if unit else "")


def _shown(pair: PairResult) -> dict:
    """The pictures of a pair: its strip and its charts."""
    return {
        "name": pair.name,
        "report": pair.report,
        "source": None if pair.source is None else _picture(pair.source),
        "stills": [
            (f"{at:.2f} s", None if driver is None else _picture(driver), _picture(output))
            for at, driver, output in pair.stills
        ],
        "charts": _charts(pair) if len(pair.seconds) > 1 else [],
        "seconds": f"{pair.seconds[-1]:.1f}" if pair.seconds else "",
    }


def _charts(pair: PairResult) -> list[dict]:
    """For every signal the two lines as SVG points, and what is written beside them."""
    keep = np.unique(np.linspace(0, len(pair.seconds) - 1, POINTS).round().astype(int))
    seconds = np.array(pair.seconds)[keep]
    x = (seconds - seconds[0]) / max(seconds[-1] - seconds[0], 1e-9) * WIDE
    charts = []
    for i, (name, title) in enumerate(TITLES.items()):
        lines = [np.array(side)[keep, i] for side in (pair.driver, pair.output)]
        low, high = min(map(np.min, lines)), max(map(np.max, lines))
        middle, span = (low + high) / 2, max(high - low, FLOOR[name])
        heights = [HIGH / 2 - (line - middle) / span * (HIGH - 8) for line in lines]
        unit = UNITS[name]
        places = 1 if unit == "°" else 2
        charts.append({
            "title": title,
            "unit": unit if unit == "°" else "",
            "low": f"{middle - span / 2:.{places}f}".replace("-", "−"),
            "high": f"{middle + span / 2:.{places}f}".replace("-", "−"),
            "lines": [" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y)) for y in heights],
            "signal": pair.report["signals"][name] if pair.report["signals"] else None,
        })  # fmt: skip
    return charts


def _picture(picture: np.ndarray) -> str:
    """A picture uint8 [H, W, 3] as the address of a JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
