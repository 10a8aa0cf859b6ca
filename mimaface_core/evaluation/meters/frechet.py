"""Fréchet distances between the sets of outputs and drivers: FID, FVD, and bundled stand-ins for both."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Mean and covariance of streamed features [N, D].

    Up to D features are held as they are, which is less than their sums; more are summed, so that memory depends on D
    only.

    Args:
        held: what `arrays` of another one gave.
    """

    def __init__(self, held: Mapping[str, np.ndarray] | None = None) -> None:
        held = held or {}
        self.count = int(held.get("count", 0))
        self._rows = [held["rows"]] if "rows" in held else []
        self._sum, self._squares = held.get("sum", np.zeros(())), held.get("squares", np.zeros(()))

    def add(self, features: Tensor) -> None:
        """Add features [N, D]."""
        values = features.detach().cpu().numpy()
        self.count += len(values)
        self._rows.append(values)
        if sum(map(len, self._rows)) > values.shape[1]:
            self._sum, self._squares = self._sums()
            self._rows = []

    def merge(self, other: Gaussian) -> None:
        """Add the features of another one."""
        self.count += other.count
        (own_sum, own_squares), (other_sum, other_squares) = self._sums(), other._sums()
        self._sum, self._squares, self._rows = own_sum + other_sum, own_squares + other_squares, []

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that it holds, by name."""
        held = {"count": np.array(self.count), "sum": self._sum, "squares": self._squares}
        return {**held, "rows": np.concatenate(self._rows)} if self._rows else held

    @property
    def mean(self) -> np.ndarray:
        """Mean [D]."""
        return self._sums()[0] / self.count

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance [D, D]; needs two features."""
        total, squares = self._sums()
        return (squares - np.outer(total, total) / self.count) / (self.count - 1)

    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        """The sums [D] of features and [D, D] of their products."""
        if not self._rows:
            return self._sum, self._squares
        rows = np.concatenate(self._rows).astype(np.float64)
        return self._sum + rows.sum(0), self._squares + rows.T @ rows


Statistics = dict[str, tuple[Gaussian, Gaussian]]  # of drivers and outputs, by score


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

    A pair is measured by `start_pair`, `update` and `take`; what `take` gave is added to the set by `add`.

    Args:
        encoder: the bundled pack's appearance encoder for the stand-ins; None leaves them out.

    Raises:
        InputError: a file of weights is damaged.
    """

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder
        self._fid, self._i3d = _load_fid(), _load_i3d()
        self._set, self._pair = _nothing(), _nothing()
        self._matrices: tuple[Tensor, Tensor] | None = None
        self._window: list[tuple[Tensor, Tensor]] = []  # crops of driver and output

    def start_pair(self) -> None:
        """Begin other videos."""
        self._pair, self._matrices, self._window = _nothing(), None, []

    def take(self) -> Statistics:
        """What was measured of the pair; the frames of an unfinished window count for FID only."""
        if self._window:
            self._add_faces()
            self._window = []
        return self._pair

    def add(self, pair: Statistics) -> None:
        """Add a pair to the set."""
        for key, sides in pair.items():
            for whole, part in zip(self._set[key], sides, strict=True):
                whole.merge(part)

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
        for side, crops in enumerate(self._crops()):
            if isinstance(self._fid, Loaded):
                faces = to_uint8((crops + 1) / 2).to(host.current().device)
                self._pair["fid"][side].add(self._fid.net.inception(faces))
            if self._encoder is not None:
                self._pair["fid_like_bundled"][side].add(self._encoder(crops)[:, 1:].mean(1))

    @torch.no_grad()
    def _add_window(self) -> None:
        """Add the window to FVD and its stand-in."""
        for side, crops in enumerate(self._crops()):
            if isinstance(self._i3d, Loaded):
                window = rearrange((crops + 1) * 127.5, "t c h w -> 1 c t h w").to(host.current().device)
                features = self._i3d.net(window, rescale=True, resize=True, return_features=True)
                self._pair["fvd"][side].add(features)
            if self._encoder is not None:
                tokens = self._encoder(crops)[:, 1:].mean(1)
                features = torch.cat([tokens.mean(0), tokens.diff(dim=0).abs().mean(0)])
                self._pair["fvd_like_bundled"][side].add(features[None])

    def scores(self) -> dict[str, Score]:
        """FID and FVD of the set, or the reason why one is absent, and the stand-ins under their own names."""
        scores = {"fid": self._fid_score(), "fvd": self._fvd_score()}
        if self._encoder is not None:
            for key, estimator in (("fid_like_bundled", FID_LIKE), ("fvd_like_bundled", FVD_LIKE)):
                scores[key] = self._gaussian_score(key, estimator, "bundled pack")
        return scores

    def _fid_score(self) -> Score:
        if isinstance(self._fid, Missing):
            return absent(TITLES["fid"], FID, self._fid.reason)
        return self._gaussian_score("fid", FID, str(self._fid.weights))

    def _fvd_score(self) -> Score:
        if isinstance(self._i3d, Missing):
            return absent(TITLES["fvd"], FVD, self._i3d.reason)
        return self._gaussian_score("fvd", FVD, str(self._i3d.weights))

    def _gaussian_score(self, key: str, estimator: str, weights_name: str) -> Score:
        drivers, outputs = self._set[key]
        if outputs.count < MIN_SAMPLES:
            return absent(TITLES[key], estimator, _too_few(outputs.count))
        estimator = f"{estimator}; {outputs.count} samples of the outputs against as many of the drivers"
        return measured(frechet_distance(drivers, outputs), TITLES[key], "", LOWER, estimator, weights_name)


def _nothing() -> Statistics:
    return {key: (Gaussian(), Gaussian()) for key in TITLES}


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
