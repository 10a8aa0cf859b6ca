"""Random people of the bundled face model, their landmarks, and face models that are not ours."""

from dataclasses import replace
from fractions import Fraction

import torch

from mimaface.mimaface_core.face.crop import plane_alignment
from mimaface.mimaface_core.face.fit import fit_landmarks
from mimaface.mimaface_core.face.gaze import as_tracked
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, blendshapes
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.motion.rotation import rotation_of
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack

FACE = bundled_face()
IRISES = ("right_eye", "left_eye")


def blended(**values):
    """Expression [1, 64] of blendshapes by name; a name without its side stands for both."""
    coefficients = torch.zeros(1, len(BLENDSHAPES))
    for name, value in values.items():
        coefficients[0, blendshapes(name)] = value
    return coefficients


def people(count=12, seed=0, expression=0.5):
    """One random person in `count` poses: coefficients and gaze."""
    draw = torch.Generator().manual_seed(seed)
    some = torch.rand(count, 64, generator=draw) * expression * (torch.rand(count, 64, generator=draw) < 0.2)
    coefficients = FaceCoefficients.zeros(count).replace(
        identity=torch.randn(1, 80, generator=draw) * 0.7,
        expression=some,
        angles=torch.randn(count, 3, generator=draw) * torch.tensor([0.12, 0.25, 0.1]),
        translation=torch.randn(count, 3, generator=draw) * torch.tensor([0.1, 0.1, 0.3]),
    )
    return coefficients, torch.randn(count, 4, generator=draw) * 0.08


def landmarks(coefficients, gaze):
    """What a tracker sees [N, 478, 3] on the 256 plane; without an error, but for the way of its irises."""
    model = FACE.model
    shape = FACE.turn_eyes(model.shape(coefficients.identity, coefficients.expression), as_tracked(gaze))
    points = model.project(model.transform(shape, coefficients.angles, coefficients.translation))
    seen = torch.zeros(len(gaze), 478, 3)
    seen[:, :468] = points[:, :468]
    for name, first in zip(IRISES, (468, 473)):
        pupil = points[:, FACE.parts[name]][:, :24].mean(1)
        seen[:, first : first + 5] = pupil[:, None]
        for i, (dx, dy) in enumerate(((1, 0), (0, -1), (-1, 0), (0, 1))):
            seen[:, first + 1 + i, :2] += 5 * torch.tensor([dx, dy])
    seen[..., 2] = (seen[..., 2] - seen[:, :468, 2].mean(1, keepdim=True)) * (model.focal / model.camera)
    return seen


def photographed(seed=5):
    """One person at rest, as large as in a real crop: landmarks [478, 3] in pixels of a crop of 512, and the track."""
    coefficients, _ = people(1, seed=seed, expression=0.0)
    coefficients = coefficients.replace(translation=torch.tensor([[0.0, 0.0, -6.0]]))
    points = landmarks(coefficients, torch.zeros(1, 4))
    fitted = fit_landmarks(FACE, points)
    return points[0] * 2, MotionTrack(*fitted, plane_alignment(1), torch.ones(1, dtype=torch.bool), Fraction(25))


def stand_in(seed=0, outside=0.01):
    """A foreign face model: other vertices, place, size and order, whose blendshapes are mixtures of ours, and more.

    Returns the model, the mixtures [64, 64], and the rest, [V, 3, 64], in our face's place, size and order.
    """
    face = bundled_face()
    model, triangles = face.model, face.model.triangles[face.part_triangles["face"]]
    generator = torch.Generator().manual_seed(seed)

    def finer(x):
        return torch.cat([x[:468], x[triangles].mean(1)])

    mean, basis = finer(model.mean_shape), finer(model.expression_basis)
    mixture = torch.randn(64, 64, generator=generator) * 0.1
    where = mean[torch.randint(468, (64,), generator=generator)]
    bump = torch.exp(-(mean[:, None] - where).square().sum(-1) / (2 * 0.15**2))
    more = outside * bump[:, None] * torch.randn(1, 3, 64, generator=generator)
    order = torch.randperm(len(mean), generator=generator)
    turn, size = rotation_of(torch.tensor([[0.2, -0.1, 0.05]]))[0], 1.3
    moves = torch.einsum("vcm,cd->vdm", basis @ mixture.T + more, turn)
    other = replace(
        model,
        mean_shape=(size * mean @ turn + torch.tensor([0.3, -0.2, 0.4]))[order],
        expression_basis=(size * moves)[order],
        identity_basis=torch.zeros(len(mean), 3, 80),
        mean_texture=torch.zeros(len(mean), 3),
        texture_basis=torch.zeros(len(mean), 3, 80),
        triangles=order.argsort()[triangles],
        keypoints=order.argsort()[model.keypoints],
    )
    return other, mixture, more
