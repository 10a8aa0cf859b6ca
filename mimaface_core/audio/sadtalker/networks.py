"""SadTalker's audio networks, under the keys of its released weights: voice to expression, and voice to head pose.

After SadTalker (Zhang et al., CVPR 2023): ExpNet maps 0.2 s of voice to an expression; PoseVAE draws head movement in
windows of 32 frames. What its training alone needs (the VAE's encoder, the critic) is here without a forward pass, so
that a released file fits key by key.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError

MELS, SPAN = 80, 16  # bands and mel frames (80 a second) that one video frame hears
HEARD = 512  # numbers that the audio encoder makes of them
EXPRESSION, POSE = 64, 6  # pose: three angles in radians, three of translation
LATENT, STYLES, WINDOW = 64, 46, 32
VOICE = 6  # numbers of a frame's voice that the pose decoder takes in
BATCH = 64  # windows of pose decoded at a time


def check_style(style: int) -> None:
    """Raises InputError for a pose class that SadTalker does not know."""
    if not 0 <= style < STYLES:
        raise InputError(f"SadTalker knows the pose styles 0 to {STYLES - 1}, not {style}; choose one of them.")


class Convolution(nn.Module):
    """Convolution, batch norm and ReLU; with as many channels in as out, the input is added before the ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3, stride=1, padding: int = 1):
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding), nn.BatchNorm2d(channels_out)
        )
        self.residual = channels_in == channels_out and kernel == 3

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return F.relu(y + x if self.residual else y)


def audio_encoder() -> nn.Sequential:
    """Mel windows [N, 1, 80, 16] → [N, 512, 1, 1], by the stack 1→32→64→128→256→512 of Wav2Lip."""
    stages = [(1, 32, 1, 2), (32, 64, (3, 1), 2), (64, 128, 3, 2), (128, 256, (3, 2), 1)]
    layers: list[nn.Module] = []
    for before, after, stride, more in stages:
        layers += [Convolution(before, after, stride=stride), *(Convolution(after, after) for _ in range(more))]
    return nn.Sequential(*layers, Convolution(256, HEARD, padding=0), Convolution(HEARD, HEARD, 1, padding=0))


class Audio2Exp(nn.Module):
    """ExpNet: what a frame hears, whose face it is and how far the lids are shut → the frame's expression."""

    def __init__(self):
        super().__init__()
        self.audio_encoder = audio_encoder()
        self.mapping1 = nn.Linear(HEARD + EXPRESSION + 1, EXPRESSION)

    def forward(self, mel: Tensor, reference: Tensor, blink: Tensor) -> Tensor:
        """Expressions [N, 64] in BFM09's basis, absolute; each frame is by itself.

        mel: windows [N, 1, 80, 16]. reference: the source's expression, [1, 64] or [N, 64].
        blink: how far the lids are shut, 0–1, [N].
        """
        heard = self.audio_encoder(mel).flatten(1)
        return self.mapping1(torch.cat([heard, reference.expand(len(mel), -1), blink.reshape(-1, 1)], 1))

    @property
    def blink(self) -> Tensor:
        """What shutting the lids adds to any expression, [64]: the last layer is linear in `blink`."""
        return self.mapping1.weight[:, -1]


class AudioEncoder(nn.Module):
    """The audio encoder under one more name, as the pose file has it."""

    def __init__(self):
        super().__init__()
        self.audio_encoder = audio_encoder()

    def forward(self, mel: Tensor) -> Tensor:
        return self.audio_encoder(mel).flatten(1)


class Residual(nn.Module):
    """Two pre-activated 3 × 3 convolutions beside one that skips them; stride over time only."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1):
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
        return self.conv_block(x) + self.conv_skip(x)


class Longer(nn.Module):
    """Doubles the frames."""

    def __init__(self, channels: int):
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), (2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(x)


class PoseUNet(nn.Module):
    """Residual U-Net over a window of poses as a one-channel picture [B, 1, 32, 6] → the same shape, within 0–1."""

    def __init__(self):
        super().__init__()
        a, b, c, d = 32, 64, 128, 256
        self.input_layer = nn.Sequential(
            nn.Conv2d(1, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU(), nn.Conv2d(a, a, 3, padding=1)
        )
        self.input_skip = nn.Sequential(nn.Conv2d(1, a, 3, padding=1))
        self.residual_conv_1 = Residual(a, b, 2)
        self.residual_conv_2 = Residual(b, c, 2)
        self.bridge = Residual(c, d, 2)
        self.upsample_1, self.up_residual_conv1 = Longer(d), Residual(d + c, c)
        self.upsample_2, self.up_residual_conv2 = Longer(c), Residual(c + b, b)
        self.upsample_3, self.up_residual_conv3 = Longer(b), Residual(b + a, a)
        self.output_layer = nn.Sequential(nn.Conv2d(a, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
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

    def __init__(self):
        super().__init__()
        self.resunet = PoseUNet()
        self.MLP = _mlp(("L0", nn.Linear(WINDOW * POSE + LATENT + WINDOW * VOICE + POSE, 128)), ("A0", nn.ReLU()))
        self.linear_means, self.linear_logvar = nn.Linear(128, LATENT), nn.Linear(128, LATENT)
        self.linear_audio = nn.Linear(HEARD, VOICE)
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))


class PoseDecoder(nn.Module):
    """The VAE's decoder: a latent, a style, a first pose and 32 frames of voice → how the head moves meanwhile."""

    def __init__(self):
        super().__init__()
        self.resunet = PoseUNet()
        self.MLP = _mlp(
            ("L0", nn.Linear(POSE + LATENT + WINDOW * VOICE, 128)),
            ("A0", nn.ReLU()),
            ("L1", nn.Linear(128, WINDOW * POSE)),
            ("sigmoid", nn.Sigmoid()),
        )
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(HEARD, VOICE)
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))

    def forward(self, voice: Tensor, reference: Tensor, style: int, latent: Tensor) -> Tensor:
        """Deltas [B, 32, 6] from the first pose `reference` [1, 6], for voice [B, 32, 6] and latent [B, 64]."""
        B = len(voice)
        x = torch.cat([reference.expand(B, -1), latent + self.classbias[style], voice.flatten(1)], 1)
        rough = self.MLP(x).view(B, 1, WINDOW, POSE)
        return self.pose_linear(self.resunet(rough).squeeze(1))


class PoseVAE(nn.Module):
    """Encoder and decoder, as the released file groups them."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = PoseEncoder(), PoseDecoder()


class _Strided(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, bias=False)
        self.norm = nn.BatchNorm1d(channels_out)


class PoseCritic(nn.Module):
    """The critic of pose sequences, which only training runs; kept so that the released file fits."""

    def __init__(self):
        super().__init__()
        sizes = [(POSE, 256, 4), (256, 512, 4), (512, 1024, 3)]
        self.seq = nn.Sequential(*(_Strided(*size) for size in sizes), nn.Conv1d(1024, 1, 3))


class Audio2Pose(nn.Module):
    """PoseVAE with its audio encoder."""

    def __init__(self):
        super().__init__()
        self.audio_encoder = AudioEncoder()
        self.netG = PoseVAE()
        self.netD_motion = PoseCritic()

    def listen(self, mel: Tensor) -> Tensor:
        """What the decoder takes of each frame's voice, [N, 6], from windows [N, 1, 80, 16]; each frame by itself."""
        return self.netG.decoder.linear_audio(self.audio_encoder(mel))

    def move(self, voice: Tensor, reference: Tensor, style: int, latent: Callable[[int], Tensor]) -> Tensor:
        """How the head moves away from where it is in frame 0: deltas [N, 6], the first one 0.

        Frame 0 is the source; windows of 32 frames follow. The last frames, when they fill no window, are the end of
        a window over the last 32 frames; a voice shorter than that is led in by its own first frame.

        Args:
            voice: `listen` of all N frames, [N, 6].
            reference: pose of the source, [1, 6].
            style: pose class, 0–45.
            latent: number of the window, from 0 → z [1, 64], standard normal.

        Raises:
            InputError: no such style.
        """
        check_style(style)
        follows = voice[1:]
        whole, rest = divmod(len(follows), WINDOW)
        windows = [follows[k * WINDOW : (k + 1) * WINDOW] for k in range(whole)]
        if rest:
            end = follows[-WINDOW:]
            windows.append(torch.cat([end[:1].expand(WINDOW - len(end), -1), end]))
        moved = [voice.new_zeros(1, POSE)]
        for first in range(0, len(windows), BATCH):
            some = torch.stack(windows[first : first + BATCH])
            z = torch.cat([latent(first + k).to(some) for k in range(len(some))])
            moved += self.netG.decoder(some, reference, style, z).unbind()
        if rest:
            moved[-1] = moved[-1][-rest:]
        return torch.cat(moved)

    def forward(self, mel: Tensor, reference: Tensor, style: int, latent: Callable[[int], Tensor]) -> Tensor:
        """Poses [N, 6] of the frames that hear `mel` [N, 1, 80, 16], from the source's own `reference` [1, 6] on."""
        return reference + self.move(self.listen(mel), reference, style, latent)
