"""Who the source is: CurricularFace's deep features, from the crop that the released weights expect."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..motion.alignment import aligned

SIDE = 112  # pixels of CurricularFace's input
FEATURES = 512 * 7 * 7
# Stages of IR-101: blocks and channels; the first block of each halves the picture.
STAGES = ((3, 64), (13, 128), (30, 256), (3, 512))
# The identity crop: a canvas of 512 pixels, shrunk to 256, of which rows 0–224 and columns 16–240 are kept.
CANVAS, SHRUNK = 512, 256
ROWS, COLUMNS = slice(0, 224), slice(16, 240)


class Residual(nn.Module):
    """A block of the improved residual network: normalise, convolve, PReLU, convolve, normalise.

    Args:
        channels: of the input.
        width: channels of the output.
        stride: 1, or 2 to halve the picture.
    """

    def __init__(self, channels: int, width: int, stride: int):
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
        """[N, C, H, W] → [N, width, H / stride, W / stride]."""
        if self.shortcut_layer is not None:
            return self.res_layer(x) + self.shortcut_layer(x)
        return self.res_layer(x) + x[:, :, :: self.stride, :: self.stride]


class CurricularFace(nn.Module):
    """IR-101 trained by CurricularFace (Huang et al. 2020), asked for its last feature map.

    Its keys are those of `CurricularFace_Backbone.pth`. `output_layer`, the recognition head, is here because
    the file holds it; the released model reads the features before it. Meant to run in evaluation mode.
    """

    def __init__(self):
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
        for blocks, width in STAGES:
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
            InputError: the pictures have another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, SIDE, SIDE):
            raise InputError(
                f"CurricularFace reads pictures of shape [N, 3, {SIDE}, {SIDE}], not {list(pixels.shape)}; "
                "cut them out by identity_crop."
            )
        return self.body(self.input_layer(pixels)).flatten(1)


def identity_crop(picture: Tensor, alignment: Tensor) -> Tensor:
    """Cut out the source as the released inference feeds it to CurricularFace.

    The matrix leads to a picture of 256 pixels, but the canvas it is drawn on has 512 and is then shrunk: the
    face lands small in the upper left corner and partly outside of what is kept. The released weights were
    trained on that, so it is repeated to the pixel.

    Args:
        picture: [N, 3, H, W] in ±1.
        alignment: [N, 2, 3] from picture pixels to those of the 256-pixel alignment, both counted so that a
            pixel's centre has whole coordinates (as OpenCV does).

    Returns:
        [N, 3, 112, 112] in ±1, 0 outside of the picture.

    Raises:
        InputError: the shapes do not fit, or a matrix cannot be inverted.
    """
    shrunk = F.interpolate(aligned(picture, alignment, CANVAS), (SHRUNK, SHRUNK), mode="bilinear")
    return F.interpolate(shrunk[:, :, ROWS, COLUMNS], (SIDE, SIDE), mode="bilinear")
