"""Fréchet distances between the sets of outputs and drivers: FID, FVD, and bundled stand-ins for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ... import host, weights
from ...errors import InputError
from ...tensors import to_uint8
from ..scores import INSTALL_EXTRA, LOWER, Loaded, Missing, Score, WeightsFile, absent, measured
from .crops import TrackedFrame, framed_face, framing, to_signed
from .identity import Encoder

if TYPE_CHECKING:
    from torchmetrics.image.fid import FrechetInceptionDistance

INCEPTION = WeightsFile(
    "weights-inception-2015-12-05-6726825d.pth", "https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
)
I3D = WeightsFile("i3d_torchscript.pt", "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt")
WINDOW = 16  # frames of one FVD sample, as in StyleGAN-V's fvd2048_16f
MIN_SAMPLES = 2  # of a covariance
FID = "torchmetrics, Inception v3 (torch-fidelity), pool 3"
FVD = "I3D (Kinetics 400, StyleGAN-V's TorchScript), logits, windows of 16 frames, stride 16"
FID_LIKE = "mean patch token of the bundled appearance encoder (bundled; not comparable with FID)"
FVD_LIKE = (
    "mean and mean change of the bundled appearance encoder's tokens over windows of 16 frames, stride 16 "
    "(bundled; not comparable with FVD)"
)
TITLES = {
    "fid": "FID", "fvd": "FVD", "fid_like_bundled": "FID-like (bundled encoder)",
    "fvd_like_bundled": "FVD-like (bundled encoder)",
}  # fmt: skip


class Gaussian:
    """Mean and covariance of streamed features; memory depends on their width D only."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._squares = np.zeros(())

    def add(self, features: Tensor) -> None:
        """Add features [N, D]."""
        values = features.detach().cpu().double().numpy()
        self.count += len(values)
        self._sum = self._sum + values.sum(0)
        self._squares = self._squares + values.T @ values

    @property
    def mean(self) -> np.ndarray:
        """Mean [D]."""
        return self._sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance [D, D]; needs two features."""
        return (self._squares - self.count * np.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|μₐ − μᵦ|² + tr(Σₐ + Σᵦ − 2 (Σₐ Σᵦ)^½) (Dowson & Landau 1982), also of singular covariances.

    Ours, as torchmetrics offers it only as part of FID, on the features of its own Inception.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0)).sum()
    between_means = ((a.mean - b.mean) ** 2).sum()
    return max(0.0, float(between_means + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross))


class FrechetMeter:
    """FID and FVD of all outputs against all drivers, on face crops of 224 pixels that stay fixed in a video.

    Args:
        encoder: the bundled pack's appearance encoder for the stand-ins; None leaves them out.

    Raises:
        InputError: a file of weights is damaged.
    """

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder
        self._fid, self._i3d = _load_fid(), _load_i3d()
        # Statistics of drivers and outputs. FID's are torchmetrics' own.
        self._gaussians = {key: (Gaussian(), Gaussian()) for key in TITLES if key != "fid"}
        self._frames = 0
        self._matrices: tuple[Tensor, Tensor] | None = None
        self._window: list[tuple[Tensor, Tensor]] = []  # crops of driver and output

    def start_pair(self) -> None:
        """Begin other videos; the frames of an unfinished window count for FID only."""
        if self._window:
            self._add_faces()
        self._matrices, self._window = None, []

    def update(self, driver: TrackedFrame, output: TrackedFrame) -> None:
        """Add the frames of one instant; ignored until both show a face for the first time."""
        if self._matrices is None:
            if driver.landmarks is None or output.landmarks is None:
                return
            self._matrices = framing(driver.landmarks), framing(output.landmarks)
        driver_matrix, output_matrix = self._matrices
        self._window.append((
            framed_face(to_signed(driver.image), driver_matrix), framed_face(to_signed(output.image), output_matrix),
        ))  # fmt: skip
        self._frames += 1
        if len(self._window) == WINDOW:
            self._add_faces()
            self._add_window()
            self._window = []

    def _crops(self) -> tuple[Tensor, Tensor]:
        """Crops [T, 3, 224, 224] in ±1 of the window's drivers and outputs."""
        drivers, outputs = zip(*self._window, strict=True)
        return torch.stack(drivers), torch.stack(outputs)

    @torch.no_grad()
    def _add_faces(self) -> None:
        """Add the window's frames to FID and its stand-in."""
        for real, crops, gaussian in zip(
            (True, False), self._crops(), self._gaussians["fid_like_bundled"], strict=True
        ):
            if isinstance(self._fid, Loaded):
                self._fid.net.update(to_uint8((crops + 1) / 2).to(host.current().device), real=real)
            if self._encoder is not None:
                gaussian.add(self._encoder(crops)[:, 1:].mean(1))

    @torch.no_grad()
    def _add_window(self) -> None:
        """Add the window to FVD and its stand-in."""
        for side, crops in enumerate(self._crops()):
            if isinstance(self._i3d, Loaded):
                window = rearrange((crops + 1) * 127.5, "t c h w -> 1 c t h w").to(host.current().device)
                features = self._i3d.net(window, rescale=True, resize=True, return_features=True)
                self._gaussians["fvd"][side].add(features)
            if self._encoder is not None:
                tokens = self._encoder(crops)[:, 1:].mean(1)
                features = torch.cat([tokens.mean(0), tokens.diff(dim=0).abs().mean(0)])
                self._gaussians["fvd_like_bundled"][side].add(features[None])

    def scores(self) -> dict[str, Score]:
        """FID and FVD, or the reason why one is absent, and the stand-ins under their own names."""
        self.start_pair()
        scores = {"fid": self._fid_score(), "fvd": self._fvd_score()}
        if self._encoder is not None:
            for key, estimator in (("fid_like_bundled", FID_LIKE), ("fvd_like_bundled", FVD_LIKE)):
                scores[key] = self._gaussian_score(key, estimator, "bundled pack")
        return scores

    def _fid_score(self) -> Score:
        if isinstance(self._fid, Missing):
            return absent(TITLES["fid"], FID, self._fid.reason)
        if self._frames < MIN_SAMPLES:
            return absent(TITLES["fid"], FID, _too_few(self._frames))
        estimator = f"{FID}; {self._frames} face crops of the outputs against as many of the drivers"
        return measured(self._fid.net.compute(), TITLES["fid"], "", LOWER, estimator, self._fid.weights)

    def _fvd_score(self) -> Score:
        if isinstance(self._i3d, Missing):
            return absent(TITLES["fvd"], FVD, self._i3d.reason)
        return self._gaussian_score("fvd", FVD, str(self._i3d.weights))

    def _gaussian_score(self, key: str, estimator: str, weights_name: str) -> Score:
        drivers, outputs = self._gaussians[key]
        if outputs.count < MIN_SAMPLES:
            return absent(TITLES[key], estimator, _too_few(outputs.count))
        estimator = f"{estimator}; {outputs.count} samples of the outputs against as many of the drivers"
        return measured(frechet_distance(drivers, outputs), TITLES[key], "", LOWER, estimator, weights_name)


def _too_few(count: int) -> str:
    return f"{count} samples are too few for a covariance; score longer or more clips"


def _load_fid() -> Loaded[FrechetInceptionDistance] | Missing:
    """FID of torchmetrics; missing where its weights or the libraries are absent."""
    file = INCEPTION.find()
    if file is None:
        return Missing(INCEPTION.remedy)
    weights.read(file, INCEPTION.remedy)  # refuses a file that is damaged or would run code
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        metric = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(file))
    except ImportError:
        return Missing(f"torchmetrics or torch-fidelity is not installed; {INSTALL_EXTRA}")
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{file} is no Inception of torch-fidelity; {INCEPTION.remedy}.") from error
    return Loaded(metric.to(host.current().device), file)


def _load_i3d() -> Loaded[torch.nn.Module] | Missing:
    """The TorchScript I3D; missing where it is absent."""
    file = I3D.find()
    if file is None:
        return Missing(I3D.remedy)
    try:
        return Loaded(torch.jit.load(str(file), map_location=host.current().device).eval(), file)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TorchScript; {I3D.remedy}.") from error
