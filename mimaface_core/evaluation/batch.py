"""Evaluation of many pairs: each in turn, then means over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .evaluate import Evaluation, PairResult
from .pairs import Pair
from .report import format_score
from .scores import Score


def summary(reports: Sequence[dict[str, Any]]) -> dict[str, Score]:
    """Mean of each score over the pairs that have it, with `deviation` (among the pairs) and `pairs`.

    Args:
        reports: reports of pairs; those without `scores` are ignored.
    """
    keys = dict.fromkeys(key for report in reports for key in report.get("scores", {}))
    means: dict[str, Score] = {}
    for key in keys:
        scores: list[Score] = [report["scores"][key] for report in reports if key in report.get("scores", {})]
        values = np.array([score["value"] for score in scores if score["value"] is not None])
        if not len(values):
            means[key] = scores[0]
            continue
        mean = next(score for score in scores if score["value"] is not None).copy()
        mean["value"] = round(float(values.mean()), 4)
        mean["deviation"] = round(float(values.std(ddof=1)), 4) if len(values) > 1 else None
        mean["pairs"] = len(values)
        means[key] = mean
    return means


class BatchEvaluation:
    """Evaluates pairs one by one; results so far can be read at any time, also after a cancellation.

    Args:
        pairs: the pairs, in order.
        evaluation: the evaluation of a single pair.

    Attributes:
        scored: results of the pairs that could be scored, in order.
        reports: JSON of every pair that was tried; one that was refused has `name`, its files and `reason` only.
    """

    def __init__(self, pairs: Sequence[Pair], evaluation: Evaluation) -> None:
        self.pairs, self.evaluation = pairs, evaluation
        self.scored: list[PairResult] = []
        self.reports: list[dict[str, Any]] = []

    def run(self) -> None:
        """Score all pairs.

        Raises:
            InputError: the only pair was refused. Of several pairs, a refused one is reported and skipped.
        """
        for pair in self.pairs:
            try:
                result = self.evaluation.score(pair)
            except InputError as refusal:
                if len(self.pairs) == 1:
                    raise
                self.refuse(pair, str(refusal))
            else:
                self.add(pair, result)

    def add(self, pair: Pair, result: PairResult) -> None:
        """Count a pair that was scored."""
        result.report = pair.paths | result.report
        self.evaluation.add(result)
        result.statistics = None  # of the set now
        self.scored.append(result)
        self.reports.append(result.report)

    def refuse(self, pair: Pair, reason: str) -> None:
        """Count a pair that could not be scored, with one sentence."""
        self.reports.append({"name": pair.name, **pair.paths, "reason": reason})

    def result(self) -> dict[str, Any]:
        """JSON: `protocol`, `scores` over all pairs, and `pairs`, or the entries of the only pair."""
        alone = all(pair.source is None and pair.driver is None for pair in self.pairs)
        protocol = "same" if self.evaluation.same else "alone" if alone else "cross"
        set_scores = self.evaluation.set_scores()
        if len(self.pairs) == 1:
            (report,) = self.reports
            return report | {"protocol": protocol, "scores": report["scores"] | set_scores}
        return {"protocol": protocol, "scores": summary(self.reports) | set_scores, "pairs": self.reports}


def describe_scores(scores: dict[str, Score]) -> list[str]:
    """Lines of text for a terminal; the estimators are in the JSON and in the report."""
    width = max(len(score["title"]) for score in scores.values())
    lines = []
    for score in scores.values():
        if score["value"] is None:
            lines.append(f"{score['title']:{width}}  {score['reason']}")
            continue
        deviation = f" ± {score['deviation']:.2g}" if score.get("deviation") else ""
        lines.append(f"{score['title']:{width}}  {format_score(score)}{deviation}   {score['better']}")
    return lines
