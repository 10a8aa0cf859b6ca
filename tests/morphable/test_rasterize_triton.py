"""The rasterizer of GPUs: in Triton's interpreter it draws what PyTorch draws, and its kernels compile for a GPU."""

import importlib
import logging
import sys

import pytest
import torch

from mimaface.mimaface_core.morphable import rasterize as module
from mimaface.mimaface_core.morphable.rasterize import EDGE_SLACK, MIN_HEIGHT, NO_KEY, Fragments, rasterize

pytest.importorskip("triton")
NAME = f"{module.__name__}_triton"
FLOATS, NUMBERS, COUNT, FLOAT = "*fp32", "*i64", "i32", "fp32"


def imported(monkeypatch, **settings):
    """The kernels with environment variables that count when they are imported."""
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    kernels = importlib.import_module(NAME)
    monkeypatch.delitem(sys.modules, NAME)
    return kernels


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # the interpreter is numpy, which tells of what is no number
def test_a_soup_of_triangles_is_drawn_alike(monkeypatch):
    kernels = imported(monkeypatch, TRITON_INTERPRET=1)
    monkeypatch.setattr(module, "find", lambda *tensors: None)
    generator = torch.Generator().manual_seed(5)
    vertices = torch.rand(2, 14, 3, generator=generator) * torch.tensor([21, 15, 1]) + torch.tensor([-2, -2, 1])
    vertices[0, 3], vertices[1, 4] = torch.nan, torch.inf  # their triangles are left out
    vertices[1, :6, 2] = 1.5  # equal depths: the first triangle wins
    vertices[0, 5, 2] = 0.5  # nearer than allowed
    triangles = torch.randint(14, (12, 3), generator=generator)
    expected = rasterize(vertices, triangles, 11, 17, near=0.9)
    drawn = Fragments(*kernels.fragments(vertices, triangles, 11, 17, 0.9, EDGE_SLACK, MIN_HEIGHT, NO_KEY))
    assert torch.equal(drawn.triangle, expected.triangle) and drawn.mask.any() and not drawn.mask.all()
    assert torch.allclose(drawn.depth, expected.depth, atol=1e-5)
    assert torch.allclose(drawn.barycentric, expected.barycentric, atol=1e-5)


def test_nothing_to_draw_leaves_the_image_empty(monkeypatch):
    kernels = imported(monkeypatch, TRITON_INTERPRET=1)
    none = torch.empty(0, 3, dtype=torch.int64)
    drawn = Fragments(*kernels.fragments(torch.zeros(1, 3, 3), none, 4, 5, 0.0, EDGE_SLACK, MIN_HEIGHT, NO_KEY))
    assert drawn.triangle.shape == (1, 4, 5) and not drawn.mask.any()
    assert not drawn.barycentric.any() and drawn.depth.isposinf().all()


@pytest.mark.parametrize("capability", [75, 80, 90])
def test_the_kernels_compile_for_a_gpu(monkeypatch, tmp_path, capability):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernels = imported(monkeypatch, TRITON_CACHE_DIR=tmp_path)
    nearest = [FLOATS, NUMBERS, NUMBERS, *[COUNT] * 4, *[FLOAT] * 3], {"columns": kernels.COLUMNS}
    described = [FLOATS, *[NUMBERS] * 3, FLOATS, FLOATS, *[COUNT] * 4], {"no_key": NO_KEY, "pixels": kernels.PIXELS}
    for kernel, (types, constants) in ((kernels._nearest, nearest), (kernels._described, described)):
        types = [*types, *["constexpr"] * len(constants)]
        source = ASTSource(kernel, dict(zip(kernel.arg_names, types, strict=True)), constants)
        compiled = triton.compile(source, GPUTarget("cuda", capability, 32), {"enable_fp_fusion": False})
        assert compiled.asm["cubin"]


def test_without_a_gpu_that_triton_can_use_pytorch_draws(monkeypatch, caplog):
    module._triton.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # it then fails to make a tensor there
    try:
        with caplog.at_level(logging.WARNING):
            assert module._triton() is None
        (record,) = caplog.records
        assert "Triton cannot be used" in record.message and "renders take longer on this GPU" in record.message
    finally:
        module._triton.cache_clear()
