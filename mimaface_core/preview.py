"""Preview of an edit: the re-projection at a small size, and where its handles lie."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from .editing import edit
from .face.source import SourceFace
from .morphable.bundled.edit_value import EditValue
from .morphable.bundled.face import EYE_PARTS, bundled_face
from .morphable.bundled.face_mesh import (
    CHIN,
    LEFT_BROW_MIDDLE,
    LEFT_MOUTH_CORNER,
    LEFT_UPPER_LID_MIDDLE,
    LIP_MIDDLES,
    NOSE_TIP,
    RIGHT_BROW_MIDDLE,
    RIGHT_MOUTH_CORNER,
    RIGHT_UPPER_LID_MIDDLE,
)
from .motion.track import BUNDLED
from .reprojection.renderer import ReprojectionRenderer
from .tensors import to_uint8

SIZES = (128, 512)  # smallest and largest side of a preview, pixels
SIZE_STEP = 64  # sides are rounded up to multiples of it
KEPT_SIZES = 2  # for which the photograph stays analysed
PUPIL_VERTICES = 24  # with which the mesh of an eyeball begins
HANDLES: dict[str, list[int]] = {  # name → vertices whose middle it is
    "head": [NOSE_TIP],
    "right_upper_lid": [RIGHT_UPPER_LID_MIDDLE],
    "left_upper_lid": [LEFT_UPPER_LID_MIDDLE],
    "right_brow": [RIGHT_BROW_MIDDLE],
    "left_brow": [LEFT_BROW_MIDDLE],
    "mouth_right": [RIGHT_MOUTH_CORNER],
    "mouth_left": [LEFT_MOUTH_CORNER],
    "jaw": [CHIN],
    "lips": LIP_MIDDLES,
}


def can_preview(source: SourceFace) -> bool:
    """Whether the source belongs to the face model that previews draw."""
    return source.track.basis == BUNDLED


class Preview:
    """Draws one source with edits; of the source it keeps the crop, not the photograph.

    Args:
        source: a source of the bundled face model.
    """

    def __init__(self, source: SourceFace) -> None:
        self._crop, self._landmarks, self._track = source.crop, source.landmarks, source.track
        self._renderers: OrderedDict[int, ReprojectionRenderer] = OrderedDict()

    def draw(self, value: EditValue, size: int) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        """The edited face.

        Args:
            value: the edit.
            size: of the image, within SIZES; rounded up to a multiple of SIZE_STEP.

        Returns:
            uint8 [S, S, 3], and the places of the handles, 0–1 in it, x to the right and y down.
        """
        renderer = self.renderer(size)
        with torch.inference_mode():
            motion = edit(self._track, controls=value.controls, neutral_first=value.neutral_first)
            posed = renderer.pose(motion)
            image = renderer.draw_posed(posed, freedom=False)[0]
            return to_uint8((image.permute(1, 2, 0) + 1) / 2), handles(posed.points[0, :, :2] / renderer.size)

    def renderer(self, size: int) -> ReprojectionRenderer:
        """The renderer of that size, made when it is first asked for."""
        size = min(-(-size // SIZE_STEP) * SIZE_STEP, self._crop.shape[-1])
        if size not in self._renderers:
            side = self._crop.shape[-1]
            crop = F.interpolate(self._crop[None], size=(size, size), mode="area")[0] if size < side else self._crop
            landmarks = self._landmarks * (size / side)
            self._renderers[size] = ReprojectionRenderer(bundled_face(), crop, landmarks, self._track)
        self._renderers.move_to_end(size)
        while len(self._renderers) > KEPT_SIZES:
            self._renderers.popitem(last=False)
        return self._renderers[size]


def handles(places: Tensor) -> dict[str, tuple[float, float]]:
    """Places of the handles by name, from those of all vertices [V, 2]."""
    face = bundled_face()
    vertices: dict[str, list[int]] = dict(HANDLES)
    for part in EYE_PARTS:
        start = face.parts[part].start
        vertices[f"{part.split('_')[0]}_iris"] = list(range(start, start + PUPIL_VERTICES))
    middles = {name: places[torch.tensor(indices)].mean(0) for name, indices in vertices.items()}
    return {name: (round(float(x), 4), round(float(y), 4)) for name, (x, y) in middles.items()}
