"""Tensor helpers: number types, interpolation, and the pixel convention of sampling grids."""

import pytest
import torch
from torch.nn import functional as F

from mimaface.mimaface_core.tensors import (
    between,
    dilated,
    from_whole_centres,
    invert_affine,
    neighbours,
    sampling_grid,
    smoothstep,
    to_float,
    to_uint8,
)


def test_number_types():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_uint8(torch.tensor([-1.0, 0.499, 2.0])).tolist() == [0, 127, 255]
    half = torch.tensor([0.5], dtype=torch.float16)
    assert to_float(half).dtype == torch.float32 and to_float(half) == 0.5


def test_between_is_linear_in_each_frame():
    before, after = torch.zeros(3, 2, 3), torch.ones(3, 2, 3)
    assert torch.equal(between(before, after, torch.tensor([0.0, 0.25, 1.0]))[:, 1, 2], torch.tensor([0.0, 0.25, 1.0]))


def test_the_known_frames_around_each():
    before, after = neighbours(torch.tensor([1, 4]), 6)
    assert before.tolist() == [0, 0, 0, 0, 1, 1] and after.tolist() == [0, 0, 1, 1, 1, 1]


def test_a_smooth_step_is_flat_at_both_ends():
    assert torch.equal(smoothstep(torch.tensor([-1.0, 0, 0.5, 1, 2])), torch.tensor([0.0, 0, 0.5, 1, 1]))
    assert torch.equal(smoothstep(torch.tensor([2.0, 3, 4]), 2, 4), torch.tensor([0.0, 0.5, 1]))
    assert 0 < smoothstep(torch.tensor(0.01)) < 0.001


def test_an_inverted_map_leads_back():
    matrix = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = torch.rand(4, 7, 2, dtype=torch.float64)
    there = points @ matrix[..., :2].mT + matrix[:, None, :, 2]
    back = invert_affine(matrix)
    assert torch.allclose(there @ back[..., :2].mT + back[:, None, :, 2], points)


def test_maps_between_whole_centres_are_converted():
    matrix = from_whole_centres(torch.tensor([[2.0, 0, 5], [0, 2, 7]]))
    assert torch.allclose(matrix @ torch.tensor([10.5, 20.5, 1]), torch.tensor([25.5, 47.5]))


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_grid_samples_pixel_centres_at_half(align_corners):
    image = torch.arange(6.0).view(1, 1, 2, 3)
    halved = torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]])  # of the output 4 × 6, to the image
    grid = sampling_grid(halved, range(4), range(6), (2, 3), align_corners)
    doubled = F.grid_sample(image, grid, mode="nearest", align_corners=align_corners)
    assert torch.equal(doubled, F.interpolate(image, scale_factor=2.0, mode="nearest"))
    part = sampling_grid(halved, range(1, 3), range(2, 5), (2, 3), align_corners)
    assert torch.equal(part, grid[:, 1:3, 2:5])


def test_a_grid_agrees_with_that_of_pytorch():
    theta = torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = F.affine_grid(theta, [2, 3, 40, 60], align_corners=False)
    # pixels of the output → −1…1 → −1…1 of the image → its pixels
    bottom = torch.tensor([[[0, 0, 1.0]]], dtype=torch.float64)
    inner = torch.tensor([[2 / 60, 0, -1], [0, 2 / 40, -1], [0, 0, 1]], dtype=torch.float64)
    outer = torch.tensor([[50.0, 0, 50], [0, 35, 35], [0, 0, 1]], dtype=torch.float64)
    matrix = outer @ torch.cat([theta, bottom.expand(2, -1, -1)], 1) @ inner
    assert torch.allclose(sampling_grid(matrix[:, :2], range(40), range(60), (70, 100)), expected)


@pytest.mark.parametrize("reach", [0, 1, 4, 7])
def test_a_dilated_mask_is_that_of_pooling(reach):
    mask = torch.rand(2, 3, 41, 30, generator=torch.Generator().manual_seed(reach)) > 0.97
    pooled = torch.nn.functional.max_pool2d(mask.float(), 2 * reach + 1, stride=1, padding=reach) > 0
    assert torch.equal(dilated(mask, reach), pooled)
