"""Linear 3D face model: shape, texture, pose, camera and light from the 257 coefficients of D3DFR."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..files import parse_json
from ..motion.rotation import rotation_of
from .bfm import read_bfm

if TYPE_CHECKING:
    from ..motion.track import FaceCoefficients

IDENTITY_SIZE, EXPRESSION_SIZE, TEXTURE_SIZE = 80, 64, 80  # numbers of coefficients
PLANE = 256  # side of the camera plane in pixels
AMBIENT = 0.8  # added to the first lighting coefficient of each channel
_CAMERA = ("focal", "centre", "camera")
_OPTIONAL = "vertex_faces"


@dataclass(frozen=True)
class MorphableModel:
    """A linear face model seen by a fixed camera.

    World axes: x right, y up, z towards the camera, which stands at (0, 0, camera) and looks down −z. Lengths are in
    the model's own unit (BFM and the bundled face: 100 mm).

    Attributes:
        mean_shape: [V, 3].
        identity_basis: [V, 3, 80].
        expression_basis: [V, 3, 64].
        mean_texture: [V, 3], 0–255; light may carry colours outside.
        texture_basis: [V, 3, 80], 0–255.
        triangles: long [T, 3], counter-clockwise seen from outside.
        keypoints: long [K], vertices that are landmarks (68 in BFM).
        vertex_faces: long [V, M], the triangles that make up each vertex's normal, T (one past the last) where unused;
            None takes every triangle around the vertex. BFM09 lists at most eight.
        focal: focal length, in pixels of the camera plane of 256.
        centre: principal point, in pixels of the plane, in x and y.
        camera: distance of the camera from the world's origin.
    """

    mean_shape: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    mean_texture: Tensor
    texture_basis: Tensor
    triangles: Tensor
    keypoints: Tensor
    vertex_faces: Tensor | None = None
    focal: float = 1160.0
    centre: float = 128.0
    camera: float = 10.0

    # -- reading and writing

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], **camera: float) -> MorphableModel:
        """Build a model from tensors named like the attributes.

        Args:
            tensors: name → tensor; `vertex_faces` may be absent.
            camera: focal, centre, camera where they differ from the defaults.

        Raises:
            InputError: a tensor is missing, unknown or of the wrong shape; the message names it.
        """
        names = {field.name for field in fields(cls)} - set(_CAMERA)
        missing = names - {_OPTIONAL} - tensors.keys()
        if missing or tensors.keys() - names:
            raise InputError(
                f"the face model lacks {sorted(missing)} or has the unknown {sorted(tensors.keys() - names)}; "
                "use a file that MorphableModel.save wrote."
            )
        _check_shapes(tensors)
        faces = tensors.get(_OPTIONAL)
        return cls(
            mean_shape=tensors["mean_shape"].float(),
            identity_basis=tensors["identity_basis"].float(),
            expression_basis=tensors["expression_basis"].float(),
            mean_texture=tensors["mean_texture"].float(),
            texture_basis=tensors["texture_basis"].float(),
            triangles=tensors["triangles"].long(),
            keypoints=tensors["keypoints"].long(),
            vertex_faces=None if faces is None else faces.long(),
            **camera,
        )

    @classmethod
    def from_bfm(cls, path: str | Path) -> MorphableModel:
        """Read BFM09 from D3DFR's BFM09_model_info.mat, centred on the origin.

        Args:
            path: a MATLAB 5 file with indices from 1; its skinmask is not used.

        Raises:
            InputError: the file is missing, damaged or another.
        """
        return cls.from_tensors(read_bfm(Path(path)))

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file, with the camera in its metadata."""
        from safetensors.torch import save_file

        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        save_file(tensors, path, {"camera": json.dumps({name: getattr(self, name) for name in _CAMERA})})

    @classmethod
    def load(cls, path: str | Path) -> MorphableModel:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is missing, damaged or something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}
                camera = parse_json((file.metadata() or {}).get("camera", "{}"))
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f"the face model {path} cannot be read ({error}); give a file saved by save().") from error
        return cls.from_tensors(tensors, **{name: float(camera[name]) for name in _CAMERA if name in camera})

    def tensors(self) -> dict[str, Tensor]:
        """The model's tensors by name; `vertex_faces` is left out where it is None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def count(self) -> int:
        """Number of values that the model holds."""
        return sum(value.numel() for value in self.tensors().values())

    # -- the face, step by step

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Vertices before the pose.

        Args:
            identity: [N, 80], or [1, 80] for all frames.
            expression: [N, 64], or [1, 64] for all frames.

        Returns:
            [N, V, 3].
        """
        V = len(self.mean_shape)
        moved = identity @ self.identity_basis.flatten(0, 1).T
        moved = moved + expression @ self.expression_basis.flatten(0, 1).T
        return self.mean_shape + moved.view(-1, V, 3)

    def texture(self, texture: Tensor) -> Tensor:
        """Unlit vertex colours [N, V, 3], 0–255 but not clipped, of coefficients [N, 80]."""
        added = texture @ self.texture_basis.flatten(0, 1).T
        return self.mean_texture + added.view(-1, len(self.mean_texture), 3)

    def normals(self, shape: Tensor) -> Tensor:
        """Unit vertex normals [N, V, 3] of vertices [N, V, 3].

        As in D3DFR, the raw cross products of the faces are summed, so large faces weigh more, and the sum is
        normalised. A vertex without faces gets a zero normal.
        """
        p0, p1, p2 = (shape[:, self.triangles[:, k]] for k in range(3))
        face = torch.linalg.cross(p1 - p0, p2 - p0)
        if self.vertex_faces is not None:
            total = F.pad(face, (0, 0, 0, 1))[:, self.vertex_faces].sum(2)
        else:
            total = torch.zeros_like(shape)
            for k in range(3):
                total = total.index_add(1, self.triangles[:, k], face)
        return F.normalize(total, dim=-1)

    rotation = staticmethod(rotation_of)

    def transform(self, shape: Tensor, angles: Tensor, translation: Tensor) -> Tensor:
        """World vertices [N, V, 3]: shape turned by angles [N, 3] (rad), then moved by translation [N, 3]."""
        return shape @ self.rotation(angles) + translation[:, None]

    def project(self, world: Tensor) -> Tensor:
        """Perspective projection of world vertices onto the camera plane of 256 pixels.

        Args:
            world: [N, V, 3].

        Returns:
            [N, V, 3]: x right and y down in pixels (0–256 across, pixel centres at +0.5), third the depth in world
            units (larger = farther). Points behind the camera have negative depth.
        """
        x, y, z = world.unbind(-1)
        depth = self.camera - z
        scale = self.focal / depth
        return torch.stack([self.centre + scale * x, self.centre - scale * y, depth], -1)

    def camera_points(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """World positions of pixels at known distances, the inverse of `project`.

        Args:
            pixels: [..., V, 2 or 3], pixels of the camera plane; a third coordinate is ignored.
            depth: [..., V], distances from the camera.

        Returns:
            [..., V, 3].
        """
        x = (pixels[..., 0] - self.centre) * depth / self.focal
        y = (self.centre - pixels[..., 1]) * depth / self.focal
        return torch.stack([x, y, self.camera - depth], -1)

    @staticmethod
    def shade(texture: Tensor, normals: Tensor, lighting: Tensor) -> Tensor:
        """Light vertex colours with nine spherical harmonics per channel.

        Lambertian harmonics after Ramamoorthi and Hanrahan 2001, with the signs of D3DFR.

        Args:
            texture: [N, V, 3], unlit colours.
            normals: [N, V, 3], turned with the head.
            lighting: [N, 27], nine coefficients for red, then green, then blue.

        Returns:
            [N, V, 3] on the texture's scale, not clipped.
        """
        x, y, z = normals.unbind(-1)
        h0 = math.sqrt(math.pi) / 2
        h1 = math.sqrt(math.pi)
        h2 = math.sqrt(15 * math.pi / 8)
        bands = [torch.full_like(x, h0), -h1 * y, h1 * z, -h1 * x]
        bands += [h2 * x * y, -h2 * y * z, h2 / math.sqrt(12) * (3 * z * z - 1)]
        bands += [-h2 * x * z, h2 / 2 * (x * x - y * y)]
        light = torch.stack(bands, -1) @ rearrange(lighting, "n (rgb band) -> n band rgb", rgb=3)
        return texture * (light + AMBIENT * h0)

    # -- all coefficients at once

    def vertices(self, coefficients: FaceCoefficients) -> Tensor:
        """World vertices [N, V, 3] of N frames."""
        shape = self.shape(coefficients.identity, coefficients.expression)
        return self.transform(shape, coefficients.angles, coefficients.translation)

    def shaded_colours(self, coefficients: FaceCoefficients) -> Tensor:
        """Lit vertex colours [N, V, 3] of N frames, 0–255 but not clipped."""
        shape = self.shape(coefficients.identity, coefficients.expression)
        normals = self.normals(shape) @ self.rotation(coefficients.angles)
        return self.shade(self.texture(coefficients.texture), normals, coefficients.lighting)

    def landmarks(self, coefficients: FaceCoefficients) -> Tensor:
        """Projected keypoints [N, K, 2] in pixels of the camera plane, y down."""
        return self.project(self.vertices(coefficients)[:, self.keypoints])[..., :2]


def _check_shapes(tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError for a tensor of the wrong shape, or an index outside the mesh."""
    V = len(tensors["mean_shape"])
    for name, shape in {
        "mean_shape": (V, 3),
        "identity_basis": (V, 3, IDENTITY_SIZE),
        "expression_basis": (V, 3, EXPRESSION_SIZE),
        "mean_texture": (V, 3),
        "texture_basis": (V, 3, TEXTURE_SIZE),
    }.items():
        if tuple(tensors[name].shape) != shape:
            raise InputError(
                f"the face model's {name} is {list(tensors[name].shape)} where {list(shape)} is needed; "
                "use a model in the 80 + 64 + 80 layout."
            )
    triangles, keypoints, faces = tensors["triangles"], tensors["keypoints"], tensors.get(_OPTIONAL)
    indices = {
        "triangles": (triangles, triangles.ndim == 2 and triangles.shape[1] == 3, V),
        "keypoints": (keypoints, keypoints.ndim == 1, V),
    }
    if faces is not None:
        indices[_OPTIONAL] = (faces, faces.ndim == 2 and len(faces) == V, len(triangles) + 1)
    for name, (index, fits, limit) in indices.items():
        if not fits or (index.numel() and (index.min() < 0 or index.max() >= limit)):
            raise InputError(
                f"the face model's {name} {list(index.shape)} points outside the mesh; "
                "the file is damaged, use a fresh copy."
            )
