"""Motion tracks made up for tests."""

from fractions import Fraction

import torch

from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack


def track(count=20, fps=Fraction(30000, 1001), seed=0, size=0.2):
    """A random track of one person."""
    generator = torch.Generator().manual_seed(seed)
    values = size * torch.randn(count, 257, generator=generator)
    for same in (slice(0, 80), slice(144, 224), slice(227, 254)):  # identity, texture, light
        values[:, same] = values[:1, same]
    gaze = 0.05 * torch.randn(count, 2, generator=generator).repeat(1, 2)  # both eyes look at one place
    alignment = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]).expand(count, 2, 3).clone()
    return MotionTrack(FaceCoefficients(values), gaze, alignment, torch.ones(count, dtype=torch.bool), fps)


def still(count=40, **groups):
    """A track that rests, but for the groups given as [count, size]."""
    one = track(1, seed=3)[[0] * count]
    return one.replace(coefficients=one.coefficients.replace(**groups))


def same(a, b, tolerance=1e-5):
    """Both are the same motion."""
    assert a.fps == b.fps and torch.equal(a.visible, b.visible) and torch.equal(a.shot, b.shot)
    assert torch.allclose(a.coefficients.values, b.coefficients.values, atol=tolerance)
    assert torch.allclose(a.gaze, b.gaze, atol=tolerance) and torch.allclose(a.alignment, b.alignment)
