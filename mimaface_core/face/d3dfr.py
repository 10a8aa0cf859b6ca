"""D3DFR's coefficient network: from an aligned face to the numbers of the face model and of its eyes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..motion.track import COEFFICIENTS, FaceCoefficients

SIDE = 256  # pixels of the aligned picture
EYES = 4  # numbers of the pupil head
# Sizes of the output layers in the file's order; the translation is split into (x, y) and z.
HEADS = (80, 64, 80, 3, 27, 2, 1, EYES)
# Stages of ResNet-50: blocks, inner width, stride.
STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
GROWTH = 4  # a bottleneck's output is that much wider than its inside


class Bottleneck(nn.Module):
    """The residual block of ResNet-50 (He et al. 2015), with the stride in its 3 × 3 convolution.

    Args:
        channels: of the input.
        width: of the inner layers; the output has 4 · width channels.
        stride: 1, or 2 to halve the picture.
    """

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, GROWTH * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(GROWTH * width)
        self.downsample = None
        if channels != GROWTH * width or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, GROWTH * width, 1, stride, bias=False), nn.BatchNorm2d(GROWTH * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, 4 · width, H / stride, W / stride]."""
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        return F.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Backbone(nn.Module):
    """ResNet-50 without its classifier: [N, 3, H, W] → pooled features [N, 2048, 1, 1]."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, (blocks, width, stride) in enumerate(STAGES, 1):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(channels, width, stride if block == 0 else 1))
                channels = GROWTH * width
            self.add_module(f"layer{number}", stage)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3), keepdim=True)


class CoefficientNetwork(nn.Module):
    """ResNet-50 with one linear head for each group of numbers: 257 of the face model and 4 of the pupils.

    Its keys are those of D3DFR's `netG_epoch_25.pth`, including the spelling of `fianl_layers`. It is meant to
    run in evaluation mode.
    """

    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.fianl_layers = nn.ModuleList([nn.Conv2d(self.backbone.channels, size, 1) for size in HEADS])

    def forward(self, pixels: Tensor) -> Tensor:
        """All 261 numbers.

        Args:
            pixels: [N, 3, 256, 256] in ±1, faces aligned to D3DFR's five points.

        Returns:
            [N, 261]: identity 80, expression 64, texture 80, angles 3, lighting 27, translation 3, pupils 4.

        Raises:
            InputError: the pictures have another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, SIDE, SIDE):
            raise InputError(
                f"The coefficient network reads pictures of shape [N, 3, {SIDE}, {SIDE}], "
                f"not {list(pixels.shape)}; align the faces first."
            )
        features = self.backbone(pixels)
        return torch.cat([head(features) for head in self.fianl_layers], 1).flatten(1)


@torch.no_grad()
def regress(network: CoefficientNetwork, pixels: Tensor) -> tuple[FaceCoefficients, Tensor]:
    """Measure aligned faces [N, 3, 256, 256] in ±1, on the network's device and in its precision.

    Returns:
        The face model's coefficients of N faces and the pupil head's numbers [N, 4], float32 on the CPU. The
        released post-fuse module takes those four as its gaze, as they are.
    """
    weight = network.backbone.conv1.weight
    numbers = network(pixels.to(weight.device, weight.dtype)).float().cpu()
    return FaceCoefficients(numbers[:, :COEFFICIENTS]), numbers[:, COEFFICIENTS:]
