"""A motion drawn over its driver: tracked landmarks, the face model's mesh, and the curves beside the frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from . import checks, host
from .arguments import MOTION
from .face.detect import FaceTracker, face_tracker
from .face.follow import follow
from .media.frames import Frames
from .morphable.bundled.face import bundled_face
from .morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    IRIS_CENTRES,
    LEFT_BROW,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    OVAL,
    RIGHT_BROW,
)
from .morphable.umeyama import umeyama
from .motion.plot import with_playhead
from .motion.track import BUNDLED, MotionTrack
from .pipeline import MOST_FACES
from .reprojection.projection import project
from .tensors import to_float

MESH, LANDMARKS, TEXT, SHADE = "#78dcff", "#ffd600", "#ffffff", "#000000"
MESH_SHARE = 0.6  # of its colour in the frame's
FONT_SIZE, MARGIN, IRIS_RADIUS = 18, 10, 3  # pixels
LINES = [
    [*OVAL, OVAL[0]],
    RIGHT_BROW[:5],
    LEFT_BROW[:5],
    OUTER_UPPER_LIP,
    OUTER_LOWER_LIP,
    INNER_UPPER_LIP,
    INNER_LOWER_LIP,
    *(line for eye in EYE_LANDMARKS.values() for line in (eye.upper_lid, eye.lower_lid)),
]  # that are drawn of the landmarks


@checks.checked(motion=MOTION, face=checks.whole(-1, MOST_FACES))
def plot_over(
    frames: str | Path | Frames,
    motion: MotionTrack,
    curves: Tensor,
    blinks: Tensor,
    *,
    face: int = -1,
    tracker: FaceTracker | None = None,
) -> Iterator[Tensor]:
    """The driver's frames beside the curves of their motion, with a playhead.

    On the face lie the landmarks that the tracker finds, and the face model's mesh as the motion moves it, laid over
    them as a whole: where the two part, the motion is not what the tracker sees.

    Args:
        frames: the driver; its path, or `Frames`. Those behind the motion's last one are left out.
        motion: N frames, as measured, smoothed, or retargeted. Only the bundled face model has a mesh here.
        curves: [H, W, 3] in 0–1, of `motion.plot.plot`; the frames become as high.
        blinks: bool [N], frames that are named so.
        face: which one, as in `measure`.
        tracker: finds the faces; see `face.detect.face_tracker`; `auto` when None.

    Yields:
        Frames [1, H, W', 3] in 0–1.

    Raises:
        InputError: the first frame with a face has fewer than `face` asks for.
    """
    clip = frames if isinstance(frames, Frames) else Frames.open(frames)
    meshes = _meshes(motion) if motion.basis == BUNDLED else None
    followed = follow(clip.opaque(), tracker or face_tracker(), face)
    for number, found in zip(range(len(motion)), followed):  # noqa: B905 - the driver may be longer, or shorter
        host.current().check_cancelled()
        says = f"{number}   {number / float(motion.fps):.2f} s"
        says += "   no face" if found.landmarks is None else "   blink" if blinks[number] else ""
        mesh = None if meshes is None else meshes[number]
        view = _view(found.pixels.numpy(), found.landmarks, mesh, curves.shape[0], says)
        yield torch.cat([to_float(view), with_playhead(curves, number, len(motion))], 1)[None]


def _meshes(motion: MotionTrack) -> Tensor:
    """The face model's vertices [N, 468, 2] in crop pixels."""
    model, c = bundled_face().model, motion.coefficients
    return project(model, model.shape(c.identity, c.expression), motion)[:, :FACE_POINTS, :2]


def _view(image: np.ndarray, landmarks: Tensor | None, mesh: Tensor | None, height: int, says: str) -> Tensor:
    """A frame [H, W, 3] scaled to a height, with mesh, landmarks and a line of text, uint8."""
    scale = height / image.shape[0]
    shown = Image.fromarray(image).resize((max(2, 2 * round(image.shape[1] * scale / 2)), height))
    if landmarks is not None:
        points = landmarks[:, :2] * scale
        if mesh is not None:
            over = shown.copy()
            _draw_mesh(ImageDraw.Draw(over), _laid_over(mesh, points[:FACE_POINTS]))
            shown = Image.blend(shown, over, MESH_SHARE)
        _draw_landmarks(ImageDraw.Draw(shown), points)
    font = ImageFont.load_default(size=FONT_SIZE)
    ImageDraw.Draw(shown).text((MARGIN, MARGIN), says, TEXT, font, stroke_width=2, stroke_fill=SHADE)
    return torch.from_numpy(np.array(shown))


def _laid_over(mesh: Tensor, points: Tensor) -> Tensor:
    """Vertices [V, 2], shifted, turned and scaled as a whole to points [V, 2]."""
    scale, rotation, shift = umeyama(mesh[None], points[None], torch.ones(len(mesh)), scaled=True)
    return scale * mesh @ rotation[0] + shift


def _draw_mesh(draw: ImageDraw.ImageDraw, points: Tensor) -> None:
    face = bundled_face()
    places = points.tolist()
    for triangle in face.model.triangles[face.part_triangles["face"]].tolist():
        draw.line([tuple(places[i]) for i in (*triangle, triangle[0])], MESH)


def _draw_landmarks(draw: ImageDraw.ImageDraw, points: Tensor) -> None:
    places = points.tolist()
    for line in LINES:
        draw.line([tuple(places[i]) for i in line], LANDMARKS, 2)
    for x, y in (places[i] for i in IRIS_CENTRES):
        draw.ellipse([x - IRIS_RADIUS, y - IRIS_RADIUS, x + IRIS_RADIUS, y + IRIS_RADIUS], outline=LANDMARKS)
