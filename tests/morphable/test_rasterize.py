"""The z-buffer rasterizer against a slow exact one, and on degenerate triangles."""

import pytest
import torch

from mimaface.mimaface_core.morphable.rasterize import interpolate, rasterize


def soup(frames=2, triangles=60, size=32, seed=0):
    """Random triangles, many reaching out of the image: vertices [N, 3T, 3] and the list [T, 3]."""
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.rand(frames, 3 * triangles, 3, generator=generator) * torch.tensor([1.6, 1.6, 5.0])
    vertices = (vertices - torch.tensor([0.3, 0.3, -1.0])) * torch.tensor([size, size, 1.0])
    return vertices, torch.arange(3 * triangles).view(-1, 3)


def exact(vertices, triangles, height, width):
    """Every pixel against every triangle in float64: the nearest triangle, its depth, and whether no edge is near."""
    corners = vertices.double()[triangles]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centre = torch.stack([x, y], -1).double()[..., None, :]

    def twice_area(a, b, p):
        (ux, uy), (vx, vy) = (b - a).unbind(-1), (p - a).unbind(-1)
        return ux * vy - uy * vx

    a, b, c = (corners[:, k, :2] for k in range(3))
    weights = torch.stack([twice_area(b, c, centre), twice_area(c, a, centre), twice_area(a, b, centre)], -1)
    weights = weights / twice_area(a, b, c)[:, None]
    inside = (weights >= 0).all(-1)
    depth = (weights * corners[..., 2]).sum(-1).masked_fill(~inside, torch.inf)
    nearest, seen = depth.min(-1)
    clear = weights.abs().amin((-1, -2)) > 1e-3
    return torch.where(nearest.isinf(), -1, seen), nearest, clear


def test_matches_the_exact_answer():
    vertices, triangles = soup()
    fragments = rasterize(vertices, triangles, 32, 40)
    for frame in range(2):
        seen, depth, clear = exact(vertices[frame], triangles, 32, 40)
        assert clear.float().mean() > 0.5
        assert torch.equal(fragments.triangle[frame][clear], seen[clear])
        filled = clear & (seen >= 0)
        torch.testing.assert_close(fragments.depth[frame][filled], depth[filled].float(), rtol=1e-4, atol=1e-4)


def test_barycentrics_sum_to_one_and_return_the_pixel():
    vertices, triangles = soup(triangles=12, seed=1)
    fragments = rasterize(vertices, triangles, 32, 32)
    mask = fragments.mask
    assert 0.5 < mask.float().mean() < 1
    weights = fragments.barycentric
    assert (weights >= 0).all() and (weights[~mask] == 0).all()
    torch.testing.assert_close(weights[mask].sum(-1), torch.ones(int(mask.sum())))
    position = interpolate(fragments, triangles, vertices)
    assert position.shape == (2, 3, 32, 32) and (position[:, :, 0, 0][~mask[:, 0, 0]] == 0).all()
    y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    # Edges are moved out by a thousandth of a pixel; at a sharp corner that is a little more.
    assert ((position[:, 0] - x).abs()[mask] < 0.02).all() and ((position[:, 1] - y).abs()[mask] < 0.02).all()
    torch.testing.assert_close(position[:, 2][mask], fragments.depth[mask], rtol=0, atol=0.02)


def test_batch_equals_single():
    vertices, triangles = soup(frames=5, seed=2)
    together = rasterize(vertices, triangles, 24, 30)
    for frame in range(5):
        alone = rasterize(vertices[frame : frame + 1], triangles, 24, 30)
        for whole, part in zip(together, alone):
            assert torch.equal(whole[frame : frame + 1], part)


def test_the_size_of_chunks_does_not_matter(monkeypatch):
    vertices, triangles = soup(seed=3)
    whole = rasterize(vertices, triangles, 24, 24)
    monkeypatch.setattr("mimaface.mimaface_core.morphable.rasterize.CHUNK_PIXELS", 50)
    for a, b in zip(whole, rasterize(vertices, triangles, 24, 24)):
        assert torch.equal(a, b)


def test_nearest_wins_and_ties_go_to_the_first():
    sheet = torch.tensor([[0.0, 0], [8, 0], [0, 8], [8, 8]])
    vertices = torch.cat([torch.cat([sheet, torch.full((4, 1), z)], 1) for z in (5.0, 2.0, 2.0, 9.0)])[None]
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    triangles = torch.cat([triangles + 4 * k for k in range(4)])
    fragments = rasterize(vertices, triangles, 8, 8)
    assert (fragments.depth == 2).all()
    assert set(fragments.triangle.unique().tolist()) == {2, 3}


def test_order_of_depth_holds_below_zero():
    vertices = torch.tensor([[[0.0, 0, z], [9, 0, z], [0, 9, z]] for z in (-1.0, -3.0, 2.0)]).view(1, 9, 3)
    fragments = rasterize(vertices, torch.arange(9).view(3, 3), 4, 4, near=-torch.inf)
    assert (fragments.triangle == 1).all() and (fragments.depth == -3).all()


def test_a_closed_sheet_has_no_cracks():
    generator = torch.Generator().manual_seed(4)
    n = 12
    y, x = torch.meshgrid(torch.arange(n + 1.0), torch.arange(n + 1.0), indexing="ij")
    grid = torch.stack([x, y], -1) * 4
    grid[1:-1, 1:-1] += torch.rand(n - 1, n - 1, 2, generator=generator) * 2 - 1
    vertices = torch.cat([grid, torch.ones(n + 1, n + 1, 1)], -1).view(1, -1, 3)
    index = torch.arange((n + 1) ** 2).view(n + 1, n + 1)
    a, b, c, d = (t.reshape(-1) for t in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    triangles = torch.cat([torch.stack([a, b, c], 1), torch.stack([c, b, d], 1)])
    assert rasterize(vertices, triangles, 4 * n, 4 * n).mask.all()
    # A shared edge that runs exactly through pixel centres.
    assert rasterize(vertices + torch.tensor([0.5, 0.5, 0]), triangles, 4 * n, 4 * n).mask[:, 1:, 1:].all()


@pytest.mark.parametrize(
    "odd",
    [
        [[100.0, 100, 1], [120, 100, 1], [100, 120, 1]],  # outside
        [[-50.0, -50, 1], [-40, -50, 1], [-50, -40, 1]],
        [[0.0, 0, -1], [8, 0, -1], [0, 8, 3]],  # reaches behind the camera
        [[1.0, 1, 0.5], [1, 1, 0.5], [1, 1, 0.5]],  # a point
        [[0.0, 0, 0.5], [4, 4, 0.5], [8, 8, 0.5]],  # a line
        [[float("nan"), 0, 0.5], [8, 0, 0.5], [0, 8, 0.5]],
        [[0.0, 0, float("nan")], [8, 0, 0.5], [0, 8, 0.5]],
        [[float("inf"), 0, 0.5], [8, 0, 0.5], [0, 8, 0.5]],
        [[1e30, 0, 0.5], [-1e30, 1e30, 0.5], [0, -1e30, 0.5]],
    ],
)
def test_degenerate_triangles_are_left_out(odd):
    base = torch.tensor([[1.0, 1, 2], [7, 1, 2], [1, 7, 2]])
    alone = rasterize(base[None], torch.tensor([[0, 1, 2]]), 8, 8)
    both = rasterize(torch.cat([base, torch.tensor(odd)])[None], torch.tensor([[0, 1, 2], [3, 4, 5]]), 8, 8)
    for a, b in zip(alone, both):
        assert torch.equal(a, b)


def test_large_triangles_beyond_the_image_fill_it():
    vertices = torch.tensor([[[-1e5, -1e5, 1], [1e5, -1e5, 1], [0, 2e5, 1]]])
    fragments = rasterize(vertices, torch.tensor([[0, 1, 2]]), 16, 20)
    assert fragments.mask.all() and fragments.barycentric.isfinite().all()


def test_no_triangles():
    none = torch.zeros(0, 3, dtype=torch.long)
    fragments = rasterize(torch.rand(2, 4, 3), none, 3, 5)
    assert not fragments.mask.any() and fragments.depth.isinf().all()
    assert interpolate(fragments, none, torch.rand(2, 4, 6)).shape == (2, 6, 3, 5)
    assert rasterize(torch.zeros(0, 4, 3), torch.tensor([[0, 1, 2]]), 3, 5).triangle.shape == (0, 3, 5)


def test_shared_attributes_and_refused_shapes():
    vertices, triangles = soup(seed=5)
    fragments = rasterize(vertices, triangles, 16, 16)
    shared = torch.rand(vertices.shape[1], 4)
    assert torch.equal(
        interpolate(fragments, triangles, shared), interpolate(fragments, triangles, shared.expand(2, -1, -1))
    )
    with pytest.raises(ValueError, match="vertices"):
        rasterize(vertices[0], triangles, 16, 16)
    with pytest.raises(ValueError, match="0×4"):
        rasterize(vertices, triangles, 4, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    vertices, triangles = soup(seed=6)
    here, there = rasterize(vertices, triangles, 32, 32), rasterize(vertices.cuda(), triangles.cuda(), 32, 32)
    assert (here.triangle == there.triangle.cpu()).float().mean() > 0.99
