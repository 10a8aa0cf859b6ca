"""What a face looks like in an output: likeness to the driver's picture, sharpness, jumps where clips meet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host, weights
from ...errors import InputError
from ..scores import HIGHER, LOWER, ONE, Score, Weights, absent, measured

ALEXNET = Weights("alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth")
ALIGNED = "faces aligned by five landmarks to 256 pixels"
NEEDED = "install the extra: pip install 'mimaface[evaluate]'"
MOST = 100.0  # dB, of pictures that are alike to the bit
PSNR = f"torchmetrics, 8 bits; {ALIGNED}; frame 0, the source itself, left out"
SSIM = f"torchmetrics, Gaussian window of 11 pixels; {ALIGNED}; frame 0 left out"
LPIPS = f"torchmetrics, LPIPS 0.1 on AlexNet; {ALIGNED}; frame 0 left out"
SAME = "it compares pictures of one person: score a self-reenactment (same)"


class Likeness:
    """PSNR, SSIM and LPIPS of aligned faces; also PSNR over the still source, what doing nothing would score."""

    def __init__(self) -> None:
        self._lpips, self._where = _perceptual()
        self._psnr: list[float] = []
        self._still: list[float] = []
        self._ssim: list[float] = []
        self._far: list[float] = []

    def see(self, driver: np.ndarray, output: np.ndarray, source: np.ndarray) -> None:
        """Compare aligned faces uint8 [256, 256, 3]."""
        from torchmetrics.functional.image import (
            peak_signal_noise_ratio,
            structural_similarity_index_measure,
        )

        a, b, still = (torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255 for face in (driver, output, source))
        for kept, picture in ((self._psnr, b), (self._still, still)):
            kept.append(min(float(peak_signal_noise_ratio(picture, a, data_range=1.0)), MOST))
        self._ssim.append(float(structural_similarity_index_measure(b, a, data_range=1.0)))
        if self._lpips is not None:
            with torch.no_grad():
                device = host.current().device
                self._far.append(float(self._lpips((b * 2 - 1).to(device), (a * 2 - 1).to(device))))

    def scores(self) -> dict[str, Score]:
        """Means over the frames."""
        if not self._psnr:
            reason = "no later frame shows both faces"
            return {
                key: absent(key.upper(), how, reason) for key, how in (("psnr", PSNR), ("ssim", SSIM), ("lpips", LPIPS))
            }
        psnr, still = np.mean(self._psnr), np.mean(self._still)
        found = {
            "psnr": measured(psnr, "PSNR", "dB", HIGHER, PSNR),
            "psnr_above_still": measured(psnr - still, "PSNR above the still source", "dB", HIGHER, PSNR),
            "ssim": measured(np.mean(self._ssim), "SSIM", "", HIGHER, SSIM),
        }
        if self._lpips is None:
            return found | {"lpips": absent("LPIPS", LPIPS, self._where)}
        return found | {"lpips": measured(np.mean(self._far), "LPIPS", "", LOWER, LPIPS, self._where)}


def likeness_or_reason() -> tuple[Likeness | None, dict[str, Score]]:
    """What compares pictures; None, with the scores that are absent, where the library is."""
    try:
        import torchmetrics  # noqa: F401
    except ImportError:
        reason = f"torchmetrics is not installed; {NEEDED}"
        return None, {
            key: absent(key.upper(), how, reason) for key, how in (("psnr", PSNR), ("ssim", SSIM), ("lpips", LPIPS))
        }
    return Likeness(), {}


def _perceptual() -> tuple[torch.nn.Module | None, Path | str]:
    """LPIPS with AlexNet and where its weights are; None and the reason where they or torchvision are absent."""
    file = ALEXNET.find()
    if file is None:
        return None, ALEXNET.wanted
    try:
        import torchvision  # noqa: F401
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except (ImportError, RuntimeError):
        return None, f"torchvision is not installed, or not for this PyTorch; {NEEDED}"
    weights.read(file, ALEXNET.wanted)  # refuses what is damaged or would run code
    before = torch.hub.get_dir()
    try:
        torch.hub.set_dir(file.parents[1])
        metric = LearnedPerceptualImagePatchSimilarity(net_type="alex")
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{file} is no AlexNet of torchvision; {ALEXNET.wanted}.") from error
    finally:
        torch.hub.set_dir(before)
    return metric.net.to(host.current().device), file


class Sharpness:
    """Detail of the output's aligned face over the source's: variance of the Laplacian."""

    TITLE = "sharpness over the source's"
    ESTIMATOR = f"variance of the Laplacian (OpenCV), {ALIGNED}"

    def __init__(self, source: np.ndarray) -> None:
        self._source = _detail(source)
        self._output: list[float] = []

    def see(self, output: np.ndarray) -> None:
        """Look at an aligned face uint8 [256, 256, 3]."""
        self._output.append(_detail(output))

    def scores(self) -> dict[str, Score]:
        """Mean detail over the source's."""
        ratio = np.mean(self._output) / (self._source + 1e-6)
        return {"sharpness": measured(ratio, self.TITLE, "", ONE, self.ESTIMATOR)}


def _detail(face: np.ndarray) -> float:
    import cv2

    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


class Jumps:
    """How much more changes from frame to frame where a new clip begins than elsewhere.

    clip, overlap: frames of a clip, and how many of them an earlier clip has made.
    """

    TITLE = "boundary jump"

    def __init__(self, clip: int, overlap: int) -> None:
        if not 0 <= overlap < clip:
            raise InputError(f"Clips of {clip} frames cannot overlap by {overlap}; give fewer than the clip has.")
        self.clip, self.step = clip, clip - overlap
        self._before: Tensor | None = None
        self._changes: list[float] = []

    def see(self, picture: Tensor) -> None:
        """Look at the next frame, [H, W, 3] uint8."""
        levels = picture.float()
        if self._before is not None:
            self._changes.append(float((levels - self._before).abs().mean()))
        self._before = levels

    def scores(self) -> dict[str, Score]:
        """Mean change at the boundaries over the median change elsewhere."""
        how = f"mean absolute change of whole frames; clips of {self.clip} frames, a new one every {self.step}"
        frames = len(self._changes) + 1
        at = [i - 1 for i in range(self.clip, frames, self.step)]
        elsewhere = np.delete(self._changes, at)
        if not at or not len(elsewhere):
            reason = f"{frames} frames hold no boundary"
            return {"boundary_jump": absent(self.TITLE, how, reason)}
        jump = np.mean(np.array(self._changes)[at]) / (np.median(elsewhere) + 1e-6)
        return {"boundary_jump": measured(jump, self.TITLE, "", ONE, how)}
