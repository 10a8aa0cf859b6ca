"""Paste back: masks, soft edges and colours of the pasted crop."""

from dataclasses import replace

import pytest
import torch

from mimaface.mimaface_core.face.crop import warp
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.face_mesh import OVAL


def synthetic_source(height=90, width=140, scale=8.0, corner=(30.0, 20.0)):
    """A source whose crop is a given square of a smooth image."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([0.2 + 0.5 * x, 0.2 + 0.5 * y, 0.5 + 0.2 * torch.sin(6 * x)], -1)
    matrix = torch.tensor([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    crop = warp(image.permute(2, 0, 1) * 2 - 1, matrix)
    return SourceFace(image, crop, matrix, torch.zeros(478, 3), None)


SOURCES = {
    "small": synthetic_source(),
    "wider than the image": synthetic_source(scale=4.0),
    "same size": synthetic_source(600, 900, 1.0, (200, 20)),
    "shrunk, over the edge": synthetic_source(900, 1200, 0.7, (-100, -50)),
}


def turned(degrees, scale, shift):
    """A similarity [2, 3]."""
    turn = torch.deg2rad(torch.tensor(float(degrees)))
    linear = scale * torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()]).view(2, 2)
    return torch.cat([linear, torch.tensor(shift, dtype=torch.float32)[:, None]], 1)


def place_in_image(matrix):
    """Where the crop's pixels lie in the image [512, 512, 2]."""
    centres = torch.stack(torch.meshgrid(torch.arange(512) + 0.5, torch.arange(512) + 0.5, indexing="xy"), -1)
    return (centres - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T


@pytest.mark.parametrize("degrees", [0, 33, 90])
def test_outside_the_image_a_crop_is_filled_without_streaks_or_an_edge(degrees):
    stripes = (torch.arange(400) // 10 % 2).float()[None, None].expand(3, 400, 400) * 1.6 - 0.8
    matrix = turned(degrees, 1.0, (180.0, 150.0) if degrees < 90 else (450.0, 150.0))
    crop, place = warp(stripes, matrix), place_in_image(matrix)
    outside = ((0 - place).clamp(min=0) + (place - 400).clamp(min=0)).amax(-1)
    assert (outside > 0).any() and crop.abs().max() <= 0.8
    far = (outside > 40)[1:, 1:]
    steps = torch.maximum(crop.diff(dim=1)[:, :, 1:].abs(), crop.diff(dim=2)[:, 1:].abs()).amax(0)
    assert steps[far].max() < 0.05  # of stripes that differ by 1.6
    smooth = torch.linspace(-0.8, 0.8, 400)[None, :, None].expand(3, 400, 400)
    assert max(warp(smooth, matrix).diff(dim=d).abs().max() for d in (1, 2)) < 0.1  # no line at the image's border


def test_a_crop_inside_the_image_is_not_filled(monkeypatch):
    def no_fill(*_):
        raise AssertionError("filled")

    monkeypatch.setattr("mimaface.mimaface_core.face.crop.harmonic_fill", no_fill)
    image = torch.rand(3, 600, 700) * 2 - 1
    assert warp(image, turned(20, 1.6, (-100.0, -300.0))).shape == (3, 512, 512)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_unchanged_crop_leaves_the_image_as_it_was(source):
    paster = Paster(source)
    pasted = paster((source.crop[None] + 1) / 2)[0]
    assert torch.equal(pasted, source.image)
    assert paster.mask.shape == source.image.shape[:2] and paster.mask.max() > 0.99


def test_only_the_inside_of_the_crop_changes_and_edges_are_soft():
    source = synthetic_source()
    paster = Paster(source)
    frame = (source.crop + 1) / 2
    frame[:, 150:360, 150:360] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    pasted = paster(frame[None])[0]
    apart = (pasted - source.image).abs().amax(-1)
    assert (apart[:20] < 1e-6).all() and (apart[:, :30] < 1e-6).all() and apart[50, 60] > 0.3
    assert (apart[paster.mask < 0.5] < 0.02).all()
    assert paster.mask.diff(dim=0).abs().max() < 0.35 and paster.mask[20:, 30:].min() >= 0


def test_what_a_frame_leaves_alone_is_not_resampled():
    source = synthetic_source(600, 900, 1.3, (200, 20))
    grain = replace(source, image=(source.image + 0.1 * torch.rand(600, 900, 3)).clamp(0, 1))
    frame = (source.crop + 1) / 2
    frame[:, 200:240, 200:240] += 0.2
    apart = (Paster(grain)(frame[None])[0] - grain.image).abs().amax(-1) > 0
    (top, left), (bottom, right) = (torch.nonzero(apart).amin(0), torch.nonzero(apart).amax(0))
    assert 340 < left < 355 and 375 < right < 400 and 160 < top < 180 and 195 < bottom < 225


def test_colours_match_the_image_at_the_seam():
    source = synthetic_source()
    shifted = ((source.crop + 1) / 2 + torch.tensor([0.06, -0.04, 0.05])[:, None, None]).clamp(0, 1)
    assert (Paster(source)(shifted[None])[0] - source.image).abs().max() < 0.02


def test_large_images_are_scaled_down_to_even_sizes():
    source = synthetic_source(901, 1333, 0.9, (300, 100))
    pasted = Paster(source, 500)((source.crop[None] + 1) / 2)
    assert pasted.shape == (1, 338, 500, 3)
    small = torch.nn.functional.interpolate(source.image.permute(2, 0, 1)[None], (338, 500), mode="area")
    assert (pasted[0].permute(2, 0, 1) - small[0]).abs().max() < 0.02


@pytest.mark.parametrize(("scale", "longest"), [(8.0, 1920), (8.0, 70)])
def test_face_mask_is_the_inside_of_the_outline(scale, longest):
    source = synthetic_source(88, scale=scale)
    landmarks = torch.zeros(478, 3)
    turn = torch.linspace(0, 2 * torch.pi, len(OVAL) + 1)[:-1]
    landmarks[OVAL, :2] = 256 + torch.stack([100 * turn.sin(), -140 * turn.cos()], 1)
    paster = Paster(replace(source, landmarks=landmarks), longest)
    shrunk = min(1, longest / 140)
    x, y = (shrunk * (corner + 256 / scale) for corner in (30.0, 20.0))
    assert paster.face.shape == paster.mask.shape and paster.face.amin() == 0
    assert paster.face[round(y), round(x)] == pytest.approx(1, abs=1e-3)
    area = torch.pi * 100 * 140 * (shrunk / scale) ** 2
    assert float(paster.face.sum()) == pytest.approx(float(area), rel=0.03)
    rows, columns = (torch.arange(n) + 0.5 for n in paster.face.shape)
    assert float(paster.face.sum(0) @ columns / paster.face.sum()) == pytest.approx(x, abs=0.3)
    assert float(paster.face.sum(1) @ rows / paster.face.sum()) == pytest.approx(y, abs=0.3)
