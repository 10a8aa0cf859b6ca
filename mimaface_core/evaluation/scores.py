"""Scores as JSON: value, unit and estimator, or the reason why a score is absent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, SupportsFloat, TypedDict, TypeVar

import torch

from .. import host

HIGHER, LOWER, ONE = "higher is better", "lower is better", "best at 1"
WEIGHTS_FOLDER = "models/mimaface/evaluation/checkpoints"
INSTALL_EXTRA = "install the extra: pip install 'mimaface[evaluate]'"


class _RequiredKeys(TypedDict):
    title: str
    value: float | None
    estimator: str


class Score(_RequiredKeys, total=False):
    """A score as it stands in the JSON: made by `measured` or `absent`.

    A measured score has `unit`, `better` and `weights`, an absent one `reason`. A mean over pairs has `pairs`, their
    number, and `deviation`, the standard deviation among them (None for one pair).
    """

    unit: str
    better: str
    weights: str
    reason: str
    deviation: float | None
    pairs: int


def measured(
    value: SupportsFloat, title: str, unit: str, better: str, estimator: str, weights: Path | str = "none needed"
) -> Score:
    """A score with a value.

    Args:
        value: rounded here to four decimals.
        title: name for people.
        unit: unit of the value, "" without one.
        better: HIGHER, LOWER or ONE.
        estimator: method and settings of the measurement.
        weights: file that the estimator uses.
    """
    return {
        "title": title,
        "value": round(float(value), 4),
        "unit": unit,
        "better": better,
        "estimator": estimator,
        "weights": str(weights),
    }


def absent(title: str, estimator: str, reason: str) -> Score:
    """A score without a value.

    Args:
        title: name for people.
        estimator: method that would have measured it, "" where none was chosen.
        reason: cause and remedy.
    """
    return {"title": title, "value": None, "estimator": estimator, "reason": f"absent: {reason}"}


class WeightsFile(NamedTuple):
    """A released file of weights that the user supplies: its name and its address."""

    name: str
    address: str

    def find(self) -> Path | None:
        """The file in `evaluation/checkpoints` of a models folder or in torch's hub cache; None without it."""
        folders = [Path(folder, "evaluation") for folder in host.current().models_folders()]
        places = [folder / "checkpoints" / self.name for folder in [*folders, Path(torch.hub.get_dir())]]
        return next((place for place in places if place.is_file()), None)

    @property
    def remedy(self) -> str:
        """Instruction for a user who lacks the file."""
        return f"get {self.name} from {self.address}, put it into {WEIGHTS_FOLDER}"


Net = TypeVar("Net")


@dataclass(frozen=True)
class Loaded(Generic[Net]):
    """A network and the file of its weights."""

    net: Net
    weights: Path


@dataclass(frozen=True)
class Missing:
    """Stands in for a network that cannot be loaded; `reason` names the cause and the remedy."""

    reason: str
