"""The clip loop: clip-by-clip diffusion of any number of frames, with the memory of one clip."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

from .. import host
from ..ahead import ahead, side_by_side
from ..errors import InputError
from .area import Area
from .clip_schedule import check_schedule, new_frames
from .denoise import denoise_clip
from .kept import LoopState
from .latents import LatentSpace, to_picture
from .schedule import build_scheduler
from .settings import PER_CLIP, SamplerSettings
from .unet import max_clip_frames

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")

ENCODED_MARGIN = 4  # latents around the area that the encoder sees, too


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
) -> Generator[Tensor, None, None]:
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
    check_schedule(total, settings.frames, settings.overlap)
    build_scheduler(settings.scheduler, parts.scheduler, settings.steps)
    shown = _first_shown(renders, progress) if previews and progress is not None else iter(renders)
    return _clips(parts, shown, context, total, settings, progress, previews, kept)


class _Coded(NamedTuple):
    """Renders that a clip is the first to show, [n, 3 or 4, H, W], with their latents [n, C, h, w].

    area: where frames may depart from them; far from it, latents are no numbers. sampling: state of the generator that
    the autoencoder draws from, behind them.
    """

    images: Tensor
    latents: Tensor
    area: Area
    sampling: Tensor


class _Denoised(NamedTuple):
    """A clip's new frames before they are decoded: latents, renders and their latents [n, …], and what comes behind."""

    latents: Tensor
    images: Tensor
    render_latents: Tensor
    area: Area
    state: LoopState


def _clips(
    parts: ClipParts,
    renders: Iterator[Tensor],
    context: Callable[[list[int]], Tensor],
    total: int | None,
    settings: SamplerSettings,
    progress: StepProgress | None,
    previews: bool,
    kept: ClipKeeper | None,
) -> Generator[Tensor, None, None]:
    """Three things at once where frames are light work for a CPU: a clip is decoded, the next denoised, one encoded.

    A single clip has nothing beside it, and takes all of PyTorch's threads.
    """
    state = None if kept is None else kept.state
    if kept is not None and state is not None:
        yield from kept.drawn()
        if progress is not None:
            progress.update(state.clips * settings.steps)
    begun = 0 if state is None else new_frames(state.clips, total, settings)[0]
    several = total is None or total - begun > settings.frames
    with ExitStack() as running:

        def apart(items: Iterator[T]) -> Iterator[T]:
            if not several or _threads(parts.latents) == 1:
                return items
            return running.enter_context(closing(ahead(items, 1, max(1, torch.get_num_threads() // 2))))

        coded = apart(_encoded(parts.latents, renders, total, settings, state))
        for clip in apart(_denoised(parts, coded, context, total, settings, progress, previews, state)):
            frames = _decode(parts.latents, clip)
            if kept is not None:
                kept.add(frames, clip.state)
            yield frames


def _encoded(
    space: LatentSpace, renders: Iterator[Tensor], total: int | None, settings: SamplerSettings, state: LoopState | None
) -> Iterator[_Coded]:
    """The renders of each clip behind `state`, encoded; nothing where they have come to their end."""
    sampling = torch.Generator().manual_seed(settings.seed)
    if state is not None:
        sampling.set_state(state.sampling)
    for number in count(0 if state is None else state.clips):
        start, known, fresh = new_frames(number, total, settings)
        drawn = list(islice(renders, max(0, fresh)))
        if total is not None and len(drawn) < fresh:
            raise InputError(
                f"The renders end after {start + known + len(drawn)} of {total} frames; give one for each frame."
            )
        if not drawn:
            return
        area = space.area(images := torch.stack(drawn))
        yield _Coded(images, _encode(space, images, area, sampling), area, sampling.get_state())


def _denoised(
    parts: ClipParts,
    coded: Iterator[_Coded],
    context: Callable[[list[int]], Tensor],
    total: int | None,
    settings: SamplerSettings,
    progress: StepProgress | None,
    previews: bool,
    state: LoopState | None,
) -> Iterator[_Denoised]:
    """Each clip denoised, the carried latents of the one before in it."""
    current = host.current()
    first, latents, carried = (0, None, None) if state is None else (state.clips, state.latents, state.carried)
    for number, (images, encoded, area, sampling) in enumerate(coded, first):
        start, known, _ = new_frames(number, total, settings)
        last = start + known + len(images) - 1
        indices = [min(index, last) for index in range(start, start + settings.frames)]
        window = encoded
        if carried is not None:  # where the clip before did not encode its last renders, the first new one stands in
            carried = carried.to(encoded.device)
            window = torch.cat([torch.where(carried.isnan(), encoded[:1], carried), encoded])
        window = torch.cat([window, window[-1:].expand(settings.frames - len(window), -1, -1, -1)])
        carried = window[settings.frames - settings.overlap :]

        # Denoise F frames from noise that depends on the seed alone, where the new ones may depart from their renders.
        generator = torch.Generator().manual_seed(settings.seed + (number if settings.noise == PER_CLIP else 0))
        render = rearrange(window, "f c h w -> 1 c f h w")
        noise = torch.randn(render.shape, generator=generator).to(render.device)
        middle = len(images) // 2
        report = _reporter(parts.latents, images[middle], progress, previews)
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
            on_step=lambda estimate, report=report, shown=known + middle: report(estimate[0, :, shown]),  # type: ignore[misc]
            apart=current.low_memory or current.compiles,  # one compiled network for runs with guidance and without
        )

        latents = area.placed(part)
        new = slice(known, known + len(images))
        behind = LoopState(number + 1, latents, carried, sampling)
        yield _Denoised(rearrange(latents, "1 c f h w -> f c h w")[new], images, window[new], area, behind)


@torch.no_grad()
def _encode(space: LatentSpace, images: Tensor, area: Area, generator: torch.Generator) -> Tensor:
    """Latents [n, C, h, w] of renders [n, 3 or 4, H, W] in an area and a little around it; farther, no numbers."""
    seen, scale = area.grown(ENCODED_MARGIN), images.shape[-1] // area.size[1]

    def encoded(batch: Tensor) -> Tensor:
        host.current().check_cancelled()
        return space.encode(seen.cut(batch, scale), generator)

    coded = side_by_side(encoded, images[:, :3].split(space.batch), _threads(space))
    return seen.placed(torch.cat(list(coded)), torch.nan)


@torch.no_grad()
def _decode(space: LatentSpace, clip: _Denoised) -> Tensor:
    """The clip's new frames, decoded a batch at a time, renders outside the area: [n, 3, H, W] on the CPU."""
    batches = [tensor.split(space.batch) for tensor in (clip.latents, clip.images, clip.render_latents)]
    area = clip.area

    def decoded(batch: tuple[Tensor, ...]) -> Tensor:
        host.current().check_cancelled()
        part, render, coded = batch
        scale = render.shape[-1] // part.shape[-1]
        drawn = space.to_frames(area.cut(part), area.cut(render, scale), area.cut(coded)).cpu()
        if drawn.shape[-2:] != render.shape[-2:]:
            whole = render[:, :3].float().cpu().clamp(-1, 1)
            area.cut(whole, scale).copy_(drawn)
            drawn = whole
        return drawn

    return torch.cat(list(side_by_side(decoded, zip(*batches, strict=True), _threads(space))))


def _threads(space: LatentSpace) -> int:
    """Frames that are coded beside each other."""
    return host.current().drawing_threads if space.light else 1


def _first_shown(renders: Iterable[Tensor], progress: StepProgress) -> Iterator[Tensor]:
    """The renders, the first of which is a preview before anything is denoised."""
    for number, render in enumerate(renders):
        if not number:
            progress.update(0, preview=to_picture(render[:3].float()))
        yield render


def _reporter(
    space: LatentSpace, render: Tensor, progress: StepProgress | None, previews: bool
) -> Callable[[Tensor], None]:
    """Reports each step of one clip by the latents of the frame of a render; a cancel ends the clip here."""

    def report(estimate: Tensor) -> None:
        host.current().check_cancelled()
        if progress is None:
            return
        image = space.preview(estimate, render) if previews else None
        progress.update(1, preview=image)

    return report
