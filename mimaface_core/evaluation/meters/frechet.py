"""Fréchet distances between what outputs and drivers look like as a whole: FID, FVD, and stand-ins for both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host, weights
from ...errors import InputError
from ..scores import LOWER, Score, Weights, absent, measured
from .crops import framed_face, framing, signed
from .identity import Encoder
from .images import NEEDED

INCEPTION = Weights(
    "weights-inception-2015-12-05-6726825d.pth", "https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
)
I3D = Weights("i3d_torchscript.pt", "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt")
WINDOW = 16  # frames of a clip, fvd2048_16f's
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
FEWEST = 2  # samples of a covariance


class Gaussian:
    """Mean and covariance of features that come bit by bit; memory depends on their width D only."""

    def __init__(self) -> None:
        self.count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, features: Tensor) -> None:
        """More features, [N, D]."""
        values = features.detach().cpu().double().numpy()
        self.count += len(values)
        self._sum = self._sum + values.sum(0)
        self._squares = self._squares + values.T @ values

    @property
    def mean(self) -> np.ndarray:
        """[D]."""
        return self._sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        """[D, D], unbiased; at least two features are needed."""
        return (self._squares - self.count * np.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|μₐ − μᵦ|² + tr(Σₐ + Σᵦ − 2 (Σₐ Σᵦ)^½) (Dowson & Landau 1982); also of singular covariances."""
    values, vectors = np.linalg.eigh(a.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0)).sum()
    apart = ((a.mean - b.mean) ** 2).sum()
    return max(0.0, float(apart + np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross))


class Sets:
    """All outputs of an evaluation against all drivers, face crops of 224 pixels that stay put in a clip.

    encoder: the bundled pack's appearance encoder for the stand-ins; None leaves them out.
    """

    def __init__(self, encoder: Encoder | None) -> None:
        self._encoder = encoder
        self._fid, self._fid_where = _inception()
        self._i3d, self._fvd_where = _load_i3d()
        self._pairs = {key: (Gaussian(), Gaussian()) for key in TITLES if key != "fid"}
        self._frames = 0
        self.start_pair()

    def start_pair(self) -> None:
        """What follows are other clips; frames that filled no window enter FID alone."""
        if self._frames and self._left[0]:
            self._faces()
        self._matrices: tuple[Tensor, Tensor] | None = None
        self._left: tuple[list[Tensor], list[Tensor]] = ([], [])

    def see(self, driver: tuple[Tensor, Tensor | None], output: tuple[Tensor, Tensor | None]) -> None:
        """Pictures uint8 [H, W, 3] of one instant with their landmarks; begins where both first show a face."""
        if self._matrices is None:
            if driver[1] is None or output[1] is None:
                return
            self._matrices = tuple(framing(points) for _, points in (driver, output))
        for left, (picture, _), matrix in zip(self._left, (driver, output), self._matrices):
            left.append(framed_face(signed(picture), matrix))
        self._frames += 1
        if len(self._left[0]) == WINDOW:
            self._faces()
            self._clips()
            self._left = ([], [])

    @torch.no_grad()
    def _faces(self) -> None:
        """FID's statistics and its stand-in's, of the frames at hand."""
        for real, left, gaussian in zip((True, False), self._left, self._pairs["fid_like_bundled"]):
            faces = torch.stack(left)
            if self._fid is not None:
                self._fid.update(((faces + 1) * 127.5).round().byte().to(host.current().device), real=real)
            if self._encoder is not None:
                gaussian.add(self._encoder(faces)[:, 1:].mean(1))

    @torch.no_grad()
    def _clips(self) -> None:
        """FVD's statistics and its stand-in's, of one window."""
        for number, left in enumerate(self._left):
            faces = torch.stack(left)
            if self._i3d is not None:
                film = ((faces + 1) * 127.5).permute(1, 0, 2, 3)[None].to(host.current().device)
                self._pairs["fvd"][number].add(self._i3d(film, rescale=True, resize=True, return_features=True))
            if self._encoder is not None:
                tokens = self._encoder(faces)[:, 1:].mean(1)
                moved = torch.cat([tokens.mean(0), tokens.diff(dim=0).abs().mean(0)])
                self._pairs["fvd_like_bundled"][number].add(moved[None])

    def scores(self) -> dict[str, Score]:
        """FID and FVD, or why they are absent, and the stand-ins under their own names."""
        self.start_pair()
        found = {
            "fid": self._fid_score(),
            "fvd": self._score("fvd", FVD, self._fvd_where if self._i3d is None else None, str(self._fvd_where)),
        }
        if self._encoder is not None:
            for key, how in (("fid_like_bundled", FID_LIKE), ("fvd_like_bundled", FVD_LIKE)):
                found[key] = self._score(key, how, None, "bundled pack")
        return found

    def _fid_score(self) -> Score:
        if self._fid is None:
            return absent(TITLES["fid"], FID, str(self._fid_where))
        if self._frames < FEWEST:
            return absent(TITLES["fid"], FID, _too_few(self._frames))
        how = f"{FID}; {self._frames} face crops of the outputs against as many of the drivers"
        return measured(float(self._fid.compute()), TITLES["fid"], "", LOWER, how, self._fid_where)

    def _score(self, key: str, how: str, reason: Path | str | None, where: str) -> Score:
        drivers, outputs = self._pairs[key]
        if reason is not None:
            return absent(TITLES[key], how, str(reason))
        if outputs.count < FEWEST:
            return absent(TITLES[key], how, _too_few(outputs.count))
        how = f"{how}; {outputs.count} samples of the outputs against as many of the drivers"
        return measured(frechet_distance(drivers, outputs), TITLES[key], "", LOWER, how, where)


def _too_few(count: int) -> str:
    return f"{count} samples are too few for a covariance; score longer or more clips"


def _inception():
    """torchmetrics' FID and where its weights are; None and the reason where they or the libraries are absent."""
    file = INCEPTION.find()
    if file is None:
        return None, INCEPTION.wanted
    weights.read(file, INCEPTION.wanted)  # refuses what is damaged or would run code
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        metric = FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(file))
    except ImportError:
        return None, f"torchmetrics or torch-fidelity is not installed; {NEEDED}"
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{file} is no Inception of torch-fidelity; {INCEPTION.wanted}.") from error
    return metric.to(host.current().device), file


def _load_i3d():
    """The TorchScript I3D and where it is; None and the reason where it is absent."""
    file = I3D.find()
    if file is None:
        return None, I3D.wanted
    try:
        return torch.jit.load(str(file), map_location=host.current().device).eval(), file
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TorchScript; {I3D.wanted}.") from error
