"""The watermark found in frames, whatever their scale, turn, shift and mirroring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .pattern import Lattice, lattice
from .payload import CODED_BITS, Payload, decode, encode

_LONGEST_SIDE = 1280  # pixels; larger images are scaled down
_NEAR = 8  # pixels: side of the squares by which an image is evened out
_SHORTEST_PERIOD, _LONGEST_PERIOD = 36.0, 480.0  # pixels
_SCALE_STEP, _TURN_STEP, _MOST_TURN = 0.01, np.radians(0.6), np.radians(6)
_AROUND = 16  # bins of the spectrum: side of the squares above whose mean a wave stands out
_CANDIDATES = 8  # scales and turns at which the phases are looked at, mirrored too
_FINALISTS = 2  # of them that are looked at closely
_STEPS = (0.5, 0.2)  # of looking closely, in those of the search
_SHORTEST_AT_LEVEL = 40.0  # pixels: a longer period is measured in the residual halved, or quartered
_MOST_WEIGHT = 2.0
_SHIFTS = 64  # a period, in the search over shifts
_PLAIN = 0.72  # coherence after which nothing better is sought
# Coherence of the pilot above which there is a mark; see `find_watermark`.
THRESHOLD = 0.64


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        coherence: of the pilot's phases, 0 to 1; chance is about 0.45.
        payload: what the mark says; None where it cannot be read.
        agreement: share of the coded bits that are as the payload's.
        period, turn, mirrored: of the mark in the image: pixels, degrees.
    """

    coherence: float
    payload: Payload | None
    agreement: float
    period: float
    turn: float
    mirrored: bool

    @property
    def certain(self) -> bool:
        """Whether there is a mark, wrong in less than one of a million unmarked files."""
        return self.payload is not None or self.coherence >= THRESHOLD


def find_watermark(frames: Iterable[Tensor]) -> Found:
    """Look for the mark in an image, or in all frames of a video together.

    False alarms: of the pilot, only phases count, relative to the key's, which were drawn at random. In an unmarked
    file, whatever it shows, coherence is therefore the mean of 72 random unit vectors' real parts, weighted and scaled
    to the deviation 1/12. Chernoff's bound with I0(t) ≤ exp(t²/4) gives exp(−72 · 0.64²) = 1.6e-13 for reaching 0.64
    at one place. It is read at 52 scales and turns and 64² shifts, 210,000 places: less than 1e-7 a file. The
    payload's extension and checksum are right by chance once in 2^32 readings, one a file.

    Args:
        frames: uint8 [H, W, 3] of one size.
    """
    total: Tensor | None = None
    for frame in frames:
        total = (0 if total is None else total) + _residual(frame)
    if total is None:
        return Found(0.0, None, 0.0, 0.0, 0.0, False)
    return _Search(total.numpy()).best()


def _residual(frame: Tensor) -> Tensor:
    """Blue against luma [H, W] without its slow parts, evened out: texture weighs no more than a wall."""
    blue = (frame[..., :3].float() @ torch.tensor([-0.169, -0.331, 0.5]))[None, None]
    longest = max(blue.shape[-2:])
    if longest > _LONGEST_SIDE:
        size = [round(side * _LONGEST_SIDE / longest) for side in blue.shape[-2:]]
        blue = F.interpolate(blue, size, mode="bilinear", antialias=True, align_corners=False)
    fine = blue - _near(blue, _NEAR)
    spread = _near(fine.square(), _NEAR).sqrt_() + 0.5
    return (fine / spread).clamp_(-2, 2)[0, 0]


def _near(image: Tensor, side: int) -> Tensor:
    """The mean of each pixel's neighbourhood, from squares of this side."""
    mean = F.avg_pool2d(image, side, ceil_mode=True, count_include_pad=False)
    return F.interpolate(mean, image.shape[-2:], mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class _Place:
    """Where the lattice may lie: pixels a period, turn (radians); shift in periods, and the coherence there."""

    period: float
    turn: float
    mirrored: bool
    coherence: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


class _Search:
    """The search in a residual [H, W] for scale and turn, then for the shift, then for the bits."""

    def __init__(self, residual: np.ndarray) -> None:
        self.residual = residual
        self.lattice: Lattice = lattice()
        # The residual, halved and quartered; with each the distances of its pixels from the image's centre, x and y.
        axes = [np.arange(side, dtype=np.float32) + 0.5 - side / 2 for side in residual.shape[::-1]]
        self.levels = [(residual, axes)]
        for _ in range(2):
            half = F.avg_pool2d(torch.from_numpy(self.levels[-1][0])[None, None], 2)[0, 0].numpy()
            axes = [axis[: len(axis) // 2 * 2].reshape(-1, 2).mean(1) for axis in axes]
            self.levels.append((half, axes))

    def best(self) -> Found:
        near: list[_Place] = []
        for place in self._candidates():
            near.append(self._measured(place.period, place.turn, place))
            if near[-1].coherence >= _PLAIN:
                break
        near.sort(key=lambda one: -one.coherence)
        best: _Place | None = None
        for place in near[:_FINALISTS]:
            for step in _STEPS:
                place = self._closely(place, step)
            if best is None or place.coherence > best.coherence:
                best = place
            if best.coherence >= _PLAIN:
                break
        return Found(0.0, None, 0.0, 0.0, 0.0, False) if best is None else self._read(best)

    def _candidates(self) -> list[_Place]:
        """Periods and turns at which the mark's waves stand out most, each mirrored too."""
        side = 1 << int(np.ceil(np.log2(1.4 * max(self.residual.shape))))
        window = np.sqrt(np.outer(np.hanning(self.residual.shape[0]), np.hanning(self.residual.shape[1])))
        size = torch.from_numpy(np.abs(np.fft.fft2(self.residual * window, (side, side))))[None, None]
        peaks = (size / (_near(size, _AROUND) + 1e-9)).clamp_(max=4)[0, 0].numpy()
        longest = min(_LONGEST_PERIOD, min(self.residual.shape) / 1.2)
        count = int(np.log(longest / _SHORTEST_PERIOD) / _SCALE_STEP) if longest > _SHORTEST_PERIOD else 0
        periods = _SHORTEST_PERIOD * np.exp(_SCALE_STEP * np.arange(count))
        turns = np.arange(-_MOST_TURN, _MOST_TURN + 1e-9, _TURN_STEP)
        scores = np.stack([self._stand_out(peaks, periods, turn) for turn in turns])
        # Against other turns at the same period: where the image itself is loud says nothing.
        scores -= np.median(scores, 0)
        places = []
        for _ in range(_CANDIDATES if scores.size else 0):
            t, p = np.unravel_index(scores.argmax(), scores.shape)
            places += [_Place(float(periods[p]), float(turns[t]), mirrored) for mirrored in (False, True)]
            scores[max(0, t - 2) : t + 3, max(0, p - 2) : p + 3] = -1
        return places

    def _stand_out(self, peaks: np.ndarray, periods: np.ndarray, turn: float) -> np.ndarray:
        # All waves are where they are in the mirrored lattice too.
        side, waves = len(peaks), np.concatenate([self.lattice.pilots, self.lattice.waves])
        at = np.rint(_placed(waves, turn, False)[None] / periods[:, None, None] * side).astype(int)
        values = np.where((np.abs(at) < side // 2).all(-1), peaks[at[..., 1] % side, at[..., 0] % side], 1)
        return values.mean(-1)

    def _closely(self, place: _Place, step: float) -> _Place:
        """The best of a place and its eight neighbours, `step` steps of the search away."""
        found = [
            self._measured(
                place.period * (1 + scale * step * _SCALE_STEP), place.turn + turn * step * _TURN_STEP, place
            )
            for scale in (-1, 0, 1)
            for turn in (-1, 0, 1)
        ]
        return max(found, key=lambda one: one.coherence)

    def _waves(self, numbers: np.ndarray, place: _Place) -> np.ndarray:
        """Fourier coefficients of the residual at these wave numbers of the lattice."""
        at = (_placed(numbers, place.turn, place.mirrored) * (-2 * np.pi / place.period)).astype(np.float32)
        level = int(np.clip(np.log2(place.period / _SHORTEST_AT_LEVEL), 0, len(self.levels) - 1))
        residual, axes = self.levels[level]
        turns_x, turns_y = (at[:, i, None] * axes[i][None] for i in (0, 1))
        real, imaginary = np.cos(turns_x) @ residual.T, np.sin(turns_x) @ residual.T
        cos, sin = np.cos(turns_y), np.sin(turns_y)
        return (real * cos - imaginary * sin).sum(1) + 1j * (real * sin + imaginary * cos).sum(1)

    def _measured(self, period: float, turn: float, near: _Place) -> _Place:
        place = _Place(period, turn, near.mirrored)
        found = self._waves(self.lattice.pilots, place)
        # Each wave counts by its size, but none by much more than the others.
        size = np.abs(found) + 1e-9
        weight = np.minimum(size / size.mean(), _MOST_WEIGHT)
        phases = found / size * (weight / np.linalg.norm(weight)) / self.lattice.pilot_phases
        spectrum = np.zeros((_SHIFTS, _SHIFTS), np.complex64)
        k = self.lattice.pilots
        spectrum[k[:, 1] % _SHIFTS, k[:, 0] % _SHIFTS] = phases
        # ifft2 sums phases · exp(2πi k·t): the mark lies t periods further.
        shifted = np.fft.ifft2(spectrum).real * (_SHIFTS * _SHIFTS / np.sqrt(len(k)))
        v, u = np.unravel_index(shifted.argmax(), shifted.shape)
        return _Place(period, turn, near.mirrored, float(shifted[v, u]), (u / _SHIFTS, v / _SHIFTS))

    def _fine_shift(self, place: _Place) -> np.ndarray:
        """The shift [2] between the steps of the search."""
        found = self._waves(self.lattice.pilots, place) / self.lattice.pilot_phases
        steps = np.linspace(-1, 1, 17) / _SHIFTS
        shifts = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) + place.shift
        sums = (np.exp(2j * np.pi * (shifts @ self.lattice.pilots.T)) @ found).real
        return shifts[sums.argmax()]

    def _read(self, place: _Place) -> Found:
        waves = self.lattice.waves
        turned = np.exp(2j * np.pi * (waves @ self._fine_shift(place)))
        found = self._waves(waves, place) / self.lattice.phases * turned
        # Waves of one length are equally loud without a mark: each counts by how it stands out among them.
        radius = np.hypot(*waves.T).astype(int)
        loud = np.bincount(radius, np.abs(found)) / np.maximum(np.bincount(radius), 1)
        soft = np.bincount(self.lattice.bit, found.real / (loud[radius] + 1e-9), CODED_BITS)
        bits = decode(soft)
        agreement = float((np.sign(soft) == encode(bits)).mean())
        payload = Payload.of_bits(bits)
        return Found(place.coherence, payload, agreement, place.period, float(np.degrees(place.turn)), place.mirrored)


def _placed(numbers: np.ndarray, turn: float, mirrored: bool) -> np.ndarray:
    """Wave numbers of the image as it was, in the image as it is."""
    x, y = numbers[:, 0] * (-1 if mirrored else 1), numbers[:, 1]
    return np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], -1)
