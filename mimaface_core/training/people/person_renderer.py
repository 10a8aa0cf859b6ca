"""Render a synthetic person from true geometry: linear light, frame by frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ...face.crop import CROP_SIZE, crop_matrix
from ...morphable.bundled.blendshapes import blendshapes
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import (
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from ...morphable.bundled.geometry import RING_POINTS, RING_TRIANGLES
from ...morphable.rasterize import interpolate, rasterize
from ...packs.manifest import FACE_SHARE
from .canvas import CANVAS_HALF_SIDE
from .masks import gaussian_blur
from .performance import Performance
from .person import Person, light_level
from .skin import FOLDS

PAINTED_RINGS = 5  # rings around the face that show the canvas
NECK_TOP, NECK_LENGTH = -0.15, 0.5  # height at which hair begins to follow the neck and the range in which it changes
OPENINGS = (  # their upper and lower edges
    (INNER_UPPER_LIP, INNER_LOWER_LIP),
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID),
    (LEFT_UPPER_LID, LEFT_LOWER_LID),
)
WRAP = 0.15  # share by which diffuse light reaches around the terminator
EDGE_SIGMA = 0.7  # pixels, of the anti-aliasing along lids, lips and outline
SHADOW_SIGMA = 6.0  # pixels, within which skin shades what lies behind it
OCCLUSION_SIGMA = 0.13  # model units, of the neighbourhood above which a vertex counts as sunk
INTERIOR_LIGHT_SHARE = 0.6  # of the directional lights that eyes and mouth receive
UNSEEN_LIGHT = 0.004  # linear light where nothing lies behind an opening


class PersonRenderer:
    """A person acting a performance, in the crop of frame 0 as inference would cut it.

    Args:
        person: identity, textures and light.
        performance: coefficients of N frames, the source's first.
        rng: for the small error of the crop, as landmarks have.

    Attributes:
        shape: vertices [N, V, 3] in the head's own axes, model units.
        points: vertices [N, V, 3] in crop pixels, y down, and their depth in model units.
        pixels_per_unit: crop pixels of a model unit at depth 1.
    """

    def __init__(self, person: Person, performance: Performance, rng: np.random.Generator) -> None:
        self.person, self.face, self.performance = person, bundled_face(), performance
        model, parts = self.face.model, self.face.parts
        shape = model.shape(person.identity[None], performance.expression) * person.aspect
        shape[:, parts["head"], 2] = shape[:, parts["head"], 2] * person.depth_scale
        shape[:, parts["upper_teeth"], 1] += person.teeth_shift
        self.shape = self.face.turn_eyes(shape, performance.gaze)
        self._normals = model.normals(self.shape) @ model.rotation(performance.angles)
        plane = model.project(model.transform(self.shape, performance.angles, performance.translation))
        matrix = crop_matrix(plane[0, :FACE_POINTS], FACE_SHARE * float(np.exp(rng.normal(0, 0.03))))
        matrix[:, 2] += torch.from_numpy(rng.normal(0, 3, 2)).float()
        self._crop = matrix
        self.pixels_per_unit = float(matrix[0, 0]) * model.focal
        # the body stands still
        resting = model.project(model.transform(self.shape[:1], torch.zeros(1, 3), performance.translation[:1]))
        follow = self._follow()[:, None]
        self.points = self.to_crop(plane)
        self.points[..., :2] = follow * self.points[..., :2] + (1 - follow) * self.to_crop(resting)[0, :, :2]

    def to_crop(self, plane: Tensor) -> Tensor:
        """Crop pixels and depth of points [N, V, 3] on the camera plane."""
        return torch.cat([plane[..., :2] @ self._crop[:, :2].T + self._crop[:, 2], plane[..., 2:]], -1)

    def _follow(self) -> Tensor:
        """Share of the head's movement [V]: all of it for face and hair, this person's share down the neck."""
        height = self.face.model.mean_shape[:, 1]
        neck = ((NECK_TOP - height) / NECK_LENGTH).clamp(0, 1)
        follow = self.face.follows.clamp(min=0) ** self.person.stiffness
        ring_vertex = torch.arange(len(follow)) - self.face.parts["head"].start
        painted = ((ring_vertex >= 0) & (ring_vertex < PAINTED_RINGS * RING_POINTS)).float()
        return follow + painted * (1 - neck) * (1 - follow)

    @torch.no_grad()
    def draw(self, frames: slice) -> Tensor:
        """Linear light [n, 3, 512, 512] of some frames."""
        triangles, skin_triangles, uv = _skin_mesh()
        points, normals = self.points[frames], self._normals[frames]
        fragments = rasterize(points, triangles, CROP_SIZE, CROP_SIZE)
        occlusion = _ambient_occlusion()[None, :, None]
        attributes = [uv.expand(len(points), -1, -1), self._diffuse(normals) * occlusion]
        spread = interpolate(fragments, triangles, torch.cat([*attributes, self._specular(normals) * occlusion], -1))
        texture = self.person.skin[None].expand(len(points), -1, -1, -1)
        place = rearrange(spread[:, :2], "n c h w -> n h w c")
        paint = F.grid_sample(texture, place, mode="bilinear", padding_mode="zeros", align_corners=False)
        skin, opacity, fold_masks = paint[:, :3], paint[:, 3:4], paint[:, 4 : 4 + FOLDS]
        folds = (fold_masks * self._fold_depths(frames)[:, :, None, None]).sum(1, keepdim=True)
        skin = skin * spread[:, 2:5] * (1 - folds.clamp(max=0.8)) + spread[:, 5:6]
        on_skin = ((fragments.triangle >= 0) & (fragments.triangle < skin_triangles))[:, None].float()
        in_opening = (fragments.triangle >= skin_triangles)[:, None].float()
        # colours extended over the rims, so that edges are soft
        blurred = gaussian_blur(torch.cat([skin * on_skin, on_skin, in_opening], 1), EDGE_SIGMA)
        skin = torch.where(on_skin > 0, skin, blurred[:, :3] / blurred[:, 3:4].clamp(min=1e-3))
        near_opening = (blurred[:, 4:] > 0.01) & (fragments.triangle >= 0)[:, None]
        share = torch.where(near_opening, blurred[:, 3:4], on_skin)
        opacity = torch.where(near_opening, torch.ones_like(share), opacity * on_skin)
        head = skin * share
        self._add_interior(head, frames, near_opening[:, 0], 1 - share[:, 0], gaussian_blur(on_skin, SHADOW_SIGMA))
        level = light_level(self.person.ambient, self.person.lights, 0.7)
        return self.person.background * level[:, None, None] * (1 - opacity) + head * opacity

    def _diffuse(self, normals: Tensor) -> Tensor:
        """Diffuse light [N, V, 3] on normals [N, V, 3]."""
        light = self.person.ambient * (0.75 + 0.25 * normals[..., 1:2])
        for direction, colour in self.person.lights:
            wrapped = ((normals @ direction + WRAP) / (1 + WRAP)).clamp(min=0)
            light = light + wrapped[..., None] * colour
        return light

    def _specular(self, normals: Tensor) -> Tensor:
        """Specular light [N, V, 1] towards the viewer (Blinn–Phong)."""
        shine = torch.zeros_like(normals[..., :1])
        for direction, colour in self.person.lights:
            half = _half_vector(direction)
            shine = shine + (normals @ half).clamp(min=0)[..., None] ** self.person.gloss_exponent * colour.mean()
        return self.person.gloss * shine

    def _fold_depths(self, frames: slice) -> Tensor:
        """Depth of each kind of fold [n, FOLDS]: with smiles, with narrowed eyes, with lifted brows."""
        expression = self.performance.expression[frames]

        def both(name: str) -> Tensor:
            right, left = expression[:, blendshapes(name)].unbind(1)
            return (right + left) / 2

        smile, narrowed = both("mouthSmile") + 0.5 * both("cheekSquint"), both("eyeSquint") + both("cheekSquint")
        return torch.stack([smile, narrowed, both("browInnerUp") + both("browOuterUp")], 1).clamp(0, 1.6)

    def _add_interior(self, head: Tensor, frames: slice, where: Tensor, share: Tensor, skin_nearby: Tensor) -> None:
        """Add the light of eyeballs and mouth to `head` [n, 3, H, W] in place.

        Args:
            head: light so far.
            frames: the n frames.
            where: bool [n, H, W], pixels in or beside an opening.
            share: [n, H, W], share of a pixel that skin leaves free.
            skin_nearby: [n, 1, H, W], share of skin within SHADOW_SIGMA.
        """
        face, points = self.face, self.points[frames]
        first = face.part_triangles["head"].stop
        triangles = face.model.triangles[first:]
        fragments = rasterize(points, triangles, CROP_SIZE, CROP_SIZE)
        at = where.nonzero(as_tuple=True)
        triangle = fragments.triangle[at]
        corners = triangles[triangle.clamp(min=0)]
        values = torch.cat([face.uv.expand(len(points), -1, -1), self._eye_normals(frames)], -1)
        spread = (values[at[0][:, None], corners] * fragments.barycentric[at][..., None]).sum(1)
        openness = (1 - skin_nearby[:, 0][at]).clamp(0, 1)[:, None]
        in_mouth = (triangle >= face.part_triangles["mouth"].start - first)[:, None]
        interior = torch.where(in_mouth, self._mouth_light(spread, openness), self._eye_light(spread, openness))
        light = torch.where(triangle[:, None] >= 0, interior, torch.full_like(interior, UNSEEN_LIGHT))
        n, y, x = at
        head[n, :, y, x] += light * share[at][:, None]

    def _eye_normals(self, frames: slice) -> Tensor:
        """Normals [n, V, 3] of the eyeballs, 0 elsewhere."""
        face, shape = self.face, self.shape[frames]
        normals = torch.zeros_like(shape)
        centres, radii = face.eye_balls(shape)
        for i, side in enumerate(("right_eye", "left_eye")):
            part = face.parts[side]
            normals[:, part] = (shape[:, part] - centres[:, i, None]) / radii[:, i, None, None]
        return normals @ face.model.rotation(self.performance.angles[frames])

    def _eye_light(self, spread: Tensor, openness: Tensor) -> Tensor:
        """Light [K, 3] of eyeballs: texture, shadow of the lids and the reflection of the first light.

        Args:
            spread: texture coordinates in 0–1 and normal [K, 5].
            openness: [K, 1], share of light that the skin around lets in.
        """
        person = self.person
        normal = F.normalize(spread[:, 2:], dim=1)
        direction, colour = person.lights[0]
        half = _half_vector(direction, 1.2)
        glint = person.glint * 2.5 * (normal @ half).clamp(min=0)[:, None] ** 300 * colour.mean()
        level = light_level(person.ambient, person.lights, INTERIOR_LIGHT_SHARE)
        shaded = _sample(person.eyes, spread) * level * 0.8 * (0.4 + 0.6 * openness.sqrt())
        return shaded * (0.5 + 0.5 * normal[:, 2:].clamp(min=0)) + glint

    def _mouth_light(self, spread: Tensor, openness: Tensor) -> Tensor:
        """Light [K, 3] of the mouth's inside; arguments as of `_eye_light`."""
        level = light_level(self.person.ambient, self.person.lights, INTERIOR_LIGHT_SHARE)
        return _sample(self.person.mouth, spread) * level * (0.2 + 0.9 * openness)


def _sample(texture: Tensor, spread: Tensor) -> Tensor:
    """Colours [K, 3] of a texture [3, P, P] at the coordinates in 0–1 that `spread` [K, 2 or more] begins with."""
    place = spread[None, None, :, :2] * 2 - 1
    return F.grid_sample(texture[None], place, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T


def _half_vector(direction: Tensor, viewer: float = 1.0) -> Tensor:
    """Unit vector [3] between a light and the viewer, whose direction +z has the length `viewer`."""
    return F.normalize(direction + torch.tensor([0.0, 0.0, viewer]), dim=0)


@lru_cache(maxsize=1)
def _skin_mesh() -> tuple[Tensor, int, Tensor]:
    """Triangles of the skin followed by those that close the openings, number of the former, canvas uv [V, 2]."""
    face = bundled_face()
    skin = face.model.triangles[: face.part_triangles["face"].stop + PAINTED_RINGS * RING_TRIANGLES]
    closing = []
    for upper, lower in OPENINGS:
        for i in range(len(upper) - 1):
            closing += [(upper[i], upper[i + 1], lower[i]), (upper[i + 1], lower[i + 1], lower[i])]
    uv = face.model.mean_shape[:, :2] * torch.tensor([1.0, -1.0]) / CANVAS_HALF_SIDE
    return torch.cat([skin, torch.tensor(closing)]), len(skin), uv


@lru_cache(maxsize=1)
def _ambient_occlusion() -> Tensor:
    """Share of light [V] at each vertex, less in hollows of the mean face: beside the nose, in the eye sockets."""
    face = bundled_face()
    points = face.model.mean_shape[: face.parts["head"].stop]
    near = torch.exp(-torch.cdist(points[:, :2], points[:, :2]).square() / (2 * OCCLUSION_SIGMA**2))
    depth = near @ points[:, 2] / near.sum(1) - points[:, 2]
    light = torch.ones(len(face.model.mean_shape))
    light[: len(points)] = (1 - 3.0 * depth).clamp(0.55, 1.08)
    light[face.parts["head"]] = 1
    return light
