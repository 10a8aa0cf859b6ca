"""Things that hide parts of faces, drawn over them: sunglasses, masks, hands, microphones, and whatever else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face_mesh import (
    EYE_CORNERS,
    LEFT_TRAGION,
    LOWER_LIP,
    OVAL,
    RIGHT_TRAGION,
    UPPER_LIP,
)

KINDS = ("sunglasses", "mask", "hand", "microphone", "patch")
SHARES = (0.17, 0.17, 0.24, 0.12, 0.30)
WORN = {"glasses": 0.12, "sunglasses": 0.02, "hand": 0.06}  # share of the drawn people who have it in all their images
NOSE = 195  # where a mask ends
COARSE = 2  # pixels of an image for one of a cover
SOFT = 0.8  # of its pixels in which a cover ends
HIDING = 0.5  # opacity from which a point is hidden
CLOTH = ((0.75, 0.86, 0.92), (0.95, 0.95, 0.95), (0.08, 0.08, 0.09), (0.5, 0.5, 0.55))


def covered(images: Tensor, points: Tensor, rng: np.random.Generator, share: float) -> tuple[Tensor, Tensor]:
    """Images of which some have something before the face.

    Args:
        images: [N, 3, S, S] in 0–1.
        points: landmarks [N, 478, 2 or 3] in ±1 of the images.
        rng: source of randomness.
        share: of the images.

    Returns:
        The images, and bool [N, 478]: which landmarks are hidden.
    """
    images, hidden = images.clone(), torch.zeros(points.shape[:2], dtype=torch.bool)
    side = images.shape[-1]
    for i in np.flatnonzero(rng.random(len(images)) < share):
        at = ((points[i, :, :2] + 1) * side / (2 * COARSE)).numpy()
        kind = str(rng.choice(KINDS, p=SHARES))
        opacity, paint = _cover(kind, at, images, int(i), rng)
        images[i] = images[i] + opacity * (paint - images[i])
        grid = points[i, :, :2][None, None].float()
        there = F.grid_sample(opacity[None, None], grid, align_corners=False)[0, 0, 0]
        hidden[i] = there > HIDING
    return images, hidden


def worn(images: Tensor, points: Tensor, kind: str, seed: int) -> Tensor:
    """Images of one person with the same thing before the face, which moves with it.

    Args:
        images: [N, 3, S, S] in 0–1.
        points: landmarks [N, 468, 2 or 3] in their pixels.
        kind: of `WORN`.
        seed: how it looks and where it lies.
    """
    images = images.clone()
    for i, at in enumerate(points[..., :2].numpy() / COARSE):
        opacity, paint = _cover(kind, at, images, i, np.random.default_rng(seed))
        images[i] = images[i] + opacity * (paint - images[i])
    return images


def _cover(
    kind: str, points: np.ndarray, images: Tensor, number: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Opacity [S, S] and colours [3, S, S] of a cover of a kind, on a face of landmarks [468, 2] in coarse pixels."""
    side = images.shape[-1]
    axis = np.arange(side // COARSE) + 0.5
    place = np.stack(np.meshgrid(axis, axis), -1)
    size = max(float(np.ptp(points[:468], 0).max()), 8.0)
    if kind == "glasses":
        distance, colour = _rims(place, points, size, rng), rng.uniform(0, 0.5) + rng.uniform(0, 0.15, 3)
    elif kind == "sunglasses":
        distance, colour = _sunglasses(place, points, size, rng), rng.uniform(0, 0.2) + rng.uniform(0, 0.08, 3)
    elif kind == "mask":
        distance, colour = _mask(place, points), np.array(CLOTH[rng.integers(len(CLOTH))]) * rng.uniform(0.7, 1)
    elif kind == "hand":
        distance = _hand(place, points, size, rng)
        x, y = (points[rng.choice([50, 280, 151])] * COARSE).astype(int).clip(0, side - 1)
        colour = images[number, :, y, x].numpy() * rng.uniform(0.75, 1.15)
    elif kind == "microphone":
        distance, colour = _microphone(place, points, size, rng), rng.uniform(0, 0.25, 3) * 0.4 + rng.uniform(0, 0.3)
    else:
        distance, colour = _patch(place, points, size, rng), rng.uniform(0, 1, 3)
    opacity = torch.from_numpy(1 / (1 + np.exp(np.clip(distance / SOFT * 2, -30, 30)))).float()
    opacity = F.interpolate(opacity[None, None], (side, side), mode="bilinear")[0, 0]
    paint = torch.from_numpy(colour).float()[:, None, None].expand(3, side, side)
    if kind == "patch" and rng.random() < 0.5:
        paint = images[rng.integers(len(images))].roll(int(rng.integers(side)), 2)
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(2, 14, 2)))).float()
    shade = F.interpolate(coarse, (side, side), mode="bicubic")[0] * rng.uniform(0.02, 0.18)
    return opacity, (paint * (1 + shade)).clamp(0, 1)


def _ellipse(place: np.ndarray, centre: np.ndarray, radii: np.ndarray, turn: float) -> np.ndarray:
    """Signed distance, about, of places [S, S, 2] from an ellipse, whose corners are square-ish."""
    offset = place - centre
    c, s = np.cos(turn), np.sin(turn)
    own = np.abs(np.stack([offset @ [c, s], offset @ [-s, c]], -1)) / radii
    return (np.power(own, 2.6).sum(-1) ** (1 / 2.6) - 1) * radii.min()


def _rod(place: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> np.ndarray:
    """Signed distance from a rod with round ends."""
    along = end - start
    share = np.clip((place - start) @ along / max(along @ along, 1e-6), 0, 1)
    return np.linalg.norm(place - start - share[..., None] * along, axis=-1) - radius


def _rims(place: np.ndarray, points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    lenses, width = _sunglasses(place, points, size, rng), size * rng.uniform(0.004, 0.012)
    return np.abs(lenses) - width


def _sunglasses(place: np.ndarray, points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    centres = [points[corners].mean(0) for corners in EYE_CORNERS]
    across = centres[1] - centres[0]
    radii = np.array([max(np.linalg.norm(across) * rng.uniform(0.36, 0.46), 2), size * rng.uniform(0.10, 0.16)])
    turn = float(np.arctan2(across[1], across[0]))
    glasses = [_ellipse(place, centre, radii, turn) for centre in centres]
    return np.minimum(np.minimum(*glasses), _rod(place, centres[0], centres[1], size * 0.015))


def _mask(place: np.ndarray, points: np.ndarray) -> np.ndarray:
    lower = OVAL[OVAL.index(LEFT_TRAGION) : OVAL.index(RIGHT_TRAGION) + 1]
    corners = points[[*lower[1:-1], NOSE]]
    following = np.roll(corners, -1, 0)
    inside = np.zeros(place.shape[:2], bool)
    nearest = np.full(place.shape[:2], np.inf)
    for a, b in zip(corners, following, strict=True):
        crosses = (a[1] > place[..., 1]) != (b[1] > place[..., 1])
        step = (b[0] - a[0]) * (place[..., 1] - a[1]) / (b[1] - a[1] if b[1] != a[1] else 1e-6) + a[0]
        inside ^= crosses & (place[..., 0] < step)
        nearest = np.minimum(nearest, _rod(place, a, b, 0.0))
    return np.where(inside, -nearest, nearest) - 1


def _hand(place: np.ndarray, points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    target = points[rng.integers(0, 468)] if rng.random() < 0.5 else points[UPPER_LIP[0] + LOWER_LIP[0]].mean(0)
    turn = rng.uniform(0, 2 * np.pi)
    way, aside = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    palm = target - way * size * rng.uniform(0.1, 0.4)
    distance = _ellipse(place, palm, np.array([0.22, 0.19]) * size * rng.uniform(0.8, 1.3), turn)
    for finger in range(4):
        root = palm + aside * size * 0.09 * (finger - 1.5)
        tip = root + way * size * rng.uniform(0.3, 0.5) + aside * size * rng.normal(0, 0.04)
        distance = np.minimum(distance, _rod(place, root, tip, size * 0.045))
    return distance


def _microphone(place: np.ndarray, points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    mouth = points[UPPER_LIP[0] + LOWER_LIP[0]].mean(0)
    head = mouth + rng.normal(0, 0.1, 2) * size + [0, rng.uniform(0, 0.2) * size]
    radius = size * rng.uniform(0.08, 0.17)
    end = head + np.array([rng.normal(0, 0.4), 1]) * size
    return np.minimum(_ellipse(place, head, np.array([radius, radius * 1.2]), 0.0), _rod(place, head, end, radius / 2))


def _patch(place: np.ndarray, points: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    target, turn = points[rng.integers(0, 468)], rng.uniform(0, np.pi)
    radii = size * rng.uniform(0.06, 0.4, 2)
    if rng.random() < 0.5:
        return _ellipse(place, target, radii, turn)
    way = np.array([np.cos(turn), np.sin(turn)])
    return _rod(place, target - way * size, target + way * size, size * rng.uniform(0.03, 0.2))
