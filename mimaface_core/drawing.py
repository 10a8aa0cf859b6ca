"""From motion to files, one function a step: render → animate → paste_back → write_video."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import checks, host
from .ahead import side_by_side
from .appearance.frames import Appearance, encode_appearance
from .arguments import ANY_MOTION, AUDIO, CROPPED, PACK, SOURCE
from .diffusion.clip_schedule import count_steps
from .diffusion.clips import sample_clips
from .diffusion.kept import KeptClips
from .diffusion.settings import SamplerSettings
from .errors import InputError
from .face.crop import CROP_SIZE, warp
from .face.implicit_source import ImplicitSource
from .face.paste import Paster
from .face.source import SourceFace
from .media.audio import AnyAudio, AudioFile
from .media.frames import STILL_SUFFIXES, check_image
from .media.marks.user import request_consent
from .media.provenance import own_watermark, synthetic_metadata
from .media.rate import exact_rate
from .media.write import VideoWriter
from .motion.stream import MotionStream, batches, first_alone, first_frames
from .motion.track import BUNDLED, MotionTrack
from .packs.pack import ModelPack
from .reprojection.projection import in_pixels
from .tensors import moved, to_float, to_uint8

_log = logging.getLogger(__name__)

PROJECTED, ALBEDO = RENDERS = ("projected", "albedo")
RENDER_BATCH = 6  # frames drawn together
PASTE_BATCH = 4  # full images made together
IMAGE_SIDES = (16, 16384)  # pixels of the longest side

_APPEARANCE = checks.kind(Appearance, remedy="give what encode or the node Encode Appearance returns")
_SETTINGS = checks.kind(SamplerSettings, remedy="give SamplerSettings")
_NOTES = checks.kind(Mapping, remedy="give a dict of texts by name")


@checks.checked(pack=PACK, source=SOURCE, motion=ANY_MOTION, mode=checks.optional(checks.choice(RENDERS)))
def render(
    pack: ModelPack, source: SourceFace, motion: MotionTrack | MotionStream, mode: str | None = None, start: int = 0
) -> Generator[Tensor, None, None]:
    """I_R, the conditioning render of each frame, drawn a few at a time when they are asked for.

    They are drawn, and lie, on the host's device where that is CUDA, else on the CPU: the rasterizer reduces whole
    numbers, which other devices do not. There some frames are drawn ahead, beside each other.

    Args:
        pack: whose face model is drawn.
        source: the person.
        motion: N frames, retargeted to the source.
        mode: `projected`, the photograph re-projected onto the face model, [4, S, S]: RGB in ±1 and the share of the
            photograph that is shown there (see `ReprojectionRenderer.draw`); `albedo`, the shaded face model on black,
            [3, S, S] in ±1. The pack's own when None.
        start: the first frame that is drawn.

    Raises:
        InputError: with the first frame, where the motion belongs to another face model than the pack's.
    """
    mode = mode or pack.render
    motion.check_basis(pack.basis)
    if not torch.allclose(first_frames(motion).coefficients.identity, source.track.coefficients.identity, atol=1e-4):
        _log.warning(
            "The motion is not retargeted to this source and is drawn with the driver's own head; retarget it."
        )
    device = host.current().device if host.current().device.type == "cuda" else torch.device("cpu")
    draw = _renderer(pack, source, mode, device)
    alone = device.type == "cuda" or motion.count <= RENDER_BATCH  # then all of PyTorch's threads draw together
    threads = 1 if alone else host.current().drawing_threads
    skipped = start % RENDER_BATCH  # the same frames are drawn together wherever it starts
    together = batches(motion, RENDER_BATCH, start - skipped)
    together = together if alone or start > skipped else first_alone(together)
    with closing(side_by_side(draw, together, threads)) as drawn:
        for frames in drawn:
            host.current().check_cancelled()
            yield from frames[skipped:]
            skipped = max(0, skipped - len(frames))


def _renderer(pack: ModelPack, source: SourceFace, mode: str, device: torch.device) -> Callable[[MotionTrack], Tensor]:
    """A function that draws a few frames [n, 3 or 4, S, S] on the device."""
    if mode == PROJECTED:
        from .reprojection.kept import renderer_of

        return renderer_of(pack.face, source.crop, source.landmarks, source.track, device).draw
    from .morphable.render import composite_released, render_shaded

    model = pack.morphable
    if pack.basis == BUNDLED:  # the face alone, without the rest of the head
        parts = [pack.face.model.triangles[part] for name, part in pack.face.part_triangles.items() if name != "head"]
        model = replace(model, triangles=torch.cat(parts))
    model = moved(model, device)

    def draw(part: MotionTrack) -> Tensor:
        part = moved(part, device)
        rgb, mask = render_shaded(model, part.coefficients)
        size = source.crop.shape[-1]
        return composite_released(rgb, mask, in_pixels(part, size / CROP_SIZE).alignment, size)

    return draw


@checks.checked(pack=PACK, source=SOURCE, motion=ANY_MOTION)
def transparency(pack: ModelPack, source: SourceFace, motion: MotionTrack | MotionStream) -> Iterator[Tensor]:
    """The alpha [S, S] in 0–1 of each frame of a cut-out's crop, moved along with the head; on the CPU.

    Args:
        pack: the model pack.
        source: the person; nothing comes of one without transparency, or for a pack with another face model than the
            bundled one, which is logged.
        motion: N frames, retargeted to the source.
    """
    if source.alpha is None:
        return
    if pack.basis != BUNDLED:
        _log.warning("This model pack does not move the source's transparency: its result stands on white.")
        return
    from .reprojection.kept import renderer_of

    renderer = renderer_of(pack.face, source.crop, source.landmarks, source.track, torch.device("cpu"))
    alpha = warp(source.alpha[None], source.crop_matrix, source.crop.shape[-1])
    for part in batches(motion, RENDER_BATCH):
        yield from renderer.move(alpha, part)[:, 0]


def with_alpha(frames: Tensor, alphas: Iterator[Tensor]) -> Tensor:
    """Frames [n, S, S, 3] with the next n of `transparency`, if there are, as fourth channel."""
    alpha = list(islice(alphas, len(frames)))
    return torch.cat([frames, torch.stack(alpha)[..., None].to(frames)], -1) if alpha else frames


@checks.checked(pack=PACK, source=SOURCE, motion=ANY_MOTION)
def encode(
    pack: ModelPack, source: SourceFace, motion: MotionTrack | MotionStream, average: bool | None = None
) -> Appearance:
    """The source's appearance, modulated by the motion of each frame (MIA, equation 1).

    Args:
        pack: whose encoder is used.
        source: the person, who is encoded once.
        motion: N frames, retargeted to the source.
        average: whether all frames of a clip share the mean of their contexts; the pack's own way when None.

    Raises:
        InputError: source or motion belong to another face model than the pack's.
    """
    for track in (source.track, motion):
        track.check_basis(pack.basis)
    encoder = pack.stage(motion.count).appearance
    average = pack.averaged if average is None else average
    own = in_pixels(source.track, source.crop.shape[-1] / CROP_SIZE)
    return encode_appearance(encoder, source.crop, own.alignment, motion, average)


@checks.checked(
    pack=PACK,
    source=SOURCE,
    motion=ANY_MOTION,
    settings=checks.optional(_SETTINGS),
    appearance=checks.optional(_APPEARANCE),
)
def animate(
    pack: ModelPack,
    source: SourceFace,
    motion: MotionTrack | MotionStream,
    settings: SamplerSettings | None = None,
    *,
    appearance: Appearance | None = None,
    kept: KeptClips | None = None,
) -> Iterator[Tensor]:
    """The source in motion, drawn by diffusion clip by clip; memory does not grow with the motion's length.

    Args:
        pack: the model pack.
        source: the person.
        motion: N frames, retargeted to the source. One frame is drawn by the pack's image model, if it has one.
        settings: of the sampler; the pack's own (`SamplerSettings.of(pack)`) when None.
        appearance: from `encode`, of the same motion; encoded here when None.
        kept: of `resuming.resumable`: clips of an interrupted run, whose frames are rounded to 8 bits.

    Yields:
        Frames [n, S, S, 3] in 0–1 of each clip, N in all: the animated face crop. Those of a cut-out have a fourth
        channel, their alpha, see `tensors.on_white`.

    Raises:
        InputError: an appearance of another length, or a setting that the pack cannot do.
    """
    about, total = motion.count, None if isinstance(motion, MotionStream) else len(motion)
    appearance = encode(pack, source, motion) if appearance is None else appearance
    if appearance.track.count != about:
        raise InputError(
            f"The appearance was encoded for {appearance.track.count} frames, but the motion has {about};"
            " encode the appearance with the motion that is drawn."
        )
    settings = (settings or SamplerSettings.of(pack)).for_total(about)
    current, stage = host.current(), pack.stage(about)
    with (
        current.load(stage.unet),
        current.load(pack.vae),
        current.progress(count_steps(about, settings), "drawing") as progress,
        closing(render(pack, source, motion, start=0 if kept is None else kept.frames)) as renders,
    ):
        alphas, shown, context = transparency(pack, source, motion), current.previews, appearance.context
        clips = sample_clips(stage, renders, context, total, settings, progress=progress, previews=shown, kept=kept)
        with closing(clips):
            for clip in clips:
                yield with_alpha((clip.permute(0, 2, 3, 1) + 1) / 2, alphas)


@checks.checked(source=CROPPED, longest_side=checks.whole(*IMAGE_SIDES))
def paste_back(
    source: SourceFace | ImplicitSource, frames: Tensor | Iterable[Tensor], longest_side: int = 1920
) -> Iterator[Tensor]:
    """The animated crop returned into the whole photograph, with soft edges and matched colour.

    Args:
        source: whose crop it is.
        frames: batches [n, S, S, 3] in 0–1, as `animate` or `render_implicit` yields them, or frames [S, S, 3].
        longest_side: larger photographs are scaled down to this many pixels.

    Yields:
        Batches [n, H, W, 3] in 0–1, n ≤ PASTE_BATCH; [n, H, W, 4] for frames with an alpha.
    """
    paste = Paster(source, longest_side)
    parts = (part.permute(0, 3, 1, 2) for batch in _batches(frames) for part in to_float(batch).split(PASTE_BATCH))
    yield from side_by_side(paste, parts, host.current().drawing_threads)


def _batches(frames: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
    """Frames [H, W, 3] and batches [n, H, W, 3], of an iterable or single, as batches. Raises InputError for others."""
    if not isinstance(frames, (Tensor, Iterable)):
        raise InputError(f"Frames cannot be {type(frames).__name__}; give tensors [n, height, width, 3].")
    for batch in [frames] if isinstance(frames, Tensor) else frames:
        if not isinstance(batch, Tensor) or batch.ndim not in (3, 4) or batch.shape[-1] not in (3, 4):
            found = list(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
            raise InputError(f"Frames are tensors [n, height, width, 3] or [height, width, 3], not {found}.")
        check_image(batch)
        yield batch if batch.ndim == 4 else batch[None]


@checks.checked(audio=checks.optional(AUDIO), metadata=checks.optional(_NOTES))
def write_video(
    path: str | Path,
    frames: Tensor | Iterable[Tensor],
    fps: float | Fraction,
    *,
    audio: str | Path | AnyAudio | None = None,
    metadata: Mapping[str, Any] | None = None,
    watermark: bool = True,
) -> Path:
    """Write a video, whole or not at all, marked as synthetic.

    Args:
        path: of the file; its suffix chooses .mp4, .webm, .gif, or .png for a single frame.
        frames: batches [n, H, W, 3] or frames [H, W, 3], in 0–1 or uint8; with an alpha as `animate` yields it, png,
            webm and gif keep it.
        fps: frames a second.
        audio: a file, or a waveform, which is cut where the video ends.
        metadata: further entries for the file.
        watermark: whether an invisible mark, which `mimaface detect` finds, is laid into the frames; the metadata say
            where it is not.

    Returns:
        The path.

    Raises:
        InputError: no frame, an unknown suffix, or a file that cannot be written.
    """
    request_consent()
    path = Path(path)
    sound = AudioFile.open(audio) if isinstance(audio, (str, Path)) else audio
    if sound is None and audio is not None and Path(str(audio)).suffix.lower() in STILL_SUFFIXES:
        raise InputError(f"{audio} is an image and has no audio; give an audio file, or a video.")
    kind = path.suffix.lstrip(".").lower()
    mark = own_watermark() if watermark else None
    notes = {**synthetic_metadata(mark), **(metadata or {})}
    with VideoWriter(path, exact_rate(fps), kind, audio=sound, metadata=notes, watermark=mark) as writer:
        for batch in _batches(frames):
            for frame in batch:
                if kind == "png" and writer.frames:
                    raise InputError(
                        f"{path.name} holds one image only; name an .mp4, .webm or .gif for several frames."
                    )
                writer.write((to_uint8(frame) if frame.is_floating_point() else frame).cpu())
    return writer.path
