"""Latents of the training data, coded once by the autoencoder into a folder, and read from there as they are needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host
from ...diffusion.latents import LatentSpace
from ...errors import InputError
from ..data.dataset import StoredSample, stored_samples
from ..engine.checkpoint import read_checkpoint, written
from .vae import common, load_vae

SOURCE_SIDE = 224
PRESENT = 1  # form of the cached files
SCALE_SAMPLES = 400  # samples from which the residual's scale is taken


@dataclass(frozen=True)
class Latents:
    """Coded samples, mapped to their files: memory is used as they are read.

    samples: each with render, target [N, C, h, w] half, motion [N, 71], weight [N, h, w] half, source uint8
    [3, 224, 224], views uint8 [V, 3, 224, 224] (other pictures of the person). person [S]: who each sample shows.
    rows [K, 2]: sample and frame of every coded frame. clips [C]: samples of which all frames are coded. paths: their files.
    """

    samples: list[dict[str, Tensor]]
    person: Tensor
    rows: Tensor
    clips: Tensor
    paths: list[Path]

    def frames(
        self, rows: Tensor, names: tuple[str, ...] = ("render", "target", "motion", "weight")
    ) -> dict[str, Tensor]:
        """What is coded of frames: rows [B, 2] to [B, …] each, float32."""
        return {
            name: torch.stack([self.samples[sample][name][frame] for sample, frame in rows.tolist()]).float()
            for name in names
        }

    def clip(self, samples: Tensor, starts: Tensor, count: int) -> dict[str, Tensor]:
        """What is coded of `count` frames of samples [B] from `starts` [B] on: [B, F, …] each, float32."""
        places = list(zip(samples.tolist(), starts.tolist(), strict=True))
        names = ("render", "target", "motion", "weight")
        return {name: torch.stack([self.samples[i][name][t : t + count] for i, t in places]).float() for name in names}

    def sources(self, samples: Tensor) -> Tensor:
        """Source crops, uint8 [B, 3, 224, 224], of samples [B]."""
        return torch.stack([self.samples[i]["source"] for i in samples.tolist()])

    def views(self, samples: Tensor, generator: torch.Generator) -> Tensor:
        """For each of samples [B] another picture of the same person, uint8 [B, 3, 224, 224]."""
        found = []
        for sample in samples.tolist():
            same = (self.person == self.person[sample]).nonzero()[:, 0]
            views = self.samples[int(same[_below(len(same), generator)])]["views"]
            found.append(views[_below(len(views), generator)])
        return torch.stack(found)

    def residual_scale(self) -> float:
        """Brings target − render, where it counts, to unit variance."""
        size = total = 0.0
        for sample in self.samples[:: max(1, len(self.samples) // SCALE_SAMPLES)]:
            weight = (sample["weight"].float()[:, None] - 0.45).clamp(min=0)
            residual = sample["target"].float() - sample["render"].float()
            size += float((weight * residual.square()).sum())
            total += float(weight.sum()) * residual.shape[1]
        return (total / max(size, 1e-12)) ** 0.5


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def code_latents(config: dict, data: Path, out: Path) -> str:
    """Code every sample that is not coded yet, into `out`/latents; returns the key of autoencoder and settings."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    folder, settings = common(config, out) / "latents", config["latents"]
    folder.mkdir(parents=True, exist_ok=True)
    vae = load_vae(config, out).to(host.current().device)
    key = _key(vae, settings)
    space = LatentSpace(vae, "picture")
    paths = stored_samples(data)[: settings["people"]]
    with host.current().progress(len(paths), "coding pictures") as progress:
        for number, path in enumerate(paths):
            goal = folder / path.name
            progress.update()
            if goal.is_file():
                with safe_open(str(goal), "pt") as file:
                    if (file.metadata() or {}).get("key") == key:
                        continue
            sample = StoredSample(path)
            tensors = code_sample(sample, space, settings, number, config["precision"] == "bf16")
            whole = len(tensors["motion"]) == sample.frames
            with written(goal) as part:
                about = {"key": key, "whole": str(int(whole)), "person": sample.person}
                save_file({k: v.contiguous() for k, v in tensors.items()}, part, about)
    return key


def clip_frames(config: dict) -> int:
    """F, the frames of a clip that the U-Net sees at once; a sample may have more."""
    return config["video"].get("frames", config["data"]["frames"])


def _key(vae: torch.nn.Module, settings: dict) -> str:
    """Which autoencoder, by its weights, and which settings latents are of."""
    form = [PRESENT, *(settings[name] for name in ("size", "clips", "frames", "views"))]
    digest = hashlib.sha256(json.dumps(form).encode())
    for value in vae.state_dict().values():
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def code_sample(
    sample: StoredSample, space: LatentSpace, settings: dict, number: int, rounded: bool
) -> dict[str, Tensor]:
    """What `Latents.samples` holds of one sample. number: its place in the data; rounded: in bf16."""
    count, wanted, size = sample.frames, settings["frames"], settings["size"]
    frames = (
        list(range(count))
        if number < settings["clips"]
        else sorted({(number + k * count // wanted) % count for k in range(wanted)})
    )
    tensors = {"motion": sample.motion[frames]}
    for kind in ("render", "target"):
        pictures = _resized(torch.stack([sample.image(kind, frame) for frame in frames]), size)
        with torch.autocast(host.current().device.type, torch.bfloat16, enabled=rounded):
            tensors[kind] = space.encode(pictures / 127.5 - 1).half().cpu()
    side = tensors["render"].shape[-1]
    tensors["weight"] = F.interpolate(sample.weight[frames, None], (side, side), mode="area")[:, 0].half()
    apart = [(number + k * count // settings["views"]) % count for k in range(settings["views"])]
    seen = torch.stack([sample.source(), *(sample.image("target", frame) for frame in apart)])
    small = _resized(seen, SOURCE_SIDE).round().byte()
    return tensors | {"source": small[0], "views": small[1:]}


def _resized(pictures: Tensor, side: int) -> Tensor:
    """uint8 pictures [N, 3, S, S] as float32 [N, 3, side, side] in 0–255."""
    pictures = pictures.float()
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 255)


def load_latents(config: dict, out: Path, key: str) -> tuple[Latents, Latents]:
    """Latents of that key to learn from, and those of the first few persons, kept apart to measure.

    Raises InputError when nobody is left to learn from.
    """
    from safetensors import safe_open

    held, least = config["latents"]["held"], clip_frames(config)
    paths, about = [], []
    for path in stored_samples(common(config, out) / "latents"):
        with safe_open(str(path), "pt") as file:
            entry = file.metadata() or {}
        if entry.get("key") == key:
            paths.append(path)
            about.append(entry)
    people = list(dict.fromkeys(entry["person"] for entry in about))
    if len(people) <= held:
        raise InputError(
            f"The data show {len(people)} of the {held + 1} people that are needed at least, of whom {held} are kept apart "
            "to measure; add people, or lower latents.held."
        )

    def some(chosen: list[str]) -> Latents:
        taken = [n for n, entry in enumerate(about) if entry["person"] in chosen]
        samples = [read_checkpoint(paths[n])[0] for n in taken]
        rows = [(s, frame) for s, sample in enumerate(samples) for frame in range(len(sample["motion"]))]
        clips = [s for s, n in enumerate(taken) if about[n]["whole"] == "1" and len(samples[s]["motion"]) >= least]
        person = [people.index(about[n]["person"]) for n in taken]
        return Latents(
            samples,
            torch.tensor(person),
            torch.tensor(rows),
            torch.tensor(clips, dtype=torch.long),
            [paths[n] for n in taken],
        )

    return some(people[held:]), some(people[:held])
