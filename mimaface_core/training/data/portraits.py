"""Training samples from portraits by round trips: a photograph is moved by our own renderer, then carried back.

The moved photograph, with all the renderer's faults, is the source; the real one is what a frame should look like. It
is only compared in the detail that it has: above, a sample's target is its render.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ...face.crop import plane_alignment
from ...face.detect import FaceTracker, face_tracker
from ...face.extract_by_fit import FitExtractor
from ...face.follow import still_landmarks
from ...media.image import read_image
from ...morphable.bundled.face import bundled_face
from ...motion.rest import NECK
from ...motion.rotation import angles_of, rotation_of
from ...motion.track import MotionTrack
from ...packs.manifest import FACE_SHARE
from ...reprojection.renderer import ReprojectionRenderer
from ...tensors import blur
from ..people.camera import from_jpeg, to_jpeg
from ..people.inference import fit_and_render, loss_weights
from ..people.performance import POSE_LIMITS, random_expression
from ..people.portrait_folder import portraits_of
from ..people.synthesis import Sample, finished_sample
from .dataset import save_sample

TURN = 0.6  # standard deviation of the moved head's turns, of those of drawn people
GAZE = (0.10, 0.05)  # standard deviation of its gaze, eye widths
JPEG_QUALITY = 95  # of source and target
DETAIL = 0.5  # sigma of the finest detail of a photograph, its own pixels


def make_portrait_data(folder: Path, data: Path, part: tuple[int, int], trips: int, held_out: bool) -> None:
    """Make the samples that do not exist yet; portraits in which the tracker finds no face are passed over.

    Args:
        folder: of portraits as JPEG files, one person each.
        data: folder of the samples.
        part: number of this process, and of all that share the work.
        trips: samples of each portrait.
        held_out: of the portraits that are kept for reports, instead of the others.

    Raises:
        InputError: the folder has too few portraits.
    """
    paths = portraits_of(folder, held_out)[part[0] :: part[1]]
    data.mkdir(parents=True, exist_ok=True)
    tracker = face_tracker()
    with host.current().progress(len(paths), "round trips of portraits") as progress:
        for path in paths:
            for trip in range(trips):
                out = data / f"portrait-{path.stem}-{trip}.safetensors"
                if not out.is_file():
                    try:
                        made = round_trip(read_image(path), np.random.default_rng([seed_of(path), trip]), tracker)
                    except InputError:
                        continue
                    save_sample(out, made.sample(), person=path.stem, kind="portrait")
            progress.update()


@dataclass(frozen=True)
class RoundTrip:
    """A portrait that was moved, and is to be carried back.

    Attributes:
        file: JPEG file of the moved portrait, which is the source.
        source: the same [3, 512, 512] in ±1.
        landmarks: of the source [478, 3] in its pixels.
        motion: from the source to the portrait, one frame.
        render: the source carried back [1, 4, 512, 512], as `ReprojectionRenderer.draw` gives it.
        target: the portrait [1, 3, 512, 512] in ±1, in the detail that it has, above it the render.
        weights: loss weights [1, 64, 64].
    """

    file: bytes
    source: Tensor
    landmarks: Tensor
    motion: MotionTrack
    render: Tensor
    target: Tensor
    weights: Tensor

    def sample(self) -> Sample:
        """As training data."""
        return finished_sample(self.file, self.target, self.render, self.motion, self.weights)


def round_trip(image: Tensor, rng: np.random.Generator, tracker: FaceTracker) -> RoundTrip:
    """Move a portrait [H, W, 3] in 0–1 at random, track what comes out, and carry it back.

    Raises:
        InputError: there is no face in the portrait, or in the moved one.
    """
    extractor = FitExtractor(bundled_face(), FACE_SHARE)
    portrait, track = extractor.still(image, still_landmarks(image, tracker))
    renderer = ReprojectionRenderer(extractor.model, portrait.crop, portrait.landmarks, track)
    file = to_jpeg((renderer(moved_track(track, rng))[0] + 1) / 2, JPEG_QUALITY)
    shown = from_jpeg(file).float() / 255
    landmarks = torch.stack([still_landmarks(shown.permute(1, 2, 0).contiguous(), tracker), portrait.landmarks])
    motion, drawn = fit_and_render(shown * 2 - 1, landmarks)
    render = drawn[:, :3]
    detail = DETAIL * max(1.0, float(portrait.crop_matrix[:, :2].det().sqrt()))
    target = render + blur(portrait.crop[None] - render, detail)
    return RoundTrip(file, shown * 2 - 1, landmarks[0], motion, drawn, target, loss_weights(portrait.landmarks[None]))


def seed_of(path: Path) -> int:
    """The number from which a portrait's round trips are drawn: by its name."""
    return int.from_bytes(path.stem.encode()[-6:], "big")


def moved_track(track: MotionTrack, rng: np.random.Generator) -> MotionTrack:
    """A face [1] in another expression, pose and gaze: turned about its neck from where it is."""
    turn = torch.from_numpy(rng.normal(0, TURN, 3) * POSE_LIMITS * 0.5).float()[None]
    expression = torch.from_numpy(random_expression(rng, float(rng.uniform(0.3, 1.0)))).float()
    kept = float(rng.uniform(0.0, 1.0))
    gaze = torch.from_numpy(np.tile(rng.normal(0, GAZE), 2)).float()
    return turned_track(track, turn, kept, expression, gaze)


def turned_track(
    track: MotionTrack, turn: Tensor, kept: float | Tensor, expression: Tensor, gaze: Tensor
) -> MotionTrack:
    """A motion of N frames in other expressions, poses and gazes: turned about the neck from where it is.

    Args:
        track: N frames.
        turn: pitch, yaw and roll to turn by [N, 3], rad.
        kept: share of its own expression that remains, a number or [N, 1].
        expression: added to it [N, 64] or [64].
        gaze: added to its own [N, 4] or [4], eye widths.
    """
    c, neck = track.coefficients, torch.tensor(NECK)
    rotation = rotation_of(c.angles)
    turned = rotation_of(turn) @ rotation
    coefficients = c.replace(
        expression=kept * c.expression + expression,
        angles=angles_of(turned),
        translation=c.translation + neck @ rotation - neck @ turned,
    )
    alignment = plane_alignment(len(track))
    return track.replace(coefficients=coefficients, gaze=track.gaze + gaze, alignment=alignment)
