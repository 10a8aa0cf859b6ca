"""Draw synthetic people from their true geometry, and make training samples: what the product renders, and what is true."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...face.crop import CROP_SIZE, crop_matrix
from ...face.gaze import as_tracked
from ...morphable.bundled.blendshapes import NAMES
from ...morphable.bundled.face import procedural_face
from ...morphable.bundled.face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from ...morphable.rasterize import interpolate, rasterize
from .camera import from_jpeg, photograph, to_jpeg
from .canvas import REACH
from .inference import frame_weights, product_clip
from .noise import blur
from .performance import Performance, random_performance
from .person import Person, random_person
from .skin import FOLDS

HEAD_RINGS = 5  # rings that carry paint


@dataclass(frozen=True)
class Sample:
    """One person: a source picture and a clip.

    source: JPEG bytes; targets, renders: JPEG bytes of each frame, the truth and what the product would draw from the
    source; motion [N, 71] of the product's track; weight: uint8 [N, 64, 64], what each place counts, in 32nds.
    """

    source: bytes
    targets: list[bytes]
    renders: list[bytes]
    motion: Tensor
    weight: Tensor


@lru_cache(maxsize=1)
def _mesh() -> tuple[Tensor, int, Tensor]:
    """Triangles of the painted skin followed by those that close eyes and mouth, the skin's number, the plane's uv [V, 2]."""
    face = procedural_face()
    skin = face.model.triangles[: face.part_triangles["face"].stop + HEAD_RINGS * 72]
    holes = []
    pairs = ((INNER_UPPER_LIP, INNER_LOWER_LIP), (RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
    for upper, lower in pairs:
        for i in range(len(upper) - 1):
            holes += [(upper[i], upper[i + 1], lower[i]), (upper[i + 1], lower[i + 1], lower[i])]
    uv = face.model.mean_shape[:, :2] * torch.tensor([1.0, -1.0]) / REACH
    return torch.cat([skin, torch.tensor(holes)]), len(skin), uv


class Drawer:
    """Draws one person: `pixels` places the vertices, `draw` gives linear light, `landmarks` what a tracker would see."""

    def __init__(self, person: Person, performance: Performance, rng: np.random.Generator) -> None:
        self.person, self.face, self.performance = person, procedural_face(), performance
        model = self.face.model
        n = len(performance.angles)
        shape = model.shape(person.identity[None], performance.expression) * person.aspect
        head = self.face.parts["head"]
        shape[:, head, 2] = shape[:, head, 2] * person.depth_scale  # the head behind the face is not the model's
        shape[:, self.face.parts["mouth"].stop - 52 :, 1] += person.teeth_shift
        self.shape = self.face.turn_eyes(shape, performance.gaze)
        world = model.transform(self.shape, performance.angles, performance.translation)
        self.normals = model.normals(self.shape) @ model.rotation(performance.angles)
        plane = model.project(world)
        # the product's crop of the source picture, a little off as its landmarks are
        matrix = crop_matrix(plane[0, :468], 0.56 * float(np.exp(rng.normal(0, 0.03))))
        matrix[:, 2] += torch.from_numpy(rng.normal(0, 3, 2)).float()
        self.matrix = matrix
        points = self._pixels(plane)
        # neck and shoulders stay behind
        rest = model.transform(self.shape[:1], torch.zeros(1, 3), performance.translation[:1])
        still = self._pixels(model.project(rest))[0, :, :2]
        follow = self._follow()[:, None]
        points[..., :2] = follow * points[..., :2] + (1 - follow) * still
        self.points, self.scale = points, float(matrix[0, 0]) * model.focal
        self.count = n

    def _pixels(self, plane: Tensor) -> Tensor:
        """Crop pixels and depth of points [N, V, 3] on the camera plane."""
        return torch.cat([plane[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2], plane[..., 2:]], -1)

    def _follow(self) -> Tensor:
        """Share of the head's movement [V]: all of it above the chin line, this person's share of the neck."""
        face = self.face
        y = face.model.mean_shape[:, 1]
        below = ((-0.15 - y) / 0.5).clamp(0, 1)
        follow = face.follows.clamp(min=0) ** self.person.stiffness
        rings = torch.arange(len(follow)) - face.parts["head"].start
        hair = ((rings >= 0) & (rings < HEAD_RINGS * 36)).float() * (1 - below)
        return follow + hair * (1 - follow)

    def landmarks(self, rng: np.random.Generator) -> Tensor:
        """Tracker-like landmarks [N, 478, 3] in crop pixels: smooth and jittering errors, depth up to a factor."""
        n = self.count
        mesh = self.points[:, :468].clone()
        middle = mesh[..., 2].mean(1, keepdim=True)
        mesh[..., 2] = (mesh[..., 2] - middle) * (self.scale / middle) * float(rng.uniform(0.85, 1.15))
        mean = self.face.model.mean_shape[:468]
        knots = mean[torch.from_numpy(rng.choice(468, 40, replace=False))]
        weight = torch.softmax(-(mean[:, None] - knots).square().sum(-1) / (2 * 0.12**2), 1)
        weight = weight / weight.square().sum(1, keepdim=True).sqrt()
        constant = rng.standard_normal((1, 40, 3))
        moving = rng.standard_normal((3, 40, 3))
        t = np.linspace(0, 2, n)
        moving = np.stack([np.interp(t, range(3), moving[:, i, k]) for i in range(40) for k in range(3)], 1).reshape(
            n, 40, 3
        )
        smooth = weight @ torch.from_numpy(0.5 * constant + 0.5 * moving).float()
        error = smooth * torch.tensor([0.7, 0.7, 3.0]) + torch.from_numpy(rng.normal(0, 0.15, (n, 468, 3))).float()
        iris = self._irises(mesh) + torch.from_numpy(rng.normal(0, 0.35, (n, 10, 3))).float()
        return torch.cat([mesh + error, iris], 1)

    def weights(self) -> Tensor:
        """What each place of the frames counts [N, 64, 64]: see `frame_weights`."""
        return frame_weights(self.points)

    def _irises(self, mesh: Tensor) -> Tensor:
        """Iris centres and rims [N, 10, 3], where a tracker sees them on the drawn eyeballs."""
        model, moves = self.face.model, self.performance
        seen = self.face.turn_eyes(self.shape, as_tracked(moves.gaze))
        points = self._pixels(model.project(model.transform(seen, moves.angles, moves.translation)))
        out = []
        for i, (side, corners) in enumerate((("right_eye", (33, 133)), ("left_eye", (263, 362)))):
            pupil = points[:, self.face.parts[side]][:, :24].mean(1)
            width = (mesh[:, corners[0], :2] - mesh[:, corners[1], :2]).norm(dim=-1)
            radius = 0.2 * width
            z = mesh[:, list(corners), 2].mean(1)
            for dx, dy in ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1)):
                out.append(torch.stack([pupil[:, 0] + dx * radius, pupil[:, 1] + dy * radius, z], -1))
        return torch.stack(out, 1)

    def _light(self, normals: Tensor) -> Tensor:
        """Light [N, V, 3] falling on normals [N, V, 3]."""
        light = self.person.ambient * (0.75 + 0.25 * normals[..., 1:2])
        for direction, colour in self.person.lights:
            wrapped = ((normals @ direction + 0.15) / 1.15).clamp(min=0)
            light = light + wrapped[..., None] * colour
        return light

    def _gloss(self, normals: Tensor) -> Tensor:
        """Shine [N, V, 1] of the skin towards the viewer."""
        strength, sharp = self.person.gloss
        shine = torch.zeros_like(normals[..., :1])
        for direction, colour in self.person.lights:
            half = F.normalize(direction + torch.tensor([0.0, 0, 1]), dim=0)
            shine = shine + (normals @ half).clamp(min=0)[..., None] ** sharp * colour.mean()
        return strength * shine

    @torch.no_grad()
    def draw(self, frames: slice) -> Tensor:
        """Linear light [n, 3, 512, 512] of some frames."""
        person, size = self.person, CROP_SIZE
        triangles, skin_count, uv = _mesh()
        points, normals = self.points[frames], self.normals[frames]
        n = len(points)
        fragments = rasterize(points, triangles, size, size)
        hollow = _hollows()[None, :, None]
        attributes = torch.cat([uv.expand(n, -1, -1), self._light(normals) * hollow, self._gloss(normals) * hollow], -1)
        spread = interpolate(fragments, triangles, attributes)
        paint = person.skin[None].expand(n, -1, -1, -1)
        paint = F.grid_sample(
            paint, spread[:, :2].permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        depth = self._fold_depth(frames)
        folds = (paint[:, 4 : 4 + FOLDS] * depth[:, :, None, None]).sum(1, keepdim=True)
        skin = paint[:, :3] * spread[:, 2:5] * (1 - folds.clamp(max=0.8)) + spread[:, 5:6]
        on_skin = ((fragments.triangle >= 0) & (fragments.triangle < skin_count))[:, None].float()
        in_hole = (fragments.triangle >= skin_count)[:, None].float()
        # colours carried over the rims, so that edges are soft
        wide = blur(torch.cat([skin * on_skin, on_skin, in_hole], 1), 0.7)
        skin = torch.where(on_skin > 0, skin, wide[:, :3] / wide[:, 3:4].clamp(min=1e-3))
        near = (wide[:, 4:] > 0.01) & (fragments.triangle >= 0)[:, None]
        share = torch.where(near, wide[:, 3:4], on_skin)
        cover = torch.where(near, torch.ones_like(share), paint[:, 3:4] * on_skin)
        head = skin * share
        self._inside(head, points, frames, near[:, 0], share, blur(on_skin, 6.0))
        ambience = person.ambient + 0.7 * sum(colour for _, colour in person.lights)
        return person.background * ambience[:, None, None] * (1 - cover) + head * cover

    def _fold_depth(self, frames: slice) -> Tensor:
        """How deep each kind of fold is [n, FOLDS]: with smiles, with narrowed eyes, with lifted brows."""
        e = self.performance.expression[frames]

        def both(name: str) -> Tensor:
            return (e[:, NAMES.index(f"{name}_right")] + e[:, NAMES.index(f"{name}_left")]) / 2

        return torch.stack(
            [both("corner_x") + both("cheek_raise"), both("squint") + both("cheek_raise"), 1.5 * both("brow_mid")], 1
        ).clamp(0, 1.6)

    def _inside(
        self, head: Tensor, points: Tensor, frames: slice, where: Tensor, share: Tensor, skin_near: Tensor
    ) -> None:
        """Add the light from eyes and the mouth's inside to head [n, 3, S, S] where `where` [n, S, S], behind the skin's share.

        skin_near [n, 1, S, S]: how much skin is around, which shades what lies behind.
        """
        face, person = self.face, self.person
        start = face.part_triangles["head"].stop
        triangles = face.model.triangles[start:]
        fragments = rasterize(points, triangles, CROP_SIZE, CROP_SIZE)
        normals = torch.zeros_like(points)
        for i, side in enumerate(("right_eye", "left_eye")):
            part = face.parts[side]
            centre, radius = (x[frames] for x in face.eye_balls(self.shape))
            normals[:, part] = (self.shape[frames][:, part] - centre[:, i, None]) / radius[:, i, None, None]
        normals = normals @ face.model.rotation(self.performance.angles[frames])
        at = where.nonzero(as_tuple=True)
        triangle = fragments.triangle[at]
        corners = triangles[triangle.clamp(min=0)]
        values = torch.cat([face.uv.expand(len(points), -1, -1), normals], -1)
        spread = (values[at[0][:, None], corners] * fragments.barycentric[at][..., None]).sum(1)
        grid = spread[None, None, :, :2] * 2 - 1
        eyes, mouth = (
            F.grid_sample(t[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].T
            for t in (person.eyes, person.mouth)
        )
        level = person.ambient + 0.6 * sum(colour for _, colour in person.lights)
        normal = F.normalize(spread[:, 2:], dim=1)
        direction, colour = person.lights[0]
        half = F.normalize(direction + torch.tensor([0.0, 0, 1.2]), dim=0)
        glint = person.glint * 2.5 * (normal @ half).clamp(min=0)[:, None] ** 300 * colour.mean()
        open_to_light = (1 - skin_near[:, 0][at]).clamp(0, 1)[:, None]
        eyes = (
            eyes * level * 0.8 * (0.4 + 0.6 * open_to_light.sqrt()) * (0.5 + 0.5 * normal[:, 2:].clamp(min=0)) + glint
        )
        mouth = mouth * level * (0.2 + 0.9 * open_to_light)
        in_mouth = (triangle >= face.part_triangles["mouth"].start - start)[:, None]
        light = torch.where(triangle[:, None] >= 0, torch.where(in_mouth, mouth, eyes), torch.full_like(eyes, 0.004))
        n, y, x = at
        head[n, :, y, x] += light * (1 - share[:, 0][at])[:, None]


@lru_cache(maxsize=1)
def _hollows() -> Tensor:
    """How much light reaches each vertex [V]: less in hollows of the mean face, as beside the nose and in the eye sockets."""
    model = procedural_face().model
    points = model.mean_shape[: procedural_face().parts["head"].stop]
    near = torch.exp(-torch.cdist(points[:, :2], points[:, :2]).square() / (2 * 0.13**2))
    sunk = near @ points[:, 2] / near.sum(1) - points[:, 2]
    light = torch.ones(len(model.mean_shape))
    light[: len(points)] = (1 - 3.0 * sunk).clamp(0.55, 1.08)
    light[procedural_face().parts["head"]] = 1
    return light


def make_sample(seed: int, frames: int = 12) -> Sample:
    """Sample number `seed`; the same seed gives the same sample on one machine."""
    person = random_person(seed)
    rng = np.random.default_rng([seed, 2])
    performance = random_performance(rng, frames, depth=float(rng.uniform(-1, 7)))
    drawer = Drawer(person, performance, rng)
    pictures = [photograph(drawer.draw(slice(i, i + 4)), person.look) for i in range(0, frames + 1, 4)]
    files = [to_jpeg(picture, person.look["quality"]) for picture in torch.cat(pictures)]

    crop = from_jpeg(files[0]).float() / 127.5 - 1
    motion, renders = product_clip(crop, drawer.landmarks(rng))
    return Sample(
        files[0],
        files[1:],
        [to_jpeg((r + 1) / 2, 97) for r in renders],
        motion.motion,
        (32 * drawer.weights()[1:]).byte(),
    )
