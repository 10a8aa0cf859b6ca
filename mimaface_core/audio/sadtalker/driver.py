"""The SadTalker audio driver: expressions by audio2exp, head movement by audio2pose, blinks drawn at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from ... import host
from ...morphable.bundled.face import BundledFace
from ...morphable.expression_map import align, expression_map
from ...morphable.model import MorphableModel
from ...motion.rotation import angles_of, rotation_of
from ...motion.track import FaceCoefficients, MotionTrack
from ..checks import check_source, check_style
from ..mel import MEL_RATE, MELS, mel_stream
from ..speech import Speech
from .audio2exp import EXPRESSION, Audio2Exp
from .audio2pose import LATENT, POSE, Audio2Pose
from .audio_encoder import WINDOW_MELS

FPS = Fraction(25)  # frames a second of SadTalker's networks
CHUNK = 25  # video frames that go through the networks at once
_WINDOW_LEAD = 2  # video frames by which an audio window starts before its frame
_SMOOTHING_FRAMES, _SMOOTHING_ORDER = 13, 2  # of the Savitzky–Golay filter over the pose
_BLINK = (0.5, 0.9, 1.0, 0.9, 0.5)  # closure of the lids, frame by frame
_BLINK_INTERVAL = (10, 70)  # frames from one blink to the next: least, and one more than the most
_NO_BLINK_FRAMES = 20  # a recording this short has no blink


@dataclass(frozen=True)
class _BfmPlacement:
    """Place of BFM09 in the tracks' own face model; the default is for tracks that are in BFM09.

    Attributes:
        to_bfm: [64, 64], carries expressions of the face to BFM09's basis: expression @ to_bfm.
        from_bfm: [64, 64], the reverse.
        rotation: [3, 3], carries BFM09's rows of points to the face's: points @ rotation.
        scale: model units of the face in one of BFM09.
        pivot: [3], BFM09's origin, about which the head turns, in the face's model units.
    """

    to_bfm: Tensor
    from_bfm: Tensor
    rotation: Tensor
    scale: float | Tensor
    pivot: Tensor

    @classmethod
    def of(cls, bfm: MorphableModel | None, face: BundledFace | None) -> _BfmPlacement:
        if bfm is None or face is None:
            return cls(torch.eye(EXPRESSION), torch.eye(EXPRESSION), torch.eye(3), 1.0, torch.zeros(3))
        placed = align(bfm, face.model)
        to_bfm, from_bfm = expression_map(face.model, bfm), expression_map(bfm, face.model)
        return cls(to_bfm, from_bfm, placed.rotation, placed.scale, placed.shift)


class _Prediction(NamedTuple):
    """Output of the networks for N frames at 25 a second.

    Attributes:
        expression: [N, 64] in BFM09's basis, absolute, with open lids.
        blink: [64], added by shut lids.
        pose: [N, 6], change from the source: angles in radians and translation.
    """

    expression: Tensor
    blink: Tensor
    pose: Tensor


class SadTalkerDriver:
    """The `AudioDriver` of SadTalker's audio2exp and audio2pose.

    Expressions come in BFM09's basis. For a face with a basis of its own, `bfm` and `face` are given: the source's
    expression is carried to BFM09's basis, what the speech adds to it is carried back, and the head turns about the
    point that it turns about in BFM09.

    Args:
        expression: the expression network, filled.
        pose: the pose network, filled.
        bfm: the Basel face model; None if the tracks are in its basis.
        face: the model whose coefficients the tracks hold; None likewise.
    """

    def __init__(
        self,
        expression: Audio2Exp,
        pose: Audio2Pose,
        bfm: MorphableModel | None = None,
        face: BundledFace | None = None,
    ) -> None:
        self.expression_net, self.pose_net = expression, pose
        for net in (expression, pose):
            net.eval().requires_grad_(False)
        self.placement = _BfmPlacement.of(bfm, face)

    @torch.no_grad()
    def drive(
        self,
        speech: Speech,
        source: MotionTrack,
        fps: Fraction,
        *,
        style: int = 0,
        seed: int = 0,
        pose: float = 1.0,
        lips: float = 1.0,
        blinks: float = 1.0,
    ) -> MotionTrack:
        """Animate the source by speech; see `AudioDriver.drive`.

        The style is SadTalker's pose class. Speech is taken at its own level, as SadTalker was trained on. The gaze
        stays the source's. Other rates than 25 frames a second are interpolated.
        """
        check_style(style)
        check_source(source)
        own = source.coefficients
        # The source in BFM09. Translations belong to SadTalker's own crop: only their changes count.
        reference = own.expression @ self.placement.to_bfm
        facing = angles_of(self.placement.rotation @ rotation_of(own.angles))
        predicted = self._predict(speech, reference, facing, style, seed)

        times = [(i + Fraction(1, 2)) * FPS / fps - Fraction(1, 2) for i in range(speech.frames(fps))]
        shut = torch.tensor(blink_course(len(predicted.expression), seed, blinks))[:, None]
        departure = at_times(lips * (predicted.expression - reference) + shut * predicted.blink, times)
        moved = pose * at_times(smoothed(predicted.pose), times)

        coefficients = self._moved(own, facing, moved).replace(
            expression=own.expression + departure @ self.placement.from_bfm
        )
        count = len(times)
        gaze, alignment = source.gaze.repeat(count, 1), source.alignment.repeat(count, 1, 1)
        visible = torch.ones(count, dtype=torch.bool)
        return MotionTrack(coefficients, gaze, alignment, visible, Fraction(fps), source.basis)

    def _predict(self, speech: Speech, reference: Tensor, facing: Tensor, style: int, seed: int) -> _Prediction:
        """Run both networks.

        Args:
            speech: the voice.
            reference: [1, 64], the source's expression in BFM09's basis.
            facing: [1, 3], its angles in BFM09, radians.
            style: pose class.
            seed: draws the latents of the pose.
        """
        count, here = speech.frames(FPS), host.current()
        device = here.device
        stance = torch.cat([facing, torch.zeros(1, POSE - 3)], 1).to(device)
        reference = reference.to(device)
        noise = torch.Generator().manual_seed(seed)
        expressions, features = [], []
        with (
            here.load(self.expression_net),
            here.load(self.pose_net),
            here.progress(count, "speech to motion") as progress,
        ):
            for mel in mel_windows(mel_stream(speech, normalised=False), count):
                mel = mel.to(device)
                expressions.append(self.expression_net(mel, reference, mel.new_zeros(len(mel))).cpu())
                features.append(self.pose_net.speech_features(mel))
                progress.update(len(mel))
            pose = self.pose_net.move(
                torch.cat(features), stance, style, lambda _: torch.randn(1, LATENT, generator=noise)
            )
            return _Prediction(torch.cat(expressions), self.expression_net.blink.cpu(), pose.cpu())

    def _moved(self, own: FaceCoefficients, facing: Tensor, moved: Tensor) -> FaceCoefficients:
        """Coefficients of N frames with the head moved.

        Args:
            own: of the source, one frame.
            facing: [1, 3], the source's angles in BFM09, radians.
            moved: [N, 6], change of angles and translation in BFM09.
        """
        back = self.placement.rotation.T
        before = back @ (self.placement.rotation @ rotation_of(own.angles))
        after = back @ rotation_of(facing + moved[:, :3])
        swing = self.placement.pivot @ (before - after)
        return FaceCoefficients(own.values.repeat(len(moved), 1)).replace(
            angles=own.angles + angles_of(after) - angles_of(before),
            translation=own.translation + self.placement.scale * moved[:, 3:] + swing,
        )


def mel_windows(mels: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Audio windows of video frames at 25 a second, streamed.

    Args:
        mels: blocks [n, 80], at 80 a second.
        count: number of video frames. The window of frame i starts at mel int(80·(i − 2)/25); beyond the ends, the
            outermost mels count.

    Yields:
        Windows [n, 1, 80, 16], at most `CHUNK` at a time.
    """
    stream, ended = iter(mels), False
    pending, first = torch.zeros(0, MELS), 0  # the mels still needed, and the number of the first of them
    for start in range(0, count, CHUNK):
        frames = range(start, min(start + CHUNK, count))
        begins = torch.tensor([int(MEL_RATE * (i - _WINDOW_LEAD) / FPS) for i in frames])
        while not ended and first + len(pending) < begins[-1] + WINDOW_MELS:
            block = next(stream, None)
            if block is None:
                ended = True
            else:
                pending = torch.cat([pending, block])
        index = (begins[:, None] + torch.arange(WINDOW_MELS)).clamp(0, first + len(pending) - 1)
        yield rearrange(pending[index - first], "n frames bands -> n 1 bands frames")
        done = min(max(int(begins[-1]) - first, 0), len(pending) - 1)
        pending, first = pending[done:], first + done


def blink_course(count: int, seed: int, blinks: float = 1.0) -> list[float]:
    """Closure of the lids, 0–1, in each of `count` frames at 25 a second.

    Blinks of five frames, 10 to 69 frames apart (fewer in short recordings), none in one of up to 20, as SadTalker
    draws them.

    Args:
        count: number of frames.
        seed: draws the intervals.
        blinks: factor of how often; 0 none.
    """
    course, draw, frame = [0.0] * count, random.Random(seed), 0
    intervals = range(_BLINK_INTERVAL[0], min(count // 2, _BLINK_INTERVAL[1]))
    if count <= _NO_BLINK_FRAMES or blinks <= 0 or not intervals:
        return course
    while True:
        frame += round(draw.choice(intervals) / blinks)
        if frame + len(_BLINK) > count - 1:
            return course
        course[frame : frame + len(_BLINK)] = _BLINK
        frame += len(_BLINK)


def smoothed(pose: Tensor) -> Tensor:
    """Poses [N, 6] through SadTalker's Savitzky–Golay filter (13, 2), a narrower one for fewer frames."""
    from scipy.signal import savgol_filter

    width = min(_SMOOTHING_FRAMES, (len(pose) - 1) // 2 * 2 + 1)
    if width <= _SMOOTHING_ORDER:
        return pose
    return torch.from_numpy(savgol_filter(pose.double().numpy(), width, _SMOOTHING_ORDER, axis=0)).float()


def at_times(values: Tensor, times: list[Fraction]) -> Tensor:
    """Linear interpolation of rows [N, D] at `times`, counted in rows; beyond the ends, the outermost rows count."""
    at = [min(max(time, Fraction(0)), Fraction(len(values) - 1)) for time in times]
    low = torch.tensor([int(time) for time in at])
    share = torch.tensor([float(time - int(time)) for time in at])[:, None]
    high = (low + 1).clamp(max=len(values) - 1)
    # Not tensors.between, which rounds otherwise (by up to 2.4e-7 in a third of the values): tracks stay bit for bit.
    return torch.lerp(values[low], values[high], share)
