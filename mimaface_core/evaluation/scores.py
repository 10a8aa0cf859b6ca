"""A score as all of the evaluation writes it: value, unit and estimator, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from .. import host

HIGHER, LOWER, ONE = "higher is better", "lower is better", "best at 1"
FOLDER = "models/mimaface/evaluation/checkpoints"
Score = dict  # of `measured` or `absent`


class Weights(NamedTuple):
    """A published file of weights: its name, and where it is published."""

    file: str
    published: str

    def find(self) -> Path | None:
        """The file in `evaluation/checkpoints` of a models folder or in torch's hub cache; None without."""
        folders = [Path(folder, "evaluation") for folder in host.current().models_folders()]
        places = [folder / "checkpoints" / self.file for folder in [*folders, Path(torch.hub.get_dir())]]
        return next((place for place in places if place.is_file()), None)

    @property
    def wanted(self) -> str:
        """What to do where the file is absent."""
        return f"get {self.file} from {self.published}, put it into {FOLDER}"


def measured(
    value: float, title: str, unit: str, better: str, estimator: str, weights: Path | str = "none needed"
) -> Score:
    """A score that was measured. weights: the file that the estimator uses."""
    return {
        "title": title,
        "value": round(float(value), 4),
        "unit": unit,
        "better": better,
        "estimator": estimator,
        "weights": str(weights),
    }


def absent(title: str, estimator: str, reason: str) -> Score:
    """A score that cannot be had, with the reason and what to do about it."""
    return {"title": title, "value": None, "estimator": estimator, "reason": f"absent: {reason}"}
