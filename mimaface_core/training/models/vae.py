"""Stage `vae`: a small autoencoder on crops of synthetic pictures, so that render + D(E(x)) − D(E(render)) is close to x."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import host
from ...diffusion.latents import build_vae
from ..data.dataset import StoredSample, stored_samples
from ..engine.checkpoint import load_averaged
from ..engine.trainer import Training
from .pretrained import fill_vae

CODE_NOISE = 0.03  # on latents of about unit variance, so that small errors of the U-Net stay small


def load_pairs(data: Path, people: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Targets and renders, uint8 [P, 3, 512, 512], and weights [P, 64, 64], of up to `people` persons, `frames` of each."""
    paths = stored_samples(data)[:people]
    targets, renders, weights = [], [], []
    with host.current().progress(len(paths), "reading pictures") as progress:
        for number, path in enumerate(paths):
            sample = StoredSample(path)
            weight = sample.weight
            for k in range(frames):
                frame = (number + k * max(1, sample.frames // frames)) % sample.frames
                targets.append(sample.image("target", frame))
                renders.append(sample.image("render", frame))
                weights.append(weight[frame])
            progress.update()
    return torch.stack(targets), torch.stack(renders), torch.stack(weights)


def edges(x: Tensor) -> list[Tensor]:
    """Differences of neighbours at three sizes, and what each smaller size leaves out."""
    out = []
    for _ in range(3):
        small = F.avg_pool2d(x, 2)
        out += [
            x[..., 1:] - x[..., :-1],
            x[..., 1:, :] - x[..., :-1, :],
            x - F.interpolate(small, scale_factor=2, mode="nearest"),
        ]
        x = small
    return out


def likeness(made: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """L1 in colour and at edges, weighted by [N, 1, H, W]."""
    loss = ((made - true).abs() * weight).mean()
    for a, b in zip(edges(made), edges(true), strict=True):
        w = F.interpolate(weight, size=a.shape[-2:], mode="bilinear", align_corners=False)
        loss = loss + 0.35 * ((a - b).abs() * w).mean()
    return loss


def crops(pictures: list[Tensor], weights: Tensor, side: int, batch: int, generator: torch.Generator) -> list[Tensor]:
    """The same random crops of each of `pictures` [P, 3, S, S] (uint8 → ±1) and of the weights, flipped and recoloured alike."""
    size, step = pictures[0].shape[-1], pictures[0].shape[-1] // weights.shape[-1]
    out: list[list[Tensor]] = [[] for _ in range(len(pictures) + 1)]
    for _ in range(batch):
        n = int(torch.randint(len(weights), (), generator=generator))
        # a middle drawn towards what counts
        place = int(torch.multinomial(weights[n].flatten() ** 1.5, 1, generator=generator))
        x, y = (
            min(max(c * step - side // 2, 0), size - side) // step * step
            for c in (place % weights.shape[-1], place // weights.shape[-1])
        )
        swap = torch.randperm(3, generator=generator) if torch.rand((), generator=generator) < 0.25 else torch.arange(3)
        flip = [-1] if torch.rand((), generator=generator) < 0.5 else []
        for k, picture in enumerate(pictures):
            crop = picture[n, :, y : y + side, x : x + side].float() / 127.5 - 1
            out[k].append(crop[swap].flip(flip))
        w = weights[n, None, y // step : (y + side) // step, x // step : (x + side) // step].flip(flip)
        out[-1].append(F.interpolate(w[None], scale_factor=step, mode="nearest")[0])
    return [torch.stack(part) for part in out]


class PictureLoss(nn.Module):
    """How unlike the truth pictures are that the autoencoder draws, and frames that are a render plus its difference."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, true: Tensor, render: Tensor, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """true, render [N, 3, S, S] in ±1; weight [N, 1, S, S]; noise, for the latents of both [2N, C, s, s]."""
        both = torch.cat([true, render]).contiguous(memory_format=torch.channels_last)
        code = self.vae.encode(both).latents
        made = self.vae.decode(code + CODE_NOISE * noise.to(code.dtype)).sample
        made, code = made.float(), code.float()
        first, second = made.chunk(2)
        frame = render + first - second
        spread = code.std((0, 2, 3)) - 1
        calm = (
            0.01 * (code.mean((0, 2, 3)).square().mean() + spread.square().mean())
            + 0.01 * F.relu(code.abs() - 2.5).mean()
        )
        return {"loss": likeness(made, both, torch.cat([weight, weight])) + likeness(frame, true, weight) + calm}


def train_vae(config: dict, data: Path, out: Path) -> None:
    """Train or go on training; leaves `vae.safetensors` in `out`."""
    settings = config["vae"]
    torch.manual_seed(settings.get("seed", 0))
    vae = build_vae("AutoencoderTiny", settings["config"]).to(memory_format=torch.channels_last)
    training = Training("vae", out, PictureLoss(vae), ("vae",), config)
    targets, renders, weights = load_pairs(data, settings["people"], settings["frames"])

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        true, render, weight = crops([targets, renders], weights, settings["crop"], settings["batch"], generator)
        noise = torch.randn(
            2 * len(true), vae.config.latent_channels, *(side // 8 for side in true.shape[2:]), generator=generator
        )
        return {"true": true, "render": render, "weight": weight, "noise": noise}

    training.run(draw)


def load_vae(config: dict, out: Path) -> nn.Module:
    """The autoencoder ready for use: the trained one, averaged weights, or the one that the configuration starts from."""
    settings = config["vae"]
    vae = build_vae(vae_class(config), settings["config"])
    if "vae" in config.get("start", {}):
        fill_vae(vae, config["start"]["vae"])
    else:
        load_averaged(common(config, out) / "vae.safetensors", {"vae": vae})
    return vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def common(config: dict, out: Path) -> Path:
    """Where autoencoder and latents lie: in `out`, or in the folder that several trainings share."""
    return Path(config.get("common", out))


def vae_class(config: dict) -> str:
    """diffusers' class of the configuration's autoencoder."""
    return config["vae"].get("class", "AutoencoderTiny")
