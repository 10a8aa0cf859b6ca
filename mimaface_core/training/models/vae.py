"""Stage `vae`: a small autoencoder, trained so that render + D(E(x)) − D(E(render)) is close to the truth x."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import host
from ...diffusion.latents import LATENT_SIDE, build_vae
from ...tensors import channels_last
from ..config import AutoencoderConfig, Precision, VaeConfig
from ..data.dataset import StoredSample, stored_samples
from ..engine.checkpoint import load_averaged
from ..engine.trainer import Trainer
from .pretrained import fill_vae

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

Module = TypeVar("Module", bound=nn.Module)

LATENT_NOISE = 0.03  # σ, on latents of about unit variance, so that small errors of the U-Net stay small
EDGE_LEVELS = 3  # of the pyramid on which edges are compared
EDGE_WEIGHT = 0.35
LATENT_WEIGHT = 0.01  # of the terms that keep latents near zero mean and unit variance
MAX_LATENT = 2.5  # above which latents are penalised
SWAP_SHARE, FLIP_SHARE = 0.25, 0.5  # probabilities of exchanged colour channels, and of a mirrored crop
FOCUS = 1.5  # exponent of the weights by which a crop's centre is drawn


def signed(images: Tensor) -> Tensor:
    """Images in 0–255, of any number type and shape, as float32 in ±1."""
    return images.float() / 127.5 - 1


def load_pairs(data: Path, people: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Targets and renders of stored samples, in memory.

    Args:
        data: folder of the samples.
        people: samples that are read, at most.
        frames: frames of each.

    Returns:
        targets and renders, uint8 [P, 3, 512, 512], and loss weights [P, 64, 64].
    """
    paths = stored_samples(data)[:people]
    targets, renders, weights = [], [], []
    with host.current().progress(len(paths), "reading images") as progress:
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


def edges(image: Tensor) -> list[Tensor]:
    """Differences of neighbouring pixels, and Laplacian residuals, of an image [N, 3, H, W] at three sizes."""
    differences = []
    for _ in range(EDGE_LEVELS):
        small = F.avg_pool2d(image, 2)
        differences += [
            image[..., 1:] - image[..., :-1],
            image[..., 1:, :] - image[..., :-1, :],
            image - F.interpolate(small, scale_factor=2, mode="nearest"),
        ]
        image = small
    return differences


def reconstruction_loss(image: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Weighted L1 of colours and edges, a scalar.

    Args:
        image: [N, 3, H, W].
        truth: [N, 3, H, W].
        weight: [N, 1, H, W].
    """
    loss = ((image - truth).abs() * weight).mean()
    for a, b in zip(edges(image), edges(truth), strict=True):
        w = F.interpolate(weight, size=a.shape[-2:], mode="bilinear", align_corners=False)
        loss = loss + EDGE_WEIGHT * ((a - b).abs() * w).mean()
    return loss


def crops(images: list[Tensor], weights: Tensor, side: int, batch: int, generator: torch.Generator) -> list[Tensor]:
    """Random crops, the same of each of `images`; some are mirrored, or have their colour channels exchanged.

    Args:
        images: uint8 [P, 3, S, S] each.
        weights: [P, s, s], by which the crops' centres are drawn.
        side: pixels of a crop.
        batch: B, number of crops.
        generator: of the random numbers.

    Returns:
        crops [B, 3, side, side] in ±1 of each of `images`, then their weights [B, 1, side, side].
    """
    size, step = images[0].shape[-1], images[0].shape[-1] // weights.shape[-1]
    columns: list[list[Tensor]] = [[] for _ in range(len(images) + 1)]
    for _ in range(batch):
        n = int(torch.randint(len(weights), (), generator=generator))
        place = int(torch.multinomial(weights[n].flatten() ** FOCUS, 1, generator=generator))
        x, y = (
            min(max(c * step - side // 2, 0), size - side) // step * step
            for c in (place % weights.shape[-1], place // weights.shape[-1])
        )
        swaps = torch.rand((), generator=generator) < SWAP_SHARE
        channels = torch.randperm(3, generator=generator) if swaps else torch.arange(3)
        flip = [-1] if torch.rand((), generator=generator) < FLIP_SHARE else []
        for k, image in enumerate(images):
            columns[k].append(signed(image[n, :, y : y + side, x : x + side])[channels].flip(flip))
        w = weights[n, None, y // step : (y + side) // step, x // step : (x + side) // step].flip(flip)
        columns[-1].append(F.interpolate(w[None], scale_factor=step, mode="nearest")[0])
    return [torch.stack(column) for column in columns]


class AutoencoderLoss(nn.Module):
    """Loss of the autoencoder on decoded images, and on frames that are the render plus a decoded difference."""

    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, true: Tensor, render: Tensor, weight: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The loss.

        Args:
            true: [N, 3, S, S] in ±1.
            render: [N, 3, S, S] in ±1.
            weight: [N, 1, S, S].
            noise: [2·N, C, s, s], standard normal, for the latents of both.
        """
        both = torch.cat([true, render]).contiguous(memory_format=torch.channels_last)
        latents = self.vae.encode(both).latents
        decoded = self.vae.decode(latents + LATENT_NOISE * noise.to(latents.dtype)).sample
        decoded, latents = decoded.float(), latents.float()
        decoded_true, decoded_render = decoded.chunk(2)
        frame = render + decoded_true - decoded_render
        spread = latents.std((0, 2, 3)) - 1
        regularisation = (
            LATENT_WEIGHT * (latents.mean((0, 2, 3)).square().mean() + spread.square().mean())
            + LATENT_WEIGHT * F.relu(latents.abs() - MAX_LATENT).mean()
        )
        image_loss = reconstruction_loss(decoded, both, torch.cat([weight, weight]))
        return {"loss": image_loss + reconstruction_loss(frame, true, weight) + regularisation}


def train_vae(settings: VaeConfig, precision: Precision, data: Path, out: Path) -> None:
    """Stage `vae`: train the autoencoder, or resume; writes `vae.safetensors` to `out`.

    Args:
        settings: of the stage.
        precision: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.
    """
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    torch.manual_seed(settings.seed)
    vae = channels_last(AutoencoderTiny(**settings.config))
    trainer = Trainer("vae", out, AutoencoderLoss(vae), ("vae",), settings, precision)
    targets, renders, weights = load_pairs(data, settings.people, settings.frames)

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        true, render, weight = crops([targets, renders], weights, settings.crop, settings.batch, generator)
        side = true.shape[-1] // LATENT_SIDE
        noise = torch.randn(2 * len(true), vae.config.latent_channels, side, side, generator=generator)
        return {"true": true, "render": render, "weight": weight, "noise": noise}

    trainer.run(draw)


def load_vae(autoencoder: AutoencoderConfig, pretrained: str | None, folder: Path) -> nn.Module:
    """The autoencoder ready for use: the pretrained one, or the trained one with averaged weights.

    Args:
        autoencoder: its class and arguments.
        pretrained: folder of its weights (`start.vae`), if it is not trained here.
        folder: of `vae.safetensors`, otherwise.

    Raises:
        InputError: the weights are missing or do not fit.
    """
    vae = build_vae(autoencoder.class_name, autoencoder.config)
    if pretrained is not None:
        fill_vae(vae, pretrained)
    else:
        load_averaged(folder / "vae.safetensors", {"vae": vae})
    return channels_last(vae.eval().requires_grad_(False))
