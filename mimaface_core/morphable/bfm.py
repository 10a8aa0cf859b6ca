"""The Basel Face Model of 2009, from D3DFR's MATLAB file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np

MAT_KEYS = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints", "point_buf")


def read_bfm(path: Path) -> dict[str, Tensor]:
    """Tensors of BFM09 named as in `MorphableModel`, the mean shape centred on the origin.

    Args:
        path: D3DFR's BFM09_model_info.mat, a MATLAB 5 file with indices from 1; its skinmask is not used.

    Raises:
        InputError: the file is missing, damaged or another.
    """
    content = _read_mat(path)
    missing = [key for key in MAT_KEYS if key not in content]
    if missing:
        raise InputError(f"{path} is not BFM09_model_info.mat: it lacks {', '.join(missing)}; use D3DFR's file.")
    V = content["meanshape"].size // 3
    try:
        mat = {key: torch.from_numpy(content[key].astype("float64")) for key in MAT_KEYS}
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
    return tensors


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    """Content of a MATLAB 5 file. Raises InputError where it cannot be read."""
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
