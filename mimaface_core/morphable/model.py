"""The linear 3D face model: shape, texture, pose, camera and light from the 257 coefficients of D3DFR."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..motion.rotation import rotation_of

if TYPE_CHECKING:
    from ..motion.track import FaceCoefficients

IDENTITY, EXPRESSION, TEXTURE = 80, 64, 80
PLANE = 256  # side of the camera plane in pixels
AMBIENT = 0.8  # added to the first lighting coefficient of each channel
_CAMERA = ("focal", "centre", "camera")


@dataclass(frozen=True)
class MorphableModel:
    """A linear face model seen by a fixed camera.

    World axes: x right, y up, z towards the camera, which stands at (0, 0, camera) and looks down −z. Lengths
    are in the model's own unit (BFM: 100 mm). Textures are 0…255; light may carry colours outside.

    vertex_faces: long [V, M], the triangles that make up each vertex's normal, T (one past the last) where
        unused; None takes every triangle around the vertex. BFM09 lists at most eight.
    """

    mean_shape: Tensor  # [V, 3]
    identity_basis: Tensor  # [V, 3, 80]
    expression_basis: Tensor  # [V, 3, 64]
    mean_texture: Tensor  # [V, 3], 0…255
    texture_basis: Tensor  # [V, 3, 80], 0…255
    triangles: Tensor  # long [T, 3], counter-clockwise seen from outside
    keypoints: Tensor  # long [K], vertices that are landmarks (68 in BFM)
    vertex_faces: Tensor | None = None
    focal: float = 1160.0  # pixels at PLANE
    centre: float = 128.0  # pixels at PLANE
    camera: float = 10.0  # distance from the world's origin

    # -- reading and writing

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], **camera: float) -> MorphableModel:
        """Build a model from tensors named like the fields; camera: focal, centre, camera where they differ.

        Raises InputError naming the tensor that is missing, unknown or of the wrong shape.
        """
        names = {f.name for f in fields(cls)} - set(_CAMERA)
        missing = names - {"vertex_faces"} - tensors.keys()
        if missing or tensors.keys() - names:
            raise InputError(
                f"the face model lacks {sorted(missing)} or carries the unknown "
                f"{sorted(tensors.keys() - names)}; use a file that MorphableModel.save wrote."
            )
        V = len(tensors["mean_shape"])
        for name, shape in {
            "mean_shape": (V, 3),
            "identity_basis": (V, 3, IDENTITY),
            "expression_basis": (V, 3, EXPRESSION),
            "mean_texture": (V, 3),
            "texture_basis": (V, 3, TEXTURE),
        }.items():
            if tuple(tensors[name].shape) != shape:
                raise InputError(
                    f"the face model's {name} is {list(tensors[name].shape)} where {list(shape)} is needed; "
                    "use a model in the 80 + 64 + 80 layout."
                )
        triangles = tensors["triangles"]
        faces = tensors.get("vertex_faces")
        ranges = {
            "triangles": (triangles.ndim == 2 and triangles.shape[1] == 3, triangles, V),
            "keypoints": (tensors["keypoints"].ndim == 1, tensors["keypoints"], V),
        }
        if faces is not None:
            ranges["vertex_faces"] = (faces.ndim == 2 and len(faces) == V, faces, len(triangles) + 1)
        for name, (shaped, index, limit) in ranges.items():
            if not shaped or (index.numel() and (index.min() < 0 or index.max() >= limit)):
                raise InputError(
                    f"the face model's {name} {list(index.shape)} points outside the mesh; "
                    "the file is damaged, use a fresh copy."
                )
        return cls(**{k: v.long() if k in ranges else v.float() for k, v in tensors.items()}, **camera)

    def camera_points(self, landmarks: Tensor, depth: Tensor) -> Tensor:
        """World positions [N, V, 3] of landmarks [N, V, 2 or 3] (pixels of the 256 plane) at distances [N, V]."""
        x = (landmarks[..., 0] - self.centre) * depth / self.focal
        y = (self.centre - landmarks[..., 1]) * depth / self.focal
        return torch.stack([x, y, self.camera - depth], -1)

    @classmethod
    def from_bfm(cls, path: str | Path) -> MorphableModel:
        """Read BFM09 from D3DFR's BFM09_model_info.mat (MATLAB 5 file, indices from 1, skinmask not used).

        The mean shape is centred on the origin. Raises InputError if the file is missing, damaged or another.
        """
        content = _read_mat(Path(path))
        keys = ["meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints", "point_buf"]
        missing = [key for key in keys if key not in content]
        if missing:
            raise InputError(f"{path} is not BFM09_model_info.mat: it lacks {', '.join(missing)}; use D3DFR's file.")
        V = content["meanshape"].size // 3
        try:
            mat = {key: torch.from_numpy(content[key].astype("float64")) for key in keys}
            mean = mat["meanshape"].reshape(V, 3)
            tensors = {
                "mean_shape": mean - mean.mean(0),
                "identity_basis": mat["idBase"].reshape(V, 3, -1),
                "expression_basis": mat["exBase"].reshape(V, 3, -1),
                "mean_texture": mat["meantex"].reshape(V, 3),
                "texture_basis": mat["texBase"].reshape(V, 3, -1),
            }
        except (RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold {V} vertices throughout ({error}); use D3DFR's file.") from error
        tensors["triangles"] = mat["tri"].long() - 1
        tensors["keypoints"] = mat["keypoints"].flatten().long() - 1
        tensors["vertex_faces"] = mat["point_buf"].long() - 1
        return cls.from_tensors(tensors)

    def save(self, path: str | Path) -> None:
        """Write the model as one safetensors file; the camera goes into its metadata."""
        from safetensors.torch import save_file

        tensors = {k: v.contiguous() for k, v in self._tensors().items()}
        save_file(tensors, path, {"camera": json.dumps({name: getattr(self, name) for name in _CAMERA})})

    @classmethod
    def load(cls, path: str | Path) -> MorphableModel:
        """Read what `save` wrote. Raises InputError when the file is missing, damaged or something else."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}
                camera = json.loads((file.metadata() or {}).get("camera", "{}"))
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise InputError(f"the face model {path} cannot be read ({error}); give a file saved by save().") from error
        return cls.from_tensors(tensors, **{name: float(camera[name]) for name in _CAMERA if name in camera})

    def to(self, device: torch.device | str) -> MorphableModel:
        """The same model on another device."""
        return replace(self, **{k: v.to(device) for k, v in self._tensors().items()})

    def count(self) -> int:
        """How many numbers the model holds."""
        return sum(value.numel() for value in self._tensors().values())

    def _tensors(self) -> dict[str, Tensor]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v for k, v in values.items() if isinstance(v, Tensor)}

    # -- the face, step by step

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Vertices before the pose, [N, V, 3].

        identity [N, 80] and expression [N, 64]; either may be one row that holds for all frames.
        """
        V = len(self.mean_shape)
        moved = identity @ self.identity_basis.flatten(0, 1).T
        moved = moved + expression @ self.expression_basis.flatten(0, 1).T
        return self.mean_shape + moved.view(-1, V, 3)

    def texture(self, texture: Tensor) -> Tensor:
        """Unlit vertex colours, [N, V, 3] on the 0…255 scale (not clipped), from coefficients [N, 80]."""
        added = texture @ self.texture_basis.flatten(0, 1).T
        return self.mean_texture + added.view(-1, len(self.mean_texture), 3)

    def normals(self, shape: Tensor) -> Tensor:
        """Unit vertex normals [N, V, 3] of vertices [N, V, 3].

        As D3DFR: the raw cross products of the faces are summed, so large faces weigh more, and the sum is
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

    def to_camera(self, world: Tensor) -> Tensor:
        """Camera coordinates [N, V, 3]: x right, y up, third the distance in front of the camera."""
        return torch.cat([world[..., :2], self.camera - world[..., 2:]], -1)

    def project(self, world: Tensor) -> Tensor:
        """Perspective projection of world vertices [N, V, 3] onto the 256-pixel camera plane.

        Returns [N, V, 3]: x right and y down in pixels (0…256 across, pixel centres at +0.5), third the depth
        in world units (larger = farther). Points behind the camera have negative depth.
        """
        x, y, depth = self.to_camera(world).unbind(-1)
        scale = self.focal / depth
        return torch.stack([self.centre + scale * x, self.centre - scale * y, depth], -1)

    @staticmethod
    def shade(texture: Tensor, normals: Tensor, lighting: Tensor) -> Tensor:
        """Light vertex colours with nine spherical harmonics per channel.

        texture [N, V, 3]; normals [N, V, 3], turned with the head; lighting [N, 27], nine numbers for red,
        then green, then blue. Returns [N, V, 3] on the texture's scale, not clipped. Lambertian harmonics
        after Ramamoorthi and Hanrahan 2001, with the signs of D3DFR.
        """
        x, y, z = normals.unbind(-1)
        h0 = math.sqrt(math.pi) / 2
        h1 = math.sqrt(math.pi)
        h2 = math.sqrt(15 * math.pi / 8)
        bands = [torch.full_like(x, h0), -h1 * y, h1 * z, -h1 * x]
        bands += [h2 * x * y, -h2 * y * z, h2 / math.sqrt(12) * (3 * z * z - 1)]
        bands += [-h2 * x * z, h2 / 2 * (x * x - y * y)]
        light = torch.stack(bands, -1) @ lighting.unflatten(-1, (3, 9)).transpose(1, 2)
        return texture * (light + AMBIENT * h0)

    # -- all coefficients at once

    def vertices(self, coefficients: FaceCoefficients) -> Tensor:
        """World vertices [N, V, 3] of N frames."""
        shape = self.shape(coefficients.identity, coefficients.expression)
        return self.transform(shape, coefficients.angles, coefficients.translation)

    def colors(self, coefficients: FaceCoefficients) -> Tensor:
        """Lit vertex colours [N, V, 3] of N frames on the 0…255 scale, not clipped."""
        shape = self.shape(coefficients.identity, coefficients.expression)
        normals = self.normals(shape) @ self.rotation(coefficients.angles)
        return self.shade(self.texture(coefficients.texture), normals, coefficients.lighting)

    def landmarks(self, coefficients: FaceCoefficients) -> Tensor:
        """Projected keypoints [N, K, 2] in pixels of the camera plane, y down."""
        return self.project(self.vertices(coefficients)[:, self.keypoints])[..., :2]


def _read_mat(path: Path) -> dict:
    """Read a MATLAB 5 file, or say in one sentence why not."""
    import zlib

    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise InputError(f"there is no {path}; put D3DFR's BFM09_model_info.mat there.")
    try:
        return loadmat(path)
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read as a MATLAB file ({error}); use a fresh copy of D3DFR's file."
        ) from error
