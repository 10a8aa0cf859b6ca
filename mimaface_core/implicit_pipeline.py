"""IF-MDM from files to frames: load the authors' checkpoints, drive a photograph by a clip or by speech features.

source → encode → drive or speak → render; the counterpart of `pipeline` and `drawing` for implicit motion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from . import host
from .errors import InputError
from .face.crop import crop_matrix, warp
from .face.detect import FaceTracker, face_tracker
from .face.follow import follow, still_landmarks
from .implicit.checkpoint import load_generator, load_transformer
from .implicit.generator import Generator, Source
from .implicit.motion import ImplicitMotion
from .implicit.render import BATCH, MODES, RELATIVE, encode_source, measure_motion, render_motion
from .implicit.speech import SpeakSettings, speak
from .implicit.transformer import MotionTransformer
from .media.frames import Frames
from .tensors import to_float

FACE_SHARE = 0.5  # of the crop's side that the face's box fills, about that of the authors' samples


@dataclass(frozen=True)
class ImplicitModel:
    """IF-MDM's networks.

    Attributes:
        generator: stage 1.
        transformer: stage 2; None where only clips drive.
    """

    generator: Generator
    transformer: MotionTransformer | None = None


def load_implicit(stage1: str | Path, stage2: str | Path | None = None) -> ImplicitModel:
    """The networks from the authors' checkpoints or from safetensors; nothing in them is run.

    Args:
        stage1: the generator's file.
        stage2: the transformer's file, needed for speech.

    Raises:
        InputError: a file is missing, damaged, asks for code, or holds another network.
    """
    transformer = None if stage2 is None else load_transformer(stage2)
    generator = load_generator(stage1)
    if transformer is not None and transformer.dimensions != generator.dimensions:
        raise InputError(
            f"Stage 1 has {generator.dimensions} dimensions of motion, stage 2 {transformer.dimensions};"
            " use checkpoints of one model."
        )
    return ImplicitModel(generator, transformer)


def encode_implicit(model: ImplicitModel, image: str | Path | Tensor, *, tracker: FaceTracker | None = None) -> Source:
    """The face of a photograph, cropped and encoded once.

    Args:
        model: its generator encodes.
        image: a path, or [H, W, 3] in 0–1.
        tracker: finds the face; mediapipe when None.

    Raises:
        InputError: no face is found.
    """
    if isinstance(image, (str, Path)):
        image = to_float(next(iter(Frames.open(image))))
    landmarks = still_landmarks(image, tracker or _tracker())
    return encode_source(model.generator, _crop(model, image, landmarks)[None])


def drive_implicit(
    model: ImplicitModel, clip: str | Path | Frames, *, tracker: FaceTracker | None = None
) -> ImplicitMotion:
    """The motion of the face in a clip, from the first frame that shows it.

    Args:
        model: its generator measures.
        clip: a path, or frames.
        tracker: finds the face; mediapipe when None.

    Raises:
        InputError: no frame shows a face.
    """
    frames = clip if isinstance(clip, Frames) else Frames.open(clip)
    batches = _face_batches(model, frames, tracker or _tracker())
    codes = list(measure_motion(model.generator, batches))
    if not codes:
        raise InputError("No face was found in the clip; use one that shows a face from the front.")
    return ImplicitMotion(torch.cat(codes), frames.fps)


def speak_implicit(
    model: ImplicitModel, source: Source, speech: Iterable[Tensor], settings: SpeakSettings | None = None
) -> Iterator[ImplicitMotion]:
    """Motion of speech, in pieces, as soon as each is ready.

    Args:
        model: with its transformer.
        source: the person, whose motion it begins with.
        speech: features in blocks [2n, 768], two a frame of 25 a second (wav2vec 2.0 or HuBERT, base, as in training).
        settings: of the sampler and of the motion's statistics.

    Raises:
        InputError: the model has no transformer, or features have another shape.
    """
    if model.transformer is None:
        raise InputError("This model has no motion transformer; give load_implicit the checkpoint of stage 2, too.")
    for codes in speak(model.transformer, source.motion[0], speech, settings):
        yield ImplicitMotion(codes)


def render_implicit(
    model: ImplicitModel, source: Source, motion: ImplicitMotion, mode: str = RELATIVE, *, refine: bool = True
) -> Iterator[Tensor]:
    """Frames [n, S, S, 3] in 0–1 of the source with the motion, drawn when they are asked for.

    Args:
        model: its generator draws.
        source: the person.
        motion: N frames.
        mode: `relative` for another person's motion, `absolute` for that of speech.
        refine: whether the refine block is run, which takes most of the time.

    Raises:
        InputError: an unknown mode, or a motion of another generator.
    """
    if mode not in MODES:
        raise InputError(f"Implicit motion can be {' or '.join(MODES)}, not {mode!r}.")
    for frames in render_motion(model.generator, source, motion, mode, refine):
        host.current().check_cancelled()
        yield (frames.permute(0, 2, 3, 1) + 1) / 2


def _tracker() -> FaceTracker:
    return face_tracker(host.current().models_folders())


def _crop(model: ImplicitModel, image: Tensor, landmarks: Tensor) -> Tensor:
    """The face's crop [3, S, S] in ±1 of an image [H, W, 3] in 0–1."""
    size = model.generator.size
    return warp(image.permute(2, 0, 1) * 2 - 1, crop_matrix(landmarks, FACE_SHARE, size), size)


def _face_batches(model: ImplicitModel, frames: Frames, tracker: FaceTracker) -> Iterator[Tensor]:
    """Crops [n, 3, S, S] of the frames, from the first with a face, all cropped where it is."""
    size, matrix, batch = model.generator.size, None, []
    for frame, landmarks, _ in follow(frames, tracker):
        if matrix is None and landmarks is not None:
            matrix = crop_matrix(landmarks, FACE_SHARE, size)
        if matrix is None:
            continue
        batch.append(warp(to_float(frame).permute(2, 0, 1) * 2 - 1, matrix, size))
        if len(batch) == BATCH:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)
