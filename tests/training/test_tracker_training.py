"""The face tracker's recipe: exact labels, covers, regions, and all stages to weights that load."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.face_mesh import LEFT_IRIS, RIGHT_IRIS, UPPER_LIP_POINTS
from mimaface.mimaface_core.tracker.landmarks import TrackerNetworks
from mimaface.mimaface_core.tracker.networks import STRIDE, Detector, fused, mesh_network
from mimaface.mimaface_core.tracker.regions import MOUTH, RIGHT_EYE, face_square
from mimaface.mimaface_core.training.data import tracker_batches, tracker_gaze
from mimaface.mimaface_core.training.data.tracker_batches import FacePool
from mimaface.mimaface_core.training.data.tracker_faces import LabelledFaces, drawn_faces
from mimaface.mimaface_core.training.data.tracker_mistakes import make_mistakes, read_mistakes
from mimaface.mimaface_core.training.data.tracker_tiles import TILE, tile_batch
from mimaface.mimaface_core.training.models.tracker_networks import LookModel, laid_out
from mimaface.mimaface_core.training.people import covers
from mimaface.mimaface_core.training.tracker_config import load_tracker_config
from mimaface.mimaface_core.training.tracker_recipe import ALL, run_tracker_stage


@pytest.fixture(autouse=True)
def few_scenes(monkeypatch):
    monkeypatch.setattr(tracker_batches, "SCENES", 3)
    tracker_batches.painted_scenes.cache_clear()
    yield
    tracker_batches.painted_scenes.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "faces").mkdir()
    for seed in (1, 2):
        drawn_faces(seed, 3).save(folder / "faces" / f"drawn-{seed}.safetensors")
    return folder


def test_drawn_faces_repeat_and_survive_the_disk(data, tmp_path):
    faces = drawn_faces(1, 3)
    again = LabelledFaces.load(data / "faces" / "drawn-1.safetensors")
    assert torch.equal(again.landmarks, faces.landmarks) and torch.equal(again.seen, faces.seen) and again.exact
    assert (again.images.float() - faces.images.float()).abs().mean() < 5
    assert faces.landmarks.shape == (3, 478, 3)
    with pytest.raises(InputError, match="holds no faces with landmarks; make them first: mimaface train faces"):
        FacePool(tmp_path)


def test_irises_of_drawn_faces_lie_on_dark_pupils():
    faces = drawn_faces(5, 4)
    darker = 0
    for image, points, seen in zip(faces.images.float(), faces.landmarks, faces.seen, strict=True):
        for iris in (RIGHT_IRIS, LEFT_IRIS):
            x, y = points[iris[0], :2].round().int().tolist()
            around = image[:, y - 6 : y + 7, x - 6 : x + 7].mean(0)
            if seen[iris[0]] and around.numel():
                darker += 1 if image[:, y, x].mean() < around.mean() else -1
    assert darker > 0


def test_squares_carry_landmarks_with_the_picture(data):
    pool = FacePool(data / "faces")
    batch = pool.mesh_batch(12, np.random.default_rng(0))
    assert batch["squares"].shape == (12, 3, 128, 128) and batch["squares"].abs().max() <= 1
    upright = batch["points"][batch["face"]]
    assert (upright[:, 152, 1] > upright[:, 10, 1]).all()  # the chin below the forehead
    mirror = pool.mirror
    assert torch.equal(mirror[mirror], torch.arange(478)) and mirror[33] == 263 and mirror[468] == 473


def test_regions_hold_their_points(data, tmp_path):
    pool = FacePool(data / "faces")
    regions = laid_out(pool, tmp_path)
    eye, mouth = (set(regions[f"{name}_points"].tolist()) for name in ("eye", "mouth"))
    assert set(RIGHT_IRIS) <= eye and set(UPPER_LIP_POINTS) <= mouth and not set(LEFT_IRIS) & eye
    for name, region in (("eye", RIGHT_EYE), ("mouth", MOUTH)):
        points, share = (regions[f"{name}_{what}"].numpy() for what in ("points", "share"))
        assert ((share >= 0) & (share <= 1)).all() and share.max() == 1
        batch = pool.region_batch(8, region, points, np.random.default_rng(1))
        assert batch["points"].shape == (8, len(points), 2)
        assert batch["points"].abs().median() < 0.7


@pytest.mark.parametrize("kind", covers.KINDS)
def test_what_covers_a_face_hides_the_points_below_it(kind, data, monkeypatch):
    monkeypatch.setattr(covers, "SHARES", [float(kind == one) for one in covers.KINDS])
    faces = drawn_faces(1, 3)
    images = faces.images.float() / 255
    points = faces.landmarks / 128 - 1
    changed, hidden = covers.covered(images, points, np.random.default_rng(3), 1.0)
    assert 0 < hidden.float().mean() < 0.9
    grid = points[:, None, :, :2]
    change = F.grid_sample((changed - images).abs().mean(1, keepdim=True), grid, align_corners=False)[:, 0, 0]
    assert change[~hidden].mean() < 0.02 < change[hidden].mean()


def test_eyes_look_elsewhere_between_lids_that_stay(data, monkeypatch):
    monkeypatch.setattr(tracker_gaze, "SHARE", 1.0)
    axis = torch.linspace(-1, 1, 128)
    images = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))[None]  # every pixel tells its place
    points = FacePool(data / "faces").mean[None, :, :2] * 0.9
    points = torch.from_numpy(points - points.mean(1, keepdims=True)).float()
    before = F.grid_sample(images, points[:, None], align_corners=False)[0, :, 0]
    changed, moved = tracker_gaze.looking_elsewhere(images, points, np.random.default_rng(1))
    shift = (moved - points)[0].norm(dim=1)
    assert shift[[468, 473]].min() > 0.005 and shift[:468].max() == 0
    after = F.grid_sample(changed, moved[:, None], align_corners=False)[0, :, 0]
    off = (after - before)[:, [468, 473]].norm(dim=0)
    assert off.max() < 0.2 * shift.max()  # what was seen at a landmark is seen at its new place
    assert (changed - images).norm(dim=1).max() > 0.01


def test_the_detectors_mistakes_are_shown_as_no_faces(data, tmp_path):
    class Everywhere(Detector):
        def forward(self, images):
            said = torch.zeros(1, 6, images.shape[2] // STRIDE, images.shape[3] // STRIDE)
            said[:, 0] = -9
            said[:, 0, 2::6, 2::6] = 5
            return said

    pool = FacePool(data / "faces")
    make_mistakes(tmp_path, pool, Everywhere(), 9, 0)
    mistakes = read_mistakes(tmp_path)
    assert mistakes.shape == (9, 3, 256, 256) and mistakes.float().std() > 5
    make_mistakes(tmp_path, pool, Everywhere(), 2, 0)  # they are there already
    assert len(read_mistakes(tmp_path)) == 9
    blue = torch.zeros(2, 3, 256, 256, dtype=torch.uint8)
    blue[:, 2] = 255
    batch = FacePool(data / "faces", blue).mesh_batch(64, np.random.default_rng(0))
    squares = batch["squares"]
    shown = (squares[:, 2] - squares[:, 0]).mean((1, 2)) > 0.5
    assert 3 < shown.sum() < 24 and not batch["face"][shown].any()
    with pytest.raises(InputError, match="damaged"):
        read_mistakes(tmp_path / "nowhere")


def test_tiles_say_where_faces_are(data):
    pool = FacePool(data / "faces")
    batch = tile_batch(pool, 24, np.random.default_rng(2))
    assert batch["images"].shape == (24, 3, TILE, TILE) and batch["hit"].any() and batch["counts"].any()
    assert batch["counts"][batch["hit"]].all()
    shape = batch["target"].permute(0, 2, 3, 1)[batch["hit"]]
    assert (shape[:, 3:].norm(dim=1) - 1).abs().max() < 1e-4  # sine and cosine
    assert shape[:, :2].abs().max() < 56 * 0.3 / STRIDE


def test_a_network_learns_a_batch_by_heart(data):
    torch.manual_seed(0)
    pool = FacePool(data / "faces")
    batch = pool.mesh_batch(6, np.random.default_rng(0))
    model = LookModel(mesh_network(), np.arange(478))
    adam = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = model(**batch)["loss"]
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_all_stages_make_weights_that_find_the_same_when_fused(tmp_path):
    from safetensors.torch import load_file

    run_tracker_stage(ALL, load_tracker_config("tiny"), tmp_path / "data", tmp_path / "out")
    values = load_file(tmp_path / "out" / "face_tracker.safetensors")
    networks = TrackerNetworks(len(values["eye_points"]), len(values["mouth_points"]))
    plain = networks.mesh.eval()(torch.zeros(1, 3, 128, 128))[0].points
    networks = fused(networks)
    assert torch.allclose(networks.mesh(torch.zeros(1, 3, 128, 128))[0].points, plain, atol=1e-4)
    networks.load_state_dict(values)
    image = drawn_faces(1, 1)
    square = face_square(image.landmarks[0].numpy())
    (face,) = networks.look([image.images[0].permute(1, 2, 0).contiguous()], [square])
    assert face.landmarks.shape == (478, 3) and np.isfinite(face.landmarks).all() and (face.deviation > 0).all()
