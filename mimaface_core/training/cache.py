"""Latents of the training data, coded once by the trained autoencoder, and their scale."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import host
from ..diffusion.latents import LatentSpace
from .dataset import StoredSample, stored_samples
from .vae import load_vae

SOURCE_SIDE = 224


@dataclass(frozen=True)
class Latents:
    """Coded frames of P persons; frames of one person follow each other.

    render, target [K, 4, 64, 64] half; motion [K, 71]; weight [K, 64, 64] half; person [K] long; source uint8
    [P, 3, 224, 224]; clips [C, F] long: the rows that are a whole clip each.
    """

    render: Tensor
    target: Tensor
    motion: Tensor
    weight: Tensor
    person: Tensor
    source: Tensor
    clips: Tensor

    def sources(self, rows: Tensor) -> Tensor:
        """Source crops [B, 3, 224, 224] in ±1 of rows [B]."""
        return self.source[self.person[rows]].float() / 127.5 - 1

    @property
    def scale(self) -> float:
        """Brings the residual, where it counts, to unit variance."""
        weight = self.weight.float()[:, None] - 0.45
        residual = self.target.float() - self.render.float()
        return float((weight.sum() * residual.shape[1] / (weight * residual.square()).sum()).sqrt())


def _key(out: Path) -> str:
    return hashlib.sha256((out / "vae.safetensors").read_bytes()).hexdigest()[:16]


def code_latents(config: dict, data: Path, out: Path) -> None:
    """Code every person that is not yet coded by this autoencoder, into `out`/latents."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    folder, key, settings = out / "latents", _key(out), config["latents"]
    folder.mkdir(parents=True, exist_ok=True)
    space = LatentSpace(load_vae(config, out), "residual", 1.0)
    paths = stored_samples(data)[: settings["people"]]
    with host.current().progress(len(paths), "coding pictures") as progress:
        for number, path in enumerate(paths):
            progress.update()
            goal = folder / path.name
            if goal.is_file():
                with safe_open(str(goal), "pt") as file:
                    if (file.metadata() or {}).get("vae") == key:
                        continue
            sample = StoredSample(path)
            whole = number < settings["clips"]
            frames = list(range(sample.frames)) if whole else [(number + k * sample.frames // settings["frames"]) % sample.frames for k in range(settings["frames"])]
            tensors = {"motion": sample.motion[frames], "weight": sample.weight[frames].half()}
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=settings["autocast"]):
                for kind in ("render", "target"):
                    pictures = torch.stack([sample.picture(kind, frame) for frame in frames]).float() / 127.5 - 1
                    tensors[kind] = space.encode(pictures).half()
            small = F.interpolate(sample.source()[None].float(), (SOURCE_SIDE, SOURCE_SIDE), mode="bicubic", antialias=True)
            tensors["source"] = small.clamp(0, 255).round().byte()[0]
            part = goal.with_name(goal.name + ".part")
            save_file({k: v.contiguous() for k, v in tensors.items()}, part, {"vae": key, "whole": str(int(whole))})
            os.replace(part, goal)


def load_latents(out: Path, first: int = 0, last: int | None = None) -> Latents:
    """The coded persons first…last (as slices count), or all."""
    from safetensors import safe_open

    parts: dict[str, list[Tensor]] = {name: [] for name in ("render", "target", "motion", "weight", "person", "source")}
    clips, row = [], 0
    for number, path in enumerate(stored_samples(out / "latents")[first:last]):
        with safe_open(str(path), "pt") as file:
            for name in ("render", "target", "motion", "weight", "source"):
                parts[name].append(file.get_tensor(name))
            whole = (file.metadata() or {})["whole"] == "1"
        n = len(parts["motion"][-1])
        parts["person"].append(torch.full((n,), number))
        if whole:
            clips.append(torch.arange(row, row + n))
        row += n
    source = torch.stack(parts.pop("source"))
    joined = {name: torch.cat(values) for name, values in parts.items()}
    return Latents(**joined, source=source, clips=torch.stack(clips) if clips else torch.zeros(0, 0, dtype=torch.long))
