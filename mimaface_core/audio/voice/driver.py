"""The bundled audio driver: the lips by the voice network, head, gaze, lids and brows by `liveliness`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from ... import host
from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshapes
from ...morphable.bundled.face import BundledFace
from ...morphable.bundled.lip_contact import SHUT_GAP, closed_mouth, lip_gaps
from ...motion.rotation import angles_of, rotation_of
from ...motion.track import BUNDLED, FaceCoefficients, MotionTrack
from ..checks import check_source
from ..mel import HOP, loudness, mel_stream
from ..speech import Speech
from .lips import REST, Lips, at_frames, average, widened
from .liveliness import draw_liveliness
from .net import VoiceNet
from .visemes import mouth_expression

NECK = (0.0, -1.0, -0.4)  # pivot of the head in model units, on the model's mean face
_RAISED_BROWS = {"browInnerUp": 0.5, "browOuterUp": 0.5}  # coefficients of brows raised in full
# People say loud syllables with a wide mouth and soft ones with a narrow one; the synthetic voices that the network is
# trained on are all but equally loud.
_OPENING_DB_A_DB = 0.45  # decibels of opening for one of loudness
_NARROWEST_DB, _WIDEST_DB = -6.0, 2.5  # limits of the opening's gain
_SYLLABLE = 4.0  # mel frames: half-width of the average in which loudness is taken


class VoiceDriver:
    """The `AudioDriver` of the bundled face model.

    Args:
        net: trained, in evaluation mode.
        face: the model that is driven.
    """

    def __init__(self, net: VoiceNet, face: BundledFace) -> None:
        self.net, self.face, self.lips = net, face, Lips(face)

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

        The style is a temperament: how often the eyes blink, how far the head nods, where it likes to look. `pose`
        scales head and glances; `blinks` also scales how far the brows rise.
        """
        check_source(source)
        source.check_basis(BUNDLED)
        count = speech.frames(fps)
        mouth, rest, stress = at_frames(self.articulation(speech), float(fps), count, self.lips)
        liveliness = draw_liveliness(count, fps, style, seed, 1 - rest, stress, blinks)

        # The lids that follow a glance go down as far as the glance does.
        lowered = liveliness.lowered[:, None]
        lids = 1 - (1 - liveliness.lids) / (1 - lowered) * (1 - (pose * lowered).clamp(max=1))
        expression = self._speaking(source, mouth, lips) + self._lid_closure(source, lids)
        expression = expression + blinks * liveliness.brows[:, None] * _raised_brows()

        own = source.coefficients
        before = rotation_of(own.angles)
        after = before @ rotation_of(pose * liveliness.angles)
        neck = torch.tensor(NECK)
        coefficients = FaceCoefficients(own.values.expand(count, -1)).replace(
            expression=expression, angles=angles_of(after), translation=own.translation + neck @ before - neck @ after
        )
        alignment = source.alignment.expand(count, -1, -1).clone()
        gaze = source.gaze + pose * liveliness.gaze
        return MotionTrack(coefficients, gaze, alignment, torch.ones(count, dtype=torch.bool), Fraction(fps))

    def articulation(self, speech: Speech) -> dict[str, Tensor]:
        """Articulation at the instants of M mel frames.

        Returns:
            `viseme` (probabilities) [M, 8], `mouth` [M, K] (see `visemes.MOUTH`) and `stress` [M].
        """
        parts: list[dict[str, Tensor]] = []
        levels: list[Tensor] = []

        def mels() -> Iterator[Tensor]:
            for mel in mel_stream(speech):
                levels.append(loudness(mel))
                yield mel

        with host.current().progress(1 + speech.samples // HOP, "speech to mouth shapes") as progress:
            for part in self.net.stream(mels()):
                parts.append({**part, "viseme": part["viseme"].softmax(-1)})
                progress.update(len(part["stress"]))
        whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        gain = emphasis(torch.cat(levels), 1 - whole["viseme"][:, REST])
        return {**whole, "mouth": widened(whole["mouth"], gain)}

    def _speaking(self, source: MotionTrack, mouth: Tensor, strength: float) -> Tensor:
        """Expression [N, 64]: the source's mouth goes to one with its lips together, and from there speaks."""
        own = source.coefficients
        closed = closed_mouth(self.face, own.identity, own.expression)
        closing = min(strength, 1.0) * (1 - self._kept_gap(source, strength * mouth))[:, None]
        return own.expression + closing * (closed - own.expression) + mouth_expression(strength * mouth)

    def _kept_gap(self, source: MotionTrack, mouth: Tensor) -> Tensor:
        """Share [N], 0–1, of the source's own small lip gap that open mouths [N, K] keep.

        Trackers often measure such a gap between lips that are shut; an opening is counted from there.
        """
        gap = lip_gaps(self.face, source.coefficients.identity, source.coefficients.expression).amax()
        return (2 - gap / SHUT_GAP).clamp(0, 1) * self.lips.gaps_of(mouth).amax(1).clamp(0, 1)

    def _lid_closure(self, source: MotionTrack, closure: Tensor) -> Tensor:
        """Expression [N, 64] added by a closure [N, 2] of the lids, 0–1: at 1 they meet, however wide the eyes are."""
        opening = self.face.eye_opening(source.coefficients.identity, source.coefficients.expression)[0]
        expression = torch.zeros(len(closure), len(BLENDSHAPES))
        expression[:, blendshapes("eyeBlink")] = self.face.blink(closure * opening)
        return expression


def emphasis(levels: Tensor, speaking: Tensor) -> Tensor:
    """Gain of the mouth's opening by the loudness of the syllable.

    Args:
        levels: [M], loudness in decibels from any zero.
        speaking: [M], 0–1, whether there is speech; its mean loudness has a gain of 0.

    Returns:
        [M], decibels.
    """
    levels = average(levels, torch.arange(len(levels)).float(), _SYLLABLE)
    usual = (levels * speaking).sum() / speaking.sum().clamp(min=1e-3)
    return (_OPENING_DB_A_DB * (levels - usual)).clamp(_NARROWEST_DB, _WIDEST_DB)


def _raised_brows() -> Tensor:
    """Expression [64] added by raised brows."""
    expression = torch.zeros(len(BLENDSHAPES))
    for name, value in _RAISED_BROWS.items():
        expression[blendshapes(name)] = value
    return expression
