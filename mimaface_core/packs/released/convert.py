"""Convert the released folder to a model pack: safetensors, file by file, and a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import weights
from ...diffusion.unet_released import combine, to_diffusers
from ...errors import InputError
from ...files import read_json
from ...morphable.model import MorphableModel
from ..entries import MANIFEST
from ..files import write_manifest
from ..parts import build_part
from . import autoencoder
from .check import FolderReport, check_released
from .layout import RELEASED_FILES, Sizes

NAME = "released"
FORMAT = "1"  # of the conversion; another one converts everything anew
STAGING = "converting"  # sub-folder for new files until all are written
MADE_FROM = "made_from"  # key in a file's header: hash of its sources and options
# The manifest without the parts.
SETTINGS = {
    "name": NAME,
    "version": FORMAT,
    "picture_size": 512,
    "clip_frames": 12,
    "overlap": 3,
    "face": "regressor",
    "render": "albedo",
    "context": "clip",
    "latents": {"target": "picture", "sampled": True},
    "scheduler": {
        "prediction_type": "epsilon",
        "timestep_spacing": "linspace",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    },
    "sampling": {"scheduler": "euler", "steps": 25, "guidance": 5.0},
}


@dataclass(frozen=True)
class PackFile:
    """A file of the pack, to be written.

    Attributes:
        sources: names in the report of the files that it is made from.
        read: returns its tensors.
        entry: its entry in the manifest, without the file. The face model's has no `config`: it is no network, and
            stays in full precision.
    """

    sources: tuple[str, ...]
    read: Callable[[], dict[str, Tensor]]
    entry: dict[str, Any]

    @property
    def is_network(self) -> bool:
        """True for all but the face model."""
        return "config" in self.entry


def convert_released(
    folder: Path, out: Path, vae: str | Path | None = None, half: bool = False, sizes: Sizes | None = None
) -> FolderReport:
    """Convert the released folder to a pack.

    Everything is checked first. New files are written into a sub-folder and moved to their places together at the end:
    until then an existing pack stays whole, and a run that was stopped resumes with the next file. The largest source
    needs as much memory as its size where it is a pickle of the old kind (5 GB); others are memory-mapped.

    Args:
        folder: the released folder.
        out: the pack's folder: new, empty, or a pack that was converted before.
        vae: the autoencoder's folder or file, see `autoencoder.find_vae`.
        half: store matrices and kernels as float16; vectors and the face model keep their precision.
        sizes: of the networks; the released ones when None.

    Returns:
        The report on the released folder.

    Raises:
        InputError: a file cannot be used, or the pack cannot be written.
        Cancelled: the user has asked to stop; finished files are kept for the next run.
    """
    sizes = sizes or Sizes()
    _check_out(folder, out)
    report = check_released(folder, vae, sizes)
    if problems := report.problems():
        raise InputError("\n".join(problems))
    plan, paths = _plan(report, sizes), _paths(report)

    digests = {path: weights.sha256(path) for path in dict.fromkeys(paths.values())}
    made_from = {part: _made_from([digests[paths[name]] for name in file.sources], half) for part, file in plan.items()}
    try:
        _clean_staging(out / STAGING, plan)
        todo = [part for part in plan if not _is_written(out, part, made_from[part])]
        _check_room(out, sum(_size(part, plan[part], half) for part in todo))
        written = {}
        for part in todo:
            precision = _half_precision if half and plan[part].is_network else _own_precision
            header = {MADE_FROM: made_from[part]}
            written[part] = weights.write(out / STAGING / _file_name(part), plan[part].read(), header, precision)
        sources = {
            _place(path, folder): {"sha256": digest, "bytes": path.stat().st_size} for path, digest in digests.items()
        }
        _install(out, plan, written, sources)
    except OSError as error:
        raise InputError(
            f"The pack cannot be written to {out} ({error.strerror or error}); make room or choose another folder, "
            "then run it again: what is finished is kept."
        ) from error
    return report


# -- planning


def _paths(report: FolderReport) -> dict[str, Path]:
    """Name in the report → file, of a report without problems."""
    checked = {**report.files, "vae": report.vae}
    return {name: file.path for name, file in checked.items() if file.path is not None}


def _plan(report: FolderReport, sizes: Sizes) -> dict[str, PackFile]:
    """The pack's files by their parts' names in the manifest, small ones first."""
    files, paths = report.files, _paths(report)

    def state(name: str) -> dict[str, Tensor]:
        return RELEASED_FILES[name].read(paths[name])

    def face_model() -> dict[str, Tensor]:
        model = MorphableModel.from_bfm(paths["bfm"])
        values = {field.name: getattr(model, field.name) for field in fields(model)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def video_unet() -> dict[str, Tensor]:
        return to_diffusers(combine(state("base"), state("motion")))

    def appearance(prefix: str) -> PackFile:
        sources = {"vision": f"{prefix}vision", "identity": "identity", "fuse": f"{prefix}fuse"}
        config = {"vision": files[sources["vision"]].config, "context_dim": sizes.width}

        def read() -> dict[str, Tensor]:
            return {f"{module}.{key}": value for module, name in sources.items() for key, value in state(name).items()}

        return PackFile(tuple(sources.values()), read, {"class": "released", "config": config})

    video = {"cross_attention_dim": sizes.width, **sizes.video, **files["motion"].config}
    vae = {"class": autoencoder.CLASS, "config": sizes.vae}
    plan = {
        "morphable": PackFile(("bfm",), face_model, {"kind": "file"}),
        "regressor": PackFile(("regressor",), partial(state, "regressor"), {"config": {}}),
        "vae": PackFile(("vae",), partial(autoencoder.read_vae, paths["vae"]), vae),
        "appearance": appearance(""),
        "unet": PackFile(("base", "motion"), video_unet, {"class": "video", "config": video}),
    }
    if report.images:
        image = {"cross_attention_dim": sizes.width, **sizes.image}
        plan["picture_appearance"] = appearance("image_")
        plan["picture_unet"] = PackFile(("image",), partial(state, "image"), {"class": "picture", "config": image})
    return plan


def _place(path: Path, folder: Path) -> str:
    """Path of a source in the released folder; of a file elsewhere its name."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _file_name(part: str) -> str:
    """Name of a part's file in the pack."""
    return "bfm.safetensors" if part == "morphable" else f"{part}.safetensors"


def _size(part: str, file: PackFile, half: bool) -> int:
    """Approximate size of a part's file in bytes."""
    if not file.is_network:
        return sum(value.nbytes for value in file.read().values())
    values = build_part(part, file.entry["config"], file.entry.get("class")).state_dict().values()
    return sum(value.numel() for value in values) * (2 if half else 4)


def _own_precision(value: Tensor) -> torch.dtype:
    return value.dtype


def _half_precision(value: Tensor) -> torch.dtype:
    """Half precision for matrices and kernels; vectors are small, and statistics of norms must not be rounded."""
    return torch.float16 if value.is_floating_point() and value.ndim > 1 else value.dtype


# -- the pack's folder


def _check_out(folder: Path, out: Path) -> None:
    """Refuse a folder that holds something else than a converted pack."""
    if os.path.realpath(out) == os.path.realpath(folder):
        raise InputError(f"{out} is the released folder itself; choose another one for the pack.")
    if not out.is_dir():
        if out.exists():
            raise InputError(f"{out} is a file; choose a folder for the pack.")
        return
    try:
        name = read_json(out / MANIFEST).get("name")
    except (OSError, ValueError, AttributeError):
        name = None
    if name != NAME and {path.name for path in out.iterdir()} - {STAGING}:
        raise InputError(f"{out} holds something else; choose an empty or new folder for the pack.")


def _check_room(out: Path, needed: int) -> None:
    """Refuse a disk without room for this many bytes."""
    if needed > (free := shutil.disk_usage(out).free):
        raise InputError(
            f"The pack needs {needed / 1e9:.1f} GB more and {out} has {free / 1e9:.1f} GB left; make room or choose "
            "another folder."
        )


def _clean_staging(staging: Path, plan: dict[str, PackFile]) -> None:
    """Create the sub-folder, or remove what a killed run has left unfinished in it."""
    staging.mkdir(parents=True, exist_ok=True)
    names = {_file_name(part) for part in plan}
    for path in staging.iterdir():
        if path.name not in names:
            path.unlink()


def _install(out: Path, plan: dict[str, PackFile], written: dict[str, dict], sources: dict[str, dict]) -> None:
    """Move the finished files to their places, and write the manifest last."""
    manifest, records = dict[str, Any](SETTINGS), {}
    for part, file in plan.items():
        staged, path = out / STAGING / _file_name(part), out / _file_name(part)
        if staged.is_file():
            os.replace(staged, path)
        manifest[part] = {**file.entry, "file": path.name}
        records[path.name] = written.get(part) or {"sha256": weights.sha256(path), "bytes": path.stat().st_size}
    write_manifest(out, {**manifest, "sources": sources, "files": records})
    for path in (*out.glob("picture_*.safetensors"), *(out / STAGING).iterdir()):
        if path.name not in records:
            path.unlink()
    (out / STAGING).rmdir()


# -- resuming


def _made_from(digests: list[str], half: bool) -> str:
    """Hash of a file's sources and options, for its header."""
    return hashlib.sha256(json.dumps([FORMAT, half, digests]).encode()).hexdigest()


def _is_written(out: Path, part: str, made_from: str) -> bool:
    """True where a part is written from the same sources: in its place, or in the sub-folder.

    A file in the sub-folder that was made from other sources is removed.
    """
    staged = out / STAGING / _file_name(part)
    if _read_made_from(out / _file_name(part)) == made_from:
        staged.unlink(missing_ok=True)
        return True
    if _read_made_from(staged) == made_from:
        return True
    staged.unlink(missing_ok=True)
    return False


def _read_made_from(path: Path) -> str | None:
    """The hash in the header of a whole file; None for others."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(MADE_FROM)
    except (OSError, SafetensorError):
        return None
