"""Retarget: carry a driver's motion over to another person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .rotation import angles_of, rotation_of
from .track import PROCEDURAL, FaceCoefficients, MotionTrack

RELEASED = "as released"
MODES = ("relative", "absolute", RELEASED)
ROOM = 0.4  # how far beyond a strong natural movement an expression coefficient can go
Opening = Callable[[Tensor, Tensor], Tensor]  # (identity [N, 80], expression [N, 64]) -> eye openings [N, 2]


def within_reach(expression: Tensor, own: Tensor) -> Tensor:
    """Expressions [N, 64] kept to what a face can do: beyond 1, or the source's `own` [1, 64], they are bent towards a limit."""
    free = own.abs().clamp(min=1.0)
    over = (expression.abs() - free).clamp(min=0)
    return expression.sign() * (expression.abs() - over + ROOM * torch.tanh(over / ROOM))


def neutral_frame(track: MotionTrack) -> int:
    """The frame to measure a driver's movement from: open eyes, a resting face, looking ahead — nearest to the clip's usual."""
    motion = track.motion[track.visible] if track.visible.any() else track.motion
    numbers = torch.nonzero(track.visible).flatten() if track.visible.any() else torch.arange(len(track))
    usual = motion.median(0).values
    spread = motion.std(0, correction=0) + 0.05
    return int(numbers[(((motion - usual) / spread) ** 2).mean(1).argmin()])


def retarget(
    driver: MotionTrack,
    source: MotionTrack,
    mode: str = "relative",
    reference: int = 0,
    pose: float = 1.0,
    expression: float = 1.0,
    gaze: float = 1.0,
    opening: Opening | None = None,
    lid_modes: Sequence[Sequence[int]] = (),
) -> MotionTrack:
    """The source moving like the driver: the source's identity, texture and light with the driver's ρ, β and g.

    mode: `relative` adds what the driver does since its frame `reference` (−1: its most usual frame) to the source's own
    pose and expression; `absolute` takes the driver's values as they are (the head stays where the source has it);
    `as released` takes the driver's expression, pose, gaze and alignment unchanged, so that the head is where the driver
    has it, as the published inference blends the two.
    pose, expression, gaze: strengths, 1 = as the driver, 0 = as the source.
    opening, lid_modes: how wide the eyes are, and the expression modes of the right and left lids. With them lids move
    by share of the opening, so that an eye that closes in the driver closes in the source, however wide it is.
    """
    if mode not in MODES:
        raise InputError(f"Motion can be taken over {' or '.join(MODES)}, not {mode!r}.")
    driver.check_basis(source.basis)
    if mode == RELEASED:
        return _blend(driver, source, pose, expression, gaze)
    if reference >= len(driver):
        raise InputError(
            f"The driver's neutral frame {reference} lies behind its last frame {len(driver) - 1}; choose a smaller number, or −1."
        )
    at = neutral_frame(driver) if reference < 0 else reference
    d, s, r = driver.coefficients, source.coefficients, driver.coefficients[at : at + 1]

    if mode == "relative":
        # the turn since the reference, taken up by the source's own pose (row vectors: source first, then the turn)
        since = rotation_of(r.angles).transpose(1, 2) @ rotation_of(d.angles)
        turned = rotation_of(s.angles) @ rotation_of(angles_of(since) * pose)
        angles = angles_of(turned)
        moved = d.expression - r.expression
        look = gaze * (driver.gaze - driver.gaze[at])
        translation = s.translation + pose * (d.translation - r.translation)
    else:
        angles = s.angles + pose * (d.angles - s.angles)
        moved = d.expression - s.expression
        look = gaze * (driver.gaze - source.gaze)
        translation = s.translation + pose * (d.translation - r.translation)
    if opening is not None:
        wide = opening(s.identity, s.expression)
        driver_wide = opening(r.identity, r.expression) if mode == "relative" else opening(r.identity, r.expression * 0)
        ratio = (wide / driver_wide.clamp(min=1e-3)).clamp(0.4, 2.0)
        moved = moved.clone()
        for side, modes in enumerate(lid_modes):
            moved[:, list(modes)] *= ratio[:, side : side + 1]
    look_like = s.expression + expression * moved
    if source.basis == PROCEDURAL:  # whose modes are strong natural movements
        look_like = within_reach(look_like, s.expression)
    coefficients = FaceCoefficients(s.values.expand(len(driver), -1)).replace(
        expression=look_like, angles=angles, translation=translation
    )
    alignment = _moved_alignment(driver.alignment, driver.alignment[at], source.alignment, pose)
    return driver.replace(coefficients=coefficients, gaze=source.gaze + look, alignment=alignment)


def _moved_alignment(driver: Tensor, reference: Tensor, source: Tensor, pose: float) -> Tensor:
    """The source's alignment [1, 2, 3] with the driver's [N, 2, 3] movement in its crop since `reference` [2, 3].

    Where every frame is aligned alike, as on the bundled face model, it is the source's.
    """
    moved = _whole(source) @ _whole(reference[None]).inverse() @ _whole(driver)
    return torch.lerp(source.expand(len(driver), -1, -1), moved[:, :2], pose)


def _whole(matrix: Tensor) -> Tensor:
    """Affine matrices [N, 2, 3] as [N, 3, 3]."""
    return torch.cat([matrix, matrix.new_tensor([0, 0, 1]).expand(len(matrix), 1, 3)], 1)


def _blend(driver: MotionTrack, source: MotionTrack, pose: float, expression: float, gaze: float) -> MotionTrack:
    """Identity, texture and lighting of the source; all else of the driver, exactly so at strengths of 1."""
    d, s = driver.coefficients, source.coefficients
    coefficients = FaceCoefficients(s.values.expand(len(driver), -1)).replace(
        expression=torch.lerp(s.expression.expand_as(d.expression), d.expression, expression),
        angles=torch.lerp(s.angles.expand_as(d.angles), d.angles, pose),
        translation=torch.lerp(s.translation.expand_as(d.translation), d.translation, pose),
    )
    return driver.replace(
        coefficients=coefficients,
        gaze=torch.lerp(source.gaze.expand_as(driver.gaze), driver.gaze, gaze),
        alignment=torch.lerp(source.alignment.expand_as(driver.alignment), driver.alignment, pose),
    )
