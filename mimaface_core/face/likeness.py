"""Likeness of faces: whether a face seen now is a person seen before, without a network.

Colours are read where the landmarks lie, so that turns and expressions move them little, and compared without the
light's strength, colour and side; proportions are those of points on bone, turned to the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from ..morphable.bundled.face import bundled_face
from ..morphable.bundled.face_mesh import CHIN, FACE_POINTS, FOREHEAD_TOP, LOWER_LIP_POINTS, UPPER_LIP_POINTS

SIZE = 48  # of a face from forehead to chin where colours are read, pixels
# points on bone: eyes, nose, temples, cheekbones, forehead, chin, between the brows
BONE = [33, 133, 362, 263, 168, 6, 197, 4, 129, 358, 234, 454, 127, 356, 93, 323, 10, 109, 338, 54, 284, 50, 280, 9]
BONE = [*BONE, CHIN]
SKIN = [i for i in range(0, FACE_POINTS, 2) if i not in {*UPPER_LIP_POINTS, *LOWER_LIP_POINTS}]
HAIRLINE = [10, 109, 338, 67, 297, 103, 332, 54, 284]
HAIR = (0.15, 0.35)  # above the hairline, over its distance from the middle of the face
DARKEST = 0.06  # added to colours before their logarithm is taken
LEAST_FACING = 0.25  # cosine between a point's normal and the view below which it is not read
COLOUR_WEIGHT, BONE_WEIGHT = 3.0, 30.0
KNOWN = 0.2  # a view nearer than that to one seen before tells nothing new
VIEWS = 24  # of a person that are kept
FIRST_VIEWS = 8  # of these, that are never given up


@dataclass(frozen=True)
class Signature:
    """What is compared of a face.

    Attributes:
        bones: points on bone [B, 2] seen from the front, in sizes of the face.
        brightness: logarithm [P] at points of skin and hair, without what a light from one side makes of it.
        colour: red and blue over green [P, 2] there, logarithms from the mean of the skin.
        weight: how well each point [P] is seen, 0–1.
    """

    bones: np.ndarray
    brightness: np.ndarray
    colour: np.ndarray
    weight: np.ndarray


def signature(image: np.ndarray, landmarks: np.ndarray) -> Signature:
    """The signature of a face.

    Args:
        image: uint8 [H, W, 3].
        landmarks: [478, 3] in its pixels.
    """
    front, turn = _from_the_front(landmarks)
    middle = landmarks[[33, 263, 1, CHIN, FOREHEAD_TOP]].mean(0)
    hair = [landmarks[HAIRLINE] + above * (landmarks[HAIRLINE] - middle) for above in HAIR]
    colours, inside = _colours(image, np.concatenate([landmarks[SKIN], *hair])[:, :2], _size(landmarks))
    place = np.concatenate([front[SKIN], *[front[HAIRLINE]] * len(HAIR)])
    outward = place - [0, 0, 0.25]
    facing = (outward / np.linalg.norm(outward, axis=1, keepdims=True)) @ (np.array([0, 0, -1.0]) @ turn)
    weight = np.clip(facing - LEAST_FACING, 0, 1) * inside + 1e-4
    logarithm = np.log(colours + DARKEST)
    brightness = logarithm.mean(1)
    plane = np.column_stack([np.ones(len(place)), place[:, :2]])
    skin = slice(len(SKIN))
    root = np.sqrt(weight[skin])
    light = np.linalg.lstsq(plane[skin] * root[:, None], brightness[skin] * root, rcond=None)[0]
    colour = logarithm[:, [0, 2]] - logarithm[:, [1]]
    colour -= np.average(colour[skin], axis=0, weights=weight[skin])
    return Signature(front[BONE, :2], brightness - plane @ light, colour, weight)


def unlikeness(a: Signature, b: Signature) -> float:
    """How little two faces look alike: 0 for the same view; strangers mostly above 0.6, other views below."""
    weight = a.weight * b.weight
    weight /= weight.sum()
    x, y = (s.brightness - weight @ s.brightness for s in (a, b))
    correlation = (weight @ (x * y)) / np.sqrt((weight @ (x * x)) * (weight @ (y * y)) + 1e-9)
    colour = np.sqrt((weight @ np.square(a.colour - b.colour)).mean())
    bones = np.sqrt(np.square(a.bones - b.bones).mean())
    return float(1 - correlation + COLOUR_WEIGHT * colour + BONE_WEIGHT * bones)


class Person:
    """Somebody who has been seen in some views."""

    def __init__(self) -> None:
        self._views: list[Signature] = []

    def unlikeness(self, face: Signature) -> float:
        """Of a face and the view that it is most like; infinite before the first."""
        return min((unlikeness(face, view) for view in self._views), default=np.inf)

    def learn(self, face: Signature, most: float = np.inf) -> None:
        """Keep a view that is new, but less unlike those seen before than `most`."""
        if self._views and not KNOWN < self.unlikeness(face) < most:
            return
        if len(self._views) == VIEWS:
            del self._views[FIRST_VIEWS]
        self._views.append(face)


def _size(landmarks: np.ndarray) -> float:
    """From forehead to chin, in pixels."""
    return max(1.0, float(np.linalg.norm(landmarks[FOREHEAD_TOP] - landmarks[CHIN])))


@lru_cache
def _mean_bones() -> np.ndarray:
    """The bundled face's mean [B, 3] at BONE, centred and of size 1, in the axes of landmarks: y down, z away."""
    face = bundled_face()
    zero = torch.zeros(1, 80), torch.zeros(1, 64)
    bones = face.model.shape(*zero)[0, BONE].numpy().astype(np.float64) * [1, -1, -1]
    bones -= bones.mean(0)
    return np.asarray(bones / np.linalg.norm(bones))


def _from_the_front(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [478, 3] laid on the mean's bones by a similarity, and its rotation [3, 3] for row vectors."""
    centre = landmarks[BONE].mean(0)
    bones, mean = landmarks[BONE].astype(np.float64) - centre, _mean_bones()
    u, stretch, v = np.linalg.svd(bones.T @ mean)
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return (landmarks - centre) @ turn * (stretch.sum() / np.square(bones).sum()), turn


def _colours(image: np.ndarray, points: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Blurred colours [P, 3] in 0–1 of points [P, 2] on a face of that size, and whether each lies in the image."""
    height, width = image.shape[:2]
    low = np.clip(np.floor(points.min(0) - size / 8), 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(points.max(0) + size / 8), low + 1, [width, height]).astype(int)
    part = torch.from_numpy(np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]))
    part = part.permute(2, 0, 1)[None].float() / 255
    if size > SIZE:
        shape = [max(1, round(side * SIZE / size)) for side in part.shape[2:]]
        part = F.interpolate(part, size=shape, mode="area")
    part = F.avg_pool2d(F.pad(part, (1, 1, 1, 1), mode="replicate"), 3, 1)
    grid = torch.from_numpy((points - low) / (high - low) * 2 - 1).float()[None, None]
    colours = F.grid_sample(part, grid, padding_mode="border", align_corners=False)[0, :, 0].T
    return colours.numpy().astype(np.float64), np.all((points >= 0) & (points <= [width, height]), axis=1)
