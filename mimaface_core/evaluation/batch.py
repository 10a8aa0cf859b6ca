"""Whole folders: what all of their scores come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .evaluate import Evaluation, PairResult
from .pairs import Pair
from .report import value
from .scores import Score


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


class BatchEvaluation:
    """Pairs scored one by one; what is done already can be had at any time.

    scored: the pairs that could be scored, in order. reports: a report for each pair that was tried; one that could
    not be scored has `name` and `reason` alone.
    """

    def __init__(self, pairs: Sequence[Pair], evaluation: Evaluation) -> None:
        self.pairs, self.evaluation = pairs, evaluation
        self.scored: list[PairResult] = []
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
