"""The `projected` render: the source photograph's own pixels on the moving mesh, with eyes and a mouth inside.

Skin, head and background are one mesh that carries the photograph. Behind it lie the eyeballs, which turn with the
gaze, and the mouth's inside; their textures are taken from the photograph where it shows them and completed elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..lookup import Lookup, sample
from ..morphable.bundled.blendshapes import LID_BLENDSHAPES
from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import (
    EYE_CORNERS,
    EYE_LANDMARKS,
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    NOSE_TIP,
)
from ..morphable.bundled.geometry import RING_POINTS
from ..morphable.bundled.lip_contact import CONTACT_GAP, SHUT_GAP, limit_lips, lip_gaps
from ..morphable.model import EXPRESSION_SIZE
from ..morphable.rasterize import Fragments, interpolate, rasterize
from ..motion.edit import CROP_SIZE
from ..motion.track import MotionTrack
from ..tensors import blur, moved
from .contact import hold_jaw, keep_iris_in_opening, lift_brows, meet_lids, order_lips, stop_jaw
from .edge import still_at_edge
from .facing import facing
from .hidden_skin import draw_hidden_skin
from .lashes import draw_lashes
from .lip_shading import LIP_SHADING
from .monochrome import apply_tone
from .mouth_inside import Interior, draw_mouth
from .openings import OPENING_ENDS, OPENING_TRIANGLES, RIM_POINTS
from .outline import Outline, soften_edges
from .parts import draw_parts
from .photo_analysis import SHUT_EYE, analyse_photo
from .photo_shape import openings
from .projection import in_pixels, project_with_surroundings
from .sampling import PixelBox, pixel_box, stretch

LIP_CLOSING_GAP = 0.015  # model units, the last of a gap between the lips, in which they come together
SAME_GAP = 0.015  # model units: where the lips' gap differs less from the photograph's, its inside still fits
OPENED_EYE = 0.03  # model units, by which an eye that the photograph shows shut opens until its inside is drawn
CLOSURE_RANGES = (0.25, 0.7), (0.25, 0.7), (0.35, 0.8)  # of eyes and mouth: they begin to be drawn closed, and are
STRETCH_RANGE = (0.2, 0.45)  # of the photograph: from where generated frames may depart from it, and altogether
MOUTH_FREEDOM = 0.3  # of generated frames inside the mouth: they light teeth better, and fill the dark with fog
RIM_REACH = 26  # pixels around eyes and mouth that are drawn with eyes and mouth behind the skin
RIM_BLUR = 1.6  # pixels by which the photograph continues over the rims of lids and lips: lashes and soft edges
SEAM_BLUR, SEAM_SOFTNESS = 0.8, 3.0  # pixels by which closed edges are softened, and how far beside them
AT_REST = 0.5  # pixels: a frame whose points have moved less goes over to the photograph itself


class Posed(NamedTuple):
    """The face in N frames: shape [N, V, 3] before the pose, points [N, V, 3] in crop pixels and depth, their track."""

    shape: Tensor
    points: Tensor
    track: MotionTrack


class _Skin(NamedTuple):
    """The photograph carried by the mesh.

    image: [N, 3 or 4, S, S], a fourth channel without content yet. source_pixels: [N, S, S, 2], places in the
    photograph. cover: bool [N, S, S], the mesh's mask.
    """

    image: Tensor
    source_pixels: Tensor
    cover: Tensor
    fragments: Fragments


class ReprojectionRenderer:
    """Draws one source photograph with any motion.

    Args:
        face: the bundled model.
        crop: [3, S, S] in ±1, the photograph.
        landmarks: [478, 3] in crop pixels.
        source: its track, one frame. Alignments of tracks are those of a crop of 512, whatever S is.
        device: where it draws; the photograph is analysed where its tensors lie, on the CPU.
    """

    def __init__(
        self,
        face: BundledFace,
        crop: Tensor,
        landmarks: Tensor,
        source: MotionTrack,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size = crop.shape[-1]
        self._pixel = self.size / CROP_SIZE  # of a crop of the usual size, in pixels of this one
        self.photo = moved(analyse_photo(face, crop, landmarks, in_pixels(source, self._pixel)), device)
        self.face = face = moved(face, device)
        corners = self.photo.shape[torch.tensor(EYE_CORNERS)]
        self._shut = self.photo.openings[:2] < SHUT_EYE * (corners[:, 0] - corners[:, 1]).norm(dim=-1)
        self._outline = Outline(face, self.photo.vertex_pixels, self.photo.facing)
        whole = self.photo.crop.new_tensor([[0, 0], [self.size, self.size]])
        planes = pixel_box(whole, 0, self.size).centres.permute(2, 0, 1).contiguous()
        self._centres = planes.permute(1, 2, 0)
        self._skin_triangles = face.model.triangles[: face.part_triangles["head"].stop]
        self._crop, self._without_irises = Lookup(self.photo.crop), Lookup(self.photo.without_irises)
        self._closed = [Lookup(layer) for layer in self.photo.closed]
        self._rest = self.pose(source).points[..., :2]

    def __call__(self, track: MotionTrack) -> Tensor:
        """Images [N, 3, S, S] in ±1 of the source with the track's expression, pose and gaze."""
        return self.draw(track)[:, :3]

    def draw(self, track: MotionTrack) -> Tensor:
        """Images of the source with the track's expression, pose and gaze, and the freedom to depart from them.

        Args:
            track: N frames.

        Returns:
            [N, 4, S, S], on the device: colours in ±1, and in 0–1 how far generated frames may depart from them: 0
            where the photograph is only shifted, 1 where it is stretched, squeezed or torn or where something is
            synthetic, little inside the mouth. A frame without any movement is the photograph itself.
        """
        return self.draw_posed(self.pose(track))

    @torch.no_grad()
    def pose(self, track: MotionTrack) -> Posed:
        """The face as it stands in the frames of a track."""
        track = moved(in_pixels(track, self._pixel), self._centres.device)
        shape = self.shapes(track)
        return Posed(shape, self._points(shape, track), track)

    @torch.no_grad()
    def draw_posed(self, posed: Posed, freedom: bool = True) -> Tensor:
        """What `draw` returns, of a face in its pose; without `freedom` the colours alone, [N, 3, S, S]."""
        shape, points, track = posed
        (low, high), closure = shape.new_tensor(CLOSURE_RANGES).T, 1 - openings(shape) / self.photo.openings
        closure = ((closure - low) / (high - low)).clamp(0, 1) * (self.photo.openings > SHUT_GAP)
        gaps = shape[:, INNER_UPPER_LIP] - shape[:, INNER_LOWER_LIP]
        photo_gaps = self.photo.shape[INNER_UPPER_LIP] - self.photo.shape[INNER_LOWER_LIP]
        unchanged = (1 - (gaps - photo_gaps).norm(dim=-1).amax(1, keepdim=True) / SAME_GAP).clamp(0, 1)
        eyes = self._shut * (1 - (openings(shape) - self.photo.openings)[:, :2] / OPENED_EYE).clamp(0, 1)
        unchanged = torch.cat([eyes, unchanged], 1)
        turned = facing(self.face, shape, track) - self.photo.facing
        departed = (points[..., :2] - self._rest).abs().amax((1, 2)) / (AT_REST * self._pixel)
        drawn = self._draw(points, closure, unchanged, turned, freedom)
        if self.photo.tone is not None:
            drawn[:, :3] = apply_tone(drawn[:, :3], self.photo.tone)
        near = (departed < 1).nonzero()[:, 0]
        if len(near):
            part, share = drawn[near], departed[near, None, None, None]
            part[:, :3] = torch.where(share > 0, torch.lerp(self.photo.crop, part[:, :3], share), self.photo.crop)
            part[:, 3:] *= share
            drawn[near] = part
        return drawn

    @torch.no_grad()
    def move(self, layer: Tensor, track: MotionTrack) -> Tensor:
        """Another layer of the photograph [1, S, S] in 0–1, such as its alpha, moved like its colours.

        Args:
            layer: in the pixels of the crop.
            track: N frames.

        Returns:
            [N, 1, S, S]; 1 in open eyes and in the mouth.
        """
        layer, track = moved((layer, in_pixels(track, self._pixel)), self._centres.device)
        skin = self._warped_skin(self._points(self.shapes(track), track))
        carried = sample(layer, skin.source_pixels).clamp(min=0)
        return torch.where(skin.cover[:, None], carried, 1)

    def _points(self, shape: Tensor, track: MotionTrack) -> Tensor:
        """Crop pixels and depth of shapes [N, V, 3] posed as in the track; the background stays."""
        points = project_with_surroundings(self.face, shape, track, self.photo.source, self.photo.vertex_pixels)
        self._outline.spread(points)
        return points

    def shapes(self, track: MotionTrack) -> Tensor:
        """The source's own shape [N, V, 3] with the track's expression and gaze, before the pose."""
        photo, expression = self.photo, track.coefficients.expression
        change = expression - photo.source.coefficients.expression
        for lids, scale in zip(LID_BLENDSHAPES, photo.lid_scale, strict=True):
            change[:, lids] *= scale
        shift = change @ self.face.model.expression_basis.view(-1, EXPRESSION_SIZE).T
        shape = photo.shape + shift.view(len(track), -1, 3)
        meet_lids(shape, photo.shape)
        lift_brows(shape, photo.shape)
        limit_lips(shape, photo.shape, self._lip_openness(expression))
        order_lips(shape, photo.shape)
        hold_jaw(self.face, shape, photo.shape)
        stop_jaw(self.face, shape)
        return self.face.turn_eyes(shape, keep_iris_in_opening(track.gaze), photo.nasal)

    def _lip_openness(self, expression: Tensor) -> Tensor:
        """0 where the model's lips touch, so that the photograph's do, however well the model fits it [N]."""
        c = self.photo.source.coefficients
        before = lip_gaps(self.face, c.identity, c.expression).amax()
        now = lip_gaps(self.face, c.identity, expression).amax(1)
        return torch.where(before > SHUT_GAP, (now - CONTACT_GAP) / LIP_CLOSING_GAP, 1).clamp(0, 1)

    def _draw(self, points: Tensor, closure: Tensor, unchanged: Tensor, turned: Tensor, free: bool) -> Tensor:
        """The result of `draw`: skin over irises over the sclera and the mouth's inside.

        points: [N, V, 3] in crop pixels. closure: [N, 3], 0–1, how far right eye, left eye and mouth have closed since
        the photograph. unchanged: [N, 3], 0–1, how far right and left eye are shut, and the mouth is open, as there.
        turned: [N, 468], see `draw_hidden_skin`. free: whether the freedom is drawn, too.
        """
        warped, px = self._warped_skin(points, int(free)), self._pixel
        drawn, image = warped.image, warped.image[:, :3]
        hidden, triangles = self.photo.hidden_skin, self._skin_triangles
        draw_hidden_skin(self.face, image, hidden, warped.fragments, triangles, points, turned)
        soften_edges(image, warped.source_pixels, warped.cover, points[:, : FACE_POINTS + RING_POINTS, :2])
        # the rest happens around eyes and mouth
        box = pixel_box(points[:, RIM_POINTS, :2], round(RIM_REACH * px), self.size)
        area = (slice(None), *box.index)
        local = points - points.new_tensor([*box.corner, 0])
        skin, cover = self._skin_over_rims(warped, box, closure)
        mouth = draw_mouth(self.face, self.photo.textures, local, cover, closure[:, 2], self.photo.defocus, px)
        interior = self._with_photograph(local, skin, mouth, unchanged)
        wet = blur((1 - cover) * interior.synthetic, LIP_SHADING.wet_reach * px)
        skin = (skin + 1) * (1 - points.new_tensor(LIP_SHADING.wet)[:, None, None] * wet) - 1
        behind = self._with_irises(local, interior, cover)
        image[area] = skin * cover + behind * (1 - cover)
        draw_lashes(image[area], cover, self.photo.lashes, local, closure[:, :2])
        if not free:
            return image
        drawn[:, 3:] = self._freedom(warped, interior, cover, area)
        return drawn

    def _freedom(self, skin: _Skin, interior: Interior, cover: Tensor, area: tuple[slice, ...]) -> Tensor:
        """How far generated frames may depart [N, 1, S, S], see `draw`; interior and cover: in `area`."""
        freedom, synthetic = self._stretch(skin), (1 - cover) * interior.synthetic
        in_mouth = (1 - MOUTH_FREEDOM) * (1 - cover) * interior.mouth
        freedom[area] = torch.maximum(freedom[area], synthetic) * (1 - in_mouth)
        return blur(freedom, 1.5 * self._pixel)

    def _warped_skin(self, points: Tensor, spare: int = 0) -> _Skin:
        fragments = rasterize(points, self._skin_triangles, self.size, self.size)
        pixels = interpolate(fragments, self._skin_triangles, self.photo.vertex_pixels).permute(0, 2, 3, 1)
        pixels = still_at_edge(pixels, points[:, RIM_POINTS, :2], self._centres)
        return _Skin(self._crop(pixels, spare=spare), pixels, fragments.mask, fragments)

    def _stretch(self, skin: _Skin) -> Tensor:
        """Distortion of the photograph [N, 1, S, S] in 0–1."""
        return blur(stretch(skin.source_pixels, skin.cover, *STRETCH_RANGE), 3.0 * self._pixel)

    def _skin_over_rims(self, skin: _Skin, box: PixelBox, closure: Tensor) -> tuple[Tensor, Tensor]:
        """Skin [N, 3, h, w] continued a little over the rims and closed by `closure`, and its cover [N, 1, h, w]."""
        view, pixels = skin.image[:, :3, box.rows, box.columns], skin.source_pixels[:, box.rows, box.columns]
        cover = skin.cover[:, None, box.rows, box.columns].float()
        rim, soft = RIM_BLUR * self._pixel, SEAM_BLUR * self._pixel
        spread = blur(cover, rim)
        shift = (pixels - box.centres).permute(0, 3, 1, 2)
        shift = blur(shift * cover, rim) / spread.clamp(min=1e-4)
        pixels = torch.where(cover.permute(0, 2, 3, 1) > 0, pixels, box.centres + shift.permute(0, 2, 3, 1))
        beyond = (cover <= 0)[:, 0]
        continued = torch.where(beyond[:, None], self._crop(pixels, beyond), view)
        for layer, share in zip(self._closed, closure.T, strict=True):
            if share.any():
                inside = (pixels > layer.extent[0]) & (pixels < layer.extent[1])
                closed, share = layer(pixels, inside[..., 0] & inside[..., 1]), share[:, None, None, None]
                continued = torch.lerp(continued, closed[:, :3], closed[:, 3:4] * share)
                if closed[:, 4:].any():
                    seam = (SEAM_SOFTNESS * blur(closed[:, 4:], soft)).clamp(0, 1)
                    continued = torch.lerp(continued, blur(continued, soft), seam * share)
        return continued, ((spread - 0.22) / 0.45).clamp(0, 1)

    def _with_photograph(self, points: Tensor, skin: Tensor, mouth: Interior, unchanged: Tensor) -> Interior:
        """The photograph in the openings: its sclera in eyes, itself in mouth and shut eyes if `unchanged` [N, 3]."""
        fragments = rasterize(points, OPENING_TRIANGLES, *skin.shape[-2:])
        pixels = interpolate(fragments, OPENING_TRIANGLES, self.photo.vertex_pixels).permute(0, 2, 3, 1)
        photograph = self._without_irises(pixels, fragments.mask)
        photograph = torch.where(fragments.mask[:, None], photograph, skin)
        number = torch.bucketize(fragments.triangle, fragments.triangle.new_tensor(OPENING_ENDS), right=True)
        eyes, mouth_share = (fragments.mask & (number < 2))[:, None], unchanged[:, 2, None, None, None] * mouth.mouth
        shut = eyes * unchanged.gather(1, number.flatten(1)).view_as(number)[:, None]
        if shut.any():
            photograph = photograph + shut * (self._crop(pixels, fragments.mask) - photograph)
        # between the rims of lids that shut there is skin
        rows = torch.arange(skin.shape[-2], device=skin.device)[:, None]
        beside = ~fragments.mask[:, None] & ~mouth.mouth & (rows < points[:, NOSE_TIP, 1, None, None, None])
        shut = torch.where(beside, 1, shut)
        share = torch.where(eyes | beside, 1, mouth_share)
        colour = mouth.colour + share * (photograph - mouth.colour)
        return Interior(colour, mouth.synthetic * (1 - mouth_share), mouth.mouth, shut)

    def _with_irises(self, points: Tensor, behind: Interior, cover: Tensor) -> Tensor:
        """Irises over what lies behind the skin, shaded by lids that cover [N, 1, h, w]."""
        irises = draw_parts(self.face, self.photo.textures, list(EYE_LANDMARKS), points, *cover.shape[-2:])
        shade = 1 - 0.25 * blur(cover, 3.0 * self._pixel) * (1 - irises.shown)
        opacity = irises.opacity * (1 - behind.shut)
        return behind.colour * (1 - opacity) + ((irises.colour + 1) * shade - 1) * opacity
