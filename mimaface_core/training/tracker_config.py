"""Typed configuration of the face tracker's training, as `config` has it for MIMAFace's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..typed_config import read_config
from .config import LoopConfig, Precision, named_json

CONFIGS = Path(__file__).parent / "configs" / "tracker"


@dataclass(frozen=True, kw_only=True)
class FacesConfig:
    """Stage `faces`: images of faces with landmarks."""

    people: int  # drawn ones
    frames: int  # images of each person
    portraits: str | None = None  # folder of photographs, one person each


@dataclass(frozen=True, kw_only=True)
class MistakesConfig:
    """Stage `mistakes`: what the detector takes for faces."""

    count: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class LookConfig(LoopConfig):
    """Stages `detector`, `mesh`, `eye` and `mouth`: one network each."""

    batch: int


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """The whole configuration of a training of the face tracker."""

    faces: FacesConfig
    detector: LookConfig
    mistakes: MistakesConfig
    mesh: LookConfig
    eye: LookConfig
    mouth: LookConfig
    precision: Precision = "fp32"


def load_tracker_config(name: str) -> TrackerConfig:
    """A configuration by its name in `configs/tracker/`, or by the path of a JSON file.

    Raises:
        InputError: there is none, it lacks a setting, or it has one that is unknown or of another type.
    """
    return read_config(TrackerConfig, *named_json(name, CONFIGS))
