"""Latents of the training data: encoded once into a folder, mapped from its files when they are read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import host
from ...diffusion.latents import LatentSpace
from ...errors import InputError
from ..config import LatentsConfig
from ..data.dataset import StoredSample, stored_samples
from ..engine.checkpoint import read_checkpoint, written
from .vae import signed

SOURCE_SIDE = 224  # pixels of source and views
CACHE_FORMAT = 2
SCALE_SAMPLES = 400  # samples from which the residual's scale is taken
BACKGROUND_WEIGHT = 0.45  # subtracted from loss weights, so that the background hardly counts in the scale
# Of the loss of residuals: where frames are the renders whatever is learned, and in addition where they are free.
FIXED_SHARE, FREE_SHARE = 0.1, 1.8
FRAME_TENSORS = ("render", "target", "motion", "weight")


@dataclass(frozen=True)
class Latents:
    """Encoded samples, mapped to their files: they take memory when they are read.

    Attributes:
        samples: each with `render` and `target` [N, C, h, w] half, `motion` [N, 71], `weight` [N, h, w] half, `source`
            uint8 [3, 224, 224] and `views` uint8 [V, 3, 224, 224], other images of the person.
        person: [S], the identity number of each sample.
        rows: [K, 2], sample and frame of every encoded frame.
        clips: [C], samples with all their frames.
        paths: the samples' files.
        pack: the tensors of all samples one after another, where they lie in a device's memory.
    """

    samples: list[dict[str, Tensor]]
    person: Tensor
    rows: Tensor
    clips: Tensor
    paths: list[Path]
    pack: dict[str, Tensor] = field(default_factory=dict)

    def frames(self, rows: Tensor, names: tuple[str, ...] = FRAME_TENSORS) -> dict[str, Tensor]:
        """Tensors of single frames.

        Args:
            rows: [B, 2], sample and frame.
            names: of the tensors.

        Returns:
            [B, …] each, float32.
        """
        if self.pack:
            first = (self.rows[:, 1] == 0).nonzero()[:, 0]  # row of each sample's first frame
            places = (first[rows[:, 0]] + rows[:, 1]).to(self.pack["motion"].device)
            return {name: self.pack[name][places].float() for name in names}
        return {
            name: torch.stack([self.samples[sample][name][frame] for sample, frame in rows.tolist()]).float()
            for name in names
        }

    def clip(self, samples: Tensor, starts: Tensor, count: int) -> dict[str, Tensor]:
        """Tensors of clips.

        Args:
            samples: [B].
            starts: [B], first frames.
            count: F, frames of a clip.

        Returns:
            [B, F, …] each, float32.
        """
        places = list(zip(samples.tolist(), starts.tolist(), strict=True))
        return {
            name: torch.stack([self.samples[i][name][t : t + count] for i, t in places]).float()
            for name in FRAME_TENSORS
        }

    def sources(self, samples: Tensor) -> Tensor:
        """Source crops, uint8 [B, 3, 224, 224], of samples [B]."""
        if self.pack:
            return self.pack["source"][samples.to(self.pack["source"].device)]
        return torch.stack([self.samples[i]["source"] for i in samples.tolist()])

    def views(self, samples: Tensor, generator: torch.Generator) -> Tensor:
        """A random other image of the person of each of samples [B]: uint8 [B, 3, 224, 224]."""
        chosen = []
        for sample in samples.tolist():
            same = (self.person == self.person[sample]).nonzero()[:, 0]
            views = self.samples[int(same[_below(len(same), generator)])]["views"]
            chosen.append(views[_below(len(views), generator)])
        return torch.stack(chosen)

    def near(self, device: torch.device) -> Latents:
        """The same in a GPU's memory, where a batch is gathered at once, if a quarter of what is free holds it."""
        if device.type != "cuda":
            return self
        needed = sum(x.nbytes for sample in self.samples for x in sample.values())
        if needed > torch.cuda.mem_get_info(device)[0] / 4:
            return self
        return self.packed(device)

    def packed(self, device: torch.device) -> Latents:
        """The same on a device, the samples' tensors being parts of one for each name."""
        frames = {name: torch.cat([s[name] for s in self.samples]).to(device) for name in FRAME_TENSORS}
        whole = {name: torch.stack([s[name] for s in self.samples]).to(device) for name in ("source", "views")}
        lengths = [len(sample["motion"]) for sample in self.samples]
        parts = {name: x.split(lengths) for name, x in frames.items()} | {name: x.unbind() for name, x in whole.items()}
        samples = [{name: x[number] for name, x in parts.items()} for number in range(len(self.samples))]
        return replace(self, samples=samples, pack=frames | whole)

    def residual_scale(self) -> float:
        """The factor that brings target − render, weighted as in the loss, to unit variance."""
        squares = total = 0.0
        for sample in self.samples[:: max(1, len(self.samples) // SCALE_SAMPLES)]:
            weight = (sample["weight"].float()[:, None] - BACKGROUND_WEIGHT).clamp(min=0)
            residual = sample["target"].float() - sample["render"].float()
            squares += float((weight * residual.square()).sum())
            total += float(weight.sum()) * residual.shape[1]
        return (total / max(squares, 1e-12)) ** 0.5


def _below(count: int, generator: torch.Generator) -> int:
    """A random number from 0 to count − 1."""
    return int(torch.randint(count, (), generator=generator))


def cache_key(vae: nn.Module, settings: LatentsConfig) -> str:
    """Hash of the autoencoder's weights and of the settings on which latents depend."""
    form = [CACHE_FORMAT, settings.size, settings.clips, settings.frames, settings.views]
    digest = hashlib.sha256(json.dumps(form).encode())
    for value in vae.state_dict().values():
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def encode_latents(settings: LatentsConfig, vae: nn.Module, data: Path, folder: Path, bf16: bool) -> str:
    """Encode every sample that is not in the cache yet.

    Args:
        settings: of the latents.
        vae: the autoencoder, moved to the host's device.
        data: folder of the training data.
        folder: of the cache; made when absent.
        bf16: encode in bfloat16.

    Returns:
        The key of autoencoder and settings, see `cache_key`.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    vae = vae.to(host.current().device)
    key = cache_key(vae, settings)
    space = LatentSpace(vae, "picture")
    paths = stored_samples(data)[: settings.people]
    with host.current().progress(len(paths), "encoding images") as progress:
        for number, path in enumerate(paths):
            cached = folder / path.name
            progress.update()
            if cached.is_file():
                with safe_open(str(cached), "pt") as file:
                    if (file.metadata() or {}).get("key") == key:
                        continue
            sample = StoredSample(path)
            tensors = encode_sample(sample, space, settings, number, bf16)
            whole = len(tensors["motion"]) == sample.frames
            with written(cached) as part:
                about = {"key": key, "whole": str(int(whole)), "person": sample.person}
                save_file({k: v.contiguous() for k, v in tensors.items()}, part, about)
    return key


@torch.no_grad()
def encode_sample(
    sample: StoredSample, space: LatentSpace, settings: LatentsConfig, number: int, bf16: bool
) -> dict[str, Tensor]:
    """The tensors of one sample, as `Latents.samples` holds them.

    Args:
        sample: as stored.
        space: the autoencoder.
        settings: of the latents.
        number: of the sample in the data, on which the choice of frames depends.
        bf16: encode in bfloat16.
    """
    frames = list(range(sample.frames))
    if number >= settings.clips:
        frames = _spread(settings.frames, sample.frames, number)
    tensors = {"motion": sample.motion[frames]}
    for kind in ("render", "target"):
        images = _resized(torch.stack([sample.image(kind, frame) for frame in frames]), settings.size)
        with torch.autocast(host.current().device.type, torch.bfloat16, enabled=bf16):
            tensors[kind] = space.encode(signed(images)).half().cpu()
    side = tensors["render"].shape[-1]
    weight = sample.weight[frames]
    if settings.target == "residual":
        weight = weight * (FIXED_SHARE + FREE_SHARE * sample.freedom[frames])
    tensors["weight"] = F.interpolate(weight[:, None], (side, side), mode="area")[:, 0].half()
    views = [(number + k * sample.frames // settings.views) % sample.frames for k in range(settings.views)]
    images = torch.stack([sample.source(), *(sample.image("target", frame) for frame in views)])
    small = _resized(images, SOURCE_SIDE).round().byte()
    return tensors | {"source": small[0], "views": small[1:]}


def _spread(count: int, total: int, offset: int) -> list[int]:
    """At most `count` of `total` frame numbers, evenly spread, shifted by `offset`."""
    return sorted({(offset + k * total // count) % total for k in range(count)})


def _resized(images: Tensor, side: int) -> Tensor:
    """uint8 images [N, 3, S, S] as float32 [N, 3, side, side] in 0–255."""
    images = images.float()
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 255)


def load_latents(folder: Path, key: str, held: int, clip_frames: int) -> tuple[Latents, Latents]:
    """Latents to train on, and those of the first few persons, held out for validation.

    Args:
        folder: of the cache.
        key: from `encode_latents`; files with another key are passed over.
        held: number of held-out people.
        clip_frames: F, the least frames of a clip.

    Raises:
        InputError: nobody is left to train on.
    """
    from safetensors import safe_open

    paths, about = [], []
    for path in stored_samples(folder):
        with safe_open(str(path), "pt") as file:
            entry = file.metadata() or {}
        if entry.get("key") == key:
            paths.append(path)
            about.append(entry)
    people = list(dict.fromkeys(entry["person"] for entry in about))
    if len(people) <= held:
        raise InputError(
            f"The data show {len(people)} of the {held + 1} people that are needed at least, of whom {held} are held "
            "out for validation; add people, or lower latents.held."
        )

    def of(chosen: list[str]) -> Latents:
        numbers = [n for n, entry in enumerate(about) if entry["person"] in chosen]
        samples = [read_checkpoint(paths[n])[0] for n in numbers]
        rows = [(s, frame) for s, sample in enumerate(samples) for frame in range(len(sample["motion"]))]
        lengths = [len(sample["motion"]) for sample in samples]
        clips = [s for s, n in enumerate(numbers) if about[n]["whole"] == "1" and lengths[s] >= clip_frames]
        return Latents(
            samples,
            torch.tensor([people.index(about[n]["person"]) for n in numbers]),
            torch.tensor(rows),
            torch.tensor(clips, dtype=torch.long),
            [paths[n] for n in numbers],
        )

    return of(people[held:]), of(people[:held])
