"""Runs that can be resumed: what decides the frames of one, and where its finished clips are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from . import checks, host
from .appearance.frames import Appearance
from .arguments import ANY_MOTION, PACK, SOURCE
from .diffusion.kept import KeptClips, kept_clips
from .diffusion.settings import SamplerSettings
from .face.source import SourceFace
from .media.provenance import VERSION
from .motion.stream import MotionStream, first_frames
from .motion.track import MotionTrack
from .packs.pack import ModelPack


@checks.checked(pack=PACK, source=SOURCE, motion=ANY_MOTION)
def resumable(
    pack: ModelPack,
    source: SourceFace,
    motion: MotionTrack | MotionStream,
    settings: SamplerSettings,
    appearance: Appearance,
) -> AbstractContextManager[KeptClips | None]:
    """A context with the finished clips of a run, for `drawing.animate`; see `kept_clips`.

    They lie in the host's folder of interrupted runs, and are taken up unless the host is told to begin anew.

    Args:
        pack: the model pack.
        source: the person.
        motion: N frames, retargeted to the source.
        settings: of the sampler.
        appearance: of the same motion.
    """
    current = host.current()

    def moved(frames: int) -> str:
        if not isinstance(motion, MotionStream):
            return ""
        try:
            return _moved(motion[list(range(frames))])
        except IndexError:
            return "it ends before"

    key = run_key(pack, source, motion, settings, appearance)
    return kept_clips(current.unfinished_folder(), key, current.resumes, moved)


def run_key(
    pack: ModelPack,
    source: SourceFace,
    motion: MotionTrack | MotionStream,
    settings: SamplerSettings,
    appearance: Appearance,
) -> str:
    """A hash of everything that decides the frames; runs of equal keys have equal frames on the CPU.

    Of a stream it knows the first frames only; `kept_clips` compares the later ones.
    """
    current = host.current()
    summed = hashlib.sha256()
    machine = [VERSION, torch.__version__, current.device.type, current.dtype, current.low_memory]
    for value in [*machine, settings, appearance.average, motion.basis, *pack.stamps]:
        summed.update(f"{value}\n".encode())
    shown = [source.crop, source.crop_matrix, source.landmarks, source.alpha, appearance.tokens]
    tracks = [source.track, first_frames(appearance.track), first_frames(motion)]
    for tensor in [*shown, *(tensor for track in tracks for tensor in _tensors(track))]:
        summed.update(b"none" if tensor is None else _content(tensor))
    return summed.hexdigest()[:32]


def _moved(track: MotionTrack) -> str:
    """A hash of a track."""
    return hashlib.sha256(b"".join(_content(tensor) for tensor in _tensors(track))).hexdigest()[:32]


def _tensors(track: MotionTrack) -> Iterable[Tensor]:
    return track.coefficients.values, track.gaze, track.alignment, track.visible


def _content(tensor: Tensor) -> bytes:
    plain = tensor.detach().cpu().contiguous()
    return f"{plain.dtype} {list(plain.shape)}".encode() + plain.view(torch.uint8).numpy().tobytes()
