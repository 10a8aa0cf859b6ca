"""Stage 1 at work: a source encoded once, motion measured in a clip, frames drawn a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..errors import InputError
from .detail import with_detail
from .generator import REFINE_HALO, Generator, Source
from .motion import ImplicitMotion

ABSOLUTE, RELATIVE = MODES = ("absolute", "relative")
BATCH = 4  # frames at once
TILE = 128  # pixels, side of the refine block's tiles: a 512-pixel frame at once needs half a gigabyte a layer


@torch.no_grad()
def encode_source(generator: Generator, image: Tensor) -> Source:
    """Encode a source image [1, 3, S, S] in ±1, once.

    Raises:
        InputError: the image has another size than the generator's.
    """
    if image.shape[-2:] != (generator.size, generator.size):
        height, width = image.shape[-2:]
        raise InputError(f"This generator draws {generator.size} × {generator.size} pixels, not {width} × {height}.")
    return generator.enc(image)


@torch.no_grad()
def measure_motion(generator: Generator, images: Iterable[Tensor]) -> Iterator[Tensor]:
    """Motion codes [n, K] of batches of images [n, 3, S, S] in ±1."""
    for batch in images:
        yield encode_source(generator, batch).motion


@torch.no_grad()
def render_motion(
    generator: Generator,
    source: Source,
    motion: ImplicitMotion,
    mode: str = ABSOLUTE,
    refine: bool = True,
    detail: Tensor | None = None,
) -> Iterator[Tensor]:
    """The source with the motion's codes, drawn when it is asked for.

    Args:
        generator: of the codes.
        source: one image, from `encode_source`.
        motion: N frames.
        mode: `absolute` takes the codes as they are; `relative` adds their change since the first frame to the
            source's own.
        refine: whether the refine block is run, which takes 98 % of the published network's time.
        detail: the source's own, [1, 3, R, R] from `missing_detail`, which is then carried along in place of the refine
            block.

    Yields:
        Frames [n, 3, S, S], or R × R with detail, in ±1; n ≤ BATCH.

    Raises:
        InputError: an unknown mode, or codes of another generator.
    """
    if mode not in MODES:
        raise InputError(f"Implicit motion can be {' or '.join(MODES)}, not {mode!r}.")
    if motion.codes.shape[1] != generator.dimensions:
        raise InputError(
            f"The motion has {motion.codes.shape[1]} dimensions, but this generator's has {generator.dimensions};"
            " use the generator that it was made for."
        )
    device = source.style.device
    for start in range(0, len(motion), BATCH):
        codes = motion.codes[start : start + BATCH].to(device)
        count = len(codes)
        told = [codes]
        if mode == RELATIVE:
            first = motion.codes[:1].to(device)
            told += [source.motion.expand(count, -1), first.expand(count, -1)]
        features = [feature.expand(count, -1, -1, -1) for feature in source.features]
        drawn = generator.dec.draw(source.style.expand(count, -1), features, told)
        if detail is not None:
            yield with_detail(drawn, detail).clamp(-1, 1)
        else:
            yield (refined(generator, drawn.image) if refine else drawn.image).clamp(-1, 1)


def refined(generator: Generator, frames: Tensor, tile: int = TILE) -> Tensor:
    """Frames [n, 3, S, S] after the refine block, if there is one, tile by tile, as if at once."""
    side, block = frames.shape[-1], generator.dec.refine_block
    if block is None:
        return frames
    result = torch.empty_like(frames)
    for y in range(0, side, tile):
        for x in range(0, side, tile):
            top, left = max(0, y - REFINE_HALO), max(0, x - REFINE_HALO)
            part = block(frames[..., top : y + tile + REFINE_HALO, left : x + tile + REFINE_HALO])
            kept = part[..., y - top : y - top + tile, x - left : x - left + tile]
            result[..., y : y + kept.shape[-2], x : x + kept.shape[-1]] = kept
    return result
