"""From the published folder to a pack: safetensors, part by part, and a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import weights
from ...appearance.tokens_released import ReleasedAppearance
from ...diffusion.latents import build_vae
from ...diffusion.unet_released import build_image_unet, build_video_unet, combine, to_diffusers
from ...errors import InputError
from ...face.d3dfr import CoefficientNetwork
from ...morphable.model import MorphableModel
from ..files import write_manifest
from . import autoencoder
from .check import Report, check_released
from .layout import SOURCES, Sizes

NAME = "released"
FORMAT = "1"  # of the conversion; another one converts everything anew
STAGING = "converting"  # the sub-folder where new files wait for each other
MADE_FROM = "made_from"  # in a file's head: what tells its sources and options
# What the manifest says besides the parts.
MANIFEST = {
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
class Part:
    """A file of the pack.

    sources: the files it is made from. read: gives its tensors. entry: what the manifest says of it besides the
    file. build: its network, made from `entry["config"]`; None for the face model, which is no network and stays in
    full precision.
    """

    sources: tuple[str, ...]
    read: Callable[[], dict[str, Tensor]]
    entry: dict
    build: Callable[[dict], nn.Module] | None = None


def convert_released(
    folder: Path, out: Path, vae: str | Path | None = None, half: bool = False, sizes: Sizes | None = None
) -> Report:
    """Convert the published folder to a pack.

    Everything is checked first. New files are written into a sub-folder and take their places together at the end:
    until then a pack that was there before stays whole, and a run that was stopped goes on with the next file.
    Memory is needed for about the largest source, where that is a pickle of the old kind (5 GB); others are mapped.

    Args:
        folder: the published folder.
        out: the pack's folder: new, empty, or a pack that was converted before.
        vae: the autoencoder's folder or file, see `autoencoder.find_vae`.
        half: store matrices and kernels as float16; vectors and the face model stay as they are.
        sizes: of the networks; as published when None.

    Returns:
        What was found in the published folder.

    Raises:
        InputError: a file cannot be used, or the pack cannot be written.
        Cancelled: the user has asked to stop; what is finished is kept for the next run.
    """
    sizes = sizes or Sizes()
    _check_out(folder, out)
    report = check_released(folder, vae, sizes)
    if problems := report.problems():
        raise InputError("\n".join(problems))
    parts = _plan(report, sizes)

    paths = {name: one.path for name, one in {**report.files, "vae": report.vae}.items()}
    digests = {path: weights.sha256(path) for path in dict.fromkeys(paths.values())}
    made_from = {name: _made_from([digests[paths[s]] for s in part.sources], half) for name, part in parts.items()}
    try:
        (out / STAGING).mkdir(parents=True, exist_ok=True)
        todo = [name for name in parts if not _is_made(out, name, made_from[name])]
        room = sum(_size(parts[name], half) for name in todo)
        if room > (free := shutil.disk_usage(out).free):
            raise InputError(
                f"The pack needs {room / 1e9:.1f} GB more and {out} has {free / 1e9:.1f} GB left; make room or choose "
                "another folder."
            )
        written = {}
        for name in todo:
            part = parts[name]
            precision = _halved if half and part.build else _as_it_is
            head = {MADE_FROM: made_from[name]}
            written[name] = weights.write(out / STAGING / _file(name), part.read(), head, precision)
        used = {
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name: path for path in digests
        }
        sources = {name: {"sha256": digests[path], "bytes": path.stat().st_size} for name, path in used.items()}
        _publish(out, parts, written, sources)
    except OSError as error:
        raise InputError(
            f"The pack cannot be written to {out} ({error.strerror or error}); make room or choose another folder, "
            "then run it again: what is finished is kept."
        ) from error
    return report


def _plan(report: Report, sizes: Sizes) -> dict[str, Part]:
    """The pack's parts by their names in the manifest, small ones first."""
    found = report.files

    def state(name: str) -> dict[str, Tensor]:
        return SOURCES[name].read(found[name].path)

    def face() -> dict[str, Tensor]:
        model = MorphableModel.from_bfm(found["bfm"].path)
        values = {field.name: getattr(model, field.name) for field in fields(model)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def appearance(prefix: str) -> Part:
        sources = {"vision": f"{prefix}vision", "identity": "identity", "fuse": f"{prefix}fuse"}
        config = {"vision": found[sources["vision"]].config, "context_dim": sizes.width}

        def read() -> dict[str, Tensor]:
            return {f"{k}.{key}": value for k, name in sources.items() for key, value in state(name).items()}

        entry = {"class": "released", "config": config}
        return Part(tuple(sources.values()), read, entry, lambda config: ReleasedAppearance(**config))

    video = {"cross_attention_dim": sizes.width, **sizes.video, **found["motion"].config}
    parts = {
        "morphable": Part(("bfm",), face, {"kind": "file"}),
        "regressor": Part(
            ("regressor",), partial(state, "regressor"), {"config": {}}, lambda config: CoefficientNetwork()
        ),
        "vae": Part(
            ("vae",),
            partial(autoencoder.read_vae, report.vae.path),
            {"class": autoencoder.CLASS, "config": sizes.vae},
            partial(build_vae, autoencoder.CLASS),
        ),
        "appearance": appearance(""),
        "unet": Part(
            ("base", "motion"),
            lambda: to_diffusers(combine(state("base"), state("motion"))),
            {"class": "video", "config": video},
            build_video_unet,
        ),
    }
    if report.images:
        picture = {"cross_attention_dim": sizes.width, **sizes.picture}
        parts["picture_appearance"] = appearance("picture_")
        parts["picture_unet"] = Part(
            ("picture",),
            partial(state, "picture"),
            {"class": "picture", "config": picture},
            build_image_unet,
        )
    return parts


def _publish(out: Path, parts: dict[str, Part], written: dict[str, dict], sources: dict[str, dict]) -> None:
    """Put the finished files into their places, and the manifest last."""
    manifest, files = dict(MANIFEST), {}
    for name, part in parts.items():
        fresh, path = out / STAGING / _file(name), out / _file(name)
        if fresh.is_file():
            os.replace(fresh, path)
        manifest[name] = {**part.entry, "file": path.name}
        files[path.name] = written.get(name) or {"sha256": weights.sha256(path), "bytes": path.stat().st_size}
    write_manifest(out, {**manifest, "sources": sources, "files": files})
    for left in (*out.glob("picture_*.safetensors"), *(out / STAGING).iterdir()):
        if left.name not in files:
            left.unlink()
    (out / STAGING).rmdir()


def _file(name: str) -> str:
    """A part's file in the pack."""
    return "bfm.safetensors" if name == "morphable" else f"{name}.safetensors"


def _check_out(folder: Path, out: Path) -> None:
    """Refuse to write where something else is."""
    if out.resolve() == folder.resolve():
        raise InputError(f"{out} is the published folder itself; choose another one for the pack.")
    if not out.is_dir():
        if out.exists():
            raise InputError(f"{out} is a file; choose a folder for the pack.")
        return
    try:
        name = json.loads((out / "manifest.json").read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError, AttributeError):
        name = None
    if name != NAME and {path.name for path in out.iterdir()} - {STAGING}:
        raise InputError(f"{out} holds something else; choose an empty or new folder for the pack.")


def _made_from(digests: list[str], half: bool) -> str:
    """What tells a part's sources and options, for the head of its file."""
    return hashlib.sha256(json.dumps([FORMAT, half, digests]).encode()).hexdigest()


def _is_made(out: Path, name: str, made_from: str) -> bool:
    """Whether a part is there already, from the same sources: in its place, or waiting for the others.

    What waits but was made from other sources is removed.
    """
    waiting = out / STAGING / _file(name)
    if _head(out / _file(name)) == made_from:
        waiting.unlink(missing_ok=True)
        return True
    if _head(waiting) == made_from:
        return True
    waiting.unlink(missing_ok=True)
    return False


def _head(path: Path) -> str | None:
    """What a whole file says that it was made from; None for others."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(MADE_FROM)
    except (OSError, SafetensorError):
        return None


def _size(part: Part, half: bool) -> int:
    """About how many bytes a part's file will have."""
    if part.build is None:
        return sum(value.nbytes for value in part.read().values())
    with torch.device("meta"):
        values = part.build(part.entry["config"]).state_dict().values()
    return sum(value.numel() for value in values) * (2 if half else 4)


def _as_it_is(value: Tensor) -> torch.dtype:
    return value.dtype


def _halved(value: Tensor) -> torch.dtype:
    """Half precision for matrices and kernels; vectors take no room, and statistics of norms no rounding."""
    return torch.float16 if value.is_floating_point() and value.ndim > 1 else value.dtype
