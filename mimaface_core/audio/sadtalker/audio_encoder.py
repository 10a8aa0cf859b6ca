"""SadTalker's audio encoder, which is Wav2Lip's: features of 0.2 s of speech."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

WINDOW_MELS = 16  # mel frames (80 a second) of a video frame's audio window
AUDIO_FEATURES = 512  # numbers that the encoder makes of a window

_Stride = int | tuple[int, int]


class Convolution(nn.Module):
    """Convolution, batch norm and ReLU; if channels in and out are equal, the input is added before the ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int = 3, stride: _Stride = 1, padding: int = 1
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding), nn.BatchNorm2d(channels_out)
        )
        self.residual = channels_in == channels_out and kernel == 3

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C', H', W']."""
        y = self.conv_block(x)
        return F.relu(y + x if self.residual else y)


def audio_encoder() -> nn.Sequential:
    """Wav2Lip's stack 1→32→64→128→256→512: mel windows [N, 1, 80, 16] → [N, 512, 1, 1]."""
    stages: list[tuple[int, int, _Stride, int]] = [
        (1, 32, 1, 2),
        (32, 64, (3, 1), 2),
        (64, 128, 3, 2),
        (128, 256, (3, 2), 1),
    ]
    layers: list[nn.Module] = []
    for before, after, stride, more in stages:
        layers += [Convolution(before, after, stride=stride), *(Convolution(after, after) for _ in range(more))]
    return nn.Sequential(
        *layers,
        Convolution(256, AUDIO_FEATURES, padding=0),
        Convolution(AUDIO_FEATURES, AUDIO_FEATURES, 1, padding=0),
    )
