"""Training data of IF-MDM's stage 1: images of one person in many poses, with codes and places of landmarks.

Drawn people, sharp and exact in every respect, and portraits that our own renderer moves, real in all but their
movement; videos are read by `implicit_videos`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host
from ...errors import InputError
from ...face.crop import CROP_SIZE
from ...face.detect import face_tracker
from ...face.extract_by_fit import FitExtractor
from ...face.follow import still_landmarks
from ...files import replacing
from ...media.image import read_image
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...motion.track import MotionTrack
from ...packs.manifest import FACE_SHARE
from ...reprojection.projection import project
from ...reprojection.renderer import ReprojectionRenderer
from ...tensors import to_uint8
from ..people.camera import photograph
from ..people.inference import fit_motion
from ..people.performance import LIDS, POSE_LIMITS, Performance, random_expression
from ..people.person import random_person
from ..people.person_renderer import PersonRenderer
from ..people.portrait_folder import portraits_of
from ..people.synthesis import DEPTHS, PERFORMANCE_STREAM
from ..people.tracker_landmarks import tracker_landmarks
from .dataset import jpeg_images, jpeg_tensors, read_tensors
from .implicit_codes import motion_codes
from .portraits import seed_of, turned_track

SIZE = 256  # pixels, side of the images, where no other is asked for
QUALITY = 92  # of their JPEGs
TURNS = (0.12, 0.6)  # standard deviation of a head's turns, of POSE_LIMITS, and its shifts alike: calm or lively clips
SHIFT = (0.10, 0.08, 0.12)  # standard deviation of its place, model units
GAZE = (0.10, 0.05)  # standard deviation of the gaze, eye widths
SHUT = 0.2  # share of images with lids that shut, wholly or in part
FRAMES_AT_ONCE = 4  # drawn together, which bounds the memory
SEEN = 0.15  # cosine between a landmark's normal and the view, from which on it counts as seen


@dataclass(frozen=True)
class ImplicitClip:
    """Images of one person.

    Attributes:
        images: uint8 [N, 3, S, S].
        codes: [N, 20], see `implicit_codes.motion_codes`.
        places: of the 468 landmarks [N, 468, 2] in ±1.
        seen: bool [N, 468], whether a landmark faces the camera.
    """

    images: Tensor
    codes: Tensor
    places: Tensor
    seen: Tensor

    def save(self, path: Path) -> None:
        """Write a safetensors file with the images as JPEGs; it appears when it is complete."""
        from safetensors.torch import save_file

        tensors = {"codes": self.codes.half(), "places": self.places.half(), "seen": self.seen}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        tensors |= jpeg_tensors(self.images, QUALITY)
        with replacing(path) as part:
            save_file(tensors, part)

    @classmethod
    def load(cls, path: Path) -> ImplicitClip:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is damaged.
        """
        tensors = read_tensors(path, ("codes", "places", "seen", "image_00"))
        return cls(jpeg_images(tensors), tensors["codes"].float(), tensors["places"].float(), tensors["seen"])


@torch.no_grad()
def drawn_clip(seed: int, frames: int, size: int = SIZE) -> ImplicitClip:
    """A drawn person in `frames` poses that have nothing to do with one another; the same seed gives the same clip."""
    person = random_person(seed)
    rng = np.random.default_rng([seed, PERFORMANCE_STREAM])
    renderer = PersonRenderer(person, _poses(rng, frames, float(rng.uniform(*DEPTHS))), rng)
    starts = range(0, frames, FRAMES_AT_ONCE)
    images = torch.cat([photograph(renderer.draw(slice(i, i + FRAMES_AT_ONCE)), person.look) for i in starts])
    codes = motion_codes(fit_motion(tracker_landmarks(renderer, rng)))
    return clip_of(images, codes, in_pixels(renderer.points[:, :FACE_POINTS]), size)


@torch.no_grad()
def moved_clip(
    image: Tensor, landmarks: Tensor, rng: np.random.Generator, frames: int, size: int = SIZE
) -> ImplicitClip:
    """A photograph [H, W, 3] in 0–1 with its landmarks [478, 3], and `frames` - 1 others that our renderer moved."""
    extractor = FitExtractor(bundled_face(), FACE_SHARE)
    face, track = extractor.still(image, landmarks)
    renderer = ReprojectionRenderer(extractor.model, face.crop, face.landmarks, track)
    moved = moved_poses(track, rng, frames - 1)
    starts = range(0, frames - 1, FRAMES_AT_ONCE)
    images = torch.cat([face.crop[None], *(renderer(moved[i : i + FRAMES_AT_ONCE]) for i in starts)])
    points = project(extractor.model.model, renderer.shapes(moved), moved)[:, :FACE_POINTS]
    depth = project(extractor.model.model, renderer.shapes(track), track)[:, :FACE_POINTS, 2:]
    own = torch.cat([face.landmarks[None, :FACE_POINTS, :2], depth], -1)
    codes = motion_codes(MotionTrack.concatenate([track, moved]))
    return clip_of((images + 1) / 2, codes, in_pixels(torch.cat([own, points])), size)


def make_implicit_data(
    data: Path,
    people: range,
    frames: int,
    portraits: Path | None = None,
    part: tuple[int, int] = (0, 1),
    size: int = SIZE,
) -> None:
    """Make the clips that do not exist yet.

    Args:
        data: folder of the clips.
        people: numbers of the drawn people.
        frames: images of a clip.
        portraits: folder of photographs, one person each, all but those that are held out; None for drawn people only.
        part: number of this process, and of all that share the work.
        size: side of the images in pixels.
    """
    data.mkdir(parents=True, exist_ok=True)
    paths = [] if portraits is None else portraits_of(portraits, held_out=False)[part[0] :: part[1]]
    seeds = list(people)[part[0] :: part[1]]
    with host.current().progress(len(seeds) + len(paths), "images of people in motion") as progress:
        for seed in seeds:
            if not (out := data / f"drawn-{seed:06d}.safetensors").is_file():
                drawn_clip(seed, frames, size).save(out)
            progress.update()
        tracker = face_tracker() if paths else None
        for path in paths:
            out = data / f"portrait-{path.stem}.safetensors"
            if tracker is not None and not out.is_file():
                image = read_image(path)
                with suppress(InputError):  # no face is found in some
                    landmarks = still_landmarks(image, tracker)
                    moved_clip(image, landmarks, np.random.default_rng(seed_of(path)), frames, size).save(out)
            progress.update()


def clip_of(images: Tensor, codes: Tensor, points: Tensor, size: int) -> ImplicitClip:
    """A clip of images [N, 3, 512, 512] in 0–1 with points [N, 468, 3] in their pixels, its images at another size."""
    small = to_uint8(F.interpolate(images, (size, size), mode="area"))
    return ImplicitClip(small, codes, points[..., :2] / (CROP_SIZE / 2) - 1, seen_points(points))


def seen_points(points: Tensor) -> Tensor:
    """Whether points [N, 468, 3] in pixels, y down and z away from the camera, lie on a side that faces it."""
    face = bundled_face()
    triangles = face.model.triangles[face.part_triangles["face"]]
    corners = points[:, triangles]
    normals = torch.linalg.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    at = triangles.reshape(-1)
    total = torch.zeros_like(points).index_add_(1, at, normals.repeat_interleave(3, 1))
    return F.normalize(total, dim=-1)[..., 2] < -SEEN  # normals point outwards


def in_pixels(points: Tensor) -> Tensor:
    """Points [N, 468, 3] whose depth counted in model units, in pixels: faces are as wide as the bundled one."""
    mean = bundled_face().model.mean_shape[:FACE_POINTS, 0]
    pixels = (points[..., 0].amax(1) - points[..., 0].amin(1))[:, None, None] / (mean.max() - mean.min())
    return torch.cat([points[..., :2], points[..., 2:] * pixels], -1)


def _poses(rng: np.random.Generator, frames: int, depth: float) -> Performance:
    """Unrelated expressions, poses and gazes of `frames` images."""
    expression, turn = np.stack([_expression(rng) for _ in range(frames)]), float(rng.choice(TURNS))
    angles = (rng.normal(0, turn, (frames, 3)) * POSE_LIMITS).clip(-1.6 * POSE_LIMITS, 1.6 * POSE_LIMITS)
    translation = rng.normal(0, SHIFT, (frames, 3)) * turn / max(TURNS) - [0, 0, depth]
    return Performance.of(expression, angles, translation, np.tile(rng.normal(0, GAZE, (frames, 2)), (1, 2)))


def _expression(rng: np.random.Generator) -> np.ndarray:
    """An expression [64], its lids shut in some."""
    expression = random_expression(rng, float(rng.uniform(0.1, 1.1)))
    if rng.random() < SHUT:
        expression[LIDS] = rng.uniform(0.2, 1.2)
    return expression


def moved_poses(track: MotionTrack, rng: np.random.Generator, frames: int) -> MotionTrack:
    """A face [1] in other poses: turned about its neck, and shifted, from where it is."""
    acted = _poses(rng, frames, 0.0)
    kept = torch.from_numpy(rng.uniform(0, 1, (frames, 1))).float()
    turned = turned_track(track[[0] * frames], acted.angles, kept, acted.expression, acted.gaze)
    c = turned.coefficients
    return turned.replace(coefficients=c.replace(translation=c.translation + acted.translation))
