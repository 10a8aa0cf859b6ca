"""Latent space: the autoencoder, and the variable that is diffused in it (the image itself or a residual)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .. import host
from ..errors import InputError
from ..tensors import to_uint8
from .area import LEAST_FREEDOM, Area, free_area, whole_area
from .tiny import TinyCoder

if TYPE_CHECKING:
    from PIL.Image import Image

TARGETS = ("picture", "residual")
LATENT_SIDE = 8  # pixels of a latent's side
GPU_BATCH = 6  # frames coded together on a GPU
AUTOENCODERS = ("AutoencoderTiny", "AutoencoderKL")


def build_vae(name: str, config: dict[str, Any]) -> nn.Module:
    """Build an autoencoder of diffusers.

    Args:
        name: `AutoencoderTiny` or `AutoencoderKL`.
        config: arguments of that class.

    Raises:
        InputError: another class is asked for.
        TypeError, ValueError: the class refuses the configuration.
    """
    import diffusers

    if name not in AUTOENCODERS:
        raise InputError(f"Unknown autoencoder '{name}'; a pack's vae.class is one of {', '.join(AUTOENCODERS)}.")
    return getattr(diffusers, name)(**config)


def to_picture(image: Tensor) -> Image:
    """An image [3, H, W] in ±1 as Pillow has it, to be shown."""
    from PIL import Image

    return Image.fromarray(to_uint8((rearrange(image, "c h w -> h w c") + 1) / 2).cpu().numpy())


class LatentSpace:
    """An autoencoder together with the variable that is diffused in its latents.

    With E and D the encoder and decoder, x a frame and I_R its render:

    - `picture` (released): z = E(x), frame = D(z).
    - `residual` (bundled): r = (E(x) − E(I_R))·scale, frame = I_R + D(E(I_R) + r/scale) − D(E(I_R)). What a
      small autoencoder cannot draw comes from the render; r = 0 gives the render exactly.

    Args:
        vae: `AutoencoderTiny` or `AutoencoderKL`.
        target: `picture` or `residual`.
        scale: brings the residual near unit variance.
        batch: frames coded together; when None two, more on a GPU, or one on a host that is low in memory.
        colour: whether a residual changes colours, or brightness alone (for an autoencoder too small for hues).
        sampled: whether renders are encoded to samples of `AutoencoderKL`'s distribution, as released, or to its mode.
        final: the weights stay as they are, so that `tiny.TinyCoder` may code residuals on a CPU.

    Raises:
        InputError: an unknown target, or a scale that is not positive.
    """

    def __init__(
        self,
        vae: nn.Module,
        target: str = "picture",
        scale: float = 1.0,
        batch: int | None = None,
        colour: bool = True,
        sampled: bool = True,
        final: bool = False,
    ) -> None:
        if target not in TARGETS:
            raise InputError(f"Unknown latent target '{target}'; a pack's latents.target is {' or '.join(TARGETS)}.")
        if not scale > 0:
            raise InputError(f"latents.scale must be positive, not {scale}; correct the pack's manifest.")
        # Convolutions of few channels are about 1.5 times faster this way, on CPU and GPU.
        self.vae: Any = vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in PyTorch's stubs
        self.target, self.scale, self._batch, self.colour, self.sampled = target, scale, batch, colour, sampled
        self._final = final

    @cached_property
    def _tiny(self) -> TinyCoder | None:
        """What codes in the autoencoder's place on a CPU."""
        weight = next(self.vae.parameters())
        if not self._final or self.target == "picture" or weight.device.type != "cpu" or weight.dtype != torch.float32:
            return None
        return TinyCoder.of(self.vae, self.colour, host.current().small_dtype)

    @property
    def light(self) -> bool:
        """Whether a frame is coded on the CPU with so little work that several may be coded beside each other."""
        return self._tiny is not None

    @property
    def batch(self) -> int:
        """Frames coded together."""
        current = host.current()
        few = 1 if current.low_memory or self.light else 2  # two are more than a core's cache holds
        return self._batch or (GPU_BATCH if current.device.type == "cuda" and not current.low_memory else few)

    @property
    def channels(self) -> int:
        """C, the number of latent channels."""
        return self.vae.config.latent_channels

    def encode(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scaled latents of images.

        Args:
            images: [N, 3, H, W] in ±1.
            generator: draws samples of `AutoencoderKL`'s distribution, in a space that is `sampled`; without it the
                latents are the mode.

        Returns:
            [N, C, H/8, W/8], float32.
        """
        from diffusers.models.modeling_outputs import AutoencoderKLOutput

        tiny = self._tiny

        def code(pixels: Tensor) -> Tensor:
            if tiny is not None:
                return tiny.encode(pixels)
            output = self.vae.encode(pixels)
            if not isinstance(output, AutoencoderKLOutput):
                return output.latents
            drawn = self.sampled and generator is not None
            return output.latent_dist.sample(generator) if drawn else output.latent_dist.mode()

        config = self.vae.config
        return (self._run(code, images) - (config.shift_factor or 0.0)) * config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Images [N, 3, 8h, 8w] of scaled latents [N, C, h, w], float32, about ±1 (not clipped)."""
        config = self.vae.config
        raw = latents / config.scaling_factor + (config.shift_factor or 0.0)
        return self._run(lambda part: self.vae.decode(part).sample, raw)

    def to_target(self, images: Tensor, render_latents: Tensor) -> Tensor:
        """The variable that is diffused, for training.

        Args:
            images: [N, 3, H, W] in ±1.
            render_latents: E(I_R), [N, C, h, w] (used by `residual` only).

        Returns:
            z or r, [N, C, h, w].
        """
        z = self.encode(images)
        return z if self.target == "picture" else (z - render_latents) * self.scale

    def to_frames(self, latents: Tensor, renders: Tensor, render_latents: Tensor) -> Tensor:
        """Frames from the diffused variable.

        Args:
            latents: z or r, [N, C, h, w].
            renders: I_R, [N, 3, H, W] in ±1 (used by `residual` only). A fourth channel, in 0–1, is the share of the
                change that each pixel takes.
            render_latents: E(I_R), [N, C, h, w] (used by `residual` only).

        Returns:
            frames [N, 3, H, W] in ±1, float32, on the latents' device.
        """
        if self.target == "picture":
            return self.decode(latents).clamp(-1, 1)
        wanted = render_latents + latents / self.scale
        renders, share = renders[:, :3].to(wanted), renders[:, 3:].to(wanted)
        # The difference first: where both decodes agree it is exactly zero.
        if self._tiny is not None:
            config = self.vae.config
            raw, base = (
                part / config.scaling_factor + (config.shift_factor or 0.0) for part in (wanted, render_latents)
            )
            change = self._tiny.change(raw, base, share > LEAST_FREEDOM if share.numel() else None)
        else:
            change = self.decode(wanted) - self.decode(render_latents)
        if not self.colour and change.shape[1] > 1:
            change = change.mean(1, keepdim=True)
        return (renders + (change * share if share.numel() else change)).clamp(-1, 1)

    def area(self, renders: Tensor) -> Area:
        """Where frames may depart from their renders [N, 3 or 4, H, W]; everywhere where these do not say so."""
        height, width = (side // LATENT_SIDE for side in renders.shape[-2:])
        if self.target == "picture" or renders.shape[1] != 4:
            return whole_area((height, width))
        return free_area(renders[:, 3], (height, width))

    def preview(self, latents: Tensor, render: Tensor) -> Image:
        """A half-size preview of one frame, cheap enough for every step.

        Args:
            latents: z or r, [C, h, w]; of r nothing is shown, which changes the render by little.
            render: I_R, [3 or 4, H, W] in ±1 (used by `residual` only).
        """
        if self.target == "residual":
            return to_picture(F.avg_pool2d(render[:3].float(), 2))
        small = F.avg_pool2d(latents[None], 2) if min(latents.shape[-2:]) >= 2 else latents[None]
        return to_picture(self.decode(small)[0])

    def _run(self, code: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Inputs coded in batches; in float32 from the first overflow of half precision (black frames) on."""
        parts = []
        for part in inputs.split(self.batch):
            weight = next(self.vae.parameters())
            part = part.to(weight.device, weight.dtype).contiguous(memory_format=torch.channels_last)
            output = code(part)
            if weight.dtype == torch.float16 and not torch.isfinite(output).all():
                self.vae.float()
                output = code(part.float())
            parts.append(output.float())
        return torch.cat(parts)
