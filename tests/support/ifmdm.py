"""What stands for IF-MDM's learned tensors in the stored outputs, and the pictures that went in."""

import json
import math

import numpy as np
import torch
from torch.nn import functional as F

from support.parity import noise, stored_file, weight


def picture(name, size, batch=1):
    """A smooth picture in ±1."""
    cells = noise(name, batch, 3, size // 16, size // 16)
    return F.interpolate(cells, scale_factor=16, mode="bilinear", align_corners=False).clamp(-1, 1)


def state_dict(name):
    """The weights of one network, by the published keys."""
    shapes = json.loads(stored_file("ifmdm_state_dicts.json").read_text())[name]
    value = {"ifmdm_dit": _position, "ifmdm_vgg19": _rectified}.get(name, _equalized)
    return {key: value(key, tuple(shape)) for key, shape in shapes.items()}


def _equalized(key, shape):
    if key.endswith(".kernel"):
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        return torch.outer(line, line) / (16 if ".upsample." in key or ".blur." in key else 64)
    if "refine_block" in key:
        return weight(key, shape)
    x = noise(key, *shape)
    if key.endswith("modulation.bias"):
        return 1 + 0.1 * x
    small = key.endswith(("bias", "noise.weight")) or ("to_flows" in key and key.endswith(".conv.weight"))
    return 0.1 * x if small else x


def _rectified(key, shape):
    return weight(key, shape, math.sqrt(2))


def _position(key, shape):
    if key != "pos_embed":
        return weight(key, shape)
    _, length, width = shape
    angle = np.outer(np.arange(length), 10000.0 ** -(np.arange(width // 2) / (width / 2)))
    return torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], 1)).float()[None]
