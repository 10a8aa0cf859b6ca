"""Pearson's correlation coefficient."""

from __future__ import annotations

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray, still: float = 1e-12) -> float:
    """Pearson's correlation of two series [N]; NaN where one of them is constant.

    Ours, as `scipy.stats.pearsonr` and `numpy.corrcoef` warn of constant series and have no threshold for them.

    Args:
        a: first series.
        b: second series.
        still: largest product of both deviations (square roots of the sums of squares) that counts as constant.
    """
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > still else float("nan")
