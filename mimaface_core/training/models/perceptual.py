"""IF-MDM's perceptual loss: differences of VGG19's features at four sizes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import weights

LAYERS = (1, 6, 11, 20, 29)  # of torchvision's `features`: after relu1_1 … relu5_1
BLOCKS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,))  # channels
SCALES = (1.0, 0.5, 0.25, 0.125)
WEIGHT = 10.0
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
REMEDY = "use torchvision's VGG19 trained on ImageNet"


class PerceptualLoss(nn.Module):
    """Mean absolute differences of features, summed over layers and sizes.

    Args:
        vgg: file with the state dict of torchvision's VGG19; None for random weights, to be filled.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, vgg: Path | None = None) -> None:
        super().__init__()
        self.features = _features().requires_grad_(False)
        if vgg is not None:
            values, own = weights.read(vgg, REMEDY), self.features.state_dict()
            named = {name.removeprefix("features."): value for name, value in values.items()}
            weights.fill(self.features, {name: named[name] for name in own if name in named}, vgg, REMEDY)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, image: Tensor, real: Tensor) -> Tensor:
        """The loss [] of images [B, 3, H, W] in ±1."""
        return WEIGHT * self.terms(image, real).sum()

    def terms(self, image: Tensor, real: Tensor) -> Tensor:
        """The differences [sizes, layers]."""
        rows = []
        for scale in SCALES:
            made, true = self._seen(smaller(image, scale)), self._seen(smaller(real, scale))
            rows.append(torch.stack([(a - b).abs().mean() for a, b in zip(made, true, strict=True)]))
        return torch.stack(rows)

    def _seen(self, image: Tensor) -> list[Tensor]:
        x, result = ((image.clamp(-1, 1) + 1) / 2 - self.mean) / self.deviation, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in LAYERS:
                result.append(x)
        return result


def _features() -> nn.Sequential:
    """VGG19's convolutions up to relu5_1, numbered as torchvision does."""
    layers, channels = [], 3
    for block in BLOCKS:
        for out in block:
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[: LAYERS[-1] + 1])


def smaller(image: Tensor, scale: float) -> Tensor:
    """An image [B, C, H, W] at a scale of 1/n: blurred, with zeros around it, then every nth pixel."""
    if scale == 1:
        return image
    sigma = (1 / scale - 1) / 2
    reach = round(4 * sigma)
    line = torch.exp(-((torch.arange(-reach, reach + 1, device=image.device) / sigma) ** 2) / 2).to(image)
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, -1, -1)
    return F.conv2d(image, kernel, padding=reach, stride=round(1 / scale), groups=image.shape[1])
