"""Make morphable/bundled/scanned_face.safetensors: the bundled face model, from a scanned one and photographs.

The scanned face gives the shape at rest, how people differ, and the movements that ARKit names; photographs teach where
the tracker's landmarks lie on it, what shapes it lacks, what lips and lids do beside, and the colours of skin. Run as
`python -m mimaface.mimaface_core.training.people.scanned_face ICT.safetensors PORTRAITS` with the extra `track`; see
docs/training.md for the data and their licences.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ...face.crop import CROP_SIZE, PLANE, crop_matrix, transform_points, warp
from ...face.detect import face_tracker
from ...face.fit import ShapeFit, fit_shapes
from ...face.follow import still_landmarks
from ...files import replacing
from ...media.image import read_image
from ...morphable.bundled.blendshapes import (
    BLENDSHAPES,
    LID_CORRECTIVES,
    LIP_CORRECTIVES,
    SIDED_NAMES,
    blendshape,
    blendshapes,
    spread,
)
from ...morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    LEFT_TRAGION,
    LIP_MIDDLES,
    LOWER_LIP_POINTS,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
    RIGHT_TRAGION,
    UPPER_LIP_POINTS,
)
from ...morphable.bundled.lip_contact import limit_lips
from ...morphable.model import IDENTITY_SIZE, TEXTURE_SIZE, MorphableModel
from .head_scan import ring_depths
from .landmark_places import LandmarkPlaces, mean_mesh
from .mouth_scan import jaw_fields, teeth_arch
from .portrait_colours import skin_colours
from .portrait_folder import portraits_of
from .scan import Scan

OUT = Path(__file__).parents[2] / "morphable" / "bundled" / "scanned_face.safetensors"
SHARE = 0.56  # of the crop, filled by the face
SCAN_MODES = 40  # of the 80 identity coefficients, the leading ones of the scans
ROUNDS, SLIDES = 7, 4  # in which landmarks are placed, the first of them along the surface
PLACING_STEP = 6  # of the portraits one in so many places them
DEPTH_TRUST = 0.3  # share of a residual in depth, of which the tracker knows little, that is learned
LIP_REACH, LID_REACH = 0.05, 0.03  # model units, sigma of what corrective blendshapes move around lips and lids
PAIRED = 2  # corrective blendshapes of each eye's lids that are learned
# In portraits no eye shuts. As one does, the tracker's lid edges and the skin beside them turn about a point near the
# outer corner: the inner one goes up by 2 mm and more.
RISE, INNER_RISE, OUTER_FALL = 0.02, 1.6, 0.4  # model units, and shares of it


@dataclass(frozen=True)
class Portraits:
    """Photographs of N people: images [N, 3, 512, 512] in ±1 as bytes, landmarks [N, 478, 3] of the 256-pixel plane."""

    images: Tensor
    landmarks: Tensor


def read_portraits(folder: Path) -> Portraits:
    """Track all JPEG files of a folder but those that are kept for reports; those without a face are left out.

    Raises:
        InputError: too few are left.
    """
    paths, tracker = portraits_of(folder, held_out=False), face_tracker("mediapipe")
    images, landmarks = [], []
    with host.current().progress(len(paths), "tracking portraits") as progress:
        for path in paths:
            image = read_image(path)[..., :3]
            try:
                points = still_landmarks(image, tracker)
            except InputError:
                continue
            finally:
                progress.update()
            matrix = crop_matrix(points, SHARE)
            images.append((warp(image.permute(2, 0, 1), matrix) * 255).round().byte())
            landmarks.append(transform_points(matrix, points) * (PLANE / CROP_SIZE))
    if len(images) < 2 * IDENTITY_SIZE:
        raise InputError(f"{folder} has {len(images)} portraits with a face; {2 * IDENTITY_SIZE} are the least.")
    return Portraits(torch.stack(images), torch.stack(landmarks))


def tesselation() -> np.ndarray:
    """Triangles [852, 3] of the tracker's face mesh, in no consistent winding: the 3-cliques of its edges."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    edges = {tuple(sorted(edge)) for edge in FACEMESH_TESSELATION}
    near = {v: {b for e in edges for b in e if v in e and b != v} for v in range(FACE_POINTS)}
    cliques = {tuple(sorted((a, b, c))) for a, b in edges for c in near[a] & near[b]}
    # a clique whose three edges all border three cliques is a loop around other triangles, not a face
    uses = Counter(e for t in cliques for e in itertools.combinations(t, 2))
    return np.array(sorted(t for t in cliques if any(uses[e] < 3 for e in itertools.combinations(t, 2))))


class Learner:
    """Learns the face model of the landmarks from portraits' meshes [N, 468, 3]."""

    def __init__(self, scan: Scan, meshes: Tensor) -> None:
        self.meshes = meshes
        self.places = LandmarkPlaces(scan, mean_mesh(meshes))
        self.mirror = torch.from_numpy(self.places.mirror)
        for i in range(ROUNDS):
            residual = self.fit(self.scanned(), meshes[::PLACING_STEP])[1]
            self.places.learn(residual.mean(0).double().numpy(), slide=i < SLIDES)
        self.model = self.scanned()

    def scanned(self) -> MorphableModel:
        """The model at the landmarks' present places, with the scan's modes alone."""
        scan = self.places.scan
        return _model(
            _tensor(self.places.points),
            _tensor(self.places.of(scan.identity[..., :SCAN_MODES])),
            _tensor(self.places.of(scan.expression)),
        )

    def fit(self, model: MorphableModel, meshes: Tensor) -> tuple[ShapeFit, Tensor]:
        """Fits, one person a mesh, and what they leave [N, 468, 3] in the face's own axes."""
        fit = fit_shapes(model, meshes, one_person=False)
        return fit, (fit.local - fit.shape) * torch.tensor([1.0, 1.0, DEPTH_TRUST])

    def add_correctives(self) -> list[int]:
        """Add corrective blendshapes, then corrective modes of identity; returns the parity of each of the lips'."""
        points = self.model.mean_shape
        residual = self.fit(self.model, self.meshes)[1]
        lips, parity = self._lip_modes(residual * _near(points, LIPS, LIP_REACH))
        lips = lips / torch.tensor([spread(name) for name in LIP_CORRECTIVES])
        expression = torch.cat([self.model.expression_basis, lips, self._lid_modes(residual)], -1)
        self.model = _model(points, self.model.identity_basis, expression)
        residual = self.fit(self.model, self.meshes)[1]
        shapes = _principal(torch.cat([residual, self._flip(residual)]), IDENTITY_SIZE - SCAN_MODES)
        self.model = _model(points, torch.cat([self.model.identity_basis, shapes], -1), expression)
        return parity

    def _lip_modes(self, residual: Tensor) -> tuple[Tensor, list[int]]:
        """Leading modes [468, 3, 5] of lips, each alike (1) or opposite (−1) on both sides."""
        modes = []
        for parity in (1, -1):
            of = _principal((residual + parity * self._flip(residual)) / 2, len(LIP_CORRECTIVES))
            modes += [(mode, parity) for mode in of.unbind(-1)]
        modes.sort(key=lambda mode: -float(mode[0].norm()))
        chosen = modes[: len(LIP_CORRECTIVES)]
        return torch.stack([mode for mode, _ in chosen], -1), [parity for _, parity in chosen]

    def _lid_modes(self, residual: Tensor) -> Tensor:
        """Leading modes of lids and their rise [468, 3, 2 · (PAIRED + 1)], for the right and the left eye in turn."""
        points, eyes = self.model.mean_shape, [sorted({*eye[0], *eye[1]}) for eye in EYE_LANDMARKS.values()]
        right, left = (residual * _near(points, eye, LID_REACH) for eye in eyes)
        modes = _principal(torch.cat([right, self._flip(left)]), PAIRED) / torch.tensor(
            [spread(name) for name in LID_CORRECTIVES[: 2 * PAIRED : 2]]
        )
        modes = torch.cat([modes, self._rise(eyes[0])[..., None]], -1)
        return torch.stack([modes, self._flip(modes.movedim(-1, 0)).movedim(0, -1)], -1).flatten(-2)

    def _rise(self, eye: list[int]) -> Tensor:
        """Lower lid and inner corner of the right eye rise, its outer corner falls [468, 3]."""
        points, rise = self.model.mean_shape, torch.zeros(FACE_POINTS, 3)
        outer, inner = points[RIGHT_EYE_OUTER], points[RIGHT_EYE_INNER]
        along = (points - outer) @ (inner - outer) / (inner - outer).square().sum()
        rise[:, 1] = RISE * (INNER_RISE * along.clamp(-0.2, 1.2) - OUTER_FALL)
        return rise * _near(points, eye, LID_REACH)

    def _flip(self, offsets: Tensor) -> Tensor:
        """Offsets [N, 468, 3] of the mirrored faces."""
        return offsets[:, self.mirror] * torch.tensor([-1.0, 1.0, 1.0])


def symmetric(model: MorphableModel, lip_parity: list[int], mirror: Tensor) -> MorphableModel:
    """The model whose blendshapes are mirror images of one another, each the mean of itself and its partner's."""
    flipped = model.expression_basis[mirror] * torch.tensor([-1.0, 1.0, 1.0])[:, None]
    partner, sign = torch.arange(len(BLENDSHAPES)), torch.ones(len(BLENDSHAPES))
    for name in SIDED_NAMES:
        right, left = blendshapes(name)
        partner[right], partner[left] = left, right
    sign[[blendshape(name) for name in LIP_CORRECTIVES]] = torch.tensor(lip_parity).float()
    return replace(model, expression_basis=(model.expression_basis + sign * flipped[..., partner]) / 2)


def at_rest(model: MorphableModel) -> MorphableModel:
    """The model whose lips touch at rest; those of most portraits are parted a little."""
    shape = model.mean_shape[None].clone()
    limit_lips(shape, model.mean_shape, torch.zeros(1))
    return replace(model, mean_shape=shape[0])


LIPS = sorted({*UPPER_LIP_POINTS, *LOWER_LIP_POINTS})


def _near(points: Tensor, ids: list[int], sigma: float) -> Tensor:
    """Falloff [468, 1] with the distance to the nearest of some points."""
    return torch.exp(-(torch.cdist(points, points[ids]).amin(1, keepdim=True) / sigma).square() / 2)


def _principal(samples: Tensor, count: int) -> Tensor:
    """Leading modes [468, 3, count] of samples [N, 468, 3] about 0, in standard deviations."""
    _, size, modes = torch.linalg.svd(samples.flatten(1) / len(samples) ** 0.5, full_matrices=False)
    return (modes[:count].T * size[:count]).view(*samples.shape[1:], count)


def _model(points: Tensor, identity: Tensor, expression: Tensor) -> MorphableModel:
    """A face model of the landmarks alone."""
    none = torch.zeros(0, dtype=torch.long)
    return MorphableModel(points, identity, expression, points * 0, points[..., None] * 0, none.view(0, 3), none)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def scanned_face(scan: Scan, portraits: Portraits) -> dict[str, Tensor]:
    """The tensors of the file.

    `mean` [468, 3], `identity` [468, 3, 80], `expression` [468, 3, 64], `colour` [468, 3] and `colours` [468, 3, 80]
    (0–255) of the face; `triangles` [852, 3] facing the viewer; `mirror` [468]; `lip_parity` [5], 1 where a corrective
    of the lips is alike on both sides and −1 where it is opposite; `upper_teeth` and `lower_teeth` [4, 13, 3] from gum
    to edge, right to left, from the middle between the lips; `jaw` [64, 3, 4], affine fields by which each expression
    moves what is fixed to the jaw; `ring_depth` [6, 36], of the rings around the face.
    """
    learner = Learner(scan, portraits.landmarks[:, :FACE_POINTS])
    parity = learner.add_correctives()
    model = at_rest(symmetric(learner.model, parity, learner.mirror))
    origin = model.mean_shape[[RIGHT_TRAGION, LEFT_TRAGION]].mean(0)
    points = model.mean_shape - origin
    triangles = tesselation()
    a, b, c = (points[triangles[:, k]].numpy() for k in range(3))
    facing = np.cross(b - a, c - a)[:, 2]
    triangles[facing < 0] = triangles[facing < 0][:, [0, 2, 1]]
    colour, colours = skin_colours(
        model, learner.fit(model, learner.meshes)[0], portraits.images, torch.from_numpy(triangles), learner.mirror
    )
    lips = points[LIP_MIDDLES].mean(0)
    return {
        "mean": points,
        "identity": model.identity_basis.half(),
        "expression": model.expression_basis.half(),
        "colour": colour,
        "colours": colours.half(),
        "triangles": torch.from_numpy(triangles).short(),
        "mirror": learner.mirror.short(),
        "lip_parity": torch.tensor(parity, dtype=torch.int8),
        **{name: _tensor(teeth_arch(scan, name)) - origin - lips for name in ("upper_teeth", "lower_teeth")},
        "jaw": _tensor(jaw_fields(scan, origin.double().numpy())),
        "ring_depth": _tensor(ring_depths(scan, points.double().numpy(), origin.double().numpy())),
    }


def main() -> None:
    """Run as a command."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description="Make the bundled face model.")
    parser.add_argument("scan", type=Path, help="ict_facekit.safetensors")
    parser.add_argument("portraits", type=Path, help="folder of portraits as JPEG files, one person each")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    tensors = scanned_face(Scan.load(options.scan), read_portraits(options.portraits))
    with replacing(options.out) as part:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, {TEXTURE_SIZE} colours")


if __name__ == "__main__":
    main()
