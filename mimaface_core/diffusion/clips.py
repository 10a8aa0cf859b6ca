"""The clip loop: a generator that animates any number of frames with the memory of one clip."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from .. import host
from ..errors import InputError
from .denoise import denoise_clip
from .latents import LatentSpace
from .schedule import build_scheduler

if TYPE_CHECKING:
    from PIL.Image import Image

NOISES = ("shared", "per clip")


class ClipParts(Protocol):
    """What the loop needs of a model pack; `scheduler` is the config of `schedule.build_scheduler`."""

    unet: nn.Module
    latents: LatentSpace
    scheduler: dict


class StepProgress(Protocol):
    """What the loop tells after every denoising step; `host.Progress` is one."""

    def update(self, n: int = 1, preview: "Image | None" = None) -> None: ...


def clip_schedule(total: int, frames: int, overlap: int) -> list[list[int]]:
    """Cut a video into overlapping clips of equal length.

    The next clip starts at start + F − k; the tail repeats the last frame, as released. A clip that would
    only repeat frames is left out.

    Args:
        total: frames of the video.
        frames: F, frames of a clip.
        overlap: k, frames that a clip shares with the one before.

    Returns:
        For each clip its F frame numbers; the first k are known from the clip before, if there is one.

    Raises:
        InputError: no frame at all, or an overlap that leaves no new frame.

    Example:
        >>> clip_schedule(6, 4, 1)
        [[0, 1, 2, 3], [3, 4, 5, 5]]
    """
    if total < 1:
        raise InputError("There is no frame to animate; give a motion of at least one frame.")
    if frames < 1 or not 0 <= overlap < frames:
        raise InputError(f"A clip of {frames} frames cannot carry {overlap}; choose an overlap from 0 to frames - 1.")
    starts = range(0, max(total - overlap, 1), frames - overlap)
    return [[min(index, total - 1) for index in range(start, start + frames)] for start in starts]


def count_steps(total: int, frames: int, overlap: int, steps: int) -> int:
    """Denoising steps of a whole run, for a progress bar: clips × steps."""
    return len(clip_schedule(total, frames, overlap)) * steps


def sample_clips(
    parts: ClipParts,
    renders: Iterator[Tensor],
    context: Callable[[list[int]], Tensor],
    total: int,
    *,
    frames: int = 12,
    overlap: int = 3,
    steps: int = 25,
    guidance: float = 5.0,
    scheduler: str = "euler",
    seed: int = 0,
    noise: str = "shared",
    progress: StepProgress | None = None,
    previews: bool = True,
) -> Iterator[Tensor]:
    """Animate `total` frames clip by clip.

    Renders are taken from the iterator only when their clip begins, and nothing older than the carried frames
    is kept.

    Args:
        parts: the pack: `.unet`, `.latents` and `.scheduler`, on the device where they shall run.
        renders: yields I_R of each frame in order, [3, H, W] in ±1, or [4, H, W] (see `LatentSpace.to_frames`).
        context: gives the context [F, T, D] (or [1, T, D] for all frames) of a list of frame numbers.
        total: number of frames.
        frames: F, frames of a clip.
        overlap: k, latents carried from clip to clip.
        steps: denoising steps of each clip.
        guidance: classifier-free guidance; 1 halves the work.
        scheduler: `euler`, `ddim` or `lcm`.
        seed: of the initial noise, drawn on the CPU so that devices agree.
        noise: `shared`, the same noise in every clip (as released), or `per clip`.
        progress: told after every step of every clip (`count_steps` in all).
        previews: show the middle frame of the clip at every step.

    Returns:
        An iterator over each clip's new frames [n, 3, H, W] in ±1, float32 on the CPU.

    Raises:
        InputError: at once for a setting out of range; during the run when the renders end too early.
    """
    if guidance < 0 or seed < 0:
        raise InputError("Guidance and seed must not be negative; use guidance 1 for none.")
    if noise not in NOISES:
        raise InputError(f"Unknown noise '{noise}'; choose {' or '.join(NOISES)}.")
    longest = getattr(parts.unet.config, "motion_max_seq_length", 1)  # 1: a U-Net of single pictures
    if frames > longest:
        raise InputError(f"The pack's U-Net sees at most {longest} frames at once; choose clips no longer than that.")
    schedule = clip_schedule(total, frames, overlap)
    build_scheduler(scheduler, parts.scheduler, steps)

    def clips() -> Iterator[Tensor]:
        source = iter(renders)
        latents = kept = None
        sampling = torch.Generator().manual_seed(seed)
        for number, indices in enumerate(schedule):
            # Encode the renders that this clip is the first to show.
            known = overlap if number else 0
            fresh = sorted(set(indices[known:]))
            pictures, encoded = _encode_renders(parts.latents, source, fresh, total, sampling)
            window = encoded if kept is None else torch.cat([kept, encoded])
            window = torch.cat([window, window[-1:].expand(frames - len(window), -1, -1, -1)])
            kept = window[frames - overlap :]

            # Denoise F frames from noise that depends on the seed alone.
            generator = torch.Generator().manual_seed(seed + (number if noise == "per clip" else 0))
            render = window.transpose(0, 1)[None]
            latents = denoise_clip(
                parts.unet,
                build_scheduler(scheduler, parts.scheduler, steps, render.device),
                torch.randn(render.shape, generator=generator).to(render.device),
                render,
                context(indices).to(render.device),
                guidance=guidance,
                previous=latents,
                overlap=overlap,
                generator=generator,
                on_step=_reporter(parts.latents, render, progress, previews),
                apart=host.current().low_memory,
            )

            # Show only what is new.
            new = slice(known, known + len(fresh))
            yield _decode(parts.latents, latents[0].transpose(0, 1)[new], pictures, window[new])

    return clips()


@torch.no_grad()
def _encode_renders(
    space: LatentSpace,
    source: Iterator[Tensor],
    fresh: list[int],
    total: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Take the next renders and encode them: pictures [n, 3 or 4, H, W] and latents [n, C, h, w]."""
    pictures, latents = [], []
    for start in range(0, len(fresh), space.batch):
        host.current().check_cancelled()
        wanted = fresh[start : start + space.batch]
        part = list(islice(source, len(wanted)))
        if len(part) < len(wanted):
            raise InputError(
                f"The renders end after {wanted[0] + len(part)} of {total} frames; give one for each frame."
            )
        pictures.append(torch.stack(part))
        latents.append(space.encode(pictures[-1][:, :3], generator))
    return torch.cat(pictures), torch.cat(latents)


@torch.no_grad()
def _decode(space: LatentSpace, latents: Tensor, pictures: Tensor, render_latents: Tensor) -> Tensor:
    """Decode new frames a batch at a time: [n, 3, H, W] on the CPU."""
    frames = []
    for part, render, coded in zip(
        latents.split(space.batch),
        pictures.split(space.batch),
        render_latents.split(space.batch),
        strict=True,
    ):
        host.current().check_cancelled()
        frames.append(space.to_frames(part, render, coded).cpu())
    return torch.cat(frames)


def _reporter(
    space: LatentSpace, render: Tensor, progress: StepProgress | None, previews: bool
) -> Callable[[Tensor], None]:
    """Tell each step of one clip, if wanted with its middle frame; a cancel ends the clip here."""
    middle = render.shape[2] // 2

    def report(estimate: Tensor) -> None:
        host.current().check_cancelled()
        if progress is None:
            return
        image = space.preview(estimate[0, :, middle], render[0, :, middle]) if previews else None
        progress.update(1, preview=image)

    return report
