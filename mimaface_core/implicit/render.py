"""Stage 1 at work: a source encoded once, motion measured in a clip, frames drawn a few at a time.

All of it runs on the device and in the number type of the generator; float16 is the faster one on a GPU, where bfloat16
loses detail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from .. import host
from ..ahead import side_by_side
from ..errors import InputError
from .detail import Carried, with_local_motion, with_photograph
from .encoder import Source
from .generator import REFINE_HALO, Generator, RefineBlock
from .local_motion import asked_of_head, local_change
from .motion import ImplicitMotion

ABSOLUTE, RELATIVE = MODES = ("absolute", "relative")
BATCH, GPU_BATCH = 4, 8  # frames at once
TILE = 128  # pixels, side of the refine block's tiles where memory is short: a 512-pixel frame takes half a gigabyte
SPARE = 4  # layers of the refine block's activations that must fit into free memory to refine a frame at once


@torch.no_grad()
def encode_source(generator: Generator, image: Tensor) -> Source:
    """Encode a source image [1, 3, S, S] in ±1, once.

    Raises:
        InputError: the image has another size than the generator's.
    """
    if image.shape[-2:] != (generator.size, generator.size):
        height, width = image.shape[-2:]
        raise InputError(f"This generator draws {generator.size} × {generator.size} pixels, not {width} × {height}.")
    return generator.enc(_laid_out(image.to(generator.dec.direction.weight)))


@torch.no_grad()
def measure_motion(generator: Generator, images: Iterable[Tensor]) -> Iterator[Tensor]:
    """Motion codes [n, K], float32 on the CPU, of batches of images [n, 3, S, S] in ±1."""
    for batch in images:
        yield encode_source(generator, batch).motion.float().cpu()


@torch.no_grad()
def render_motion(
    generator: Generator,
    source: Source,
    motion: ImplicitMotion,
    mode: str = ABSOLUTE,
    refine: bool = True,
    photograph: Carried | None = None,
    batch: int | None = None,
) -> Iterator[Tensor]:
    """The source with the motion's codes, drawn when it is asked for.

    Args:
        generator: of the codes.
        source: one image, from `encode_source`.
        motion: N frames.
        mode: `absolute` takes the codes as they are; `relative` adds their change since the first frame to the
            source's own.
        refine: whether the refine block is run, which takes 98 % of the published network's time.
        photograph: the source's, from `detail.carried`, whose pixels are then carried along in place of the refine
            block.
        batch: frames drawn at once; as many as suit the device when None.

    Yields:
        Frames [n, 3, S, S], or R × R with the photograph, in ±1, float32 on the generator's device, n ≤ batch.

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
    weight = generator.dec.direction.weight
    batch = batch or (GPU_BATCH if weight.is_cuda else BATCH)
    # what all frames share: the directions, the start, and the features, which are sampled in single precision
    basis, start = generator.dec.direction.basis().T, source.style.float()
    codes, own = motion.codes.to(weight.device, torch.float32), source.motion.float()
    local = None if photograph is None else photograph.local
    if local is not None:
        codes = codes if mode == ABSOLUTE else own + codes - codes[:1]
        change = local_change(local, codes)
        codes = asked_of_head(local, codes)
    elif mode == RELATIVE:
        start, codes = start + own @ basis, codes - codes[:1]
    features = [feature.float() for feature in source.features]

    def draw(at: int) -> Tensor:
        part = codes[at : at + batch]
        style = (start + part @ basis).to(weight.dtype)
        shared = [feature.expand(len(part), -1, -1, -1) for feature in features]
        if photograph is not None and local is not None:
            flow = generator.dec.flow(style, shared)
            return with_local_motion(flow, photograph, local, change[at : at + batch]).clamp(-1, 1)
        drawn = generator.dec.draw(style, shared)
        if photograph is not None:
            return with_photograph(drawn, photograph).clamp(-1, 1)
        return (refined(generator, drawn.image) if refine else drawn.image).clamp(-1, 1)

    alone = weight.is_cuda or photograph is None or len(codes) <= batch
    yield from side_by_side(draw, range(0, len(codes), batch), 1 if alone else host.current().drawing_threads)


def refined(generator: Generator, frames: Tensor, tile: int | None = None) -> Tensor:
    """Frames [n, 3, S, S] after the refine block, if there is one, as if at once.

    Args:
        generator: whose block it is.
        frames: as `Renderer.coarse` draws them.
        tile: side in pixels of the tiles that are refined one by one; None takes whole frames where there is a GPU with
            memory for them, else TILE.
    """
    side, block = frames.shape[-1], generator.dec.refine_block
    if block is None:
        return frames
    frames = _laid_out(frames)
    tile = tile or (side if _fits(block, frames) else TILE)
    if tile >= side:
        return torch.cat([block(frame) for frame in frames.split(1)])
    result = torch.empty_like(frames)
    for y in range(0, side, tile):
        for x in range(0, side, tile):
            top, left = max(0, y - REFINE_HALO), max(0, x - REFINE_HALO)
            part = block(frames[..., top : y + tile + REFINE_HALO, left : x + tile + REFINE_HALO])
            kept = part[..., y - top : y - top + tile, x - left : x - left + tile]
            result[..., y : y + kept.shape[-2], x : x + kept.shape[-1]] = kept
    return result


def _laid_out(image: Tensor) -> Tensor:
    """An image [n, C, H, W] in the memory layout that convolutions take fastest on its device."""
    return image.contiguous(memory_format=torch.channels_last) if image.is_cuda else image


def _fits(block: RefineBlock, frames: Tensor) -> bool:
    """Whether the refine block's activations for a whole frame fit into the GPU's free memory; never without a GPU."""
    if not frames.is_cuda:
        return False
    layer = block.final_conv.in_channels * frames[0, 0].numel() * block.final_conv.weight.element_size()
    free, _ = torch.cuda.mem_get_info(frames.device)
    kept = torch.cuda.memory_reserved(frames.device) - torch.cuda.memory_allocated(frames.device)
    return SPARE * layer < free + kept
