"""D3DFR's coefficient network: from aligned faces to the coefficients of BFM09 and of the pupils."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..motion.track import COEFFICIENTS, FaceCoefficients

INPUT_SIZE = 256  # side of the aligned image, pixels
PUPIL_NUMBERS = 4
# Sizes of the output layers in the file's order; the translation is split into (x, y) and z.
HEAD_SIZES = (80, 64, 80, 3, 27, 2, 1, PUPIL_NUMBERS)
EXPANSION = 4  # output channels of a bottleneck, over its inner ones


class Bottleneck(nn.Module):
    """The residual block of ResNet-50 (He et al. 2015), with the stride in its 3 × 3 convolution.

    Args:
        channels: of the input.
        width: channels of the inner layers; the output has 4 · width.
        stride: 1, or 2 to halve the image.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, EXPANSION * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(EXPANSION * width)
        self.downsample = None
        if channels != EXPANSION * width or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, EXPANSION * width, 1, stride, bias=False), nn.BatchNorm2d(EXPANSION * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, C, H, W] → [N, 4 · width, H / stride, W / stride]."""
        inner = F.relu(self.bn1(self.conv1(x)), inplace=True)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        inner += x if self.downsample is None else self.downsample(x)
        return F.relu(inner, inplace=True)


class Backbone(nn.Module):
    """ResNet-50 without its classifier.

    `torchvision.models.resnet50` has the same keys but `fc` and gives the same numbers to the bit. It is not used:
    a torchvision fits one version and one build of PyTorch only. As a dependency of `pip install mimaface` it would
    replace the PyTorch that is installed by the version that it names, and PyPI's build of it cannot be imported beside
    a PyTorch for the CPU, as `make test` may have it ("operator torchvision::nms does not exist").
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(256, 128, 4, 2)
        self.layer3 = _stage(512, 256, 6, 2)
        self.layer4 = _stage(1024, 512, 3, 2)
        self.channels = EXPANSION * 512

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, H, W] → pooled features [N, 2048, 1, 1]."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3), keepdim=True)


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """A stage of ResNet-50: blocks of one width, the first of which changes channels and size."""
    rest = [Bottleneck(EXPANSION * width, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(channels, width, stride), *rest)


class CoefficientNetwork(nn.Module):
    """ResNet-50 with one linear head for each group: 257 numbers of the face model and 4 of the pupils.

    Its keys are those of D3DFR's `netG_epoch_25.pth`, including the spelling of `fianl_layers`. It is meant to
    run in evaluation mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.fianl_layers = nn.ModuleList([nn.Conv2d(self.backbone.channels, size, 1) for size in HEAD_SIZES])

    def forward(self, pixels: Tensor) -> Tensor:
        """All 261 numbers.

        Args:
            pixels: [N, 3, 256, 256] in ±1, faces aligned to D3DFR's five points.

        Returns:
            [N, 261]: identity 80, expression 64, texture 80, angles 3, lighting 27, translation 3, pupils 4.

        Raises:
            ValueError: the images have another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, INPUT_SIZE, INPUT_SIZE):
            raise ValueError(f"the coefficient network reads [N, 3, 256, 256], not {list(pixels.shape)}")
        features = self.backbone(pixels)
        return torch.cat([head(features) for head in self.fianl_layers], 1).flatten(1)


@torch.no_grad()
def regress(network: CoefficientNetwork, pixels: Tensor) -> tuple[FaceCoefficients, Tensor]:
    """Coefficients of aligned faces, computed on the network's device and in its precision.

    Args:
        network: the coefficient network.
        pixels: [N, 3, 256, 256] in ±1.

    Returns:
        The face model's coefficients of N faces and the pupil head's numbers [N, 4], float32 on the CPU. The
        released post-fuse module takes those four as its gaze, as they are.
    """
    weight = network.backbone.conv1.weight
    numbers = network(pixels.to(weight.device, weight.dtype)).float().cpu()
    return FaceCoefficients(numbers[:, :COEFFICIENTS]), numbers[:, COEFFICIENTS:]
