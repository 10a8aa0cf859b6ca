"""Image meters: PSNR, SSIM and LPIPS to the driver, sharpness, jumps at clip boundaries."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ... import host, weights
from ...errors import InputError
from ..scores import HIGHER, INSTALL_EXTRA, LOWER, ONE, Loaded, Missing, Score, WeightsFile, absent, measured

ALEXNET = WeightsFile("alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth")
MAX_PSNR = 100.0  # dB, of images that are equal bit for bit
ALIGNED = "faces aligned by five landmarks to 256 pixels"
PSNR = f"torchmetrics, 8 bits; {ALIGNED}; frame 0, the source itself, left out"
SSIM = f"torchmetrics, Gaussian window of 11 pixels; {ALIGNED}; frame 0 left out"
LPIPS = f"torchmetrics, LPIPS 0.1 on AlexNet; {ALIGNED}; frame 0 left out"
ESTIMATORS = {"psnr": PSNR, "ssim": SSIM, "lpips": LPIPS}
SAME_ONLY = "it compares pictures of one person: score a self-reenactment (same)"


class ReconstructionMeter:
    """PSNR, SSIM and LPIPS between aligned faces of output and driver in a self-reenactment.

    Also the PSNR above that of the still source, which an output without motion would score.

    Args:
        still: aligned face of the source, uint8 [256, 256, 3].
    """

    def __init__(self, still: np.ndarray) -> None:
        self._still = _unit_batch(still)
        self._lpips_net = _load_lpips()
        self._psnr: list[float] = []
        self._psnr_still: list[float] = []
        self._ssim: list[float] = []
        self._lpips: list[float] = []

    def update(self, driver: np.ndarray, output: np.ndarray) -> None:
        """Compare the aligned faces, uint8 [256, 256, 3], of one instant."""
        from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

        target, image = _unit_batch(driver), _unit_batch(output)
        for values, candidate in ((self._psnr, image), (self._psnr_still, self._still)):
            values.append(min(float(peak_signal_noise_ratio(candidate, target, data_range=1.0)), MAX_PSNR))
        ssim = structural_similarity_index_measure(image, target, data_range=1.0)
        assert isinstance(ssim, Tensor)  # a tuple only where the full image is asked for
        self._ssim.append(float(ssim))
        if isinstance(self._lpips_net, Loaded):
            device = host.current().device
            with torch.no_grad():
                distance = self._lpips_net.net((image * 2 - 1).to(device), (target * 2 - 1).to(device))
            self._lpips.append(float(distance))

    def scores(self) -> dict[str, Score]:
        """Means over the frames."""
        if not self._psnr:
            return absent_reconstruction("no later frame shows both faces")
        psnr, psnr_still = np.mean(self._psnr), np.mean(self._psnr_still)
        scores = {
            "psnr": measured(psnr, "PSNR", "dB", HIGHER, PSNR),
            "psnr_above_still": measured(psnr - psnr_still, "PSNR above the still source", "dB", HIGHER, PSNR),
            "ssim": measured(np.mean(self._ssim), "SSIM", "", HIGHER, SSIM),
        }
        if isinstance(self._lpips_net, Missing):
            return scores | {"lpips": absent("LPIPS", LPIPS, self._lpips_net.reason)}
        return scores | {"lpips": measured(np.mean(self._lpips), "LPIPS", "", LOWER, LPIPS, self._lpips_net.weights)}


def absent_reconstruction(reason: str) -> dict[str, Score]:
    """PSNR, SSIM and LPIPS as absent scores."""
    return {key: absent(key.upper(), estimator, reason) for key, estimator in ESTIMATORS.items()}


def missing_torchmetrics() -> str | None:
    """Reason why the reconstruction meter cannot run; None where torchmetrics is installed."""
    try:
        import torchmetrics  # noqa: F401
    except ImportError:
        return f"torchmetrics is not installed; {INSTALL_EXTRA}"
    return None


def _unit_batch(face: np.ndarray) -> Tensor:
    """Float [1, 3, H, W] in 0–1 of uint8 [H, W, 3]."""
    return rearrange(torch.from_numpy(face), "h w c -> 1 c h w").float() / 255


def _load_lpips() -> Loaded[torch.nn.Module] | Missing:
    """LPIPS on AlexNet; missing where its weights or torchvision are absent."""
    file = ALEXNET.find()
    if file is None:
        return Missing(ALEXNET.remedy)
    try:
        import torchvision  # noqa: F401
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except (ImportError, RuntimeError):
        return Missing(f"torchvision is not installed, or not for this PyTorch; {INSTALL_EXTRA}")
    weights.read(file, ALEXNET.remedy)  # refuses a file that is damaged or would run code
    hub = torch.hub.get_dir()
    try:
        torch.hub.set_dir(file.parents[1])
        metric = LearnedPerceptualImagePatchSimilarity(net_type="alex")
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{file} is no AlexNet of torchvision; {ALEXNET.remedy}.") from error
    finally:
        torch.hub.set_dir(hub)
    return Loaded(metric.net.to(host.current().device), file)


class SharpnessMeter:
    """Variance of the Laplacian of the output's aligned face, over the source's.

    Args:
        source: aligned face of the source, uint8 [256, 256, 3].
    """

    TITLE = "sharpness over the source's"
    ESTIMATOR = f"variance of the Laplacian (OpenCV), {ALIGNED}"

    def __init__(self, source: np.ndarray) -> None:
        self._source = _laplacian_variance(source)
        self._output: list[float] = []

    def update(self, output: np.ndarray) -> None:
        """Measure the next aligned face of the output, uint8 [256, 256, 3]."""
        self._output.append(_laplacian_variance(output))

    def scores(self) -> dict[str, Score]:
        """Mean ratio over the frames."""
        ratio = np.mean(self._output) / (self._source + 1e-6)
        return {"sharpness": measured(ratio, self.TITLE, "", ONE, self.ESTIMATOR)}


def _laplacian_variance(face: np.ndarray) -> float:
    import cv2

    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


class BoundaryJumpMeter:
    """Change between frames where a new clip begins, over the change elsewhere.

    Args:
        clip: frames of a clip.
        overlap: frames of a clip that the one before has drawn already.

    Raises:
        InputError: the overlap is negative or not smaller than the clip.
    """

    TITLE = "boundary jump"

    def __init__(self, clip: int, overlap: int) -> None:
        if not 0 <= overlap < clip:
            raise InputError(f"Clips of {clip} frames cannot overlap by {overlap}; give fewer than the clip has.")
        self.clip, self.stride = clip, clip - overlap
        self._previous: Tensor | None = None
        self._changes: list[float] = []

    def update(self, frame: np.ndarray) -> None:
        """Compare the next frame, uint8 [H, W, 3], with the one before."""
        levels = torch.from_numpy(frame).float()
        if self._previous is not None:
            self._changes.append(float((levels - self._previous).abs().mean()))
        self._previous = levels

    def scores(self) -> dict[str, Score]:
        """Mean change at the boundaries over the median change elsewhere."""
        estimator = f"mean absolute change of whole frames; clips of {self.clip} frames, a new one every {self.stride}"
        frames = len(self._changes) + 1
        boundaries = [i - 1 for i in range(self.clip, frames, self.stride)]
        elsewhere = np.delete(self._changes, boundaries)
        if not boundaries or not len(elsewhere):
            return {"boundary_jump": absent(self.TITLE, estimator, f"{frames} frames hold no boundary")}
        jump = np.mean(np.array(self._changes)[boundaries]) / (np.median(elsewhere) + 1e-6)
        return {"boundary_jump": measured(jump, self.TITLE, "", ONE, estimator)}
