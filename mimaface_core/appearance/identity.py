"""Identity features of the source: CurricularFace, and the crop that the released weights were trained on."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..motion.alignment import aligned

INPUT_SIZE = 112  # side of CurricularFace's input, pixels
FEATURES = 512 * 7 * 7
# Stages of IR-101: blocks and channels; the first block of each halves the image.
IR101_STAGES = ((3, 64), (13, 128), (30, 256), (3, 512))
# The identity crop: a canvas of 512 pixels, shrunk to 256, of which rows 0–224 and columns 16–240 are kept.
CANVAS, SHRUNK = 512, 256
ROWS, COLUMNS = slice(0, 224), slice(16, 240)


class Residual(nn.Module):
    """A block of the improved residual network: normalise, convolve, PReLU, convolve, normalise.

    Args:
        channels: of the input.
        width: channels of the output.
        stride: 1, or 2 to halve the image.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = None
        if channels != width:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, width, 3, 1, 1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features [N, C, H, W] → [N, width, H / stride, W / stride]."""
        if self.shortcut_layer is not None:
            return self.res_layer(x) + self.shortcut_layer(x)
        return self.res_layer(x) + x[:, :, :: self.stride, :: self.stride]


class CurricularFace(nn.Module):
    """IR-101 trained by CurricularFace (Huang et al. 2020), up to its last feature map.

    Its keys are those of `CurricularFace_Backbone.pth`. `output_layer`, the recognition head, is here because
    the file holds it; the released model uses the features before it. Meant to run in evaluation mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(FEATURES, 512),
            nn.BatchNorm1d(512, affine=False),
        )
        self.body = nn.Sequential()
        channels = 64
        for blocks, width in IR101_STAGES:
            for block in range(blocks):
                self.body.append(Residual(channels, width, 2 if block == 0 else 1))
                channels = width

    def forward(self, pixels: Tensor) -> Tensor:
        """Deep features.

        Args:
            pixels: [N, 3, 112, 112] in ±1, from `identity_crop`.

        Returns:
            [N, 25088], the feature map [N, 512, 7, 7] flattened; not normalised.

        Raises:
            ValueError: the images have another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, INPUT_SIZE, INPUT_SIZE):
            raise ValueError(f"CurricularFace reads [N, 3, 112, 112] from identity_crop, not {list(pixels.shape)}")
        return self.body(self.input_layer(pixels)).flatten(1)


def identity_crop(image: Tensor, alignment: Tensor) -> Tensor:
    """The source's crop for CurricularFace, as in the released inference.

    The matrix leads to an image of 256 pixels, but the canvas it is drawn on has 512 and is then shrunk: the
    face lands small in the upper left corner and partly outside the kept rows and columns. The released weights were
    trained on that, so it is repeated to the pixel.

    Args:
        image: [N, 3, H, W] in ±1.
        alignment: [N, 2, 3], image pixels to pixels of the 256-pixel alignment, with whole-number pixel centres on
            both sides.

    Returns:
        [N, 3, 112, 112] in ±1, 0 outside the image.

    Raises:
        ValueError: the shapes do not fit.
        InputError: a matrix cannot be inverted.
    """
    shrunk = F.interpolate(aligned(image, alignment, CANVAS), (SHRUNK, SHRUNK), mode="bilinear")
    return F.interpolate(shrunk[:, :, ROWS, COLUMNS], (INPUT_SIZE, INPUT_SIZE), mode="bilinear")
