"""The compiled loops draw what PyTorch draws."""

import shutil
import subprocess
import sys

import pytest
import torch
from support.checkout import ROOT

from mimaface.mimaface_core import kernels, lookup, tensors
from mimaface.mimaface_core.lookup import Lookup, sample
from mimaface.mimaface_core.morphable import rasterize as module
from mimaface.mimaface_core.morphable.rasterize import interpolate, rasterize
from mimaface.mimaface_core.reprojection import sampling
from mimaface.mimaface_core.reprojection.sampling import stretch
from mimaface.mimaface_core.tensors import blur

pytest.importorskip("numba")


@pytest.fixture
def plainly(monkeypatch):
    """Calls a function without the compiled loops."""

    def call(work):
        with monkeypatch.context() as patch:
            for each in (module, sampling, lookup, tensors):
                patch.setattr(each, "find", lambda *tensors: None)
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


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_are_looked_up_alike(plainly, channels):
    generator = torch.Generator().manual_seed(7)
    image = torch.rand(channels, 32, 32, generator=generator) * 2 - 1
    pixels = torch.rand(2, 20, 24, 2, generator=generator) * 44 - 6  # some beyond the border
    pixels[:, :8] = pixels[:, :8].floor() + 0.5
    pixels[1, :, 3] = torch.tensor([-1e4, 1e4])
    fast = sample(image, pixels)
    assert torch.allclose(fast, plainly(lambda: sample(image, pixels)), atol=2e-5)
    planes = pixels.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert torch.equal(sample(image, planes), fast) and fast.abs().max() <= 1
    assert sample(image, torch.full_like(pixels, torch.nan)).abs().max() <= 1, "what is no place is no crash"


def test_only_what_is_asked_for_is_looked_up(plainly):
    generator = torch.Generator().manual_seed(11)
    image = torch.rand(5, 24, 24, generator=generator) * 2 - 1
    pixels, where = torch.rand(2, 40, 30, 2, generator=generator) * 24, torch.rand(2, 40, 30, generator=generator) > 0.6
    look, everywhere = Lookup(image), sample(image, pixels)
    found = look(pixels, where)
    assert torch.equal(found, everywhere * where[:, None])
    assert torch.allclose(found, plainly(lambda: Lookup(image)(pixels, where)), atol=2e-5)
    assert not look(pixels, torch.zeros_like(where)).any() and torch.equal(look(pixels), everywhere)
    for wider in (look(pixels, spare=2), plainly(lambda: Lookup(image)(pixels, spare=2))):
        assert wider.shape[1] == 7 and torch.allclose(wider[:, :5], everywhere, atol=2e-5)


def test_maps_stretch_alike(plainly):
    generator = torch.Generator().manual_seed(8)
    columns, rows = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(36) + 0.5, indexing="xy")
    pixels = torch.stack([columns, rows], -1) + torch.randn(2, 36, 40, 2, generator=generator) * 0.2
    cover = torch.rand(2, 36, 40, generator=generator) > 0.2
    fast = stretch(pixels, cover, 0.1, 0.9)
    assert torch.allclose(fast, plainly(lambda: stretch(pixels, cover, 0.1, 0.9)), atol=1e-5)
    assert fast.min() == 0 and fast.max() == 1 and not stretch(pixels, torch.zeros_like(cover), 0.1, 0.9).any()


@pytest.mark.parametrize(("height", "width"), [(5, 40), (150, 90)])
@pytest.mark.parametrize("threads", [1, 2])
def test_images_are_blurred_alike(plainly, height, width, threads):
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(9))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fast = blur(images.transpose(0, 1), 2.2)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(fast, plainly(lambda: blur(images, 2.2)).transpose(0, 1), atol=1e-5)
    assert blur(images[:0], 2.2).shape == images[:0].shape
    assert blur(images.requires_grad_(), 2.2).requires_grad


@pytest.mark.skipif(sys.platform == "win32", reason="a link needs rights")
def test_loops_that_a_package_of_another_name_has_compiled_do_not_disturb(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "mimaface_core", tree / "mimaface_core", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "__init__.py").touch()
    for name in ("one", "another"):
        (tmp_path / f"of {name}").mkdir()
        (tmp_path / f"of {name}" / name).symlink_to(tree, target_is_directory=True)
        blurred = f"from {name}.mimaface_core.tensors import blur; print(blur(torch.ones(1, 1, 9, 9), 1.0).mean())"
        command = [sys.executable, "-c", "import torch; " + blurred]
        done = subprocess.run(command, check=False, cwd=tmp_path / f"of {name}", capture_output=True, text=True)
        assert done.stdout.strip() == "tensor(1.)", done.stderr
    assert list(tree.rglob("kernel_loops.blur*.nbi")), "loops are kept on disk"
