"""Sound in memory and sound in files, both read block by block."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ..errors import InputError
from .container import LONGEST_PAUSE, Source, is_cover, name_of, opened

_log = logging.getLogger(__name__)

# Samples in the longest packet of the usual codecs (HE-AAC).
_LONGEST_PACKET = 2048


@dataclass(frozen=True)
class Audio:
    """Sound in memory: `waveform` [C, T] in ±1, time 0 being the first video frame, and `sample_rate` in Hz.

    Raises InputError for another shape or an impossible rate.
    """

    waveform: Tensor
    sample_rate: int

    def __post_init__(self):
        if self.sample_rate <= 0:
            raise InputError(
                f"A sound with {self.sample_rate} samples a second is not possible; give its true rate, such as 44100."
            )
        if self.waveform.ndim != 2 or not self.waveform.shape[0]:
            raise InputError(f"A sound of shape {list(self.waveform.shape)} is not possible; give channels × samples.")

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return self.waveform.shape[0]

    def blocks(self) -> Iterator[Tensor]:
        """The sound in float32 blocks [C, n] of at most a second."""
        for block in self.waveform.split(self.sample_rate, dim=1):
            if block.shape[1]:
                yield block.float().cpu()


class AudioFile:
    """The first sound track of a video or sound file, decoded anew at each reading. Made by `AudioFile.open`.

    `source` is what was opened; `sample_rate` in Hz; `channels`. Time 0 is the first video frame: sound that
    starts later begins with silence, sound that starts earlier is cut. Damaged sound ends, with a logged
    warning, before the damage.
    """

    def __init__(self, source: Source, sample_rate: int, channels: int):
        self.source, self.sample_rate, self.channels = source, sample_rate, channels

    @classmethod
    def open(cls, source: Source) -> "AudioFile | None":
        """Opens a path or the bytes of a file and decodes the beginning; None where there is no sound.

        Raises InputError when the file is missing or no media file.
        """
        for sample_rate, block in _decoded(source):
            return cls(source, sample_rate, block.shape[0])
        return None

    def blocks(self) -> Iterator[Tensor]:
        """The sound in float32 blocks [C, n] of about a second."""
        pieces, length = [], 0
        for _, piece in _decoded(self.source):
            pieces.append(piece)
            length += piece.shape[1]
            if length >= self.sample_rate:
                yield torch.cat(pieces, dim=1)
                pieces, length = [], 0
        if pieces:
            yield torch.cat(pieces, dim=1)


# Both have `sample_rate`, `channels` and `blocks`.
AnyAudio = Audio | AudioFile


def read_audio(source: Source) -> Audio | None:
    """The whole sound of a file, as `AudioFile` reads it; None where there is none."""
    file = AudioFile.open(source)
    return file and Audio(torch.cat(list(file.blocks()), dim=1), file.sample_rate)


def _decoded(source: Source) -> Iterator[tuple[int, Tensor]]:
    """Sample rate and the sound in pieces as the codec packs them, float32 [C, n], from time 0 on."""
    name = name_of(source, "the sound")
    with opened(source, name) as container:
        if not container.streams.audio:
            return
        track = container.streams.audio[0]
        films = [film for film in container.streams.video if not is_cover(film) and film.start_time is not None]
        start = films[0].start_time * films[0].time_base if films else None
        late = None
        for sample_rate, begin, piece in _trimmed(container, track, name):
            if late is None:
                late = begin - start if start is not None else 0
                late = round(late * sample_rate) if abs(late) < LONGEST_PAUSE else 0
                if late > 0:
                    yield sample_rate, piece.new_zeros(piece.shape[0], late)
            cut = min(max(-late, 0), piece.shape[1])
            late += cut
            if cut < piece.shape[1]:
                yield sample_rate, piece[:, cut:]


def _trimmed(container, track, name: str) -> Iterator[tuple[int, Fraction, Tensor]]:
    """The pieces of `_frames` without the silence that fills up the last packet of an mp4."""
    pieces = _frames(container, track, name)
    if "mp4" not in container.format.name or not track.duration:
        yield from pieces
        return
    count, held = 0, []
    for sample_rate, begin, piece in pieces:
        # the file knows where the sound really ends; what comes behind that only counts if it is long
        inside = max(0, min(round(track.duration * track.time_base * sample_rate) - count, piece.shape[1]))
        count += piece.shape[1]
        if inside:
            yield sample_rate, begin, piece[:, :inside]
        if inside < piece.shape[1]:
            held.append((sample_rate, begin, piece[:, inside:]))
        if sum(rest.shape[1] for _, _, rest in held) >= _LONGEST_PACKET:
            yield from held
            held = []
            break
    yield from pieces


def _frames(container, track, name: str) -> Iterable[tuple[int, Fraction, Tensor]]:
    """Sample rate, time of the track's first sample in seconds, and the next samples as float32 [C, n]."""
    import av

    planar, begin = av.AudioResampler(format="fltp"), None
    try:
        for frame in container.decode(track):
            if begin is None:
                sample_rate, begin = frame.sample_rate, Fraction(frame.pts or 0) * track.time_base
            for part in planar.resample(frame):
                yield sample_rate, begin, torch.from_numpy(part.to_ndarray())
    except (av.FFmpegError, ValueError) as error:
        _log.warning("The sound of %s is damaged; what comes before is used (%s).", name, error)
