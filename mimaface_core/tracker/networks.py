"""Networks of the face tracker: a detector, a mesh of the whole face, and closer looks at eyes and mouth.

Wood et al., "Fake it till you make it" (2021) and "3D face reconstruction with dense landmarks" (2022) train such
networks on drawn faces and let each landmark tell its own standard deviation; Grishchenko et al., "Attention mesh"
(2020) look closer at eyes and lips. Written from the papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..morphable.bundled.face_mesh import LANDMARK_COUNT

MESH_SIDE, REGION_SIDE = 128, 64  # pixels of the squares that the networks see
FACE_UNIT = 32.0  # pixels, size of a face from which the detector counts
STRIDE = 8  # pixels of an image for one place of the detector's map
MESH_WIDTHS, MESH_DEPTHS = (24, 32, 64, 128, 144), (0, 1, 2, 2, 1)
EYE_WIDTHS, MOUTH_WIDTHS, REGION_DEPTHS = (24, 48, 96, 112), (16, 32, 64, 96), (0, 1, 1, 0)
DETECTOR_WIDTHS, DETECTOR_DEPTHS = (16, 32, 64), (0, 1, 3)


class Convolution(nn.Module):
    """A 3 × 3 convolution with batch norm, which `fuse` takes into the convolution for inference.

    Args:
        inputs, outputs: channels.
        stride: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Channels [N, C, H, W]."""
        return self.norm(self.conv(x))

    def fuse(self) -> None:
        """Take the batch norm into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = torch.nn.utils.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Residual(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(width, width), Convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Channels [N, C, H, W]."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class Trunk(nn.Sequential):
    """Stages that each halve the size: a convolution of stride 2 and residual blocks."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs, depth in zip((3, *widths[:-1]), widths, depths, strict=True):
            layers += [Convolution(inputs, outputs, 2), nn.ReLU(), *(Residual(outputs) for _ in range(depth))]
        super().__init__(*layers)


Network = TypeVar("Network", bound=nn.Module)


def fused(network: Network) -> Network:
    """The network itself, for inference: its batch norms are taken into the convolutions."""
    for module in network.modules():
        if isinstance(module, Convolution):
            module.fuse()
    return network.eval().requires_grad_(False)


class Marks(NamedTuple):
    """What a network says of P landmarks in a square.

    Attributes:
        points: x, y and, of a mesh, depth [N, P, 2 or 3]; the square spans −1…1.
        log_deviation: [N, P], logarithm of the expected error in the same unit.
        seen: [N, P], logit of not being hidden.
    """

    points: Tensor
    log_deviation: Tensor
    seen: Tensor


class Look(nn.Module):
    """A trunk over a square, and landmarks from what it saw.

    Args:
        side: of the square, pixels.
        widths, depths: of the trunk.
        points: P.
        axes: 2, or 3 with depth.
        features: numbers that describe the square.
    """

    def __init__(
        self, side: int, widths: Sequence[int], depths: Sequence[int], points: int, axes: int, features: int
    ) -> None:
        super().__init__()
        self.trunk = Trunk(widths, depths)
        cells = (side >> len(widths)) ** 2
        self.squeeze = nn.Conv2d(widths[-1], 32, 1)
        self.features = nn.Linear(32 * cells, features)
        self.places = nn.Linear(features, points * axes)
        self.judge = nn.Linear(features, points * 2 + 1)
        self.axes = axes

    def forward(self, squares: Tensor) -> tuple[Marks, Tensor]:
        """Landmarks of squares.

        Args:
            squares: [N, 3, side, side] in ±1.

        Returns:
            Marks, and the logit [N] of an upright face (or a region of one) in the square.
        """
        features = F.relu(self.features(F.relu(self.squeeze(self.trunk(squares))).flatten(1)))
        points = self.places(features).unflatten(1, (-1, self.axes))
        *judged, face = self.judge(features).split([points.shape[1], points.shape[1], 1], 1)
        return Marks(points, *judged), face[:, 0]


def mesh_network() -> Look:
    """The network for the mesh of a whole face."""
    return Look(MESH_SIDE, MESH_WIDTHS, MESH_DEPTHS, LANDMARK_COUNT, 3, 192)


def eye_network(points: int) -> Look:
    """The network for a closer look at P points of the right eye."""
    return Look(REGION_SIDE, EYE_WIDTHS, REGION_DEPTHS, points, 2, 128)


def mouth_network(points: int) -> Look:
    """The network for a closer look at P points of the mouth."""
    return Look(REGION_SIDE, MOUTH_WIDTHS, REGION_DEPTHS, points, 2, 96)


class Detector(nn.Module):
    """Finds faces of some 20–56 pixels, any way up, at every eighth pixel of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(DETECTOR_WIDTHS, DETECTOR_DEPTHS)
        self.head = nn.Conv2d(DETECTOR_WIDTHS[-1], 6, 1)

    def forward(self, images: Tensor) -> Tensor:
        """A map of faces.

        Args:
            images: [N, 3, H, W] in ±1, sides multiples of 8.

        Returns:
            [N, 6, H/8, W/8]: logit of a face whose centre is near, its x and y from this place in strides, logarithm
            of its size over FACE_UNIT, sine and cosine of its roll.
        """
        return self.head(self.trunk(images))
