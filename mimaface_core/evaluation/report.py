"""HTML report: one file with all scores, a row for each pair, signals over time and strips of frames."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from ..files import replacing
from .comparisons import SignalCurves
from .evaluate import PairResult
from .meters.signals import NOISE_RANGE, UNITS, SignalDetail
from .scores import INSTALL_EXTRA, Score

TEMPLATE = Path(__file__).with_name("report.html")
MAX_POINTS = 400  # of a curve
CHART_WIDTH, CHART_HEIGHT = 260, 74  # in the SVG's own units
CHART_MARGIN = 8  # of the height, above and below together
SIGNAL_TITLES = dict(zip(NOISE_RANGE, (
    "head pitch", "head yaw", "head roll", "mouth opening", "mouth width", "right eye opening", "left eye opening",
    "brows", "gaze across", "gaze down",
), strict=True))  # fmt: skip
# Scores in the row of a pair.
ROW_SCORES = (
    "motion", "gain", "expression_distance", "pose_distance", "gaze_distance", "psnr", "ssim", "lpips", "csim",
    "appearance_similarity_bundled", "sharpness", "boundary_jump",
)  # fmt: skip


def write_report(folder: Path, title: str, result: dict[str, Any], scored: Sequence[PairResult]) -> Path:
    """Write `report.html` and `scores.json`.

    Args:
        folder: made if it does not exist.
        title: heading of the report.
        result: the JSON that the command prints.
        scored: the pairs that were scored.

    Returns:
        Path of the report.

    Raises:
        InputError: the folder cannot be written, or jinja2 is not installed.
    """
    page = _page(title, result, scored)
    path = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target, text in ((path, page), (folder / "scores.json", json.dumps(result, indent=1, ensure_ascii=False))):
            with replacing(target) as part:
                part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror}); name another folder."
        ) from error
    return path


def _page(title: str, result: dict[str, Any], scored: Sequence[PairResult]) -> str:
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise InputError(f"The report needs jinja2; {INSTALL_EXTRA}.") from error
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        TEMPLATE.read_text(encoding="utf-8")
    )
    pairs = result.get("pairs", [result])
    columns = [
        key for key in ROW_SCORES if any(pair.get("scores", {}).get(key, {}).get("value") is not None for pair in pairs)
    ]
    return template.render(
        title=title,
        protocol=result["protocol"],
        scores=result["scores"],
        columns=[(key, _column_title(result["scores"][key])) for key in columns],
        pairs=pairs,
        shown=[_drawn(pair) for pair in scored],
        shape=(CHART_WIDTH, CHART_HEIGHT),
        value=format_score,
        number=format_number,
    )


def format_score(score: Score | None) -> str:
    """A score as text, with its unit; a dash where it is absent."""
    unit = "" if score is None else score.get("unit", "")
    return format_number(score) + (unit if unit == "°" else f" {unit}" if unit else "")


def format_number(score: Score | None) -> str:
    """A score's value with about three significant digits; a dash where it is absent."""
    if score is None or score["value"] is None:
        return "–"
    value = score["value"]
    places = 3 if abs(value) < 2 else 2 if abs(value) < 100 else 0
    return f"{value:.{places}f}".replace("-", "−")


def _column_title(score: Score) -> str:
    unit = score.get("unit", "")
    return score["title"].partition(":")[0] + (f", {unit}" if unit else "")


def _drawn(pair: PairResult) -> dict[str, Any]:
    """Strip of frames and charts of a pair, for the template."""
    seconds = pair.curves.seconds
    return {
        "name": pair.name,
        "report": pair.report,
        "source": None if pair.source is None else _data_url(pair.source),
        "stills": [
            (
                f"{still.second:.2f} s",
                None if still.driver is None else _data_url(still.driver),
                _data_url(still.output),
            )
            for still in pair.stills
        ],
        "charts": _charts(pair.curves, pair.report["signals"]) if len(seconds) > 1 else [],
        "seconds": f"{seconds[-1]:.1f}" if seconds else "",
    }


def _charts(curves: SignalCurves, details: dict[str, SignalDetail] | None) -> list[dict[str, Any]]:
    """A chart for each signal: both curves as SVG points, and the texts beside them."""
    keep = np.unique(np.linspace(0, len(curves.seconds) - 1, MAX_POINTS).round().astype(int))
    seconds = np.array(curves.seconds)[keep]
    x = (seconds - seconds[0]) / max(seconds[-1] - seconds[0], 1e-9) * CHART_WIDTH
    charts = []
    for i, (name, title) in enumerate(SIGNAL_TITLES.items()):
        lines = [side[keep, i] for side in (curves.driver, curves.output)]
        low, high = min(map(np.min, lines)), max(map(np.max, lines))
        middle, span = (low + high) / 2, max(high - low, NOISE_RANGE[name])
        heights = [CHART_HEIGHT / 2 - (line - middle) / span * (CHART_HEIGHT - CHART_MARGIN) for line in lines]
        unit = UNITS[name]
        places = 1 if unit == "°" else 2
        charts.append({
            "title": title,
            "unit": unit if unit == "°" else "",
            "low": f"{middle - span / 2:.{places}f}".replace("-", "−"),
            "high": f"{middle + span / 2:.{places}f}".replace("-", "−"),
            "lines": [" ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)) for y in heights],
            "signal": details[name] if details else None,
        })  # fmt: skip
    return charts


def _data_url(image: np.ndarray) -> str:
    """An image uint8 [H, W, 3] as a JPEG in a data URL."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
