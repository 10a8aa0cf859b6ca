"""Making the bundled face of a scan: nearest places on its surface, partners of landmarks, and their mean mesh."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.face_mesh import FACE_POINTS
from mimaface.mimaface_core.morphable.bundled.geometry import ring_places
from mimaface.mimaface_core.motion.rotation import rotation_of
from mimaface.mimaface_core.training.people.head_scan import ring_depths
from mimaface.mimaface_core.training.people.landmark_places import mean_mesh, mirror_of
from mimaface.mimaface_core.training.people.scan import CANDIDATES, Places, Scan, Surface
from mimaface.mimaface_core.training.people.scanned_face import OUT, tesselation

STEPS = 60  # of a triangle's side, in which brute force tries its points


def tried(points, triangles, targets):
    """Distances of targets [P, 3] from the nearest of many points of all triangles [P], and how far these are apart."""
    shares = [(a, b, STEPS - a - b) for a in range(STEPS + 1) for b in range(STEPS + 1 - a)]
    on = (np.array(shares) / STEPS) @ points[triangles]  # [T, K, 3]
    sides = np.linalg.norm(points[triangles] - points[np.roll(triangles, 1, 1)], axis=-1)
    distance = np.stack([np.linalg.norm(on - target, axis=-1).min() for target in targets])
    return distance, sides.max() / STEPS


def check(points, triangles, targets):
    """The places found are on the triangles, and no tried point is nearer."""
    places = Surface(points, triangles).nearest(targets)
    corners = {tuple(sorted(t)) for t in triangles.tolist()}
    assert all(tuple(sorted(t)) in corners for t in places.vertices.tolist())
    assert places.weights.min() > -1e-9 and np.allclose(places.weights.sum(1), 1)
    found = np.linalg.norm(places.of(points) - targets, axis=1)
    brute, apart = tried(points, triangles, targets)
    assert (found <= brute + 1e-9).all() and (brute - found <= apart).all()
    return places, found


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_place_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    points, triangles = rng.normal(size=(30, 3)), rng.permuted(np.tile(np.arange(30), (25, 1)), axis=1)[:, :3]
    near = points[triangles].mean(1) + rng.normal(0, 0.1, (25, 3))
    check(points, triangles, np.concatenate([rng.normal(0, 2, (40, 3)), near]))


def test_places_on_a_vertex_on_an_edge_inside_and_outside():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5], [6, 5, 5], [5, 6, 5]])
    targets = [[1, 0, 0], [0.3, 0, 0], [0.2, 0.3, 0], [0.2, 0.3, 0.7], [-1, -2, 0.5], [0.4, -1, 0], [1, 1, 0]]
    places, found = check(points, np.array([[0, 1, 2], [3, 4, 5]]), np.array(targets, dtype=float))
    wanted = [[1, 0, 0], [0.3, 0, 0], [0.2, 0.3, 0], [0.2, 0.3, 0], [0, 0, 0], [0.4, 0, 0], [0.5, 0.5, 0]]
    assert np.allclose(places.of(points), wanted) and np.allclose(found[:3], 0)


def test_triangles_without_width_are_lines_and_points():
    """The rims of the eyes are triangles of two points."""
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [3, 0, 0]])
    rim = np.array([[0, 1, 1], [1, 2, 2], [3, 3, 3]])
    targets = np.array([[0.3, -1, 0], [2, 0.4, 0], [-1, -1, 0], [1, 0, 0.5], [4, 1, 0]])
    places, _ = check(points, rim, targets)
    assert np.allclose(places.of(points), [[0.3, 0, 0], [1, 0.4, 0], [0, 0, 0], [1, 0, 0], [3, 0, 0]])


def test_a_surface_of_more_triangles_than_are_tried():
    rng, side = np.random.default_rng(0), 16
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    points = np.stack([x, y, 0.1 * np.sin(5 * x) * np.cos(4 * y)], -1).reshape(-1, 3)
    a = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate([np.stack([a, a + 1, a + side], 1), np.stack([a + 1, a + side + 1, a + side], 1)])
    assert len(triangles) > 10 * CANDIDATES
    check(points, triangles, rng.uniform(-0.1, 1.1, (60, 3)) * [1, 1, 0.3])


def test_values_at_places_are_weighted_means():
    places = Places(np.array([[0, 1, 2], [3, 3, 3]]), np.array([[0.5, 0.25, 0.25], [1.0, 0, 0]]))
    values = np.arange(8.0).reshape(4, 2)
    assert np.allclose(places.of(values), [[1.5, 2.5], [6, 7]])
    assert np.allclose(places.of(values[:, 0]), [1.5, 6])


def test_each_point_finds_its_mirror_point():
    rng = np.random.default_rng(1)
    right = rng.uniform([-1, -1, -1], [-0.1, 1, 1], (40, 3))
    middle = rng.uniform(-1, 1, (6, 3)) * [0, 1, 1]
    order = rng.permutation(86)
    points = np.concatenate([right, right * [-1, 1, 1], middle])[order]
    partner = np.argsort(order)[np.r_[40:80, 0:40, 80:86]][order]
    assert (mirror_of(points) == partner).all()
    assert (mirror_of(points + rng.normal(0, 0.005, points.shape)) == partner).all()  # as photographs measure


def test_meshes_are_laid_over_one_another_before_their_mean():
    draw = torch.Generator().manual_seed(2)
    shape = torch.randn(60, 3, generator=draw)
    turn = rotation_of(torch.randn(40, 3, generator=draw))
    size, place = torch.rand(40, 1, 1, generator=draw) + 0.5, torch.randn(40, 1, 3, generator=draw)

    def placed(shapes):
        return size * shapes @ turn + place

    alike = placed(shape.expand(40, -1, -1))
    assert torch.allclose(mean_mesh(alike), alike[0], atol=1e-4)  # in the first one's place
    noise = 0.1 * torch.randn(40, 60, 3, generator=draw)
    mean = mean_mesh(placed(shape + noise))
    one = mean_mesh(torch.stack([mean, placed(shape.expand(40, -1, -1))[0]]))  # laid over the truth
    assert (2 * (one - mean)).square().mean().sqrt() < 2.5 * 0.1 / 40**0.5 * size[0, 0, 0]


def test_the_mesh_is_the_trackers_and_faces_the_viewer():
    pytest.importorskip("mediapipe")
    stored = load_file(OUT)
    triangles = stored["triangles"].long()
    assert {tuple(sorted(t)) for t in triangles.tolist()} == {tuple(t) for t in tesselation().tolist()}
    a, b, c = (stored["mean"][triangles[:, k]] for k in range(3))
    assert (torch.linalg.cross(b - a, c - a)[:, 2] >= 0).all()
    assert set(triangles.flatten().tolist()) == set(range(FACE_POINTS))
    edges = [tuple(sorted(e)) for t in triangles.tolist() for e in itertools.combinations(t, 2)]
    assert max(edges.count(edge) for edge in set(edges[:300])) == 2  # a surface


def test_what_is_no_scan_is_refused(tmp_path):
    save_file({"points": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    for name in ("other", "text", "missing"):
        with pytest.raises(InputError, match="is not ICT FaceKit's light model"):
            Scan.load(tmp_path / f"{name}.safetensors")


def test_rings_lie_on_the_head_or_at_its_contour():
    """A head that is a ball: what lies on it has its depth, what lies beside it that of its contour."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, 61), np.linspace(0, 2 * np.pi, 121), indexing="ij")
    radius, middle = 1.2, np.array([0.3, -0.2, 0.1])
    ball = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1) * radius
    corner = np.arange(60)[:, None] * 121 + np.arange(120)
    a, b, c, d = (corner + step for step in (0, 1, 121, 122))
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)
    points, parts = ball.reshape(-1, 3) + middle, {"face": slice(0, 4000), "head_and_neck": slice(4000, None)}
    none = np.zeros(0)
    depths = ring_depths(
        Scan(points, none, none, triangles, parts, none), load_file(OUT)["mean"].double().numpy(), middle
    )
    places = ring_places(load_file(OUT)["mean"].double().numpy())
    far = np.linalg.norm(places, axis=-1)
    on, beside = far < 0.85 * radius, far > 1.2 * radius
    assert np.abs(depths[0][on[0]] - np.sqrt(radius**2 - far[0][on[0]] ** 2)).max() < 0.12
    assert beside[2:].any() and np.abs(depths[3:][beside[3:]]).max() < 0.25 * radius
    assert np.allclose(depths[:, 1:], depths[:, :0:-1])
