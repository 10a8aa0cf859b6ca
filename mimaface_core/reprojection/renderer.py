"""The `projected` render: the source photograph's own pixels on the moving mesh, with eyes and a mouth inside.

Skin, head and surroundings are one mesh that carries the photograph. Behind it lie the eyeballs, which turn with the
gaze, and the mouth's inside; their textures are taken from the photograph where it shows them and completed elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.blendshapes import LID_MODES
from ..morphable.bundled.face import LID_MIDDLES, RINGS_ABOVE, ProceduralFace
from ..morphable.bundled.face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_BROW,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    OVAL,
    RIGHT_BROW,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from ..morphable.bundled.lip_contact import SHUT, TOUCH, closed_mouth, lip_gaps, meet
from ..morphable.bundled.mouth_texture import LAYERS, light_of, paint, teeth_edge, with_shown
from ..morphable.rasterize import interpolate, rasterize
from ..motion.track import MotionTrack
from .eye_textures import (
    blur,
    edge_distance,
    inside_polygon,
    iris_texture,
    sample,
    shut,
    softness,
    stretch,
    without_iris,
)
from .monochrome import tone_of, toned

EYES = {
    "right_eye": (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_IRIS),
    "left_eye": (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_IRIS),
}


def _spans(*edges: tuple[list[int], list[int]]) -> Tensor:
    """Triangles that span the openings between upper and lower edges."""
    strips = []
    for upper, lower in edges:
        for i in range(len(upper) - 1):
            strips += [(upper[i], upper[i + 1], lower[i + 1]), (upper[i], lower[i + 1], lower[i])]
    return torch.tensor([t for t in strips if len(set(t)) == 3])


EYE_OPENINGS, MOUTH_OPENING = (
    _spans(*(edges[:2] for edges in EYES.values())),
    _spans((INNER_UPPER_LIP, INNER_LOWER_LIP)),
)
RIMS = sorted({i for upper, lower, _ in EYES.values() for i in upper + lower} | set(INNER_UPPER_LIP + INNER_LOWER_LIP))
LIP_MIDDLES = [13, 14]
# what shuts: upper edge, lower edge, for lids the brow's lower edge, and how much beside it is covered, of its width
SHUTTING = (
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_BROW[5:], 0.07), (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_BROW[5:], 0.07),
    (INNER_UPPER_LIP, INNER_LOWER_LIP, None, 0.02),
)  # fmt: skip
EYE_SIDE, MOUTH_SIDE = 128, 256  # of the textures
THIN, WIDE = 2.0, 12.0  # pixels: openings in which a photograph shows teeth, and in which it shows a tongue
LONG = 0.06  # model units: how much lower than usual upper teeth may end
HOLLOW = 9.0  # how fast teeth darken with every model unit that lips are pushed forwards
DEEP = (-0.62, -0.83, -0.84)  # the colour of the throat, where nothing lies before it
STRETCH = (0.10, 0.45)  # of the photograph, against 1: from where on it counts as changed, and as changed altogether
FOLD = 0.4  # how far up towards the brow a lid's fold reaches
NASAL = 0.12  # eye widths: no eyeball lies further from the middle between its corners
LID_SHARE = 0.2  # of an overlap of the lids, how much the upper one gives way
SAME = 0.015  # model units: where the gap between the lips differs less from the photograph's, its inside is still in place
LIP_SHADE = (0.42, 0.58, 0.58)  # how the light that passes the lips fades behind them: exponents of red, green and blue
LIP_REACH, LIP_SHADOW = 5.0, 4  # pixels: how far their shade reaches, and how much lower it falls
LIP_WET = (
    0.3,
    0.5,
    0.45,
)  # how much darker lips are where they roll in to an opening that the photograph does not show
SEAM = (0.7, 1.0, 0.95)  # how dark the line between shut lips is, against a lid's, in red, green and blue
MOUTH_FREE = (
    0.15  # how far frames may depart from the mouth's inside: teeth as they are painted beat those that were learned
)
MEETING = 0.015  # model units, the last of a gap between the lips, in which they come to lie together
RING_FADE = (1.0, 0.9, 0.7, 0.4, 0.1, 0.0)  # how far the rings take over the outline's deviation from the model


class ProjectedRenderer:
    """Draws one source photograph with any motion.

    face: the bundled model. crop: [3, S, S] in ±1. landmarks: [478, 3] in crop pixels. source: its one-frame track.
    """

    def __init__(self, face: ProceduralFace, crop: Tensor, landmarks: Tensor, source: MotionTrack) -> None:
        self.face, self.crop, self.size = face, crop, crop.shape[-1]
        self.source, self.tone = source, tone_of(crop)
        model, c = face.model, source.coefficients
        # both eyes look the same way: where they seem not to, the eyeballs lie nearer to the nose, or further from it
        self.nasal = float((source.gaze[0, 0] - source.gaze[0, 2]) / 2)
        self.nasal = max(-NASAL, min(NASAL, self.nasal))
        rest = face.turn_eyes(model.shape(c.identity, c.expression), source.gaze, self.nasal)
        world = model.transform(rest, c.angles, c.translation)
        # the photograph's own face: model depth, tracked picture position
        own = self._unproject(landmarks[:468, :2], model.camera - world[0, :468, 2])
        beyond = own - rest[0, :468]
        shape = rest[0].clone()
        shape[:468] = own
        rings = shape[face.parts["head"]].view(len(RINGS_ABOVE), len(OVAL), 3)
        rings += torch.tensor(RING_FADE)[:, None, None] * beyond[OVAL]
        # teeth and tongue keep the model's place behind the line of the photograph's lips, were they shut
        change = closed_mouth(face, c.identity, c.expression) - c.expression
        line = (own[LIP_MIDDLES, :] + model.expression_basis[LIP_MIDDLES, :] @ change[0]).mean(0)
        mouth = face.parts["mouth"]
        shape[mouth] += (
            line - model.mean_shape[LIP_MIDDLES, :].mean(0) - model.identity_basis[mouth.start] @ c.identity[0]
        )
        self.shape = face.turn_eyes(shape[None], source.gaze, self.nasal)[0]
        self._spread_rings()
        self.place = self._project(self.shape[None], source)[0][..., :2]
        self.skin = model.triangles[: face.part_triangles["head"].stop]
        self.lid_scale = self._lid_scale()
        self._textures(landmarks)

    def _unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Places [V, 3] in the face's own axes of crop pixels [V, 2] of the photograph at distances [V] from the camera."""
        c, alignment = self.source.coefficients, self.source.alignment[0]
        world = self.face.model.camera_points(pixels @ alignment[:, :2].T + alignment[:, 2], depth)
        return (world - c.translation) @ self.face.model.rotation(c.angles)[0].T

    def _project(self, shape: Tensor, track: MotionTrack) -> Tensor:
        """Crop pixels and depth [N, V, 3] of shapes [N, V, 3] posed as in the track."""
        model, c = self.face.model, track.coefficients
        points = model.project(model.transform(shape, c.angles, c.translation))
        linear = torch.linalg.inv(track.alignment[:, :, :2])
        pixels = (points[..., :2] - track.alignment[:, None, :, 2]) @ linear.transpose(1, 2)
        return torch.cat([pixels, points[..., 2:]], -1)

    def _spread_rings(self) -> None:
        """Keep each ring of the head outside the one before in the photograph, so that no pixel is used twice."""
        head = self.face.parts["head"]
        pixels = self._project(self.shape[None], self.source)[0]
        outline = pixels[OVAL, :2]
        centre = outline.mean(0)
        points = pixels[head]
        rings = points.view(len(RINGS_ABOVE), len(OVAL), 3)
        reach, unit = (outline - centre).norm(dim=1), F.normalize(outline - centre, dim=1)
        for ring, least in zip(rings, (1.03, 1.06, 1.1, 1.15, 1.2, 1.5)):
            out = ((ring[:, :2] - centre) * unit).sum(1)
            ring[:, :2] += (reach * least - out).clamp(min=0)[:, None] * unit
            reach = torch.maximum(out, reach * least)
        self.shape[head] = self._unproject(points[:, :2], points[:, 2])

    def _lid_scale(self) -> Tensor:
        """How much wider than the model's the photograph's eyes are open [2]: lid modes are scaled so that 1 still closes them."""
        c = self.source.coefficients
        modelled = self.face.eye_opening(c.identity, c.expression)[0]
        own = torch.stack([self.shape[up, 1] - self.shape[low, 1] for up, low in LID_MIDDLES])
        return (own / modelled.clamp(min=0.02)).clamp(0.5, 2.0)

    def _textures(self, landmarks: Tensor) -> None:
        """Take the irises and the mouth's inside from the photograph, and paint the irises out of the whites."""
        pixels = self._project(self.shape[None], self.source)[0]
        spots = pixels[[50, 280, 9, 200], :2].long().clamp(0, self.size - 1)
        skin = (self.crop[:, spots[:, 1], spots[:, 0]].mean(1) + 1) / 2
        self.whites, self.texture, white = self.crop, {}, []
        for name, (upper, lower, iris) in EYES.items():
            shown, place, mask = self._photographed(name, pixels, EYE_SIDE)
            hole = landmarks[upper + lower[::-1], :2]
            known = inside_polygon(place.permute(1, 2, 0), hole, margin=1.5) * mask
            width = (landmarks[upper[0], :2] - landmarks[upper[-1], :2]).norm()
            radius = (landmarks[iris[1], :2] - landmarks[iris[3], :2]).norm() / 2
            self.texture[name] = iris_texture(shown, known, float(radius / width))
            box, here = self._round(hole, 2)
            disc = (radius * 1.15 + 1.5 - (here - landmarks[iris[0], :2]).norm(dim=-1)).clamp(0, 1)
            self.whites = self.whites.clone()
            self.whites[box] = without_iris(self.whites[box], inside_polygon(here, hole, margin=0.0), disc)
            white.append(self.whites[box][:, inside_polygon(here, hole, margin=0.5) > 0])
        white = (torch.cat(white, 1) + 1) / 2
        white = white[:, white.mean(0) >= white.mean(0).quantile(0.6)].mean(1) if white.numel() else skin
        hole, light = landmarks[INNER_UPPER_LIP + INNER_LOWER_LIP[::-1], :2], light_of(skin, white)
        self._seat_teeth(hole, light)
        box, _ = self._round(landmarks[:468, :2], 0)
        self.softness = softness(self.crop[box])
        self._mouth(self._project(self.shape[None], self.source)[0], hole, light)
        self.shut = torch.stack([self._shut(landmarks, *edges) for edges in SHUTTING])
        self.open = self._openings(self.shape[None])[0]

    def _seat_teeth(self, hole: Tensor, light: Tensor) -> None:
        """Move the upper teeth down to where the photograph shows their edge in the mouth's opening `hole`."""
        box, here = self._round(hole, 0)
        part = self.face.parts["upper_teeth"]
        edge = self._project(self.shape[None], self.source)[0, part, 1].amax()
        middle, width = (
            (hole[0] + hole[len(INNER_UPPER_LIP) - 1])[0] / 2,
            (hole[0] - hole[len(INNER_UPPER_LIP) - 1]).norm(),
        )
        opening = (inside_polygon(here, hole, margin=0.0) > 0.5) & ((here[..., 0] - middle).abs() < 0.2 * width)
        lowest = teeth_edge(self.crop[box], opening, light)
        if lowest is not None:
            unit = (self.shape[INNER_UPPER_LIP[0]] - self.shape[INNER_UPPER_LIP[-1]]).norm() / width
            self.shape[part, 1] -= ((lowest + here[0, 0, 1] - edge) * unit).clamp(0, LONG)

    def _mouth(self, pixels: Tensor, hole: Tensor, light: Tensor) -> None:
        """Paint the mouth's layers, front to back, and take over what the photograph shows of each in its opening `hole`."""
        side = MOUTH_SIDE
        box, here = self._round(hole, 4)
        height = 2 * (inside_polygon(here, hole, margin=0.0) * edge_distance(here, hole)).amax()
        deep, wide = (((height - low) / low).clamp(0, 1) for low in (THIN, WIDE))
        texture, corner = torch.zeros(5, side, side), F.pad(here[0, 0] - 0.5, (0, 1))
        free = torch.zeros_like(self.crop[:1])  # where the layers in front let the opening be seen through
        free[box] = 1
        for number, name in enumerate(LAYERS):
            band = slice(number * side // 4, (number + 1) * side // 4)
            shown, place, mask = (x[..., band, :] for x in self._photographed(name, pixels, side))
            place = place.permute(1, 2, 0)
            known = torch.zeros_like(mask, dtype=torch.float32)
            if deep > 0 and ("teeth" in name or wide > 0):
                known = inside_polygon(place, hole, margin=0.8) * mask * sample(free, place[None])[0, 0].clamp(0, 1)
                known = known * (deep if "teeth" in name else wide)
            texture[:, band] = with_shown(paint(name, light, side), shown, known, light, "teeth" in name, wide)
            self.texture[name] = texture
            free[box] *= 1 - self._part((pixels - corner)[None], [name], self.crop[box][None])[2][0]

    def _photographed(self, name: str, pixels: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """The photograph on a part's texture: colours [3, T, T], crop pixels [2, T, T], and where the part is [T, T]."""
        part = self.face.parts[name]
        triangles = self.face.model.triangles[self.face.part_triangles[name]] - part.start
        uv = F.pad(self.face.uv[part] * side, (0, 1))
        fragments = rasterize(uv[None], triangles, side, side)
        place = interpolate(fragments, triangles, pixels[part, :2])[0].permute(1, 2, 0)
        return sample(self.crop, place[None])[0], place.permute(2, 0, 1), fragments.mask[0]

    def _shut(
        self, landmarks: Tensor, upper: list[int], lower: list[int], fold: list[int] | None, share: float
    ) -> Tensor:
        """The photograph with one opening shut, and where that is [4, S, S]."""
        hole = landmarks[upper + lower[::-1], :2]
        margin = max(1, round(float((hole[0] - hole[len(upper) - 1]).norm()) * share))
        whole = hole
        if fold:  # a lid that comes down smoothes its fold
            over = F.interpolate(landmarks[fold, :2].T[None], len(upper), mode="linear", align_corners=True)[0].T
            whole = torch.cat([landmarks[upper, :2] + FOLD * (over - landmarks[upper, :2]), landmarks[lower[::-1], :2]])
        box, here = self._round(whole, 3 * margin + 2)
        opening, folded = ((inside_polygon(here, polygon, margin=-1.0) > 0).float() for polygon in (hole, whole))
        if fold:  # lashes
            line = ((2.0 - edge_distance(here, landmarks[upper, :2])) / 1.5).clamp(0, 1)
        else:  # lips touch in a soft shadow, and what stays open between them is dark
            beside = edge_distance(here, torch.cat([hole, hole[:1]])) * (1 - opening)
            line = (1 - beside / 3).clamp(0, 1) * here.new_tensor(SEAM)[:, None, None]
        layer = torch.cat([self.crop, torch.zeros_like(self.crop[:1])])
        layer[box] = shut(self.crop[box], opening, folded, margin, line)
        return layer

    def _round(self, points: Tensor, reach: int) -> tuple[tuple[slice, slice, slice], Tensor]:
        """The box of pixels within `reach` of points [..., 2], for indexing [C, S, S], and its pixels' centres [h, w, 2]."""
        low = (points.reshape(-1, 2).amin(0) - reach).floor().long().clamp(0, self.size - 2).tolist()
        high = (points.reshape(-1, 2).amax(0) + reach).ceil().long().clamp(2, self.size).tolist()
        x, y = slice(low[0], max(high[0], low[0] + 2)), slice(low[1], max(high[1], low[1] + 2))
        steps = torch.meshgrid(torch.arange(x.start, x.stop) + 0.5, torch.arange(y.start, y.stop) + 0.5, indexing="xy")
        return (slice(None), y, x), torch.stack(steps, -1)

    def _apart(self, expression: Tensor) -> Tensor:
        """For N frames, 0 where the model's lips touch, so that the photograph's do, however well the model fits [N]."""
        identity, own = self.source.coefficients.identity, self.source.coefficients.expression
        before = lip_gaps(self.face, identity, own).amax()
        now = lip_gaps(self.face, identity, expression).amax(1)
        return torch.where(before > SHUT, (now - TOUCH) / MEETING, 1).clamp(0, 1)

    @staticmethod
    def _openings(shape: Tensor) -> Tensor:
        """How far right eye, left eye and mouth are open [N, 3], model units."""
        return torch.stack([shape[:, up, 1] - shape[:, low, 1] for up, low in (*LID_MIDDLES, LIP_MIDDLES)], 1)

    def __call__(self, track: MotionTrack) -> Tensor:
        """Pictures [N, 3, S, S] in ±1 of the source with the track's expression, pose and gaze."""
        return self.draw(track)[:, :3]

    @torch.no_grad()
    def draw(self, track: MotionTrack) -> Tensor:
        """Pictures and, as a fourth channel in 0–1, how far frames may depart from them at each place [N, 4, S, S].

        0 where the photograph is only shifted, 1 where it is stretched, squeezed or torn, or where something is made up;
        inside the mouth little.
        """
        shape = self.shapes(track)
        points = self._project(shape, track)
        follow = self.face.follows[:, None]
        points[..., :2] = follow * points[..., :2] + (1 - follow) * self.place
        closed = ((1 - self._openings(shape) / self.open - 0.35) / 0.45).clamp(0, 1) * (self.open > SHUT)
        gaps = shape[:, INNER_UPPER_LIP] - shape[:, INNER_LOWER_LIP]
        changed = (gaps - (self.shape[INNER_UPPER_LIP] - self.shape[INNER_LOWER_LIP])).norm(dim=-1).amax(1)
        drawn = self._draw(points, closed, (1 - changed / SAME).clamp(0, 1))
        if self.tone is not None:
            drawn[:, :3] = toned(drawn[:, :3], self.tone)
        return drawn

    def shapes(self, track: MotionTrack) -> Tensor:
        """The source's own shape [N, V, 3] with the track's expression and gaze, before the pose."""
        change = track.coefficients.expression - self.source.coefficients.expression
        for modes, scale in zip(LID_MODES, self.lid_scale):
            change[:, modes] *= scale
        moved = (change @ self.face.model.expression_basis.view(-1, 64).T).view(len(track), -1, 3)
        shape = self.shape + moved
        # lids meet, they do not pass each other
        for upper, lower, _ in EYES.values():
            upper, lower = upper[1:-1], lower[1:-1]
            past = (shape[:, lower, 1] - shape[:, upper, 1]).clamp(min=0)
            shape[:, upper, 1] += past * LID_SHARE
            shape[:, lower, 1] -= past * (1 - LID_SHARE)
        meet(shape, self.shape, self._apart(track.coefficients.expression))
        return self.face.turn_eyes(shape, track.gaze, self.nasal)

    def _draw(self, points: Tensor, closed: Tensor, same: Tensor) -> Tensor:
        """What `draw` returns, of projected vertices [N, V, 3]: skin over irises over the whites and the mouth's inside.

        closed: [N, 3], 0–1, how far right eye, left eye and mouth have shut since the photograph. same: [N], 0–1, how
        far the mouth is open as there.
        """
        size = self.size
        fragments = rasterize(points, self.skin, size, size)
        place = interpolate(fragments, self.skin, self.place).permute(0, 2, 3, 1)
        picture = sample(self.crop, place)
        _, everywhere = self._round(points.new_tensor([[0, 0], [size, size]]), 0)
        covered = torch.where(fragments.mask[..., None], place, everywhere)
        changed = blur(((stretch(covered) - STRETCH[0]) / (STRETCH[1] - STRETCH[0])).clamp(0, 1), 3.0)

        # the rest happens round eyes and mouth
        (_, rows, columns), here = self._round(points[:, RIMS, :2], 26)
        area, corner = (slice(None), slice(None), rows, columns), points.new_tensor([columns.start, rows.start, 0])
        view, place = picture[area], place[:, rows, columns]
        cover = fragments.mask[:, None, rows, columns].float()
        # carry the photograph a little over the rims of lids and lips: lashes and soft edges
        spread = blur(cover, 1.6)
        shift = blur((place - here).permute(0, 3, 1, 2) * cover, 1.6) / spread.clamp(min=1e-4)
        place = torch.where(cover.permute(0, 2, 3, 1) > 0, place, here + shift.permute(0, 2, 3, 1))
        skin = torch.where(cover > 0, view, sample(self.crop, place))
        for layer, share in zip(self.shut, closed.T, strict=True):
            if share.any():
                sheet = sample(layer, place)
                skin = skin + (sheet[:, :3] - skin) * (sheet[:, 3:] * share[:, None, None, None])
        cover = ((spread - 0.22) / 0.45).clamp(0, 1)

        points = points - corner
        behind, made, mouth = self._inside(points, view, cover, closed[:, 2])
        spans = torch.cat([EYE_OPENINGS, MOUTH_OPENING])
        fragments = rasterize(points, spans, *view.shape[-2:])
        place = interpolate(fragments, spans, self.place).permute(0, 2, 3, 1)
        photograph = torch.where(fragments.mask[:, None], sample(self.whites, place), skin)
        eyes = fragments.mask & (fragments.triangle < len(EYE_OPENINGS))
        same = same[:, None, None, None] * mouth
        behind = behind + torch.where(eyes[:, None], 1, same) * (photograph - behind)
        made = made * (1 - same)
        wet = blur((1 - cover) * made, 2.0)
        skin = (skin + 1) * (1 - points.new_tensor(LIP_WET)[:, None, None] * wet) - 1
        iris, seen, opacity, there = self._part(points, list(EYES), view)
        shade = 1 - 0.25 * blur(cover, 3.0) * (1 - seen)
        opacity = opacity * there
        behind = behind * (1 - opacity) + ((iris + 1) * shade - 1) * opacity
        picture[area] = skin * cover + behind * (1 - cover)
        changed[area] = torch.maximum(changed[area], (1 - cover) * made) * (1 - (1 - MOUTH_FREE) * (1 - cover) * mouth)
        return torch.cat([picture, blur(changed, 1.5)], 1)

    def _inside(self, points: Tensor, view: Tensor, cover: Tensor, closed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The mouth's inside [N, 3, h, w] behind lips that cover [N, 1, h, w].

        Also where the photograph does not show it, 0–1, and where it is at all [N, 1, h, w].
        """
        behind, seen = view.new_tensor(DEEP)[:, None, None].expand_as(view), torch.zeros_like(cover)
        inside = torch.zeros_like(cover, dtype=torch.bool)
        for name in reversed(LAYERS):
            colour, known, opacity, there = self._part(points, [name], view)
            opacity, inside = opacity * there, inside | there
            behind, seen = behind + opacity * (colour - behind), seen + opacity * (known - seen)
        # lips shade what the photograph did not show, and redden it; all of it where they shut
        lips = blur(cover, LIP_REACH)
        lips[..., LIP_SHADOW:, :] = lips[..., :-LIP_SHADOW, :].clone()
        part = self.face.parts["upper_teeth"]
        depth = points[:, part, 2].amin(1) - points[:, LIP_MIDDLES, 2].mean(1)
        deep = 1 - HOLLOW * (depth - 0.06).clamp(0, 0.1)[:, None, None, None]
        light = (deep * (1 - 0.93 * lips)) ** view.new_tensor(LIP_SHADE)[:, None, None]
        light = light + (1 - light) * seen * (1 - closed[:, None, None, None])
        behind = (behind + 1) * light - 1
        if self.softness > 0.3:
            behind = blur(behind, self.softness)
        return behind, (1 - seen) * inside, inside

    def _part(self, points: Tensor, names: list[str], view: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Colour [N, 3, h, w], share seen, opacity and mask [N, 1, h, w] of parts that lie behind the skin in a view's area."""
        spans = [self.face.part_triangles[name] for name in names]
        triangles = torch.cat([self.face.model.triangles[span] for span in spans])
        fragments = rasterize(points, triangles, *view.shape[-2:])
        uv = interpolate(fragments, triangles, self.face.uv).permute(0, 2, 3, 1) * 2 - 1
        drawn, start = 0, 0
        for name, span in zip(names, spans):
            own = (fragments.triangle >= start) & (fragments.triangle < start + span.stop - span.start)
            texture = self.texture[name][None].expand(len(points), -1, -1, -1)
            drawn = drawn + own[:, None] * F.grid_sample(
                texture, uv, mode="bilinear", padding_mode="border", align_corners=False
            )
            start += span.stop - span.start
        opacity = drawn[:, 4:] if drawn.shape[1] == 5 else torch.ones_like(drawn[:, :1])
        return drawn[:, :3], drawn[:, 3:4], opacity, fragments.mask[:, None]
