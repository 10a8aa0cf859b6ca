"""The measures of an evaluation, each on made faces and pictures whose scores are known."""

import importlib.util
import json
import math
import weakref
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from support.faces import landmarks, people

from mimaface.mimaface_core import host
from mimaface.mimaface_core.appearance import identity as curricular
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.evaluation import tracked
from mimaface.mimaface_core.evaluation.evaluate import Evaluation
from mimaface.mimaface_core.evaluation.footage import Footage
from mimaface.mimaface_core.evaluation.meters import frechet, identity, signals
from mimaface.mimaface_core.evaluation.meters import images as pictures
from mimaface.mimaface_core.evaluation.meters.crops import ALIGNED, PLACES, POINTS, aligned_face, recognition_face
from mimaface.mimaface_core.evaluation.meters.distances import distance_scores
from mimaface.mimaface_core.evaluation.pairs import Pair
from mimaface.mimaface_core.evaluation.tracked import Seen, moments
from mimaface.mimaface_core.motion.rotation import angles_of, rotation_of

MEASURE = Path(__file__).resolve().parents[3] / "shared" / "eval" / "measure.py"


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """A models folder without any weights, and a hub cache that is empty too."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    folder = tmp_path / "evaluation" / "checkpoints"
    folder.mkdir(parents=True)
    with host.use(host.Host(models=[tmp_path], device="cpu")):
        yield folder


@pytest.fixture(scope="module")
def mesh():
    """Landmarks [24, 478, 3] of one person in 24 poses, on a picture of 256 pixels."""
    return landmarks(*people(24))


def texture(seed=0, size=256):
    """A smooth coloured picture uint8 [size, size, 3]."""
    small = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (size, size), mode="bicubic").clamp(0, 1)
    return (large[0].permute(1, 2, 0) * 255).byte().numpy()


# --- signals


def told(points):
    return [signals.signals(p.numpy()) for p in points]


def test_an_output_that_does_as_its_driver_does_scores_one(mesh):
    smaller = 0.4 * mesh + torch.tensor([30.0, 50.0, 0.0])
    found = signals.follow_scores(told(mesh), told(smaller))
    assert found["motion"]["value"] == pytest.approx(1, abs=1e-3)
    assert found["gain"]["value"] == pytest.approx(1, abs=1e-3)
    assert all(signal["change_error"] < 1e-3 for signal in found["signals"].values())


def test_half_the_movement_is_half_the_gain_and_still_follows(mesh):
    whole = np.array(told(mesh))
    found = signals.follow_scores(whole, whole[0] + 0.5 * (whole - whole[0]))
    assert found["motion"]["value"] == 1 and found["gain"]["value"] == 0.5
    backwards = signals.follow_scores(whole, -whole)
    assert backwards["motion"]["value"] == -1


def test_only_what_the_driver_moves_counts(mesh):
    driver = np.repeat(np.array(told(mesh))[:1], 24, 0)
    driver[:, 3] += np.linspace(0, 0.2, 24)  # the mouth
    noise = np.random.default_rng(0).normal(size=driver.shape) * 0.01
    found = signals.follow_scores(driver, driver + noise)
    assert found["motion"]["value"] > 0.95
    assert [name for name, signal in found["signals"].items() if signal["counted"]] == ["mouth"]
    still = signals.follow_scores(driver[:1].repeat(24, 0), driver)
    assert still["motion"]["value"] is None and "does not move" in still["motion"]["reason"]
    few = signals.follow_scores(driver[:4], driver[:4])
    assert few["gain"]["value"] is None and "4 common frames" in few["gain"]["reason"]


@pytest.mark.skipif(not MEASURE.is_file(), reason="measure.py is not beside the checkout")
def test_signals_are_those_of_the_independent_measure(mesh):
    spec = importlib.util.spec_from_file_location("measure", MEASURE)
    measure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure)
    assert list(signals.FLOOR.items()) == list(measure.FLOOR.items())
    for points in mesh:
        expected = measure.signals(points.double().numpy(), None)
        np.testing.assert_allclose(signals.signals(points.double().numpy()), list(expected.values()), atol=1e-4)


# --- distances


def test_distances_are_in_degrees_millimetres_and_eye_widths():
    coefficients, gaze = people(10, expression=0.0)
    # another neutral pose, 7° from the driver's, and from there the same turns, as relative motion has it
    aside = rotation_of(torch.tensor([[0.0, 0.0, math.radians(7)]]))
    turned = coefficients.replace(angles=angles_of(aside @ rotation_of(coefficients.angles)))
    looking = gaze + torch.tensor([0.06, 0.0, 0.06, 0.0])
    shown = list(landmarks(coefficients, gaze))
    nothing = distance_scores(shown, shown)
    assert max(score["value"] for score in nothing.values()) < 1e-3
    found = distance_scores(shown, list(landmarks(turned, gaze)))
    assert found["pose_distance"]["value"] == pytest.approx(7, abs=0.6)
    assert found["pose_distance_change"]["value"] < 0.6
    gazes = distance_scores(shown, list(landmarks(coefficients, looking)))
    assert gazes["gaze_distance"]["value"] == pytest.approx(0.06, abs=0.01)
    assert gazes["gaze_distance_change"]["value"] < 0.01
    assert gazes["pose_distance"]["value"] < 0.5 and gazes["expression_distance"]["value"] < 0.5


def test_a_wider_mouth_is_farther_in_millimetres():
    coefficients, gaze = people(6, expression=0.0)
    shown = list(landmarks(coefficients, gaze))

    def opened(much):
        expression = torch.zeros(1, 64)
        expression[0, 0] = much
        return distance_scores(shown, list(landmarks(coefficients.replace(expression=expression), gaze)))

    little, much = (opened(amount)["expression_distance"]["value"] for amount in (0.3, 0.9))
    assert 0.1 < little < much / 2


# --- pictures


def test_an_aligned_face_has_its_points_in_their_places(mesh):
    picture = np.zeros((256, 256, 3), np.uint8)
    for number in POINTS:
        x, y = mesh[0, number, :2].round().int().tolist()
        picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    face = aligned_face(picture, mesh[0])
    for x, y in PLACES:
        at = slice(int(y * ALIGNED) - 9, int(y * ALIGNED) + 10), slice(int(x * ALIGNED) - 9, int(x * ALIGNED) + 10)
        assert face[at].max() > 100
    assert recognition_face(torch.zeros(3, 256, 256), mesh[0]).shape == (1, 3, 112, 112)


def test_likeness_is_the_textbooks():
    pytest.importorskip("torchmetrics")
    likeness, missing = pictures.likeness_or_reason()
    a, still = texture(0), texture(1)
    b = np.clip(a.astype(int) + np.random.default_rng(0).integers(-9, 10, a.shape), 0, 255).astype(np.uint8)
    likeness.see(a, b, still)
    found = likeness.scores()

    def psnr(x, y):
        return 10 * math.log10(255**2 / ((x.astype(float) - y) ** 2).mean())

    assert missing == {} and found["psnr"]["value"] == pytest.approx(psnr(a, b), abs=1e-2)
    assert found["psnr_above_still"]["value"] == pytest.approx(psnr(a, b) - psnr(a, still), abs=1e-2)
    assert 0.3 < found["ssim"]["value"] < 1
    same = pictures.likeness_or_reason()[0]
    same.see(a, a, still)
    assert same.scores()["psnr"]["value"] == 100 and same.scores()["ssim"]["value"] == pytest.approx(1)
    assert found["lpips"]["value"] is None and "alexnet-owt-7be5be79.pth" in found["lpips"]["reason"]
    json.loads(json.dumps(found, allow_nan=False))


def test_without_its_library_likeness_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchmetrics", None)
    likeness, missing = pictures.likeness_or_reason()
    assert likeness is None and set(missing) == {"psnr", "ssim", "lpips"}
    assert all("pip install 'mimaface[evaluate]'" in score["reason"] for score in missing.values())


def test_a_blurred_face_is_less_sharp():
    import cv2

    face = texture(3) // 2 + np.random.default_rng(0).integers(0, 99, (256, 256, 3), np.uint8)
    same, soft = pictures.Sharpness(face), pictures.Sharpness(face)
    same.see(face)
    soft.see(cv2.GaussianBlur(face, (0, 0), 6))
    assert same.scores()["sharpness"]["value"] == pytest.approx(1, abs=1e-3)
    assert soft.scores()["sharpness"]["value"] < 0.5


def test_jumps_are_found_where_clips_begin():
    def jump(clip, overlap, frames=40):
        jumps, level = pictures.Jumps(clip, overlap), 0.0
        for i in range(frames):
            level += 6 if i >= 12 and (i - 12) % 9 == 0 else 2
            jumps.see(torch.full((4, 4, 3), level))
        return jumps.scores()["boundary_jump"]

    assert jump(12, 3)["value"] == pytest.approx(3, abs=1e-3)
    assert jump(13, 4)["value"] == pytest.approx(1, abs=1e-3)
    assert "12 frames hold no boundary" in jump(12, 3, 12)["reason"]
    with pytest.raises(InputError, match="cannot overlap by 12"):
        pictures.Jumps(12, 12)


# --- Fréchet distances


def test_the_frechet_distance_is_the_closed_form():
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


class ToyI3D(torch.nn.Module):
    """Stands in for the published file, with its signature: colour and movement of a window."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        moved = (x[:, :, 1:] - x[:, :, :-1]).abs().mean(dim=[2, 3, 4])
        return torch.cat([x.mean(dim=[2, 3, 4]), moved], dim=1)


def watched(mesh, sets, shift):
    for i in range(48):
        picture = torch.from_numpy(texture(i // 3))
        output = (picture.int() + shift).clamp(0, 255).byte()
        sets.see((picture, mesh[0]), (output, mesh[0]))


def test_fvd_takes_windows_of_16_frames_from_the_published_file(mesh, models):
    torch.jit.script(ToyI3D()).save(str(models / "i3d_torchscript.pt"))
    same, other = frechet.Sets(None), frechet.Sets(None)
    watched(mesh, same, 0)
    watched(mesh, other, 40)
    found = same.scores()["fvd"]
    assert found["value"] == pytest.approx(0, abs=1e-3) and "3 samples" in found["estimator"]
    assert found["weights"].endswith("i3d_torchscript.pt")
    assert other.scores()["fvd"]["value"] > 1000
    short = frechet.Sets(None)
    short.see((torch.zeros(256, 256, 3, dtype=torch.uint8), None), (torch.zeros(256, 256, 3), None))
    assert "0 samples are too few" in short.scores()["fvd"]["reason"]
    (models / "i3d_torchscript.pt").write_bytes(b"no network")
    with pytest.raises(InputError, match="cannot be read as TorchScript"):
        frechet.Sets(None)


def test_stand_ins_bear_other_names_and_published_ones_are_refused(mesh):
    def encoder(crops):
        tokens = torch.nn.functional.adaptive_avg_pool2d(crops, 2).flatten(2)
        return torch.cat([tokens.mean(2, keepdim=True), tokens], 2).transpose(1, 2)

    sets = frechet.Sets(encoder)
    watched(mesh, sets, 40)
    found = sets.scores()
    for key in ("fid", "fvd"):
        assert found[key]["value"] is None and "evaluation/checkpoints" in found[key]["reason"]
        like = found[f"{key}_like_bundled"]
        assert like["value"] > 0 and "bundled" in like["title"] and "not comparable" in like["estimator"]


def test_damaged_weights_are_refused_before_anything_is_scored(models):
    for weights in (identity.CURRICULAR, frechet.INCEPTION, pictures.ALEXNET):
        (models / weights.file).write_bytes(b"cut short")
    with pytest.raises(InputError, match="CurricularFace_Backbone.pth cannot be read"):
        Evaluation()
    (models / identity.CURRICULAR.file).unlink()
    with pytest.raises(InputError, match="inception.*cannot be read"):
        Evaluation()


# --- identity


def test_csim_reads_the_published_layout(mesh, models, monkeypatch):
    absent = identity.load_csim()
    assert absent[0] is None and "CurricularFace_Backbone.pth" in absent[1]
    monkeypatch.setattr(curricular, "STAGES", ((1, 64), (1, 128), (1, 256), (1, 512)))
    torch.manual_seed(0)
    net = curricular.CurricularFace()
    torch.save({f"module.{key}": value for key, value in net.state_dict().items()}, models / identity.CURRICULAR.file)
    embed, where = identity.load_csim()
    pictured = [torch.from_numpy(texture(i)).permute(2, 0, 1) / 127.5 - 1 for i in (0, 1)]
    person = identity.Identity(embed, pictured[0], mesh[0])
    person.see(pictured[0], mesh[0])
    scores = identity.identity_scores(person, where, person)
    assert scores["csim"]["value"] == pytest.approx(1, abs=1e-4) and scores["csim"]["weights"] == str(where)
    assert "weak" in scores["appearance_similarity_bundled"]["title"]
    person.see(pictured[1], mesh[0])
    assert person.mean < 0.99


# --- side by side


class Stub:
    """A tracker that finds the same face everywhere, but none in black pictures."""

    points = landmarks(*people(1))[0].numpy()

    def still(self, picture):
        return [self.points] if picture.any() else []

    def start_clip(self):
        pass

    frame = still


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(tracked, "face_tracker", lambda folders: Stub())


def greys(count, fps, first=1):
    frames = (torch.full((256, 256, 3), first + i, dtype=torch.uint8) for i in range(count))
    return Footage(list(frames), count, Fraction(fps))


def test_frames_of_one_instant_meet_at_any_rate(stub):
    def partners(output, driver, most=None):
        return [
            (int(m.output.picture[0, 0, 0]), m.driver and int(m.driver.picture[0, 0, 0]))
            for m in moments(output, driver, most)
        ]

    assert partners(greys(3, 25), greys(3, 25)) == [(1, 1), (2, 2), (3, 3)]
    assert partners(greys(3, 25), greys(6, 50)) == [(1, 2), (2, 4), (3, 6)]
    assert partners(greys(4, 50), greys(2, 25)) == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert partners(greys(4, 25), greys(2, 25)) == [(1, 1), (2, 2), (3, None), (4, None)]
    assert partners(greys(4, 25), None, most=2) == [(1, None), (2, None)]


def test_a_pass_keeps_no_frames(stub):
    alive, most = weakref.WeakSet(), 0

    class Frame:
        """What a tensor's memory is known by."""

    def pictures():
        nonlocal most
        for i in range(60):
            picture = torch.full((64, 64, 3), 1 + i, dtype=torch.uint8)
            keeper = Frame()
            weakref.finalize(picture, lambda keeper: None, keeper)
            alive.add(keeper)
            del keeper
            most = max(most, len(alive))
            yield picture

    class Again:
        def __iter__(self):
            return pictures()

    footage = Footage(Again(), 60, Fraction(25))
    scored = Evaluation().score(Pair("a", footage, None, footage))
    assert scored.report["frames"] == 60 and len(scored.stills) == 6
    assert most < 12


def test_faces_that_are_never_seen_are_said(stub):
    black = Footage([torch.zeros(64, 64, 3, dtype=torch.uint8)] * 8, 8, Fraction(25))
    with pytest.raises(InputError, match="No face was found in any of the clip's 8 frames"):
        Evaluation().score(Pair("a", black, None, greys(8, 25)))
    with pytest.raises(InputError, match="The source of 'a': No face was found"):
        Evaluation().score(Pair("a", greys(8, 25), torch.zeros(64, 64, 3), greys(8, 25)))
    with pytest.raises(InputError, match="name the driver"):
        Evaluation(same=True).score(Pair("a", greys(8, 25), torch.ones(64, 64, 3)))
    unseen = Evaluation().score(Pair("a", greys(8, 25), None, black)).report["scores"]
    assert unseen["motion"]["value"] is None and "never seen" in unseen["motion"]["reason"]
    assert "none was given" in unseen["csim"]["reason"] and unseen["psnr"]["value"] is None


def test_in_a_self_reenactment_the_source_is_the_drivers_first_frame(stub):
    driver = Footage([torch.from_numpy(texture(i)) for i in range(14)], 14, Fraction(25))
    assert isinstance(tracked.source_of(Pair("a", driver, None, driver), driver, True), Seen)
    found = Evaluation(same=True).score(Pair("a", driver, None, driver)).report
    assert found["scores"]["psnr"]["value"] == 100 and found["scores"]["expression_distance"]["value"] == 0
    assert found["compared"] == 14 and found["sync"] == {"reason": "the output has no sound, and no voice was given"}
