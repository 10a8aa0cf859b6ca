"""Audio in memory and in files, both read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor

from ..errors import InputError
from .container import (
    LONGEST_PAUSE_SECONDS,
    Source,
    best_stream,
    codecs_of,
    in_seconds,
    name_of,
    open_container,
    packets_of,
    warn_once,
)

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_LONGEST_PACKET = 2048  # samples in the longest packet of the usual codecs (HE-AAC)
_MOST_CHANNELS = 7  # kept as they are; more of them (7.1, ambisonics) are mixed down to one


@dataclass(frozen=True)
class Audio:
    """Audio in memory; time 0 is the first video frame.

    Attributes:
        waveform: [C, T] in ±1.
        sample_rate: in Hz.

    Raises:
        InputError: another shape or an impossible rate.
    """

    waveform: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        if self.sample_rate <= 0:
            raise InputError(
                f"Audio with {self.sample_rate} samples a second is not possible; give its true rate, such as 44100."
            )
        if self.waveform.ndim != 2 or not self.waveform.shape[0]:
            raise InputError(f"Audio of shape {list(self.waveform.shape)} is not possible; give channels × samples.")

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.waveform.shape[0]

    def blocks(self) -> Iterator[Tensor]:
        """The samples in float32 blocks [C, n] of at most a second."""
        for block in self.waveform.split(self.sample_rate, dim=1):
            if block.shape[1]:
                yield block.float().cpu()


class UndecodableAudioError(InputError):
    """A file has audio, but of codecs that cannot be decoded."""


class AudioFile:
    """The audio of a video or audio file, decoded anew in each reading. Made by `AudioFile.open`.

    It is the stream that the file marks as default, or else the first one that can be decoded. Time 0 is the first
    video frame: audio that starts later begins with silence, audio that starts earlier is cut. What is damaged
    becomes silence of its length, with one logged warning. Eight and more channels are mixed down to one.

    Attributes:
        source: path or bytes of the file.
        sample_rate: in Hz.
        channels: number of channels.
    """

    def __init__(
        self, source: Source, sample_rate: int, channels: int, first: int = 0, last: int | None = None
    ) -> None:
        self.source, self.sample_rate, self.channels = source, sample_rate, channels
        self._first, self._last = first, last  # samples between which it is read

    def part(self, start: float, seconds: float) -> AudioFile:
        """The audio of `seconds` from `start`, in seconds; 0 seconds for all from there on."""
        first = round(start * self.sample_rate)
        last = first + round(seconds * self.sample_rate) if seconds else None
        return AudioFile(self.source, self.sample_rate, self.channels, first, last)

    @classmethod
    def open(cls, source: Source) -> AudioFile | None:
        """Open a path or the bytes of a file and decode its beginning; None if it has no audio.

        Raises:
            InputError: the file is missing or no media file.
            UndecodableAudioError: none of its audio can be decoded.
        """
        for sample_rate, block in _decoded(source):
            return cls(source, sample_rate, block.shape[0])
        return None

    def blocks(self) -> Iterator[Tensor]:
        """The samples in float32 blocks [C, n] of about a second."""
        pieces, length, end = [], 0, 0
        for _, whole in _decoded(self.source):
            begin, end = end, end + whole.shape[1]
            piece = whole[:, max(0, self._first - begin) : None if self._last is None else max(0, self._last - begin)]
            if self._last is not None and begin >= self._last:
                break
            pieces.append(piece)
            length += piece.shape[1]
            if length >= self.sample_rate:
                yield torch.cat(pieces, dim=1)
                pieces, length = [], 0
        if length:
            yield torch.cat(pieces, dim=1)


# Both have `sample_rate`, `channels` and `blocks`.
AnyAudio = Audio | AudioFile


def read_audio(source: Source) -> Audio | None:
    """All audio of a file in memory; None if it has none. Raises as `AudioFile.open`."""
    file = AudioFile.open(source)
    return None if file is None else Audio(torch.cat(list(file.blocks()), dim=1), file.sample_rate)


class _Piece(NamedTuple):
    """Decoded samples [C, n], float32, their rate in Hz, and the time of the stream's first sample in seconds."""

    sample_rate: int
    begin: Fraction
    samples: Tensor


def _decoded(source: Source) -> Iterator[tuple[int, Tensor]]:
    """Sample rate and float32 samples [C, n] from time 0 on, in pieces as the codec packs them."""
    name = name_of(source, "the audio")
    with open_container(source, name) as container:
        if not container.streams.audio:
            return
        stream = best_stream(container.streams.audio)
        if stream is None:
            raise UndecodableAudioError(
                f"The audio of {name} is of a codec that cannot be decoded here ({codecs_of(container, 'Audio')}); "
                "convert it to AAC, MP3 or WAV."
            )
        start = _video_start(container)
        offset: int | None = None  # samples by which the audio starts after the video
        for sample_rate, begin, piece in _trimmed(container, stream, source):
            if offset is None:
                seconds = Fraction(0) if start is None else begin - start
                offset = round(seconds * sample_rate) if abs(seconds) < LONGEST_PAUSE_SECONDS else 0
                if offset > 0:
                    yield sample_rate, piece.new_zeros(piece.shape[0], offset)
            cut = min(max(-offset, 0), piece.shape[1])
            offset += cut
            if cut < piece.shape[1]:
                yield sample_rate, piece[:, cut:]


def _video_start(container: InputContainer) -> Fraction | None:
    """Time of the first video frame in seconds; None without a video stream, or where the file does not state it."""
    stream = best_stream(container.streams.video)
    return None if stream is None or stream.start_time is None else in_seconds(stream.start_time, stream)


def _trimmed(container: InputContainer, stream: AudioStream, source: Source) -> Iterator[_Piece]:
    """The pieces of `_pieces` without the silence that fills up the last packet of an mp4."""
    pieces = _pieces(container, stream, source)
    if "mp4" not in container.format.name or not stream.duration:
        yield from pieces
        return
    seconds = in_seconds(stream.duration, stream)
    count, surplus = 0, []
    for sample_rate, begin, piece in pieces:
        # The file states the true end of the audio; what lies behind it only counts if it is long.
        inside = max(0, min(round(seconds * sample_rate) - count, piece.shape[1]))
        count += piece.shape[1]
        if inside:
            yield _Piece(sample_rate, begin, piece[:, :inside])
        if inside < piece.shape[1]:
            surplus.append(_Piece(sample_rate, begin, piece[:, inside:]))
        if sum(rest.samples.shape[1] for rest in surplus) >= _LONGEST_PACKET:
            yield from surplus
            break
    yield from pieces


def _pieces(container: InputContainer, stream: AudioStream, source: Source) -> Iterator[_Piece]:
    """The stream as it is decoded, with silence for what is damaged, which is logged as one warning."""
    import av

    samples, begin, count, faults = _Samples(), None, 0, 0
    lost: Fraction | None = None  # end of the damage, in seconds, until it is filled
    for packet in packets_of(container, stream):
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            frames, faults = [], faults + 1
            if packet.pts is not None:
                lost = in_seconds(packet.pts + (packet.duration or 0), stream)
        for frame in frames:
            if begin is None:
                begin = in_seconds(frame.pts or 0, stream)
            if lost is not None and frame.pts is not None:
                lost = in_seconds(frame.pts, stream)
            try:
                heard = list(samples.of(cast("AudioFrame", frame)))
            except av.FFmpegError:  # of a kind that no sound has
                faults += 1
                continue
            for part in (*samples.silence(lost, begin, count), *heard):
                count += part.shape[1]
                yield _Piece(samples.sample_rate, begin, part)
            lost = None
    if begin is not None:
        for part in (*samples.rest(), *samples.silence(lost, begin, count)):
            yield _Piece(samples.sample_rate, begin, part)
    if faults:
        warn_once(
            source, "The audio of %s is damaged in %d places; there it is silent.", name_of(source, "a file"), faults
        )


class _Samples:
    """Frames as samples [C, n] of the first one's rate and number of channels, whatever changes within the stream."""

    def __init__(self) -> None:
        self.sample_rate, self._channels = 0, 0
        self._kind: tuple[int, int, str] | None = None
        self._resampler: AudioResampler | None = None

    def of(self, frame: AudioFrame) -> Iterator[Tensor]:
        """The samples of a frame, behind what a change of the rate has left over."""
        import av

        kind = (frame.sample_rate, frame.layout.nb_channels, frame.format.name)
        if kind != self._kind:
            yield from self.rest()
            self.sample_rate = self.sample_rate or frame.sample_rate
            # Packed, because PyAV looks for planes beyond the eighth where there are none.
            self._resampler = av.AudioResampler(format="flt", rate=self.sample_rate)
            self._kind = kind
        yield from self._resampled(frame)

    def rest(self) -> Iterator[Tensor]:
        """What the resampler still holds, which is nothing unless the rate has changed."""
        if self._kind is not None and self._kind[0] != self.sample_rate:
            yield from self._resampled(None)

    def silence(self, until: Fraction | None, begin: Fraction, count: int) -> Iterator[Tensor]:
        """Silence up to the time `until`, in seconds, after `count` samples since `begin`."""
        missing = 0 if until is None else round((until - begin) * self.sample_rate) - count
        if self._channels and 0 < missing <= LONGEST_PAUSE_SECONDS * self.sample_rate:
            yield torch.zeros(self._channels, missing)

    def _resampled(self, frame: AudioFrame | None) -> Iterator[Tensor]:
        for part in self._resampler.resample(frame) if self._resampler else ():
            samples = torch.from_numpy(part.to_ndarray()).view(-1, part.layout.nb_channels).t()
            if len(samples) > _MOST_CHANNELS:
                samples = samples.mean(0, keepdim=True)
            self._channels = self._channels or len(samples)
            if len(samples) != self._channels:
                samples = samples.mean(0, keepdim=True).expand(self._channels, -1)
            if samples.shape[1]:
                yield samples.contiguous()
