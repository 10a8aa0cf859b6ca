"""The bundled driver: a voice becomes a talking face, by the voice network for the lips and by `life` for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshapes
from ...morphable.bundled.face import ProceduralFace
from ...morphable.bundled.face_mesh import LID_MIDDLES
from ...morphable.bundled.lip_contact import SHUT_GAP, closed_mouth, lip_gaps
from ...motion.rotation import angles_of, rotation_of
from ...motion.track import PROCEDURAL, FaceCoefficients, MotionTrack
from ..mel import HOP, loudness, mel_stream
from ..speech import Speech
from .lips import REST, Lips, at_frames, average, widened
from .liveliness import live
from .net import VoiceNet
from .visemes import spread

NECK = (0.0, -1.0, -0.4)  # where the neck bears the head, on the model's mean face
BROWS = {"brow_inner": 0.35, "brow_mid": 0.4, "brow_outer": 0.3}  # what raised brows are
# People say loud syllables with a wide mouth and soft ones with a narrow one; the synthetic voices that the network knows
# are all but equally loud. Decibels of opening for one of loudness, the least and the most of them, and mel frames in
# which loudness is taken.
WIDER, NARROWEST, WIDEST, SYLLABLE = 0.45, -6.0, 2.5, 4.0


class VoiceDriver:
    """Drives the bundled face model by a voice. net: trained, in evaluation mode; face: the model that is driven."""

    def __init__(self, net: VoiceNet, face: ProceduralFace) -> None:
        self.net, self.face, self.lips = net, face, Lips(face)

    def drive(
        self, speech: Speech, source: MotionTrack, fps: Fraction, *,
        style: int = 0, seed: int = 0, pose: float = 1.0, lips: float = 1.0, blinks: float = 1.0,
    ) -> MotionTrack:  # fmt: skip
        """The source speaking: a track as long as the voice, whose frame i shows the instant (i + 0.5) / fps.

        source: one frame; its identity, texture, light and place are kept. style: 0–45, the temperament: how often the
        eyes blink, how far the head nods, where it likes to look. seed: the course that all this takes. Strengths, 0 none,
        1 as it is, 2 doubled: pose of head and glances, lips of the mouth, blinks of how often eyes blink and brows rise.
        Raises InputError for a source of several frames or of another face model, and for a style that does not exist.
        """
        if len(source) != 1:
            raise InputError(f"A voice drives one face: give a source of one frame, not of {len(source)}.")
        source.check_basis(PROCEDURAL)
        count, s = speech.frames(fps), source.coefficients
        mouth, rest, stress = at_frames(self.listen(speech), float(fps), count, self.lips)

        moving = live(count, fps, style, seed, 1 - rest, stress, blinks)
        # lids go down with the glance as well, and as far as the glance goes
        lowered = moving.lowered[:, None]
        lids = 1 - (1 - moving.lids) / (1 - lowered) * (1 - (pose * lowered).clamp(max=1))

        # the mouth comes from the source's to one with its lips together, and from there speaks
        closed = closed_mouth(self.face, s.identity, s.expression)
        closing = min(lips, 1.0) * (1 - self._kept(source, lips * mouth))[:, None]
        expression = s.expression + closing * (closed - s.expression) + spread(lips * mouth)
        expression = expression + self._shut(lids, source) + blinks * moving.brows[:, None] * _raised()

        # the head turns about the neck
        before = rotation_of(s.angles)
        after = before @ rotation_of(pose * moving.angles)
        neck = torch.tensor(NECK)
        coefficients = FaceCoefficients(s.values.expand(count, -1)).replace(
            expression=expression, angles=angles_of(after), translation=s.translation + neck @ before - neck @ after
        )
        alignment = source.alignment.expand(count, -1, -1).clone()
        gaze = source.gaze + pose * moving.gaze
        return MotionTrack(coefficients, gaze, alignment, torch.ones(count, dtype=torch.bool), Fraction(fps))

    def listen(self, speech: Speech) -> dict[str, Tensor]:
        """What is heard at the instants of M mel frames: viseme (probabilities) [M, 8], mouth [M, K] and stress [M]."""
        parts, levels = [], []

        def mels() -> Iterator[Tensor]:
            for mel in mel_stream(speech):
                levels.append(loudness(mel))
                yield mel

        with host.current().progress(1 + speech.samples // HOP, "listening to the voice") as progress:
            for part in self.net.stream(mels()):
                parts.append({**part, "viseme": part["viseme"].softmax(-1)})
                progress.update(len(part["stress"]))
        heard = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {**heard, "mouth": widened(heard["mouth"], emphasis(torch.cat(levels), 1 - heard["viseme"][:, REST]))}

    def _kept(self, source: MotionTrack, mouth: Tensor) -> Tensor:
        """How much of the source's own small lip gap open mouths [N, K] keep [N]: lips that are shut are often seen apart
        by so much, and an opening counts from there."""
        gap = lip_gaps(self.face, source.coefficients.identity, source.coefficients.expression).amax()
        return (2 - gap / SHUT_GAP).clamp(0, 1) * self.lips.apart(mouth).amax(1).clamp(0, 1)

    def _shut(self, lids: Tensor, source: MotionTrack) -> Tensor:
        """What closures of lids [N, 2], 0–1, add to the expression [N, 64]: at 1 they meet, however wide the eyes are."""
        wide = self.face.eye_opening(source.coefficients.identity, source.coefficients.expression)[0]
        added = torch.zeros(len(lids), len(BLENDSHAPES))
        for i, side in enumerate(("right", "left")):
            modes = blendshapes(f"upper_lid_{side}", f"lower_lid_{side}")
            upper, lower = (self.face.model.expression_basis[k, 1][modes].sum() for k in LID_MIDDLES[i])
            added[:, modes] = (lids[:, i] * wide[i] / (lower - upper))[:, None]
        return added


def emphasis(levels: Tensor, speaking: Tensor) -> Tensor:
    """How much wider than usual a mouth opens [M], decibels, for loudness [M] and whether there is speech [M], 0–1."""
    levels = average(levels, torch.arange(len(levels)).float(), SYLLABLE)
    usual = (levels * speaking).sum() / speaking.sum().clamp(min=1e-3)
    return (WIDER * (levels - usual)).clamp(NARROWEST, WIDEST)


def _raised() -> Tensor:
    """What raised brows add to the expression [64]."""
    out = torch.zeros(len(BLENDSHAPES))
    for name, value in BROWS.items():
        out[blendshapes(name)] = value
    return out
