"""SadTalker's released weights: where they are looked for, and the driver that is filled with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from ... import weights
from ...errors import InputError
from ...morphable.bundled.face import BundledFace
from ...morphable.model import MorphableModel
from .audio2exp import Audio2Exp
from .audio2pose import Audio2Pose
from .driver import SadTalkerDriver

RELEASED = ("SadTalker_V0.0.2_256.safetensors", "SadTalker_V0.0.2_512.safetensors")
OLDER = ("auido2exp_00300-model.pth", "auido2pose_00140-model.pth")  # spelt so by their authors
_PREFIXES = ("audio2exp.", "audio2pose.")  # of the keys in a released file
_REMEDY = f"use SadTalker's own file, downloaded again, or {RELEASED[0]}"
_BFM = "BFM09_model_info.mat"
_PLACES = ("", "sadtalker")  # sub-folders of a models folder
_BFM_PLACES = (*_PLACES, "D3DFR", "released/models/D3DFR")


def find_sadtalker(folders: Iterable[Path], face: BundledFace | None = None) -> SadTalkerDriver:
    """The driver with the weights found in `folders` or their sub-folder `sadtalker`.

    SadTalker is under Apache 2.0; the Basel Face Model is for research only.

    Args:
        folders: models folders, the first one first.
        face: face model of the tracks; None if it is BFM09. Otherwise its basis is mapped by means of
            BFM09_model_info.mat, which is looked for there too.

    Raises:
        InputError: a file is missing, damaged or of another network; the message names the file and its place.
    """
    folders = list(folders)
    files = find_sadtalker_files(folders)
    bfm = None if face is None else MorphableModel.from_bfm(_find_bfm(folders))
    expression, pose = Audio2Exp(), Audio2Pose()
    nets: tuple[nn.Module, ...] = (expression, pose)
    if len(files) == 1:
        values = weights.read(files[0], _REMEDY)
        for net, prefix in zip(nets, _PREFIXES, strict=True):
            own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
            weights.fill(net, own, files[0], _REMEDY)
    else:
        for net, path in zip(nets, files, strict=True):
            weights.fill(net, weights.read(path, _REMEDY), path, _REMEDY)
    return SadTalkerDriver(expression, pose, bfm, face)


def find_sadtalker_files(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The released file, or the older pair (expression, pose); the first folder that holds either decides.

    Raises:
        InputError: there is neither; the message names files, source and folders.
    """
    folders = list(folders)
    single = None  # one file of an older pair
    for place in (folder / place for folder in folders for place in _PLACES):
        for name in RELEASED:
            if (place / name).is_file():
                return (place / name,)
        present = [name for name in OLDER if (place / name).is_file()]
        if len(present) == len(OLDER):
            return tuple(place / name for name in OLDER)
        single = single or (place / present[0] if present else None)
    incomplete = f" ({single} lacks its other half)" if single else ""
    raise InputError(
        f"SadTalker's weights are not in {_listed(folders)}{incomplete}: download {RELEASED[0]}, or the older pair"
        f" {OLDER[0]} and {OLDER[1]}, from the releases of github.com/OpenTalker/SadTalker (Apache 2.0) and put it"
        " there, or choose the bundled driver."
    )


def _find_bfm(folders: list[Path]) -> Path:
    for path in (folder / place / _BFM for folder in folders for place in _BFM_PLACES):
        if path.is_file():
            return path
    raise InputError(
        f"SadTalker moves the Basel Face Model; to carry that over to the model pack's face, {_BFM} is needed, which"
        f" is not in {_listed(folders)}: put it there (it comes with D3DFR, for research only), or choose the"
        " bundled driver."
    )


def _listed(folders: list[Path]) -> str:
    named = [f"{folder} (or its sub-folder {_PLACES[1]})" for folder in folders]
    return " or ".join(named) or "any models folder (there is none)"
