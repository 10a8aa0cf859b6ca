"""The `projected` render: the source photograph's own pixels on the moving mesh, with eyes and a mouth inside.

Skin, head and surroundings are one mesh that carries the photograph. Behind it lie the eyeballs, which turn with the
gaze, and the mouth's inside; their textures are taken from the photograph where it shows them and completed elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..motion.track import MotionTrack
from .face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LEFT_IRIS, LEFT_LOWER_LID, LEFT_UPPER_LID, OVAL, RIGHT_IRIS, RIGHT_LOWER_LID, RIGHT_UPPER_LID
from .inside import eye_texture, mouth_texture
from .procedural import RINGS_ABOVE, ProceduralFace
from .rasterize import interpolate, rasterize

INSIDE = ("right_eye", "left_eye", "mouth")
LIDS = {"right_eye": (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS), "left_eye": (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS)}
RING_FADE = (1.0, 0.9, 0.7, 0.4, 0.1, 0.0)  # how far the rings take over the outline's deviation from the model


class ProjectedRenderer:
    """Draws one source photograph with any motion.

    face: the bundled model. crop: [3, S, S] in ±1. landmarks: [478, 3] in crop pixels. source: its one-frame track.
    """

    def __init__(self, face: ProceduralFace, crop: Tensor, landmarks: Tensor, source: MotionTrack) -> None:
        self.face, self.crop, self.size = face, crop, crop.shape[-1]
        self.source = source
        model, c = face.model, source.coefficients
        rest = face.turn_eyes(model.shape(c.identity, c.expression), source.gaze)
        world = model.transform(rest, c.angles, c.translation)
        plane = self._to_plane(landmarks[:468, :2], source.alignment[0])

        # the photograph's own face: model depth, tracked picture position
        depth = model.camera - world[0, :468, 2]
        seen = torch.stack(
            [(plane[:, 0] - model.centre) * depth / model.focal, (model.centre - plane[:, 1]) * depth / model.focal, world[0, :468, 2]], 1
        )
        rotation = model.rotation(c.angles)[0]
        own = (seen - c.translation) @ rotation.T
        beyond = own - rest[0, :468]
        shape = rest[0].clone()
        shape[:468] = own
        rings = shape[face.parts["head"]].view(len(RINGS_ABOVE), len(OVAL), 3)
        rings += torch.tensor(RING_FADE)[:, None, None] * beyond[OVAL]
        shape[face.parts["mouth"]] += beyond[[78, 308, 13, 14]].mean(0)
        self.shape = shape
        self._spread_rings()
        self.place = self._project(self.shape[None], source)[0][..., :2]
        self.triangles = model.triangles
        self.skin = torch.arange(face.part_triangles["head"].stop)
        self.inside = torch.arange(face.part_triangles["head"].stop, len(model.triangles))
        self._textures(landmarks)

    @staticmethod
    def _to_plane(points: Tensor, alignment: Tensor) -> Tensor:
        return points @ alignment[:, :2].T + alignment[:, 2]

    def _project(self, shape: Tensor, track: MotionTrack) -> Tensor:
        """Crop pixels and depth [N, V, 3] of shapes [N, V, 3] posed as in the track."""
        model, c = self.face.model, track.coefficients
        points = model.project(model.transform(shape, c.angles, c.translation))
        linear = torch.linalg.inv(track.alignment[:, :, :2])
        pixels = (points[..., :2] - track.alignment[:, None, :, 2]) @ linear.transpose(1, 2)
        return torch.cat([pixels, points[..., 2:]], -1)

    def _spread_rings(self) -> None:
        """Keep each ring of the head outside the one before in the photograph, so that no pixel is used twice."""
        model, c, head = self.face.model, self.source.coefficients, self.face.parts["head"]
        pixels = self._project(self.shape[None], self.source)[0]
        outline = pixels[OVAL, :2]
        centre = outline.mean(0)
        rings = pixels[head].view(len(RINGS_ABOVE), len(OVAL), 3)
        reach, unit = (outline - centre).norm(dim=1), F.normalize(outline - centre, dim=1)
        for ring, least in zip(rings, (1.03, 1.06, 1.1, 1.15, 1.2, 1.5)):
            out = ((ring[:, :2] - centre) * unit).sum(1)
            ring[:, :2] += (reach * least - out).clamp(min=0)[:, None] * unit
            reach = torch.maximum(out, reach * least)
        plane = self._to_plane(rings.reshape(-1, 3)[:, :2], self.source.alignment[0])
        depth = rings.reshape(-1, 3)[:, 2]
        seen = torch.stack([(plane[:, 0] - model.centre) * depth / model.focal, (model.centre - plane[:, 1]) * depth / model.focal, model.camera - depth], 1)
        self.shape[head] = (seen - c.translation) @ model.rotation(c.angles)[0].T

    def _textures(self, landmarks: Tensor) -> None:
        """Bake what the photograph shows of eyes and mouth onto their own textures [4, T, T] (colour, share seen)."""
        model, parts = self.face.model, self.face.parts
        self.texture = {}
        pixels = self._project(self.shape[None], self.source)[0]
        light = float(((self.crop[:, pixels[[50, 280, 9, 200], 1].long().clamp(0, self.size - 1), pixels[[50, 280, 9, 200], 0].long().clamp(0, self.size - 1)] + 1) / 2).mean())
        for name in INSIDE:
            side = 128
            triangles = model.triangles[self.face.part_triangles[name]] - parts[name].start
            uv = torch.cat([self.face.uv[parts[name]] * side, torch.zeros(parts[name].stop - parts[name].start, 1)], 1)
            fragments = rasterize(uv[None], triangles, side, side)
            place = interpolate(fragments, triangles, pixels[parts[name], :2])[0].permute(1, 2, 0)
            shown = self._sample(place[None])[0]
            if name == "mouth":
                hole = torch.cat([landmarks[INNER_UPPER_LIP, :2], landmarks[INNER_LOWER_LIP[::-1], :2]])
                known = self._inside(place, hole, margin=1.5) * fragments.mask[0]
                self.texture[name] = mouth_texture(shown, known, light)
            else:
                upper, lower, iris = LIDS[name]
                hole = torch.cat([landmarks[upper, :2], landmarks[lower[::-1], :2]])
                known = self._inside(place, hole, margin=1.5) * fragments.mask[0]
                width = (landmarks[upper[0], :2] - landmarks[upper[-1], :2]).norm()
                radius = (landmarks[iris[1], :2] - landmarks[iris[3], :2]).norm() / 2 / width
                self.texture[name] = eye_texture(shown, known, float(radius), light)

    def _sample(self, place: Tensor) -> Tensor:
        """Photograph colours [N, 3, H, W] at crop pixels [N, H, W, 2]."""
        grid = place / self.size * 2 - 1
        crop = self.crop[None].expand(len(place), -1, -1, -1)
        return F.grid_sample(crop, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)

    @staticmethod
    def _inside(points: Tensor, polygon: Tensor, margin: float) -> Tensor:
        """How far points [H, W, 2] lie inside a polygon [P, 2]: 0 outside, 1 from `margin` + 1 pixels inwards."""
        a, b = polygon, polygon.roll(-1, 0)
        p = points[:, :, None]
        crosses = ((a[:, 1] > p[..., 1]) != (b[:, 1] > p[..., 1])) & (
            p[..., 0] < (b[:, 0] - a[:, 0]) * (p[..., 1] - a[:, 1]) / (b[:, 1] - a[:, 1] + 1e-9) + a[:, 0]
        )
        edge = b - a
        t = (((p - a) * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-6)).clamp(0, 1)
        distance = (p - a - t[..., None] * edge).norm(dim=-1).min(-1).values
        return (distance - margin).clamp(0, 1) * (crosses.sum(-1) % 2)

    @torch.no_grad()
    def __call__(self, track: MotionTrack) -> Tensor:
        """Pictures [N, 3, S, S] in ±1 of the source with the track's expression, pose and gaze."""
        face, model = self.face, self.face.model
        change = track.coefficients.expression - self.source.coefficients.expression
        moved = (change @ model.expression_basis.view(-1, 64).T).view(len(track), -1, 3)
        shape = face.turn_eyes(self.shape + moved, track.gaze)
        points = self._project(shape, track)
        follow = face.follows[:, None]
        points[..., :2] = follow * points[..., :2] + (1 - follow) * self.place
        return self._draw(points)

    def _draw(self, points: Tensor) -> Tensor:
        size = self.size
        # skin, head and surroundings
        fragments = rasterize(points, self.triangles[self.skin], size, size)
        place = interpolate(fragments, self.triangles[self.skin], self.place)
        cover = fragments.mask[:, None].float()
        # carry the photograph a little over the rims of lids and lips: lashes and soft edges
        steps = torch.arange(size) + 0.5
        here = torch.stack(torch.meshgrid(steps, steps, indexing="xy"))
        spread = _blur(cover, 1.6)
        shift = _blur((place - here) * cover, 1.6) / spread.clamp(min=1e-4)
        place = torch.where(cover > 0, place, here + shift)
        skin = self._sample(place.permute(0, 2, 3, 1))
        cover = ((spread - 0.22) / 0.45).clamp(0, 1)
        if not (cover < 1).any():
            return skin

        # what lies behind
        fragments = rasterize(points, self.triangles[self.inside], size, size)
        uv = interpolate(fragments, self.triangles[self.inside], self.face.uv)
        behind = torch.full_like(skin, -0.85)
        for name in INSIDE:
            part = self.face.part_triangles[name]
            own = (fragments.triangle >= part.start - len(self.skin)) & (fragments.triangle < part.stop - len(self.skin))
            texture = self.texture[name][None].expand(len(points), -1, -1, -1)
            drawn = F.grid_sample(texture, uv.permute(0, 2, 3, 1) * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)
            colour, seen = drawn[:, :3], drawn[:, 3:]
            # skin shades what the photograph did not show
            shade = 1 - (0.75 if name == "mouth" else 0.25) * _blur(cover, 7.0 if name == "mouth" else 3.0) * (1 - seen)
            behind = torch.where(own[:, None], (colour + 1) * shade - 1, behind)
        return skin * cover + behind * (1 - cover)


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, C, H, W] with continued borders."""
    reach = int(3 * sigma + 0.5)
    k = torch.exp(-((torch.arange(-reach, reach + 1) / sigma) ** 2) / 2).to(x)
    k = (k / k.sum()).repeat(x.shape[1], 1)
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    x = F.conv2d(x, k[:, None, None, :], groups=x.shape[1])
    return F.conv2d(x, k[:, None, :, None], groups=x.shape[1])
