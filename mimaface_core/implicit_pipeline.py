"""IF-MDM from files to frames: a photograph driven by a clip or a voice, without a face model.

encode → drive or speak → render; the counterpart of `pipeline` and `drawing` for implicit motion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from . import checks, host
from .arguments import AUDIO, IMPLICIT_MOTION, IMPLICIT_PACK, IMPLICIT_SOURCE
from .audio.pauses import pauses
from .audio.speech import Speech
from .errors import InputError
from .face.crop import crop_matrix, transform_points, warp
from .face.detect import FaceTracker, face_tracker
from .face.extract import measure
from .face.follow import follow, still_landmarks
from .face.implicit_source import ImplicitSource
from .face.source import SourceFace
from .implicit.detail import enlarged, own_flow
from .implicit.eyes import Painted
from .implicit.face_codes import blinking_mean, completed_blinks, motion_codes
from .implicit.local_motion import local_motion
from .implicit.motion import RATE, ImplicitMotion
from .implicit.render import BATCH, MODES, RELATIVE, encode_source, measure_motion, render_motion
from .implicit.speech import POSTURE, SpeakSettings, speak
from .implicit.steering import Steering
from .media.audio import AnyAudio, AudioFile
from .media.frames import Frames
from .media.marks.report import name_marks
from .morphable.bundled.face import bundled_face
from .morphable.bundled.face_mesh import EYE_LANDMARKS
from .packs.find import find_implicit_pack
from .packs.implicit_pack import ImplicitPack
from .pipeline import MOST_FACES
from .reprojection.photo_analysis import analyse_photo
from .tensors import moved, to_float, to_uint8

_FACE = checks.whole(-1, MOST_FACES)


def load_implicit(name: str | Path = "bundled-implicit") -> ImplicitPack:
    """Open a pack for implicit motion; its networks are loaded when they are first used.

    Args:
        name: of a pack (`bundled-implicit`, or a folder in models/mimaface), or a folder. Checkpoints of IF-MDM's
            authors become a pack by `mimaface pack convert`.

    Raises:
        InputError: there is no such pack, its manifest is not usable, or it has a face model.
    """
    return find_implicit_pack(str(name))


@checks.checked(pack=IMPLICIT_PACK, face=_FACE)
def encode_implicit(
    pack: ImplicitPack, image: str | Path | Tensor, *, face: int = -1, tracker: FaceTracker | None = None
) -> ImplicitSource:
    """The face of a photograph, cropped and encoded once.

    Args:
        pack: its generator encodes.
        image: a path, or [H, W, 3] in 0–1.
        face: which one, where there are several: −1 the largest, else counted from the left, 0 the leftmost.
        tracker: finds the face; see `face.detect.face_tracker`; `auto` when None.

    Raises:
        InputError: no face is found.
    """
    if isinstance(image, (str, Path)):
        name_marks(image, "the file")
        image = to_float(next(iter(Frames.open(image))))
    landmarks = still_landmarks(image, tracker or _tracker(), face)
    matrix, crop = _cropped(image, landmarks, pack, pack.image_size)
    _, small = _cropped(image, landmarks, pack, pack.generator.size)
    current, flow, local = host.current(), None, None
    marks = transform_points(matrix, landmarks)
    with current.load(pack.generator), torch.no_grad():
        encoded = encode_source(pack.generator, small[None])
        if pack.movements is not None:
            fitted, track = pack.extractor.still(image, landmarks)
            codes = motion_codes(track, pack.movements)
            encoded = encoded._replace(motion=codes.to(encoded.motion.device))
            local = local_motion(crop, marks, codes[0], pack.movements, _hidden_eyes(fitted, pack.image_size))
        if pack.manifest.image_size is not None:
            flow = own_flow(pack.generator, encoded)
    return ImplicitSource(image, crop, matrix, marks, *moved((encoded, flow, local), "cpu"))


@checks.checked(pack=IMPLICIT_PACK, face=_FACE)
def drive_implicit(
    pack: ImplicitPack, clip: str | Path | Frames, *, face: int = -1, tracker: FaceTracker | None = None
) -> ImplicitMotion:
    """The motion of the face in a clip; frames before the first that shows it are still.

    Args:
        pack: its generator measures, or a tracker where the pack's codes are movements of the face.
        clip: a path, or frames.
        face: which one, as in `encode_implicit`, in the first frame that shows one.
        tracker: finds the face; see `face.detect.face_tracker`; `auto` when None.

    Raises:
        InputError: no frame shows a face.
    """
    if not isinstance(clip, Frames):
        name_marks(clip, "the file")
    frames = clip if isinstance(clip, Frames) else Frames.open(clip)
    if pack.movements is not None:
        opaque = frames.opaque()
        _, track = measure(opaque, opaque.count, opaque.fps, tracker or _tracker(), pack.extractor, face)
        return ImplicitMotion(motion_codes(track, pack.movements), track.fps, pack.groups)
    current = host.current()
    with current.load(pack.generator), current.progress(frames.count, "measuring the motion") as progress:
        crops = _FaceCrops(pack, tracker or _tracker(), face)
        codes = []
        for measured in measure_motion(pack.generator, crops.batches(frames)):
            codes.append(measured)
            progress.update(len(measured))
    if not codes:
        raise InputError("No face was found in the clip; use one that shows a face from the front.")
    codes.insert(0, codes[0][:1].expand(crops.skipped, -1))
    return ImplicitMotion(torch.cat(codes), frames.fps, pack.groups)


@checks.checked(
    pack=IMPLICIT_PACK,
    source=IMPLICIT_SOURCE,
    audio=AUDIO,
    settings=checks.optional(checks.kind(SpeakSettings, remedy="give SpeakSettings")),
    reference=checks.optional(IMPLICIT_MOTION),
)
def speak_implicit(
    pack: ImplicitPack,
    source: ImplicitSource,
    audio: str | Path | AnyAudio,
    settings: SpeakSettings | None = None,
    *,
    reference: ImplicitMotion | None = None,
) -> Iterator[ImplicitMotion]:
    """Motion of a voice at 25 frames a second, in pieces, each as soon as it is ready.

    Args:
        pack: the pack, with a transformer.
        source: the person, whose motion it begins with.
        audio: the voice, or a video with one.
        settings: of the sampler, the motion's statistics, and each group's factor; the pack's own when None.
        reference: another motion of the pack; the statistics are then its own.

    Raises:
        InputError: no audio, no transformer or speech encoder, statistics of another pack, or a factor for a group
            that the pack does not keep apart.
    """
    settings = settings or pack.speaking()
    if reference is not None:
        settings = settings.like(reference)
    spoken = SpokenCodes(pack, source, settings)
    sound = AudioFile.open(audio) if isinstance(audio, (str, Path)) else audio
    if sound is None:
        raise InputError(f"{audio} has no audio to speak with; give a video with audio, or an audio file.")
    network, speech = pack.transformer, Speech.of(sound)
    quiet = _Queue(pauses(speech)) if settings.rest else None
    current = host.current()
    with (
        current.load(network),
        current.progress(speech.frames(RATE), "speaking") as progress,
    ):
        for codes in speak(network, source.posture, pack.speech_features(speech), spoken.settings):
            progress.update(len(codes))
            yield spoken(codes, None if quiet is None else quiet.take(len(codes)))


@checks.checked(
    pack=IMPLICIT_PACK,
    source=IMPLICIT_SOURCE,
    motion=IMPLICIT_MOTION,
    mode=checks.choice(MODES),
)
def render_implicit(
    pack: ImplicitPack,
    source: ImplicitSource,
    motion: ImplicitMotion,
    mode: str = RELATIVE,
    *,
    refine: bool = True,
) -> Iterator[Tensor]:
    """Frames [n, S, S, 3] in 0–1 of the source with the motion, drawn when they are asked for.

    Args:
        pack: its generator draws.
        source: the person.
        motion: N frames.
        mode: `relative` for another person's motion, `absolute` for that of speech.
        refine: whether the refine block is run, where the pack has one; it takes most of the time.

    Raises:
        InputError: an unknown mode, or a motion of another pack.
    """
    current, generator = host.current(), pack.generator
    with current.load(generator), current.progress(len(motion), "drawing") as progress:
        encoded, photograph = moved((source.encoded, source.photograph), current.device)
        for frames in render_motion(generator, encoded, motion, mode, refine, photograph):
            images = (frames.cpu() + 1).div_(2).permute(0, 2, 3, 1)
            preview = Image.fromarray(to_uint8(images[-1]).numpy()) if current.previews else None
            progress.update(len(images), preview)
            yield images


def _hidden_eyes(source: SourceFace, size: int) -> list[Painted]:
    """What a photograph hides of its right and left eye, at a size."""
    photo = analyse_photo(bundled_face(), source.crop, source.landmarks, source.track)
    closed, sclera = (enlarged(layer, size) for layer in (photo.closed[:, :4], photo.without_irises[None]))
    lashes, thickness = photo.lashes
    return [
        Painted(closed[number], sclera[0], photo.textures[name], lashes[number], thickness)
        for number, name in enumerate(EYE_LANDMARKS)
    ]


class SpokenCodes:
    """What is done to the transformer's codes of a source that speaks: blinks completed, each group steered.

    Attributes:
        settings: by which the transformer speaks for this source.
    """

    def __init__(self, pack: ImplicitPack, source: ImplicitSource, settings: SpeakSettings) -> None:
        self._pack, self._source = pack, source
        if pack.movements is not None and isinstance(settings.mean, str) and settings.mean == POSTURE:
            settings = replace(settings, mean=blinking_mean(source.posture))
        self.settings = settings
        self._steering = Steering(pack.groups, settings.factors, source.posture, settings.rest)

    def __call__(self, codes: Tensor, pauses: Tensor | None = None) -> ImplicitMotion:
        """The next codes [n, K] as motion; `pauses` [n], whether nobody speaks, where the settings ask for `rest`."""
        if self._pack.movements is not None:
            codes = completed_blinks(codes, self._source.posture)
        return ImplicitMotion(self._steering(codes, pauses), groups=self._pack.groups)


def _tracker() -> FaceTracker:
    return face_tracker()


def _cropped(image: Tensor, landmarks: Tensor, pack: ImplicitPack, size: int) -> tuple[Tensor, Tensor]:
    """The map [2, 3] to the face's crop of an image [H, W, 3] in 0–1, and the crop [3, size, size] in ±1."""
    matrix = crop_matrix(landmarks, pack.manifest.face_share, size)
    return matrix, warp(image.permute(2, 0, 1) * 2 - 1, matrix, size)


class _FaceCrops:
    """Crops of a clip's frames, all where the face is first seen; `skipped` frames came before."""

    def __init__(self, pack: ImplicitPack, tracker: FaceTracker, face: int) -> None:
        self.pack, self.tracker, self.face, self.skipped = pack, tracker, face, 0

    def batches(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Batches [n, 3, S, S] in ±1."""
        matrix, batch, size = None, [], self.pack.generator.size
        for frame, landmarks, *_ in follow(frames, self.tracker, self.face):
            if matrix is None and landmarks is not None:
                matrix = crop_matrix(landmarks, self.pack.manifest.face_share, size)
            if matrix is None:
                self.skipped += 1
                continue
            batch.append(warp(to_float(frame).permute(2, 0, 1) * 2 - 1, matrix, size))
            if len(batch) == BATCH:
                yield torch.stack(batch)
                batch = []
        if batch:
            yield torch.stack(batch)


class _Queue:
    """Values of blocks, taken in other lengths."""

    def __init__(self, blocks: Iterator[Tensor]) -> None:
        self._blocks, self._waiting = blocks, torch.zeros(0, dtype=torch.bool)

    def take(self, count: int) -> Tensor:
        """The next values [count]; beyond the last it is quiet."""
        while len(self._waiting) < count:
            block = next(self._blocks, None)
            if block is None:
                block = torch.ones(count - len(self._waiting), dtype=torch.bool)
            self._waiting = torch.cat([self._waiting, block])
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken
