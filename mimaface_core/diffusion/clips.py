"""The clip loop: clip-by-clip diffusion of any number of frames, with the memory of one clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from .. import host
from ..errors import InputError
from .area import Area
from .denoise import denoise_clip
from .kept import LoopState
from .latents import LatentSpace, to_picture
from .schedule import build_scheduler
from .settings import PER_CLIP, SamplerSettings
from .unet import max_clip_frames

if TYPE_CHECKING:
    from PIL.Image import Image


class ClipParts(Protocol):
    """The parts of a model pack that draw a clip; `scheduler` configures `schedule.build_scheduler`."""

    @property
    def unet(self) -> nn.Module:
        """The motion U-Net, on the device where it shall run."""

    @property
    def latents(self) -> LatentSpace:
        """The autoencoder."""

    @property
    def scheduler(self) -> dict[str, Any]:
        """Prediction type, timestep spacing and betas."""


class StepProgress(Protocol):
    """Progress that is reported after every denoising step; `host.Progress` is one."""

    def update(self, n: int = 1, preview: Image | None = None) -> None:
        """Count `n` steps, and show an image of the clip."""


class ClipKeeper(Protocol):
    """Keeps finished clips, so that a loop resumes behind them; `kept.KeptClips` does so on the disk."""

    state: LoopState | None

    def drawn(self) -> Iterator[Tensor]:
        """The kept frames in order, [n, 3, H, W] in ±1."""

    def add(self, frames: Tensor, state: LoopState) -> None:
        """Keep a clip's new frames [n, 3, H, W] in ±1, and the state behind it."""


def clip_schedule(total: int, frames: int, overlap: int) -> list[list[int]]:
    """Cut a video into overlapping clips of equal length.

    The next clip starts at start + F − k; the tail repeats the last frame, as released. A clip that would
    only repeat frames is left out.

    Args:
        total: frames of the video.
        frames: F, frames of a clip.
        overlap: k, frames that a clip shares with the one before.

    Returns:
        For each clip its F frame indices; the first k are known from the clip before, if there is one.

    Raises:
        InputError: no frame at all, or an overlap that leaves no new frame.

    Example:
        >>> clip_schedule(6, 4, 1)
        [[0, 1, 2, 3], [3, 4, 5, 5]]
    """
    _check_schedule(total, frames, overlap)
    starts = range(0, max(total - overlap, 1), frames - overlap)
    return [[min(index, total - 1) for index in range(start, start + frames)] for start in starts]


def _check_schedule(total: int | None, frames: int, overlap: int) -> None:
    if total is not None and total < 1:
        raise InputError("There is no frame to animate; give a motion of at least one frame.")
    if frames < 1 or not 0 <= overlap < frames:
        raise InputError(f"A clip of {frames} frames cannot carry {overlap}; choose an overlap from 0 to frames - 1.")


def count_steps(total: int, settings: SamplerSettings) -> int:
    """Denoising steps of a whole run, for a progress bar: clips × steps."""
    return len(clip_schedule(total, settings.frames, settings.overlap)) * settings.steps


def sample_clips(
    parts: ClipParts,
    renders: Iterator[Tensor],
    context: Callable[[list[int]], Tensor],
    total: int | None,
    settings: SamplerSettings,
    *,
    progress: StepProgress | None = None,
    previews: bool = True,
    kept: ClipKeeper | None = None,
) -> Iterator[Tensor]:
    """Animate `total` frames clip by clip (inter-clip affinity: the last k latents of a clip condition the next).

    Renders are taken from the iterator only when their clip begins, and nothing older than the carried frames
    is kept.

    Args:
        parts: of the model pack, on the device where they shall run.
        renders: I_R of each frame in order, [3, H, W] in ±1, or [4, H, W] (see `LatentSpace.to_frames`); without those
            of the frames that are kept.
        context: gives the context [F, T, D] (or [1, T, D] for all frames) of a list of frame indices.
        total: number of frames; None for as many as there are renders.
        settings: of the sampler.
        progress: updated after every step of every clip (`count_steps` in all).
        previews: show the first render at once, and the middle frame of the clip at every step.
        kept: where an interrupted run of the same arguments is resumed, and clips are kept.

    Returns:
        An iterator over each clip's new frames [n, 3, H, W] in ±1, float32 on the CPU.

    Raises:
        InputError: at once for a setting out of range; during the run when the renders end too early.
    """
    longest = max_clip_frames(parts.unet)
    if settings.frames > longest:
        raise InputError(f"The pack's U-Net sees at most {longest} frames at once; choose clips no longer than that.")
    _check_schedule(total, settings.frames, settings.overlap)
    build_scheduler(settings.scheduler, parts.scheduler, settings.steps)
    shown = _first_shown(renders, progress) if previews and progress is not None else iter(renders)
    return _clips(parts, shown, context, total, settings, progress, previews, kept)


def _clips(
    parts: ClipParts,
    renders: Iterator[Tensor],
    context: Callable[[list[int]], Tensor],
    total: int | None,
    settings: SamplerSettings,
    progress: StepProgress | None,
    previews: bool,
    kept: ClipKeeper | None,
) -> Iterator[Tensor]:
    current = host.current()
    latents: Tensor | None = None
    carried: Tensor | None = None
    sampling = torch.Generator().manual_seed(settings.seed)
    first = 0
    if kept is not None and kept.state is not None:
        first, latents, carried = kept.state.clips, kept.state.latents, kept.state.carried
        sampling.set_state(kept.state.sampling)
        yield from kept.drawn()
        if progress is not None:
            progress.update(first * settings.steps)
    for number in count(first):
        # Encode the renders that this clip is the first to show.
        known = settings.overlap if number else 0
        start = number * (settings.frames - settings.overlap)
        fresh = settings.frames - known if total is None else min(settings.frames, total - start) - known
        images, encoded = _encode_renders(parts.latents, renders, fresh, sampling)
        last = start + known + len(images) - 1
        if total is not None and len(images) < fresh:
            raise InputError(f"The renders end after {last + 1} of {total} frames; give one for each frame.")
        if not len(images):
            return
        indices = [min(index, last) for index in range(start, start + settings.frames)]
        window = encoded if carried is None else torch.cat([carried.to(encoded.device), encoded])
        window = torch.cat([window, window[-1:].expand(settings.frames - len(window), -1, -1, -1)])
        carried = window[settings.frames - settings.overlap :]

        # Denoise F frames from noise that depends on the seed alone, where the new ones may depart from their renders.
        area = parts.latents.area(images, encoded)
        generator = torch.Generator().manual_seed(settings.seed + (number if settings.noise == PER_CLIP else 0))
        render = rearrange(window, "f c h w -> 1 c f h w")
        noise = torch.randn(render.shape, generator=generator).to(render.device)
        report = _reporter(parts.latents, render, progress, previews)
        part = denoise_clip(
            parts.unet,
            build_scheduler(settings.scheduler, parts.scheduler, settings.steps, render.device),
            area.cut(noise),
            area.cut(render),
            context(indices).to(render.device),
            guidance=settings.guidance,
            previous=None if latents is None else area.cut(latents.to(render.device)),
            overlap=settings.overlap,
            generator=generator,
            on_step=lambda estimate, report=report, area=area: report(area.placed(estimate)),  # type: ignore[misc]
            apart=current.low_memory or current.compiles,  # one compiled network for runs with guidance and without
        )

        latents = area.placed(part)

        # Decode the new frames.
        new = slice(known, known + len(images))
        frames = _decode(parts.latents, rearrange(latents, "1 c f h w -> f c h w")[new], images, window[new], area)
        if kept is not None:
            kept.add(frames, LoopState(number + 1, latents, carried, sampling.get_state()))
        yield frames


@torch.no_grad()
def _encode_renders(
    space: LatentSpace,
    source: Iterator[Tensor],
    fresh: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Take the next renders, as many as there are, and encode them: images [n, 3 or 4, H, W], latents [n, C, h, w]."""
    images, latents = [], []
    for start in range(0, fresh, space.batch):
        host.current().check_cancelled()
        part = list(islice(source, min(space.batch, fresh - start)))
        if part:
            images.append(torch.stack(part))
            latents.append(space.encode(images[-1][:, :3], generator))
    none = [torch.zeros(0)]
    return torch.cat(images or none), torch.cat(latents or none)


@torch.no_grad()
def _decode(space: LatentSpace, latents: Tensor, images: Tensor, render_latents: Tensor, area: Area) -> Tensor:
    """Decode new frames a batch at a time, renders outside the area: [n, 3, H, W] on the CPU."""
    frames = []
    for part, render, coded in zip(
        latents.split(space.batch),
        images.split(space.batch),
        render_latents.split(space.batch),
        strict=True,
    ):
        host.current().check_cancelled()
        scale = render.shape[-1] // part.shape[-1]
        drawn = space.to_frames(area.cut(part), area.cut(render, scale), area.cut(coded)).cpu()
        if drawn.shape[-2:] != render.shape[-2:]:
            whole = render[:, :3].float().cpu().clamp(-1, 1)
            area.cut(whole, scale).copy_(drawn)
            drawn = whole
        frames.append(drawn)
    return torch.cat(frames)


def _first_shown(renders: Iterable[Tensor], progress: StepProgress) -> Iterator[Tensor]:
    """The renders, the first of which is a preview before anything is denoised."""
    for number, render in enumerate(renders):
        if not number:
            progress.update(0, preview=to_picture(render[:3].float()))
        yield render


def _reporter(
    space: LatentSpace, render: Tensor, progress: StepProgress | None, previews: bool
) -> Callable[[Tensor], None]:
    """Reports each step of one clip, with its middle frame as a preview; a cancel ends the clip here."""
    middle = render.shape[2] // 2

    def report(estimate: Tensor) -> None:
        host.current().check_cancelled()
        if progress is None:
            return
        image = space.preview(estimate[0, :, middle], render[0, :, middle]) if previews else None
        progress.update(1, preview=image)

    return report
