"""Fréchet distances: the closed form, the released I3D's layout, the bundled stand-ins."""

import numpy as np
import pytest
import torch

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation.evaluate import Evaluation
from mimaface.mimaface_core.evaluation.meters import frechet, identity, images
from mimaface.mimaface_core.evaluation.meters.crops import TrackedFrame

pytestmark = pytest.mark.usefixtures("models")


def test_the_frechet_distance_equals_the_closed_form():
    rng = np.random.default_rng(0)
    a, b = frechet.Gaussian(), frechet.Gaussian()
    x = rng.normal(size=(500, 3)) * [1, 2, 3]
    y = rng.normal(size=(400, 3)) * [3, 2, 1] + [5, 0, 0]
    for part in np.array_split(x, 7):
        a.add(torch.from_numpy(part))
    b.add(torch.from_numpy(y))
    np.testing.assert_allclose(a.covariance, np.cov(x.T), rtol=1e-9)
    from scipy.linalg import sqrtm

    p, q = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(p + q - 2 * sqrtm(p @ q).real)
    assert frechet.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    few, more = frechet.Gaussian(), frechet.Gaussian()  # fewer samples than features
    few.add(torch.from_numpy(rng.normal(size=(4, 30))))
    more.add(torch.from_numpy(rng.normal(size=(5, 30)) + 3))
    assert frechet.frechet_distance(few, few) == pytest.approx(0, abs=1e-5)
    assert frechet.frechet_distance(few, more) > 100


class Colours(torch.nn.Module):
    """Stands in for Inception: the mean colour."""

    num_features = 3

    def forward(self, images):
        return images.float().mean((2, 3))


def test_fid_equals_that_of_torchmetrics(feed, models, monkeypatch):
    fid = pytest.importorskip("torchmetrics.image.fid")
    try:
        metric = fid.FrechetInceptionDistance(feature=Colours())
    except ModuleNotFoundError:
        pytest.skip("needs torch-fidelity")
    monkeypatch.setattr(frechet, "_load_fid", lambda: frechet.Loaded(metric, models / "inception.pth"))
    meter = frechet.FrechetMeter(None)
    whole = meter._add_faces

    def both():
        for real, crops in zip((True, False), meter._crops()):
            metric.update(((crops + 1) / 2 * 255).round().to(torch.uint8), real=real)
        whole()

    monkeypatch.setattr(meter, "_add_faces", both)
    feed(meter, 40)
    assert meter.scores()["fid"]["value"] == pytest.approx(float(metric.compute()), rel=1e-3)


class ToyI3D(torch.nn.Module):
    """Stands in for the released file, with its signature: colour and change of a window."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        change = (x[:, :, 1:] - x[:, :, :-1]).abs().mean(dim=[2, 3, 4])
        return torch.cat([x.mean(dim=[2, 3, 4]), change], dim=1)


@pytest.fixture
def feed(mesh, texture):
    """`feed(meter, shift)` adds 48 frames; the output's are brighter than the driver's by `shift`."""

    def go(meter, shift):
        for i in range(48):
            image = texture(i // 3)
            output = (image.astype(int) + shift).clip(0, 255).astype(np.uint8)
            meter.update(TrackedFrame(image, mesh[0]), TrackedFrame(output, mesh[0]))
        meter.add(meter.take())

    return go


def test_fvd_takes_windows_of_16_frames_from_the_released_file(feed, models):
    torch.jit.script(ToyI3D()).save(str(models / "i3d_torchscript.pt"))
    same, brighter = frechet.FrechetMeter(None), frechet.FrechetMeter(None)
    feed(same, 0)
    feed(brighter, 40)
    fvd = same.scores()["fvd"]
    assert fvd["value"] == pytest.approx(0, abs=1e-3) and "3 samples" in fvd["estimator"]
    assert fvd["weights"].endswith("i3d_torchscript.pt")
    assert brighter.scores()["fvd"]["value"] > 1000
    faceless = frechet.FrechetMeter(None)
    faceless.update(*[TrackedFrame(np.zeros((256, 256, 3), np.uint8), None)] * 2)
    assert "0 samples are too few" in faceless.scores()["fvd"]["reason"]
    (models / "i3d_torchscript.pt").write_bytes(b"no network")
    with pytest.raises(InputError, match="cannot be read as TorchScript"):
        frechet.FrechetMeter(None)


def test_stand_ins_have_names_of_their_own(feed):
    def encoder(crops):
        tokens = torch.nn.functional.adaptive_avg_pool2d(crops, 2).flatten(2)
        return torch.cat([tokens.mean(2, keepdim=True), tokens], 2).transpose(1, 2)

    meter = frechet.FrechetMeter(encoder)
    feed(meter, 40)
    scores = meter.scores()
    for key in ("fid", "fvd"):
        assert scores[key]["value"] is None and "evaluation/checkpoints" in scores[key]["reason"]
        stand_in = scores[f"{key}_like_bundled"]
        assert stand_in["value"] > 0 and "bundled" in stand_in["title"] and "not comparable" in stand_in["estimator"]


def test_damaged_weights_are_refused_before_anything_is_scored(models):
    for weights in (identity.CURRICULAR, frechet.INCEPTION, images.ALEXNET):
        (models / weights.name).write_bytes(b"cut short")
    with pytest.raises(InputError, match="CurricularFace_Backbone.pth cannot be read"):
        Evaluation()
    (models / identity.CURRICULAR.name).unlink()
    with pytest.raises(InputError, match="inception.*cannot be read"):
        Evaluation()
