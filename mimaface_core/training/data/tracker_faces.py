"""Training data of the face tracker: images of faces with landmarks.

Three kinds: drawn people in all turns to profile, whose landmarks are exact; portraits; and portraits that our own
renderer moves. The landmarks of the last two are what mediapipe finds in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host
from ...errors import InputError
from ...face.crop import CROP_SIZE, crop_matrix, transform_points, warp
from ...face.detect import FaceTracker, face_tracker
from ...face.extract_by_fit import FitExtractor
from ...face.follow import still_landmarks
from ...files import replacing
from ...media.image import read_image
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS, IRIS_POINTS, LID_MIDDLES
from ...packs.manifest import FACE_SHARE
from ...reprojection.renderer import ReprojectionRenderer
from ...tensors import to_uint8
from ..people.camera import photograph
from ..people.performance import LIDS, Performance, random_expression
from ..people.person import random_person
from ..people.person_renderer import PersonRenderer
from ..people.portrait_folder import portraits_of
from ..people.synthesis import DEPTHS
from ..people.tracker_landmarks import true_landmarks
from .dataset import jpeg_images, jpeg_tensors, read_tensors
from .implicit_clips import moved_poses, seen_points
from .portraits import seed_of

SIZE = 256  # pixels, side of the images
QUALITY = 94  # of their JPEGs
STREAM = 7  # of a seed's random numbers
FRAMES_AT_ONCE = 4  # drawn together, which bounds the memory
YAW = (12.0, 35.0, 80.0)  # degrees, standard deviations of slight and of wide turns, and the widest
PITCH, ROLL = (12.0, 35.0), (8.0, 25.0)  # degrees, standard deviations and limits
WIDE = 0.4  # share of wide turns
SHIFT = (0.10, 0.08, 0.12)  # standard deviation of a head's place, model units
GAZE = (0.12, 0.07)  # standard deviation of the gaze, eye widths
VERGENCE = 0.02  # of each eye's own
SHUT = 0.3  # share of images with lids that shut, wholly or in part
WINK = 0.25  # share of these in which only one does


@dataclass(frozen=True)
class LabelledFaces:
    """Images of one person with landmarks.

    Attributes:
        images: uint8 [N, 3, 256, 256].
        landmarks: [N, 478, 3] in their pixels.
        seen: bool [N, 478], whether a landmark faces the camera.
        exact: whether the landmarks are true; else they are mediapipe's.
    """

    images: Tensor
    landmarks: Tensor
    seen: Tensor
    exact: bool

    def save(self, path: Path) -> None:
        """Write a safetensors file with the images as JPEGs; it appears when it is complete."""
        from safetensors.torch import save_file

        tensors = {"landmarks": self.landmarks.contiguous(), "seen": self.seen.contiguous()}
        tensors["exact"] = torch.tensor(self.exact)
        tensors |= jpeg_tensors(self.images, QUALITY)
        with replacing(path) as part:
            save_file(tensors, part)

    @classmethod
    def load(cls, path: Path) -> LabelledFaces:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is damaged.
        """
        tensors = read_tensors(path, ("landmarks", "seen", "exact", "image_00"))
        return cls(jpeg_images(tensors), tensors["landmarks"], tensors["seen"], bool(tensors["exact"]))


def make_faces(
    data: Path, people: range, frames: int, portraits: Path | None = None, part: tuple[int, int] = (0, 1)
) -> None:
    """Make the files of faces that do not exist yet.

    Args:
        data: folder of the files.
        people: numbers of the drawn people.
        frames: images of each person.
        portraits: folder of photographs, one person each, all but those that are held out; None for drawn people only.
        part: number of this process, and of all that share the work.

    Raises:
        InputError: there are portraits and no mediapipe, which finds their landmarks.
    """
    data.mkdir(parents=True, exist_ok=True)
    paths = [] if portraits is None else portraits_of(portraits, held_out=False)[part[0] :: part[1]]
    seeds = list(people)[part[0] :: part[1]]
    tracker = face_tracker("mediapipe") if paths else None
    with host.current().progress(len(seeds) + len(paths), "faces with landmarks") as progress:
        for path in paths:
            out = data / f"portrait-{path.stem}.safetensors"
            if tracker is not None and not out.is_file():
                faces = portrait_faces(read_image(path), tracker, np.random.default_rng(seed_of(path)), frames)
                if faces is not None:
                    faces.save(out)
            progress.update()
        for seed in seeds:
            if not (out := data / f"drawn-{seed:06d}.safetensors").is_file():
                drawn_faces(seed, frames).save(out)
            progress.update()


@torch.no_grad()
def drawn_faces(seed: int, frames: int) -> LabelledFaces:
    """A drawn person in `frames` poses, turned up to profile; the same seed gives the same images."""
    person, rng = random_person(seed), np.random.default_rng([seed, STREAM])
    renderer = PersonRenderer(person, _poses(rng, frames, float(rng.uniform(*DEPTHS))), rng)
    starts = range(0, frames, FRAMES_AT_ONCE)
    images = torch.cat([photograph(renderer.draw(slice(i, i + FRAMES_AT_ONCE)), person.look) for i in starts])
    small = to_uint8(F.interpolate(images, (SIZE, SIZE), mode="area"))
    landmarks = true_landmarks(renderer) * (SIZE / CROP_SIZE)
    return LabelledFaces(small, landmarks, _seen(landmarks), exact=True)


@torch.no_grad()
def portrait_faces(image: Tensor, tracker: FaceTracker, rng: np.random.Generator, frames: int) -> LabelledFaces | None:
    """A photograph [H, W, 3] in 0–1 and `frames` - 1 others that our renderer moved, those whose face is found.

    Returns:
        None where the photograph itself shows no face.
    """
    try:
        landmarks = still_landmarks(image, tracker)
    except InputError:
        return None
    extractor = FitExtractor(bundled_face(), FACE_SHARE)
    face, track = extractor.still(image, landmarks)
    renderer = ReprojectionRenderer(extractor.model, face.crop, face.landmarks, track)
    moved = moved_poses(track, rng, frames - 1)
    starts = range(0, frames - 1, FRAMES_AT_ONCE)
    images = [to_uint8((renderer(moved[i : i + FRAMES_AT_ONCE]) + 1) / 2) for i in starts]
    matrix = crop_matrix(landmarks, FACE_SHARE, SIZE)
    kept = [to_uint8(warp(image.permute(2, 0, 1), matrix, SIZE))]
    found = [transform_points(matrix, landmarks)]
    for shown in torch.cat(images):
        faces = tracker.still(shown.permute(1, 2, 0).contiguous().numpy())
        if faces:
            kept.append(to_uint8(F.interpolate(shown[None].float() / 255, (SIZE, SIZE), mode="area")[0]))
            found.append(torch.from_numpy(faces[0].landmarks) * (SIZE / CROP_SIZE))
    points = torch.stack(found)
    return LabelledFaces(torch.stack(kept), points, _seen(points), exact=False)


def _seen(points: Tensor) -> Tensor:
    """Whether landmarks [N, 478, 3] face the camera; irises do where the middles of their eye's lids do."""
    seen = seen_points(points[:, :FACE_POINTS])
    eyes = [seen[:, [*lids]].all(1, keepdim=True).expand(-1, IRIS_POINTS) for lids in LID_MIDDLES]
    return torch.cat([seen, *eyes], 1)


def _poses(rng: np.random.Generator, frames: int, depth: float) -> Performance:
    """Unrelated expressions, poses and gazes of `frames` images."""
    expression = np.stack([_expression(rng) for _ in range(frames)])
    wide = rng.random(frames) < WIDE
    yaw = rng.normal(0, np.where(wide, YAW[1], YAW[0])).clip(-YAW[2], YAW[2])
    pitch, roll = (rng.normal(0, spread, frames).clip(-limit, limit) for spread, limit in (PITCH, ROLL))
    translation = rng.normal(0, SHIFT, (frames, 3)) - [0, 0, depth]
    gaze = np.tile(rng.normal(0, GAZE, (frames, 2)), (1, 2)) + rng.normal(0, VERGENCE, (frames, 4))
    return Performance.of(expression, np.radians(np.stack([pitch, yaw, roll], 1)), translation, gaze)


def _expression(rng: np.random.Generator) -> np.ndarray:
    """An expression [64], its lids shut in some."""
    expression = random_expression(rng, float(rng.uniform(0.1, 1.2)))
    if rng.random() < SHUT:
        lids = LIDS if rng.random() > WINK else [rng.choice(LIDS)]
        expression[lids] = rng.uniform(0.2, 1.1)
    return expression
