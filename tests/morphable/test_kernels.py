"""The compiled loops draw what PyTorch draws."""

import pytest
import torch

from mimaface.mimaface_core import kernels
from mimaface.mimaface_core.morphable import rasterize as module
from mimaface.mimaface_core.morphable.rasterize import interpolate, rasterize

pytest.importorskip("numba")


@pytest.fixture
def plainly(monkeypatch):
    """Calls a function without the compiled loops."""

    def call(work):
        with monkeypatch.context() as patch:
            patch.setattr(module, "find", lambda *tensors: None)
            return work()

    return call


@pytest.mark.parametrize("threads", [1, 3])
def test_a_soup_of_triangles_is_drawn_alike(plainly, threads):
    generator = torch.Generator().manual_seed(5)
    vertices = torch.rand(3, 60, 3, generator=generator) * torch.tensor([90, 110, 1]) + torch.tensor([-10, -10, 1])
    vertices[0, 3], vertices[1, 4] = torch.nan, torch.inf  # their triangles are left out
    vertices[2, :6, 2] = 1.5  # equal depths: the first triangle wins
    triangles = torch.randint(60, (80, 3), generator=generator)
    colours = torch.rand(3, 60, 5, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fast = rasterize(vertices, triangles, 90, 70, near=1.01)
        fast_colours = interpolate(fast, triangles, colours)
    finally:
        torch.set_num_threads(before)
    plain = plainly(lambda: rasterize(vertices, triangles, 90, 70, near=1.01))
    plain_colours = plainly(lambda: interpolate(plain, triangles, colours))
    same = fast.triangle == plain.triangle
    assert same.float().mean() > 0.9995 and fast.mask.any() and not fast.mask.all()
    assert torch.allclose(fast.depth[fast.mask], plain.depth[fast.mask], atol=1e-4)
    assert torch.allclose(fast.barycentric[same], plain.barycentric[same], atol=1e-3)
    assert torch.allclose(fast_colours.movedim(1, -1)[same], plain_colours.movedim(1, -1)[same], atol=1e-3)


def test_colours_shared_by_all_frames_are_drawn_alike(plainly):
    vertices = torch.tensor([[[0.0, 0, 1], [9, 0, 1], [0, 9, 1]], [[2, 2, 1], [9, 2, 1], [2, 9, 1]]])
    triangles, colours = torch.tensor([[0, 1, 2]]), torch.eye(3)
    fragments = rasterize(vertices, triangles, 10, 10)
    assert torch.allclose(
        interpolate(fragments, triangles, colours), plainly(lambda: interpolate(fragments, triangles, colours))
    )


def test_other_number_types_and_no_triangles_are_drawn_in_pytorch_or_not_at_all():
    vertices, nothing = torch.rand(1, 3, 3), torch.empty(0, 3, dtype=torch.long)
    assert kernels.find(vertices.double()) is None and kernels.find(vertices) is not None
    assert not rasterize(vertices, nothing, 40, 40).mask.any()
    assert interpolate(rasterize(vertices, nothing, 40, 40), nothing, vertices).abs().sum() == 0
