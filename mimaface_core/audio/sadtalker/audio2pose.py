"""SadTalker's PoseVAE (Zhang et al., CVPR 2023), under the keys of its released weights: speech to head movement.

It draws movement in windows of 32 frames. What its training alone needs (the VAE's encoder, the critic) is here without
a forward pass, so that a released file fits key by key.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..checks import STYLES, check_style
from .audio_encoder import AUDIO_FEATURES, audio_encoder

POSE = 6  # numbers: three angles in radians, three of translation
LATENT = 64  # numbers of the VAE's latent
POSE_WINDOW = 32  # frames that the decoder draws together
_SPEECH_FEATURES = 6  # numbers of a frame's speech that the decoder takes in
_DECODED_WINDOWS = 64  # windows decoded at a time


class AudioEncoder(nn.Module):
    """The audio encoder one level deeper, as the pose file has it."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder()

    def forward(self, mel: Tensor) -> Tensor:
        """Features [N, 512] of windows [N, 1, 80, 16]."""
        return self.audio_encoder(mel).flatten(1)


class Residual(nn.Module):
    """Two pre-activated 3 × 3 convolutions beside one that skips them; stride over time only."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, (stride, 1), 1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )
        self.conv_skip = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, (stride, 1), 1), nn.BatchNorm2d(channels_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, frames, 6] → [B, C', frames / stride, 6]."""
        return self.conv_block(x) + self.conv_skip(x)


class Upsample(nn.Module):
    """Double the number of frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), (2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, frames, 6] → [B, C, 2·frames, 6]."""
        return self.upsample(x)


class PoseUNet(nn.Module):
    """Residual U-Net over a window of poses as a one-channel image [B, 1, 32, 6] → the same shape, within 0–1."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = 32, 64, 128, 256
        self.input_layer = nn.Sequential(
            nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, a, 3, padding=1)
        )
        self.input_skip = nn.Sequential(nn.Conv2d(1, a, 3, padding=1))
        self.residual_conv_1 = Residual(a, b, 2)
        self.residual_conv_2 = Residual(b, c, 2)
        self.bridge = Residual(c, d, 2)
        self.upsample_1, self.up_residual_conv1 = Upsample(d), Residual(d + c, c)
        self.upsample_2, self.up_residual_conv2 = Upsample(c), Residual(c + b, b)
        self.upsample_3, self.up_residual_conv3 = Upsample(b), Residual(b + a, a)
        self.output_layer = nn.Sequential(nn.Conv2d(a, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[B, 1, 32, 6] → [B, 1, 32, 6]."""
        full = self.input_layer(x) + self.input_skip(x)
        half = self.residual_conv_1(full)
        quarter = self.residual_conv_2(half)
        x = self.up_residual_conv1(torch.cat([self.upsample_1(self.bridge(quarter)), quarter], 1))
        x = self.up_residual_conv2(torch.cat([self.upsample_2(x), half], 1))
        x = self.up_residual_conv3(torch.cat([self.upsample_3(x), full], 1))
        return self.output_layer(x)


def _mlp(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    mlp = nn.Sequential()
    for name, layer in layers:
        mlp.add_module(name, layer)
    return mlp


class PoseEncoder(nn.Module):
    """The VAE's encoder, which only training runs; kept so that the released file fits."""

    def __init__(self) -> None:
        super().__init__()
        self.resunet = PoseUNet()
        self.MLP = _mlp(
            ("L0", nn.Linear(POSE_WINDOW * POSE + LATENT + POSE_WINDOW * _SPEECH_FEATURES + POSE, 128)),
            ("A0", nn.ReLU()),
        )
        self.linear_means, self.linear_logvar = nn.Linear(128, LATENT), nn.Linear(128, LATENT)
        self.linear_audio = nn.Linear(AUDIO_FEATURES, _SPEECH_FEATURES)
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))


class PoseDecoder(nn.Module):
    """The VAE's decoder: a latent, a style, a first pose and 32 frames of speech → the head's movement meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.resunet = PoseUNet()
        self.MLP = _mlp(
            ("L0", nn.Linear(POSE + LATENT + POSE_WINDOW * _SPEECH_FEATURES, 128)),
            ("A0", nn.ReLU()),
            ("L1", nn.Linear(128, POSE_WINDOW * POSE)),
            ("sigmoid", nn.Sigmoid()),
        )
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(AUDIO_FEATURES, _SPEECH_FEATURES)
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))

    def forward(self, speech: Tensor, reference: Tensor, style: int, latent: Tensor) -> Tensor:
        """Changes [B, 32, 6] from the first pose.

        Args:
            speech: features [B, 32, 6].
            reference: the first pose [1, 6].
            style: pose class.
            latent: [B, 64].
        """
        B = len(speech)
        x = torch.cat([reference.expand(B, -1), latent + self.classbias[style], speech.flatten(1)], 1)
        rough = self.MLP(x).view(B, 1, POSE_WINDOW, POSE)
        return self.pose_linear(self.resunet(rough).squeeze(1))


class PoseVAE(nn.Module):
    """Encoder and decoder, as the released file groups them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = PoseEncoder(), PoseDecoder()


class _Strided(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, bias=False)
        self.norm = nn.BatchNorm1d(channels_out)


class PoseCritic(nn.Module):
    """The critic of pose sequences, which only training runs; kept so that the released file fits."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(POSE, 256, 4), (256, 512, 4), (512, 1024, 3)]
        self.seq = nn.Sequential(*(_Strided(*size) for size in sizes), nn.Conv1d(1024, 1, 3))


class Audio2Pose(nn.Module):
    """PoseVAE with its audio encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = AudioEncoder()
        self.netG = PoseVAE()
        self.netD_motion = PoseCritic()

    def speech_features(self, mel: Tensor) -> Tensor:
        """Features [N, 6] of windows [N, 1, 80, 16] for the decoder; frames do not depend on one another."""
        return self.netG.decoder.linear_audio(self.audio_encoder(mel))

    def move(self, speech: Tensor, reference: Tensor, style: int, latent: Callable[[int], Tensor]) -> Tensor:
        """Movement of the head away from its pose in frame 0.

        Frame 0 is the source; windows of 32 frames follow. The last frames, when they fill no window, are the end of
        a window over the last 32 frames; fewer frames than that are preceded by copies of the first of them.

        Args:
            speech: `speech_features` of all N frames, [N, 6].
            reference: pose of the source, [1, 6].
            style: pose class, 0–45.
            latent: number of the window, from 0 → z [1, 64], standard normal.

        Returns:
            Changes [N, 6], the first one 0.

        Raises:
            InputError: no such style.
        """
        check_style(style)
        windows, rest = _pose_windows(speech[1:])
        moved = [speech.new_zeros(1, POSE)]
        for first in range(0, len(windows), _DECODED_WINDOWS):
            batch = torch.stack(windows[first : first + _DECODED_WINDOWS])
            z = torch.cat([latent(first + k).to(batch) for k in range(len(batch))])
            moved += self.netG.decoder(batch, reference, style, z).unbind()
        if rest:
            moved[-1] = moved[-1][-rest:]
        return torch.cat(moved)

    def forward(self, mel: Tensor, reference: Tensor, style: int, latent: Callable[[int], Tensor]) -> Tensor:
        """Poses [N, 6] from the source's own `reference` [1, 6] on.

        Args:
            mel: windows [N, 1, 80, 16] of the frames.
            reference: as of `move`.
            style: likewise.
            latent: likewise.
        """
        return reference + self.move(self.speech_features(mel), reference, style, latent)


def _pose_windows(speech: Tensor) -> tuple[list[Tensor], int]:
    """Windows [32, 6] of the frames [N, 6] after the source's, and how many frames at the end of the last one count.

    The number is 0 where the last window is whole.
    """
    whole, rest = divmod(len(speech), POSE_WINDOW)
    windows = [speech[k * POSE_WINDOW : (k + 1) * POSE_WINDOW] for k in range(whole)]
    if rest:
        end = speech[-POSE_WINDOW:]
        windows.append(torch.cat([end[:1].expand(POSE_WINDOW - len(end), -1), end]))
    return windows, rest
